//! What is read of all parts once a second: for the audit, whether frames have their place, and for the traffic light.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use capture_common::{Fate, Record, Verdict};

use super::accounts::{Boundary, REST, Reading};
use super::crew::Post;
use super::health::Vitals;
use super::sensor::Live;
use super::status::{disk_size, engine, lost_in_rings, outcomes};
use crate::control::Tally;
use crate::outcome::Loss;
use crate::spool::{LaneStatus, most_in_chunks};
use crate::worker::BATCH;
use crate::xsk::packet;

/// Bytes that a record takes of a BPF ring buffer at least: the kernel's header, ours, and the smallest room for a frame.
const SHORTEST_RECORD: u64 = (8 + Record::SIZE + Record::ROOMS[0]) as u64;

/// Losses that a larger table would have prevented.
const EVICTIONS: &[Loss] = &[
    Loss::CallEvicted,
    Loss::RegistrationEvicted,
    Loss::TransactionEvicted,
    Loss::StreamEvicted,
    Loss::EndpointEvicted,
    Loss::RtcpSourceEvicted,
    Loss::FragmentEvicted,
    Loss::TcpEvicted,
    Loss::AllocationEvicted,
    Loss::StunTransactionEvicted,
];

/// The boundaries between the stages, read in the order that [`Reading`] asks for.
pub fn readings(live: &Live) -> [Option<Reading>; Boundary::ALL.len()] {
    let sum = |of: fn(&Post) -> u64| live.posts.iter().map(of).sum::<u64>();
    let lost = || lost_in_rings(&live.posts).values().sum();
    let received = || sum(|post| post.socket.frames.get());
    let handed_on = || sum(|post| post.socket.handed_on());
    let taken = || sum(|post| post.engine.frames.get());
    // A worker hands its chunk over within a flush interval, and what waits for the writer then waits for a disk.
    let is_patient = live.config.spool.flush_interval >= REST;
    let is_held = is_patient || live.spool.as_ref().is_some_and(|spool| spool.is_writer_awaited());
    let spool = || live.spool.as_ref().map(|spool| spool.status().lanes);
    let in_spool = |lanes: &[LaneStatus], of: fn(&LaneStatus) -> u64| lanes.iter().map(of).sum::<u64>();
    let lanes = live.posts.len() as u64;
    let decided = || live.verdicts().map(|verdicts| verdicts.decided());
    let (lost, first) = (lost(), (spool(), taken(), received(), decided()));
    let before = (live.verdicts(), handed_on(), taken(), spool());
    let last = (received(), taken(), spool(), decided());
    let reading = |lost, behind_first, before, behind_last, room| Reading {
        lost,
        behind_first,
        before,
        behind_last,
        room,
        is_held: false,
    };
    let waiting = live.waiting();
    let in_rings = match live.obtained.rings {
        None => lanes * u64::from(live.config.capture.umem_frames),
        Some(size) if waiting.is_none() => lanes * (u64::from(size) / SHORTEST_RECORD),
        Some(size) => lanes * (u64::from(size) / packet::SHORTEST),
    };
    let in_batches = lanes * u64::from(BATCH);
    let in_chunks = most_in_chunks(&live.config.spool, live.posts.len());
    let in_turn = (first.0.zip(before.3).zip(last.2)).map(|((first, between), last)| (first, between, last));
    let by_verdict = (first.3.zip(before.0).zip(last.3))
        .map(|((first, before), last)| reading(0, first, before.seen(), last, before.at_work()));
    [
        // In packet mode nobody counts a frame but by its verdict.
        by_verdict.filter(|_| waiting.is_none()),
        match waiting {
            None => before.0.map(|verdicts| {
                let captured = verdicts.frames(Fate::Captured);
                reading(lost, first.2, captured, last.0, in_rings)
            }),
            // The lanes themselves have the verdicts; the two parties are the kernel, which counts what it puts into a ring, and
            // the lane that takes it out. Their difference was taken by the lane, between two frames.
            Some(waiting) => Some(reading(0, 0, waiting, 0, in_rings)),
        },
        Some(reading(0, first.1, before.1, last.1, in_batches)),
        in_turn.as_ref().map(|(first, _, last)| {
            let offered = |lanes| in_spool(lanes, LaneStatus::offered);
            reading(0, offered(first), before.2, offered(last), in_batches)
        }),
        in_turn.as_ref().map(|(first, between, last)| {
            let ended = |lanes| in_spool(lanes, LaneStatus::ended);
            let kept = in_spool(between, |lane| lane.kept_frames);
            Reading {
                is_held,
                ..reading(0, ended(first), kept, ended(last), in_chunks)
            }
        }),
    ]
}

/// The figures the traffic light depends on.
pub fn vitals(live: &Live, violated: &[Boundary]) -> Vitals {
    let spool = live.spool.as_ref().map(|spool| spool.status());
    let engines: Vec<(u64, Tally)> = live.posts.iter().map(|post| outcomes(&post.engine)).collect();
    let in_rings: u64 = lost_in_rings(&live.posts).values().sum();
    let (verdicts, interface) = live.kernel();
    let captured = verdicts.frames(Fate::Captured);
    let in_spool = spool
        .iter()
        .flat_map(|spool| &spool.lanes)
        .flat_map(|lane| lane.dropped.values())
        .sum();
    let mut violated: Vec<_> = violated.iter().map(|boundary| boundary.label()).collect();
    if !engine(&engines).holds && !violated.contains(&"engine") {
        violated.push("engine");
    }
    Vitals {
        captured,
        received: interface.rx_packets,
        seen: verdicts.seen(),
        presence: live.presence(),
        lost: BTreeMap::from([
            // Malformed frames are the wire's, counted and no fault of ours: who sends them must not turn the light.
            (
                "program_drops",
                [Verdict::NoSocket, Verdict::CopyRefused, Verdict::MeasuredFull]
                    .map(|verdict| verdicts.get(verdict).frames)
                    .iter()
                    .sum(),
            ),
            ("ring_drops", in_rings + verdicts.get(Verdict::RingFull).frames),
            ("spool_drops", in_spool),
            ("interface_drops", live.interface_lost(&interface)),
        ]),
        evicted: evicted(live),
        unlearned: live.learned().failed,
        violated,
        faults: live.posts.iter().filter_map(Post::trouble).collect(),
        gone: live
            .posts
            .iter()
            .filter(|post| post.gone.load(Ordering::Acquire) && live.is_attached())
            .map(|post| post.queue)
            .collect(),
        disk: spool
            .as_ref()
            .map(|spool| (spool.disk_free_bytes, disk_size(&live.config.spool.directory))),
        spool: spool.map(|spool| spool.health),
    }
}

/// What left full tables, or found no room in them: those of the lanes, of what is measured in the kernel, and of the endpoints
/// that the kernel program knows.
fn evicted(live: &Live) -> u64 {
    let of_lanes = live.posts.iter().map(|post| &post.engine);
    let of_kernel = live.measuring.iter().map(|account| &account.counters);
    let evicted: u64 = of_lanes
        .chain(of_kernel)
        .flat_map(|counters| EVICTIONS.iter().map(|loss| counters.losses.get(*loss)))
        .sum();
    evicted + live.learned().refused
}
