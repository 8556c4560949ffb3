//! Calls, registrations and transactions: what SIP messages say happened, whatever order they came in.
//!
//! All are sets of facts with the packets' times, taken by minimum or maximum, so that two directions of a dialog may
//! arrive on two queues. Where a call stands is a pure function of its facts and of the time it is asked for.

mod attempts;
mod call;
mod correlation;
mod description;
mod dialog;
mod facts;
mod figures;
mod figures_of_call;
mod heard;
mod invite;
mod ladder;
mod level;
mod media;
mod one_call_id;
mod one_way;
mod path;
mod registration;
mod registrations;
mod rules;
mod sight;
mod standing;
mod summary;
mod transaction;
mod transactions;
mod transfer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use capture_common::Level;

pub use description::{Description, Ledger};
pub use figures_of_call::{CallFigures, Noted};
pub use heard::Heard;
pub use level::Said;
pub use one_way::judge;
pub use registrations::Registrations;
pub use transactions::Transactions;

use self::call::Call;
use self::figures::SessionTotals;
use self::one_call_id::OneCallId;
use self::rules::Rules;
use self::sight::Sight;
use self::table::{Entry, Table, Worth};
use crate::config::Follow;
use crate::net::Endpoint;
use crate::report::{self, CallState, EndedBy, Party};
use crate::rules::Ruling;
use crate::sip::{Message, Method, referred};
use crate::table;
use crate::text::lossy;
use crate::time::Timestamp;

/// How long an answer may take before it is not expected any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the latest INVITE or provisional response to the final one (timer C, RFC 3261 section 16.6).
    pub invite: Duration,
    /// From any other request to its final response (timer F, RFC 3261 section 17.1.2.2).
    pub request: Duration,
}

impl From<&Follow> for Timeouts {
    fn from(follow: &Follow) -> Self {
        Self {
            invite: follow.invite_timeout,
            request: follow.request_timeout,
        }
    }
}

/// All calls, shared by all lanes.
#[derive(Debug)]
pub struct Calls {
    table: Table<OneCallId>,
    rules: Arc<Rules>,
    linger: Duration,
    /// Calls that have left the table, by the state they left it in.
    departed: [AtomicU64; CallState::ALL.len()],
    /// What those gave to the totals of RFC 6076.
    departed_totals: Mutex<SessionTotals>,
    /// Of those that ended, how many with a BYE and how many without.
    departed_ends: [AtomicU64; 2],
    /// Of those, how many had media one way only, and how many none, where both were to speak.
    one_way: AtomicU64,
    no_media: AtomicU64,
}

/// How many calls there are and were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallCount {
    /// Calls in the table, by state.
    pub states: Vec<(CallState, u64)>,
    /// Calls that are over, in the table or out of it, by state.
    pub results: Vec<(CallState, u64)>,
    /// Calls that ended, in the table or out of it, by how.
    pub ended_by: [(EndedBy, u64); 2],
    /// Calls out of the table with audio one way only, for 5 s or more after the answer.
    pub one_way: u64,
    /// Calls out of the table without audio, likewise.
    pub no_media: u64,
    /// Calls in the table under a rule, by its name, with the rule's level.
    pub rules: BTreeMap<String, (Level, u64)>,
}

/// When it was decided which rule a call is under, and the rule.
pub type Judgement = (u64, Option<Arc<Ruling>>);

/// What recording a message came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The Call-ID, as it is kept.
    pub call_id: Arc<str>,
    /// When the call ended, if it did.
    pub ended_at: Option<Timestamp>,
    /// Calls that were lost because the table was full.
    pub lost: usize,
    /// Call-IDs of those that had not ended: nothing will tell any more when they do.
    pub cut_off: Vec<Arc<str>>,
}

impl Calls {
    /// No calls yet, and never more than configured.
    pub fn new(follow: &Follow) -> Self {
        Self {
            table: Table::new(follow.max_calls),
            rules: Arc::new(Rules::from(follow)),
            linger: follow.linger,
            departed: Default::default(),
            departed_totals: Mutex::default(),
            departed_ends: Default::default(),
            one_way: AtomicU64::new(0),
            no_media: AtomicU64::new(0),
        }
    }

    /// Calls in the table, and Call-IDs of which no message was seen that makes one.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether nothing is followed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes in a message that went from `src` to `dst`; `None` where it belongs to no call.
    pub fn record(&self, ts: Timestamp, src: Endpoint, dst: Endpoint, message: &Message<'_>) -> Option<Followed> {
        let call_id = lossy(message.call_id);
        let sight = Sight::new(ts, src, dst, message);
        let begins = may_begin(&sight);
        let record = |call_id: &Arc<str>, calls: &mut OneCallId| {
            let (taken, left) = calls.record(&sight, &self.rules, begins);
            taken.then(|| (Arc::clone(call_id), calls.ended_at(), left))
        };
        let (recorded, cleared) = if begins {
            self.table.find_or_insert(&call_id, ts, OneCallId::default, record)
        } else {
            (self.table.find(&*call_id, record)?, Vec::new())
        };
        let (call_id, ended_at, left) = recorded?;
        self.depart(left.as_deref().into_iter(), ts);
        self.depart(cleared.iter().flat_map(|left| left.entry.calls()), ts);
        let lost = |call: &&Call| call.worth(ts) > Worth::Loose;
        let in_cleared = cleared.iter().flat_map(|left| left.entry.calls());
        Some(Followed {
            call_id,
            ended_at,
            lost: left.as_deref().into_iter().chain(in_cleared).filter(lost).count(),
            cut_off: cut_off(cleared.into_iter().map(|left| (left.key, left.entry))),
        })
    }

    /// Takes in what a message of this call that went from `src` to `dst` says of its media: who began the call, and a description.
    pub fn describe(
        &self,
        ts: Timestamp,
        (src, dst): (Endpoint, Endpoint),
        call_id: &str,
        message: &Message<'_>,
        begun_by: Option<u64>,
        description: Option<Description>,
    ) {
        self.table.find(call_id, |_, calls| {
            let Some(call) = calls.call_of(&Sight::new(ts, src, dst, message)) else {
                return;
            };
            let media = call.media.get_or_insert_default();
            if let Some(tag) = begun_by {
                media.begun_by(tag);
            }
            if let Some(description) = description {
                media.describe(description);
            }
        });
    }

    /// Asks which rule a call is under, now that it has `said` one more thing in a message of time `ts`. Returns when that was
    /// decided as against other times, and the rule; `None` where the call is not known.
    pub fn judge(&self, ts: Timestamp, said: &Said<'_, '_>, rules: &crate::rules::Rules) -> Option<Judgement> {
        let call_id = lossy(said.message.call_id);
        let (src, dst) = said.ends;
        let sight = Sight::new(ts, src, dst, said.message);
        self.table.find(&*call_id, |call_id, calls| {
            let taker = calls.place_of(&sight)?;
            let list = rules.list();
            let rule = calls.judge(taker, &list, call_id, said);
            // Under the locks that the decision was made under: the later one has the higher number.
            Some((rules.ticket(), rule))
        })?
    }

    /// Asks of all calls in one part of the table which rule they are under, now that there are others. Returns what was
    /// decided by Call-ID; `None` where there is no such part. Parts are numbered from 0.
    pub fn judge_again(&self, part: usize, rules: &crate::rules::Rules) -> Option<Vec<(Arc<str>, Judgement)>> {
        let mut judged = Vec::new();
        self.table.for_part(part, |call_id, calls| {
            let list = rules.list();
            let rule = calls.judge_again(&list, call_id);
            judged.push((Arc::clone(call_id), (rules.ticket(), rule)));
        })?;
        Some(judged)
    }

    /// Forgets calls that have been over for long, a part of the table at a time. Returns the Call-IDs of those that no
    /// message ended, but time.
    pub fn sweep(&self, now: Timestamp) -> Vec<Arc<str>> {
        let mut parts = Vec::new();
        let forgotten = self.table.sweep(|calls| {
            parts.extend(calls.forget(now, self.linger));
            calls.is_forgotten(now, self.linger)
        });
        self.depart(parts.iter(), now);
        self.depart(forgotten.iter().flat_map(|(_, calls)| calls.calls()), now);
        cut_off(forgotten.into_iter())
    }

    fn depart<'a>(&self, calls: impl Iterator<Item = &'a Call>, now: Timestamp) {
        for call in calls.filter(|call| call.is_call()) {
            self.departed[call.state(now) as usize].fetch_add(1, Ordering::Relaxed);
            self.departed_totals().add(&call.figures(now));
            if call.state(now) == CallState::Ended {
                self.departed_ends[call.ended_by() as usize].fetch_add(1, Ordering::Relaxed);
                self.listen(call, now);
            }
        }
    }

    /// Counts a call in which someone heard nothing.
    fn listen(&self, call: &Call, now: Timestamp) {
        if call.last.since(call.first) < one_way::LEAST {
            return;
        }
        let heard = call.hearing.as_ref().map_or_else(Vec::new, |hearing| hearing.spans());
        // Without a description there is nothing that was wanted.
        let Some(mut told) = call.report("", now).filter(|told| told.media.is_some()) else {
            return;
        };
        judge(&mut told, &heard, now);
        self.one_way.fetch_add(told.one_way.is_some().into(), Ordering::Relaxed);
        self.no_media.fetch_add(told.no_media.into(), Ordering::Relaxed);
    }

    /// Takes in that media of a call came from `start` to `end`, and who sent it.
    pub fn hear(&self, call_id: &str, sender: Option<Party>, start: Timestamp, end: Timestamp) {
        self.table.find(call_id, |_, calls| {
            if let Some(call) = calls.of_media(start) {
                call.hearing.get_or_insert_default().note(sender, start, end);
            }
        });
    }

    fn for_each(&self, mut with: impl FnMut(&Arc<str>, &Call)) {
        self.table.for_each(|call_id, calls| {
            for call in calls.calls().filter(|call| call.is_call()) {
                with(call_id, call);
            }
        });
    }

    /// A panic under this lock leaves sums that hold.
    fn departed_totals(&self) -> MutexGuard<'_, SessionTotals> {
        self.departed_totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts calls by state at `now`. Looks at every call, a few at a time.
    pub fn count(&self, now: Timestamp) -> CallCount {
        // In this order, a call that departs meanwhile is missing until the next time, and never counted twice.
        let departed = self.departed.each_ref().map(|count| count.load(Ordering::Relaxed));
        let mut present = [0_u64; CallState::ALL.len()];
        let mut ends = [0_u64; 2];
        let mut rules: BTreeMap<String, (Level, u64)> = BTreeMap::new();
        self.for_each(|_, call| {
            if let Some(rule) = call.rule() {
                match rules.get_mut(&rule.name) {
                    Some((_, calls)) => *calls += 1,
                    None => drop(rules.insert(rule.name.clone(), (rule.level, 1))),
                }
            }
            let state = call.state(now);
            present[state as usize] += 1;
            if state == CallState::Ended {
                ends[call.ended_by() as usize] += 1;
            }
        });
        let states = CallState::ALL.map(|state| (state, present[state as usize]));
        let results = states
            .iter()
            .filter(|(state, _)| state.is_over())
            .map(|(state, here)| (*state, here + departed[*state as usize]))
            .collect();
        CallCount {
            states: states.to_vec(),
            results,
            ended_by: [EndedBy::Bye, EndedBy::NoBye].map(|by| {
                let departed = self.departed_ends[by as usize].load(Ordering::Relaxed);
                (by, ends[by as usize] + departed)
            }),
            one_way: self.one_way.load(Ordering::Relaxed),
            no_media: self.no_media.load(Ordering::Relaxed),
            rules,
        }
    }

    /// What all calls there were came to by `now`, as RFC 6076 measures it. Looks at every call, a few at a time.
    pub fn figures(&self, now: Timestamp) -> report::SessionFigures {
        // In this order, a call that departs meanwhile is missing until the next time, and never counted twice.
        let mut totals = self.departed_totals().clone();
        self.for_each(|_, call| totals.add(&call.figures(now)));
        totals.report()
    }

    /// Every call as it stands at `now`, without streams and without its ladder, in order of start, then Call-ID.
    pub fn report(&self, now: Timestamp) -> Vec<report::Call> {
        self.told(|call_id, call| call.report(call_id, now))
    }

    /// The same with the ladder of each.
    pub fn report_with_ladders(&self, now: Timestamp) -> Vec<report::Call> {
        self.told(|call_id, call| call.report_with_ladder(call_id, now))
    }

    /// The calls under one Call-ID as they stand at `now`, with their ladders and without streams, in order of start: more
    /// than one where it was used again, none where it is not known.
    pub fn one(&self, call_id: &str, now: Timestamp) -> Vec<report::Call> {
        let mut asked = Vec::new();
        self.table.find(call_id, |_, calls| {
            let told = calls
                .calls()
                .filter_map(|call| Some((call.report_with_ladder(call_id, now)?, call.tokens.clone())));
            asked.extend(told);
        });
        let mut others = Vec::new();
        self.for_each(|other, call| {
            let is_related = |(_, tokens): &(_, _)| call.tokens.is_related(other, tokens, call_id);
            if **other != *call_id && asked.iter().any(is_related) {
                others.extend(call.report(other, now).map(|told| (told, call.tokens.clone())));
            }
        });
        asked.extend(others);
        let mut calls = related(asked);
        calls.retain(|call| call.call_id == call_id);
        calls
    }

    fn told(&self, tell: impl Fn(&str, &Call) -> Option<report::Call>) -> Vec<report::Call> {
        let mut calls = Vec::with_capacity(self.table.len());
        self.table.for_each_copy(|call_id, kept| {
            let told = kept
                .calls()
                .filter_map(|call| Some((tell(call_id, call)?, call.tokens.clone())));
            calls.extend(told);
        });
        related(calls)
    }
}

/// Calls in order of start, then Call-ID, each told of its relations.
fn related(mut calls: Vec<(report::Call, correlation::Tokens)>) -> Vec<report::Call> {
    calls.sort_by(|(a, _), (b, _)| {
        let texts = |call: &report::Call| format!("{call:?}");
        let order = (a.start, &a.call_id, &a.src, &a.dst, a.messages);
        let order = order.cmp(&(b.start, &b.call_id, &b.src, &b.dst, b.messages));
        // Two calls that begin with one Call-ID at one time: any order will do that is always the same.
        order.then_with(|| texts(a).cmp(&texts(b)))
    });
    correlation::relate(&mut calls);
    calls.into_iter().map(|(call, _)| call).collect()
}

/// The Call-IDs of calls that have no end.
fn cut_off(removed: impl Iterator<Item = (Arc<str>, OneCallId)>) -> Vec<Arc<str>> {
    let goes_on = |call: &Call| call.is_call() && call.ended_at().is_none();
    removed
        .filter(|(_, calls)| calls.calls().any(goes_on))
        .map(|(call_id, _)| call_id)
        .collect()
}

/// Whether a message may be the first that is seen of a call: those of INVITE dialogs, as any of them may come before
/// the INVITE when they arrive on another queue. Others join a call that is known, so that a flood of OPTIONS fills
/// nothing.
fn may_begin(sight: &Sight<'_, '_>) -> bool {
    match sight.message.cseq.method {
        Method::Invite | Method::Ack | Method::Bye | Method::Cancel | Method::Prack | Method::Update | Method::Info => {
            true
        }
        // Outside a dialog, they have one of their own (RFC 3515).
        Method::Refer => sight.to.is_some(),
        Method::Notify => sight.to.is_some() && sight.message.headers("Event").any(|event| referred(event).is_some()),
        _ => false,
    }
}

/// Octets of a URI that are kept. Longer ones are cut: what a table holds is bounded by configuration.
const LONGEST_URI: usize = 512;

/// Text out of a header for keeping: what is no UTF-8 is replaced, what is too long is cut.
fn kept_text(bytes: &[u8]) -> Box<str> {
    let kept = bytes.get(..LONGEST_URI).unwrap_or(bytes);
    lossy(kept).into()
}

/// Time passed from `earlier` to `later` in milliseconds.
fn milliseconds(earlier: Timestamp, later: Timestamp) -> f64 {
    later.since(earlier).as_nanos() as f64 / 1e6
}

/// The earlier of a time that may be known and another.
fn earliest(known: Option<Timestamp>, ts: Timestamp) -> Option<Timestamp> {
    Some(known.map_or(ts, |known| known.min(ts)))
}
