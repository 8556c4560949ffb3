//! `siphon turn`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use serde::Deserialize;

use super::calls::{self, limit};
use super::signaling::times;
use super::table::{Column, Table};
use super::text::{self, bytes, count, duration, list, moments, name, or_absent, printable};
use super::{Daemon, Style};
use crate::control::{Ask, Filter};
use crate::report::{Allocation, AllocationState, Relayed, TurnFigures};

#[derive(Debug, Args)]
pub(super) struct Turn {
    #[command(flatten)]
    daemon: Daemon,
    /// At most this many allocations, the latest; 0: all. Tables show 50 unless told, JSON has all.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only allocations in this state.
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(AllocationState::ALL.map(AllocationState::label)))]
    state: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    figures: TurnFigures,
    total: u64,
    allocations: Vec<Allocation>,
}

impl Turn {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let filter = Filter {
            limit: limit(self.limit, self.daemon.json),
            state: self.state,
            call_id: None,
        };
        self.daemon.show(&Ask::Turn(filter), |answer: &Answer, style| {
            let figures = figures(&answer.figures, style);
            let table = table(&answer.allocations, style);
            let allocations = calls::list("allocations", answer.total, answer.allocations.len(), table);
            if figures.is_empty() {
                allocations
            } else {
                format!("{figures}\n{allocations}")
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The figures for people; nothing where there was no STUN.
pub(super) fn figures(figures: &TurnFigures, style: Style) -> String {
    const COLUMNS: &[Column] = &[
        Column::Word("METHOD"),
        Column::Figure("COUNT"),
        Column::Figure("RESENT"),
        Column::Figure("SUCCESS"),
        Column::Figure("ERROR"),
        Column::Figure("NO ANSWER"),
        Column::Figure("P50"),
        Column::Figure("P90"),
        Column::Figure("P99"),
        Column::Figure("MAX"),
    ];
    if figures.messages == 0 && figures.malformed == 0 {
        return String::new();
    }
    let mut table = Table::new(COLUMNS);
    let mut refused = String::new();
    for (method, of) in &figures.transactions {
        let [p50, p90, p99, max] = times(of.round_trip.as_ref());
        table.row([
            printable(method),
            count(of.requests),
            count(of.retransmissions),
            count(of.successes),
            count(of.errors.values().sum()),
            count(of.unanswered),
            p50,
            p90,
            p99,
            max,
        ]);
        refused.push_str(&codes(&format!("{} refused: ", printable(method)), &of.errors, style));
    }
    let mut text = format!(
        "STUN: {} messages, {} malformed\n",
        count(figures.messages),
        count(figures.malformed)
    );
    if !figures.transactions.is_empty() {
        text.push_str(&table.render(style));
    }
    text.push_str(&refused);
    text.push_str(&codes(
        "authentication failures: ",
        &figures.authentication_failures,
        style,
    ));
    let relayed = [
        ("channels", figures.channel_data),
        ("indications", figures.data_indications),
    ];
    if relayed.iter().any(|(_, relayed)| relayed.packets > 0) {
        let relayed = relayed.map(|(by, Relayed { packets, bytes })| {
            let packets = text::things(packets, "packet", "packets");
            format!("{packets} ({}) in {by}", text::bytes(bytes))
        });
        let held = [
            text::things(figures.permissions, "permission", "permissions"),
            text::things(figures.channels, "channel", "channels"),
        ];
        text.push_str(&list("relayed: ", relayed.into_iter().chain(held), style.width));
    }
    text
}

fn codes(heading: &str, codes: &BTreeMap<u16, u64>, style: Style) -> String {
    if codes.is_empty() {
        return String::new();
    }
    let codes = codes.iter().map(|(code, n)| format!("{code} {}", count(*n)));
    list(heading, codes, style.width)
}

/// Allocations for people.
pub(super) fn table(allocations: &[Allocation], style: Style) -> String {
    const COLUMNS: &[Column] = &[
        Column::Word("START UTC"),
        Column::Word("STATE"),
        Column::Long("USER", 12),
        Column::Word("OVER"),
        Column::Long("CLIENT", 19),
        Column::Long("RELAYED", 19),
        Column::Figure("LIFETIME"),
        Column::Figure("TO PEERS"),
        Column::Figure("FROM PEERS"),
    ];
    let mut table = Table::new(COLUMNS).dropping(&["LIFETIME"]).colouring("STATE");
    let starts = moments(allocations.iter().map(|one| one.start));
    for (one, start) in allocations.iter().zip(starts) {
        table.row([
            start,
            name(&one.state),
            or_absent(one.username.as_deref(), printable),
            one.transport.clone(),
            one.client.clone(),
            or_absent(one.relayed.as_deref(), printable),
            or_absent(one.lifetime_s, |seconds| duration(f64::from(seconds) * 1000.0)),
            bytes(one.to_peers.bytes),
            bytes(one.from_peers.bytes),
        ]);
    }
    table.render(style)
}
