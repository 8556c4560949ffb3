//! Memory of one lane that follows a full 10 Gbit/s link of G.711: 52,500 calls at once, their 105,000 streams interleaved,
//! all in one process with its allocator, as the kernel counts it.
//!
//! ```text
//! cargo run --release --example memory -p bench -- [CALLS]
//! ```

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use capture_daemon::config::{Capture, Follow};
use capture_daemon::engine::{Engine, Shared};
use capture_daemon::frame::{Frame, LinkType};
use capture_daemon::outcome::{Loss, Outcome};
use capture_daemon::time::Timestamp;
use xtask::lab::busy;

const CALLS: u32 = 52_500;
/// Packets of each stream: more than are kept of its first ones.
const ROUNDS: u32 = 300;
const BEGIN: u64 = 1_795_251_600_000_000_000;
/// 1,000 calls a second are set up.
const BETWEEN_CALLS: u64 = 1_000_000;
const BETWEEN_PACKETS: u64 = 20_000_000;

fn main() -> Result<()> {
    let calls = std::env::args().nth(1).map_or(Ok(CALLS), |calls| calls.parse())?;
    let (follow, capture) = (Follow::default(), Capture::default());
    let before = kib("RssAnon")?;
    let shared = Arc::new(Shared::new(&follow));
    let mut engine = Engine::new(&follow, &capture, Arc::clone(&shared));
    let mut now = BEGIN;
    for call in 0..calls {
        for message in busy::call(call) {
            take(&mut engine, now, &message);
        }
        now += BETWEEN_CALLS;
        engine.tick(Timestamp::from_nanos(now));
    }
    let with_calls = kib("RssAnon")?;
    let mut packets: Vec<u8> = Vec::new();
    let mut at = Vec::new();
    for stream in 0..2 * calls {
        at.push(packets.len());
        packets.extend(busy::rtp(stream));
    }
    at.push(packets.len());
    let own = kib("RssAnon")? - with_calls;
    let mut most = with_calls;
    for number in 0..ROUNDS {
        for (stream, range) in at.windows(2).enumerate() {
            let packet = &mut packets[range[0]..range[1]];
            busy::number(packet, number);
            let within = stream as u64 * BETWEEN_PACKETS / u64::from(2 * calls);
            take(&mut engine, now + within, packet);
            if stream % 4_096 == 0 {
                engine.tick(Timestamp::from_nanos(now + within));
            }
        }
        now += BETWEEN_PACKETS;
        most = most.max(kib("RssAnon")? - own);
    }
    let after = kib("RssAnon")? - own;
    let counters = engine.counters();
    let rtp = counters.outcomes.get(Outcome::Rtp);
    ensure!(
        rtp == u64::from(2 * calls * ROUNDS),
        "{rtp} packets of RTP were understood"
    );
    for loss in Loss::ALL {
        ensure!(counters.losses.get(*loss) == 0, "{}", loss.label());
    }
    ensure!(engine.streams().iter().all(|stream| stream.call_id.is_some()));
    ensure!(shared.calls.len() == calls as usize, "{} calls", shared.calls.len());
    let each = |kib: u64| kib * 1024 / u64::from(calls);
    println!("{calls} calls, {} streams of {ROUNDS} packets", 2 * calls);
    let told = |what: &str, kib: u64| println!("{what:<19} {kib:>8} KiB {:>6} bytes a call", each(kib - before));
    told("before", before);
    told("calls set up", with_calls);
    told("most with streams", most);
    told("streams under way", after);
    println!("of these {} bytes of packets are left out", own * 1024);
    Ok(())
}

fn take(engine: &mut Engine, nanos: u64, bytes: &[u8]) {
    engine.frame(&Frame {
        ts: Timestamp::from_nanos(nanos),
        link: LinkType::Ethernet,
        wire_len: bytes.len() as u32,
        bytes,
    });
}

/// A figure of /proc/self/status.
fn kib(name: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(name));
    let figure = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(figure
        .with_context(|| format!("no {name} in /proc/self/status"))?
        .parse()?)
}
