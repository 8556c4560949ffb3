//! What a SIP message costs the engine: whole calls of seven messages, one after the other, first those that fill what grows, then
//! those that are measured. How many is told by two arguments; some 200,000 calls fill every table of the default configuration.
//!
//! ```text
//! cargo build --release --example messages -p bench
//! valgrind --tool=callgrind --toggle-collect='messages::measured*' target/release/examples/messages
//! callgrind_annotate callgrind.out.*
//! ```
//!
//! The first figure of "Collected", divided by the messages printed, is what to compare.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bench::calls::{Message, frame};
use bench::turns::take;
use capture_daemon::config::{Capture, Follow};
use capture_daemon::engine::{Engine, Shared};
use capture_daemon::outcome::Outcome;
use tikv_jemallocator::Jemalloc;

/// As in siphon.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Time from one call to the next: 200,000 messages a second.
const GAP: u64 = 35_000;
/// Calls made at a time, outside of what is measured.
const BATCH: u32 = 500;

fn main() -> Result<()> {
    let mut numbers = std::env::args().skip(1).map(|number| number.parse::<u32>());
    let mut number = |default| numbers.next().unwrap_or(Ok(default));
    let (before, measured_calls) = (number(2_000)?, number(2_000)?);
    let (follow, capture) = (Follow::default(), Capture::default());
    let shared = Arc::new(Shared::new(&follow));
    let mut engine = Engine::new(&follow, &capture, shared);
    let mut spent = Duration::ZERO;
    let (mut call, all) = (0, before + measured_calls);
    while call < all {
        let until = if call < before { before } else { all }.min(call + BATCH);
        let frames: Vec<(u64, Vec<u8>)> = (call..until)
            .flat_map(|call| Message::ALL.map(|message| (nanos(call), frame(call, message))))
            .collect();
        if call < before {
            for (nanos, bytes) in &frames {
                take(&mut engine, *nanos, bytes);
            }
        } else {
            let begun = Instant::now();
            measured(&mut engine, &frames);
            spent += begun.elapsed();
        }
        call = until;
    }
    let sip = engine.counters().outcomes.get(Outcome::SipUdp);
    ensure!(sip == u64::from(all) * 7, "{sip} messages of SIP were understood");
    let messages = measured_calls * 7;
    println!(
        "{messages} messages, {:.0} ns each",
        spent.as_nanos() as f64 / f64::from(messages)
    );
    Ok(())
}

/// What is measured, under a name that callgrind can be told.
#[inline(never)]
fn measured(engine: &mut Engine, frames: &[(u64, Vec<u8>)]) {
    for (nanos, bytes) in frames {
        take(engine, *nanos, bytes);
    }
}

fn nanos(call: u32) -> u64 {
    1_795_251_600_000_000_000 + u64::from(call) * GAP
}
