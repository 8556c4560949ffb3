//! Calls, registrations and transactions: what SIP messages say happened, whatever order they came in.
//!
//! All are sets of facts with the packets' times, taken by minimum or maximum, so that two directions of a dialog may
//! arrive on two queues. Where a call stands is a pure function of its facts and of the time it is asked for.

mod attempts;
mod call;
mod description;
mod figures;
mod figures_of_call;
mod media;
mod registration;
mod registrations;
mod transaction;
mod transactions;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use description::{Description, Ledger};
pub use figures_of_call::CallFigures;
pub use registrations::Registrations;
pub use transactions::Transactions;

use self::call::Call;
use self::figures::SessionTotals;
use self::table::{Table, Worth};
use crate::config::Follow;
use crate::net::Endpoint;
use crate::report::{self, CallState};
use crate::sip::{Message, Method};
use crate::table;
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
    table: Table<Call>,
    timeouts: Timeouts,
    linger: Duration,
    /// Calls that have left the table, by the state they left it in.
    departed: [AtomicU64; CallState::ALL.len()],
    /// What those gave to the totals of RFC 6076.
    departed_totals: Mutex<SessionTotals>,
}

/// How many calls there are and were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallCount {
    /// Calls in the table, by state.
    pub states: Vec<(CallState, u64)>,
    /// Calls that are over, in the table or out of it, by state.
    pub results: Vec<(CallState, u64)>,
}

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
            timeouts: Timeouts::from(follow),
            linger: follow.linger,
            departed: Default::default(),
            departed_totals: Mutex::default(),
        }
    }

    /// Calls in the table, and dialogs of which no INVITE was seen.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether nothing is followed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes in a message that went from `src` to `dst`; `None` where it belongs to no call.
    pub fn record(&self, ts: Timestamp, src: Endpoint, dst: Endpoint, message: &Message<'_>) -> Option<Followed> {
        let call_id = String::from_utf8_lossy(message.call_id);
        let record = |call_id: &Arc<str>, call: &mut Call| {
            call.record(ts, src, dst, message);
            (Arc::clone(call_id), call.ended_at())
        };
        let ((call_id, ended_at), left) = if may_begin(message) {
            let make = || Call::new(ts, self.timeouts);
            self.table.find_or_insert(&*call_id, ts, make, record)
        } else {
            (self.table.find(&*call_id, record)?, Vec::new())
        };
        self.depart(left.iter().map(|left| &left.entry), ts);
        Some(Followed {
            call_id,
            ended_at,
            lost: left.iter().filter(|left| left.worth > Worth::Loose).count(),
            cut_off: cut_off(left.into_iter().map(|left| (left.key, left.entry))),
        })
    }

    /// Takes in what a message of this call says of its media: who began the call, and a description.
    pub fn describe(&self, call_id: &str, begun_by: Option<u64>, description: Option<Description>) {
        self.table.find(call_id, |_, call| {
            if let Some(tag) = begun_by {
                call.media.begun_by(tag);
            }
            if let Some(description) = description {
                call.media.describe(description);
            }
        });
    }

    /// Forgets calls that have been over for long, a part of the table at a time. Returns the Call-IDs of those that no
    /// message ended, but time.
    pub fn sweep(&self, now: Timestamp) -> Vec<Arc<str>> {
        let forgotten = self.table.sweep(|call| call.is_forgotten(now, self.linger));
        self.depart(forgotten.iter().map(|(_, call)| call), now);
        cut_off(forgotten.into_iter())
    }

    fn depart<'a>(&self, calls: impl Iterator<Item = &'a Call>, now: Timestamp) {
        for call in calls.filter(|call| call.is_call()) {
            self.departed[call.state(now) as usize].fetch_add(1, Ordering::Relaxed);
            self.departed_totals().add(&call.figures(now));
        }
    }

    /// A panic under this lock leaves sums that hold.
    fn departed_totals(&self) -> MutexGuard<'_, SessionTotals> {
        self.departed_totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts calls by state at `now`. Looks at every call, a shard at a time.
    pub fn count(&self, now: Timestamp) -> CallCount {
        let mut present = [0_u64; CallState::ALL.len()];
        self.table.for_each(|_, call| {
            if call.is_call() {
                present[call.state(now) as usize] += 1;
            }
        });
        let states = CallState::ALL.map(|state| (state, present[state as usize]));
        let results = states
            .iter()
            .filter(|(state, _)| state.is_over())
            .map(|(state, here)| (*state, here + self.departed[*state as usize].load(Ordering::Relaxed)))
            .collect();
        CallCount {
            states: states.to_vec(),
            results,
        }
    }

    /// What all calls there were came to by `now`, as RFC 6076 measures it. Looks at every call, a shard at a time.
    pub fn figures(&self, now: Timestamp) -> report::SessionFigures {
        // In this order, a call that departs meanwhile is missing until the next time, and never counted twice.
        let mut totals = self.departed_totals().clone();
        self.table.for_each(|_, call| {
            if call.is_call() {
                totals.add(&call.figures(now));
            }
        });
        totals.report()
    }

    /// Every call as it stands at `now`, without streams, in order of start, then Call-ID.
    pub fn report(&self, now: Timestamp) -> Vec<report::Call> {
        let mut calls = Vec::with_capacity(self.table.len());
        self.table
            .for_each(|call_id, call| calls.extend(call.report(call_id, now)));
        calls.sort_by(|a, b| (a.start, &a.call_id).cmp(&(b.start, &b.call_id)));
        calls
    }
}

/// The Call-IDs of calls that have no end.
fn cut_off(removed: impl Iterator<Item = (Arc<str>, Call)>) -> Vec<Arc<str>> {
    removed
        .filter(|(_, call)| call.is_call() && call.ended_at().is_none())
        .map(|(call_id, _)| call_id)
        .collect()
}

/// Whether a message may be the first that is seen of a call: those of INVITE dialogs, as any of them may come before
/// the INVITE when they arrive on another queue. Others join a call that is known, so that a flood of OPTIONS fills
/// nothing.
const fn may_begin(message: &Message<'_>) -> bool {
    matches!(
        message.cseq.method,
        Method::Invite | Method::Ack | Method::Bye | Method::Cancel | Method::Prack | Method::Update | Method::Info
    )
}

/// Octets of a URI that are kept. Longer ones are cut: what a table holds is bounded by configuration.
const LONGEST_URI: usize = 512;

/// Text out of a header for keeping: what is no UTF-8 is replaced, what is too long is cut.
fn kept_text(bytes: &[u8]) -> Box<str> {
    let kept = bytes.get(..LONGEST_URI).unwrap_or(bytes);
    String::from_utf8_lossy(kept).into()
}

/// Time passed from `earlier` to `later` in milliseconds.
fn milliseconds(earlier: Timestamp, later: Timestamp) -> f64 {
    later.since(earlier).as_nanos() as f64 / 1e6
}

/// The earlier of a time that may be known and another.
fn earliest(known: Option<Timestamp>, ts: Timestamp) -> Option<Timestamp> {
    Some(known.map_or(ts, |known| known.min(ts)))
}
