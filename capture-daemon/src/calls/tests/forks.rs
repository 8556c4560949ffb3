//! Forked calls: several dialogs of one INVITE.

use super::*;
use crate::report::{EndedBy, Party};

/// Two phones ring, both answer, and the caller hangs up on the second.
pub fn answered_twice() -> Dialog {
    Dialog::default()
        .request(0, "INVITE", 1, "")
        .response(5, 100, "INVITE", 1)
        .between("a", "")
        .response(100, 180, "INVITE", 1)
        .between("a", "b1")
        .with("Contact: <sip:one@192.0.2.11>")
        .response(120, 183, "INVITE", 1)
        .between("a", "b2")
        .response(1_000, 200, "INVITE", 1)
        .between("a", "b1")
        .with("Contact: <sip:one@192.0.2.11>")
        .request(1_010, "ACK", 1, "b1")
        .response(1_020, 200, "INVITE", 1)
        .between("a", "b2")
        .with("Contact: <sip:two@192.0.2.12>")
        .request(1_030, "ACK", 1, "b2")
        .request(1_040, "BYE", 2, "b2")
        .response(1_050, 200, "BYE", 2)
        .between("a", "b2")
}

pub fn more_forks_than_are_kept() -> Dialog {
    let ringing = (0..10).fold(Dialog::default().request(0, "INVITE", 1, ""), |dialog, phone| {
        dialog
            .response(100 + phone, 180, "INVITE", 1)
            .between("a", &format!("phone{phone}"))
    });
    ringing
        .response(1_000, 200, "INVITE", 1)
        .between("a", "phone3")
        .request(3_000, "BYE", 2, "phone3")
}

/// As RFC 2543 allowed: the callee knows the caller by no tag.
pub fn without_tags() -> Dialog {
    Dialog::default()
        .request(0, "INVITE", 1, "")
        .between("", "")
        .response(1_000, 200, "INVITE", 1)
        .between("", "b")
        .request_back(2_000, "BYE", 7)
        .between("b", "")
}

#[test]
fn hanging_up_on_the_second_to_answer_leaves_the_call_with_the_first() {
    let call = call_at(&answered_twice(), 2_000);
    assert_eq!((call.state, call.setup_ms), (CallState::Answered, Some(1_000.0)));
    assert_eq!((call.dialogs.len(), call.more_dialogs), (2, false));
    assert_eq!(call.dialogs[0].contact.as_deref(), Some("sip:one@192.0.2.11"));
    assert_eq!(
        (call.dialogs[0].answered_at, call.dialogs[0].ended_at),
        (Some(ms(1_000)), None)
    );
    assert_eq!(
        (
            call.dialogs[1].early_code,
            call.dialogs[1].ended_at,
            call.dialogs[1].hung_up
        ),
        (Some(183), Some(ms(1_040)), Some(Party::Caller))
    );
    assert_eq!(call.dialogs[1].remote.as_deref(), Some("192.0.2.2:5060"));
    // Media goes on too.
    let calls = calls_of(&answered_twice().sent);
    let dialog = Dialog::default().request(1_060, "INFO", 3, "b1");
    let (message, _) = Message::parse(dialog.sent[0].text.as_bytes()).expect("a message");
    let (src, dst) = ends(&dialog.sent[0]);
    assert_eq!(
        calls
            .record(ms(1_060), src, dst, &message)
            .map(|followed| followed.ended_at),
        Some(None)
    );

    let over = answered_twice().request_back(5_000, "BYE", 1).between("b1", "a");
    let call = call_at(&over, 6_000);
    assert_eq!((call.state, call.ended_by), (CallState::Ended, Some(EndedBy::Bye)));
    assert_eq!((call.hung_up, call.duration_ms), (Some(Party::Callee), Some(4_000.0)));
}

#[test]
fn a_bye_to_an_early_dialog_does_not_end_the_answered_one() {
    let dialog = Dialog::default()
        .request(0, "INVITE", 1, "")
        .response(100, 180, "INVITE", 1)
        .between("a", "b1")
        .response(110, 180, "INVITE", 1)
        .between("a", "b2")
        .request(500, "BYE", 2, "b2")
        .response(1_000, 200, "INVITE", 1)
        .between("a", "b1");
    assert_eq!(state(&dialog, 1_500), (CallState::Answered, Some(200)));
}

#[test]
fn of_too_many_forks_any_bye_ends_the_call() {
    let call = call_at(&more_forks_than_are_kept(), 4_000);
    assert_eq!(
        (call.state, call.more_dialogs, call.dialogs.len()),
        (CallState::Ended, true, 8)
    );
    assert_eq!(call.duration_ms, Some(2_000.0));
}

#[test]
fn dialogs_without_tags_are_followed_all_the_same() {
    let call = call_at(&without_tags(), 4_000);
    assert_eq!((call.state, call.duration_ms), (CallState::Ended, Some(1_000.0)));
}

#[test]
fn a_2xx_that_never_came_to_the_caller_makes_no_session() {
    let dialog = Dialog::default()
        .request(0, "INVITE", 1, "")
        .on_hop(1)
        .request(1, "INVITE", 1, "")
        .response(1_000, 200, "INVITE", 1)
        .between("a", "b2")
        .on_hop(0)
        .response(1_010, 200, "INVITE", 1)
        .between("a", "b1")
        .request(4_000, "BYE", 2, "b1");
    assert_eq!(state(&dialog, 5_000), (CallState::Ended, Some(200)));
}
