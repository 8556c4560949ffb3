//! A packet of a stream under way takes no memory: neither where it is followed and measured nor where it is kept. And the memory
//! that siphon takes, it takes as `.cargo/config.toml` says.

use std::process::Command;
use std::sync::Arc;

use allocation_counter::{AllocationInfo, measure};
use capture_daemon::config::{self, Capture, Follow};
use capture_daemon::engine::{Engine, Shared};
use capture_daemon::frame::{Frame, LinkType};
use capture_daemon::outcome::Outcome;
use capture_daemon::spool::{Spool, SpoolLane};
use capture_daemon::time::Timestamp;
use capture_daemon::worker;
use xtask::lab::busy;

const CALLS: u32 = 200;
const STREAMS: u32 = 2 * CALLS;
/// Packets of each stream before that: the first ones are kept until the clock is certain, and the window over the recent
/// numbers has to fill.
const BEFORE: u32 = 300;
const MEASURED: u32 = 200;
const BATCH: usize = worker::BATCH as usize;

fn at(round: u32) -> Timestamp {
    Timestamp::from_nanos(1_795_251_600_000_000_000 + u64::from(round) * 20_000_000)
}

fn frame(ts: Timestamp, bytes: &[u8]) -> Frame<'_> {
    Frame {
        ts,
        link: LinkType::Ethernet,
        wire_len: bytes.len() as u32,
        bytes,
    }
}

/// A packet of each stream, in batches as a worker has them, and the memory that was asked for meanwhile by this thread.
fn round(engine: &mut Engine, lane: &mut SpoolLane, number: u32) -> AllocationInfo {
    let packet = |stream| {
        let mut packet = busy::rtp(stream);
        busy::number(&mut packet, number);
        packet
    };
    let packets: Vec<_> = (0..STREAMS).map(packet).collect();
    let frames: Vec<_> = packets.iter().map(|packet| frame(at(number), packet)).collect();
    measure(|| {
        for frames in frames.chunks(BATCH) {
            engine.frames(frames, |frame, wanted| lane.keep(frame, wanted));
        }
    })
}

#[test]
fn a_packet_of_a_stream_takes_no_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let spool = config::Spool {
        directory: folder.path().to_owned(),
        ..config::Spool::default()
    };
    let (spool, mut lanes) = Spool::start(&spool, "eth0", 1).expect("a spool");
    let lane = lanes.first_mut().expect("a lane");
    let follow = Follow::default();
    let mut engine = Engine::new(&follow, &Capture::default(), Arc::new(Shared::new(&follow)));
    let set_up = measure(|| {
        for message in (0..CALLS).flat_map(busy::call) {
            engine.frame(&frame(at(0), &message));
        }
    });
    assert!(set_up.count_total > u64::from(CALLS), "what is counted here counts");
    for number in 0..BEFORE {
        round(&mut engine, lane, number);
        engine.tick(at(number));
        lane.tick(at(number));
    }
    for number in BEFORE..BEFORE + MEASURED {
        let taken = round(&mut engine, lane, number);
        assert_eq!(
            (taken.count_total, taken.bytes_total),
            (0, 0),
            "packet {number} of each"
        );
        engine.tick(at(number));
        lane.tick(at(number));
    }
    let measured = engine.counters().outcomes.get(Outcome::Rtp);
    assert_eq!(measured, u64::from(STREAMS * (BEFORE + MEASURED)));
    lanes.into_iter().for_each(SpoolLane::finish);
    let status = spool.stop().expect("a spool that stops");
    let lane = status.lanes.first().expect("a lane");
    let dropped: u64 = lane.dropped.values().sum();
    assert_eq!(lane.written_frames + dropped, measured, "{lane:?}");
    assert!(lane.written_frames > 0, "{lane:?}");
}

#[test]
fn the_allocator_is_built_with_its_options() {
    let mut siphon = Command::new(env!("CARGO_BIN_EXE_siphon"));
    let output = siphon
        .arg("--version")
        .env("_RJEM_MALLOC_CONF", "stats_print:true")
        .output();
    let told = String::from_utf8(output.expect("siphon runs").stderr).expect("text");
    let options = env!("JEMALLOC_SYS_WITH_MALLOC_CONF").split(',');
    let options: Vec<_> = options.filter_map(|option| option.split_once(':')).collect();
    assert!(!options.is_empty());
    for (name, value) in options {
        let start = format!("opt.{name}: ");
        let line = told.lines().find_map(|line| line.trim_start().strip_prefix(&start));
        assert!(
            line.is_some_and(|line| line.trim_matches('"').starts_with(value)),
            "{name}: {line:?}, not {value}"
        );
    }
}
