//! The table `kernel`: what the kernel side alone takes.

use anyhow::Result;

use super::rates::{Cell, FIGURES, measure_rates};
use super::{Bench, Measurement};
use crate::frame;
use crate::receiver::Kind;
use crate::run::{GENERATOR_CPU, RECEIVER_CPU};
use crate::table::Table;

pub(super) const MEASUREMENT: Measurement = Measurement {
    name: "kernel",
    about: "highest rate without loss of the kernel side: measured in place, host mode, beside XDP_DROP and tcpdump",
    measure: measure_table,
};

/// Streams of a full 10G link.
pub const STREAMS: u32 = 105_000;

/// As many as a cache holds: what of the cost is that of memory.
const FEW: u32 = 1_000;

const KINDS: [Kind; 5] = [
    Kind::Discard,
    Kind::SiphonMeasured,
    Kind::SiphonHost,
    Kind::SiphonHostMeasured,
    Kind::Tcpdump,
];

fn measure_table(bench: &mut Bench<'_>) -> Result<Table> {
    let cell = |kind, streams| Cell { kind, streams };
    let mut cells = KINDS.map(|kind| cell(kind, STREAMS)).to_vec();
    cells.extend([Kind::Discard, Kind::SiphonMeasured].map(|kind| cell(kind, FEW)));
    let (rows, made_again) = measure_rates(bench, &cells)?;
    Ok(Table {
        name: MEASUREMENT.name,
        title: MEASUREMENT.about.to_owned(),
        conditions: vec![
            format!(
                "{}-byte G.711 frames of a full 10G link's {STREAMS} streams, announced by SIP, into a veth pair, made and \
                 delivered on CPU {GENERATOR_CPU}, the generator's own cost included; each receiver has CPU {RECEIVER_CPU} for \
                 all its threads.",
                frame::LENGTH
            ),
            format!(
                "{} interleaved rounds, medians (least - most): in each, rates are tried from above until one is held for {} s \
                 without losing a single frame at any stage. 0: none of {} was.",
                bench.effort.rounds, bench.effort.hold, bench.effort.attempts
            ),
            format!("{FEW} streams beside it: their accounts lie in the cache, and what differs is what memory costs."),
            "XDP_DROP throws every frame away in the receiving driver: there is nothing faster.".to_owned(),
            format!("Runs that were made again since others disturbed them: {made_again}."),
        ],
        keys: vec!["receiver", "streams"],
        figures: FIGURES.to_vec(),
        rows,
    })
}
