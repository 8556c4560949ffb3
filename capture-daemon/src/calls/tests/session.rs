//! What happens inside a call and how it ends: transfers, timers, BYEs without an answer and answers without a BYE.

use super::*;
use crate::report::{EndedBy, Party};

/// The callee transfers the caller, who is told how it goes, and hangs up.
pub fn transferred() -> Dialog {
    let sipfrag = |dialog: Dialog, at: u64, cseq: u32, status: &str, event: &str| {
        dialog.send(
            at,
            true,
            "NOTIFY sip:bob@b.example SIP/2.0",
            &format!("{cseq} NOTIFY"),
            ("a", "b"),
            &format!("Event: {event}\r\nContent-Type: message/sipfrag;version=2.0\r\n\r\nSIP/2.0 {status}"),
        )
    };
    let dialog = answered()
        .request_back(2_000, "REFER", 50)
        .with("Refer-To: <sip:carol@c.example?Replaces=1>")
        .response(2_010, 202, "REFER", 50)
        .between("b", "a");
    let dialog = sipfrag(dialog, 2_020, 2, "100 Trying", "refer");
    let dialog = sipfrag(dialog, 3_000, 3, "200 OK", "refer;id=50");
    dialog
        .request_back(3_100, "BYE", 51)
        .response(3_110, 200, "BYE", 51)
        .between("b", "a")
}

/// Only what comes after the call was set up.
pub fn joined_late() -> Dialog {
    Dialog::default()
        .request_back(1_000, "UPDATE", 9)
        .response(1_010, 200, "UPDATE", 9)
        .between("b", "a")
        .request_back(2_000, "INVITE", 10)
        .response(2_010, 200, "INVITE", 10)
        .between("b", "a")
        .request(5_000, "BYE", 2, "b")
        .response(5_010, 481, "BYE", 2)
}

#[test]
fn a_transfer_says_where_to_and_how_it_went() {
    let call = call_at(&transferred(), 4_000);
    let [transfer] = &call.transfers[..] else {
        panic!("one transfer")
    };
    assert_eq!(
        (
            transfer.ts,
            transfer.by,
            transfer.target.as_str(),
            transfer.status_code,
            transfer.outcome_code
        ),
        (
            ms(2_000),
            Some(Party::Callee),
            "sip:carol@c.example?Replaces=1",
            Some(202),
            Some(200)
        )
    );
    // Without an id, what is told is of the first REFER.
    let untold: Vec<Sent> = transferred()
        .sent
        .into_iter()
        .filter(|sent| !sent.text.contains("id=50"))
        .collect();
    let calls = calls_of(&untold).report(ms(4_000));
    assert_eq!(calls[0].transfers[0].outcome_code, Some(100));
}

#[test]
fn what_happens_in_a_dialog_shows_a_call_that_is_older_than_the_capture() {
    let call = call_at(&joined_late(), 6_000);
    assert_eq!(
        (call.state, call.joined_late, call.messages),
        (CallState::Ended, true, 6)
    );
    assert_eq!(
        (call.setup_ms, call.duration_ms, call.hung_up, call.status_code),
        (None, None, None, None)
    );
    assert_eq!((call.bye_code, call.bye_unanswered), (Some(481), false));
    let until = |count: usize| {
        let sent: Vec<Sent> = joined_late().sent.into_iter().take(count).collect();
        let calls = calls_of(&sent).report(ms(6_000));
        (calls[0].state, calls[0].joined_late)
    };
    assert_eq!(until(1), (CallState::Answered, true));
    assert_eq!(until(3), (CallState::Answered, true));
    assert_eq!(until(4), (CallState::Answered, true));
    let bye = call_at(&Dialog::default().request(5_000, "BYE", 2, "b"), 6_000);
    assert_eq!(
        (bye.state, bye.joined_late, bye.ended_by),
        (CallState::Ended, true, Some(EndedBy::Bye))
    );
    // An UPDATE while it rings joins nothing.
    let early = invite().response(50, 183, "INVITE", 1).request(60, "UPDATE", 2, "b");
    let call = call_at(&early, 70);
    assert_eq!((call.state, call.joined_late), (CallState::Ringing, false));
}

#[test]
fn an_answered_call_that_never_hears_a_bye_ends_all_the_same() {
    const HOUR: u64 = 3_600_000;
    let call = call_at(&answered(), 1_010 + 4 * HOUR);
    assert_eq!((call.state, call.ended_by), (CallState::Answered, None));
    let call = call_at(&answered(), 1_011 + 4 * HOUR);
    assert_eq!((call.state, call.ended_by), (CallState::Ended, Some(EndedBy::NoBye)));
    assert_eq!(call.duration_ms, Some(10.0));
    // It stays in the answers for as long as others do, and media is given back when it goes.
    for (at, remain) in [(4 * HOUR + 11_010, 1), (4 * HOUR + 11_011, 0)] {
        let calls = calls_of(&answered().sent);
        let gone: Vec<_> = (0..64).flat_map(|_| calls.sweep(ms(at))).collect();
        assert_eq!((calls.report(ms(at)).len(), gone.len()), (remain, 1 - remain));
    }
    // A BYE that comes after all says when it really ended.
    let late = answered().request(5 * HOUR, "BYE", 2, "b");
    let call = call_at(&late, 5 * HOUR);
    assert_eq!(
        (call.ended_by, call.duration_ms),
        (Some(EndedBy::Bye), Some(5.0 * 3_600_000.0 - 1_000.0))
    );
}

#[test]
fn a_session_timer_says_sooner() {
    let timed = answered()
        .response(1_000, 200, "INVITE", 1)
        .with("x: 1800;refresher=uas")
        .request(900_000, "UPDATE", 2, "b")
        .response(900_010, 200, "UPDATE", 2)
        .with("Session-Expires: 90");
    let (left, right) = (call_at(&timed, 1_022_010), call_at(&timed, 1_022_011));
    assert_eq!((left.state, left.session_expires_s), (CallState::Answered, Some(90)));
    assert_eq!((right.state, right.ended_by), (CallState::Ended, Some(EndedBy::NoBye)));
}

#[test]
fn a_bye_may_stay_unanswered() {
    let dialog = answered().request(4_000, "BYE", 2, "b");
    let told = |now| {
        let call = call_at(&dialog, now);
        (call.state, call.bye_unanswered, call.bye_code)
    };
    assert_eq!(told(36_000), (CallState::Ended, false, None));
    assert_eq!(told(36_001), (CallState::Ended, true, None));
    let answered = dialog.clone().response(4_010, 200, "BYE", 2);
    assert_eq!(call_at(&answered, 36_001).bye_code, Some(200));
}

#[test]
fn a_cancel_and_a_2xx_that_cross_leave_an_answered_call_and_its_bye_ends_it() {
    let crossed = invite()
        .request(500, "CANCEL", 1, "")
        .with("Reason: SIP;cause=200;text=\"Call completed elsewhere\"")
        .response(501, 200, "INVITE", 1)
        .response(502, 200, "CANCEL", 1)
        .request(503, "ACK", 1, "b");
    assert_eq!(state(&crossed, 600), (CallState::Answered, Some(200)));
    let call = call_at(&crossed.request(600, "BYE", 2, "b"), 700);
    assert_eq!((call.state, call.hung_up), (CallState::Ended, Some(Party::Caller)));
    assert_eq!(
        (call.reasons[0].of.as_str(), call.reasons[0].cause),
        ("cancel", Some(200))
    );
}

#[test]
fn reliable_provisional_responses_are_told() {
    let plain = invite().response(50, 183, "INVITE", 1);
    assert!(!call_at(&plain, 60).reliable_provisional);
    let reliable = plain
        .with("Require: timer, 100Rel")
        .with("RSeq: 1")
        .request(55, "PRACK", 2, "b");
    let call = call_at(&reliable, 60);
    assert!(call.reliable_provisional);
    assert_eq!(call.state, CallState::Ringing);
}
