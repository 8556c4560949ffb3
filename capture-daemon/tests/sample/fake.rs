//! A sensor that answers with what is in this folder.

use std::sync::atomic::{AtomicUsize, Ordering};

use capture_common::Level;
use capture_daemon::control::{
    Filter, Health, Page, Pending, RuleBook, RuleStatus, Sensor, Status, draft_of_json, rule_as_json,
};
use capture_daemon::report::{
    Allocation, AllocationState, Call, CallFlow, CallState, Registration, RegistrationState, Signaling, Stream,
    TurnFigures,
};
use capture_daemon::rules::{Change, Entry, List, Rule, Rules, Unchanged};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::figures::{signaling, turn};
use super::{allocation, call, health, registration, status, stream};

/// A sensor that answers with the above.
pub struct Fake {
    pub health: Health,
    pub calls: Vec<Call>,
    pub streams: Vec<Stream>,
    pub registrations: Vec<Registration>,
    pub rules: Rules,
    pub stops: AtomicUsize,
    pub stopped: Notify,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            health: health(),
            calls: vec![
                call(1, CallState::Ended),
                call(2, CallState::Ringing),
                call(3, CallState::Failed),
            ],
            streams: vec![stream(0xbeef, Some("1-4711@192.0.2.10")), stream(0xcafe, None)],
            registrations: vec![
                registration(1, RegistrationState::Registered),
                registration(2, RegistrationState::Failed),
            ],
            rules: Rules::new(&rules(), Level::Signaling),
            stops: AtomicUsize::new(0),
            stopped: Notify::new(),
        }
    }
}

/// Three rules, the last of which nothing is left to.
pub fn rules() -> Vec<Rule> {
    let words = [
        json!({"name": "support", "level": "full", "from": "+49-211-*", "header": {"name": "X-Customer", "value": "acme*"}}),
        json!({"name": "one-in-ten", "level": "headers", "sample": 0.1}),
        json!({"name": "one-in-100", "level": "full", "sample": 0.01, "codec": "opus"}),
    ];
    let rule = |words: &Value| draft_of_json(words.as_object().unwrap()).unwrap().finish().unwrap();
    words.iter().map(rule).collect()
}

/// What came of some rules.
pub fn book(list: &List) -> Vec<RuleStatus> {
    let status = |(entry, number): (&Entry, u64)| RuleStatus {
        rule: rule_as_json(&entry.rule),
        calls: 1_234 * number,
        calls_now: 17 * number,
        rtp_packets: 1_234_567 * number,
        never: entry.never.as_ref().map(ToString::to_string),
        idle: None,
    };
    list.entries().iter().zip(0..).map(status).collect()
}

impl Sensor for Fake {
    fn health(&self) -> Health {
        self.health.clone()
    }

    fn status(&self) -> Status {
        status()
    }

    fn signaling(&self) -> Signaling {
        signaling()
    }

    fn calls<'a>(&'a self, filter: &'a Filter) -> Pending<'a, Page<Call>> {
        Box::pin(async { filter.calls(self.calls.clone()) })
    }

    fn call<'a>(&'a self, call_id: &'a str) -> Pending<'a, CallFlow> {
        let calls = self.calls.iter().filter(|call| call.call_id == call_id);
        let flow = CallFlow::new(call_id, calls.cloned().collect(), self.streams.clone());
        Box::pin(async { flow })
    }

    fn streams<'a>(&'a self, filter: &'a Filter) -> Pending<'a, Page<Stream>> {
        Box::pin(async { filter.streams(self.streams.clone()) })
    }

    fn registrations<'a>(&'a self, filter: &'a Filter) -> Pending<'a, Page<Registration>> {
        Box::pin(async { filter.registrations(self.registrations.clone()) })
    }

    fn turn(&self) -> TurnFigures {
        turn()
    }

    fn allocations<'a>(&'a self, filter: &'a Filter) -> Pending<'a, Page<Allocation>> {
        let all = vec![
            allocation(1, AllocationState::Deleted),
            allocation(2, AllocationState::Active),
        ];
        Box::pin(async { filter.allocations(all) })
    }

    fn rules(&self) -> RuleBook {
        RuleBook {
            default_level: self.rules.default_level().label().to_owned(),
            rules: book(&self.rules.list()),
        }
    }

    fn change_rules(&self, change: Change) -> Pending<'_, Result<RuleBook, Unchanged>> {
        Box::pin(async { self.rules.change(change).map(|_| Sensor::rules(self)) })
    }

    fn stop(&self) {
        self.stops.fetch_add(1, Ordering::SeqCst);
        self.stopped.notify_one();
    }
}
