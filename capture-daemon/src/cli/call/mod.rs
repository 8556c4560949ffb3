//! `siphon call`: one call, message by message. `head` is what stands above the ladder, `media` what stands below,
//! and `details` what of each stream has no column there.

mod details;
mod head;
mod ladder;
mod media;
mod phrases;

pub(super) use media::{codec_of, lost};

use std::collections::VecDeque;
use std::process::ExitCode;

use clap::Args;

use super::calls::left_out;
use super::terminal::say;
use super::text::printable;
use super::{Daemon, Style};
use crate::control::{Ask, Client};
use crate::report::{Call, CallFlow};

/// Calls that are followed from one to the other. A call names eight others at most, and each of them others again.
const MAX_FLOWS: usize = 16;

#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    daemon: Daemon,
    /// Call-ID of the call.
    #[arg(value_name = "ID", allow_hyphen_values = true)]
    call_id: String,
    #[command(flatten)]
    form: Form,
}

/// How a call is shown.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Form {
    /// The calls it belongs with too, such as the other side of a back-to-back user agent, in one ladder.
    #[arg(long, requires = "call_id")]
    pub related: bool,
    /// Nothing but ASCII; the default where the locale is not UTF-8.
    #[arg(long)]
    pub ascii: bool,
}

impl Form {
    /// What standard output is, and not more than is wanted.
    pub(super) fn style(self) -> Style {
        let style = Style::of_stdout();
        Style {
            ascii: style.ascii || self.ascii,
            ..style
        }
    }
}

impl Show {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let mut client = Client::connect(&self.daemon.socket)?;
        let flow = gather(&self.call_id, self.form.related, |call_id| {
            let answer = client.ask(&Ask::Call(call_id.to_owned()))?;
            client.understand(answer)
        })?;
        print(&flow, self.form, self.daemon.json)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Asks for a call and, where that is wanted, for those it belongs with and those they belong with.
pub(super) fn gather<E>(
    call_id: &str,
    related: bool,
    mut ask: impl FnMut(&str) -> Result<CallFlow, E>,
) -> Result<CallFlow, E> {
    let mut flow = ask(call_id)?;
    let mut asked = vec![call_id.to_owned()];
    let mut waiting: VecDeque<String> = flow.related.iter().cloned().collect();
    while let Some(id) = waiting.pop_front().filter(|_| related) {
        if asked.len() >= MAX_FLOWS {
            break;
        }
        if asked.contains(&id) {
            continue;
        }
        let other = ask(&id)?;
        waiting.extend(other.related.iter().cloned());
        flow.join(other);
        asked.push(id);
    }
    Ok(flow)
}

/// Prints a call as JSON or for people.
pub(super) fn print(flow: &CallFlow, form: Form, json: bool) -> anyhow::Result<()> {
    if json {
        return Ok(say(&format!("{}\n", serde_json::to_string(flow)?))?);
    }
    let text = call(flow, form, form.style()) + &left_out(&flow.left_out);
    Ok(say(&text)?)
}

/// The call for people. Related calls share a ladder; calls that have nothing in common but their Call-ID do not.
pub fn call(flow: &CallFlow, form: Form, style: Style) -> String {
    if flow.calls.is_empty() {
        return format!("no call has the Call-ID {}\n", printable(&flow.call_id));
    }
    if form.related && flow.calls.len() > 1 {
        return legs(flow, style);
    }
    let calls = flow.calls.iter().enumerate().map(|(at, call)| {
        let parts = [
            head::head(call, None, style),
            ladder::ladder(&[call], style),
            media::media(call, &flow.streams_of(at), begin(&[call]), style),
        ];
        joined(parts)
    });
    calls.collect::<Vec<_>>().join("\n\n")
}

/// Several calls in one ladder.
fn legs(flow: &CallFlow, style: Style) -> String {
    let calls: Vec<&Call> = flow.calls.iter().collect();
    let start = begin(&calls);
    let heads = calls
        .iter()
        .zip(1..)
        .map(|(call, number)| head::head(call, Some(number), style));
    let mut parts: Vec<String> = heads.collect();
    parts.push(ladder::ladder(&calls, style));
    for (at, call) in calls.iter().enumerate() {
        let media = media::media(call, &flow.streams_of(at), start, style);
        if !media.is_empty() {
            parts.push(format!("Call {}\n{media}", at + 1));
        }
    }
    joined(parts)
}

/// When the ladder of some calls begins.
fn begin(calls: &[&Call]) -> crate::time::Timestamp {
    let first = calls
        .iter()
        .filter_map(|call| call.ladder.first())
        .map(|message| message.ts)
        .min();
    first.unwrap_or_else(|| calls.iter().map(|call| call.start).min().unwrap_or_default())
}

/// Parts with an empty line between, those that say something.
fn joined(parts: impl IntoIterator<Item = String>) -> String {
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n")
}
