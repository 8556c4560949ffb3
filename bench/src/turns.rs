//! The load in memory, for what runs without a wire: a packet of each stream, turn after turn, so that with many streams
//! every one is a cache miss.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use capture_common::load::Fields;
use capture_daemon::config::{Capture, Follow};
use capture_daemon::engine::{Engine, Shared};
use capture_daemon::frame::{Frame, LinkType};
use capture_daemon::frontier::Frontier;
use capture_daemon::outcome::Outcome;
use capture_daemon::time::Timestamp;
use capture_daemon::worker;

use crate::calls::{self, Message};
use crate::frame;

/// Frames that are in memory at once, and bytes from one to the next: siphon's umem by default. However many streams there are, a frame
/// is read where one lay 16,384 frames before, as in a ring; without that, those of few streams would never leave the nearest cache.
const FRAMES: u64 = 16_384;
const STRIDE: usize = 2_048;

/// Frames a worker takes from its ring at once.
const BATCH: usize = worker::BATCH as usize;

/// Time between two packets of a stream.
const PTIME: u64 = 20_000_000;

/// The packet time of the first.
const BEGIN: u64 = 1_795_251_600_000_000_000;

/// A packet of each stream, turn after turn.
#[derive(Debug)]
pub struct Turns {
    bytes: Vec<u8>,
    streams: u64,
    /// Numbers of the frames that are there, from the first of the load on.
    there: Range<u64>,
}

impl Turns {
    /// Those of `streams` streams, before the first.
    pub fn new(streams: u32) -> Self {
        let mut bytes = vec![0; FRAMES as usize * STRIDE];
        let template = frame::template();
        for frame in bytes.chunks_exact_mut(STRIDE) {
            frame[..frame::LENGTH].copy_from_slice(&template);
        }
        Self {
            bytes,
            streams: streams.into(),
            there: 0..0,
        }
    }

    /// Makes the frames those that come next, as many as there is room for, but none from number `end` on.
    pub fn bring(&mut self, end: u64) {
        let first = self.there.end;
        self.there = first..end.min(first + FRAMES);
        for number in self.there.clone() {
            let fields = Fields::of(number, self.streams);
            frame::write(&mut self.bytes[place(number)..][..STRIDE], fields);
        }
    }

    /// Numbers of the frames that are there.
    pub fn there(&self) -> Range<u64> {
        self.there.clone()
    }

    /// Those frames, with their numbers.
    pub fn frames(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.there()
            .map(|number| (number, &self.bytes[place(number)..][..frame::LENGTH]))
    }
}

/// Where the frame of this number lies.
const fn place(number: u64) -> usize {
    (number % FRAMES) as usize * STRIDE
}

/// An engine that follows those streams.
#[derive(Debug)]
pub struct Followed {
    engine: Engine,
    turns: Turns,
    packets: u64,
}

impl Followed {
    /// One whose calls have been set up and whose streams have had `before` turns.
    ///
    /// # Errors
    /// When it does not take every packet for RTP.
    pub fn new(streams: u32, before: u32) -> Result<Self> {
        // As configured by default, but for tables that hold as much as is measured.
        let default = Follow::default();
        let room = streams as usize * 2;
        let follow = Follow {
            max_calls: default.max_calls.max(room),
            max_streams: default.max_streams.max(room),
            max_endpoints: default.max_endpoints.max(2 * room),
            ..default
        };
        let shared = Arc::new(Shared::new(&follow));
        let mut engine = Engine::new(&follow, &Capture::default(), shared);
        let turns = Turns::new(streams);
        for call in 0..streams.div_ceil(2) {
            for message in Message::SET_UP {
                take(&mut engine, BEGIN, &calls::frame(call, message));
            }
        }
        let mut followed = Self {
            engine,
            turns,
            packets: 0,
        };
        followed.turns(before, |_| Vec::new())?;
        Ok(followed)
    }

    /// Where the engine's next streams will lie.
    pub fn frontier(&self) -> Arc<Frontier> {
        self.engine.frontier()
    }

    /// Takes `count` turns, and among each of them what `more` gives for it, and returns how long the engine took and for how
    /// many frames.
    ///
    /// # Errors
    /// When not every packet was taken for RTP.
    pub fn turns(&mut self, count: u32, mut more: impl FnMut(u32) -> Vec<Vec<u8>>) -> Result<(Duration, u64)> {
        let streams = self.turns.streams;
        let begin = self.turns.there.end;
        let end = begin + u64::from(count) * streams;
        let (mut spent, mut frames) = (Duration::ZERO, u64::from(count) * streams);
        let mut others = Vec::new();
        while self.turns.there.end < end {
            self.turns.bring(end);
            let there = self.turns.there();
            let turns = there.start.div_ceil(streams)..there.end.div_ceil(streams);
            for turn in turns {
                let more = more((turn - begin / streams) as u32);
                frames += more.len() as u64;
                let every = streams.div_ceil(more.len().max(1) as u64).max(1);
                let last = (turn + 1) * streams - 1;
                let places = (turn * streams..)
                    .step_by(every as usize)
                    .map(|number| number.min(last));
                others.extend(places.zip(more));
            }
            let before = others.partition_point(|(number, _)| *number < there.end);
            spent += self.part(&others[..before]);
            others.drain(..before);
        }
        self.packets += u64::from(count) * streams;
        let rtp = self.engine.counters().outcomes.get(Outcome::Rtp);
        ensure!(
            rtp >= self.packets,
            "{rtp} of {} packets were taken for RTP",
            self.packets
        );
        Ok((spent, frames))
    }

    /// The frames that are there, and each of `others` in front of the one with its number, in the batches of a worker.
    fn part(&mut self, others: &[(u64, Vec<u8>)]) -> Duration {
        let Self { engine, turns, .. } = self;
        let (streams, first) = (turns.streams, turns.there.start);
        // Counted, as divisions would cost as much as a packet.
        let (mut stream, mut turn) = (first % streams, BEGIN + first / streams * PTIME);
        let apart = PTIME / streams;
        let mut others = others.iter().peekable();
        let mut batch = Vec::with_capacity(2 * BATCH);
        let begun = Instant::now();
        for (number, bytes) in turns.frames() {
            let now = turn + stream * apart;
            while let Some((_, other)) = others.next_if(|(before, _)| *before <= number) {
                batch.push(frame_at(now, other));
            }
            batch.push(frame_at(now, bytes));
            stream += 1;
            let is_last = stream == streams;
            if batch.len() >= BATCH || is_last {
                engine.frames(&batch, |_, _| {});
                batch.clear();
            }
            if is_last {
                engine.tick(Timestamp::from_nanos(now));
                (stream, turn) = (0, turn + PTIME);
            }
        }
        engine.frames(&batch, |_, _| {});
        begun.elapsed()
    }
}

/// Gives the engine a frame.
#[inline]
pub fn take(engine: &mut Engine, nanos: u64, bytes: &[u8]) {
    engine.frame(&frame_at(nanos, bytes));
}

#[inline]
fn frame_at(nanos: u64, bytes: &[u8]) -> Frame<'_> {
    Frame {
        ts: Timestamp::from_nanos(nanos),
        link: LinkType::Ethernet,
        wire_len: bytes.len() as u32,
        bytes,
    }
}

/// The least that can be done about a packet: its headers are read, and one line of a table as large is touched.
#[derive(Debug)]
pub struct Floor {
    table: Vec<[u64; 64]>,
    turns: Turns,
    packets: u64,
}

impl Floor {
    /// One for `streams` streams, with 512 bytes for each.
    pub fn new(streams: u32) -> Self {
        Self {
            table: vec![[0; 64]; streams as usize],
            turns: Turns::new(streams),
            packets: 0,
        }
    }

    /// Takes `count` turns, and returns how long that took and for how many packets.
    ///
    /// # Errors
    /// When the table does not have every packet.
    pub fn turns(&mut self, count: u32) -> Result<(Duration, u64)> {
        let mut spent = Duration::ZERO;
        let packets = u64::from(count) * self.turns.streams;
        let end = self.turns.there.end + packets;
        while self.turns.there.end < end {
            self.turns.bring(end);
            let begun = Instant::now();
            for (_, bytes) in self.turns.frames() {
                let Some(key) = headers(bytes) else { continue };
                let slot = ((u128::from(key) * self.table.len() as u128) >> 64) as usize;
                if let Some([packets, ..]) = self.table.get_mut(slot) {
                    *packets += 1;
                }
            }
            spent += begun.elapsed();
        }
        self.packets += packets;
        let counted: u64 = self.table.iter().map(|[packets, ..]| packets).sum();
        ensure!(
            counted == self.packets,
            "{counted} of {} packets are in the table",
            self.packets
        );
        Ok((spent, packets))
    }
}

/// Reads what makes a frame RTP over UDP in IPv4, and mixes what its stream is known by.
#[inline]
fn headers(bytes: &[u8]) -> Option<u64> {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let half = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u64::from(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?)));
    let is_rtp = half(12)? == 0x0800 && bytes.get(14)? >> 4 == 4 && *bytes.get(23)? == 17 && bytes.get(42)? >> 6 == 2;
    let fits = usize::from(half(16)?) + 14 <= bytes.len() && usize::from(half(38)?) + 34 <= bytes.len();
    let ends = (word(26)? << 32 | word(30)?).wrapping_mul(MIX) ^ word(34)?;
    (is_rtp && fits).then(|| (ends.wrapping_mul(MIX) ^ word(50).unwrap_or_default()).wrapping_mul(MIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_packet_of_every_turn_is_followed() {
        let mut followed = Followed::new(10, 3).unwrap();
        let more = |turn| match turn {
            1 => Message::SET_UP.map(|message| calls::frame(500, message)).to_vec(),
            _ => Vec::new(),
        };
        let (spent, frames) = followed.turns(4, more).unwrap();
        assert_eq!(frames, 4 * 10 + 5);
        assert!(spent > Duration::ZERO);
        let counters = followed.engine.counters();
        assert_eq!(counters.outcomes.get(Outcome::Rtp), 7 * 10);
    }

    #[test]
    fn the_floor_has_every_packet() {
        let (_, packets) = Floor::new(100).turns(3).unwrap();
        assert_eq!(packets, 300);
        assert_eq!(headers(&[0; 100]), None);
    }

    #[test]
    fn turns_are_the_load() {
        let mut turns = Turns::new(3);
        for end in [3, 6, 30_000] {
            let first = turns.there().end;
            turns.bring(end);
            assert_eq!(turns.there(), first..end.min(first + FRAMES));
            for (number, frame) in turns.frames() {
                assert_eq!(frame, frame::expected(number, 3));
            }
        }
    }
}
