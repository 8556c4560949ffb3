//! What a call's descriptions come to: who offered what, what was agreed on, when the call was on hold.

use std::sync::Arc;

use super::description::{Codec, Description, Line};
use super::facts::{Fact, Smallest};
use crate::report::{self, Hold, Negotiated, Party};
use crate::time::Timestamp;

/// Descriptions that are kept: the first.
const FIRST: usize = 12;
/// And the last one of each of so many parties: what holds in the end.
const LAST: usize = 4;
/// Parties that began the call, each with a tag of its own.
const CALLERS: usize = 4;

/// The descriptions of one call. The first ones are a minimum, the last ones a maximum over messages, so that the order
/// they are taken in does not matter.
#[derive(Clone, Debug, Default)]
pub struct MediaFacts {
    /// Hashes of the tags of those who began the call.
    callers: Smallest<u64, (), CALLERS>,
    /// The first, each at its first sight, in order of time.
    first: Vec<Description>,
    /// The last of each party, at its last sight.
    last: Vec<Description>,
    /// There were more than are kept.
    more: bool,
}

impl MediaFacts {
    /// The party with this tag began the call.
    pub fn begun_by(&mut self, tag: u64) {
        self.callers.entry(tag);
    }

    /// Takes in a sight of a description.
    pub fn describe(&mut self, mut description: Description) {
        if let Some(known) = self.first.iter().chain(&self.last).find(|known| known.is(&description)) {
            description.lines = Arc::clone(&known.lines);
        }
        // No more room than is needed: nearly always there are two descriptions, and many calls.
        match self.last.iter_mut().find(|known| known.author == description.author) {
            Some(known) if known.seen < description.seen => *known = description.clone(),
            Some(_) => {}
            None => {
                self.last.reserve_exact(1);
                self.last.push(description.clone());
            }
        }
        self.last
            .sort_by_key(|known| std::cmp::Reverse((known.seen, known.author)));
        self.last.truncate(LAST);
        match self.first.iter_mut().find(|known| known.is(&description)) {
            Some(known) => known.again(&description),
            None => {
                self.first.reserve_exact(1);
                self.first.push(description);
            }
        }
        self.first.sort_by_key(|known| (known.seen, known.author));
        self.more |= self.first.len() > FIRST;
        self.first.truncate(FIRST);
    }

    /// Takes in what is known of another part of the same call.
    pub fn join(&mut self, other: Self) {
        self.callers.join(other.callers);
        self.more |= other.more;
        other
            .first
            .into_iter()
            .chain(other.last)
            .for_each(|description| self.describe(description));
    }

    /// Encoding names of all that is described.
    pub fn encodings(&self) -> impl Iterator<Item = &str> {
        let kept = self.first.iter().chain(&self.last);
        let lines = kept.flat_map(|description| description.lines.iter());
        lines.flat_map(|line| line.codecs.iter().filter_map(Codec::name))
    }

    fn side(&self, author: u64) -> Option<Party> {
        self.callers.iter().next()?;
        Some(match self.callers.get(&author) {
            Some(()) => Party::Caller,
            None => Party::Callee,
        })
    }

    /// All that are kept, in order of time, each with its party.
    fn timeline(&self) -> Vec<(Option<Party>, &Description)> {
        let last = self
            .last
            .iter()
            .filter(|last| !self.first.iter().any(|first| first.is(last)));
        let mut all: Vec<_> = self
            .first
            .iter()
            .chain(last)
            .map(|d| (self.side(d.author), d))
            .collect();
        all.sort_by_key(|(_, description)| (description.seen, description.author));
        all
    }

    /// What is to be told; `None` where no description was seen. The call was answered at `answered`.
    pub fn report(&self, answered: Option<Timestamp>) -> Option<report::CallMedia> {
        if self.first.is_empty() {
            return None;
        }
        let timeline = self.timeline();
        let (negotiated, codec_changes) = negotiated(&timeline);
        Some(report::CallMedia {
            answered,
            descriptions: timeline
                .iter()
                .map(|(by, description)| description.report(*by))
                .collect(),
            more_descriptions: self.more,
            negotiated,
            codec_changes,
            holds: holds(&timeline),
        })
    }
}

/// What each side says last, as the descriptions come one after the other.
#[derive(Default)]
struct Sides<'a> {
    caller: Option<&'a Description>,
    callee: Option<&'a Description>,
}

impl<'a> Sides<'a> {
    /// Takes the next; returns what the other side says by then.
    fn take(&mut self, by: Option<Party>, description: &'a Description) -> Option<&'a Description> {
        // Where nobody knows who began the call, the first to describe stands for the caller.
        let by = by.or_else(|| {
            let first = self.caller.is_none_or(|caller| caller.author == description.author);
            Some(if first { Party::Caller } else { Party::Callee })
        })?;
        let (own, other) = match by {
            Party::Caller => (&mut self.caller, self.callee),
            Party::Callee => (&mut self.callee, self.caller),
        };
        *own = Some(description);
        other
    }

    fn both(&self) -> impl Iterator<Item = &'a Description> {
        [self.caller, self.callee].into_iter().flatten()
    }
}

/// The format that an answer picks out of an offer: the answer's first that the offer has too.
fn agreed<'a>(answer: &'a Line, offer: &Line) -> Option<&'a Codec> {
    if answer.port == 0 || offer.port == 0 {
        return None;
    }
    let media = |line: &'a Line| line.codecs.iter().filter(|codec| codec.is_media());
    media(answer).find(|codec| offer.codecs.iter().any(|offered| offered.is(codec)))
}

/// What holds in the end, line by line, and how often a codec took the place of another. Each description is held against the
/// latest of the other side: an answer comes after its offer.
fn negotiated(timeline: &[(Option<Party>, &Description)]) -> (Vec<Negotiated>, u64) {
    let mut sides = Sides::default();
    let mut agreements: Vec<Option<(Timestamp, &Line, &Codec)>> = Vec::new();
    let mut changes = 0;
    for (by, description) in timeline {
        let Some(other) = sides.take(*by, description) else {
            continue;
        };
        for (at, line) in description.lines.iter().enumerate() {
            let codec = other.lines.get(at).and_then(|offer| agreed(line, offer));
            if agreements.len() <= at {
                agreements.resize(at + 1, None);
            }
            let Some(agreement) = agreements.get_mut(at) else {
                continue;
            };
            match (&agreement, codec) {
                (Some((.., known)), Some(codec)) if known.is(codec) => {}
                // An offer that has nothing of the old one in it: its answer will tell.
                (Some(_), None) if line.port != 0 => {}
                (known, codec) => {
                    changes += u64::from(known.is_some() && codec.is_some());
                    let (seen, _) = description.seen;
                    *agreement = codec.map(|codec| (seen, line, codec));
                }
            }
        }
    }
    let told = agreements.iter().enumerate().filter_map(|(at, agreement)| {
        let (seen, line, codec) = agreement.as_ref()?;
        Some(Negotiated {
            line: at,
            kind: line.kind.to_string(),
            codec: codec.report(),
            at: *seen,
        })
    });
    (told.collect(), changes)
}

/// When one side or both wanted to hear nothing.
fn holds(timeline: &[(Option<Party>, &Description)]) -> Vec<Hold> {
    let mut sides = Sides::default();
    let mut holds: Vec<Hold> = Vec::new();
    for (by, description) in timeline {
        sides.take(*by, description);
        let (at, _) = description.seen;
        let held = sides
            .both()
            .any(|side| side.lines.iter().any(|line| line.is_audio() && line.hold));
        let open = holds.last_mut().filter(|hold| hold.until.is_none());
        match (held, open) {
            (true, None) => holds.push(Hold {
                by: *by,
                from: at,
                until: None,
            }),
            (false, Some(hold)) => hold.until = Some(at),
            _ => {}
        }
    }
    holds
}
