//! What connects calls: the two sides of a back-to-back user agent have Call-IDs of their own.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::facts::{Fact, Smallest};
use crate::report;
use crate::sip::{Message, Method, StartLine, replaced_call_id, session_ids};
use crate::text::fingerprint;

/// Tokens of one call that are kept.
const TOKENS: usize = 4;
/// Call-IDs that are told of as related to one call: a header that is the same in every call connects them all.
const RELATED: usize = 8;

/// What a call has in common with those it belongs with, as fingerprints: the UUIDs of RFC 7989, which a back-to-back user
/// agent hands on, one of each end, in either order; the Call-ID that Replaces names (RFC 3891); and the values of the
/// configured headers, which are another call's Call-ID or the same in both.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Smallest<u64, (), TOKENS>);

impl Tokens {
    /// Takes in what one message has.
    pub fn note(&mut self, message: &Message<'_>, correlate: &[Box<str>]) {
        for uuid in message.headers("Session-ID").flat_map(session_ids) {
            self.0.entry(fingerprint(("uuid", uuid.to_ascii_lowercase())));
        }
        let invites = matches!(
            message.start,
            StartLine::Request {
                method: Method::Invite,
                ..
            }
        );
        let replaces = invites.then(|| message.headers("Replaces"));
        let replaced = replaces.into_iter().flatten().filter_map(replaced_call_id);
        let named = correlate.iter().flat_map(|name| message.headers(name));
        for value in replaced.chain(named).filter(|value| !value.is_empty()) {
            self.0.entry(of_call_id(value));
        }
    }

    /// Whether the two calls belong together.
    pub fn is_related(&self, call_id: &str, other: &Self, other_call_id: &str) -> bool {
        all(call_id, self).any(|token| all(other_call_id, other).any(|theirs| token == theirs))
    }
}

impl Fact for Tokens {
    fn join(&mut self, other: Self) {
        self.0.join(other.0);
    }
}

fn of_call_id(call_id: &[u8]) -> u64 {
    fingerprint(("call-id", call_id))
}

/// Tells each of these calls, which come in the order of reports, which others it is related to.
pub fn relate(calls: &mut [(report::Call, Tokens)]) {
    let mut by_token: HashMap<u64, Vec<usize>> = HashMap::new();
    for (at, (call, tokens)) in calls.iter().enumerate() {
        for token in all(&call.call_id, tokens) {
            let members = by_token.entry(token).or_default();
            let is_named = |at: &usize| calls.get(*at).is_some_and(|(other, _)| other.call_id == call.call_id);
            // One more than are told of, as the call itself may be among them. A Call-ID that is used again is named once.
            if members.len() <= RELATED && !members.iter().any(is_named) {
                members.push(at);
            }
        }
    }
    let related: Vec<Vec<String>> = calls
        .iter()
        .map(|(call, tokens)| {
            let places: BTreeSet<usize> = all(&call.call_id, tokens)
                .filter_map(|token| by_token.get(&token))
                .flatten()
                .copied()
                .collect();
            let ids = places
                .iter()
                .filter_map(|at| calls.get(*at))
                .map(|(other, _)| &other.call_id);
            let mut named = HashSet::from([&call.call_id]);
            ids.filter(|id| named.insert(*id)).take(RELATED).cloned().collect()
        })
        .collect();
    for ((call, _), related) in calls.iter_mut().zip(related) {
        call.related = related;
    }
}

/// The tokens of a call, and its Call-ID, which another may name.
fn all(call_id: &str, tokens: &Tokens) -> impl Iterator<Item = u64> {
    tokens
        .0
        .iter()
        .map(|(token, ())| *token)
        .chain([of_call_id(call_id.as_bytes())])
}
