//! Instructions a SIP message costs the engine: whole calls of seven messages, one after the other, first those that fill what grows,
//! then those that are measured.
//!
//! ```text
//! cargo build --release --example messages -p bench
//! valgrind --tool=callgrind --toggle-collect='messages::measured*' target/release/examples/messages
//! callgrind_annotate callgrind.out.*
//! ```
//!
//! The first figure of "Collected", divided by the messages printed, is what to compare.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use bench::calls::{Message, frame};
use capture_daemon::config::{Capture, Follow};
use capture_daemon::engine::{Engine, Shared};
use capture_daemon::frame::{Frame, LinkType};
use capture_daemon::outcome::Outcome;
use capture_daemon::time::Timestamp;

const BEFORE: u32 = 2_000;
const MEASURED: u32 = 2_000;
/// Time from one call to the next.
const GAP: u64 = 1_000_000;

fn main() -> Result<()> {
    let (follow, capture) = (Follow::default(), Capture::default());
    let shared = Arc::new(Shared::new(&follow));
    let mut engine = Engine::new(&follow, &capture, shared);
    let calls = |calls: std::ops::Range<u32>| -> Vec<(u64, Vec<u8>)> {
        calls
            .flat_map(|call| Message::ALL.map(|message| (nanos(call), frame(call, message))))
            .collect()
    };
    measured_not(&mut engine, &calls(0..BEFORE));
    let frames = calls(BEFORE..BEFORE + MEASURED);
    let begun = Instant::now();
    measured(&mut engine, &frames);
    let spent = begun.elapsed();
    let sip = engine.counters().outcomes.get(Outcome::SipUdp);
    ensure!(
        sip == u64::from((BEFORE + MEASURED) * 7),
        "{sip} messages of SIP were understood"
    );
    println!(
        "{} messages, {:.0} ns each",
        frames.len(),
        spent.as_nanos() as f64 / frames.len() as f64
    );
    Ok(())
}

/// What is measured, under a name that callgrind can be told.
#[inline(never)]
fn measured(engine: &mut Engine, frames: &[(u64, Vec<u8>)]) {
    for (nanos, bytes) in frames {
        engine.frame(&taken(*nanos, bytes));
    }
}

fn measured_not(engine: &mut Engine, frames: &[(u64, Vec<u8>)]) {
    for (nanos, bytes) in frames {
        engine.frame(&taken(*nanos, bytes));
    }
}

fn taken(nanos: u64, bytes: &[u8]) -> Frame<'_> {
    Frame {
        ts: Timestamp::from_nanos(nanos),
        link: LinkType::Ethernet,
        wire_len: bytes.len() as u32,
        bytes,
    }
}

fn nanos(call: u32) -> u64 {
    1_795_251_600_000_000_000 + u64::from(call) * GAP
}
