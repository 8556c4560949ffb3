//! The messages of a call one by one, in a bounded list: the first ones and the last ones.

use std::collections::HashSet;

use super::facts::Tag;
use super::sight::Sight;
use crate::net::Endpoint;
use crate::report;
use crate::sip::{Method, StartLine};
use crate::text::fingerprint;
use crate::time::Timestamp;

/// One message.
#[derive(Clone, Copy, Debug)]
struct Rung {
    ts: Timestamp,
    /// Branch of the topmost Via and RSeq, by their fingerprint.
    branch: u32,
    cseq: u32,
    from: Tag,
    to: Tag,
    /// Place of source and destination in the list of endpoints.
    src: u16,
    dst: u16,
    /// Status code; 0 in a request.
    code: u16,
    method: Method,
    sdp: bool,
}

const _: () = assert!(size_of::<Rung>() <= 32);

/// The messages of a call. Endpoints are kept once and counted, as few take part.
#[derive(Clone, Debug, Default)]
pub struct Ladder {
    /// In order of time.
    rungs: Vec<Rung>,
    ends: Vec<(Endpoint, u16)>,
}

impl Ladder {
    /// Takes in one message, and lets the one in the middle go where there are more than `max`.
    pub fn note(&mut self, max: usize, sight: &Sight<'_, '_>) {
        let Sight {
            ts,
            src,
            dst,
            from,
            to,
            message,
        } = *sight;
        if max == 0 {
            return;
        }
        let code = match message.start {
            StartLine::Request { .. } => 0,
            StartLine::Response { code, .. } => code,
        };
        // Only a provisional response has one (RFC 3262 section 3).
        let rseq = (101..200)
            .contains(&code)
            .then(|| message.headers("RSeq").next())
            .flatten();
        let rung = Rung {
            ts,
            branch: fingerprint((message.branch, rseq)) as u32,
            cseq: message.cseq.number,
            from,
            to,
            src: self.end(src),
            dst: self.end(dst),
            code,
            method: message.cseq.method,
            sdp: message.sdp().is_some(),
        };
        self.insert(max, rung);
    }

    fn insert(&mut self, max: usize, rung: Rung) {
        let key = self.key(&rung);
        // Nearly always it is the latest.
        let place = match self.rungs.last() {
            Some(last) if self.key(last) >= key => self.rungs.partition_point(|known| self.key(known) < key),
            _ => self.rungs.len(),
        };
        if self.rungs.len() == self.rungs.capacity() {
            // Many calls have a dozen messages, and few have hundreds. The least that is answered and ends has seven.
            self.rungs
                .reserve_exact((self.rungs.len() / 4).max(if self.rungs.is_empty() { 8 } else { 4 }));
        }
        self.rungs.insert(place, rung);
        if self.rungs.len() > max {
            // The lowest half and the highest half of all there were, whatever the order they came in.
            let middle = self.rungs.remove(max.div_ceil(2));
            self.forget(middle.src);
            self.forget(middle.dst);
        }
    }

    /// What tells two messages apart; the places of their endpoints depend on which came first.
    fn key(&self, rung: &Rung) -> impl Ord + use<> {
        let Rung {
            ts,
            branch,
            cseq,
            from,
            to,
            src,
            dst,
            code,
            method,
            sdp,
        } = *rung;
        let ends = (self.endpoint(src), self.endpoint(dst));
        (ts, ends, cseq, code, method as u8, branch, from, to, sdp)
    }

    fn endpoint(&self, at: u16) -> Endpoint {
        self.ends.get(usize::from(at)).map(|(end, _)| *end).unwrap_or_default()
    }

    /// The place of an endpoint, which is one more reference to it. There are at most two for each of the messages, whose
    /// number the configuration bounds.
    fn end(&mut self, end: Endpoint) -> u16 {
        let known = self.ends.iter().position(|(known, count)| *count > 0 && *known == end);
        let place = known.or_else(|| self.ends.iter().position(|(_, count)| *count == 0));
        let place = place.unwrap_or_else(|| {
            if self.ends.len() == self.ends.capacity() {
                self.ends.reserve_exact(2);
            }
            self.ends.push((end, 0));
            self.ends.len() - 1
        });
        if let Some(entry) = self.ends.get_mut(place) {
            *entry = (end, entry.1.saturating_add(1));
        }
        u16::try_from(place).unwrap_or(u16::MAX)
    }

    fn forget(&mut self, at: u16) {
        if let Some((_, count)) = self.ends.get_mut(usize::from(at)) {
            *count = count.saturating_sub(1);
        }
    }

    /// Takes in the messages of another part of the call.
    pub fn join(&mut self, max: usize, other: &Self) {
        for rung in &other.rungs {
            let src = self.end(other.endpoint(rung.src));
            let dst = self.end(other.endpoint(rung.dst));
            self.insert(max, Rung { src, dst, ..*rung });
        }
    }

    /// Where the messages that are kept came from and went to.
    pub fn ends(&self) -> impl Iterator<Item = Endpoint> {
        let used = self.ends.iter().filter(|(_, count)| *count > 0);
        used.map(|(end, _)| *end)
    }

    /// Messages that are kept.
    pub fn len(&self) -> usize {
        self.rungs.len()
    }

    /// The messages as reports give them.
    pub fn report(&self) -> Vec<report::Message> {
        let mut seen = HashSet::new();
        let mut tags = Vec::new();
        let mut number = |tag: Tag| {
            let known = tags.iter().position(|known| *known == tag);
            known.unwrap_or_else(|| {
                tags.push(tag);
                tags.len() - 1
            })
        };
        self.rungs
            .iter()
            .map(|rung| report::Message {
                ts: rung.ts,
                src: self.endpoint(rung.src).to_string(),
                dst: self.endpoint(rung.dst).to_string(),
                method: rung.method.label().to_owned(),
                status_code: (rung.code != 0).then_some(rung.code),
                cseq: rung.cseq,
                sdp: rung.sdp,
                retransmission: !seen.insert(same(rung)),
                from_tag: rung.from.is_some().then(|| number(rung.from)),
                to_tag: rung.to.is_some().then(|| number(rung.to)),
            })
            .collect()
    }

    /// How many of the messages repeat an earlier one on the same hop.
    pub fn retransmissions(&self) -> usize {
        let distinct: HashSet<_> = self.rungs.iter().map(same).collect();
        self.rungs.len() - distinct.len()
    }
}

/// What a message and its retransmission have in common (RFC 3261 section 17): the hop, the branch, the method it is about
/// and the status. The same request at another hop has another branch and other addresses.
fn same(rung: &Rung) -> impl Eq + std::hash::Hash + use<> {
    let Rung {
        src,
        dst,
        branch,
        cseq,
        code,
        method,
        from,
        to,
        ..
    } = *rung;
    (src, dst, branch, cseq, code, method, from, to)
}
