//! `siphon stop`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::Daemon;
use super::terminal::say;
use crate::control::{Ask, Client};

#[derive(Debug, Args)]
pub(super) struct Stop {
    #[command(flatten)]
    daemon: Daemon,
    /// Seconds to wait until the daemon has gone.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    wait: u64,
}

impl Stop {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let mut client = Client::connect(&self.daemon.socket)?;
        let answer: Value = client.ask(&Ask::Stop)?;
        client.wait_gone(Duration::from_secs(self.wait))?;
        if self.daemon.json {
            say(&format!("{answer}\n"))?;
        } else {
            say(&format!("siphon on {} has stopped\n", self.daemon.socket.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
