//! One direction of a connection: where a segment stands in it, what waits for others, and what is read.
//!
//! Positions are 64 bits wide, their low half the sequence number, so that nothing here wraps.
#![deny(
    clippy::indexing_slicing,
    reason = "holds what anyone may send: a slice is asked for, never assumed"
)]

use std::time::Duration;

use super::{Offer, Segment, Taken};
use crate::net::Endpoint;
use crate::net::pieces::Pieces;
use crate::outcome::{Loss, Losses};
use crate::time::Timestamp;

/// How long a connection joined in the middle is listened to before its first byte is settled: what was sent before may
/// come after, from another buffer of the NIC or of a merged capture.
pub(super) const JOIN: Duration = Duration::from_millis(200);

/// How long missing data is waited for: its first two retransmissions come after one and three seconds at the latest
/// (RFC 6298 section 2). What the receiver got and the capture did not never comes again.
pub(super) const GAP: Duration = Duration::from_secs(3);

/// Data this far from the next expected byte is of another connection between the same ports, whose SYN was not seen. No
/// sender of SIP has this much in flight.
const FAR: u32 = 1 << 24;

/// Where a first sequence number is put: with room below, as what is joined in the middle has data before it.
const BASE: u64 = 1 << 40;

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Direction<R> {
    /// Position of the next byte to be read; while joining, of any byte seen.
    next: u64,
    /// Sequence number of the first byte, where SYN was seen: tells a repeated SYN from a new connection.
    first: Option<u32>,
    /// Position behind the last byte, where FIN or RST was seen.
    end: Option<u64>,
    /// The first byte is not settled yet.
    joining: bool,
    /// Since when something is missing.
    waiting: Option<Timestamp>,
    /// Segments behind what is missing.
    ahead: Pieces,
    /// Bytes the caller has not consumed: the beginning of something.
    pending: Vec<u8>,
    reading: Reading,
    /// The caller reads no more of the connection.
    unreadable: bool,
    /// What the caller remembers.
    pub reader: R,
    /// Time of the latest segment.
    pub last: Timestamp,
    /// Place in the order of those that hold something.
    pub holding: Option<u64>,
}

/// How far the caller is with what is pending.
#[derive(Debug)]
struct Reading {
    /// Nothing is known about what stands before the next byte.
    fresh: bool,
    /// Time of the latest segment that was read.
    ts: Timestamp,
    /// Bytes wanted before the caller is asked again.
    needed: usize,
    /// Bytes the caller has searched already.
    searched: usize,
}

/// Where a segment belongs.
enum Place {
    /// Into this connection, its data at this position.
    At(u64),
    /// It has no data, and no place that could be of this connection.
    Nowhere,
    /// It begins another connection between the same ports.
    Elsewhere,
}

/// What a direction needs to know of the table it is in, and of its flow.
pub(super) struct Context<'a> {
    pub src: Endpoint,
    pub dst: Endpoint,
    /// Bytes it may hold.
    pub buffer: usize,
    pub losses: &'a Losses,
}

impl<R: Copy + Default> Direction<R> {
    /// A direction of which this is the first segment that came.
    pub fn begin(segment: &Segment<'_>) -> Self {
        let syn = segment.flags.syn();
        let first = segment.seq.wrapping_add(u32::from(syn));
        Self {
            next: BASE | u64::from(first),
            first: syn.then_some(first),
            end: None,
            joining: !syn,
            waiting: None,
            ahead: Pieces::default(),
            pending: Vec::new(),
            reading: Reading {
                fresh: !syn,
                ts: Timestamp::ZERO,
                needed: 0,
                searched: 0,
            },
            unreadable: false,
            reader: R::default(),
            last: Timestamp::ZERO,
            holding: None,
        }
    }

    /// Bytes of memory held back.
    pub fn held(&self) -> usize {
        self.pending.len() + self.ahead.cost()
    }

    /// Whether all of the connection was read.
    pub fn ended(&self) -> bool {
        !self.joining && self.end.is_some_and(|end| end <= self.next)
    }

    /// Takes a segment and reads what is now contiguous.
    pub fn take(
        &mut self,
        ts: Timestamp,
        segment: &Segment<'_>,
        context: &Context<'_>,
        take: &mut impl FnMut(&Offer<'_>, &mut R) -> Taken,
    ) {
        self.last = self.last.max(ts);
        match self.place(segment) {
            Place::At(at) => self.keep(ts, at, segment, context, take),
            Place::Nowhere => {}
            Place::Elsewhere => {
                self.finish(context, take);
                if !segment.flags.syn() {
                    context.losses.count(Loss::TcpGap);
                }
                *self = Self {
                    last: self.last,
                    holding: self.holding,
                    ..Self::begin(segment)
                };
                self.keep(ts, self.next, segment, context, take);
            }
        }
        self.advance(context, take);
        while self.waiting.is_some() && self.held() > context.buffer {
            self.settle(context, take);
        }
        self.look(ts, context, take);
    }

    /// Gives up waiting where it was too long at `now`.
    pub fn look(&mut self, now: Timestamp, context: &Context<'_>, take: &mut impl FnMut(&Offer<'_>, &mut R) -> Taken) {
        while let Some(since) = self.waiting {
            if now.since(since) < if self.joining { JOIN } else { GAP } {
                break;
            }
            self.settle(context, take);
        }
    }

    /// Reads what can be read, and gives up the rest: nothing more will come.
    pub fn finish(&mut self, context: &Context<'_>, take: &mut impl FnMut(&Offer<'_>, &mut R) -> Taken) {
        while self.waiting.is_some() {
            self.settle(context, take);
        }
        self.abandon(context);
    }

    /// Forgets what is held, without reading it. The next byte is the one behind it.
    pub fn give_up(&mut self) {
        self.next = self.ahead.end().unwrap_or(self.next).max(self.next);
        self.ahead = Pieces::default();
        self.joining = false;
        self.waiting = None;
        self.clear();
    }

    fn place(&mut self, segment: &Segment<'_>) -> Place {
        // SYN takes one sequence number; data may follow in the same segment (RFC 7413).
        let syn = segment.flags.syn();
        let seq = segment.seq.wrapping_add(u32::from(syn));
        let distance = seq.wrapping_sub(self.next as u32).cast_signed();
        let near = distance.unsigned_abs() < FAR;
        let at = self.next.saturating_add_signed(distance.into());
        if syn && self.first != Some(seq) {
            if !self.joining || !near || self.ahead.start().is_some_and(|start| start < at) {
                return Place::Elsewhere;
            }
            // The beginning of what was joined, come late.
            self.joining = false;
            self.first = Some(seq);
            self.next = at;
            self.reading.fresh = false;
        } else if !near {
            return if segment.payload.is_empty() {
                Place::Nowhere
            } else {
                Place::Elsewhere
            };
        }
        Place::At(at)
    }

    /// Puts the new data of a segment where it belongs: it is read at once, or waits.
    fn keep(
        &mut self,
        ts: Timestamp,
        at: u64,
        segment: &Segment<'_>,
        context: &Context<'_>,
        take: &mut impl FnMut(&Offer<'_>, &mut R) -> Taken,
    ) {
        // The length of a packet's payload is far below 64 bits.
        let end = at + segment.payload.len() as u64;
        if segment.flags.fin() || segment.flags.rst() {
            self.end = Some(end.max(self.next));
        }
        if self.unreadable {
            self.next = self.next.max(end);
            return;
        }
        // Of what was read already, the first copy counted.
        let old = if self.joining { 0 } else { self.next.saturating_sub(at) };
        let data = usize::try_from(old)
            .ok()
            .and_then(|old| segment.payload.get(old..))
            .unwrap_or_default();
        if !data.is_empty() && !self.joining && at + old == self.next && self.ahead.start().is_none() {
            self.read(ts, data, context, take);
        } else {
            self.ahead.insert(at + old, ts, data);
        }
        if self.is_missing_some() {
            self.waiting = Some(self.waiting.map_or(ts, |since| since.min(ts)));
        }
    }

    /// Whether something is known to come before what is held, or before the end.
    fn is_missing_some(&self) -> bool {
        self.joining || self.ahead.start().is_some() || self.end.is_some_and(|end| end > self.next)
    }

    /// Reads what is contiguous.
    fn advance(&mut self, context: &Context<'_>, take: &mut impl FnMut(&Offer<'_>, &mut R) -> Taken) {
        if self.joining {
            return;
        }
        let before = self.next;
        while !self.unreadable
            && let Some(piece) = self.ahead.take(self.next)
        {
            self.read(piece.ts, &piece.bytes, context, take);
        }
        if self.unreadable {
            self.give_up();
            self.next = self.next.max(self.end.unwrap_or_default());
        }
        if !self.is_missing_some() {
            self.waiting = None;
        } else if self.next != before
            && let Some(since) = self.ahead.first_ts()
        {
            // That gap was filled; this is another, and open since what stands behind it came.
            self.waiting = Some(since);
        }
        if self.ended() {
            self.abandon(context);
        }
    }

    /// Gives up what is missing, and goes on behind it.
    fn settle(&mut self, context: &Context<'_>, take: &mut impl FnMut(&Offer<'_>, &mut R) -> Taken) {
        if !self.joining {
            context.losses.count(Loss::TcpGap);
        }
        self.joining = false;
        self.clear();
        self.next = self.ahead.start().or(self.end).unwrap_or(self.next);
        self.advance(context, take);
        // The next gap was open before this one was given up.
        if let Some(since) = self.ahead.first_ts() {
            self.waiting = Some(since);
        }
    }

    /// Gives up what is held of something that nothing will complete.
    fn abandon(&mut self, context: &Context<'_>) {
        if !self.pending.is_empty() {
            context.losses.count(Loss::TcpGap);
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.pending = Vec::new();
        self.reading.fresh = true;
        self.reading.needed = 0;
        self.reading.searched = 0;
    }

    /// Reads the next bytes, together with those that are pending.
    fn read(
        &mut self,
        ts: Timestamp,
        data: &[u8],
        context: &Context<'_>,
        take: &mut impl FnMut(&Offer<'_>, &mut R) -> Taken,
    ) {
        self.next += data.len() as u64;
        self.reading.ts = self.reading.ts.max(ts);
        if !self.pending.is_empty() {
            if self.pending.len() + data.len() <= context.buffer {
                self.pending.extend_from_slice(data);
                if self.pending.len() >= self.reading.needed {
                    match self.reading.offer(&self.pending, &mut self.reader, context, take) {
                        Some(consumed) => self.consume(consumed),
                        None => self.unreadable = true,
                    }
                }
                return;
            }
            context.losses.count(Loss::TcpOverflow);
            self.clear();
        }
        let Some(consumed) = self.reading.offer(data, &mut self.reader, context, take) else {
            self.unreadable = true;
            return;
        };
        let rest = data.get(consumed..).unwrap_or_default();
        if rest.len() > context.buffer {
            context.losses.count(Loss::TcpOverflow);
            self.clear();
        } else {
            self.pending.extend_from_slice(rest);
        }
    }

    fn consume(&mut self, consumed: usize) {
        if consumed == self.pending.len() {
            // Most directions hold nothing most of the time.
            self.pending = Vec::new();
        } else {
            self.pending.drain(..consumed);
        }
    }
}

impl Reading {
    /// Offers `bytes` until no more are consumed; returns how many were, and `None` where there is no reading on.
    fn offer<R>(
        &mut self,
        bytes: &[u8],
        reader: &mut R,
        context: &Context<'_>,
        take: &mut impl FnMut(&Offer<'_>, &mut R) -> Taken,
    ) -> Option<usize> {
        let mut consumed = 0;
        while let Some(rest) = bytes.get(consumed..).filter(|rest| !rest.is_empty()) {
            let offer = Offer {
                src: context.src,
                dst: context.dst,
                ts: self.ts,
                bytes: rest,
                fresh: self.fresh,
                searched: self.searched,
            };
            let taken = take(&offer, reader);
            self.searched = 0;
            let len = match taken {
                Taken::Unit(len) => {
                    self.fresh = false;
                    len
                }
                Taken::Skipped(len) => len,
                Taken::Lost(len) => {
                    self.fresh = true;
                    len
                }
                Taken::More { needed, searched } => {
                    self.needed = needed;
                    self.searched = searched.min(rest.len());
                    return Some(consumed);
                }
                Taken::Unreadable => return None,
            };
            consumed += len.clamp(1, rest.len());
        }
        self.needed = 0;
        Some(consumed)
    }
}
