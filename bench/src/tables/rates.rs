//! What `mirror` and `kernel` share: the highest rate without loss of several receivers under several loads.

use anyhow::{Context, Result};

use super::{Bench, Effort, figure};
use crate::account::Stage;
use crate::generator::Load;
use crate::receiver::Kind;
use crate::run::{Run, at_rest, measure};
use crate::search::{Found, Search, Try};
use crate::table::{Figure, Row, Style};

/// One receiver under one load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    /// The receiver.
    pub kind: Kind,
    /// RTP streams of the load.
    pub streams: u32,
}

/// What is measured of each.
pub(super) const FIGURES: [Figure; 6] = [
    figure("rate_pps", "WITHOUT LOSS", Style::Spread),
    figure("user_ns_per_frame", "USER NS", Style::Median),
    figure("system_ns_per_frame", "SYSTEM NS", Style::Median),
    figure("attempts", "ATTEMPTS", Style::Worst),
    figure("not_held_lost_frames", "LOST, NOT HELD", Style::Worst),
    figure("others_percent", "OTHERS %", Style::Worst),
];

/// Measures all of them, interleaved, and returns a row for each and how many runs others disturbed.
pub(super) fn measure_rates(bench: &mut Bench<'_>, cells: &[Cell]) -> Result<(Vec<Row>, u32)> {
    let Effort { rounds, attempts, .. } = bench.effort;
    let mut made_again = 0;
    let mut searches: Vec<(Cell, Search, Row)> = Vec::new();
    for cell in cells {
        let mut row = Row::new(&[cell.kind.label(), &cell.streams.to_string()], cell.kind.command());
        row.missing = cell.kind.missing();
        searches.push((*cell, Search::new(unpaced(cell.kind)), row));
    }
    for round in 0..rounds {
        // Interleaved, so that what else the machine does falls on all alike; each round backwards from the one before.
        let mut order: Vec<_> = searches
            .iter_mut()
            .filter(|(_, _, row)| row.missing.is_none())
            .collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for (cell, search, row) in order {
            let what = format!("{} with {} streams", cell.kind.label(), cell.streams);
            eprintln!("round {} of {rounds}: {what}", round + 1);
            let found = search
                .round(attempts, |load| {
                    let (run, again) = one(bench, *cell, load)?;
                    made_again += again;
                    Ok(run)
                })
                .context(what)?;
            row.rounds.push(figures_of(&found));
        }
    }
    Ok((searches.into_iter().map(|(_, _, row)| row).collect(), made_again))
}

fn one(bench: &mut Bench<'_>, cell: Cell, load: Try) -> Result<(Run, u32)> {
    let seconds = if load.is_probe {
        bench.effort.probe
    } else {
        bench.effort.hold
    };
    let asked = load
        .rate
        .map_or_else(|| "unpaced".to_owned(), |rate| format!("{rate} pps"));
    eprintln!("  {asked} for {seconds} s");
    let load = Load {
        streams: cell.streams,
        rate: load.rate,
        frames: (load.expected * f64::from(seconds)).max(1.0) as u32,
    };
    let (generator, programs) = (&mut bench.generator, &bench.programs);
    let (run, again) = at_rest(&mut bench.effort.patience, || {
        measure(generator, cell.kind, programs, load)
    })?;
    eprintln!("  {}", told(&run));
    Ok((run, again))
}

/// The rate of a run, and where it lost frames.
fn told(run: &Run) -> String {
    let lost = Stage::ALL.iter().filter_map(|stage| {
        let lost = run.account.lost(*stage)?;
        (lost > 0).then(|| format!(", {lost} lost at {stage}"))
    });
    format!("{:.0} pps{}", run.offered(), lost.collect::<String>())
}

/// What the generator may reach in front of this receiver, in frames a second.
const fn unpaced(kind: Kind) -> f64 {
    match kind {
        Kind::Discard | Kind::SiphonMeasured | Kind::SiphonHostMeasured => 8e6,
        _ => 3e6,
    }
}

/// In the order of [`FIGURES`]. A round in which no rate was held found 0.
fn figures_of(found: &Found) -> Vec<Option<f64>> {
    let run = found.clean.as_ref().unwrap_or(&found.last);
    let rate = found.clean.as_ref().map_or(0.0, Run::offered);
    let not_held = found.clean.is_none().then(|| run.lost() as f64);
    vec![
        Some(rate),
        run.user_ns(),
        run.system_ns(),
        Some(found.attempts.into()),
        not_held,
        Some(run.others * 100.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Account, Passage};
    use crate::cpu::CpuTime;

    #[test]
    fn a_round_that_held_no_rate_is_no_rate() {
        let account = Account {
            passages: vec![Passage::new(Stage::Sockets, 1_000, 10)],
            captured: 990,
        };
        let run = Run {
            account: account.check().unwrap(),
            announced: 100,
            seconds: 0.5,
            cpu: CpuTime {
                user: 890e-9,
                system: 0.0,
            },
            others: 0.0,
        };
        let mut found = Found {
            clean: None,
            last: run.clone(),
            attempts: 4,
        };
        let of = |found: &Found, name: &str| {
            figures_of(found)[FIGURES.iter().position(|figure| figure.name == name).unwrap()]
        };
        assert_eq!(of(&found, "rate_pps"), Some(0.0));
        assert_eq!(of(&found, "not_held_lost_frames"), Some(10.0));
        assert_eq!(of(&found, "user_ns_per_frame").map(f64::round), Some(1.0));
        found.clean = Some(run);
        assert_eq!(of(&found, "rate_pps"), Some(1_800.0));
        assert_eq!(of(&found, "not_held_lost_frames"), None);
        assert_eq!(figures_of(&found).len(), FIGURES.len());
    }
}
