//! Which rule a call is under, and so how much of it is kept.
//!
//! What conditions on messages held is remembered with the call, and goes with the list of rules it was asked of. Under another
//! list it is taken over for rules that ask for the same. The rest is asked of what the call keeps: addresses of the messages in its
//! ladder and of the one that tells who called whom, formats of its descriptions, and the headers of `follow.headers`.

use std::sync::Arc;

use super::call::Call;
use super::one_call_id::OneCallId;
use crate::net::Endpoint;
use crate::rules::{Facts, Header, Held, List, Network, Parties, Pattern, Ruling};
use crate::sip::Message;
use crate::sip::sdp::Session;

/// Headers that name the sender's software, in requests and in responses (RFC 3261 sections 20.35 and 20.41).
const AGENTS: [&str; 2] = ["User-Agent", "Server"];

/// What is known of a call with regard to rules.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The list that was asked.
    list: Arc<List>,
    held: Held,
    /// The rule the call is under, and its place.
    rule: Option<(usize, Arc<Ruling>)>,
}

impl Standing {
    /// Takes in what is known of another part of the same call, by the later of the lists that were asked.
    pub fn join(&mut self, other: &Self) {
        if self.list.generation < other.list.generation {
            self.held = other.list.carry(&self.list, &self.held);
            self.list = Arc::clone(&other.list);
        }
        self.held.join(&other.held_by(&self.list));
    }

    /// What held, for a list as late as the one that was asked or later.
    fn held_by(&self, list: &List) -> Held {
        if self.list.generation == list.generation {
            self.held.clone()
        } else {
            list.carry(&self.list, &self.held)
        }
    }
}

/// What one message says.
#[derive(Debug)]
pub struct Said<'s, 'm> {
    /// Where it came from and where it went.
    pub ends: (Endpoint, Endpoint),
    /// The message.
    pub message: &'s Message<'m>,
    /// The description in it.
    pub session: Option<&'s Session<'m>>,
}

impl Facts for Said<'_, '_> {
    fn is_at(&self, network: &Network) -> bool {
        let (src, dst) = self.ends;
        network.contains(src.ip()) || network.contains(dst.ip())
    }

    fn is_by(&self, user_agent: &Pattern) -> bool {
        let values = AGENTS.into_iter().flat_map(|name| self.message.headers(name));
        values.into_iter().any(|value| user_agent.matches(value))
    }

    fn describes(&self, codec: &Pattern) -> bool {
        self.session.is_some_and(|session| {
            let mut media = session.media.iter();
            media.any(|media| super::description::encodings(media).any(|name| codec.matches(name)))
        })
    }

    fn has(&self, header: &Header) -> bool {
        self.message
            .headers(&header.name)
            .any(|value| header.value.matches(value))
    }
}

/// What a call keeps of its messages.
impl Facts for Call {
    fn is_at(&self, network: &Network) -> bool {
        let origin = self
            .origin
            .get()
            .into_iter()
            .flat_map(|origin| [origin.src, origin.dst]);
        origin.chain(self.ladder.ends()).any(|end| network.contains(end.ip()))
    }

    fn is_by(&self, user_agent: &Pattern) -> bool {
        AGENTS.into_iter().any(|name| {
            self.kept_header(name)
                .is_some_and(|value| user_agent.matches(value.as_bytes()))
        })
    }

    fn describes(&self, codec: &Pattern) -> bool {
        let media = self.media.as_deref();
        media.is_some_and(|media| media.encodings().any(|name| codec.matches(name.as_bytes())))
    }

    fn has(&self, header: &Header) -> bool {
        let value = self.kept_header(&header.name);
        value.is_some_and(|value| header.value.matches(value.as_bytes()))
    }
}

impl Call {
    /// The rule the call is under.
    pub fn rule(&self) -> Option<&Arc<Ruling>> {
        let (_, rule) = self.standing.as_deref()?.rule.as_ref()?;
        Some(rule)
    }

    /// Asks which rule the call is under, now that it has `said` one more thing, if anything.
    fn judge(&mut self, list: &Arc<List>, call_id: &str, said: Option<&Said<'_, '_>>) {
        let mut held = match self.standing.as_deref_mut() {
            Some(known) if known.list.generation == list.generation => std::mem::take(&mut known.held),
            known => {
                let mut held = known.map_or_else(|| list.nothing_held(), |known| known.held_by(list));
                list.note(&mut held, self);
                held
            }
        };
        if let Some(said) = said {
            list.note(&mut held, said);
        }
        let origin = self.origin.get();
        let parties = Parties {
            call_id: call_id.as_bytes(),
            uris: origin.map(|origin| (origin.from_uri.as_bytes(), origin.to_uri.as_bytes())),
        };
        let rule = list.decide(&held, &parties).map(|(at, rule)| (at, Arc::clone(rule)));
        if let Some((at, _)) = rule {
            list.count(&mut held, at);
        }
        let standing = Standing {
            list: Arc::clone(list),
            held,
            rule,
        };
        match &mut self.standing {
            Some(known) => **known = standing,
            None => self.standing = Some(Box::new(standing)),
        }
    }

    /// The value of a header that the configuration has calls keep.
    fn kept_header(&self, name: &str) -> Option<&str> {
        let at = self
            .rules
            .headers
            .iter()
            .position(|kept| kept.eq_ignore_ascii_case(name))?;
        let (_, value) = self.headers.get(at)?.get()?;
        Some(value)
    }
}

impl OneCallId {
    /// Asks which rule the call that `taker` names is under, now that it has said one more thing. Media knows Call-IDs only: what
    /// is returned holds for all calls under this one, of which those that are over say nothing any more.
    pub fn judge(&mut self, taker: usize, list: &Arc<List>, call_id: &str, said: &Said<'_, '_>) -> Option<Arc<Ruling>> {
        let call = self.calls_mut().nth(taker)?;
        call.judge(list, call_id, Some(said));
        self.first_rule(|at, call| at == taker || call.ended_at().is_none())
    }

    /// Asks which rules the calls are under, now that there are others; likewise.
    pub fn judge_again(&mut self, list: &Arc<List>, call_id: &str) -> Option<Arc<Ruling>> {
        self.calls_mut().for_each(|call| call.judge(list, call_id, None));
        let goes_on = self.calls().any(|call| call.ended_at().is_none());
        self.first_rule(|_, call| !goes_on || call.ended_at().is_none())
    }

    fn first_rule(&self, counts: impl Fn(usize, &Call) -> bool) -> Option<Arc<Ruling>> {
        let standings = self.calls().enumerate().filter(|(at, call)| counts(*at, call));
        let rules = standings.filter_map(|(_, call)| call.standing.as_deref()?.rule.as_ref());
        rules.min_by_key(|(at, _)| *at).map(|(_, rule)| Arc::clone(rule))
    }
}
