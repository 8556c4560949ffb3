//! Transactions by method, with their answers and times.

use super::*;
use crate::sip::Method;

/// What `dialog` comes to at `now` in milliseconds.
fn figures(dialog: &Dialog, now: u64) -> super::transactions::Reported {
    transactions_of(&dialog.sent).report(ms(now))
}

fn transactions_of(sent: &[Sent]) -> Transactions {
    let transactions = Transactions::new(&follow());
    for sent in sent {
        record(&transactions, sent);
    }
    transactions
}

fn record(transactions: &Transactions, sent: &Sent) -> usize {
    let (src, dst) = ends(sent);
    let (message, _) = Message::parse(sent.text.as_bytes()).expect("a message");
    transactions.record(ms(sent.at), src, dst, &message)
}

/// A request and its answer about an event package.
fn about(dialog: Dialog, at: u64, method: &str, cseq: u32, more: &str, code: u16) -> Dialog {
    let start = format!("{method} sip:bob@b.example SIP/2.0");
    dialog
        .send(at, true, &start, &format!("{cseq} {method}"), ("a", ""), more)
        .response(at + 5, code, method, cseq)
}

#[test]
fn each_hop_is_a_transaction_with_its_own_time() {
    let dialog = Dialog::default()
        .on_hop(0)
        .request(0, "OPTIONS", 1, "")
        .on_hop(1)
        .request(2, "OPTIONS", 1, "")
        .response(30, 200, "OPTIONS", 1)
        .on_hop(0)
        .response(31, 200, "OPTIONS", 1);
    let reported = figures(&dialog, 100);
    assert_eq!(reported.methods.keys().collect::<Vec<_>>(), ["OPTIONS"]);
    let options = &reported.methods["OPTIONS"];
    assert_eq!((options.transactions, options.retransmissions, options.open), (2, 0, 0));
    assert_eq!(options.responses, [(200, 2)].into());
    let time = options.response_time.as_ref().expect("times");
    assert_eq!(
        (time.count, time.min_ms, time.max_ms, time.mean_ms),
        (2, 28.0, 31.0, 29.5)
    );
}

#[test]
fn retransmissions_and_a_late_answer() {
    let dialog = Dialog::default()
        .request(0, "BYE", 2, "b")
        .request(500, "BYE", 2, "b")
        .request(1_500, "BYE", 2, "b")
        .response(1_600, 100, "BYE", 2)
        .response(1_700, 481, "BYE", 2)
        .response(1_800, 200, "BYE", 2);
    let bye = figures(&dialog, 2_000).methods["BYE"].clone();
    assert_eq!((bye.transactions, bye.retransmissions), (1, 2));
    assert_eq!(bye.responses, [(481, 1)].into());
    assert_eq!(bye.response_time.map(|time| time.max_ms), Some(1_700.0));
}

#[test]
fn what_nobody_answers_has_timed_out_after_timer_f_and_an_invite_after_timer_c() {
    let dialog = Dialog::default()
        .request(0, "MESSAGE", 1, "")
        .response(1_000, 100, "MESSAGE", 1)
        .request(0, "INVITE", 2, "")
        .response(1_000, 183, "INVITE", 2);
    let at = |now| {
        let methods = figures(&dialog, now).methods;
        ["MESSAGE", "INVITE"].map(|method| (methods[method].open, methods[method].timed_out))
    };
    assert_eq!(at(32_000), [(1, 0), (1, 0)]);
    assert_eq!(at(32_001), [(0, 1), (1, 0)]);
    assert_eq!(at(181_000), [(0, 1), (1, 0)]);
    assert_eq!(at(181_001), [(0, 1), (0, 1)]);
    assert!(
        figures(&dialog, 181_001)
            .methods
            .values()
            .all(|of| of.response_time.is_none())
    );
}

#[test]
fn a_cancel_is_no_invite_and_an_ack_is_no_transaction() {
    let dialog = invite()
        .request(40, "CANCEL", 1, "")
        .response(41, 200, "CANCEL", 1)
        .response(42, 487, "INVITE", 1)
        .request(43, "ACK", 1, "b");
    let methods = figures(&dialog, 100).methods;
    assert_eq!(methods.keys().collect::<Vec<_>>(), ["CANCEL", "INVITE"]);
    assert_eq!(methods["CANCEL"].responses, [(200, 1)].into());
    assert_eq!(methods["INVITE"].responses, [(487, 1)].into());
}

#[test]
fn an_answer_without_its_request_is_counted_and_has_no_time() {
    let answer = Dialog::default().response(10, 200, "OPTIONS", 1);
    let options = figures(&answer, 100_000).methods["OPTIONS"].clone();
    assert_eq!((options.transactions, options.response_time), (1, None));
    let ringing = Dialog::default().response(10, 180, "INVITE", 1);
    let invite = figures(&ringing, 1_000_000).methods["INVITE"].clone();
    assert_eq!((invite.open, invite.timed_out), (1, 0));
}

#[test]
fn subscriptions_and_publications_by_package() {
    let mut dialog = Dialog::default();
    let presence = "Event: presence\r\nExpires: 600\r\n";
    dialog = about(dialog, 0, "SUBSCRIBE", 1, presence, 401);
    dialog = about(dialog, 10, "SUBSCRIBE", 2, presence, 202);
    dialog = about(dialog, 20, "NOTIFY", 3, "o: Presence;id=1\r\n", 200);
    dialog = about(dialog, 30, "PUBLISH", 4, presence, 412);
    dialog = about(dialog, 40, "SUBSCRIBE", 5, "Event: dialog\r\nExpires: 0\r\n", 200);
    dialog = about(dialog, 50, "SUBSCRIBE", 6, "Event: x-own\r\n", 489);
    dialog = about(dialog, 60, "MESSAGE", 7, presence, 500);
    let events = figures(&dialog, 100).events;
    let expected = [
        (
            "dialog",
            report::Events {
                subscribe: 1,
                ..Default::default()
            },
        ),
        (
            "other",
            report::Events {
                subscribe: 1,
                failed: 1,
                ..Default::default()
            },
        ),
        (
            "presence",
            report::Events {
                subscribe: 2,
                subscriptions: 1,
                notify: 1,
                publish: 1,
                failed: 1,
            },
        ),
    ];
    assert_eq!(events, expected.map(|(name, events)| (name.to_owned(), events)).into());
}

#[test]
fn who_leaves_the_table_stays_in_the_figures() {
    let transactions = Transactions::new(&Follow {
        max_transactions: 4,
        ..follow()
    });
    let mut lost = 0;
    for n in 0..10 {
        for sent in Dialog::default()
            .request(u64::from(n) * 10, "OPTIONS", n, "")
            .response(u64::from(n) * 10 + 3, 200, "OPTIONS", n)
            .sent
        {
            lost += record(&transactions, &sent);
        }
    }
    let options = |now| transactions.report(ms(now)).methods["OPTIONS"].clone();
    assert_eq!((transactions.len(), lost, options(100).transactions), (4, 0, 10));
    for n in 10..20 {
        lost += record(&transactions, &Dialog::default().request(200, "OPTIONS", n, "").sent[0]);
    }
    // Those that are answered leave first, of those that are looked at.
    assert!((6..=10).contains(&lost), "{lost}");
    let lost = lost as u64;
    for _ in 0..64 {
        transactions.sweep(ms(43_000));
    }
    assert!(transactions.is_empty());
    let options = options(43_000);
    assert_eq!(
        (
            options.transactions,
            options.timed_out,
            options.open,
            options.response_time.map(|time| time.count)
        ),
        (20, 10 - lost, lost, Some(10))
    );
}

proptest! {
    /// Any part of any dialog, in any order: the figures are those of the same messages in order.
    #[test]
    fn order_does_not_matter_to_transactions(
        (in_order, shuffled) in dialogs()
            .prop_flat_map(|dialog| prop::sample::subsequence(dialog.sent.clone(), 1..=dialog.sent.len()))
            .prop_flat_map(|sent| (Just(sent.clone()), Just(sent).prop_shuffle())),
        now in 0u64..400_000,
    ) {
        let reported = transactions_of(&in_order).report(ms(now));
        prop_assert_eq!(&reported, &transactions_of(&shuffled).report(ms(now)));
        for (method, of) in &reported.methods {
            let requests = in_order.iter().filter(|sent| sent.text.starts_with(&format!("{method} "))).count() as u64;
            prop_assert_eq!(of.transactions, of.responses.values().sum::<u64>() + of.timed_out + of.open);
            prop_assert!(of.retransmissions <= requests && requests <= of.retransmissions + of.transactions);
        }
        prop_assert!(!reported.methods.contains_key(Method::Ack.label()));
    }
}
