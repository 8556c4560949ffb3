//! The table `loss`: what is captured of paced G.711 on a mirror port at fixed rates, and where the rest is lost.

use anyhow::{Context, Result};

use super::{Bench, Effort, Measurement, figure};
use crate::account::Stage;
use crate::frame;
use crate::generator::Load;
use crate::receiver::Kind;
use crate::run::{GENERATOR_CPU, RECEIVER_CPU, Run, at_rest, measure};
use crate::table::{Figure, Row, Style, Table};

pub(super) const MEASUREMENT: Measurement = Measurement {
    name: "loss",
    about: "frames captured and lost by stage on a mirror port, at fixed rates",
    measure: measure_table,
};

/// RTP streams of the load.
const STREAMS: u32 = 1_000;

/// Frames a second; `None`: as fast as it goes.
const RATES: [Option<u32>; 3] = [Some(USER_RATE), Some(1_600_000), None];

/// The rate at which CPU time is compared: all that write hold it.
pub const USER_RATE: u32 = 800_000;

const KINDS: [Kind; 7] = [
    Kind::Siphon,
    Kind::SiphonSpool,
    Kind::Bare,
    Kind::Tcpdump,
    Kind::TcpdumpFile,
    Kind::Dumpcap,
    Kind::Netsniff,
];

/// How many frames of a second the load without pace is to have, a little less than the generator reaches.
const UNPACED: u32 = 3_000_000;

fn measure_table(bench: &mut Bench<'_>) -> Result<Table> {
    let Effort { rounds, seconds, .. } = bench.effort;
    let mut made_again = 0;
    let mut rows: Vec<Row> = Vec::new();
    // A quick bench has the ends.
    let is_quick = bench.effort.is_quick;
    let rates = RATES.iter().filter(|rate| !is_quick || **rate != Some(1_600_000));
    let cases: Vec<_> = rates.flat_map(|rate| KINDS.map(|kind| (kind, *rate))).collect();
    for (kind, rate) in &cases {
        let mut row = Row::new(&[kind.label(), &asked(*rate)], kind.command());
        row.missing = kind.missing();
        rows.push(row);
    }
    for round in 0..rounds {
        // Interleaved, so that what else the machine does falls on all alike; each round backwards from the one before.
        let mut order: Vec<_> = cases
            .iter()
            .zip(&mut rows)
            .filter(|(_, row)| row.missing.is_none())
            .collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for ((kind, rate), row) in order {
            let what = format!("round {} of {rounds}: {} at {}", round + 1, kind.label(), asked(*rate));
            eprintln!("{what}");
            let load = Load {
                streams: STREAMS,
                rate: *rate,
                frames: rate.unwrap_or(UNPACED) * seconds,
            };
            let (generator, programs) = (&mut bench.generator, &bench.programs);
            let measure = || measure(generator, *kind, programs, load);
            let (run, again) = at_rest(&mut bench.effort.patience, measure).context(what)?;
            made_again += again;
            row.rounds.push(figures_of(&run));
        }
    }
    Ok(Table {
        name: MEASUREMENT.name,
        title: MEASUREMENT.about.to_owned(),
        conditions: vec![
            format!(
                "{}-byte G.711 frames of {STREAMS} streams, whose calls SIP has announced, into a veth pair, made and delivered \
                 on CPU {GENERATOR_CPU}; each receiver has CPU {RECEIVER_CPU} for all its threads.",
                frame::LENGTH
            ),
            format!(
                "{rounds} interleaved rounds of some {seconds} s: medians, (least - most), (max) of lost frames per round."
            ),
            "CPU time is the receiver's own, per captured frame, softirqs left out; others: the part of both CPUs that went to \
             neither generator nor receiver."
                .to_owned(),
            format!("Runs that were made again since others disturbed them: {made_again}."),
        ],
        keys: vec!["receiver", "asked"],
        figures: FIGURES.to_vec(),
        rows,
    })
}

/// How the rows name a rate.
pub fn asked(rate: Option<u32>) -> String {
    match rate {
        Some(rate) => format!("{} kpps", rate / 1_000),
        None => "unpaced".to_owned(),
    }
}

const FIGURES: [Figure; 11] = [
    figure("offered_pps", "OFFERED", Style::Median),
    figure("captured_pps", "CAPTURED", Style::Spread),
    figure("lost_veth_frames", "LOST: VETH", Style::Worst),
    figure("lost_interface_frames", "INTERFACE", Style::Worst),
    figure("lost_program_frames", "PROGRAM", Style::Worst),
    figure("lost_sockets_frames", "SOCKETS", Style::Worst),
    figure("lost_engine_frames", "ENGINE", Style::Worst),
    figure("lost_spool_frames", "SPOOL", Style::Worst),
    figure("user_ns_per_frame", "USER NS", Style::Median),
    figure("system_ns_per_frame", "SYSTEM NS", Style::Median),
    figure("others_percent", "OTHERS %", Style::Worst),
];

/// In the order of [`FIGURES`].
fn figures_of(run: &Run) -> Vec<Option<f64>> {
    let mut figures = vec![Some(run.offered()), Some(run.captured())];
    figures.extend(Stage::ALL.map(|stage| run.account.lost(stage).map(|frames| frames as f64)));
    figures.extend([run.user_ns(), run.system_ns(), Some(run.others * 100.0)]);
    figures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Account, Passage};
    use crate::cpu::CpuTime;

    #[test]
    fn figures_stand_under_their_heads() {
        let account = Account {
            passages: vec![
                Passage::new(Stage::Veth, 1_000, 0),
                Passage::new(Stage::Sockets, 1_000, 100),
            ],
            captured: 900,
        };
        let run = Run {
            account: account.check().unwrap(),
            announced: 0,
            seconds: 0.5,
            cpu: CpuTime {
                user: 9e-6,
                system: 18e-6,
            },
            others: 0.25,
        };
        let figures = figures_of(&run);
        assert_eq!(figures.len(), FIGURES.len());
        let of = |name: &str| figures[FIGURES.iter().position(|figure| figure.name == name).unwrap()];
        assert_eq!(of("offered_pps"), Some(2_000.0));
        assert_eq!(of("captured_pps"), Some(1_800.0));
        for stage in Stage::ALL {
            let lost = of(&format!("lost_{stage}_frames"));
            assert_eq!(lost, run.account.lost(stage).map(|frames| frames as f64), "{stage}");
        }
        assert_eq!(of("user_ns_per_frame").map(f64::round), Some(10.0));
        assert_eq!(of("system_ns_per_frame").map(f64::round), Some(20.0));
        assert_eq!(of("others_percent"), Some(25.0));
    }
}
