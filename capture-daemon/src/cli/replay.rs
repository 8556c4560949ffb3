//! `siphon replay`: what is in capture files, as one document or as tables.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::call::{gather, print};
use super::terminal::{complain, say};
use super::text::{bytes, count, duration, list, moment};
use super::{Form, Style, calls, registrations, signaling, streams, turn};
use crate::config::{Config, load};
use crate::replay::{Replayed, replay_by};
use crate::report::{CallFlow, Document};

/// Exit status where a file could not be read to its end.
const UNREADABLE: u8 = 3;

/// Engines at once at most: each has tables of its own.
const MOST_JOBS: usize = 64;

/// Arguments of `siphon replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// Capture files, pcap or pcapng, read in this order.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Configuration file, of which the ports of capture, capture.level, the rules, and the sections follow (but its linger) and privacy are used.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Read with so many engines at once, each on a thread of its own; 0: as many as there are CPUs.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub jobs: usize,
    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
    /// Show only the call with this Call-ID, as `siphon call` does.
    #[arg(long = "call", value_name = "ID", allow_hyphen_values = true)]
    pub call_id: Option<String>,
    /// How it is shown.
    #[command(flatten)]
    pub form: Form,
}

impl Replay {
    /// The configuration the files are read with.
    ///
    /// # Errors
    /// The configuration file cannot be read, or something in it is wrong.
    pub fn configuration(&self) -> anyhow::Result<Config> {
        Ok(match &self.config {
            Some(file) => load(file)?,
            None => Config::default(),
        })
    }

    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let config = self.configuration()?;
        let jobs = match self.jobs {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            jobs => jobs.min(MOST_JOBS),
        };
        let Replayed { document, errors } = replay_by(&self.files, &config, jobs);
        if let Some(call_id) = &self.call_id {
            let flow = gather(call_id, self.form.related, |id| {
                Ok::<_, anyhow::Error>(CallFlow::of(&document, id))
            })?;
            print(&flow, self.form, self.json)?;
        } else if self.json {
            say(&format!("{}\n", serde_json::to_string(&document)?))?;
        } else {
            say(&summary(&document, self.form.style()))?;
        }
        for error in &errors {
            complain(error);
        }
        Ok(match errors.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(UNREADABLE),
        })
    }
}

/// The document for people: what was read, then a table of each kind of which there is something.
pub fn summary(document: &Document, style: Style) -> String {
    let mut text = format!("{} frames, {}", count(document.frames), bytes(document.bytes));
    if let (Some(first), Some(last)) = (document.first_ts, document.last_ts) {
        let milliseconds = last.since(first).as_secs_f64() * 1000.0;
        text.push_str(&format!(
            ", {} to {} UTC ({})",
            moment(first),
            moment(last),
            duration(milliseconds)
        ));
    }
    text.push('\n');
    text.push_str(&sip(document, style));
    if !document.drops.is_empty() {
        let drops = document
            .drops
            .iter()
            .map(|(reason, frames)| format!("{reason} {}", count(*frames)));
        text.push_str(&list("Dropped: ", drops, style.width));
    }
    let figures = signaling::text(&document.signaling, style);
    if !figures.is_empty() {
        text.push_str(&format!("\n{figures}"));
    }
    let figures = turn::figures(&document.turn.figures, style);
    if !figures.is_empty() {
        text.push_str(&format!("\n{figures}"));
    }
    let parts = [
        ("Calls", document.calls.len(), calls::table(&document.calls, style)),
        (
            "Registrations",
            document.registrations.len(),
            registrations::table(&document.registrations, style),
        ),
        (
            "RTP streams",
            document.streams.len(),
            streams::table(&document.streams, style),
        ),
        (
            "TURN allocations",
            document.turn.allocations.len(),
            turn::table(&document.turn.allocations, style),
        ),
    ];
    for (name, length, table) in parts.into_iter().filter(|(_, length, _)| *length > 0) {
        text.push_str(&format!("\n{name}: {}\n{table}", count(length as u64)));
    }
    text
}

fn sip(document: &Document, style: Style) -> String {
    let sip = &document.sip;
    let mut text = format!(
        "SIP: {} messages, {} malformed\n",
        count(sip.messages),
        count(sip.malformed)
    );
    if sip.messages > 0 {
        let requests = sip.requests.iter().map(|(method, n)| format!("{method} {}", count(*n)));
        let responses = sip.responses.iter().map(|(code, n)| format!("{code} {}", count(*n)));
        text.push_str(&list("     ", requests.chain(responses), style.width));
    }
    text
}
