//! `siphon calls`.

use std::process::ExitCode;

use clap::Args;
use serde::Deserialize;

use super::table::{Column, Table};
use super::text::{ABSENT, address, count, duration, moments, name, or_absent, printable};
use super::{Daemon, Style};
use crate::control::{Ask, Filter};
use crate::report::{Call, CallState};

#[derive(Debug, Args)]
pub(super) struct Calls {
    #[command(flatten)]
    daemon: Daemon,
    /// At most this many, the latest; 0: all. Tables show 50 unless told, JSON has all.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only calls in this state.
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(CallState::ALL.map(CallState::label)))]
    state: Option<String>,
    /// Only calls with this Call-ID: more than one where it was used again.
    #[arg(long, value_name = "ID")]
    call_id: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    left_out: Vec<String>,
    total: u64,
    calls: Vec<Call>,
}

impl Calls {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let filter = Filter {
            limit: limit(self.limit, self.daemon.json),
            state: self.state,
            call_id: self.call_id,
        };
        self.daemon.show(&Ask::Calls(filter), |answer: &Answer, style| {
            let text = list("calls", answer.total, answer.calls.len(), table(&answer.calls, style));
            text + &left_out(&answer.left_out)
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Rows of a table nobody gave a limit for.
const ROWS: usize = 50;

/// What the daemon is asked for: 0 is no limit. A program that asks for JSON and no limit must not miss anything.
pub(super) fn limit(limit: Option<usize>, json: bool) -> Option<usize> {
    match limit {
        None => (!json).then_some(ROWS),
        Some(0) => None,
        Some(limit) => Some(limit),
    }
}

/// The table, and how much of the whole it is.
pub(super) fn list(what: &str, total: u64, shown: usize, table: String) -> String {
    match shown as u64 {
        0 if total == 0 => format!("no {what}\n"),
        shown if shown < total => format!(
            "{table}\nthe latest {} of {} {what}; --limit 0 shows all\n",
            count(shown),
            count(total)
        ),
        _ => table,
    }
}

/// Whose streams an answer is without.
pub(super) fn left_out(whose: &[String]) -> String {
    match whose {
        [] => String::new(),
        some => format!(
            "\n{} did not answer in time: the streams there are missing above; ask again\n",
            printable(&some.join(", "))
        ),
    }
}

/// Calls for people.
pub(super) fn table(calls: &[Call], style: Style) -> String {
    const COLUMNS: &[Column] = &[
        Column::Word("START UTC"),
        Column::Word("STATE"),
        Column::Figure("CODE"),
        Column::Figure("SETUP"),
        Column::Figure("LASTED"),
        Column::Figure("RTP"),
        Column::Word("NOTICED"),
        Column::Word("LEVEL"),
        Column::Word("RULE"),
        Column::Long("FROM", 12),
        Column::Long("TO", 12),
        Column::Long("CALL-ID", 16),
    ];
    let mut table = Table::new(COLUMNS)
        .colouring("STATE")
        .sparing(&["NOTICED", "LEVEL", "RULE"])
        .dropping(&["RTP", "SETUP", "LASTED"]);
    let starts = moments(calls.iter().map(|call| call.start));
    for (call, start) in calls.iter().zip(starts) {
        table.row([
            start,
            name(&call.state),
            or_absent(call.status_code, |code| code.to_string()),
            or_absent(call.setup_ms, duration),
            or_absent(call.duration_ms, duration),
            call.streams.len().to_string(),
            noticed(call),
            level(call),
            or_absent(call.rule.as_deref(), printable),
            address(&call.from_uri),
            address(&call.to_uri),
            printable(&call.call_id),
        ]);
    }
    table.render(style)
}

/// The level of a call, where all of it is not just kept as that of all others is.
fn level(call: &Call) -> String {
    match (&call.rule, call.level.as_str()) {
        (None, "" | "full") => ABSENT.to_owned(),
        (_, level) => printable(level),
    }
}

/// What is odd about a call, the worst of it.
fn noticed(call: &Call) -> String {
    if call.no_media {
        return "no media".to_owned();
    }
    if call.one_way.is_some() {
        return "one-way".to_owned();
    }
    if call.looped {
        return "loop".to_owned();
    }
    if call.retransmissions > 0 {
        return format!("resent {}", count(call.retransmissions));
    }
    if !call.related.is_empty() {
        return format!("related {}", call.related.len());
    }
    ABSENT.to_owned()
}
