//! `cargo xtask VERB`.

mod bench;
mod build;
mod demo;
mod fuzz;
mod policy;
mod setup;
mod step;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::lab::interrupt;

use crate::setup::Purpose;

/// Developer verbs of siphon.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Install what the other verbs need: Debian packages, bpf-linker, cargo-deny, cargo-fuzz.
    Setup,
    /// Build the kernel program.
    BuildEbpf,
    /// Build siphon in release, with the kernel program inside.
    Build,
    /// Run every check and every test; nothing is skipped.
    Test,
    /// Fuzz the parsers.
    Fuzz {
        /// Fuzz targets; all of them, unless named.
        targets: Vec<String>,
        /// Seconds of CPU time for each.
        #[arg(long, value_name = "N", default_value_t = 1200)]
        seconds: u32,
        /// Take what covers more into the repository's corpus, and note the run.
        #[arg(long)]
        keep: bool,
    },
    /// Capture real calls on a mirror port made of namespaces, and show the result.
    Demo,
    /// Measure packet rates and losses; arguments go to the benchmark.
    Bench {
        /// What the benchmark is to do.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let Arguments { verb } = Arguments::parse();
    match run(verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            interrupt::wait_if_interrupted();
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<()> {
    match verb {
        Verb::Setup => setup::run(Purpose::Test),
        Verb::BuildEbpf => build::ebpf(),
        Verb::Build => build::siphon().map(|binary| println!("{}", binary.display())),
        Verb::Test => test::run(),
        Verb::Fuzz { targets, seconds, keep } => {
            setup::run(Purpose::Test)?;
            fuzz::run(&targets, seconds, keep)
        }
        Verb::Demo => demo::run(),
        Verb::Bench { arguments } => bench::run(&arguments),
    }
}
