//! Parts of tables that the engine runs in a process of their own: on the receiver's CPU, and with memory of their own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xtask::lab::process::run;

use super::Effort;
use crate::receiver::pinned;
use crate::run::RECEIVER_CPU;

/// How often such a part is measured, and whether it only shows that it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Often {
    pub(super) is_quick: bool,
    pub(super) rounds: u32,
    /// Seconds that rest is waited for in each.
    pub(super) patience: u64,
}

impl Often {
    pub(super) fn of(effort: Effort) -> Self {
        Self {
            is_quick: effort.is_quick,
            rounds: effort.rounds,
            patience: effort.patience.as_secs().min(30),
        }
    }

    pub(super) const fn patience(self) -> Duration {
        Duration::from_secs(self.patience)
    }
}

/// Has `bench`, which is this program, do the part that the option names.
pub(super) fn apart<T: DeserializeOwned>(bench: &Path, option: &str, often: Often) -> Result<T> {
    let mut command = Command::new(bench);
    command.args([option, &serde_json::to_string(&often)?]);
    let text = pinned(RECEIVER_CPU, || run(&mut command))?;
    serde_json::from_str(&text).with_context(|| format!("bench {option} says {text:?}"))
}
