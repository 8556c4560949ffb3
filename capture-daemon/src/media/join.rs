//! Which call a stream belongs to: what is known of its two ends and of its source, weighed by how well each is grounded.

use std::sync::Arc;

use super::announcement::{Author, Basis, Claim, Grounds, LEAD, Lease, Place, Purpose, Terms};
use super::codec::{self, Format};
use super::endpoints::Endpoints;
use super::stream::{Due, Key, Stream};
use crate::net::Endpoint;
use crate::outcome::Losses;
use crate::report::{LinkedBy, Party};
use crate::time::Timestamp;

/// What joined a stream with its call, and how much that is worth against other links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// What it was.
    pub by: LinkedBy,
    /// The higher is the better; no two have the same.
    pub rank: u8,
}

/// The call a stream belongs to.
#[derive(Clone, Debug)]
pub struct Join {
    /// The call.
    pub lease: Arc<Lease>,
    /// What joined them.
    pub link: Link,
    /// What the call's SDP says of payload types.
    pub formats: Arc<[Format]>,
    /// A packet of the stream came while the call was under way; else the call is only the nearest in time.
    pub firm: bool,
    /// Who sends the stream, where it is known who began the call.
    pub sender: Option<Party>,
    /// Whether the stream is SRTP; `None` while only one side has said that it could be.
    pub srtp: Option<bool>,
}

impl Join {
    /// Call-ID.
    pub fn call_id(&self) -> &Arc<str> {
        self.lease.call_id()
    }

    /// Whether nothing that may still be learned changes this.
    fn is_settled(&self) -> bool {
        self.firm && self.link.by == LinkedBy::Destination && self.sender.is_some() && self.srtp.is_some()
    }

    fn is(&self, other: &Self) -> bool {
        let Self {
            lease,
            link,
            formats,
            firm,
            sender,
            srtp,
        } = self;
        Arc::ptr_eq(formats, &other.formats)
            && Arc::ptr_eq(lease, &other.lease)
            && (link, firm, sender, srtp) == (&other.link, &other.firm, &other.sender, &other.srtp)
    }
}

/// What looks for its call: a stream, wherever it is measured.
pub trait Seeker {
    /// What tells it from others.
    fn key(&self) -> &Key;
    /// Arrival of its first packet.
    fn start(&self) -> Timestamp;
    /// Arrival of its latest packet.
    fn end(&self) -> Timestamp;
    /// The payload type whose clock matters most.
    fn payload_type(&self) -> u8;
    /// Source and destination as SDP may name them, as far as that is known at `ts`.
    fn ends(&mut self, ts: Timestamp, endpoints: &Endpoints) -> (Endpoint, Endpoint);
    /// Whether these are others than its packets' own, and may change.
    fn is_relayed(&self) -> bool {
        false
    }
    /// The call it belongs to.
    fn joined(&self) -> Option<&Join>;
    /// Remembers the generation of its places; returns whether it is another than at the last look.
    fn look(&mut self, generation: u32) -> bool;
    /// Has the endpoint table asked at the next occasion again.
    fn stay_alert(&mut self);
    /// Puts it into a call.
    fn join(&mut self, join: Join);
    /// Looks at how much is kept of its call at `ts`, where that matters to it.
    fn note_level(&mut self, _: Timestamp, _: &Endpoints) {}
}

impl Seeker for Stream {
    fn note_level(&mut self, ts: Timestamp, endpoints: &Endpoints) {
        self.note_level(ts, endpoints);
    }

    fn key(&self) -> &Key {
        self.key()
    }

    fn start(&self) -> Timestamp {
        self.start()
    }

    fn end(&self) -> Timestamp {
        self.end()
    }

    fn payload_type(&self) -> u8 {
        self.payload_type()
    }

    fn ends(&mut self, ts: Timestamp, endpoints: &Endpoints) -> (Endpoint, Endpoint) {
        self.ends(ts, endpoints)
    }

    fn joined(&self) -> Option<&Join> {
        self.joined()
    }

    fn is_relayed(&self) -> bool {
        self.is_relayed()
    }

    fn look(&mut self, generation: u32) -> bool {
        self.look(generation)
    }

    fn stay_alert(&mut self) {
        self.stay_alert();
    }

    fn join(&mut self, join: Join) {
        self.join(join);
    }
}

/// No places have this generation: a stream that remembers it looks in any case.
pub const UNSEEN: u32 = 0;

/// What the endpoint table says of a stream's next packet.
#[derive(PartialEq, Eq)]
pub enum Look {
    /// It belongs to the stream.
    Same,
    /// It belongs to another call than the stream's packets so far.
    OtherCall,
}

/// One way a stream may be a call's.
struct Candidate {
    claim: Claim,
    link: Link,
    sender: Option<Party>,
}

/// Lets a stream at rest find its call.
pub fn settle(stream: &mut impl Seeker, endpoints: &Endpoints, losses: &Losses) -> Look {
    stream.ends(stream.end(), endpoints);
    stream.note_level(stream.end(), endpoints);
    if stream.joined().is_some_and(Join::is_settled) {
        return Look::Same;
    }
    look(stream, stream.end(), endpoints, Due::Change, losses)
}

/// Asks about the stream's packet of time `ts`.
#[cold]
pub fn look(stream: &mut impl Seeker, ts: Timestamp, endpoints: &Endpoints, due: Due, losses: &Losses) -> Look {
    let has_moved = stream.look(generation(stream.key(), endpoints));
    if !has_moved && due == Due::Change && !stream.is_relayed() {
        return Look::Same;
    }
    let ends = stream.ends(ts, endpoints);
    stream.note_level(ts, endpoints);
    let (chosen, is_pending) = find(stream, ends, ts, endpoints);
    if is_pending {
        stream.look(UNSEEN);
    }
    let active = chosen.as_ref().is_some_and(|(_, join)| join.firm);
    if stream.joined().is_some() && !active {
        if due == Due::Restart {
            // The call is over and the sender started over: the next call, whose SDP another lane is about to read.
            return Look::OtherCall;
        }
        stream.stay_alert();
    }
    let Some((claim, mut join)) = chosen else {
        return Look::Same;
    };
    if let Some(held) = stream.joined() {
        if held.call_id() == join.call_id() {
            if held.link.rank > join.link.rank {
                return Look::Same;
            }
            join.firm |= held.firm;
            if held.is(&join) {
                return Look::Same;
            }
        } else {
            // Another call. It takes over what the held one has only by being near, or by the lesser link, if its SDP
            // can be late by so much.
            let covers_start = claim.since <= stream.start().plus(LEAD);
            if !covers_start || (held.firm && held.link.rank >= join.link.rank) {
                // Where the source's call is chosen before the destination's, that one is over. Its last packets may
                // still come, but not after a pause.
                let begins = active && (join.link.rank >= held.link.rank || due != Due::Change);
                return if begins { Look::OtherCall } else { Look::Same };
            }
        }
    }
    if join.link.by == LinkedBy::Destination && active {
        guess_source(stream, ends.0, &claim, endpoints, losses);
    }
    stream.join(join);
    stream.note_level(ts, endpoints);
    Look::Same
}

/// A number that is another when what is known of a stream's places has changed.
pub fn generation(key: &Key, endpoints: &Endpoints) -> u32 {
    let source = endpoints.has_ssrcs().then_some(Place::Ssrc(key.ssrc));
    let places = [key.dst.into(), key.src.into()].into_iter().chain(source);
    endpoints.generation(places)
}

/// What is known at `ts` of the stream between these ends: a call under way before one that is only near, then the
/// better link. And whether time alone will make that another.
fn find(
    stream: &impl Seeker,
    (src, dst): (Endpoint, Endpoint),
    ts: Timestamp,
    endpoints: &Endpoints,
) -> (Option<(Claim, Join)>, bool) {
    let outer = *stream.key();
    let holder = stream.joined().map(|join| &**join.call_id());
    let mut is_pending = false;
    let mut claim = |place: Place| {
        let (claim, pends) = endpoints.claim_media(place, ts, holder);
        is_pending |= pends;
        claim
    };
    // SDP may name the client's own address where TURN relays for it: ICE leaves that to the candidates (RFC 8839).
    let by_dst = claim(dst.into()).or_else(|| claim(outer.dst.into()).filter(|_| dst != outer.dst));
    let by_src = claim(src.into()).or_else(|| claim(outer.src.into()).filter(|_| src != outer.src));
    let by_dst = by_dst.and_then(|claim| of_destination(claim, endpoints.grounds()));
    let by_src = by_src.and_then(|claim| of_source(claim, endpoints.grounds()));
    let by_ssrc = endpoints
        .has_ssrcs()
        .then(|| claim(Place::Ssrc(outer.ssrc)))
        .flatten()
        .map(of_ssrc);
    let all = [&by_dst, &by_src, &by_ssrc];
    let worth = |one: &&Candidate| (one.claim.active, one.link.rank);
    let Some(best) = all.into_iter().flatten().max_by_key(worth) else {
        return (None, is_pending);
    };
    let call_id = best.claim.call_id();
    // What the other party of the same call says.
    let mut others = all
        .into_iter()
        .flatten()
        .filter(|one| one.claim.call_id() == call_id && one.claim.author != best.claim.author);
    let formats = formats(best, &others.clone().collect::<Vec<_>>(), stream.payload_type());
    let srtp = best.claim.srtp.with(others.next().map(|one| one.claim.srtp));
    let join = Join {
        lease: Arc::clone(&best.claim.lease),
        link: best.link,
        formats,
        firm: best.claim.active,
        sender: best.sender,
        srtp,
    };
    (Some((best.claim.clone(), join)), is_pending)
}

fn of_destination(claim: Claim, grounds: &Grounds) -> Option<Candidate> {
    Some(Candidate {
        link: link(grounds, claim.basis, LinkedBy::Destination)?,
        sender: claim.side.map(Party::other),
        claim,
    })
}

fn of_source(claim: Claim, grounds: &Grounds) -> Option<Candidate> {
    Some(Candidate {
        link: link(grounds, claim.basis, LinkedBy::Source)?,
        sender: claim.side,
        claim,
    })
}

/// What a claim on this end is worth. `None` for a guess that is not wanted.
fn link(grounds: &Grounds, basis: Basis, end: LinkedBy) -> Option<Link> {
    let by = match basis {
        Basis::Described => end,
        Basis::Candidate => LinkedBy::Ice,
        Basis::SignalingAddress => LinkedBy::SignalingAddress,
        Basis::Symmetric => LinkedBy::Symmetric,
    };
    let rank = grounds.worth(basis)? * 2 + u8::from(end == LinkedBy::Destination);
    Some(Link { by, rank })
}

/// Where this stream comes from is where the endpoint it goes to sends its own media, unless SDP says otherwise
/// (RFC 4961). RTCP does the same one port further, where it has a port of its own.
fn guess_source(stream: &impl Seeker, src: Endpoint, claim: &Claim, endpoints: &Endpoints, losses: &Losses) {
    let grounds = endpoints.grounds();
    let Some(worth) = grounds.worth(Basis::Symmetric) else {
        return;
    };
    let known = |known: Claim| {
        let better = grounds.worth(known.basis) > Some(worth);
        known.active && (better || (known.basis == Basis::Symmetric && known.call_id() == claim.call_id()))
    };
    if endpoints
        .claim(src, Purpose::Media, stream.end(), Some(claim.call_id()))
        .is_some_and(known)
    {
        return;
    }
    let mut terms = Terms {
        purpose: Purpose::Media,
        basis: Basis::Symmetric,
        author: Author {
            peer: !claim.author.peer,
            ..claim.author
        },
        formats: Arc::clone(&claim.formats),
        srtp: claim.srtp,
    };
    endpoints.announce(src, claim.call_id(), stream.start(), &terms, losses);
    if let Some(rtcp) = rtcp_beside(src) {
        terms.purpose = Purpose::Rtcp;
        endpoints.announce(rtcp, claim.call_id(), stream.start(), &terms, losses);
    }
}

/// RTCP's endpoint where nothing else is said: the next port of an even one (RFC 3550 section 11).
pub fn rtcp_beside(rtp: Endpoint) -> Option<Endpoint> {
    (rtp.port() != 0 && rtp.port().is_multiple_of(2)).then(|| rtp.with_port(rtp.port() + 1))
}

/// What an SSRC in SDP is worth: more than a guess, less than an address. Its author sends it.
fn of_ssrc(claim: Claim) -> Candidate {
    Candidate {
        link: Link {
            by: LinkedBy::Ssrc,
            rank: 7,
        },
        sender: claim.side,
        claim,
    }
}

/// The destination says what payload types it receives, the source what it wants itself. Where the better link has no word for
/// the type at hand, another one's word is taken; a static type needs none.
fn formats(best: &Candidate, others: &[&Candidate], payload_type: u8) -> Arc<[Format]> {
    let knows = |one: &&&Candidate| {
        one.claim
            .formats
            .iter()
            .any(|format| format.payload_type == payload_type)
    };
    let in_doubt = codec::assigned(payload_type).is_none() && !knows(&&best);
    let other = others.iter().find(knows).filter(|_| in_doubt);
    Arc::clone(&other.map_or(best, |other| other).claim.formats)
}

#[cfg(test)]
#[path = "join_tests.rs"]
mod tests;
