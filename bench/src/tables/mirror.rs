//! The table `mirror`: the highest rate without loss on a mirror port.

use anyhow::Result;

use super::rates::{Cell, FIGURES, measure_rates};
use super::{Bench, Measurement};
use crate::frame;
use crate::receiver::Kind;
use crate::run::{GENERATOR_CPU, RECEIVER_CPU};
use crate::table::Table;

pub(super) const MEASUREMENT: Measurement = Measurement {
    name: "mirror",
    about: "highest rate without loss on a mirror port: siphon beside what else captures",
    measure: measure_table,
};

/// Streams of the loads.
pub const STREAMS: [u32; 3] = [1, 1_000, 50_000];

/// sngrep is measured under the load of [`STREAMS`] that it is made for: it keeps every message in memory, and takes seconds for
/// the announcements of 25,000 calls.
const SNGREP: u32 = 1_000;

const KINDS: [Kind; 7] = [
    Kind::Siphon,
    Kind::SiphonSpool,
    Kind::Bare,
    Kind::Tcpdump,
    Kind::TcpdumpFile,
    Kind::Dumpcap,
    Kind::Netsniff,
];

fn measure_table(bench: &mut Bench<'_>) -> Result<Table> {
    let streams = match &bench.streams[..] {
        [] if bench.effort.is_quick => vec![SNGREP],
        [] => STREAMS.to_vec(),
        chosen => chosen.to_vec(),
    };
    let mut cells: Vec<Cell> = streams
        .iter()
        .flat_map(|streams| {
            KINDS.map(|kind| Cell {
                kind,
                streams: *streams,
            })
        })
        .collect();
    if streams.contains(&SNGREP) {
        cells.push(Cell {
            kind: Kind::Sngrep,
            streams: SNGREP,
        });
    }
    let (rows, made_again) = measure_rates(bench, &cells)?;
    Ok(Table {
        name: MEASUREMENT.name,
        title: MEASUREMENT.about.to_owned(),
        conditions: vec![
            format!(
                "{}-byte G.711 frames of so many streams, whose calls SIP has announced, into a veth pair, made and delivered on \
                 CPU {GENERATOR_CPU}; each receiver has CPU {RECEIVER_CPU} for all its threads.",
                frame::LENGTH
            ),
            format!(
                "{} interleaved rounds, medians (least - most): in each, rates are tried from above until one is held for {} s \
                 without losing a single frame at any stage. 0: none of {} was.",
                bench.effort.rounds, bench.effort.hold, bench.effort.attempts
            ),
            "CPU time is the receiver's own in that run, per captured frame, softirqs left out.".to_owned(),
            format!("Runs that were made again since others disturbed them: {made_again}."),
        ],
        keys: vec!["receiver", "streams"],
        figures: FIGURES.to_vec(),
        rows,
    })
}
