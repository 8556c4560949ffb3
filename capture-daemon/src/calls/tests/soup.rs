//! Messages that no user agent would send in this order or with these tags: the answer does not depend on the order either.

use super::*;

/// Any message of one Call-ID, with any two tags, on either of two hops, within the life of a transaction.
fn message() -> impl Strategy<Value = Dialog> {
    let tag = || prop::sample::select(vec!["", "a", "b", "c"]);
    let kind = prop::sample::select(vec![
        ("INVITE", 0),
        ("INVITE", 100),
        ("INVITE", 180),
        ("INVITE", 200),
        ("INVITE", 302),
        ("INVITE", 407),
        ("INVITE", 486),
        ("ACK", 0),
        ("CANCEL", 0),
        ("BYE", 0),
        ("BYE", 200),
        ("BYE", 481),
        ("UPDATE", 0),
        ("UPDATE", 200),
        ("PRACK", 0),
        ("INFO", 0),
    ]);
    let more = prop::sample::select(vec![
        "",
        "Contact: <sip:x@h>\r\n",
        "Contact: <sip:y@h>\r\n",
        "Session-Expires: 90\r\n",
        "Reason: Q.850;cause=16\r\n",
        "User-Agent: one\r\n",
        "User-Agent: two\r\n",
        "X-Call-ID: c2\r\n",
        "Require: 100rel\r\n",
    ]);
    (kind, tag(), tag(), 1u32..4, 0u8..2, any::<bool>(), more).prop_map(
        |((method, code), from, to, cseq, hop, up, more)| {
            let start = match code {
                0 => format!("{method} sip:bob@b.example SIP/2.0"),
                code => format!("SIP/2.0 {code} x"),
            };
            Dialog::default()
                .on_hop(hop)
                .send(0, up, &start, &format!("{cseq} {method}"), ("x", ""), more)
                .between(from, to)
        },
    )
}

/// Up to twenty of them, each a second after the other.
fn soup() -> impl Strategy<Value = Vec<Sent>> {
    prop::collection::vec(message(), 1..20).prop_map(|messages| {
        let messages = messages.into_iter().flat_map(|dialog| dialog.sent);
        let timed = messages.enumerate().map(|(at, sent)| Sent {
            at: 1_000 * at as u64,
            ..sent
        });
        timed.collect()
    })
}

fn two_calls(second: impl Strategy<Value = u64>) -> impl Strategy<Value = Vec<Sent>> {
    second.prop_map(|second| {
        let one = || answered().request(4_000, "BYE", 2, "b").response(4_010, 200, "BYE", 2);
        one().and(one().later(4_010 + second)).sent
    })
}

proptest! {
    #[test]
    fn order_does_not_matter_to_any_messages(
        (in_order, shuffled) in soup().prop_flat_map(|sent| (Just(sent.clone()), Just(sent).prop_shuffle())),
        now in 0u64..60_000,
    ) {
        let (one, other) = (calls_of(&in_order), calls_of(&shuffled));
        prop_assert_eq!(one.report_with_ladders(ms(now)), other.report_with_ladders(ms(now)));
        prop_assert_eq!(one.figures(ms(now)), other.figures(ms(now)));
    }

    /// A Call-ID and its tags used again are two calls, with every message up to 3 s late.
    #[test]
    fn a_call_id_that_is_used_again_is_two_calls_in_any_near_order(
        sent in two_calls(33_000u64..200_000),
        late in prop::collection::vec(0u64..3_000, 14),
    ) {
        let mut arrivals: Vec<(u64, Sent)> = sent.into_iter().zip(late).map(|(sent, late)| (sent.at + late, sent)).collect();
        arrivals.sort_by_key(|(arrives, _)| *arrives);
        let arrived: Vec<Sent> = arrivals.into_iter().map(|(_, sent)| sent).collect();
        let calls = calls_of(&arrived).report(ms(900_000));
        let told: Vec<_> = calls.iter().map(|call| (call.state, call.messages, call.duration_ms)).collect();
        prop_assert_eq!(told, [(CallState::Ended, 7, Some(3_000.0)); 2]);
    }
}
