//! What the verbs that ask a running daemon have in common.

use std::path::PathBuf;

use clap::Args;
use serde::de::DeserializeOwned;

use super::Style;
use super::terminal::say;
use crate::control::{Ask, Client, ClientError};

/// Which daemon, and in which form.
#[derive(Debug, Args)]
pub struct Daemon {
    /// Control socket of the daemon.
    #[arg(long, value_name = "PATH", default_value = "/run/siphon/siphon.sock")]
    pub socket: PathBuf,
    /// Print the answer as JSON, on one line.
    #[arg(long)]
    pub json: bool,
}

impl Daemon {
    /// Asks, and prints the answer as JSON or as `show` makes it.
    pub(super) fn show<T: DeserializeOwned>(
        &self,
        ask: &Ask,
        show: impl FnOnce(&T, Style) -> String,
    ) -> anyhow::Result<T> {
        let (answer, text) = self.answer(ask)?;
        match text {
            Some(json) => say(&json)?,
            None => say(&show(&answer, Style::of_stdout()))?,
        }
        Ok(answer)
    }

    /// Asks, and prints nothing.
    pub(super) fn ask<T: DeserializeOwned>(&self, ask: &Ask) -> Result<T, ClientError> {
        self.answer(ask).map(|(answer, _)| answer)
    }

    /// The answer, and the JSON to print where that is wanted.
    fn answer<T: DeserializeOwned>(&self, ask: &Ask) -> Result<(T, Option<String>), ClientError> {
        let mut client = Client::connect(&self.socket)?;
        let answer = client.ask(ask)?;
        let json = self.json.then(|| format!("{answer}\n"));
        Ok((client.understand(answer)?, json))
    }
}
