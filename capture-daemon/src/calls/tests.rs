//! What calls and registrations come to, for every state and in every order.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::report::{CallState, RegistrationState};

/// A message as its text, with its time in milliseconds and its hop: 0 between caller and proxy, 1 between proxy and callee.
#[derive(Clone, Debug)]
struct Sent {
    at: u64,
    hop: u8,
    up: bool,
    text: String,
}

/// One dialog's messages, written down one by one.
#[derive(Clone, Debug, Default)]
struct Dialog {
    sent: Vec<Sent>,
    hop: u8,
}

impl Dialog {
    fn on_hop(mut self, hop: u8) -> Self {
        self.hop = hop;
        self
    }

    fn send(mut self, at: u64, up: bool, start: &str, cseq: &str, tags: (&str, &str), more: &str) -> Self {
        let tag = |tag: &str| {
            if tag.is_empty() {
                String::new()
            } else {
                format!(";tag={tag}")
            }
        };
        let mut text = format!("{start}\r\n");
        for hop in (0..=self.hop).rev() {
            // A CANCEL has one Via, that of the hop it is for (RFC 3261 section 9.1).
            if !start.starts_with("CANCEL") || hop == self.hop {
                text.push_str(&format!("Via: SIP/2.0/UDP h{hop};branch=z9hG4bK{hop}\r\n"));
            }
        }
        text.push_str(&format!(
            "From: <sip:alice@a.example>{}\r\nTo: <sip:bob@b.example>{}\r\nCall-ID: c1\r\nCSeq: {cseq}\r\n{more}\r\n",
            tag(tags.0),
            tag(tags.1)
        ));
        let hop = self.hop;
        self.sent.push(Sent { at, hop, up, text });
        self
    }

    /// A request from the caller; `to` is the To tag.
    fn request(self, at: u64, method: &str, cseq: u32, to: &str) -> Self {
        let start = format!("{method} sip:bob@b.example SIP/2.0");
        self.send(at, true, &start, &format!("{cseq} {method}"), ("a", to), "")
    }

    /// A request from the callee.
    fn request_back(self, at: u64, method: &str, cseq: u32) -> Self {
        let start = format!("{method} sip:alice@a.example SIP/2.0");
        self.send(at, false, &start, &format!("{cseq} {method}"), ("b", "a"), "")
    }

    /// A response to the caller.
    fn response(self, at: u64, code: u16, method: &str, cseq: u32) -> Self {
        let start = format!("SIP/2.0 {code} x");
        self.send(at, false, &start, &format!("{cseq} {method}"), ("a", "b"), "")
    }

    fn register(self, at: u64, cseq: u32, more: &str) -> Self {
        let start = "REGISTER sip:b.example SIP/2.0";
        self.send(at, true, start, &format!("{cseq} REGISTER"), ("a", ""), more)
    }

    fn registered(self, at: u64, code: u16, cseq: u32, more: &str) -> Self {
        let start = format!("SIP/2.0 {code} x");
        self.send(at, false, &start, &format!("{cseq} REGISTER"), ("a", "b"), more)
    }
}

fn follow() -> Follow {
    Follow {
        linger: Duration::from_secs(10),
        ..Follow::default()
    }
}

fn ms(at: u64) -> Timestamp {
    Timestamp::from_nanos(at * 1_000_000)
}

fn ends(sent: &Sent) -> (Endpoint, Endpoint) {
    let host = |n: u8| Endpoint::v4([192, 0, 2, n], 5060);
    let (near, far) = (host(sent.hop + 1), host(sent.hop + 2));
    if sent.up { (near, far) } else { (far, near) }
}

fn calls_of(sent: &[Sent]) -> Calls {
    let calls = Calls::new(&follow());
    for sent in sent {
        let (src, dst) = ends(sent);
        let (message, _) = Message::parse(sent.text.as_bytes()).expect("a message");
        calls
            .record(ms(sent.at), src, dst, &message)
            .expect("a dialog's message");
    }
    calls
}

/// The one call at `now` in milliseconds.
fn call_at(dialog: &Dialog, now: u64) -> report::Call {
    let mut calls = calls_of(&dialog.sent).report(ms(now));
    assert_eq!(calls.len(), 1);
    calls.remove(0)
}

fn state(dialog: &Dialog, now: u64) -> (CallState, Option<u16>) {
    let call = call_at(dialog, now);
    (call.state, call.status_code)
}

fn registration_at(dialog: &Dialog, now: u64) -> report::Registration {
    let mut registrations = registrations_of(&dialog.sent).report(ms(now));
    assert_eq!(registrations.len(), 1);
    registrations.remove(0)
}

fn registrations_of(sent: &[Sent]) -> Registrations {
    let registrations = Registrations::new(&follow());
    for sent in sent {
        let (src, dst) = ends(sent);
        let (message, _) = Message::parse(sent.text.as_bytes()).expect("a message");
        registrations.record(ms(sent.at), src, dst, &message);
    }
    registrations
}

fn invite() -> Dialog {
    Dialog::default()
        .request(0, "INVITE", 1, "")
        .response(5, 100, "INVITE", 1)
}

fn answered() -> Dialog {
    invite()
        .response(100, 180, "INVITE", 1)
        .response(1_000, 200, "INVITE", 1)
        .request(1_010, "ACK", 1, "b")
}

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
    let calls = calls_of(&Dialog::default().request(0, "BYE", 2, "b").sent);
    assert_eq!(calls.report(ms(10)), []);
    let options = Dialog::default().request(0, "OPTIONS", 1, "");
    let (message, _) = Message::parse(options.sent[0].text.as_bytes()).expect("a message");
    let (src, dst) = ends(&options.sent[0]);
    assert_eq!(
        calls
            .record(ms(0), src, dst, &message)
            .map(|followed| followed.ended_at),
        Some(Some(ms(0)))
    );
    assert_eq!(Calls::new(&follow()).record(ms(0), src, dst, &message), None);
}

/// A proxy that tries one callee, is refused, and rings a second: the caller hears nothing of the first.
fn forked() -> Dialog {
    Dialog::default()
        .request(0, "INVITE", 1, "")
        .on_hop(1)
        .request(1, "INVITE", 1, "")
        .response(50, 486, "INVITE", 1)
        .request(51, "ACK", 1, "b")
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

const CONTACT: &str = "Contact: <sip:alice@192.0.2.1>;expires=3600\r\n";

#[test]
fn registration_challenged_registered_refreshed_and_removed() {
    let dialog = Dialog::default().register(0, 1, CONTACT);
    let registration = registration_at(&dialog, 10);
    assert_eq!(
        (registration.state, registration.expires_s),
        (RegistrationState::Trying, Some(3_600))
    );
    assert_eq!(registration_at(&dialog, 32_001).state, RegistrationState::TimedOut);
    let dialog = dialog.registered(10, 401, 1, "").register(20, 2, CONTACT);
    let registration = registration_at(&dialog, 25);
    assert_eq!(
        (registration.state, registration.status_code),
        (RegistrationState::Challenged, Some(401))
    );
    let bindings = "Contact: <sip:other@h>;expires=7, <sip:alice@192.0.2.1>;expires=1800\r\n";
    let dialog = dialog.registered(30, 200, 2, bindings);
    let registration = registration_at(&dialog, 40_000);
    assert_eq!(
        (registration.state, registration.status_code),
        (RegistrationState::Registered, Some(200))
    );
    assert_eq!((registration.expires_s, registration.messages), (Some(1_800), 4));
    assert_eq!(
        (registration.aor.as_str(), registration.contact.as_str()),
        ("sip:bob@b.example", "sip:alice@192.0.2.1")
    );
    assert_eq!(
        (registration.src.as_str(), registration.dst.as_str()),
        ("192.0.2.1:5060", "192.0.2.2:5060")
    );
    let dialog = dialog.register(50_000, 3, CONTACT);
    assert_eq!(registration_at(&dialog, 50_001).state, RegistrationState::Registered);
    let dialog = dialog
        .registered(50_010, 200, 3, bindings)
        .register(60_000, 4, "Contact: *\r\nExpires: 0\r\n")
        .registered(60_010, 200, 4, "");
    let registration = registration_at(&dialog, 60_020);
    assert_eq!(
        (registration.state, registration.expires_s),
        (RegistrationState::Unregistered, Some(0))
    );
    assert_eq!(registration.contact, "sip:alice@192.0.2.1");
}

#[test]
fn registration_failed_and_queries() {
    let failed = Dialog::default().register(0, 1, CONTACT).registered(10, 403, 1, "");
    let registration = registration_at(&failed, 20);
    assert_eq!(
        (registration.state, registration.status_code),
        (RegistrationState::Failed, Some(403))
    );
    let query = Dialog::default().register(0, 1, "");
    let none = query.clone().registered(10, 200, 1, "");
    assert_eq!(registration_at(&none, 20).state, RegistrationState::Unregistered);
    let some = query.registered(10, 200, 1, CONTACT);
    let registration = registration_at(&some, 20);
    assert_eq!(
        (registration.state, registration.expires_s),
        (RegistrationState::Registered, Some(3_600))
    );
    assert_eq!(registration.contact, "");
}

#[test]
fn a_client_with_a_new_call_id_each_time_is_one_registration() {
    let mut dialog = Dialog::default().register(0, 1, CONTACT).registered(10, 403, 1, "");
    let again = Dialog::default()
        .register(5_000, 1, CONTACT)
        .registered(5_010, 200, 1, CONTACT);
    dialog.sent.extend(again.sent.into_iter().map(|mut sent| {
        sent.text = sent.text.replace("c1", "c2");
        sent
    }));
    let registration = registration_at(&dialog, 6_000);
    assert_eq!(
        (registration.state, registration.messages),
        (RegistrationState::Registered, 4)
    );
    assert_eq!((registration.call_id.as_str(), registration.start), ("c2", ms(0)));
}

fn dialogs() -> impl Strategy<Value = Dialog> {
    let answered_and_more = answered()
        .response(1_500, 200, "INVITE", 1)
        .request(1_520, "ACK", 1, "b")
        .request(2_000, "INVITE", 2, "b")
        .response(2_010, 488, "INVITE", 2)
        .request_back(3_000, "INVITE", 900)
        .request_back(4_000, "BYE", 901)
        .request(4_001, "BYE", 3, "b");
    let challenged = invite()
        .response(10, 407, "INVITE", 1)
        .request(20, "INVITE", 2, "")
        .response(25, 100, "INVITE", 2)
        .response(26, 183, "INVITE", 2)
        .request(40, "CANCEL", 2, "")
        .response(41, 200, "CANCEL", 2)
        .response(42, 487, "INVITE", 2)
        .response(43, 487, "INVITE", 2);
    let refused = forked()
        .response(60, 603, "INVITE", 1)
        .on_hop(0)
        .response(60, 480, "INVITE", 1);
    let registered = Dialog::default()
        .register(0, 1, CONTACT)
        .registered(10, 401, 1, "")
        .register(20, 2, CONTACT)
        .registered(
            30,
            200,
            2,
            "Contact: <sip:x@h>;expires=9, <sip:alice@192.0.2.1>;expires=60\r\n",
        )
        .register(1_000, 3, CONTACT)
        .registered(1_001, 200, 3, CONTACT)
        .register(2_000, 4, "Contact: <sip:moved@192.0.2.1>\r\n")
        .registered(2_010, 200, 4, "Contact: <sip:alice@192.0.2.1>;expires=50\r\n")
        .register(3_000, 5, "Contact: *\r\nExpires: 0\r\n")
        .register(3_500, 5, "Contact: *\r\nExpires: 0\r\n")
        .registered(3_510, 423, 5, "");
    prop::sample::select(vec![answered_and_more, challenged, refused, registered])
}

proptest! {
    /// Any part of a dialog, in any order, with retransmissions: the report is that of the same messages in order.
    #[test]
    fn order_does_not_matter(
        (in_order, shuffled) in dialogs()
            .prop_flat_map(|dialog| prop::sample::subsequence(dialog.sent.clone(), 1..=dialog.sent.len()))
            .prop_flat_map(|sent| (Just(sent.clone()), Just(sent).prop_shuffle())),
        now in 0u64..400_000,
    ) {
        if in_order[0].text.contains("REGISTER") {
            prop_assert_eq!(registrations_of(&in_order).report(ms(now)), registrations_of(&shuffled).report(ms(now)));
        } else {
            prop_assert_eq!(calls_of(&in_order).report(ms(now)), calls_of(&shuffled).report(ms(now)));
        }
    }
}
