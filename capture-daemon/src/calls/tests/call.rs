//! Every state of a call, and what moves it there.

use super::*;

#[test]
fn trying_ringing_answered_ended() {
    let dialog = invite();
    assert_eq!(state(&dialog, 50), (CallState::Trying, Some(100)));
    let dialog = dialog.response(100, 183, "INVITE", 1).response(110, 100, "INVITE", 1);
    assert_eq!(state(&dialog, 200), (CallState::Ringing, Some(183)));
    let dialog = answered().response(1_500, 200, "INVITE", 1);
    assert_eq!(state(&dialog, 999_000), (CallState::Answered, Some(200)));
    let call = call_at(
        &dialog.request(4_000, "BYE", 2, "b").response(4_010, 200, "BYE", 2),
        5_000,
    );
    assert_eq!((call.state, call.status_code), (CallState::Ended, Some(200)));
    assert_eq!((call.setup_ms, call.duration_ms), (Some(1_000.0), Some(3_000.0)));
    assert_eq!((call.messages, call.start), (8, ms(0)));
    assert_eq!(
        (call.src.as_str(), call.dst.as_str()),
        ("192.0.2.1:5060", "192.0.2.2:5060")
    );
    assert_eq!(
        (call.from_uri.as_str(), call.to_uri.as_str()),
        ("sip:alice@a.example", "sip:bob@b.example")
    );
}

#[test]
fn an_answered_call_lasts_until_its_latest_message() {
    let call = call_at(&answered().request_back(7_000, "INFO", 1), 9_000);
    assert_eq!((call.state, call.duration_ms), (CallState::Answered, Some(6_000.0)));
}

#[test]
fn failed_with_its_code() {
    let dialog = invite().response(100, 180, "INVITE", 1).response(200, 486, "INVITE", 1);
    assert_eq!(state(&dialog, 300), (CallState::Failed, Some(486)));
    assert_eq!(call_at(&dialog, 300).setup_ms, None);
}

#[test]
fn a_challenge_fails_a_call_only_if_no_credentials_follow() {
    let dialog = invite().response(20, 401, "INVITE", 1).request(21, "ACK", 1, "b");
    assert_eq!(state(&dialog, 30), (CallState::Failed, Some(401)));
    let dialog = dialog.request(30, "INVITE", 2, "");
    assert_eq!(state(&dialog, 40), (CallState::Trying, None));
    let dialog = dialog.response(50, 503, "INVITE", 2).response(60, 401, "INVITE", 1);
    assert_eq!(state(&dialog, 70), (CallState::Failed, Some(503)));
}

#[test]
fn cancelled_by_the_caller() {
    let dialog = invite().response(100, 180, "INVITE", 1).request(200, "CANCEL", 1, "");
    assert_eq!(state(&dialog, 201), (CallState::Cancelled, Some(180)));
    // The response to CANCEL is none to the INVITE.
    let dialog = dialog.response(210, 200, "CANCEL", 1);
    assert_eq!(state(&dialog, 211), (CallState::Cancelled, Some(180)));
    let refused = dialog.clone().response(215, 486, "INVITE", 1);
    assert_eq!(state(&refused, 220), (CallState::Failed, Some(486)));
    let dialog = dialog.response(220, 487, "INVITE", 1);
    assert_eq!(state(&dialog, 999_000), (CallState::Cancelled, Some(487)));
    // Without a CANCEL, 487 is a refusal as any other.
    let dialog = invite().response(220, 487, "INVITE", 1);
    assert_eq!(state(&dialog, 230), (CallState::Failed, Some(487)));
}

#[test]
fn a_cancel_that_comes_too_late_cancels_nothing() {
    let dialog = invite()
        .request(200, "CANCEL", 1, "")
        .response(199, 200, "INVITE", 1)
        .response(210, 481, "CANCEL", 1);
    assert_eq!(state(&dialog, 300), (CallState::Answered, Some(200)));
    let dialog = dialog.request(400, "BYE", 2, "b");
    assert_eq!(state(&dialog, 500), (CallState::Ended, Some(200)));
}

#[test]
fn timed_out_when_timer_c_fires() {
    let dialog = invite().response(10_000, 180, "INVITE", 1);
    assert_eq!(state(&dialog, 190_000), (CallState::Ringing, Some(180)));
    assert_eq!(state(&dialog, 190_001), (CallState::TimedOut, Some(180)));
}

#[test]
fn a_failed_re_invite_fails_nothing() {
    let dialog = answered()
        .request(2_000, "INVITE", 2, "b")
        .response(2_010, 488, "INVITE", 2)
        .request_back(3_000, "INVITE", 900)
        .response(3_010, 491, "INVITE", 900);
    let call = call_at(&dialog, 4_000);
    assert_eq!(
        (call.state, call.status_code, call.setup_ms),
        (CallState::Answered, Some(200), Some(1_000.0))
    );
    assert_eq!(call.src, "192.0.2.1:5060");
    // Joined in the middle, the same.
    let dialog = Dialog::default()
        .request(2_000, "INVITE", 2, "b")
        .response(2_010, 488, "INVITE", 2);
    let call = call_at(&dialog, 4_000);
    assert_eq!(
        (call.state, call.status_code, call.setup_ms),
        (CallState::Answered, None, None)
    );
}

#[test]
fn a_response_alone_makes_a_call_and_other_messages_do_not() {
    let call = call_at(&Dialog::default().response(10, 404, "INVITE", 1), 20);
    assert_eq!((call.state, call.src.as_str()), (CallState::Failed, "192.0.2.1:5060"));
    let calls = calls_of(&Dialog::default().request(0, "ACK", 1, "b").sent);
    assert_eq!(calls.report(ms(10)), []);
    let calls = calls_of(&Dialog::default().request(0, "BYE", 2, "").sent);
    assert_eq!(calls.report(ms(10)), []);
    let options = Dialog::default().request(0, "OPTIONS", 1, "");
    let (message, _) = Message::parse(options.sent[0].text.as_bytes()).expect("a message");
    let (src, dst) = ends(&options.sent[0]);
    assert_eq!(
        calls
            .record(ms(0), src, dst, &message)
            .map(|followed| followed.ended_at),
        Some(None)
    );
    assert_eq!(Calls::new(&follow()).record(ms(0), src, dst, &message), None);
}

#[test]
fn both_sights_of_a_proxied_call_are_one_and_the_caller_s_hop_decides() {
    assert_eq!(state(&forked(), 100), (CallState::Trying, None));
    // The proxy's own answer is not in the capture: after timer C, the branch's refusal is all there is.
    assert_eq!(state(&forked(), 999_000), (CallState::Failed, Some(486)));
    let refused = forked()
        .response(60, 603, "INVITE", 1)
        .on_hop(0)
        .response(61, 480, "INVITE", 1);
    let call = call_at(&refused, 100);
    assert_eq!(
        (call.state, call.status_code, call.messages),
        (CallState::Failed, Some(480), 6)
    );
    assert_eq!(
        (call.src.as_str(), call.dst.as_str()),
        ("192.0.2.1:5060", "192.0.2.2:5060")
    );
}

#[test]
fn calls_are_forgotten_after_they_are_over_and_live_ones_are_not() {
    let ended = answered().request(4_000, "BYE", 2, "b");
    for (dialog, now, remain) in [(&ended, 14_000, 1), (&ended, 14_001, 0), (&answered(), 999_000, 1)] {
        let calls = calls_of(&dialog.sent);
        for _ in 0..64 {
            calls.sweep(ms(now));
        }
        assert_eq!(calls.report(ms(now)).len(), remain);
    }
}

#[test]
fn a_full_table_says_which_call_was_lost() {
    let calls = Calls::new(&Follow {
        max_calls: 1,
        ..follow()
    });
    let record = |id: &str, method: &str| {
        let dialog = Dialog::default().request(0, method, 1, "");
        let text = dialog.sent[0].text.replace("c1", id);
        let (message, _) = Message::parse(text.as_bytes()).expect("a message");
        let (src, dst) = ends(&dialog.sent[0]);
        let followed = calls.record(ms(0), src, dst, &message).expect("a dialog's message");
        (
            followed.cut_off.iter().map(ToString::to_string).collect::<Vec<_>>(),
            followed.lost,
        )
    };
    assert_eq!(record("x", "BYE"), (vec![], 0));
    assert_eq!(record("y", "INVITE"), (vec![], 0));
    assert_eq!(record("z", "INVITE"), (vec!["y".to_owned()], 1));
}
