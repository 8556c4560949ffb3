//! The registrations of the whole process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Timeouts;
use super::attempts::Attempt;
use super::figures::RegistrationTotals;
use super::registration::{Registration, address_of_record};
use super::table::{Entry, Table};
use crate::config::Follow;
use crate::net::Endpoint;
use crate::report::{self, RegistrationState};
use crate::sip::Message;
use crate::text::lossy;
use crate::time::Timestamp;

/// All registrations, shared by all lanes: one entry for each Call-ID and address of record.
#[derive(Debug)]
pub struct Registrations {
    table: Table<Registration>,
    timeouts: Timeouts,
    linger: Duration,
    /// What the attempts came to that no entry remembers.
    settled: Mutex<RegistrationTotals>,
}

impl Registrations {
    /// No registrations yet, and never more than configured.
    pub fn new(follow: &Follow) -> Self {
        Self {
            table: Table::new(follow.max_registrations),
            timeouts: Timeouts::from(follow),
            linger: follow.linger,
            settled: Mutex::default(),
        }
    }

    /// Entries in the table: one for each Call-ID and address of record.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether nothing is followed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries by state at `now`.
    pub fn count(&self, now: Timestamp) -> Vec<(RegistrationState, u64)> {
        let mut present = [0_u64; RegistrationState::ALL.len()];
        self.table
            .for_each(|_, registration| present[registration.state(now) as usize] += 1);
        RegistrationState::ALL
            .map(|state| (state, present[state as usize]))
            .to_vec()
    }

    /// Takes in a REGISTER or a response to one that went from `src` to `dst`. Returns how many registrations left a
    /// full table for it.
    pub fn record(&self, ts: Timestamp, src: Endpoint, dst: Endpoint, message: &Message<'_>) -> usize {
        let call_id = lossy(message.call_id);
        let key = format!("{call_id}\n{}", address_of_record(message));
        let make = || Registration::new(message, ts, self.timeouts);
        let (settled, left) = self.table.find_or_insert(key.as_str(), ts, make, |_, registration| {
            registration.record(ts, src, dst, message)
        });
        self.settle(settled, left.iter().map(|left| &left.entry), ts);
        left.len()
    }

    /// Counts attempts for good: `settled`, and what those came to that have left.
    fn settle<'a>(&self, settled: Vec<Attempt>, left: impl Iterator<Item = &'a Registration>, now: Timestamp) {
        let attempts: Vec<_> = left.fold(settled, |mut attempts, registration| {
            attempts.extend(registration.unsettled(now));
            attempts
        });
        if attempts.is_empty() {
            return;
        }
        let mut totals = self.totals();
        for attempt in &attempts {
            totals.add(attempt);
        }
    }

    /// A panic under this lock leaves sums that hold.
    fn totals(&self) -> MutexGuard<'_, RegistrationTotals> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What all attempts to register came to by `now`, as RFC 6076 measures it. Looks at every registration, a few at a
    /// time.
    pub fn figures(&self, now: Timestamp) -> report::RegistrationFigures {
        // In this order, what is settled meanwhile is missing until the next time, and never counted twice.
        let mut totals = self.totals().clone();
        self.table.for_each(|_, registration| {
            for attempt in registration.unsettled(now) {
                totals.add(&attempt);
            }
        });
        totals.report()
    }

    /// Forgets registrations that ran out long ago, a part of the table at a time.
    pub fn sweep(&self, now: Timestamp) {
        let forgotten = self
            .table
            .sweep(|registration| registration.is_forgotten(now, self.linger));
        self.settle(Vec::new(), forgotten.iter().map(|(_, registration)| registration), now);
    }

    /// Every address of record and contact as it stands at `now`, in order of start, then address of record. A client
    /// that takes a new Call-ID each time is one registration, with the latest state and all messages.
    pub fn report(&self, now: Timestamp) -> Vec<report::Registration> {
        let mut bindings: BTreeMap<(String, String), (Timestamp, report::Registration)> = BTreeMap::new();
        self.table.for_each_copy(|_, registration| {
            let last = registration.last();
            let entry = registration.report(now);
            let key = (entry.aor.clone(), entry.contact.clone());
            let joined = match bindings.remove(&key) {
                Some(known) => join(known, (last, entry)),
                None => (last, entry),
            };
            bindings.insert(key, joined);
        });
        let mut registrations: Vec<_> = bindings.into_values().map(|(_, entry)| entry).collect();
        registrations.sort_by(|a, b| (a.start, &a.aor, &a.contact).cmp(&(b.start, &b.aor, &b.contact)));
        registrations
    }
}

/// Two entries of one binding as one: the one heard of later says how it stands, the one that began earlier where it
/// came from.
fn join(
    a: (Timestamp, report::Registration),
    b: (Timestamp, report::Registration),
) -> (Timestamp, report::Registration) {
    let order = |entry: &(Timestamp, report::Registration)| (entry.0, entry.1.start, entry.1.call_id.clone());
    let (earlier, mut later) = if order(&a) <= order(&b) { (a, b) } else { (b, a) };
    later.1.messages += earlier.1.messages;
    later.1.attempts += earlier.1.attempts;
    later.1.ineffective += earlier.1.ineffective;
    later.1.challenges += earlier.1.challenges;
    for (code, count) in &earlier.1.failures {
        *later.1.failures.entry(*code).or_default() += count;
    }
    later.1.registration_request_delay_ms = later
        .1
        .registration_request_delay_ms
        .or(earlier.1.registration_request_delay_ms);
    if earlier.1.start < later.1.start {
        later.1.start = earlier.1.start;
        later.1.src = earlier.1.src;
        later.1.dst = earlier.1.dst;
    }
    later
}
