//! Totals of transactions: what a server's operator watches. Those that left the table and those that are in it are added
//! up the same way, so that the sum does not depend on who has left.

use std::collections::BTreeMap;

use super::stun::Method;
use super::transactions::{Answer, Transaction};
use crate::latencies::Latencies;
use crate::report::{StunTransactions, TurnFigures};
use crate::time::Timestamp;

/// Kinds of transactions: the methods, and ICE connectivity checks.
const KINDS: usize = Method::ALL.len() + 1;

/// The sum of some transactions.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    kinds: [Figure; KINDS],
    challenges: u64,
    refused_credentials: BTreeMap<u16, u64>,
}

#[derive(Clone, Debug, Default)]
struct Figure {
    requests: u64,
    retransmissions: u64,
    successes: u64,
    errors: BTreeMap<u16, u64>,
    unanswered: u64,
    round_trips: Latencies,
}

impl Figures {
    /// Adds a transaction as it stands at `now`.
    pub fn add(&mut self, transaction: &Transaction, now: Timestamp) {
        let check = transaction.is_check();
        let kind = if check { KINDS - 1 } else { transaction.method as usize };
        self.kinds[kind].add(transaction, now);
        let Some(request) = &transaction.request else { return };
        let Some(Answer::Error(Some(code))) = transaction.outcome() else {
            return;
        };
        match code {
            _ if check => {}
            401 if !request.credentials => self.challenges += 1,
            401 | 438 | 441 => *self.refused_credentials.entry(code).or_default() += 1,
            _ => {}
        }
    }

    /// Writes the sums into `figures`.
    pub fn report(self, figures: &mut TurnFigures) {
        figures.challenges = self.challenges;
        figures.authentication_failures = self.refused_credentials;
        let labels = Method::ALL.iter().map(|method| method.label()).chain(["ice_check"]);
        for (label, figure) in labels.zip(self.kinds) {
            let transactions = figure.report();
            if transactions != StunTransactions::default() {
                figures.transactions.insert(label.to_owned(), transactions);
            }
        }
    }
}

impl Figure {
    fn add(&mut self, transaction: &Transaction, now: Timestamp) {
        if let Some(request) = &transaction.request {
            self.requests += 1;
            self.retransmissions += request.count - 1;
        }
        match transaction.outcome() {
            Some(Answer::Success) => self.successes += 1,
            Some(Answer::Error(code)) => *self.errors.entry(code.unwrap_or(0)).or_default() += 1,
            None => self.unanswered += u64::from(transaction.is_unanswered(now)),
        }
        if let Some(took) = transaction.round_trip() {
            self.round_trips.record(took);
        }
    }

    fn report(self) -> StunTransactions {
        StunTransactions {
            requests: self.requests,
            retransmissions: self.retransmissions,
            successes: self.successes,
            errors: self.errors,
            unanswered: self.unanswered,
            round_trip: self.round_trips.report(),
        }
    }
}
