//! One STUN transaction: the request and its answer, which may come on two lanes in either order.

use std::time::Duration;

use super::stun::{Class, Message, Method, TransactionId};
use crate::net::Endpoint;
use crate::table::{Entry, Worth};
use crate::time::Timestamp;

/// When a client gives up: Ti with the usual 500 ms (RFC 8489 section 6.2.1).
pub(super) const GIVEN_UP: Duration = Duration::from_millis(39_500);

/// Peers of one CreatePermission that are remembered.
const MAX_PEERS: usize = 16;

/// What tells transactions apart: who asked whom, and the id (RFC 8489 section 6.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Where the request comes from.
    pub from: Endpoint,
    /// Where it goes.
    pub to: Endpoint,
    /// Over TCP.
    pub tcp: bool,
    /// It was relayed inside another message of TURN.
    pub relayed: bool,
    /// The id, with the cookie.
    pub id: TransactionId,
}

impl From<&Self> for Key {
    fn from(key: &Self) -> Self {
        *key
    }
}

/// How a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// With success.
    Success,
    /// With this code; `None` where it could not be read.
    Error(Option<u16>),
}

/// A request, as far as all its copies tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Time of the first.
    pub first: Timestamp,
    /// How many.
    pub count: u64,
    /// It is signed.
    pub credentials: bool,
    /// It is an ICE connectivity check.
    pub check: bool,
    /// LIFETIME it asks for.
    pub lifetime: Option<u32>,
    /// CHANNEL-NUMBER it binds.
    pub channel: Option<u16>,
    /// The peers it is about.
    pub peers: Box<[Endpoint]>,
}

/// The answers, as far as all copies tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The first, which the client believes.
    pub first: (Timestamp, Answer),
    /// Times of the first and of the last success.
    pub granted: Option<(Timestamp, Timestamp)>,
    /// A success was signed, as checks' are and servers' without a long-term credential are not.
    pub signed: bool,
}

/// All that is known of a transaction: minima, maxima and sums over its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The method.
    pub method: Method,
    /// The request.
    pub request: Option<Request>,
    /// The answers.
    pub answered: Option<Answered>,
    last: Timestamp,
}

impl Transaction {
    /// Nothing but its method.
    pub fn new(method: Method, ts: Timestamp) -> Self {
        Self {
            method,
            request: None,
            answered: None,
            last: ts,
        }
    }

    /// Takes in a request or an answer.
    pub fn record(&mut self, ts: Timestamp, message: &Message<'_>) {
        self.last = self.last.max(ts);
        match message.class {
            Class::Request => match &mut self.request {
                Some(request) => {
                    request.first = request.first.min(ts);
                    request.count += 1;
                }
                None => self.request = Some(Request::new(ts, message)),
            },
            Class::Success => self.answer(ts, Answer::Success, message.integrity),
            Class::Error => self.answer(ts, Answer::Error(message.error), false),
            Class::Indication => {}
        }
    }

    fn answer(&mut self, ts: Timestamp, answer: Answer, signed: bool) {
        let granted = (answer == Answer::Success).then_some((ts, ts));
        self.answered = Some(match self.answered {
            None => Answered {
                first: (ts, answer),
                granted,
                signed,
            },
            Some(known) => Answered {
                first: known.first.min((ts, answer)),
                granted: match (known.granted, granted) {
                    (Some((first, last)), Some(_)) => Some((first.min(ts), last.max(ts))),
                    (known, new) => known.or(new),
                },
                signed: known.signed || signed,
            },
        });
    }

    /// What the client takes for the answer.
    pub fn outcome(&self) -> Option<Answer> {
        self.answered.map(|answered| answered.first.1)
    }

    /// From the first request to the first answer. Two queues stamp independently, so that it may be nothing.
    pub fn round_trip(&self) -> Option<Duration> {
        let (answered, _) = self.answered?.first;
        Some(answered.since(self.request.as_ref()?.first))
    }

    /// Whether it is an ICE connectivity check. The request says it; without it, an answer about a binding that is signed.
    pub fn is_check(&self) -> bool {
        match &self.request {
            Some(request) => request.check,
            None => self.method == Method::Binding && self.answered.is_some_and(|answered| answered.signed),
        }
    }

    /// Whether the client has given up at `now`.
    pub fn is_unanswered(&self, now: Timestamp) -> bool {
        self.answered.is_none()
            && self
                .request
                .as_ref()
                .is_some_and(|request| now > request.first.plus(GIVEN_UP))
    }

    /// Whether no message of it is expected any more.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now > self.last.plus(GIVEN_UP)
    }
}

impl Request {
    fn new(ts: Timestamp, message: &Message<'_>) -> Self {
        Self {
            first: ts,
            count: 1,
            credentials: message.integrity,
            check: message.is_check(),
            lifetime: message.lifetime,
            channel: message.channel,
            peers: message.peers().take(MAX_PEERS).collect(),
        }
    }
}

impl Entry for Transaction {
    fn last(&self) -> Timestamp {
        self.last
    }

    fn worth(&self, now: Timestamp) -> Worth {
        if self.answered.is_some() || self.is_over(now) {
            Worth::Over
        } else {
            Worth::Live
        }
    }
}
