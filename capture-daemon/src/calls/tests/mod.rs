//! Dialogs written down message by message, and what they come to in any order.

mod call;
mod call_figures;
mod correlation;
mod figures;
mod forks;
mod ladder;
mod registration;
mod rounds;
mod session;
mod soup;
mod transaction;

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::report::{CallState, RegistrationState};

/// A message as its text, with its time in milliseconds and its hop: 0 between caller and proxy, 1 between proxy and
/// callee.
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

    /// A message under another Call-ID.
    fn under(mut self, call_id: &str) -> Self {
        for sent in &mut self.sent {
            sent.text = sent.text.replace("Call-ID: c1\r\n", &format!("Call-ID: {call_id}\r\n"));
        }
        self
    }

    /// The messages of this dialog, then those of the other.
    fn and(mut self, other: Self) -> Self {
        self.sent.extend(other.sent);
        self
    }

    /// The same, later.
    fn later(mut self, by: u64) -> Self {
        for sent in &mut self.sent {
            sent.at += by;
        }
        self
    }

    /// The latest message with this header too.
    fn with(mut self, header: &str) -> Self {
        let latest = self.sent.last_mut().expect("a message");
        latest.text = latest.text.replacen("CSeq:", &format!("{header}\r\nCSeq:"), 1);
        self
    }

    /// The latest message with other tags.
    fn between(mut self, from: &str, to: &str) -> Self {
        let latest = self.sent.last_mut().expect("a message");
        let lines: Vec<String> = latest
            .text
            .split("\r\n")
            .map(|line| {
                let (value, _) = line.split_once(";tag=").unwrap_or((line, ""));
                match line.get(..3) {
                    Some("Fro") => format!("{value};tag={from}"),
                    Some("To:") if to.is_empty() => value.to_owned(),
                    Some("To:") => format!("{value};tag={to}"),
                    _ => line.to_owned(),
                }
            })
            .collect();
        latest.text = lines.join("\r\n");
        self
    }

    /// The latest message once more.
    fn again(mut self, at: u64) -> Self {
        let latest = self.sent.last().expect("a message").clone();
        self.sent.push(Sent { at, ..latest });
        self
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
        headers: vec!["User-Agent".to_owned(), "X-Lost".to_owned()],
        correlate: vec!["X-Call-ID".to_owned()],
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

/// A proxy that tries one callee, is refused, and rings a second: the caller hears nothing of the first.
fn forked() -> Dialog {
    Dialog::default()
        .request(0, "INVITE", 1, "")
        .on_hop(1)
        .request(1, "INVITE", 1, "")
        .response(50, 486, "INVITE", 1)
        .request(51, "ACK", 1, "b")
}

const CONTACT: &str = "Contact: <sip:alice@192.0.2.1>;expires=3600\r\n";

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
    prop::sample::select(vec![
        answered_and_more,
        challenged,
        refused,
        registered,
        forks::answered_twice(),
        forks::more_forks_than_are_kept(),
        forks::without_tags(),
        rounds::challenged_and_redirected(),
        rounds::reused(),
        session::transferred(),
        session::joined_late(),
        ladder::long(),
        correlation::both_sides(),
    ])
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
            let (one, other) = (registrations_of(&in_order), registrations_of(&shuffled));
            prop_assert_eq!(one.report(ms(now)), other.report(ms(now)));
            prop_assert_eq!(one.figures(ms(now)), other.figures(ms(now)));
        } else {
            let (one, other) = (calls_of(&in_order), calls_of(&shuffled));
            prop_assert_eq!(one.report_with_ladders(ms(now)), other.report_with_ladders(ms(now)));
            prop_assert_eq!(one.figures(ms(now)), other.figures(ms(now)));
        }
    }
}
