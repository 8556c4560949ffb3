//! The table `memory`: what siphon takes with a full 10G link of calls.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Bench, Measurement, figure};
use crate::calls::{self, Message};
use crate::cpu::{peak, resident};
use crate::generator::{BEGUN, Generator, Load};
use crate::live::Live;
use crate::receiver::{Kind, Programs};
use crate::run::wait_for_rest;
use crate::table::{Figure, Row, Style, Table};

pub(super) const MEASUREMENT: Measurement = Measurement {
    name: "memory",
    about: "memory of siphon with the calls and streams of a full 10G link",
    measure: measure_table,
};

/// Calls to be followed at once, of two streams each.
#[derive(Clone, Copy, Debug)]
pub struct Concurrent {
    /// How many.
    pub calls: u32,
    /// Packets of each stream when all have begun.
    pub packets: u32,
    /// SIP messages a second.
    pub sip_rate: u32,
    /// Packets a second.
    pub rtp_rate: u32,
}

/// Those of a full 10G link.
const LINK: Concurrent = Concurrent {
    calls: 52_500,
    packets: 80,
    sip_rate: 20_000,
    rtp_rate: 400_000,
};

const FIGURES: [Figure; 4] = [
    figure("resident_bytes", "MOST MEMORY", Style::Spread),
    figure("end_bytes", "IN THE END", Style::Spread),
    figure("empty_bytes", "WITHOUT CALLS", Style::Spread),
    figure("bytes_per_call", "A CALL", Style::Spread),
];

fn measure_table(bench: &mut Bench<'_>) -> Result<Table> {
    let rounds = bench.effort.rounds;
    let mut row = Row::new(&["siphon"], Kind::SiphonByDefault.command());
    row.missing = Kind::SiphonByDefault.missing();
    for round in 0..rounds {
        if row.missing.is_none() {
            eprintln!("round {} of {rounds}", round + 1);
            wait_for_rest(bench.effort.patience.min(Duration::from_secs(30)))?;
            row.rounds
                .push(memory(&mut bench.generator, bench.programs, LINK)?.to_vec());
        }
    }
    Ok(Table {
        name: MEASUREMENT.name,
        title: MEASUREMENT.about.to_owned(),
        conditions: vec![
            format!(
                "{} concurrent calls set up by five messages each, whose {} streams begin {BEGUN} a second, and {} packets of each when \
                 all have begun, live on a veth pair; every call and every stream is then in the answers, and no frame was lost.",
                LINK.calls,
                2 * LINK.calls,
                LINK.packets
            ),
            "Memory is what is resident of the process, huge pages and all, its rings among it; the most of it, as headers are kept of a \
             stream's first 64 packets."
                .to_owned(),
            format!("{rounds} rounds, medians (least - most)."),
        ],
        keys: vec!["what"],
        figures: FIGURES.to_vec(),
        rows: vec![row],
    })
}

/// Bytes of memory that siphon has with these calls at most and in the end, that it had without any, and that each call takes at most.
///
/// # Errors
/// When a frame is lost, or siphon does not follow every call and every stream.
pub fn memory(generator: &mut Generator, programs: Programs<'_>, concurrent: Concurrent) -> Result<[Option<f64>; 4]> {
    let Concurrent {
        calls,
        packets,
        sip_rate,
        rtp_rate,
    } = concurrent;
    let mut live = Live::start(Kind::SiphonByDefault, programs)?;
    let pid = live.pid().to_string();
    let empty = resident(&pid)?;
    live.send(
        sip_rate,
        (0..calls).flat_map(|call| Message::SET_UP.map(|message| calls::frame(call, message))),
    )?;
    let load = Load {
        streams: 2 * calls,
        rate: Some(rtp_rate),
        frames: 2 * calls * packets,
    };
    live.begin(generator, load)?;
    live.load(generator, load)?;
    let account = live.account()?;
    ensure!(
        account.made() == account.captured(),
        "{} of {} frames were lost, so that there are fewer calls than there should be",
        account.made() - account.captured(),
        account.made()
    );
    let status = live.status()?;
    let (most, end) = (peak(&pid)?, resident(&pid)?);
    live.stop()?;
    let answered = status["calls"]["states"]["answered"].as_u64();
    ensure!(
        answered == Some(calls.into()),
        "of {calls} calls these are followed: {}",
        status["calls"]
    );
    let lanes = status["lanes"].as_array().context("no lanes")?;
    let followed: u64 = lanes.iter().filter_map(|lane| lane["streams"].as_u64()).sum();
    ensure!(
        followed == u64::from(2 * calls),
        "{followed} of {} streams: {}",
        2 * calls,
        status["lanes"]
    );
    let each = most.saturating_sub(empty) as f64 / f64::from(calls);
    Ok([Some(most as f64), Some(end as f64), Some(empty as f64), Some(each)])
}
