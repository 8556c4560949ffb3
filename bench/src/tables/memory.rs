//! The table `memory`: what siphon takes with a full 10G link of calls.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use capture_common::load::Fields;
use serde_json::Value;

use super::{Bench, Measurement, figure};
use crate::calls::{self, Message};
use crate::cpu::resident;
use crate::frame;
use crate::live::Live;
use crate::receiver::{Kind, Programs};
use crate::run::wait_for_rest;
use crate::table::{Figure, Row, Style, Table};

pub(super) const MEASUREMENT: Measurement = Measurement {
    name: "memory",
    about: "memory of siphon with the calls and streams of a full 10G link",
    measure: measure_table,
};

/// Calls with two streams each.
const CALLS: u32 = 52_500;

/// Packets of each stream.
const PACKETS: u32 = 20;

/// Frames a second, of SIP and of RTP.
const SIP_RATE: u32 = 60_000;
const RTP_RATE: u32 = 400_000;

const FIGURES: [Figure; 3] = [
    figure("resident_bytes", "MEMORY", Style::Spread),
    figure("empty_bytes", "WITHOUT CALLS", Style::Spread),
    figure("bytes_per_call", "A CALL", Style::Spread),
];

fn measure_table(bench: &mut Bench<'_>) -> Result<Table> {
    let rounds = bench.effort.rounds;
    let mut row = Row::new(&["siphon"], Kind::Siphon.command());
    row.missing = Kind::Siphon.missing();
    for round in 0..rounds {
        if row.missing.is_none() {
            eprintln!("round {} of {rounds}", round + 1);
            wait_for_rest(bench.effort.patience.min(Duration::from_secs(30)))?;
            row.rounds.push(measure(bench.programs)?);
        }
    }
    Ok(Table {
        name: MEASUREMENT.name,
        title: MEASUREMENT.about.to_owned(),
        conditions: vec![
            format!(
                "{CALLS} concurrent calls set up by five messages each, and {PACKETS} packets of each of their {} streams, live on a \
                 veth pair; every call and every stream is then in the answers, and no frame was lost.",
                2 * CALLS
            ),
            "Memory is what is resident of the process, huge pages and all, its rings among it.".to_owned(),
            format!("{rounds} rounds, medians (least - most)."),
        ],
        keys: vec!["what"],
        figures: FIGURES.to_vec(),
        rows: vec![row],
    })
}

/// Figures in the order of [`FIGURES`].
fn measure(programs: Programs<'_>) -> Result<Vec<Option<f64>>> {
    let mut live = Live::start(Kind::Siphon, programs)?;
    let pid = live.pid().to_string();
    let empty = resident(&pid)?;
    live.send(
        SIP_RATE,
        (0..CALLS).flat_map(|call| Message::SET_UP.map(|message| calls::frame(call, message))),
    )?;
    let streams = u64::from(2 * CALLS);
    let template = frame::template();
    let packets = (0..streams * u64::from(PACKETS)).map(|number| {
        let mut frame = template;
        frame::write(&mut frame, Fields::of(number, streams));
        frame.to_vec()
    });
    live.send(RTP_RATE, packets)?;
    let account = live.account()?;
    ensure!(
        account.made() == account.captured(),
        "{} of {} frames were lost, so that there are fewer calls than there should be",
        account.made() - account.captured(),
        account.made()
    );
    let status = live.status()?;
    let resident = resident(&pid)?;
    live.stop()?;
    let answered = status["calls"]["states"]["answered"].as_u64();
    ensure!(
        answered == Some(CALLS.into()),
        "of {CALLS} calls these are followed: {}",
        status["calls"]
    );
    let followed: u64 = status["lanes"]
        .as_array()
        .context("no lanes")?
        .iter()
        .filter_map(|lane| lane["streams"].as_u64())
        .sum();
    ensure!(
        followed == streams,
        "{followed} of {streams} streams: {}",
        lanes(&status)
    );
    let calls = resident.saturating_sub(empty) as f64 / f64::from(CALLS);
    Ok(vec![Some(resident as f64), Some(empty as f64), Some(calls)])
}

fn lanes(status: &Value) -> &Value {
    &status["lanes"]
}
