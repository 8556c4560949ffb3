//! The facts of one transaction at one hop, and what became of it.

use std::time::Duration;

use super::table::{Entry, Worth};
use super::{Timeouts, earliest};
use crate::sip::{EventPackage, Message, Method, StartLine};
use crate::time::Timestamp;

/// A request and its responses, as they pass one hop (RFC 3261 section 17). Every field is a minimum, a maximum or a sum
/// over messages.
#[derive(Clone, Debug)]
pub struct Transaction {
    timeouts: Timeouts,
    method: Method,
    last: Timestamp,
    /// How often the request was seen.
    requests: u32,
    /// The earliest of them.
    request: Option<Timestamp>,
    /// The latest request or provisional response.
    active: Timestamp,
    /// The earliest final response, the lower code of two at one time.
    answer: Option<(Timestamp, u16)>,
    event: Option<Event>,
}

/// What a SUBSCRIBE, NOTIFY or PUBLISH is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The package.
    pub package: EventPackage,
    /// A SUBSCRIBE outside a dialog that asks for more than one NOTIFY (RFC 6665 section 4.4.3: Expires 0 is a fetch).
    pub begins: bool,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// The status code of the earliest final response.
    Answered(u16),
    /// No final response in time.
    TimedOut,
    /// The final response may still come, or the request was never seen.
    Open,
}

impl Transaction {
    /// Nothing known but the method and that there is a message at `ts`.
    pub fn new(method: Method, ts: Timestamp, timeouts: Timeouts) -> Self {
        Self {
            timeouts,
            method,
            last: ts,
            requests: 0,
            request: None,
            active: Timestamp::ZERO,
            answer: None,
            event: None,
        }
    }

    /// Takes in one of its messages.
    pub fn record(&mut self, ts: Timestamp, message: &Message<'_>) {
        self.last = self.last.max(ts);
        match message.start {
            StartLine::Request { method, .. } => {
                self.requests = self.requests.saturating_add(1);
                self.request = earliest(self.request, ts);
                self.active = self.active.max(ts);
                // Copies of a request carry the same Event; where they do not, the order must not decide.
                let rank = |event: &Event| (event.package as usize, event.begins);
                self.event = self.event.into_iter().chain(event(method, message)).min_by_key(rank);
            }
            StartLine::Response { code, .. } if code < 200 => self.active = self.active.max(ts),
            StartLine::Response { code, .. } => {
                let answer = (ts, code);
                self.answer = Some(self.answer.map_or(answer, |known| known.min(answer)));
            }
        }
    }

    /// The method of the request.
    pub const fn method(&self) -> Method {
        self.method
    }

    /// What the request is about, where it is a SUBSCRIBE, NOTIFY or PUBLISH.
    pub const fn event(&self) -> Option<Event> {
        self.event
    }

    /// How often the request was seen again.
    pub const fn retransmissions(&self) -> u32 {
        self.requests.saturating_sub(1)
    }

    /// From the earliest request to the earliest final response; `None` where either was not seen.
    pub fn response_time(&self) -> Option<Duration> {
        Some(self.answer?.0.since(self.request?))
    }

    /// What became of it by `now`.
    pub fn conclusion(&self, now: Timestamp) -> Conclusion {
        if let Some((_, code)) = self.answer {
            return Conclusion::Answered(code);
        }
        let Some(request) = self.request else {
            return Conclusion::Open;
        };
        // Timer C begins again with each provisional response (RFC 3261 section 16.7, step 2), timer F does not.
        let due = match self.method {
            Method::Invite => self.active.plus(self.timeouts.invite),
            _ => request.plus(self.timeouts.request),
        };
        if now > due {
            Conclusion::TimedOut
        } else {
            Conclusion::Open
        }
    }

    /// Whether nothing has been heard of it for longer than `linger` and nothing is expected.
    pub fn is_forgotten(&self, now: Timestamp, linger: Duration) -> bool {
        self.worth(now) < Worth::Live && now.since(self.last) > linger
    }
}

impl Entry for Transaction {
    fn last(&self) -> Timestamp {
        self.last
    }

    fn worth(&self, now: Timestamp) -> Worth {
        match self.conclusion(now) {
            Conclusion::Answered(_) | Conclusion::TimedOut => Worth::Over,
            Conclusion::Open if self.request.is_none() => Worth::Loose,
            Conclusion::Open => Worth::Live,
        }
    }
}

fn event(method: Method, message: &Message<'_>) -> Option<Event> {
    if !matches!(method, Method::Subscribe | Method::Notify | Method::Publish) {
        return None;
    }
    Some(Event {
        package: EventPackage::from_header(message.headers("Event").next().unwrap_or_default()),
        begins: method == Method::Subscribe && message.to_tag.is_none() && message.expires != Some(0),
    })
}
