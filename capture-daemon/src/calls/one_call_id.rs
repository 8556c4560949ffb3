//! The calls under one Call-ID: nearly always one, but Call-IDs are used again.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use super::call::Call;
use super::rules::Rules;
use super::sight::Sight;
use super::table::{Entry, Worth};
use crate::sip::{Method, StartLine};
use crate::time::Timestamp;

/// Calls under one Call-ID that are remembered, where the configuration allows as many at all. The one that is needed least
/// leaves.
const CALLS: usize = 8;

/// Messages that come this long after the last one of a call that is over belong to no transaction of it (64 T1, timers B, F
/// and H of RFC 3261 section 17).
const REPEATS: Duration = Duration::from_secs(32);

/// What calls were worth to a full table holds for so long, if no message comes. In a flood most of the work would be to look at
/// the same calls again, in memory that is far apart.
const WORTH_HOLDS: Duration = Duration::from_secs(1);

/// The calls under one Call-ID, told apart by their tags, which in one dialog are the same in every message, and by their
/// times where even those are used again.
#[derive(Clone, Debug, Default)]
pub struct OneCallId {
    calls: Vec<Call>,
    /// What they were worth when that was asked for, and when their latest message had come; none once they were told more.
    asked: Cell<Option<Asked>>,
}

/// What calls were worth at some time.
#[derive(Clone, Copy, Debug)]
struct Asked {
    at: Timestamp,
    worth: Worth,
    last: Timestamp,
}

/// Places of calls, a bit for each.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Places(u8);

const _: () = assert!(CALLS <= u8::BITS as usize);

impl Places {
    fn iter(self) -> impl DoubleEndedIterator<Item = usize> {
        (0..CALLS).filter(move |at| self.0 >> at & 1 != 0)
    }
}

impl OneCallId {
    /// The calls, to be told something.
    pub(super) fn calls_mut(&mut self) -> impl Iterator<Item = &mut Call> {
        self.told_more().iter_mut()
    }

    /// The calls, of which nothing is known from before.
    fn told_more(&mut self) -> &mut Vec<Call> {
        self.asked = Cell::new(None);
        &mut self.calls
    }

    /// The calls.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter()
    }

    /// Takes in one message; where it belongs to no call that is known, as the first of a new one if it `may_begin` one.
    /// Returns whether it was taken, and a call that had to leave for it.
    pub fn record(&mut self, sight: &Sight<'_, '_>, rules: &Arc<Rules>, may_begin: bool) -> (bool, Option<Box<Call>>) {
        let connected = self.connected(sight);
        if connected == Places(0) && !may_begin {
            return (false, None);
        }
        self.told_more();
        let mut left = None;
        let taker = match self.taker(connected, sight) {
            Some(taker) => self.join(taker, connected),
            None => {
                if self.calls.len() >= CALLS.min(rules.max_calls) {
                    left = self.evict(sight.ts).map(Box::new);
                }
                // Nearly always there is one.
                self.calls.reserve_exact(1);
                self.calls.push(Call::new(sight.ts, rules));
                self.calls.len() - 1
            }
        };
        if let Some(call) = self.calls.get_mut(taker) {
            call.record(sight);
        }
        (true, left)
    }

    /// The call that a message belongs to which was recorded before.
    pub fn call_of(&mut self, sight: &Sight<'_, '_>) -> Option<&mut Call> {
        let taker = self.place_of(sight)?;
        self.told_more().get_mut(taker)
    }

    /// Its place.
    pub fn place_of(&self, sight: &Sight<'_, '_>) -> Option<usize> {
        self.taker(self.connected(sight), sight)
    }

    /// The places of the calls that a message has a tag of.
    fn connected(&self, sight: &Sight<'_, '_>) -> Places {
        let calls = self.calls.iter().enumerate();
        let connected = calls.filter(|(_, call)| call.is_connected(sight));
        Places(connected.fold(0, |places, (at, _)| places | 1 << at))
    }

    /// The call a message belongs to, of those it is connected with; `None` where it begins another.
    fn taker(&self, connected: Places, sight: &Sight<'_, '_>) -> Option<usize> {
        let sets_up = sets_up(sight);
        let calls = connected.iter().filter_map(|at| Some((at, self.calls.get(at)?)));
        let open =
            calls.filter(|(_, call)| !(sets_up && sight.ts > call.last.plus(REPEATS) && call.ended_at().is_some()));
        // Of several that follow each other, the latest that had begun, else the earliest.
        open.max_by_key(|(_, call)| {
            let begun = call.first <= sight.ts.plus(REPEATS);
            let first = call.first.as_nanos();
            (begun, if begun { first } else { u64::MAX - first })
        })
        .map(|(at, _)| at)
    }

    /// Makes one call of those that a message shows to be one: parts without a tag in common so far. Those that have one
    /// follow each other in time. Returns where the call is now.
    fn join(&mut self, taker: usize, connected: Places) -> usize {
        let mut taker = taker;
        for at in connected.iter().rev() {
            let parts = self.calls.get(taker).zip(self.calls.get(at));
            if at == taker || parts.is_none_or(|(call, other)| call.shares_a_tag(other)) {
                continue;
            }
            // From the highest place down, so that those still to come stay where they are.
            let other = self.calls.remove(at);
            taker -= usize::from(at < taker);
            if let Some(call) = self.calls.get_mut(taker) {
                call.join(other);
            }
        }
        taker
    }

    fn evict(&mut self, now: Timestamp) -> Option<Call> {
        let calls = self.calls.iter().enumerate();
        let (least, _) = calls.min_by_key(|(_, call)| (call.worth(now), call.last))?;
        Some(self.calls.remove(least))
    }

    /// The call that media which began at `start` belongs to: the latest that had begun, else the first.
    pub fn of_media(&mut self, start: Timestamp) -> Option<&mut Call> {
        self.told_more()
            .iter_mut()
            .min_by_key(|call| match call.first <= start {
                true => (false, u64::MAX - call.first.as_nanos()),
                false => (true, call.first.as_nanos()),
            })
    }

    /// When the last of the calls ended; `None` while one goes on.
    pub fn ended_at(&self) -> Option<Timestamp> {
        let mut last = None;
        for call in self.calls.iter().filter(|call| call.is_call()) {
            last = last.max(Some(call.ended_at()?));
        }
        last
    }

    /// Takes away those that have been over for longer than `linger` at `now`, unless these are all.
    pub fn forget(&mut self, now: Timestamp, linger: Duration) -> Vec<Call> {
        if self.calls.len() < 2 || self.is_forgotten(now, linger) {
            return Vec::new();
        }
        self.told_more()
            .extract_if(.., |call| call.is_forgotten(now, linger))
            .collect()
    }

    /// Whether all of them have been over for longer than `linger` at `now`.
    pub fn is_forgotten(&self, now: Timestamp, linger: Duration) -> bool {
        self.calls.iter().all(|call| call.is_forgotten(now, linger))
    }
}

/// Whether a message is one of those that set a call up. Others come late: a NOTIFY of a transfer, after the BYE.
fn sets_up(sight: &Sight<'_, '_>) -> bool {
    match (sight.message.start, sight.message.cseq.method) {
        (StartLine::Request { .. }, Method::Invite | Method::Cancel) => !sight.to.is_some(),
        (StartLine::Request { .. }, Method::Ack | Method::Prack)
        | (StartLine::Response { .. }, Method::Invite | Method::Cancel | Method::Prack) => true,
        _ => false,
    }
}

impl Entry for OneCallId {
    fn last(&self) -> Timestamp {
        let seen = || self.calls.iter().map(|call| call.last).max().unwrap_or_default();
        self.asked.get().map_or_else(seen, |asked| asked.last)
    }

    fn worth(&self, now: Timestamp) -> Worth {
        if let Some(asked) = self.asked.get()
            && now.since(asked.at) < WORTH_HOLDS
            && asked.at.since(now) < WORTH_HOLDS
        {
            return asked.worth;
        }
        let worth = self.calls.iter().map(|call| call.worth(now)).max();
        let (worth, last) = (worth.unwrap_or(Worth::Loose), self.last());
        self.asked.set(Some(Asked { at: now, worth, last }));
        worth
    }

    /// Calls; one where none has come yet, for the one that is about to.
    fn count(&self) -> usize {
        self.calls.len().max(1)
    }
}
