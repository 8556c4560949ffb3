//! The messages of a call one by one.

use super::*;

/// More messages than are kept.
pub fn long() -> Dialog {
    (0..80).fold(answered(), |dialog, at| {
        dialog.request(2_000 + at, "INFO", 2 + at as u32, "b")
    })
}

#[test]
fn the_ladder_tells_every_message() {
    let dialog = Dialog::default()
        .send(
            0,
            true,
            "INVITE sip:bob@b.example SIP/2.0",
            "1 INVITE",
            ("a", ""),
            "c: application/sdp\r\n\r\nv=0",
        )
        .again(500)
        .response(600, 180, "INVITE", 1)
        .on_hop(1)
        .request(510, "INVITE", 1, "");
    let calls = calls_of(&dialog.sent);
    assert_eq!(calls.report(ms(700))[0].ladder, []);
    let call = &calls.report_with_ladders(ms(700))[0];
    let told: Vec<_> = call
        .ladder
        .iter()
        .map(|message| {
            let ends = (message.src.as_str(), message.dst.as_str());
            let flags = (message.sdp, message.retransmission);
            (
                message.ts,
                ends,
                message.method.as_str(),
                message.status_code,
                flags,
                message.to_tag,
            )
        })
        .collect();
    let (near, far) = (
        ("192.0.2.1:5060", "192.0.2.2:5060"),
        ("192.0.2.2:5060", "192.0.2.3:5060"),
    );
    let back = ("192.0.2.2:5060", "192.0.2.1:5060");
    assert_eq!(
        told,
        [
            (ms(0), near, "INVITE", None, (true, false), None),
            (ms(500), near, "INVITE", None, (true, true), None),
            // The next hop repeats nothing.
            (ms(510), far, "INVITE", None, (false, false), None),
            (ms(600), back, "INVITE", Some(180), (false, false), Some(1)),
        ]
    );
    assert!(
        call.ladder
            .iter()
            .all(|message| (message.cseq, message.from_tag) == (1, Some(0)))
    );
    assert_eq!((call.retransmissions, call.messages_not_kept), (1, 0));
    let one = calls.one("c1", ms(700));
    assert_eq!((one.len(), &one[0]), (1, call));
    assert_eq!(calls.one("c2", ms(700)), []);
}

#[test]
fn another_provisional_response_of_the_same_code_repeats_nothing() {
    let dialog = invite()
        .response(50, 183, "INVITE", 1)
        .with("RSeq: 1")
        .response(60, 183, "INVITE", 1)
        .with("RSeq: 2")
        .again(70);
    assert_eq!(call_at(&dialog, 100).retransmissions, 1);
}

#[test]
fn of_a_long_call_the_beginning_and_the_end_are_kept() {
    let told = |max_messages: usize| {
        let calls = Calls::new(&Follow {
            max_messages,
            ..follow()
        });
        // The other way around than they were sent.
        for sent in long().sent.iter().rev() {
            let (src, dst) = ends(sent);
            let (message, _) = Message::parse(sent.text.as_bytes()).expect("a message");
            calls.record(ms(sent.at), src, dst, &message);
        }
        let call = calls.report_with_ladders(ms(9_000)).remove(0);
        let times: Vec<_> = call.ladder.iter().map(|message| message.ts).collect();
        (times, call.messages, call.messages_not_kept)
    };
    let all: Vec<_> = long().sent.iter().map(|sent| ms(sent.at)).collect();
    assert_eq!(told(1_000), (all.clone(), 85, 0));
    assert_eq!(told(7), ([&all[..4], &all[82..]].concat(), 85, 78));
    assert_eq!(told(1), (all[..1].to_vec(), 85, 84));
    assert_eq!(told(0), (vec![], 85, 85));
}

/// What the limits come to, for whoever sets `max_calls`.
#[test]
fn a_call_takes_little_memory() {
    assert!(
        size_of::<super::super::call::Call>() <= 640,
        "{}",
        size_of::<super::super::call::Call>()
    );
}
