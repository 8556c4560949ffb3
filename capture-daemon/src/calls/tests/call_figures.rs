//! The times and codes that RFC 6076 asks of each call.

use super::*;

fn figures(dialog: &Dialog, now: u64) -> CallFigures {
    let mut figures = Vec::new();
    calls_of(&dialog.sent).for_each(|_, call| figures.push(call.figures(ms(now))));
    assert_eq!(figures.len(), 1);
    figures.remove(0)
}

#[test]
fn an_answered_call_that_was_challenged() {
    let dialog = Dialog::default()
        .request(0, "INVITE", 1, "")
        .response(10, 401, "INVITE", 1)
        .request(40, "INVITE", 2, "")
        .response(45, 100, "INVITE", 2)
        .response(240, 183, "INVITE", 2)
        .response(300, 180, "INVITE", 2)
        .response(2_300, 200, "INVITE", 2)
        .request(9_300, "BYE", 3, "b")
        .response(9_350, 200, "BYE", 3);
    let got = figures(&dialog, 10_000);
    let expected = CallFigures {
        state: CallState::Ended,
        is_session_request: true,
        final_code: Some(200),
        challenges: 1,
        redirects: 0,
        // From the INVITE with credentials.
        session_request_delay_ms: Some(200.0),
        failed_session_request_delay_ms: None,
        session_disconnect_delay_ms: Some(50.0),
        failed_session_disconnect_delay_ms: None,
        session_duration_ms: Some(7_000.0),
        failed_session_duration_ms: None,
        ring_time_ms: Some(2_000.0),
        // From the first.
        post_dial_delay_ms: Some(240.0),
        completed: Some(true),
        noted: [false; Noted::ALL.len()],
        info_digits: 0,
    };
    assert_eq!(got, expected);
}

#[test]
fn what_is_to_be_said_of_a_call() {
    let noted = |dialog: &Dialog, now| {
        let figures = figures(dialog, now);
        let holds = Noted::ALL.iter().zip(figures.noted);
        holds
            .filter(|(_, holds)| *holds)
            .map(|(of, _)| of.label())
            .collect::<Vec<_>>()
    };
    let answered = invite().response(700, 200, "INVITE", 1);
    assert!(noted(&answered, 1_000).is_empty());
    assert_eq!(
        noted(&answered.clone().request(900, "REFER", 2, "b"), 1_000),
        ["transfer"]
    );
    let hung_up = answered.request(900, "BYE", 2, "b");
    assert!(noted(&hung_up, 1_000).is_empty());
    assert_eq!(noted(&hung_up, 100_000), ["bye_unanswered"]);
    let late = Dialog::default()
        .request(0, "UPDATE", 7, "b")
        .response(10, 200, "UPDATE", 7);
    assert_eq!(noted(&late, 1_000), ["joined_late"]);
}

#[test]
fn a_call_without_provisional_responses_has_no_ring_time() {
    let got = figures(&invite().response(700, 200, "INVITE", 1), 1_000);
    assert_eq!(
        (got.session_request_delay_ms, got.post_dial_delay_ms, got.ring_time_ms),
        (Some(700.0), None, None)
    );
    assert_eq!((got.final_code, got.completed), (Some(200), None));
}

#[test]
fn a_refused_call_and_one_that_is_asked_for_credentials() {
    let got = figures(&rounds::challenged_and_redirected(), 200);
    assert_eq!((got.challenges, got.redirects, got.final_code), (1, 1, Some(486)));
    assert_eq!(
        (
            got.session_request_delay_ms,
            got.failed_session_request_delay_ms,
            got.post_dial_delay_ms
        ),
        (None, Some(20.0), Some(60.0))
    );
    assert_eq!(got.completed, Some(true));
    let got = figures(&invite().response(30, 404, "INVITE", 1), 100);
    assert_eq!(got.failed_session_request_delay_ms, Some(30.0));
    let got = figures(&invite().response(30, 407, "INVITE", 1), 100);
    assert_eq!((got.failed_session_request_delay_ms, got.challenges), (None, 1));
    let got = figures(&invite().response(30, 408, "INVITE", 1), 100);
    assert_eq!(got.completed, Some(false));
}

#[test]
fn times_are_those_at_the_callers_hop() {
    let dialog = Dialog::default()
        .request(0, "INVITE", 1, "")
        .on_hop(1)
        .request(10, "INVITE", 1, "")
        .response(100, 180, "INVITE", 1)
        .response(500, 200, "INVITE", 1)
        .on_hop(0)
        .response(110, 180, "INVITE", 1)
        .response(530, 200, "INVITE", 1);
    let got = figures(&dialog, 1_000);
    assert_eq!(
        (got.session_request_delay_ms, got.ring_time_ms),
        (Some(110.0), Some(420.0))
    );
}

#[test]
fn a_bye_that_fails() {
    let bye = answered().request(4_000, "BYE", 2, "b");
    let open = figures(&bye, 5_000);
    assert_eq!(
        (
            open.session_disconnect_delay_ms,
            open.failed_session_disconnect_delay_ms,
            open.completed
        ),
        (None, None, None)
    );
    let unanswered = figures(&bye, 40_000);
    assert_eq!(
        (
            unanswered.failed_session_disconnect_delay_ms,
            unanswered.failed_session_duration_ms,
            unanswered.completed
        ),
        (Some(32_000.0), Some(35_000.0), Some(false))
    );
    let refused = figures(&bye.clone().response(4_020, 481, "BYE", 2), 40_000);
    assert_eq!(
        (refused.failed_session_disconnect_delay_ms, refused.session_duration_ms),
        (Some(20.0), None)
    );
    // A challenge is answered with another BYE.
    let challenged = bye
        .response(4_010, 407, "BYE", 2)
        .request(4_020, "BYE", 3, "b")
        .response(4_030, 200, "BYE", 3);
    assert_eq!(figures(&challenged, 40_000).session_disconnect_delay_ms, Some(30.0));
}

#[test]
fn a_call_that_is_joined_late_is_no_session_request() {
    let got = figures(&session::joined_late(), 6_000);
    assert_eq!(
        (got.is_session_request, got.final_code, got.session_request_delay_ms),
        (false, None, None)
    );
    assert_eq!(
        (got.session_duration_ms, got.failed_session_disconnect_delay_ms),
        (None, Some(10.0))
    );
}

#[test]
fn a_call_that_times_out_and_one_that_is_given_up() {
    let got = figures(&invite().response(20, 180, "INVITE", 1), 999_000);
    assert_eq!(
        (got.state, got.final_code, got.completed),
        (CallState::TimedOut, None, Some(false))
    );
    let given_up = invite()
        .response(20, 180, "INVITE", 1)
        .request(900, "CANCEL", 1, "")
        .response(910, 487, "INVITE", 1);
    let got = figures(&given_up, 1_000);
    assert_eq!(
        (got.final_code, got.session_request_delay_ms, got.completed),
        (Some(487), Some(20.0), Some(true))
    );
}
