//! The facts of one registration, and where it stands.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::time::Duration;

use super::attempts::{Attempt, Attempts, End};
use super::table::{Entry, Worth};
use super::{Timeouts, kept_text};
use crate::net::Endpoint;
use crate::report::{self, RegistrationState};
use crate::sip::{Message, StartLine, Uri};
use crate::time::Timestamp;

/// REGISTER requests of one client that are remembered. The answers to those with the highest CSeq decide; which ones
/// these are does not depend on the order of arrival.
const TRANSACTIONS: usize = 4;
/// Bindings of one answer that are remembered.
const BINDINGS: usize = 8;
/// Codes of refusals that are counted one by one, the lowest; clients meet one or two.
const REFUSALS: usize = 8;

/// What is known of the REGISTER messages of one Call-ID and address of record: a client keeps its Call-ID for all of
/// them (RFC 3261 section 10.2). As in a call, every field is a minimum, a maximum or a sum.
#[derive(Clone, Debug)]
pub struct Registration {
    timeouts: Timeouts,
    call_id: Box<str>,
    aor: Box<str>,
    first: Timestamp,
    last: Timestamp,
    messages: u64,
    /// Source and destination of the earliest request, or of the earliest response turned around.
    origin: Option<(bool, Timestamp, Endpoint, Endpoint)>,
    /// The earliest Contact that is not `*`.
    contact: Option<(Timestamp, Box<str>)>,
    /// Highest CSeq first.
    transactions: Vec<Transaction>,
    attempts: Attempts,
    /// What the attempts came to that are settled.
    settled: Tries,
}

/// Sums over attempts to register.
#[derive(Clone, Debug, Default)]
struct Tries {
    attempts: u64,
    ineffective: u64,
    challenges: u64,
    refusals: BTreeMap<u16, u64>,
    /// Of the latest successful one.
    delay: Option<Duration>,
}

impl Tries {
    fn add(&mut self, attempt: &Attempt) {
        self.attempts += 1;
        self.ineffective += u64::from(attempt.end.is_ineffective());
        self.challenges += u64::from(attempt.challenges);
        if let End::Refused(code) = attempt.end {
            *self.refusals.entry(code).or_default() += 1;
            if self.refusals.len() > REFUSALS {
                self.refusals.pop_last();
            }
        }
        self.delay = attempt.delay.or(self.delay);
    }
}

/// One REGISTER and its final response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Transaction {
    cseq: u32,
    request: Option<Request>,
    response: Option<Response>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    ts: Timestamp,
    /// No Contact: the client only asks which bindings there are.
    is_query: bool,
    expires: Option<u32>,
}

/// Of several, the one at the hop nearest to the client is kept, then the earliest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Response {
    vias: usize,
    ts: Timestamp,
    code: u16,
    /// Contacts as fingerprints, with the seconds each has left.
    bindings: Vec<(u64, u32)>,
    expires: Option<u32>,
}

/// The address of record of a REGISTER or of its response: the URI in To as a registrar reads it.
pub fn address_of_record(message: &Message<'_>) -> Box<str> {
    let uri = message.to.uri;
    match Uri::parse(uri) {
        Some(parts) => kept_text(parts.address_of_record().as_bytes()),
        None => kept_text(uri),
    }
}

impl Registration {
    /// Nothing known but the message to come.
    pub fn new(message: &Message<'_>, ts: Timestamp, timeouts: Timeouts) -> Self {
        Self {
            timeouts,
            call_id: kept_text(message.call_id),
            aor: address_of_record(message),
            first: ts,
            last: ts,
            messages: 0,
            origin: None,
            contact: None,
            transactions: Vec::with_capacity(TRANSACTIONS + 1),
            attempts: Attempts::new(timeouts),
            settled: Tries::default(),
        }
    }

    /// Takes in one message that went from `src` to `dst`. Returns the attempts that are settled by it.
    pub fn record(&mut self, ts: Timestamp, src: Endpoint, dst: Endpoint, message: &Message<'_>) -> Vec<Attempt> {
        self.messages += 1;
        self.first = self.first.min(ts);
        self.last = self.last.max(ts);
        let origin = match message.start {
            StartLine::Request { .. } => (false, ts, src, dst),
            StartLine::Response { .. } => (true, ts, dst, src),
        };
        self.origin = Some(self.origin.map_or(origin, |known| known.min(origin)));
        let settled = match message.start {
            StartLine::Request { .. } => {
                self.request(ts, message);
                self.attempts.request(ts, message)
            }
            StartLine::Response { code, .. } if code >= 200 => {
                self.response(ts, message, code);
                self.attempts.answer(ts, message, code)
            }
            StartLine::Response { .. } => Vec::new(),
        };
        for attempt in &settled {
            self.settled.add(attempt);
        }
        settled
    }

    /// The attempts that are not settled, as they stand at `now`.
    pub fn unsettled(&self, now: Timestamp) -> Vec<Attempt> {
        self.attempts.unsettled(now)
    }

    fn request(&mut self, ts: Timestamp, message: &Message<'_>) {
        let mut contacts = message.contacts().peekable();
        let is_query = contacts.peek().is_none();
        let named = message.contacts().find(|contact| contact.uri != b"*");
        if let Some(contact) = named
            && self.contact.as_ref().is_none_or(|(known, _)| ts <= *known)
        {
            let seen = (ts, kept_text(contact.uri));
            self.contact = Some(self.contact.take().map_or(seen.clone(), |known| known.min(seen)));
        }
        // A client that moves removes its old binding and adds the new one in one request: what lasts longest counts.
        let expires = contacts
            .filter_map(|contact| message.expires_of(&contact))
            .max()
            .or(message.expires);
        let request = Request { ts, is_query, expires };
        if let Some(transaction) = self.transaction(message.cseq.number) {
            transaction.request = Some(transaction.request.map_or(request, |known| known.min(request)));
        }
    }

    fn response(&mut self, ts: Timestamp, message: &Message<'_>, code: u16) {
        // The response lists every binding of the address of record (RFC 3261 section 10.3, step 8), those of other
        // clients too.
        let bindings = message
            .contacts()
            .filter_map(|contact| Some((fingerprint(contact.uri), message.expires_of(&contact)?)))
            .take(BINDINGS)
            .collect();
        let response = Response {
            vias: message.vias,
            ts,
            code,
            bindings,
            expires: message.expires,
        };
        if let Some(transaction) = self.transaction(message.cseq.number) {
            transaction.response = Some(match transaction.response.take() {
                Some(known) => known.min(response),
                None => response,
            });
        }
    }

    /// The transaction of this CSeq, unless as many higher ones are known as are kept.
    fn transaction(&mut self, cseq: u32) -> Option<&mut Transaction> {
        let place = self.transactions.partition_point(|known| known.cseq > cseq);
        if self.transactions.get(place).is_none_or(|known| known.cseq != cseq) {
            self.transactions.insert(
                place,
                Transaction {
                    cseq,
                    ..Transaction::default()
                },
            );
            self.transactions.truncate(TRANSACTIONS);
        }
        self.transactions.get_mut(place)
    }

    /// The transaction with the highest CSeq that has its answer, and the answer.
    fn answered(&self) -> Option<(&Transaction, &Response)> {
        self.transactions
            .iter()
            .find_map(|transaction| Some((transaction, transaction.response.as_ref()?)))
    }

    /// Seconds granted by `response`: to this client's binding, else to the first, else to all.
    fn granted(&self, response: &Response) -> Option<u32> {
        let contact = self
            .contact
            .as_ref()
            .map(|(_, contact)| fingerprint(contact.as_bytes()));
        let ours = response.bindings.iter().find(|(known, _)| Some(*known) == contact);
        let binding = ours.or(response.bindings.first());
        binding.map(|(_, seconds)| *seconds).or(response.expires)
    }

    fn expires(&self) -> Option<u32> {
        let asked = |transaction: &Transaction| transaction.request.and_then(|request| request.expires);
        match self.answered() {
            Some((transaction, response)) if response.code < 300 => match asked(transaction) {
                Some(0) => Some(0),
                asked => self.granted(response).or(asked),
            },
            _ => self.transactions.iter().find_map(asked),
        }
    }

    /// Where the registration stands at `now`.
    pub fn state(&self, now: Timestamp) -> RegistrationState {
        let settled = self.answered().map(|(transaction, response)| match response.code {
            401 | 407 => RegistrationState::Challenged,
            300.. => RegistrationState::Failed,
            _ => self.settled(transaction, response),
        });
        let pending = self
            .transactions
            .first()
            .filter(|transaction| transaction.response.is_none())
            .and_then(|transaction| transaction.request);
        match (pending, settled) {
            (Some(request), _) if now > request.ts.plus(self.timeouts.request) => RegistrationState::TimedOut,
            // A refresh on its way does not unmake the binding, nor does the second try the challenge.
            (Some(_), Some(RegistrationState::Registered)) => RegistrationState::Registered,
            (Some(_), Some(RegistrationState::Challenged)) => RegistrationState::Challenged,
            (Some(_), _) | (None, None) => RegistrationState::Trying,
            (None, Some(settled)) => settled,
        }
    }

    fn settled(&self, transaction: &Transaction, response: &Response) -> RegistrationState {
        let request = transaction.request;
        let removes = request.is_some_and(|request| request.expires == Some(0));
        let finds_none = request.is_some_and(|request| request.is_query) && response.bindings.is_empty();
        if removes || finds_none || self.granted(response) == Some(0) {
            RegistrationState::Unregistered
        } else {
            RegistrationState::Registered
        }
    }

    /// Whether nothing has been heard of it for longer than `linger` and its binding has run out.
    pub fn is_forgotten(&self, now: Timestamp, linger: Duration) -> bool {
        let lasts = match self.state(now) {
            RegistrationState::Registered => Duration::from_secs(self.expires().unwrap_or(0).into()),
            _ => Duration::ZERO,
        };
        now > self.last.plus(lasts).plus(linger)
    }

    /// The registration as reports give it.
    pub fn report(&self, now: Timestamp) -> report::Registration {
        let (src, dst) = self.origin.map(|(_, _, src, dst)| (src, dst)).unwrap_or_default();
        let mut tries = self.settled.clone();
        for attempt in self.unsettled(now) {
            tries.add(&attempt);
        }
        report::Registration {
            aor: self.aor.to_string(),
            contact: self
                .contact
                .as_ref()
                .map_or_else(String::new, |(_, contact)| contact.to_string()),
            state: self.state(now),
            status_code: self.answered().map(|(_, response)| response.code),
            expires_s: self.expires(),
            start: self.first,
            call_id: self.call_id.to_string(),
            src: src.to_string(),
            dst: dst.to_string(),
            messages: self.messages,
            attempts: tries.attempts,
            ineffective: tries.ineffective,
            challenges: tries.challenges,
            failures: tries.refusals,
            registration_request_delay_ms: tries.delay.map(|delay| delay.as_nanos() as f64 / 1e6),
        }
    }
}

impl Entry for Registration {
    fn last(&self) -> Timestamp {
        self.last
    }

    fn worth(&self, now: Timestamp) -> Worth {
        if self.is_forgotten(now, Duration::ZERO) {
            Worth::Over
        } else {
            Worth::Live
        }
    }
}

/// Stands for a contact's URI where the bindings of an answer are remembered; two that fall together only mix up two
/// expiries.
fn fingerprint(uri: &[u8]) -> u64 {
    rustc_hash::FxBuildHasher.hash_one(kept_text(uri))
}
