//! TCP directions: segments in, contiguous bytes out. What the bytes mean is the caller's.
//!
//! Each direction stands alone, for the two may arrive on different queues. Data that was seen already is skipped; where
//! data is missing, what was held is given up and the reader goes on at the segment at hand (`Direction::place` is where
//! a reordering buffer would hold it instead).

use std::collections::HashMap;
use std::time::Duration;

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

/// What the caller made of the bytes it was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The first so many bytes are a whole unit: a message, a keep-alive. The reader is in step from here on.
    Unit(usize),
    /// The first so many bytes belong to nothing that can be read.
    Skipped(usize),
    /// The bytes begin something that needs more of them.
    More,
}

/// A direction that was silent for this long is forgotten; should it speak again, it is joined in the middle. Twice the
/// longest common keep-alive of SIP clients and far beyond any retransmission.
const IDLE: Duration = Duration::from_secs(900);

/// Data this far below the next expected byte is no retransmission but another connection between the same ports, whose
/// SYN was not seen. No sender of SIP has this much in flight.
const OLD_DATA: u32 = 1 << 24;

/// Directions looked at to find one to give up.
const SAMPLE: usize = 16;

/// One direction of a connection.
#[derive(Debug)]
struct Direction {
    /// Sequence number of the next byte not yet seen.
    next: u32,
    /// Where the data began; tells a repeated SYN from a new connection.
    first: u32,
    /// Nothing is known about what stands before the next byte.
    fresh: bool,
    /// Time of the latest segment.
    last: Timestamp,
    /// Bytes the caller has not consumed: the beginning of something.
    pending: Vec<u8>,
}

/// TCP directions followed at once, each by source and destination.
#[derive(Debug)]
pub struct TcpStreams {
    // SipHash: an attacker chooses addresses, ports and how often.
    directions: HashMap<(Endpoint, Endpoint), Direction>,
    max: usize,
    buffer: usize,
}

impl TcpStreams {
    /// Follows at most `max` directions, each of which holds back at most `buffer` bytes.
    pub fn new(max: usize, buffer: usize) -> Self {
        Self {
            directions: HashMap::new(),
            max: max.max(1),
            buffer,
        }
    }

    /// Takes one segment, and offers the bytes that are now contiguous.
    ///
    /// `take(bytes, fresh)` says what it consumed and is asked again with the rest, until nothing is left or it wants
    /// more than there is. `fresh` says that `bytes` may begin anywhere, in the middle of a connection or behind a gap:
    /// the caller finds the next beginning by itself. It stays true until the first [`Taken::Unit`].
    pub fn push(
        &mut self,
        ts: Timestamp,
        src: Endpoint,
        dst: Endpoint,
        segment: &Segment<'_>,
        losses: &Losses,
        mut take: impl FnMut(&[u8], bool) -> Taken,
    ) {
        let key = (src, dst);
        if !self.directions.contains_key(&key) {
            if segment.payload.is_empty() && !segment.flags.syn() {
                // A bare acknowledgement of a connection in progress tells nothing that the next data would not.
                return;
            }
            self.make_room(losses);
        }
        let buffer = self.buffer;
        let direction = self.directions.entry(key).or_insert_with(|| Direction::joined(segment));
        direction.last = direction.last.max(ts);
        if let Some(data) = direction.place(segment, losses) {
            direction.offer(data, buffer, losses, &mut take);
        }
        if segment.flags.fin() || segment.flags.rst() {
            direction.abandon(losses);
        }
    }

    /// Forgets directions that were silent for a long time.
    pub fn tick(&mut self, ts: Timestamp, losses: &Losses) {
        self.directions.retain(|_, direction| {
            let keep = ts.since(direction.last) < IDLE;
            if !keep {
                direction.abandon(losses);
            }
            keep
        });
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
        if self.directions.len() < self.max {
            return;
        }
        let oldest = self.directions.iter().take(SAMPLE).min_by_key(|(_, d)| d.last);
        if let Some((&key, _)) = oldest {
            self.directions.remove(&key);
            losses.count(Loss::TcpEvicted);
        }
    }
}

impl Direction {
    /// A direction whose first segment this is.
    fn joined(segment: &Segment<'_>) -> Self {
        let first = segment.seq.wrapping_add(u32::from(segment.flags.syn()));
        Self {
            next: first,
            first,
            fresh: !segment.flags.syn(),
            last: Timestamp::ZERO,
            pending: Vec::new(),
        }
    }

    /// Where a segment stands in the direction: the data in it that is new and comes next, or `None`.
    fn place<'a>(&mut self, segment: &Segment<'a>, losses: &Losses) -> Option<&'a [u8]> {
        let mut seq = segment.seq;
        if segment.flags.syn() {
            // SYN takes one sequence number; data may follow in the same segment (RFC 7413).
            seq = seq.wrapping_add(1);
            if seq != self.first {
                self.abandon(losses);
                let last = self.last;
                *self = Self {
                    last,
                    ..Self::joined(segment)
                };
            }
        }
        let old = self.next.wrapping_sub(seq);
        let data = if old < OLD_DATA {
            usize::try_from(old).ok().and_then(|old| segment.payload.get(old..))?
        } else {
            segment.payload
        };
        // A FIN without data still tells that something before it is missing.
        if old >= OLD_DATA && (segment.flags.fin() || !data.is_empty()) {
            losses.count(Loss::TcpGap);
            self.pending = Vec::new();
            self.fresh = true;
            self.next = seq;
        }
        if data.is_empty() {
            return None;
        }
        // The sequence space is 32 bits, and so is the length of a segment's data.
        self.next = self.next.wrapping_add(data.len() as u32);
        Some(data)
    }

    /// Offers held bytes and new ones as one; holds what is not consumed.
    fn offer(&mut self, data: &[u8], buffer: usize, losses: &Losses, take: &mut impl FnMut(&[u8], bool) -> Taken) {
        if self.pending.is_empty() {
            let consumed = drain(data, &mut self.fresh, take);
            self.hold(data.get(consumed..).unwrap_or_default(), buffer, losses);
            return;
        }
        if !self.hold(data, buffer, losses) {
            return;
        }
        let consumed = drain(&self.pending, &mut self.fresh, take);
        if consumed == self.pending.len() {
            // Most directions hold nothing most of the time.
            self.pending = Vec::new();
        } else {
            self.pending.drain(..consumed);
        }
    }

    /// Adds to the held bytes, or gives them up where they would be too many.
    fn hold(&mut self, data: &[u8], buffer: usize, losses: &Losses) -> bool {
        if data.len() > buffer.saturating_sub(self.pending.len()) {
            losses.count(Loss::TcpOverflow);
            self.pending = Vec::new();
            self.fresh = true;
            return false;
        }
        self.pending.extend_from_slice(data);
        true
    }

    /// Gives up what is held: nothing will complete it. The sequence numbers stay, to know retransmissions by.
    fn abandon(&mut self, losses: &Losses) {
        if !self.pending.is_empty() {
            losses.count(Loss::TcpGap);
            self.pending = Vec::new();
        }
    }
}

/// Offers `bytes` until no more are consumed; returns how many were.
fn drain(bytes: &[u8], fresh: &mut bool, take: &mut impl FnMut(&[u8], bool) -> Taken) -> usize {
    let mut consumed = 0;
    while let Some(rest) = bytes.get(consumed..).filter(|rest| !rest.is_empty()) {
        let taken = match take(rest, *fresh) {
            Taken::Unit(taken) => {
                *fresh = false;
                taken
            }
            Taken::Skipped(taken) => taken,
            Taken::More => break,
        };
        if taken == 0 {
            break;
        }
        consumed += taken.min(rest.len());
    }
    consumed
}

#[cfg(test)]
#[path = "tcp_tests.rs"]
mod tests;
