//! The table `learned`: how long it takes from an SDP on the wire to its endpoints in the kernel program's map.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Bench, Measurement, figure};
use crate::calls::{self, Message};
use crate::live::Live;
use crate::receiver::{Kind, Programs};
use crate::run::{RECEIVER_CPU, wait_for_rest};
use crate::table::{Figure, Row, Style, Table};

pub(super) const MEASUREMENT: Measurement = Measurement {
    name: "learned",
    about: "time from SDP on the wire to its endpoints in the kernel program's map",
    measure: measure_table,
};

/// New calls a second.
const CALLS: u32 = 1_000;

const FIGURES: [Figure; 3] = [
    figure("p50_ms", "MEDIAN MS", Style::Spread),
    figure("p99_ms", "P99 MS", Style::Spread),
    figure("max_ms", "LONGEST MS", Style::Worst),
];

fn measure_table(bench: &mut Bench<'_>) -> Result<Table> {
    let (rounds, hold) = (bench.effort.rounds, bench.effort.hold);
    let mut row = Row::new(&["siphon, learned"], Kind::SiphonLearned.command());
    row.missing = Kind::SiphonLearned.missing();
    for round in 0..rounds {
        if row.missing.is_none() {
            eprintln!("round {} of {rounds}", round + 1);
            wait_for_rest(bench.effort.patience.min(Duration::from_secs(30)))?;
            row.rounds.push(learned(bench.programs, CALLS, hold)?.to_vec());
        }
    }
    Ok(Table {
        name: MEASUREMENT.name,
        title: MEASUREMENT.about.to_owned(),
        conditions: vec![
            format!(
                "{CALLS} new calls a second, of seven messages each, for {hold} s into a veth pair, siphon on CPU {RECEIVER_CPU}; \
                 from the packet time of an INVITE or 200 with SDP, as the daemon itself measures it (`siphon status`). No frame \
                 was lost, and every endpoint found room."
            ),
            format!("{rounds} rounds, medians (least - most)."),
        ],
        keys: vec!["what"],
        figures: FIGURES.to_vec(),
        rows: vec![row],
    })
}

/// Milliseconds from SDP to map, the median, the 99th of a hundred and the longest, at so many new calls a second for so many
/// seconds.
///
/// # Errors
/// When a frame was lost, or an endpoint did not get into the map.
pub fn learned(programs: Programs<'_>, calls: u32, seconds: u32) -> Result<[Option<f64>; 3]> {
    let mut live = Live::start(Kind::SiphonLearned, programs)?;
    let messages = Message::ALL.len() as u32;
    let frames = (0..calls * seconds).flat_map(|call| Message::ALL.map(|message| calls::frame(call, message)));
    live.send(calls * messages, frames)?;
    let account = live.account()?;
    let status = live.status()?;
    live.stop()?;
    ensure!(
        account.made() == account.captured(),
        "{} of {} frames were lost",
        account.made() - account.captured(),
        account.made()
    );
    let learned = &status["learned"];
    let count = |what: &str| learned[what].as_u64().with_context(|| format!("no {what}: {learned}"));
    let (updates, refused, failed) = (count("updates")?, count("refused")?, count("failed")?);
    // Both ends of a call announce theirs.
    ensure!(
        refused == 0 && failed == 0 && updates >= u64::from(2 * calls * seconds),
        "of {} calls these endpoints were learned: {learned}",
        calls * seconds
    );
    let latency = &learned["latency"];
    Ok(["p50_ms", "p99_ms", "max_ms"].map(|figure| latency[figure].as_f64()))
}
