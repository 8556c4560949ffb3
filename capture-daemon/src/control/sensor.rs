//! Who answers: the daemon as the control socket and the metrics see it.

use std::future::Future;
use std::pin::Pin;

use super::{Filter, Health, Page, RuleBook, Status};
use crate::report::{Allocation, Call, CallFlow, Registration, Signaling, Stream, TurnFigures};
use crate::rules::{Change, Unchanged};

/// An answer that is being put together, for instance because the workers each have a part of it.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The running daemon. Every method is called on the control thread and must not block it for long; what takes long is
/// a future that yields.
pub trait Sensor: Send + Sync {
    /// How the daemon does.
    fn health(&self) -> Health;
    /// Everything about the daemon itself.
    fn status(&self) -> Status;
    /// Transactions, registrations and sessions in figures.
    fn signaling(&self) -> Signaling;
    /// Calls that pass the filter.
    fn calls<'a>(&'a self, filter: &'a Filter) -> Pending<'a, Page<Call>>;
    /// The calls under one Call-ID, message by message, and their streams.
    fn call<'a>(&'a self, call_id: &'a str) -> Pending<'a, CallFlow>;
    /// RTP streams that pass the filter.
    fn streams<'a>(&'a self, filter: &'a Filter) -> Pending<'a, Page<Stream>>;
    /// Registrations that pass the filter.
    fn registrations<'a>(&'a self, filter: &'a Filter) -> Pending<'a, Page<Registration>>;
    /// STUN and TURN in figures.
    fn turn(&self) -> TurnFigures;
    /// TURN allocations that pass the filter.
    fn allocations<'a>(&'a self, filter: &'a Filter) -> Pending<'a, Page<Allocation>>;
    /// The rules, and what came of each.
    fn rules(&self) -> RuleBook;
    /// Changes the rules, and returns them once the calls under way have their levels by them.
    fn change_rules(&self, change: Change) -> Pending<'_, Result<RuleBook, Unchanged>>;
    /// Begins to stop the daemon and returns at once.
    fn stop(&self);
}
