//! `siphon signaling`.

use std::process::ExitCode;

use clap::Args;

use super::table::{Column, Table};
use super::text::{ABSENT, count, duration, list, printable};
use super::{Daemon, Style};
use crate::control::Ask;
use crate::report::{self, Latency, Ratio, Transactions};

#[derive(Debug, Args)]
pub(super) struct Signaling {
    #[command(flatten)]
    daemon: Daemon,
}

impl Signaling {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        self.daemon.show(&Ask::Signaling, |figures, style| {
            let text = text(figures, style);
            if text.is_empty() {
                "no signaling\n".to_owned()
            } else {
                text
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The figures for people, those there are.
pub(super) fn text(figures: &report::Signaling, style: Style) -> String {
    let parts = [
        transactions(figures, style),
        events(figures, style),
        delays(figures, style),
        ratios(figures, style),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n")
}

/// A time with as many digits as say something: `0.4 ms`, `28 ms`, `3.2 s`.
fn time(milliseconds: f64) -> String {
    if milliseconds < 10.0 {
        format!("{milliseconds:.1} ms")
    } else {
        duration(milliseconds)
    }
}

/// Its percentiles and the longest.
pub(super) fn times(latency: Option<&Latency>) -> [String; 4] {
    latency.map_or_else(
        || std::array::from_fn(|_| ABSENT.to_owned()),
        |latency| [latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.max_ms].map(time),
    )
}

fn transactions(figures: &report::Signaling, style: Style) -> String {
    const COLUMNS: &[Column] = &[
        Column::Word("METHOD"),
        Column::Figure("COUNT"),
        Column::Figure("RESENT"),
        Column::Figure("2XX"),
        Column::Figure("401/407"),
        Column::Figure("3-6XX"),
        Column::Figure("NO ANSWER"),
        Column::Figure("P50"),
        Column::Figure("P90"),
        Column::Figure("P99"),
        Column::Figure("MAX"),
    ];
    if figures.transactions.is_empty() {
        return String::new();
    }
    let mut table = Table::new(COLUMNS);
    let mut codes = String::new();
    for (method, of) in &figures.transactions {
        let Transactions {
            transactions,
            retransmissions,
            responses,
            timed_out,
            ..
        } = of;
        let challenges: u64 = [401, 407].iter().filter_map(|code| responses.get(code)).sum();
        let successes: u64 = responses.range(..300).map(|(_, n)| n).sum();
        let failures = responses.values().sum::<u64>() - successes - challenges;
        let [p50, p90, p99, max] = times(of.response_time.as_ref());
        table.row([
            printable(method),
            count(*transactions),
            count(*retransmissions),
            count(successes),
            count(challenges),
            count(failures),
            count(*timed_out),
            p50,
            p90,
            p99,
            max,
        ]);
        if failures > 0 {
            let failed = responses
                .range(300..)
                .filter(|(code, _)| !matches!(**code, 401 | 407))
                .map(|(code, n)| format!("{code} {}", count(*n)));
            codes.push_str(&list(&format!("{} refused: ", printable(method)), failed, style.width));
        }
    }
    table.render(style) + &codes
}

fn events(figures: &report::Signaling, style: Style) -> String {
    const COLUMNS: &[Column] = &[
        Column::Word("EVENT PACKAGE"),
        Column::Figure("SUBSCRIBE"),
        Column::Figure("SUBSCRIPTIONS"),
        Column::Figure("NOTIFY"),
        Column::Figure("PUBLISH"),
        Column::Figure("FAILED"),
    ];
    if figures.events.is_empty() {
        return String::new();
    }
    let mut table = Table::new(COLUMNS);
    for (package, events) in &figures.events {
        table.row([
            printable(package),
            count(events.subscribe),
            count(events.subscriptions),
            count(events.notify),
            count(events.publish),
            count(events.failed),
        ]);
    }
    table.render(style)
}

fn delays(figures: &report::Signaling, style: Style) -> String {
    const COLUMNS: &[Column] = &[
        Column::Word("TIME"),
        Column::Figure("COUNT"),
        Column::Figure("MEAN"),
        Column::Figure("P50"),
        Column::Figure("P90"),
        Column::Figure("P99"),
        Column::Figure("MAX"),
    ];
    let (registrations, sessions) = (&figures.registrations, &figures.sessions);
    let rows = [
        (
            "registration request delay (RRD)",
            &registrations.registration_request_delay,
        ),
        ("session request delay (SRD)", &sessions.session_request_delay),
        ("failed SRD", &sessions.failed_session_request_delay),
        ("post-dial delay (PDD)", &sessions.post_dial_delay),
        ("ring time", &sessions.ring_time),
        ("session duration time (SDT)", &sessions.session_duration_time),
        ("failed SDT", &sessions.failed_session_duration_time),
        ("session disconnect delay (SDD)", &sessions.session_disconnect_delay),
        ("failed SDD", &sessions.failed_session_disconnect_delay),
    ];
    let mut table = Table::new(COLUMNS);
    let mut any = false;
    for (name, latency) in rows {
        let Some(latency) = latency else { continue };
        let [p50, p90, p99, max] = times(Some(latency));
        table.row([
            name.to_owned(),
            count(latency.count),
            time(latency.mean_ms),
            p50,
            p90,
            p99,
            max,
        ]);
        any = true;
    }
    if any { table.render(style) } else { String::new() }
}

fn ratios(figures: &report::Signaling, style: Style) -> String {
    const COLUMNS: &[Column] = &[
        Column::Word("RATIO"),
        Column::Figure("PERCENT"),
        Column::Figure("THESE"),
        Column::Figure("OF"),
    ];
    let (registrations, sessions) = (&figures.registrations, &figures.sessions);
    let rows = [
        (
            "ineffective registration attempts (IRA)",
            registrations.ineffective_registration_attempts,
        ),
        (
            "session establishment ratio (SER)",
            sessions.session_establishment_ratio,
        ),
        (
            "session establishment effectiveness ratio (SEER)",
            sessions.session_establishment_effectiveness_ratio,
        ),
        (
            "ineffective session attempts (ISA)",
            sessions.ineffective_session_attempts,
        ),
        ("session completion ratio (SCR)", sessions.session_completion_ratio),
        ("answer-seizure ratio (ASR)", sessions.answer_seizure_ratio),
    ];
    let mut table = Table::new(COLUMNS);
    let mut any = false;
    for (name, ratio) in rows {
        let Some(Ratio {
            numerator,
            denominator,
            percent,
        }) = ratio
        else {
            continue;
        };
        table.row([
            name.to_owned(),
            format!("{percent:.2}"),
            count(numerator),
            count(denominator),
        ]);
        any = true;
    }
    if any { table.render(style) } else { String::new() }
}
