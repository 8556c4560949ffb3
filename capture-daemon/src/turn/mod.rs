//! STUN and TURN: who asked which server for what and what came of it, as far as the wire shows it.
//!
//! All lanes share the tables, for the two directions between client and server come on two queues. A transaction is the
//! set of its messages' facts; an allocation is the set of facts of its messages and transactions.

mod allocation;
pub mod channel;
mod figures;
mod fingerprint;
pub mod stun;
mod transactions;
#[cfg(test)]
pub(crate) mod wire;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use allocation::Ends;

use self::allocation::{Allocation, Pair};
use self::figures::Figures;
use self::stun::{Class, Message, Method};
use self::transactions::{Key, Transaction};
use crate::config::Follow;
use crate::net::Endpoint;
use crate::outcome::{Loss, Losses};
use crate::report::{self, AllocationState, TurnFigures};
use crate::table::{Left, Table, Worth};
use crate::time::Timestamp;

/// How a packet went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// Where it comes from.
    pub src: Endpoint,
    /// Where it goes.
    pub dst: Endpoint,
    /// Over TCP.
    pub tcp: bool,
}

/// How TURN wrapped a packet between client and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via {
    /// Over TCP.
    pub tcp: bool,
    /// The number of its ChannelData.
    pub channel: Option<u16>,
    /// The peer that a Send or Data indication names.
    pub peer: Option<Endpoint>,
}

/// What one lane saw relayed on one path since it last told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Time of the first packet.
    pub first: Timestamp,
    /// Time of the last.
    pub last: Timestamp,
    /// In ChannelData.
    pub channel_data: report::Relayed,
    /// In Send and Data indications.
    pub data_indications: report::Relayed,
    /// Indications that only a client sends.
    pub from_client: u64,
    /// Indications that only a server sends.
    pub from_server: u64,
    /// Whether the source, and the destination, has a port of TURN.
    pub on_port: [bool; 2],
}

/// All transactions and allocations.
#[derive(Debug)]
pub struct Turn {
    transactions: Table<Transaction, Key>,
    allocations: Table<Allocation, Pair>,
    /// Transactions that have left the table.
    departed: Mutex<Figures>,
    /// What allocations that have left the table relayed: in ChannelData, in indications.
    departed_data: Mutex<[report::Relayed; 2]>,
    /// Allocations that have left the table, by the state they left it in.
    departed_allocations: [AtomicU64; AllocationState::ALL.len()],
    linger: Duration,
}

impl Turn {
    /// Nothing yet, and never more than configured.
    pub fn new(follow: &Follow) -> Self {
        Self {
            transactions: Table::new(follow.max_stun_transactions),
            allocations: Table::new(follow.max_allocations),
            departed: Mutex::default(),
            departed_data: Mutex::default(),
            departed_allocations: Default::default(),
            linger: follow.linger,
        }
    }

    /// Transactions in the table.
    pub fn transactions(&self) -> usize {
        self.transactions.len()
    }

    /// Allocations in the table, and 5-tuples that may be one.
    pub fn allocations(&self) -> usize {
        self.allocations.len()
    }

    /// Takes in a message; `relayed` is whether it came inside another one of TURN. What is lost by it is counted in the
    /// caller's `losses`.
    pub fn record(&self, ts: Timestamp, path: Path, relayed: bool, message: &Message<'_>, losses: &Losses) {
        let Path { src, dst, tcp } = path;
        // What a relayed message says of allocations is between client and peer, which have none.
        let allocates = !relayed && is_of_turn(message.method);
        let pair = Pair::of(src, dst, tcp);
        if allocates {
            self.allocation(ts, &pair, losses, |allocation| {
                allocation.message(ts, &pair, src, message)
            });
        }
        let (from, to) = match message.class {
            Class::Request => (src, dst),
            Class::Success | Class::Error => (dst, src),
            Class::Indication => return,
        };
        let key = Key {
            from,
            to,
            tcp,
            relayed,
            id: message.transaction,
        };
        let make = || Transaction::new(message.method, ts);
        let ((transaction, counted), left) = self.transactions.find_or_insert(&key, ts, make, |_, transaction| {
            let counted = transaction.request.as_ref().and(transaction.outcome());
            transaction.record(ts, message);
            (allocates.then(|| transaction.clone()), counted)
        });
        self.depart(left, ts, losses);
        if let Some(transaction) = transaction {
            self.allocation(ts, &pair, losses, |allocation| {
                allocation.transaction(&transaction, counted)
            });
        }
    }

    /// Takes in what a lane saw relayed.
    pub fn relayed(&self, path: Path, flow: &Flow, losses: &Losses) {
        let pair = Pair::of(path.src, path.dst, path.tcp);
        self.allocation(flow.last, &pair, losses, |allocation| {
            allocation.relayed(&pair, path.src, flow);
            0
        });
    }

    /// One side ended the TCP connection that carries TURN, and with it the allocation.
    pub fn closed(&self, ts: Timestamp, src: Endpoint, dst: Endpoint, losses: &Losses) {
        self.allocation(ts, &Pair::of(src, dst, true), losses, |allocation| {
            allocation.closed(ts);
            0
        });
    }

    fn allocation(&self, ts: Timestamp, pair: &Pair, losses: &Losses, with: impl FnOnce(&mut Allocation) -> usize) {
        let make = || Allocation::new(ts);
        let (over, left) = self
            .allocations
            .find_or_insert(pair, ts, make, |_, allocation| with(allocation));
        for _ in 0..over {
            losses.count(Loss::TurnBindingEvicted);
        }
        for Left { entry, worth, .. } in left {
            if worth > Worth::Over {
                losses.count(Loss::AllocationEvicted);
            }
            self.depart_allocation(&entry, ts);
        }
    }

    fn depart(&self, left: Vec<Left<Transaction, Key>>, now: Timestamp, losses: &Losses) {
        for Left { entry, worth, .. } in left {
            if worth > Worth::Over {
                losses.count(Loss::StunTransactionEvicted);
            }
            lock(&self.departed).add(&entry, now);
        }
    }

    fn depart_allocation(&self, allocation: &Allocation, now: Timestamp) {
        if let Some(state) = allocation.counted(now) {
            self.departed_allocations[state as usize].fetch_add(1, Ordering::Relaxed);
            let [channel_data, indications] = &mut *lock(&self.departed_data);
            let (in_channels, in_indications) = allocation.data();
            allocation::add(channel_data, in_channels);
            allocation::add(indications, in_indications);
        }
    }

    /// The inner ends of what went along `path` at `ts`; nothing of them where nothing is known.
    pub fn ends(&self, ts: Timestamp, path: Path, via: Via) -> Ends {
        let Path { src, dst, tcp } = path;
        let pair = Pair::of(src, dst, tcp);
        let ends = |_: &Pair, allocation: &mut Allocation| allocation.ends(ts, &pair, src, via.channel, via.peer);
        self.allocations.find(&pair, ends).unwrap_or_default()
    }

    /// Forgets what is over, a part of the tables at a time.
    pub fn sweep(&self, now: Timestamp) {
        let over = self.transactions.sweep(|transaction| transaction.is_over(now));
        if !over.is_empty() {
            let mut departed = lock(&self.departed);
            over.iter().for_each(|(_, transaction)| departed.add(transaction, now));
        }
        for (_, allocation) in self
            .allocations
            .sweep(|allocation| allocation.is_forgotten(now, self.linger))
        {
            self.depart_allocation(&allocation, now);
        }
    }

    /// The figures at `now` that the tables have. Looks at every transaction and allocation, a few at a time.
    pub fn figures(&self, now: Timestamp) -> TurnFigures {
        let mut sum = lock(&self.departed).clone();
        self.transactions.for_each(|_, transaction| sum.add(transaction, now));
        let mut figures = TurnFigures::default();
        sum.report(&mut figures);
        [figures.channel_data, figures.data_indications] = *lock(&self.departed_data);
        let mut states = [0; AllocationState::ALL.len()];
        self.allocations.for_each(|_, allocation| {
            if let Some(state) = allocation.counted(now) {
                states[state as usize] += 1;
                let (permissions, channels) = allocation.bindings(now);
                figures.permissions += permissions;
                figures.channels += channels;
                let (in_channels, in_indications) = allocation.data();
                allocation::add(&mut figures.channel_data, in_channels);
                allocation::add(&mut figures.data_indications, in_indications);
            }
        });
        for state in AllocationState::ALL {
            let departed = self.departed_allocations[state as usize].load(Ordering::Relaxed);
            let count = states[state as usize] + if state.is_over() { departed } else { 0 };
            if count > 0 {
                figures.allocations.insert(state.label().to_owned(), count);
            }
        }
        figures
    }

    /// Every allocation as it stands at `now`, in order of start, then client and server.
    pub fn report(&self, now: Timestamp) -> Vec<report::Allocation> {
        let mut allocations = Vec::new();
        self.allocations
            .for_each_copy(|pair, allocation| allocations.extend(allocation.report(pair, now)));
        allocations.sort_by(|a, b| (a.start, &a.client, &a.server).cmp(&(b.start, &b.client, &b.server)));
        allocations
    }
}

/// A panic under one of these locks leaves sums that are too small by one, at worst.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a method is TURN's: between a client and the server that relays for it.
const fn is_of_turn(method: Method) -> bool {
    match method {
        Method::Allocate
        | Method::Refresh
        | Method::Send
        | Method::Data
        | Method::CreatePermission
        | Method::ChannelBind
        | Method::Connect
        | Method::ConnectionBind
        | Method::ConnectionAttempt => true,
        Method::Binding | Method::SharedSecret | Method::Other => false,
    }
}
