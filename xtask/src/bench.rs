//! `cargo xtask bench`: the load generator and the comparison, from the bench crate.

use anyhow::Result;

use crate::step::{cargo, tell};
use crate::{build, setup};

/// Builds everything in release and runs the benchmarks with `arguments`.
///
/// # Errors
/// When something does not build, or a benchmark fails.
pub fn run(arguments: &[String]) -> Result<()> {
    setup::run(setup::Purpose::Bench)?;
    build::siphon()?;
    // What it runs under callgrind.
    tell(&mut cargo("build --release --locked --package bench --examples")?)?;
    tell(cargo("run --release --locked --package bench --")?.args(arguments))
}
