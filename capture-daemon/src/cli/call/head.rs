//! What stands above a call's ladder: who, whom, how it ended, its times, and what is odd about it.

use super::phrases::phrase;
use crate::cli::Style;
use crate::cli::terminal::Ink;
use crate::cli::text::{ABSENT, address, list, moment_to_the_millisecond, name, or_absent, printable, things, time};
use crate::report::{Call, CallState, EndedBy, Party, Transfer, Way};

/// Width of the column of names.
pub(super) const NAMES: usize = 11;

/// A heading with its text, broken where the line would be too long.
pub(super) fn line(heading: &str, parts: impl IntoIterator<Item = String>, style: Style) -> String {
    list(&format!("  {heading:NAMES$}"), parts.into_iter(), style.width)
}

fn one(heading: &str, text: impl Into<String>, style: Style) -> String {
    line(heading, [text.into()], style)
}

/// The call, a line for each thing there is to say. `number` tells it from others in the same ladder.
pub(super) fn head(call: &Call, number: Option<usize>, style: Style) -> String {
    let title = match number {
        Some(number) => format!("Call {number}: {}", printable(&call.call_id)),
        None => format!("Call {}", printable(&call.call_id)),
    };
    let mut text = format!("{}\n", style.paint(Ink::Bold, &title));
    text.push_str(&one(
        "from",
        format!("{} at {}", address(&call.from_uri), call.src),
        style,
    ));
    text.push_str(&one("to", format!("{} at {}", address(&call.to_uri), call.dst), style));
    text.push_str(&one(
        "start",
        format!("{} UTC", moment_to_the_millisecond(call.start)),
        style,
    ));
    text.push_str(&format!("  {:NAMES$}{}\n", "state", state(call, style)));
    text.push_str(&line("times", times(call), style));
    if let Some(kept) = kept(call) {
        text.push_str(&one("kept", kept, style));
    }
    let oddities = oddities(call);
    if !oddities.is_empty() {
        let words = line("noticed", oddities, style);
        text.push_str(&style.paint(Ink::Yellow, words.trim_end_matches('\n')));
        text.push('\n');
    }
    for reason in &call.reasons {
        let words = [
            Some(format!("{}:", name_of_message(&reason.of))),
            Some(printable(&reason.protocol)),
            reason.cause.map(|cause| format!("cause {cause}")),
            reason.text.as_deref().map(|text| format!("\"{}\"", printable(text))),
        ];
        text.push_str(&one(
            "reason",
            words.into_iter().flatten().collect::<Vec<_>>().join(" "),
            style,
        ));
    }
    if !call.redirect_targets.is_empty() {
        let targets = call.redirect_targets.iter().map(|target| address(target));
        text.push_str(&line("redirected", targets, style));
    }
    for transfer in &call.transfers {
        text.push_str(&one("transfer", self::transfer(transfer), style));
    }
    text.push_str(&dialogs(call, style));
    for (header, value) in &call.headers {
        text.push_str(&one(
            "header",
            format!("{}: {}", printable(header), printable(value)),
            style,
        ));
    }
    if !call.related.is_empty() {
        text.push_str(&line("related", call.related.iter().map(|id| printable(id)), style));
    }
    text
}

/// How much is kept, and what says so; `None` where that is all, and nobody said anything.
fn kept(call: &Call) -> Option<String> {
    let what = match call.level.as_str() {
        "signaling" => "SIP and RTCP",
        "headers" => "everything, of RTP the headers",
        "full" | "" if call.rule.is_none() => return None,
        _ => "everything",
    };
    Some(match &call.rule {
        Some(rule) => format!("{what}, by the rule {}", printable(rule)),
        None => what.to_owned(),
    })
}

fn state(call: &Call, style: Style) -> String {
    let ink = match call.state {
        CallState::Answered | CallState::Ended => Ink::Green,
        CallState::Trying | CallState::Ringing => Ink::Yellow,
        CallState::Failed | CallState::TimedOut => Ink::Red,
        CallState::Cancelled => Ink::Plain,
    };
    let mut text = style.paint(ink, &name(&call.state).replace('_', " "));
    if let Some(code) = call.status_code {
        text.push_str(format!(", {code} {}", phrase(code)).trim_end());
    }
    match (call.ended_by, call.hung_up) {
        (Some(EndedBy::Bye), Some(Party::Caller)) => text.push_str(", the caller hung up"),
        (Some(EndedBy::Bye), Some(Party::Callee)) => text.push_str(", the callee hung up"),
        (Some(EndedBy::Bye), None) => text.push_str(", ended by BYE"),
        (Some(EndedBy::NoBye), _) => text.push_str(", no BYE was seen"),
        (None, _) => {}
    }
    text
}

fn times(call: &Call) -> Vec<String> {
    let always = [
        ("post-dial delay", call.post_dial_delay_ms),
        ("ring", call.ring_time_ms),
        ("setup", call.setup_ms),
        ("lasted", call.duration_ms),
    ];
    let sometimes = [
        (
            "SRD",
            call.session_request_delay_ms.or(call.failed_session_request_delay_ms),
        ),
        (
            "SDD",
            call.session_disconnect_delay_ms
                .or(call.failed_session_disconnect_delay_ms),
        ),
        (
            "session expires",
            call.session_expires_s.map(|seconds| f64::from(seconds) * 1e3),
        ),
    ];
    let always = always
        .into_iter()
        .map(|(name, span)| format!("{name} {}", or_absent(span, time)));
    let sometimes = sometimes
        .into_iter()
        .filter_map(|(name, span)| Some(format!("{name} {}", time(span?))));
    always.chain(sometimes).collect()
}

/// What is not as with most calls.
fn oddities(call: &Call) -> Vec<String> {
    let flags = [
        (call.no_media, "no media"),
        (
            call.one_way == Some(Way::CallerToCallee),
            "one-way audio: nothing comes from the callee",
        ),
        (
            call.one_way == Some(Way::CalleeToCaller),
            "one-way audio: nothing comes from the caller",
        ),
        (call.looped, "loop"),
        (call.spiral, "spiral"),
        (call.joined_late, "began before the capture"),
        (call.bye_unanswered, "BYE was not answered"),
        (call.reliable_provisional, "PRACK"),
        (call.more_dialogs, "more dialogs than are kept"),
    ];
    let mut words: Vec<String> = flags
        .into_iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, word)| word.to_owned())
        .collect();
    if let Some(code) = call.bye_code.filter(|code| *code != 200) {
        words.push(format!("BYE answered with {code}"));
    }
    let counts = [
        (call.retransmissions, "retransmission", "retransmissions"),
        (call.challenges, "challenge", "challenges"),
        (if call.hops > 1 { call.hops } else { 0 }, "hop", "hops"),
        (call.messages_not_kept, "message not kept", "messages not kept"),
    ];
    for (number, one, several) in counts.into_iter().filter(|(number, ..)| *number > 0) {
        words.push(things(number, one, several));
    }
    words
}

fn name_of_message(of: &str) -> String {
    match of {
        "bye" => "BYE".to_owned(),
        "cancel" => "CANCEL".to_owned(),
        other => printable(other),
    }
}

fn transfer(transfer: &Transfer) -> String {
    let by = match transfer.by {
        Some(Party::Caller) => "by the caller ",
        Some(Party::Callee) => "by the callee ",
        None => "",
    };
    let code = |code: Option<u16>| or_absent(code, |code| code.to_string());
    format!(
        "{by}to {}: REFER {}, outcome {}",
        address(&transfer.target),
        code(transfer.status_code),
        code(transfer.outcome_code)
    )
}

/// The dialogs of a call that forked.
fn dialogs(call: &Call, style: Style) -> String {
    if call.dialogs.len() < 2 {
        return String::new();
    }
    let code = |code: Option<u16>| or_absent(code, |code| code.to_string());
    let forks = call.dialogs.iter().map(|dialog| {
        let remote = dialog.remote.as_deref().unwrap_or(ABSENT);
        format!("{remote} {} {}", code(dialog.early_code), code(dialog.answer_code))
    });
    line("forks", forks, style)
}
