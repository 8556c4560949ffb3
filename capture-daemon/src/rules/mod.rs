//! Rules: which calls are kept at another level than the rest.
//!
//! `rule` is one of them, `pattern`, `party`, `network` and `sample` what its conditions are made of; `list` has them in order and
//! decides, `never` finds those that no call will come under, `change` is what can be done to them while siphon runs. Nothing in
//! here knows where calls are kept or levels applied.

mod change;
mod list;
mod network;
mod never;
mod party;
mod pattern;
mod rule;
mod sample;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use capture_common::Level;

pub use change::{Change, Place, Unchanged};
pub use list::{Entry, Facts, Held, List, MAX_RULES, Parties, Ruling, Tally};
pub use network::Network;
pub use never::{Never, idle, never};
pub use party::{Number, Party};
pub use pattern::{Case, Pattern};
pub use rule::{Conditions, Draft, Header, Rule, Said, WORDS, Written, level};
pub use sample::Sample;

/// The rules in force, for all lanes: read with each SIP message of a call, replaced by the control thread.
#[derive(Debug)]
pub struct Rules {
    list: RwLock<Arc<List>>,
    /// Held while a change is made.
    changing: Mutex<()>,
    /// There are any.
    any: AtomicBool,
    /// Generation of the list.
    generation: AtomicU64,
    /// Decisions with a lower ticket may have been made by a list before this one.
    changed_at: AtomicU64,
    /// Decisions so far, so that the later of two can be told.
    tickets: AtomicU64,
    default: Level,
}

impl Rules {
    /// These rules, in this order; calls under none have the level `default`.
    pub fn new(rules: &[Rule], default: Level) -> Self {
        Self {
            list: RwLock::new(Arc::new(List::new(1, rules.to_vec(), &List::default()))),
            changing: Mutex::default(),
            any: AtomicBool::new(!rules.is_empty()),
            generation: AtomicU64::new(1),
            changed_at: AtomicU64::new(0),
            tickets: AtomicU64::new(0),
            default,
        }
    }

    /// The level of calls under no rule.
    pub const fn default_level(&self) -> Level {
        self.default
    }

    /// Whether there are any.
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// The rules in force. They do not change while this is held.
    pub fn list(&self) -> RwLockReadGuard<'_, Arc<List>> {
        // Whoever panicked under this lock had not replaced the list yet, or had done nothing else.
        self.list.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What tells the rules in force from those before.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The ticket of the latest change: what was decided with a higher one was decided by the rules in force.
    pub fn changed_at(&self) -> u64 {
        self.changed_at.load(Ordering::Relaxed)
    }

    /// A number that is higher than those given before.
    pub fn ticket(&self) -> u64 {
        self.tickets.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Makes a change, and returns the rules from then on.
    ///
    /// # Errors
    /// Why it cannot be made; the rules are as they were.
    pub fn change(&self, change: Change) -> Result<Arc<List>, Unchanged> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = Arc::clone(&self.list());
        let rules = known.entries().iter().map(|entry| entry.rule.clone()).collect();
        // Rules are held against each other here: lanes ask meanwhile, each under the lock of a call, and wait for the swap only.
        let changed = Arc::new(List::new(known.generation + 1, change.make(rules)?, &known));
        *self.list.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&changed);
        self.any.store(!changed.is_empty(), Ordering::Relaxed);
        self.changed_at.store(self.ticket(), Ordering::Relaxed);
        // Whoever sees this number sees the rest.
        self.generation.store(changed.generation, Ordering::Release);
        Ok(changed)
    }
}
