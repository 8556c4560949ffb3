//! What calls cost in memory, as the kernel counts it for this process, allocator and all. One test, so that nothing else
//! allocates meanwhile.

use std::sync::Arc;

use capture_daemon::config::{Capture, Follow};
use capture_daemon::engine::{Engine, Shared};
use capture_daemon::frame::{Frame, LinkType};
use capture_daemon::outcome::Outcome;
use capture_daemon::time::Timestamp;
use xtask::lab::busy;

/// Calls before the first look and before the second: tables have grown by then.
const BEFORE: u32 = 2_000;
const CALLS: u32 = 5_000;

/// Packets of each stream: nearly as many as are kept of its first ones, so that no stream ever takes more.
const PACKETS: u32 = 63;

/// What 52,500 calls with two streams each may take of 400 MB.
const SHARE: usize = 400_000_000 / 52_500;

/// Anonymous memory of this process in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process has a status");
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.and_then(|kib| kib.parse::<usize>().ok()).expect("a number of KiB") * 1024
}

/// Calls, and the bytes that each of them takes.
struct Followed {
    engine: Engine,
    shared: Arc<Shared>,
    each: usize,
}

/// Follows calls, with or without their media, with as much memory as configured.
fn followed(follow: &Follow, media: bool) -> Followed {
    let shared = Arc::new(Shared::new(follow));
    let mut engine = Engine::new(follow, &Capture::default(), Arc::clone(&shared));
    let mut take = |nanos: u64, bytes: &[u8]| {
        engine.frame(&Frame {
            ts: Timestamp::from_nanos(nanos),
            link: LinkType::Ethernet,
            wire_len: bytes.len() as u32,
            bytes,
        });
    };
    let mut set_up = |calls: std::ops::Range<u32>| {
        for n in calls.clone() {
            for (at, bytes) in busy::call(n).iter().enumerate() {
                take(u64::from(n) * 1_000_000 + at as u64, bytes);
            }
        }
        for number in 0..if media { PACKETS } else { 0 } {
            for stream in 2 * calls.start..2 * calls.end {
                let mut packet = busy::rtp(stream);
                busy::number(&mut packet, number);
                take(
                    u64::from(calls.end) * 1_000_000 + u64::from(number) * 20_000_000,
                    &packet,
                );
            }
        }
        resident()
    };
    let before = set_up(0..BEFORE);
    let after = set_up(BEFORE..CALLS);
    let each = after.saturating_sub(before) / (CALLS - BEFORE) as usize;
    Followed { engine, shared, each }
}

#[test]
fn a_typical_call_takes_little_memory() {
    // They would be resident whole.
    rustix::thread::disable_transparent_huge_pages(true).expect("a process may do without huge pages");
    let alone = Follow {
        max_transactions: 1,
        max_endpoints: 1,
        ..Follow::default()
    };
    // The memory of one is not given back before that of the next is measured.
    let calls = followed(&alone, false);
    let all = followed(&Follow::default(), false);
    let media = followed(&Follow::default(), true);
    let (call, with_all, with_media) = (calls.each, all.each, media.each);
    println!("a call: {call} bytes; with its transactions and endpoints: {with_all}; with two streams: {with_media}");
    assert!((1_000..=3_072).contains(&call), "a call: {call} bytes");
    assert!(
        (call..=4_864).contains(&with_all),
        "with transactions and endpoints: {with_all} bytes"
    );
    assert!(
        (with_all + 1_024..=SHARE).contains(&with_media),
        "with two streams: {with_media} bytes"
    );
    let rtp = media.engine.counters().outcomes.get(Outcome::Rtp);
    assert_eq!(rtp, u64::from(2 * CALLS * PACKETS), "every stream has found its call");
    let now = Timestamp::from_nanos(u64::from(CALLS) * 1_000_000);
    for Followed { engine, shared, .. } in [calls, all, media] {
        assert_eq!(engine.counters().outcomes.get(Outcome::SipUdp), 10 * u64::from(CALLS));
        let told = shared.calls.report_with_ladders(now);
        assert_eq!(told.len(), CALLS as usize);
        for call in &told {
            let descriptions = call.media.as_ref().map(|media| media.descriptions.len());
            assert_eq!((call.messages, call.ladder.len(), descriptions), (10, 10, Some(2)));
        }
    }
}
