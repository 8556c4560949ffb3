//! `siphon config check FILE` and `siphon config default`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::terminal::say;
use crate::config::{check, default_file};

#[derive(Debug, Args)]
pub(super) struct Config {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Says everything that is wrong with a file; the exit status is 1 then, else 0. Rules that can never match are told too.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Prints a file with every key, its default and what it does.
    Default,
}

impl Config {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        match self.verb {
            Verb::Check { file } => {
                for odd in check(&file)? {
                    say(&format!("{odd}\n"))?;
                }
                say(&format!("{}: ok\n", file.display()))?;
            }
            Verb::Default => say(&default_file())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
