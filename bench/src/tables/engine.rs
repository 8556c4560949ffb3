//! The table `engine`: what a packet of RTP costs the engine, from memory.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use xtask::lab::{Need, Scratch};

use super::apart::{Often, apart};
use super::{Bench, Measurement, figure};
use crate::run::{RECEIVER_CPU, wait_for_rest};
use crate::table::{Figure, Row, Style, Table};
use crate::turns::{Floor, Followed};

pub(super) const MEASUREMENT: Measurement = Measurement {
    name: "engine",
    about: "what a packet of RTP costs the engine on one core, from memory",
    measure: measure_table,
};

/// The rows.
pub const ENGINE: &str = "engine";
/// The least that can be done.
pub const FLOOR: &str = "floor";
/// The engine under callgrind.
pub const INSTRUCTIONS: &str = "engine, counted";

/// Streams of a full 10G link.
const STREAMS: u32 = 105_000;

/// Turns before any is measured: the first packets of a stream are kept until its clock is certain, and its window over the
/// recent numbers has to fill.
pub(super) const BEFORE: u32 = 300;

/// Turns measured in a round.
const TURNS: u32 = 40;

const FIGURES: [Figure; 2] = [
    figure("ns_per_packet", "NS", Style::Spread),
    figure("instructions_per_packet", "INSTRUCTIONS", Style::Spread),
];

fn measure_table(bench: &mut Bench<'_>) -> Result<Table> {
    let often = Often::of(bench.effort);
    let rounds = bench.effort.rounds;
    let (before, turns) = turns(often);
    let mut engine = Row::new(&[ENGINE], "Engine::frames, 64 frames at a time");
    let mut floor = Row::new(
        &[FLOOR],
        "reads the headers and touches one line of a table of 512 bytes a stream",
    );
    eprintln!("{rounds} rounds");
    for [of_engine, of_floor] in apart::<Vec<[Option<f64>; 2]>>(bench.programs.bench, "--engine", often)? {
        engine.rounds.push(vec![of_engine, None]);
        floor.rounds.push(vec![of_floor, None]);
    }
    let mut counted = Row::new(&[INSTRUCTIONS], COMMAND);
    match instructions(bench.programs.bench) {
        Ok(instructions) => counted.rounds.push(vec![None, Some(instructions)]),
        Err(error) => counted.missing = Some(format!("{error:#}")),
    }
    Ok(Table {
        name: MEASUREMENT.name,
        title: MEASUREMENT.about.to_owned(),
        conditions: vec![
            format!(
                "{STREAMS} streams of announced calls, interleaved: one packet of each, then the next of each; on CPU \
                 {RECEIVER_CPU}, memory in huge pages. {rounds} interleaved rounds of {turns} turns after {before}, medians (least - most)."
            ),
            "Counted: 1,000 streams under callgrind, whose figure is the same each time.".to_owned(),
        ],
        keys: vec!["what"],
        figures: FIGURES.to_vec(),
        rows: vec![engine, floor, counted],
    })
}

/// Turns before, and in each round.
const fn turns(often: Often) -> (u32, u32) {
    if often.is_quick { (20, 5) } else { (BEFORE, TURNS) }
}

/// Nanoseconds a packet costs the engine and the floor, round by round.
///
/// # Errors
/// When not every packet was taken for RTP.
pub fn engine(often: Often) -> Result<Vec<[Option<f64>; 2]>> {
    let (before, turns) = turns(often);
    let mut followed = Followed::new(STREAMS, before)?;
    let mut least = Floor::new(STREAMS);
    least.turns(1)?;
    let round = |_| {
        wait_for_rest(often.patience())?;
        let engine = each(followed.turns(turns, |_| Vec::new())?);
        Ok([engine, each(least.turns(turns)?)])
    };
    (0..often.rounds).map(round).collect()
}

/// Nanoseconds for each.
pub(super) fn each((spent, packets): (Duration, u64)) -> Option<f64> {
    (packets > 0).then(|| spent.as_nanos() as f64 / packets as f64)
}

const COMMAND: &str = "valgrind --tool=callgrind --toggle-collect='packet::measured*' target/release/examples/packet";

/// Instructions of a packet, as callgrind counts them in the example `packet` beside this program.
fn instructions(bench: &Path) -> Result<f64> {
    if let Some(reason) = Need::Program("valgrind").missing() {
        anyhow::bail!("{reason}");
    }
    let example = bench.with_file_name("examples").join("packet");
    ensure!(
        example.is_file(),
        "{} is not there: `cargo xtask bench` builds it",
        example.display()
    );
    eprintln!("counting instructions");
    let scratch = Scratch::new("callgrind")?;
    let out = scratch.path().join("callgrind.out");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=packet::measured*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(&example)
        .output()
        .context("start valgrind")?;
    let (said, printed) = (
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout),
    );
    ensure!(output.status.success(), "valgrind: {}: {said}", output.status);
    per_packet(&said, &printed).with_context(|| format!("valgrind says: {said}{printed}"))
}

/// `Collected : INSTRUCTIONS` by the `PACKETS packets` of the example.
fn per_packet(said: &str, printed: &str) -> Option<f64> {
    let (_, collected) = said.split_once("Collected : ")?;
    let collected: f64 = collected.split_whitespace().next()?.parse().ok()?;
    let packets: f64 = printed.strip_suffix(" packets\n")?.parse().ok()?;
    (packets > 0.0 && collected > 0.0).then(|| collected / packets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_read_as_valgrind_prints_them() {
        let said = "==7== Events    : Ir\n==7== Collected : 70000\n==7== \n";
        assert_eq!(per_packet(said, "200 packets\n"), Some(350.0));
        assert_eq!(per_packet("==7== Collected : 0\n", "200 packets\n"), None);
        assert_eq!(per_packet("", "200 packets\n"), None);
    }
}
