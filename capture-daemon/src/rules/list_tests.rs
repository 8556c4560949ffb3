//! Which rule a call is under: the first of which all conditions hold, whatever the order of its messages.

use std::net::IpAddr;

use proptest::prelude::*;

use super::super::Rules;
use super::super::change::{Change, Place};
use super::super::rule::{Draft, Said};
use super::*;

/// A message as far as rules ask.
#[derive(Clone, Debug, Default)]
struct Told {
    addresses: Vec<IpAddr>,
    agent: Option<&'static str>,
    codec: Option<&'static str>,
    customer: Option<&'static str>,
}

impl Facts for Told {
    fn is_at(&self, network: &Network) -> bool {
        self.addresses.iter().any(|address| network.contains(*address))
    }

    fn is_by(&self, user_agent: &Pattern) -> bool {
        self.agent.is_some_and(|agent| user_agent.matches(agent.as_bytes()))
    }

    fn describes(&self, codec: &Pattern) -> bool {
        self.codec.is_some_and(|name| codec.matches(name.as_bytes()))
    }

    fn has(&self, header: &Header) -> bool {
        header.name == "X-Customer"
            && self
                .customer
                .is_some_and(|value| header.value.matches(value.as_bytes()))
    }
}

fn rule(name: &str, words: &[(&str, &str)]) -> Rule {
    let mut draft = Draft::default();
    draft.say("name", &Said::Text(name)).unwrap();
    draft.say("level", &Said::Text("headers")).unwrap();
    for (word, text) in words {
        let said = match *word {
            "sample" => Said::Number(text.parse().unwrap()),
            "header" => Said::Header {
                name: "X-Customer",
                value: text,
            },
            _ => Said::Text(text),
        };
        draft.say(word, &said).unwrap();
    }
    draft.finish().unwrap()
}

fn list(rules: Vec<Rule>) -> List {
    List::new(1, rules, &List::default())
}

const CALL: Parties<'_> = Parties {
    call_id: b"1-4711@192.0.2.10",
    uris: Some((b"sip:alice@example.com", b"tel:+49-211-5551234")),
};

/// Name of the rule that a call of these messages is under.
fn decided(list: &List, messages: &[Told], parties: &Parties<'_>) -> Option<String> {
    let mut held = list.nothing_held();
    messages.iter().for_each(|message| list.note(&mut held, message));
    list.decide(&held, parties).map(|(_, ruling)| ruling.name.clone())
}

#[test]
fn every_condition_decides() {
    let message = Told {
        addresses: vec!["192.0.2.10".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        agent: Some("Yealink SIP-T46S"),
        codec: Some("PCMA"),
        customer: Some("acme-7"),
    };
    for (word, yes, no) in [
        ("from", "al*", "bob"),
        ("to", "+49211*", "alice"),
        ("number", "+49(211)*", "+1*"),
        ("address", "2001:db8::/32", "198.51.100.1"),
        ("call_id", "*@192.0.2.10", "4711"),
        ("user_agent", "yealink*", "snom*"),
        ("codec", "pcma", "opus"),
        ("header", "ACME*", "other"),
        ("sample", "1", "0"),
    ] {
        let one = |text: &str| {
            let list = list(vec![rule("one", &[(word, text)])]);
            decided(&list, std::slice::from_ref(&message), &CALL)
        };
        assert_eq!(one(yes).as_deref(), Some("one"), "{word} {yes}");
        assert_eq!(one(no), None, "{word} {no}");
    }
    let nobody = Parties { uris: None, ..CALL };
    for word in ["from", "to"] {
        let list = list(vec![rule("one", &[(word, "*")])]);
        assert_eq!(decided(&list, &[], &nobody), None, "{word}");
    }
    assert_eq!(
        decided(&list(vec![rule("all", &[])]), &[], &nobody).as_deref(),
        Some("all")
    );
}

#[test]
fn conditions_may_hold_of_different_messages() {
    let list = list(vec![rule("both", &[("user_agent", "Yealink*"), ("codec", "opus")])]);
    let offer = Told {
        agent: Some("Yealink"),
        ..Told::default()
    };
    let answer = Told {
        codec: Some("opus"),
        ..Told::default()
    };
    assert_eq!(decided(&list, std::slice::from_ref(&offer), &CALL), None);
    assert_eq!(decided(&list, &[offer, answer], &CALL).as_deref(), Some("both"));
}

#[test]
fn counts_go_on_while_other_rules_change() {
    let rules = Rules::new(&[rule("a", &[]), rule("b", &[])], Level::Full);
    let tally = |name: &str| {
        let list = rules.list();
        let entry = list.entries().iter().find(|entry| entry.rule.name == name);
        Arc::clone(&entry.unwrap().ruling.tally)
    };
    tally("b").call();
    tally("b").packets(50);
    let change = |change: Change| rules.change(change).unwrap();
    change(Change::Add {
        rule: Box::new(rule("c", &[])),
        place: Some(Place::At(1)),
    });
    change(Change::Remove { name: "a".to_owned() });
    let changed = change(Change::Change {
        name: "b".to_owned(),
        draft: Box::default(),
        without: Vec::new(),
        place: None,
    });
    assert_eq!(tally("b").get(), (1, 50));
    assert_eq!(changed.generation, 4);
    assert!(rules.any());
    for name in ["b", "c"] {
        change(Change::Remove { name: name.to_owned() });
    }
    assert!(!rules.any());
    let again = change(Change::Add {
        rule: Box::new(rule("b", &[])),
        place: None,
    });
    assert_eq!(
        again.entries()[0].ruling.tally.get(),
        (0, 0),
        "another rule of that name"
    );
}

fn messages() -> impl Strategy<Value = Vec<Told>> {
    let addresses = prop::collection::vec((0u8..4).prop_map(|last| IpAddr::from([192, 0, 2, last])), 0..3);
    let agent = prop::option::of(prop::sample::select(vec!["Yealink T46", "snom", "Asterisk"]));
    let codec = prop::option::of(prop::sample::select(vec!["PCMU", "opus", "G729"]));
    let customer = prop::option::of(prop::sample::select(vec!["acme", "other"]));
    let told = (addresses, agent, codec, customer).prop_map(|(addresses, agent, codec, customer)| Told {
        addresses,
        agent,
        codec,
        customer,
    });
    prop::collection::vec(told, 0..6)
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let word = prop::sample::select(vec![
        ("from", "al*"),
        ("from", "bob"),
        ("to", "+49*"),
        ("number", "+1*"),
        ("address", "192.0.2.2/31"),
        ("address", "192.0.2.1"),
        ("call_id", "*@192.0.2.10"),
        ("user_agent", "yealink*"),
        ("user_agent", "s*"),
        ("codec", "opus"),
        ("codec", "pcm?"),
        ("header", "ac*"),
        ("sample", "0.5"),
    ]);
    prop::collection::vec(prop::collection::vec(word, 1..4), 0..24).prop_map(|rules| {
        rules
            .iter()
            .enumerate()
            .map(|(at, words)| rule(&at.to_string(), words))
            .collect()
    })
}

/// The definition: the first rule of which each condition holds of some message or of the call.
fn slow(rules: &[Rule], messages: &[Told], parties: &Parties<'_>) -> Option<String> {
    let (from, to) = parties.uris.unwrap();
    let under = |rule: &&Rule| {
        let Conditions {
            from: of_from,
            to: of_to,
            number,
            address,
            call_id,
            user_agent,
            codec,
            header,
            sample,
        } = &rule.conditions;
        let some = |holds: &dyn Fn(&Told) -> bool| messages.iter().any(holds);
        of_from.iter().all(|party| party.matches(from))
            && of_to.iter().all(|party| party.matches(to))
            && number.iter().all(|number| number.matches(from) || number.matches(to))
            && call_id.iter().all(|id| id.matches(parties.call_id))
            && sample.iter().all(|sample| sample.contains(parties.call_id))
            && address.iter().all(|network| some(&|told| told.is_at(network)))
            && user_agent.iter().all(|agent| some(&|told| told.is_by(agent)))
            && codec.iter().all(|codec| some(&|told| told.describes(codec)))
            && header.iter().all(|header| some(&|told| told.has(header)))
    };
    rules.iter().find(under).map(|rule| rule.name.clone())
}

proptest! {
    #[test]
    fn the_first_rule_wins_whatever_the_order_of_messages(
        rules in rules(),
        messages in messages(),
        cut in 0usize..6,
        swap in any::<prop::sample::Index>(),
    ) {
        let list = list(rules.clone());
        let expected = slow(&rules, &messages, &CALL);
        prop_assert_eq!(&decided(&list, &messages, &CALL), &expected);
        let mut other = messages.clone();
        if !other.is_empty() {
            let at = swap.index(other.len());
            other.rotate_left(at);
            other.reverse();
        }
        prop_assert_eq!(&decided(&list, &other, &CALL), &expected);
        // Two lanes that each saw a part, joined.
        let (head, tail) = messages.split_at(cut.min(messages.len()));
        let part = |messages: &[Told]| {
            let mut held = list.nothing_held();
            messages.iter().for_each(|message| list.note(&mut held, message));
            held
        };
        let mut joined = part(tail);
        joined.join(&part(head));
        let decided = list.decide(&joined, &CALL).map(|(_, ruling)| ruling.name.clone());
        prop_assert_eq!(&decided, &expected);
    }

    #[test]
    fn no_call_comes_under_a_rule_that_never_can(rules in rules(), messages in messages()) {
        let list = list(rules);
        if let Some(name) = decided(&list, &messages, &CALL) {
            let entry = list.entries().iter().find(|entry| entry.rule.name == name).unwrap();
            prop_assert_eq!(&entry.never, &None);
        }
    }
}
