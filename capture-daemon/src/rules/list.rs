//! Rules in their order, ready to be asked which of them a call is under: the first of which all conditions hold.
//!
//! Conditions on messages hold of a call as soon as one of its messages has what they ask for, so each is asked of every
//! message until it holds, and what held is remembered with the call, also where other rules change. Conditions on the call itself
//! are asked whenever the question is. Both together depend on which messages there were and not on their order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use capture_common::Level;

use super::network::Network;
use super::never::{Never, never};
use super::pattern::Pattern;
use super::rule::{Conditions, Header, Rule};

/// Rules there may be at once.
pub const MAX_RULES: usize = 256;

/// Conditions of one rule that are asked of messages.
const OF_MESSAGES: usize = 4;
/// Places of one rule: of its conditions on messages, and whether the call was counted.
const OF_RULE: usize = OF_MESSAGES + 1;
/// Bits of a word.
const WORD: usize = u64::BITS as usize;

/// What a message, or what is kept of several, answers to conditions on messages.
pub trait Facts {
    /// Whether one came from or went to an address of the network.
    fn is_at(&self, network: &Network) -> bool;
    /// Whether one was sent by such an agent.
    fn is_by(&self, user_agent: &Pattern) -> bool;
    /// Whether one describes media of such an encoding.
    fn describes(&self, codec: &Pattern) -> bool;
    /// Whether one has such a header.
    fn has(&self, header: &Header) -> bool;
}

/// What conditions on the call itself ask for.
#[derive(Clone, Copy, Debug)]
pub struct Parties<'a> {
    /// Call-ID.
    pub call_id: &'a [u8],
    /// The URIs of who calls and who is called; `None` where no message tells.
    pub uris: Option<(&'a [u8], &'a [u8])>,
}

/// What is remembered of a call, for all rules of a list: which conditions on messages held of it, and which rules it was counted
/// under.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held(Box<[u64]>);

impl Held {
    fn has(&self, place: usize) -> bool {
        self.0
            .get(place / WORD)
            .is_some_and(|word| word >> (place % WORD) & 1 == 1)
    }

    fn set(&mut self, place: usize) {
        if let Some(word) = self.0.get_mut(place / WORD) {
            *word |= 1 << (place % WORD);
        }
    }

    /// Takes in what held of another part of the same call, of the same list.
    pub fn join(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word |= other;
        }
    }
}

/// What calls under a rule have in common: its level, its name, and what is counted of them.
#[derive(Debug)]
pub struct Ruling {
    /// The rule's name.
    pub name: String,
    /// How much of the calls is kept.
    pub level: Level,
    /// Counts go on where the rule is changed.
    pub tally: Arc<Tally>,
    /// Generation of the list from which on a rule of this name has asked for this.
    pub asks: u64,
}

/// What is counted of a rule.
#[derive(Debug, Default)]
pub struct Tally {
    calls: AtomicU64,
    packets: AtomicU64,
}

// Plain sums with nothing behind them: no ordering is needed.
impl Tally {
    /// One more call came under the rule.
    pub fn call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// So many RTP packets of calls under the rule came.
    pub fn packets(&self, more: u64) {
        self.packets.fetch_add(more, Ordering::Relaxed);
    }

    /// Calls that came under the rule, some of which may be under an earlier one by now, and their RTP packets since then.
    pub fn get(&self) -> (u64, u64) {
        (self.calls.load(Ordering::Relaxed), self.packets.load(Ordering::Relaxed))
    }
}

/// A rule in its place.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The rule.
    pub rule: Rule,
    /// What its calls are given.
    pub ruling: Arc<Ruling>,
    /// Why no call will ever come under it, where that is certain.
    pub never: Option<Never>,
    /// Place of its first condition on messages among those of all rules.
    first: usize,
}

impl Entry {
    /// Where it is remembered that a call was counted under the rule.
    const fn counted(&self) -> usize {
        self.first + OF_MESSAGES
    }

    /// Runs `ask` on each condition on messages with its place, until one says no.
    fn all(&self, mut ask: impl FnMut(usize, Condition<'_>) -> bool) -> bool {
        let Conditions {
            address,
            user_agent,
            codec,
            header,
            ..
        } = &self.rule.conditions;
        let conditions: [Option<Condition<'_>>; OF_MESSAGES] = [
            address.as_ref().map(Condition::At),
            user_agent.as_ref().map(Condition::By),
            codec.as_ref().map(Condition::Describes),
            header.as_ref().map(Condition::Has),
        ];
        (self.first..)
            .zip(conditions)
            .all(|(place, condition)| condition.is_none_or(|condition| ask(place, condition)))
    }

    /// Whether everything the rule asks of the call itself holds.
    fn is_about(&self, parties: &Parties<'_>) -> bool {
        let Parties { call_id, uris } = *parties;
        let Conditions {
            from,
            to,
            number,
            call_id: id,
            sample,
            ..
        } = &self.rule.conditions;
        // Without URIs nothing that is said of them holds.
        let of_uris = |holds: &dyn Fn(&[u8], &[u8]) -> bool| uris.is_some_and(|(from, to)| holds(from, to));
        id.as_ref().is_none_or(|id| id.matches(call_id))
            && sample.is_none_or(|sample| sample.contains(call_id))
            && from
                .as_ref()
                .is_none_or(|party| of_uris(&|from, _| party.matches(from)))
            && to.as_ref().is_none_or(|party| of_uris(&|_, to| party.matches(to)))
            && number
                .as_ref()
                .is_none_or(|number| of_uris(&|from, to| number.matches(from) || number.matches(to)))
    }
}

/// A condition on messages.
#[derive(Clone, Copy)]
enum Condition<'a> {
    At(&'a Network),
    By(&'a Pattern),
    Describes(&'a Pattern),
    Has(&'a Header),
}

impl Condition<'_> {
    fn holds(self, of: &impl Facts) -> bool {
        match self {
            Self::At(network) => of.is_at(network),
            Self::By(pattern) => of.is_by(pattern),
            Self::Describes(pattern) => of.describes(pattern),
            Self::Has(header) => of.has(header),
        }
    }
}

/// All rules, in order. It is never changed: another takes its place.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// What tells it from those before it.
    pub generation: u64,
    entries: Vec<Entry>,
    /// Places of the entries in the order of their names.
    by_name: Vec<usize>,
}

impl List {
    /// These rules, of which those that `known` has by the same name go on counting.
    pub(super) fn new(generation: u64, rules: Vec<Rule>, known: &Self) -> Self {
        let nevers = never(&rules);
        let entry = |(at, (rule, never)): (usize, (Rule, Option<Never>))| {
            let before = known.named(&rule.name);
            let same = before.filter(|before| before.rule.conditions == rule.conditions);
            Entry {
                ruling: Arc::new(Ruling {
                    name: rule.name.clone(),
                    level: rule.level,
                    tally: before.map_or_else(Arc::default, |before| Arc::clone(&before.ruling.tally)),
                    asks: same.map_or(generation, |same| same.ruling.asks),
                }),
                rule,
                never,
                first: at * OF_RULE,
            }
        };
        let entries: Vec<Entry> = rules.into_iter().zip(nevers).enumerate().map(entry).collect();
        let mut by_name: Vec<usize> = (0..entries.len()).collect();
        by_name.sort_by_key(|at| entries.get(*at).map(|entry| &entry.rule.name));
        Self {
            generation,
            entries,
            by_name,
        }
    }

    /// The rule of this name.
    fn named(&self, name: &str) -> Option<&Entry> {
        let name_of = |at: &usize| self.entries.get(*at).map(|entry| entry.rule.name.as_str());
        let at = self.by_name.binary_search_by_key(&Some(name), name_of).ok()?;
        self.entries.get(*self.by_name.get(at)?)
    }

    /// The rule that `known`, of this list or one before it, is here; `None` where it is gone.
    fn successor(&self, known: &Entry) -> Option<&Entry> {
        self.named(&known.rule.name)
            .filter(|entry| Arc::ptr_eq(&entry.ruling.tally, &known.ruling.tally))
    }

    /// What the calls of a rule of an earlier list are given here, where it still asks for the same.
    pub fn heir(&self, ruling: &Ruling) -> Option<&Arc<Ruling>> {
        let entry = self.named(&ruling.name)?;
        (entry.ruling.asks == ruling.asks).then_some(&entry.ruling)
    }

    /// What `held` of a call says here, which is of the list `before`: of rules that ask for the same, what held; of all that are still
    /// there, whether the call was counted.
    pub fn carry(&self, before: &Self, held: &Held) -> Held {
        let mut carried = self.nothing_held();
        for known in &before.entries {
            let Some(entry) = self.successor(known) else { continue };
            let conditions = if entry.ruling.asks == known.ruling.asks {
                0
            } else {
                OF_MESSAGES
            };
            for place in conditions..OF_RULE {
                if held.has(known.first + place) {
                    carried.set(entry.first + place);
                }
            }
        }
        carried
    }

    /// Counts a call under the rule at this place, once.
    pub fn count(&self, held: &mut Held, at: usize) {
        if let Some(entry) = self.entries.get(at)
            && !held.has(entry.counted())
        {
            held.set(entry.counted());
            entry.ruling.tally.call();
        }
    }

    /// The rules in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is known of a call of which nothing was asked yet.
    pub fn nothing_held(&self) -> Held {
        Held(vec![0; (self.entries.len() * OF_RULE).div_ceil(WORD)].into())
    }

    /// Remembers which conditions hold of `facts`.
    pub fn note(&self, held: &mut Held, facts: &impl Facts) {
        for entry in &self.entries {
            entry.all(|place, condition| {
                if !held.has(place) && condition.holds(facts) {
                    held.set(place);
                }
                true
            });
        }
    }

    /// The rule a call is under, and its place.
    pub fn decide(&self, held: &Held, parties: &Parties<'_>) -> Option<(usize, &Arc<Ruling>)> {
        self.entries
            .iter()
            .enumerate()
            .find(|(_, entry)| entry.all(|place, _| held.has(place)) && entry.is_about(parties))
            .map(|(at, entry)| (at, &entry.ruling))
    }
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
