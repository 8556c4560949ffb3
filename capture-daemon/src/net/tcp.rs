//! TCP directions: segments in, contiguous bytes out. What the bytes mean is the caller's, who has a state of their own in
//! each direction to remember it in.
//!
//! Each direction stands alone, for the two may arrive on different queues. Segments are read in the order of their
//! sequence numbers, in whatever order they come; of bytes that come twice, the first count. Missing data is waited for
//! and then given up, and the reader finds the next beginning behind it.

mod direction;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use self::direction::{Context, Direction};

use super::Endpoint;
use crate::outcome::{Loss, Losses};
use crate::time::Timestamp;

/// Control bits of a segment (RFC 9293 section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    const FIN: u8 = 0x01;
    const SYN: u8 = 0x02;
    const RST: u8 = 0x04;

    /// From the byte of the header.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The sender has no more data.
    pub const fn fin(self) -> bool {
        self.0 & Self::FIN != 0
    }

    /// The sender begins its sequence numbers.
    pub const fn syn(self) -> bool {
        self.0 & Self::SYN != 0
    }

    /// The connection is no more.
    pub const fn rst(self) -> bool {
        self.0 & Self::RST != 0
    }
}

/// A TCP segment as captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Sequence number of the first byte of data, or of SYN.
    pub seq: u32,
    /// Control bits.
    pub flags: Flags,
    /// Data, as far as captured.
    pub payload: &'a [u8],
}

/// Contiguous bytes of a direction.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// Where they come from.
    pub src: Endpoint,
    /// Where they go.
    pub dst: Endpoint,
    /// When the receiver could read them: the time of the latest segment up to them.
    pub ts: Timestamp,
    /// The bytes, at least one. What comes behind a whole unit may have come later.
    pub bytes: &'a [u8],
    /// Whether they may begin anywhere, in the middle of a connection or behind a gap: the caller finds the next beginning
    /// by itself. True until the first [`Taken::Unit`], and again after [`Taken::Lost`].
    pub fresh: bool,
    /// What the caller said in [`Taken::More`] of the same bytes when there were fewer; 0 at first.
    pub searched: usize,
}

/// What the caller made of the bytes it was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The first so many bytes are a whole unit: a message, a keep-alive. The reader is in step from here on.
    Unit(usize),
    /// The first so many bytes belong to nothing that can be read.
    Skipped(usize),
    /// The same, and what follows may begin anywhere: the reader is out of step.
    Lost(usize),
    /// Nothing that this connection carries can be read: there will be no more offers of it, and what is missing of it is
    /// missed by nobody.
    Unreadable,
    /// The bytes begin something that needs more of them.
    More {
        /// Bytes there must be before the caller is asked again.
        needed: usize,
        /// Bytes the caller does not want to search again.
        searched: usize,
    },
}

/// A direction that was silent for this long is forgotten; should it speak again, it is joined in the middle. Twice the
/// longest common keep-alive of SIP clients and far beyond any retransmission.
const IDLE: Duration = Duration::from_secs(900);

/// The same for one that was read to its end: retransmissions of the last segments are still known.
const ENDED: Duration = Duration::from_secs(30);

/// Directions looked at to find one to give up.
const SAMPLE: usize = 16;

/// What the directions of a table may hold back.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Directions at once.
    pub directions: usize,
    /// Bytes of memory for one direction.
    pub buffer: usize,
    /// Bytes of memory for all of them.
    pub total: usize,
}

/// TCP directions followed at once, each by source and destination.
///
/// `R` is what the caller remembers of each: it begins as its default, is lent with every [`Offer`], and goes with the
/// connection. It is `Copy`, so that it owns no memory beside its place in the table: what a reader wants to see again it
/// leaves pending ([`Taken::More`]), where it is bounded.
#[derive(Debug)]
pub struct TcpStreams<R> {
    // SipHash: an attacker chooses addresses, ports and how often.
    directions: HashMap<(Endpoint, Endpoint), Direction<R>>,
    /// Those that hold something, in the order in which they began to.
    holding: BTreeMap<u64, (Endpoint, Endpoint)>,
    /// Bytes that all hold.
    held: usize,
    /// Number of the next that begins to hold something.
    number: u64,
    limits: Limits,
}

impl<R: Copy + Default> TcpStreams<R> {
    /// Follows directions within `limits`.
    pub fn new(limits: Limits) -> Self {
        Self {
            directions: HashMap::new(),
            holding: BTreeMap::new(),
            held: 0,
            number: 0,
            limits: Limits {
                directions: limits.directions.max(1),
                ..limits
            },
        }
    }

    /// Takes one segment, and offers the bytes that are now contiguous: `take` says what it consumed and is asked again
    /// with the rest, until nothing is left or it wants more than there is. Returns what the caller now remembers of the
    /// direction.
    pub fn push(
        &mut self,
        ts: Timestamp,
        src: Endpoint,
        dst: Endpoint,
        segment: &Segment<'_>,
        losses: &Losses,
        mut take: impl FnMut(&Offer<'_>, &mut R) -> Taken,
    ) -> R {
        let key = (src, dst);
        if !self.directions.contains_key(&key) {
            if segment.payload.is_empty() && !segment.flags.syn() {
                // A bare acknowledgement of a connection in progress tells nothing that the next data would not.
                return R::default();
            }
            self.make_room(losses);
        }
        let context = context(key, &self.limits, losses);
        let direction = self.directions.entry(key).or_insert_with(|| Direction::begin(segment));
        let before = direction.held();
        direction.take(ts, segment, &context, &mut take);
        let reader = direction.reader;
        self.account(key, before);
        self.release(losses);
        reader
    }

    /// Gives up what was waited for too long, and forgets directions that were silent for a long time.
    pub fn tick(&mut self, now: Timestamp, losses: &Losses, mut take: impl FnMut(&Offer<'_>, &mut R) -> Taken) {
        let Self {
            directions,
            holding,
            held,
            limits,
            ..
        } = self;
        directions.retain(|key, direction| {
            let before = direction.held();
            let context = context(*key, limits, losses);
            direction.look(now, &context, &mut take);
            let keep = now.since(direction.last) < if direction.ended() { ENDED } else { IDLE };
            if !keep {
                direction.finish(&context, &mut take);
            }
            // What is held never grows here.
            *held -= before - direction.held();
            if direction.held() == 0
                && let Some(number) = direction.holding.take()
            {
                holding.remove(&number);
            }
            keep
        });
    }

    /// Reads what can be read, and gives up the rest: no more segments will come.
    pub fn finish(&mut self, losses: &Losses, mut take: impl FnMut(&Offer<'_>, &mut R) -> Taken) {
        for (key, direction) in &mut self.directions {
            direction.finish(&context(*key, &self.limits, losses), &mut take);
        }
        self.directions.clear();
        self.holding.clear();
        self.held = 0;
    }

    /// Whether a direction is followed, so that its segments are wanted whatever they begin with.
    pub fn follows(&self, src: Endpoint, dst: Endpoint) -> bool {
        self.directions.contains_key(&(src, dst))
    }

    /// Directions followed now.
    pub fn len(&self) -> usize {
        self.directions.len()
    }

    /// Whether none is followed.
    pub fn is_empty(&self) -> bool {
        self.directions.is_empty()
    }

    /// Gives up the longest silent of a sample where the table is full.
    fn make_room(&mut self, losses: &Losses) {
        if self.directions.len() < self.limits.directions {
            return;
        }
        let oldest = self.directions.iter().take(SAMPLE).min_by_key(|(_, d)| d.last);
        if let Some((&key, _)) = oldest
            && let Some(direction) = self.directions.remove(&key)
        {
            self.held -= direction.held();
            if let Some(number) = direction.holding {
                self.holding.remove(&number);
            }
            losses.count(Loss::TcpEvicted);
        }
    }

    /// Takes note of what a direction holds now, which was `before`.
    fn account(&mut self, key: (Endpoint, Endpoint), before: usize) {
        let Some(direction) = self.directions.get_mut(&key) else {
            return;
        };
        let after = direction.held();
        self.held = self.held - before + after;
        if after == 0 {
            if let Some(number) = direction.holding.take() {
                self.holding.remove(&number);
            }
        } else if direction.holding.is_none() {
            direction.holding = Some(self.number);
            self.holding.insert(self.number, key);
            self.number += 1;
        }
    }

    /// Has those that began first to hold something give it up while all hold too much.
    fn release(&mut self, losses: &Losses) {
        while self.held > self.limits.total {
            let Some((_, &key)) = self.holding.first_key_value() else {
                break;
            };
            let Some(direction) = self.directions.get_mut(&key) else {
                break;
            };
            let before = direction.held();
            direction.give_up();
            losses.count(Loss::TcpOverflow);
            self.account(key, before);
        }
    }
}

fn context<'a>((src, dst): (Endpoint, Endpoint), limits: &Limits, losses: &'a Losses) -> Context<'a> {
    Context {
        src,
        dst,
        buffer: limits.buffer,
        losses,
    }
}

#[cfg(test)]
mod tests;
