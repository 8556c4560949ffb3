//! The tables there are, by name.

mod apart;
mod engine;
mod flood;
mod growth;
mod kernel;
mod learned;
mod loss;
mod memory;
mod mirror;
mod program;
mod rates;
mod replay;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::generator::Generator;
use crate::receiver::Programs;
use crate::table::{Figure, Style, Table};

pub use self::apart::Often;
pub use self::engine::engine;
pub use self::flood::{Flooded, flood, flood_live};
pub use self::growth::growth;
pub use self::learned::learned;
pub use self::memory::{Concurrent, memory};
pub use self::program::{Cost, cost};

/// Names of rows and figures, for the goals.
pub mod names {
    pub use super::engine::{ENGINE, FLOOR, INSTRUCTIONS};
    pub use super::flood::{INVITES, LIVE};
    pub use super::growth::{CALLS, STREAMS};
    pub use super::kernel::STREAMS as LINK;
    pub use super::loss::{USER_RATE, asked};
    pub use super::mirror::STREAMS as MIRRORED;
    pub use super::program::{DROP, DROP_RTP, EMPTY, PASS, PASS_RTP};
    pub use super::replay::Reader;
}

/// A table that can be measured.
#[derive(Clone, Copy, Debug)]
pub struct Measurement {
    /// The name it is chosen by.
    pub name: &'static str,
    /// What it shows, for `--help`.
    pub about: &'static str,
    /// Measures it.
    pub measure: fn(&mut Bench<'_>) -> Result<Table>,
}

/// All of them, in the order they are measured.
pub const ALL: &[Measurement] = &[
    program::MEASUREMENT,
    kernel::MEASUREMENT,
    mirror::MEASUREMENT,
    loss::MEASUREMENT,
    engine::MEASUREMENT,
    replay::MEASUREMENT,
    growth::MEASUREMENT,
    flood::MEASUREMENT,
    memory::MEASUREMENT,
    learned::MEASUREMENT,
];

/// What every measurement needs.
#[derive(Debug)]
pub struct Bench<'a> {
    /// The load.
    pub generator: Generator,
    /// Our own programs.
    pub programs: Programs<'a>,
    /// How often and how long.
    pub effort: Effort,
    /// Loads of the table `mirror`, by their streams; all there are where it is empty.
    pub streams: Vec<u32>,
    /// Where what takes long to make is kept for the next time.
    pub cache: PathBuf,
}

/// How often and how long is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Whether this only shows that it works.
    pub is_quick: bool,
    /// Runs of each row.
    pub rounds: u32,
    /// Seconds of load in a run at a fixed rate.
    pub seconds: u32,
    /// Seconds a rate is to be held.
    pub hold: u32,
    /// Seconds of the first look at a receiver.
    pub probe: u32,
    /// Rates tried in a round.
    pub attempts: u32,
    /// Time to spend in all on waiting until the machine is at rest, and on runs that others disturbed.
    pub patience: Duration,
}

impl Effort {
    /// For a first look.
    pub const QUICK: Self = Self {
        is_quick: true,
        rounds: 1,
        seconds: 1,
        hold: 1,
        probe: 1,
        attempts: 2,
        patience: Duration::ZERO,
    };
    /// For figures.
    pub const FULL: Self = Self {
        is_quick: false,
        rounds: 5,
        seconds: 2,
        hold: 10,
        probe: 2,
        attempts: 4,
        patience: Duration::from_secs(900),
    };
}

const fn figure(name: &'static str, head: &'static str, style: Style) -> Figure {
    Figure { name, head, style }
}
