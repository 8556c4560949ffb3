//! The table `flood`: SIP without end, from memory on one core and on the live path.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use capture_daemon::config::{Capture, Follow};
use capture_daemon::engine::{Engine, Shared};
use capture_daemon::time::Timestamp;
use serde::{Deserialize, Serialize};
use xtask::lab::process::run;

use super::{Bench, Measurement, figure};
use crate::calls::{self, Message};
use crate::cpu::resident;
use crate::live::Live;
use crate::receiver::{Kind, Programs, pinned};
use crate::run::{RECEIVER_CPU, wait_for_rest};
use crate::table::{Figure, Row, Style, Table};
use crate::turns::take;

pub(super) const MEASUREMENT: Measurement = Measurement {
    name: "flood",
    about: "SIP alone: INVITEs followed on one core in bounded memory, and messages a second on the live path",
    measure: measure_table,
};

/// The rows.
pub const INVITES: &str = "INVITEs, from memory";
/// Whole calls on a veth pair.
pub const LIVE: &str = "calls, live";

/// INVITEs until memory is looked at first, and in all. By the first look every table that a call fills is full.
const FULL: u32 = 600_000;
const ALL: u32 = 1_200_000;

/// SIP messages a second on the live path: a little more than the goal.
const RATE: u32 = 204_000;

/// INVITEs made ahead of each piece of measured time.
const BATCH: u32 = 2_000;

/// Packet time between two of them.
const GAP: u64 = 5_000;

const FIGURES: [Figure; 5] = [
    figure("messages_per_second", "MESSAGES/S", Style::Spread),
    figure("lost_frames", "LOST", Style::Worst),
    figure("lost_percent", "LOST %", Style::Worst),
    figure("before_bytes", "MEMORY BEFORE", Style::Median),
    figure("after_bytes", "AFTER", Style::Worst),
];

/// What came of a flood from memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flooded {
    /// INVITEs a second.
    pub invites_per_second: f64,
    /// Memory of the process when its tables were full, in bytes.
    pub full_bytes: u64,
    /// And in the end.
    pub end_bytes: u64,
}

fn measure_table(bench: &mut Bench<'_>) -> Result<Table> {
    let (rounds, hold) = (bench.effort.rounds, bench.effort.hold);
    let mut invites = Row::new(&[INVITES], "Engine::frame, one frame after the other");
    let mut live = Row::new(&[LIVE], Kind::SiphonByDefault.command());
    live.missing = Kind::SiphonByDefault.missing();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        wait_for_rest(bench.effort.patience.min(Duration::from_secs(30)))?;
        let Flooded {
            invites_per_second,
            full_bytes,
            end_bytes,
        } = in_a_process(bench.programs.bench)?;
        invites.rounds.push(vec![
            Some(invites_per_second),
            None,
            None,
            Some(full_bytes as f64),
            Some(end_bytes as f64),
        ]);
        if live.missing.is_none() {
            live.rounds.push(flood_live(bench.programs, RATE, hold)?.to_vec());
        }
    }
    Ok(Table {
        name: MEASUREMENT.name,
        title: MEASUREMENT.about.to_owned(),
        conditions: vec![
            format!(
                "From memory: {ALL} INVITEs of as many calls on CPU {RECEIVER_CPU}; the process's memory after {FULL}, when its \
                 tables are full, and in the end."
            ),
            format!(
                "Live: calls of seven messages at {RATE} messages a second for {hold} s into a veth pair; siphon's memory before \
                 and after."
            ),
            format!("{rounds} interleaved rounds, medians (least - most)."),
        ],
        keys: vec!["what"],
        figures: FIGURES.to_vec(),
        rows: vec![invites, live],
    })
}

/// Floods an engine in a process of its own, whose memory is nobody else's.
fn in_a_process(bench: &Path) -> Result<Flooded> {
    let text = pinned(RECEIVER_CPU, || {
        run(Command::new(bench).args(["--flood", &FULL.to_string(), &ALL.to_string()]))
    })?;
    serde_json::from_str(&text).with_context(|| format!("the flood says {text:?}"))
}

/// Gives an engine that follows as much as `follow` says `all` INVITEs of as many calls, and looks at memory after `full` of
/// them and in the end.
///
/// # Errors
/// When an INVITE was not counted as one, or a call is in neither table nor among those that left it.
pub fn flood(follow: &Follow, full: u32, all: u32) -> Result<Flooded> {
    let shared = Arc::new(Shared::new(follow));
    let mut engine = Engine::new(follow, &Capture::default(), Arc::clone(&shared));
    let (mut spent, mut full_bytes) = (Duration::ZERO, 0);
    let mut call = 0;
    while call < all {
        let until = if call < full { full } else { all };
        let batch: Vec<Vec<u8>> = (call..until.min(call + BATCH))
            .map(|call| calls::frame(call, Message::Invite))
            .collect();
        let begun = Instant::now();
        for (number, bytes) in (u64::from(call)..).zip(&batch) {
            let now = 1_795_251_600_000_000_000 + number * GAP;
            take(&mut engine, now, bytes);
            engine.tick(Timestamp::from_nanos(now));
        }
        spent += begun.elapsed();
        call += batch.len() as u32;
        if call == full {
            full_bytes = resident("self")?;
        }
    }
    let end_bytes = resident("self")?;
    let document = capture_daemon::engine::sip_counts(&[engine.counters()]);
    let counted = document.requests.get("INVITE").copied().unwrap_or_default();
    ensure!(counted == u64::from(all), "{counted} of {all} INVITEs were counted");
    Ok(Flooded {
        invites_per_second: f64::from(all) / spent.as_secs_f64(),
        full_bytes,
        end_bytes,
    })
}

/// Calls on the live path, of `rate` messages a second for `seconds`: messages a second, frames lost, in percent, and siphon's
/// memory in bytes before and after.
///
/// # Errors
/// When a frame is not accounted for, or a captured one was not read as SIP.
pub fn flood_live(programs: Programs<'_>, rate: u32, seconds: u32) -> Result<[Option<f64>; 5]> {
    let mut live = Live::start(Kind::SiphonByDefault, programs)?;
    let before = resident(&live.pid().to_string())?;
    let calls = rate * seconds / Message::ALL.len() as u32;
    let frames = (0..calls).flat_map(|call| Message::ALL.map(|message| calls::frame(call, message)));
    let made = live.send(rate, frames)?;
    let account = live.account()?;
    let after = resident(&live.pid().to_string())?;
    let status = live.status()?;
    live.stop()?;
    let understood = status["sip"]["messages"].as_u64().context("no count of SIP messages")?;
    ensure!(
        understood == account.captured(),
        "{understood} of {} captured frames were read as SIP",
        account.captured()
    );
    let lost = account.made() - account.captured();
    Ok([
        Some(made.frames as f64 / made.seconds),
        Some(lost as f64),
        Some(lost as f64 * 100.0 / account.made() as f64),
        Some(before as f64),
        Some(after as f64),
    ])
}
