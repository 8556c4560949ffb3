//! The transactions of the whole process: every request but ACK, with its answer and how long that took.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::quality::RandomState;

use super::Timeouts;
use super::table::{Table, Worth};
use super::transaction::{Conclusion, Transaction};
use crate::config::Follow;
use crate::latencies::Latencies;
use crate::net::Endpoint;
use crate::report;
use crate::sip::{EventPackage, Message, Method, StartLine};
use crate::time::Timestamp;

/// All transactions, shared by all lanes, and what those came to that have left the table.
#[derive(Debug)]
pub struct Transactions {
    table: Table<Transaction, Key>,
    timeouts: Timeouts,
    linger: Duration,
    /// Keys of the table's keys, random: what makes a transaction comes from the network.
    hashers: [RandomState; 2],
    departed: Mutex<Totals>,
}

/// What a transaction is known by, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key([u64; 2]);

impl From<&Self> for Key {
    fn from(key: &Self) -> Self {
        *key
    }
}

impl Transactions {
    /// No transactions yet, and never more than configured.
    pub fn new(follow: &Follow) -> Self {
        Self {
            table: Table::new(follow.max_transactions),
            timeouts: Timeouts::from(follow),
            linger: follow.linger,
            hashers: [RandomState::default(), RandomState::default()],
            departed: Mutex::default(),
        }
    }

    /// Transactions in the table.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether nothing is followed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes in a message that went from `src` to `dst`. Returns how many transactions left a full table for it that
    /// were still waiting for their answer.
    pub fn record(&self, ts: Timestamp, src: Endpoint, dst: Endpoint, message: &Message<'_>) -> usize {
        let method = message.cseq.method;
        // An ACK has no response (RFC 3261 section 17).
        if method == Method::Ack {
            return 0;
        }
        let client = match message.start {
            StartLine::Request { .. } => src,
            StartLine::Response { .. } => dst,
        };
        let make = || Transaction::new(method, ts, self.timeouts);
        let key = self.key(client, message);
        let (_, left) = self.table.find_or_insert(&key, ts, make, |_, transaction| {
            transaction.record(ts, message);
        });
        if left.is_empty() {
            return 0;
        }
        let mut departed = self.departed();
        for left in &left {
            departed.add(&left.entry, ts);
        }
        left.iter().filter(|left| left.worth == Worth::Live).count()
    }

    /// What a transaction is known by: branch and method as in RFC 3261 section 17.1.3, Call-ID and CSeq for senders whose
    /// branches are not unique or missing (RFC 2543), and the client's address, which tells the two sides of a NAT apart.
    /// Not its port, nor the server's address: without `rport` the response goes to another port than the request came
    /// from (section 18.2.2), and hosts with several addresses answer from any. Hashed twice with 64 bits, so that no two
    /// ever fall together.
    fn key(&self, client: Endpoint, message: &Message<'_>) -> Key {
        let what = (
            message.branch,
            message.call_id,
            message.cseq.number,
            message.cseq.method,
            client.ip(),
        );
        Key(self.hashers.each_ref().map(|hasher| hasher.hash_one(what)))
    }

    /// Forgets transactions that were over long ago, a part of the table at a time.
    pub fn sweep(&self, now: Timestamp) {
        let forgotten = self
            .table
            .sweep(|transaction| transaction.is_forgotten(now, self.linger));
        if forgotten.is_empty() {
            return;
        }
        let mut departed = self.departed();
        for (_, transaction) in &forgotten {
            departed.add(transaction, now);
        }
    }

    /// What all transactions there were came to by `now`. Looks at every one in the table, a few at a time.
    pub fn report(&self, now: Timestamp) -> Reported {
        // In this order, one that departs meanwhile is missing until the next time, and never counted twice.
        let mut totals = self.departed().clone();
        self.table.for_each(|_, transaction| totals.add(transaction, now));
        totals.report()
    }

    /// A panic under this lock leaves sums that hold.
    fn departed(&self) -> MutexGuard<'_, Totals> {
        self.departed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Figures by method, and by event package.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reported {
    /// By method, those that occurred.
    pub methods: BTreeMap<String, report::Transactions>,
    /// By event package, those that occurred.
    pub events: BTreeMap<String, report::Events>,
}

/// Sums over transactions.
#[derive(Clone, Debug, Default)]
struct Totals {
    methods: [OfMethod; Method::ALL.len()],
    events: [report::Events; EventPackage::ALL.len()],
}

#[derive(Clone, Debug, Default)]
struct OfMethod {
    counts: report::Transactions,
    response_time: Latencies,
}

impl Totals {
    fn add(&mut self, transaction: &Transaction, now: Timestamp) {
        let conclusion = transaction.conclusion(now);
        let of_method = &mut self.methods[transaction.method() as usize];
        let counts = &mut of_method.counts;
        counts.transactions += 1;
        counts.retransmissions += u64::from(transaction.retransmissions());
        match conclusion {
            Conclusion::Answered(code) => *counts.responses.entry(code).or_default() += 1,
            Conclusion::TimedOut => counts.timed_out += 1,
            Conclusion::Open => counts.open += 1,
        }
        if let Some(time) = transaction.response_time() {
            of_method.response_time.record(time);
        }
        if let Some(event) = transaction.event() {
            let events = &mut self.events[event.package as usize];
            match transaction.method() {
                Method::Subscribe => events.subscribe += 1,
                Method::Notify => events.notify += 1,
                _ => events.publish += 1,
            }
            match conclusion {
                Conclusion::Answered(200..300) if event.begins => events.subscriptions += 1,
                Conclusion::Answered(..=399 | 401 | 407) | Conclusion::Open => {}
                Conclusion::Answered(_) | Conclusion::TimedOut => events.failed += 1,
            }
        }
    }

    fn report(self) -> Reported {
        let methods = Method::ALL.iter().zip(self.methods);
        let events = EventPackage::ALL.iter().zip(self.events);
        Reported {
            methods: methods
                .filter(|(_, of)| of.counts.transactions > 0)
                .map(|(method, of)| {
                    let figures = report::Transactions {
                        response_time: of.response_time.report(),
                        ..of.counts
                    };
                    (method.label().to_owned(), figures)
                })
                .collect(),
            events: events
                .filter(|(_, events)| *events != report::Events::default())
                .map(|(package, events)| (package.label().to_owned(), events))
                .collect(),
        }
    }
}
