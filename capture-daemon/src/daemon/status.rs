//! The answer to `status`, put together from the counters of all parts. Where one stage's counters are written while
//! another's are read, the later stage is read first, so that nothing seems to come out that did not go in.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use capture_common::{Fate, Level, Verdict};

use super::crew::Post;
use super::measuring::Account;
use super::sensor::Live;
use crate::calls::CallCount;
use crate::control::{
    CallCounts, Identity, InterfaceCounters, Lane, LaneSpool, Measured, Obtained, RingCounts, RuleStatus, SocketCounts,
    SpoolStatus, Stage, Status, TableSize, Tally, rule_as_json,
};
use crate::engine::{self, EngineCounters};
use crate::outcome::{Loss, Outcome};
use crate::program::{self, AttachMode, Verdicts};
use crate::report::CallState;
use crate::rules::{Entry, idle};
use crate::spool::{self, SpoolHealth};
use crate::time::Timestamp;

/// Tries to read an engine's outcomes between two frames, when their sum is the number of frames. Reading takes some 50 ns,
/// a frame 100 and more.
const TRIES: usize = 64;

/// Everything about the daemon itself, as it stands at `now`.
pub fn status(live: &Live, now: Timestamp) -> Status {
    let spool = live.spool.as_ref().map(|spool| spool.status());
    let engines: Vec<(u64, Tally)> = live.posts.iter().map(|post| outcomes(&post.engine)).collect();
    let (verdicts, interface) = live.kernel();
    let ring_full = live.ring_full();
    let lanes: Vec<Lane> = live
        .posts
        .iter()
        .zip(&engines)
        .enumerate()
        .map(|(index, (post, (_, outcomes)))| {
            let spool = spool.as_ref().and_then(|spool| spool.lanes.get(index));
            let full = ring_full.get(index).copied();
            lane(post, &live.obtained, index, full, outcomes.clone(), spool)
        })
        .collect();
    let lost_in_rings = lost_in_rings(&live.posts);
    let counted = live.shared.calls.count(now);
    let kernel = live.measuring.iter().map(|account| Arc::clone(&account.counters));
    let of_lanes = live.posts.iter().map(|post| Arc::clone(&post.engine));
    let engine_counters: Vec<_> = of_lanes.chain(kernel).collect();
    let identity = Identity {
        program: program(&verdicts),
        sockets: sockets(&verdicts, &lanes, lost_in_rings),
        engine: engine(&engines),
        spool: spooled(&lanes),
    };
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started: live.started,
        uptime_s: live.uptime().as_secs_f64(),
        interface: live.config.capture.interface.clone(),
        mode: live.config.capture.mode.label().to_owned(),
        attach: Obtained {
            got: live.obtained.attach.to_string(),
            why: live.obtained.why_not_native.clone(),
        },
        identity,
        verdicts: Verdict::ALL
            .iter()
            .map(|verdict| (verdict.label().to_owned(), verdicts.get(*verdict).frames))
            .collect(),
        interface_counters: InterfaceCounters {
            rx_packets: interface.rx_packets,
            rx_bytes: interface.rx_bytes,
            rx_errors: interface.rx_errors,
            rx_dropped: interface.rx_dropped,
            rx_missed_errors: interface.rx_missed_errors,
        },
        driver_counters: live.driver_counters().into_iter().collect(),
        audit: live.audit(),
        sip: engine::sip_counts(&engine_counters),
        rtp: engine::rtp_figures(&engine_counters),
        rtcp: engine::rtcp_counts(&engine_counters),
        calls: calls(live, &counted),
        rules: rules(live, &counted),
        measured: live.measuring.as_ref().map(measured),
        registrations: live
            .shared
            .registrations
            .count(now)
            .into_iter()
            .map(|(state, count)| (state.label().to_owned(), count))
            .collect(),
        learned: live.learned(),
        tables: tables(live, &lanes),
        spool: files(live, spool.as_ref()),
        control: live.control.get(),
        lanes,
    }
}

fn measured(account: &Account) -> Measured {
    Measured {
        streams: account.counters.streams.get(),
        losses: losses(&account.counters),
    }
}

fn lane(
    post: &Post,
    obtained: &program::Obtained,
    index: usize,
    ring_full: Option<u64>,
    outcomes: Tally,
    spool: Option<&spool::LaneStatus>,
) -> Lane {
    let engine = &post.engine;
    let ring = match obtained.attach {
        AttachMode::Packet => "packet ring",
        AttachMode::Native | AttachMode::Generic | AttachMode::Tcx => "ring buffer",
    };
    let obtained = obtained.queues.get(index);
    Lane {
        queue: post.queue,
        cpu: post.cpu,
        bind: obtained.map_or_else(
            || as_got(ring),
            |queue| Obtained {
                got: queue.bound.mode.to_string(),
                why: queue.bound.why_not_better.clone(),
            },
        ),
        pages: obtained.map_or_else(
            || as_got("normal"),
            |queue| Obtained {
                got: if queue.huge_pages { "huge" } else { "normal" }.to_owned(),
                why: queue.why_not_huge_pages.clone(),
            },
        ),
        frames: post.socket.frames.get(),
        bytes: post.socket.bytes.get(),
        multi_buffer: post.socket.multi_buffer.get(),
        no_timestamp: post.socket.no_timestamp.get(),
        clock_steps: post.socket.clock_steps.get(),
        wakeups: post.socket.wakeups.get(),
        socket: SocketCounts {
            rx_dropped: post.socket.rx_dropped.get(),
            rx_invalid_descs: post.socket.rx_invalid_descs.get(),
            tx_invalid_descs: post.socket.tx_invalid_descs.get(),
            rx_ring_full: post.socket.rx_ring_full.get(),
            rx_fill_ring_empty_descs: post.socket.rx_fill_ring_empty_descs.get(),
            tx_ring_empty_descs: post.socket.tx_ring_empty_descs.get(),
        },
        ring: ring_full.filter(|_| obtained.is_none()).map(|full| RingCounts {
            size: post.socket.ring_size.get(),
            used: post.socket.ring_used.get(),
            full,
            outgoing: post.socket.outgoing.get(),
            super_frames: post.socket.super_frames.get(),
            packets: post.socket.packets.get(),
        }),
        outcomes,
        losses: losses(engine),
        streams: engine.streams.get(),
        tcp_streams: engine.tcp_streams.get(),
        spool: spool.map(lane_spool).unwrap_or_default(),
    }
}

fn losses(counters: &EngineCounters) -> Tally {
    let count = |loss: &Loss| (loss.label().to_owned(), counters.losses.get(*loss));
    Loss::ALL.iter().map(count).collect()
}

/// What there is no better of.
fn as_got(got: &str) -> Obtained {
    Obtained {
        got: got.to_owned(),
        why: None,
    }
}

fn lane_spool(lane: &spool::LaneStatus) -> LaneSpool {
    LaneSpool {
        offered: lane.offered(),
        not_kept: lane.not_kept,
        cut: lane.cut_frames,
        written: lane.written_frames,
        bytes: lane.written_bytes,
        queued: lane.in_chunks(),
        dropped: lane
            .dropped
            .iter()
            .map(|(reason, frames)| ((*reason).to_owned(), *frames))
            .collect(),
    }
}

/// Frames of an engine and where they ended.
pub(super) fn outcomes(engine: &EngineCounters) -> (u64, Tally) {
    let read = || {
        let frames = engine.frames.get();
        let outcomes: [u64; Outcome::ALL.len()] = std::array::from_fn(|index| engine.outcomes.get(Outcome::ALL[index]));
        (frames, outcomes)
    };
    let mut last = read();
    for _ in 0..TRIES {
        if last.1.iter().sum::<u64>() == last.0 {
            break;
        }
        last = read();
    }
    let labels = Outcome::ALL.iter().map(|outcome| outcome.label().to_owned());
    (last.0, labels.zip(last.1).collect())
}

fn program(verdicts: &Verdicts) -> Stage {
    let passed = [Fate::Captured, Fate::Filtered].map(|fate| (fate.label().to_owned(), verdicts.frames(fate)));
    let dropped = verdicts.iter().filter(|(verdict, _)| verdict.fate() == Fate::Dropped);
    Stage::new(
        verdicts.seen(),
        passed.into(),
        verdicts.seen().saturating_sub(verdicts.decided()),
        dropped
            .map(|(verdict, count)| (verdict.label().to_owned(), count.frames))
            .collect(),
    )
}

/// Why frames that the program captured never reached a worker.
pub(super) fn lost_in_rings(posts: &[Post]) -> Tally {
    let sum = |of: fn(&Post) -> u64| posts.iter().map(of).sum::<u64>();
    BTreeMap::from([
        ("rx_dropped".to_owned(), sum(|post| post.socket.rx_dropped.get())),
        ("rx_ring_full".to_owned(), sum(|post| post.socket.rx_ring_full.get())),
        (
            "bad_descriptor".to_owned(),
            sum(|post| post.socket.bad_descriptors.get()),
        ),
        ("oversize".to_owned(), sum(|post| post.socket.oversize.get())),
    ])
}

/// What was captured and is neither with a worker nor lost lies in a ring: nothing does when the link is quiet.
fn sockets(verdicts: &Verdicts, lanes: &[Lane], lost: Tally) -> Stage {
    let captured = verdicts.frames(Fate::Captured);
    let received: u64 = lanes.iter().map(|lane| lane.frames).sum();
    let queued = captured.saturating_sub(received + lost.values().sum::<u64>());
    Stage::new(
        captured,
        BTreeMap::from([("received".to_owned(), received)]),
        queued,
        lost,
    )
}

pub(super) fn engine(engines: &[(u64, Tally)]) -> Stage {
    let mut passed = Tally::new();
    for (label, frames) in engines.iter().flat_map(|(_, outcomes)| outcomes) {
        *passed.entry(label.clone()).or_default() += frames;
    }
    Stage::new(engines.iter().map(|(frames, _)| frames).sum(), passed, 0, Tally::new())
}

fn spooled(lanes: &[Lane]) -> Stage {
    let sum = |of: fn(&LaneSpool) -> u64| lanes.iter().map(|lane| of(&lane.spool)).sum::<u64>();
    let mut dropped = Tally::new();
    for (reason, frames) in lanes.iter().flat_map(|lane| &lane.spool.dropped) {
        *dropped.entry(reason.clone()).or_default() += frames;
    }
    let passed = BTreeMap::from([
        ("written".to_owned(), sum(|spool| spool.written)),
        ("not_kept".to_owned(), sum(|spool| spool.not_kept)),
    ]);
    Stage::new(sum(|spool| spool.offered), passed, sum(|spool| spool.queued), dropped)
}

/// Bytes of the file system that may be used: without what is kept back for root, as `df` reckons how full it is.
pub(super) fn disk_size(directory: &Path) -> u64 {
    rustix::fs::statvfs(directory).map_or(0, |disk| {
        let used = disk.f_blocks.saturating_sub(disk.f_bfree);
        used.saturating_add(disk.f_bavail).saturating_mul(disk.f_frsize)
    })
}

/// Rules, and what came of each.
pub fn rules(live: &Live, counted: &CallCount) -> Vec<RuleStatus> {
    let list = live.shared.rules.list();
    let status = |entry: &Entry| {
        let (calls, rtp_packets) = entry.ruling.tally.get();
        RuleStatus {
            rule: rule_as_json(&entry.rule),
            calls,
            calls_now: counted.rules.get(&entry.rule.name).map_or(0, |(_, calls)| *calls),
            rtp_packets,
            never: entry.never.as_ref().map(ToString::to_string),
            idle: idle(entry.rule.level, live.config.capture.media).map(str::to_owned),
        }
    };
    list.entries().iter().map(status).collect()
}

fn calls(live: &Live, counted: &CallCount) -> CallCounts {
    let tally = |counts: &[(CallState, u64)]| {
        counts
            .iter()
            .map(|(state, count)| (state.label().to_owned(), *count))
            .collect()
    };
    let all: u64 = counted.states.iter().map(|(_, calls)| calls).sum();
    let ruled: u64 = counted.rules.values().map(|(_, calls)| calls).sum();
    let of_level = |level: Level| {
        let rules = counted.rules.values().filter(|(of_rule, _)| *of_rule == level);
        let default = if level == live.shared.rules.default_level() {
            all.saturating_sub(ruled)
        } else {
            0
        };
        rules.map(|(_, calls)| calls).sum::<u64>() + default
    };
    let levels = Level::ALL.iter();
    CallCounts {
        levels: levels
            .map(|level| (level.label().to_owned(), of_level(*level)))
            .collect(),
        states: tally(&counted.states),
        results: tally(&counted.results),
        ended_by: counted
            .ended_by
            .map(|(by, count)| (by.label().to_owned(), count))
            .into(),
        one_way: counted.one_way,
        no_media: counted.no_media,
    }
}

fn tables(live: &Live, lanes: &[Lane]) -> BTreeMap<String, TableSize> {
    let evicted = |loss: Loss| live.posts.iter().map(|post| post.engine.losses.get(loss)).sum();
    let follow = &live.config.follow;
    let table = |name: &str, entries: u64, capacity: usize, loss| {
        let size = TableSize {
            entries,
            capacity: capacity as u64,
            evicted: evicted(loss),
        };
        (name.to_owned(), size)
    };
    let per_lane = |max: usize| max.saturating_mul(lanes.len());
    let mut tables = BTreeMap::from([
        table(
            "calls",
            live.shared.calls.len() as u64,
            follow.max_calls,
            Loss::CallEvicted,
        ),
        table(
            "registrations",
            live.shared.registrations.len() as u64,
            follow.max_registrations,
            Loss::RegistrationEvicted,
        ),
        table(
            "transactions",
            live.shared.transactions.len() as u64,
            follow.max_transactions,
            Loss::TransactionEvicted,
        ),
        table(
            "endpoints",
            live.shared.endpoints.len() as u64,
            follow.max_endpoints,
            Loss::EndpointEvicted,
        ),
        table(
            "rtcp_sources",
            live.shared.rtcp.len() as u64,
            follow.max_rtcp_sources,
            Loss::RtcpSourceEvicted,
        ),
        table(
            "fragments",
            live.shared.fragments.len() as u64,
            follow.max_fragments,
            Loss::FragmentEvicted,
        ),
        table(
            "allocations",
            live.shared.turn.allocations() as u64,
            follow.max_allocations,
            Loss::AllocationEvicted,
        ),
        table(
            "stun_transactions",
            live.shared.turn.transactions() as u64,
            follow.max_stun_transactions,
            Loss::StunTransactionEvicted,
        ),
        table(
            "streams",
            lanes.iter().map(|lane| lane.streams).sum(),
            per_lane(follow.max_streams),
            Loss::StreamEvicted,
        ),
        table(
            "waiting_room",
            live.posts.iter().map(|post| post.engine.waiting.get()).sum(),
            per_lane(follow.waiting_room),
            Loss::WaitingEvicted,
        ),
        table(
            "tcp_streams",
            lanes.iter().map(|lane| lane.tcp_streams).sum(),
            per_lane(follow.max_tcp_streams),
            Loss::TcpEvicted,
        ),
    ]);
    tables.extend(live.measuring.iter().map(|account| {
        let size = TableSize {
            entries: account.counters.streams.get(),
            capacity: account.capacity.into(),
            evicted: account.counters.losses.get(Loss::StreamEvicted),
        };
        ("measured_streams".to_owned(), size)
    }));
    tables
}

fn files(live: &Live, spool: Option<&spool::SpoolStatus>) -> SpoolStatus {
    let directory = &live.config.spool.directory;
    let Some(spool) = spool else {
        return SpoolStatus {
            directory: directory.clone(),
            ..SpoolStatus::default()
        };
    };
    SpoolStatus {
        enabled: true,
        directory: directory.clone(),
        writing: spool.health.is_green(),
        error: match &spool.health {
            SpoolHealth::Green { .. } => None,
            SpoolHealth::Red { error, .. } => Some(error.clone()),
        },
        writes: Obtained {
            got: match (&spool.no_direct_io, spool.files_opened) {
                (_, 0) => String::new(),
                (None, _) => "direct".to_owned(),
                (Some(_), _) => "cached".to_owned(),
            },
            why: spool.no_direct_io.clone(),
        },
        files_open: spool.lanes.iter().filter(|lane| lane.file.is_some()).count() as u64,
        files_closed: spool.files_closed,
        files_mended: live.mended,
        files_removed: spool.files_removed,
        files_bytes: spool.files_bytes,
        disk_free_bytes: spool.disk_free_bytes,
        disk_size_bytes: disk_size(directory),
    }
}
