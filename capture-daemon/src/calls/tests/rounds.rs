//! Challenges, redirections, diversions, and Call-IDs that are used again.

use super::*;

/// 407, then 302, then busy.
pub fn challenged_and_redirected() -> Dialog {
    Dialog::default()
        .request(0, "INVITE", 1, "")
        .response(10, 407, "INVITE", 1)
        .between("a", "proxy")
        .request(11, "ACK", 1, "proxy")
        .request(20, "INVITE", 2, "")
        .response(30, 302, "INVITE", 2)
        .with("Contact: <sip:mobile@b.example>;q=0.7, <sip:desk@b.example>")
        .request(31, "ACK", 2, "b")
        .request(40, "INVITE", 3, "")
        .response(60, 180, "INVITE", 3)
        .response(90, 486, "INVITE", 3)
        .with("Reason: Q.850;cause=17;text=\"User busy\", SIP ;cause=486")
        .request(91, "ACK", 3, "b")
}

/// Two calls at one time with one Call-ID, told apart by their tags.
pub fn reused() -> Dialog {
    let call = || answered().request(4_000, "BYE", 2, "b").response(4_010, 200, "BYE", 2);
    let other = Dialog::default()
        .request(0, "INVITE", 1, "")
        .between("x", "")
        .response(50, 486, "INVITE", 1)
        .between("x", "y");
    call().and(other)
}

#[test]
fn rounds_are_counted_and_targets_are_told() {
    let call = call_at(&challenged_and_redirected(), 200);
    assert_eq!(
        (call.state, call.status_code, call.challenges),
        (CallState::Failed, Some(486), 1)
    );
    assert_eq!(call.redirect_targets, ["sip:mobile@b.example", "sip:desk@b.example"]);
    let reasons: Vec<_> = call
        .reasons
        .iter()
        .map(|reason| {
            (
                reason.of.as_str(),
                reason.protocol.as_str(),
                reason.cause,
                reason.text.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        reasons,
        [
            ("refusal", "Q.850", Some(17), Some("User busy")),
            ("refusal", "SIP", Some(486), None)
        ]
    );
}

#[test]
fn a_re_invite_that_is_challenged_is_no_round_of_the_call() {
    let dialog = answered()
        .request(2_000, "INVITE", 2, "b")
        .response(2_010, 407, "INVITE", 2)
        .request(2_020, "INVITE", 3, "b")
        .response(2_030, 200, "INVITE", 3);
    let call = call_at(&dialog, 3_000);
    assert_eq!((call.state, call.challenges), (CallState::Answered, 0));
}

#[test]
fn other_tags_under_a_call_id_are_another_call() {
    let calls = calls_of(&reused().sent).report(ms(9_000));
    let states: Vec<_> = calls.iter().map(|call| (call.state, call.messages)).collect();
    assert_eq!(states, [(CallState::Failed, 2), (CallState::Ended, 7)]);
}

#[test]
fn the_same_tags_long_after_the_end_are_another_call() {
    let one = || answered().request(4_000, "BYE", 2, "b").response(4_010, 200, "BYE", 2);
    let twice = one().and(one().later(60_000));
    let calls = calls_of(&twice.sent).report(ms(90_000));
    let told: Vec<_> = calls
        .iter()
        .map(|call| (call.start, call.state, call.messages, call.duration_ms))
        .collect();
    assert_eq!(
        told,
        [
            (ms(0), CallState::Ended, 7, Some(3_000.0)),
            (ms(60_000), CallState::Ended, 7, Some(3_000.0))
        ]
    );
    // Within the life of a transaction it is the same call still: a late repetition begins none.
    let repeated = one().and(invite().later(20_000));
    assert_eq!(calls_of(&repeated.sent).report(ms(90_000)).len(), 1);
    // What comes late and sets nothing up belongs to the call that was.
    let late = one().request_back(60_000, "INFO", 9);
    assert_eq!(calls_of(&late.sent).report(ms(90_000)).len(), 1);
}

#[test]
fn more_calls_under_one_call_id_than_are_kept_are_lost_and_counted() {
    let calls = Calls::new(&follow());
    let mut lost = 0;
    for caller in 0..10 {
        let dialog = Dialog::default()
            .request(caller, "INVITE", 1, "")
            .between(&format!("caller{caller}"), "");
        let (message, _) = Message::parse(dialog.sent[0].text.as_bytes()).expect("a message");
        let (src, dst) = ends(&dialog.sent[0]);
        lost += calls.record(ms(caller), src, dst, &message).expect("a call").lost;
    }
    assert_eq!((calls.report(ms(10)).len(), lost, calls.len()), (8, 2, 8));
}

/// `max_calls` is what it says, however many calls share their Call-ID.
#[test]
fn calls_under_one_call_id_count_one_by_one() {
    for max_calls in [1, 3, 20] {
        let calls = Calls::new(&Follow { max_calls, ..follow() });
        let mut lost = 0;
        for n in 0..100u64 {
            let dialog = Dialog::default()
                .request(n, "INVITE", 1, "")
                .between(&format!("caller{n}"), "")
                .under(["x", "y", "z"][n as usize % 3]);
            let (message, _) = Message::parse(dialog.sent[0].text.as_bytes()).expect("a message");
            let (src, dst) = ends(&dialog.sent[0]);
            lost += calls.record(ms(n), src, dst, &message).expect("a call").lost;
            assert!(calls.len() <= max_calls);
            assert_eq!(calls.report(ms(n)).len(), calls.len());
            assert_eq!(calls.len() + lost, n as usize + 1);
        }
    }
}

#[test]
fn of_calls_under_one_call_id_each_is_forgotten_in_its_own_time() {
    let ended = answered().request(4_000, "BYE", 2, "b");
    let later = answered().later(60_000);
    let calls = calls_of(&ended.and(later).sent);
    assert_eq!(calls.len(), 2);
    for _ in 0..64 {
        calls.sweep(ms(70_000));
    }
    let told = calls.report(ms(70_000));
    assert_eq!((calls.len(), told.len(), told[0].start), (1, 1, ms(60_000)));
    let ended = calls.count(ms(70_000)).results;
    assert!(ended.contains(&(CallState::Ended, 1)), "{ended:?}");
}

#[test]
fn parts_that_a_message_connects_become_one() {
    // RFC 2543: neither the INVITE nor the BYE has both tags, and the BYE comes first.
    let mut sent = forks::without_tags().sent;
    sent.rotate_right(1);
    let [bye, invite, _] = &sent[..] else {
        panic!("three messages")
    };
    assert_eq!(calls_of(&[bye.clone(), invite.clone()]).report(ms(9_000)).len(), 1);
    let calls = calls_of(&sent).report(ms(9_000));
    assert_eq!((calls.len(), calls[0].messages), (1, 3));
}

fn sent_to(uri: &str, hop: u8) -> Dialog {
    Dialog::default().on_hop(hop).send(
        u64::from(hop),
        true,
        &format!("INVITE {uri} SIP/2.0"),
        "1 INVITE",
        ("a", ""),
        "",
    )
}

#[test]
fn hops_are_counted_and_a_way_back_is_seen() {
    let call = call_at(&forked(), 100);
    assert_eq!((call.hops, call.looped, call.spiral), (2, false, false));
    // Hop 2 once more: the same addresses as hop 0.
    let back = |uri: &str| {
        let mut dialog = sent_to("sip:bob@b.example", 0).and(sent_to("sip:bob@c.example", 1));
        let mut again = sent_to(uri, 2).sent;
        again[0].hop = 0;
        dialog.sent.extend(again);
        let call = call_at(&dialog, 100);
        (call.hops, call.looped, call.spiral)
    };
    assert_eq!(back("sip:bob@b.example"), (3, true, false));
    assert_eq!(back("sip:voicemail@b.example"), (3, false, true));
    let refused = invite().response(20, 482, "INVITE", 1);
    assert!(call_at(&refused, 100).looped);
}

/// A full table asks again and again.
#[test]
fn what_calls_are_worth_is_asked_anew_when_they_were_told_more_and_with_time() {
    let rules = Arc::new(Rules::from(&follow()));
    let mut calls = OneCallId::default();
    let worth = |calls: &mut OneCallId, sent: &[Sent], now: u64| {
        for sent in sent {
            let (message, _) = Message::parse(sent.text.as_bytes()).expect("a message");
            let (src, dst) = ends(sent);
            calls.record(&Sight::new(ms(sent.at), src, dst, &message), &rules, true);
        }
        (calls.worth(ms(now)), calls.last())
    };
    let (invite, ended) = (invite().sent, answered().request(4_000, "BYE", 2, "b").sent);
    assert_eq!(worth(&mut calls, &invite, 4_000), (Worth::Live, ms(5)));
    assert_eq!(worth(&mut calls, &ended, 4_000), (Worth::Over, ms(4_000)));
    let mut unanswered = OneCallId::default();
    let timeout = follow().invite_timeout.as_millis() as u64;
    assert_eq!(worth(&mut unanswered, &invite, timeout), (Worth::Live, ms(5)));
    assert_eq!(worth(&mut unanswered, &[], timeout + 1_000), (Worth::Over, ms(5)));
}
