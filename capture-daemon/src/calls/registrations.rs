//! The registrations of the whole process.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Timeouts;
use super::registration::{Registration, address_of_record};
use crate::config::Follow;
use crate::net::Endpoint;
use crate::report::{self, RegistrationState};
use crate::sip::Message;
use crate::table::{Entry, Table};
use crate::time::Timestamp;

/// All registrations, shared by all lanes: one entry for each Call-ID and address of record.
#[derive(Debug)]
pub struct Registrations {
    table: Table<Registration>,
    timeouts: Timeouts,
    linger: Duration,
}

impl Registrations {
    /// No registrations yet, and never more than configured.
    pub fn new(follow: &Follow) -> Self {
        Self {
            table: Table::new(follow.max_registrations),
            timeouts: Timeouts::from(follow),
            linger: follow.linger,
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
        let call_id = String::from_utf8_lossy(message.call_id);
        let key = format!("{call_id}\n{}", address_of_record(message));
        let make = || Registration::new(message, ts, self.timeouts);
        let (_, left) = self.table.find_or_insert(key.as_str(), ts, make, |_, registration| {
            registration.record(ts, src, dst, message);
        });
        left.len()
    }

    /// Forgets registrations that ran out long ago, a part of the table at a time.
    pub fn sweep(&self, now: Timestamp) {
        self.table
            .sweep(|registration| registration.is_forgotten(now, self.linger));
    }

    /// Every address of record and contact as it stands at `now`, in order of start, then address of record. A client
    /// that takes a new Call-ID each time is one registration, with the latest state and all messages.
    pub fn report(&self, now: Timestamp) -> Vec<report::Registration> {
        let mut bindings: BTreeMap<(String, String), (Timestamp, report::Registration)> = BTreeMap::new();
        self.table.for_each(|_, registration| {
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
    if earlier.1.start < later.1.start {
        later.1.start = earlier.1.start;
        later.1.src = earlier.1.src;
        later.1.dst = earlier.1.dst;
    }
    later
}
