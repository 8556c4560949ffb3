//! The tables there are, by name.

mod mirror;

use std::time::Duration;

use anyhow::Result;

use crate::generator::Generator;
use crate::receiver::Programs;
use crate::table::Table;

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
pub const ALL: &[Measurement] = &[mirror::MEASUREMENT];

/// What every measurement needs.
#[derive(Debug)]
pub struct Bench<'a> {
    /// The load.
    pub generator: Generator,
    /// Our own programs.
    pub programs: Programs<'a>,
    /// How often and how long.
    pub effort: Effort,
}

/// How often and how long is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Runs of each row.
    pub rounds: u32,
    /// Seconds of load in a run.
    pub seconds: u32,
    /// Time to spend in all on waiting until the machine is at rest, and on runs that others disturbed.
    pub patience: Duration,
}

impl Effort {
    /// For a first look.
    pub const QUICK: Self = Self {
        rounds: 1,
        seconds: 1,
        patience: Duration::ZERO,
    };
    /// For figures.
    pub const FULL: Self = Self {
        rounds: 5,
        seconds: 3,
        patience: Duration::from_secs(900),
    };
}
