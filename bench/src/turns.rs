//! The load in memory, for what runs without a wire: a packet of each stream, turn after turn, so that with many streams
//! every one is a cache miss.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use capture_common::load::Fields;
use capture_daemon::config::{Capture, Follow};
use capture_daemon::engine::{Engine, Shared};
use capture_daemon::frame::{Frame, LinkType};
use capture_daemon::outcome::Outcome;
use capture_daemon::time::Timestamp;
use capture_daemon::worker;

use crate::calls::{self, Message};
use crate::frame;

/// Bytes from one frame to the next: whole cache lines.
const STRIDE: usize = 256;

/// Frames a worker takes from its ring at once.
const BATCH: usize = worker::BATCH as usize;

/// Time between two packets of a stream.
const PTIME: u64 = 20_000_000;

/// The packet time of the first.
const BEGIN: u64 = 1_795_251_600_000_000_000;

/// A packet of each stream.
#[derive(Debug)]
pub struct Turns {
    bytes: Vec<u8>,
    streams: u32,
    turn: u32,
}

impl Turns {
    /// Those of `streams` streams, before their first turn.
    pub fn new(streams: u32) -> Self {
        let mut bytes = vec![0; streams as usize * STRIDE];
        let template = frame::template();
        for frame in bytes.chunks_exact_mut(STRIDE) {
            frame[..frame::LENGTH].copy_from_slice(&template);
        }
        let mut turns = Self {
            bytes,
            streams,
            turn: 0,
        };
        turns.write();
        turns
    }

    /// Makes the frames those of the next turn.
    pub fn advance(&mut self) {
        self.turn += 1;
        self.write();
    }

    fn write(&mut self) {
        let first = u64::from(self.turn) * u64::from(self.streams);
        for (number, frame) in (first..).zip(self.bytes.chunks_exact_mut(STRIDE)) {
            frame::write(frame, Fields::of(number, self.streams.into()));
        }
    }

    /// The frames of this turn.
    pub fn frames(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(STRIDE).map(|frame| &frame[..frame::LENGTH])
    }

    /// When the turn begins.
    pub fn time(&self) -> u64 {
        BEGIN + u64::from(self.turn) * PTIME
    }
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
                take(&mut engine, turns.time(), &calls::frame(call, message));
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

    /// Takes `count` turns, and among each of them what `more` gives for it, and returns how long the engine took and for how
    /// many frames.
    ///
    /// # Errors
    /// When not every packet was taken for RTP.
    pub fn turns(&mut self, count: u32, mut more: impl FnMut(u32) -> Vec<Vec<u8>>) -> Result<(Duration, u64)> {
        let (mut spent, mut frames) = (Duration::ZERO, 0);
        for turn in 0..count {
            let others = more(turn);
            spent += self.turn(&others);
            frames += u64::from(self.turns.streams) + others.len() as u64;
            self.turns.advance();
        }
        let rtp = self.engine.counters().outcomes.get(Outcome::Rtp);
        ensure!(
            rtp >= self.packets,
            "{rtp} of {} packets were taken for RTP",
            self.packets
        );
        Ok((spent, frames))
    }

    /// One turn, with `others` spread over it, in the batches of a worker.
    fn turn(&mut self, others: &[Vec<u8>]) -> Duration {
        let Self { engine, turns, packets } = self;
        let streams = u64::from(turns.streams);
        let every = (streams as usize).div_ceil(others.len().max(1)).max(1);
        let mut others = others.iter();
        let time = turns.time();
        let mut batch = Vec::with_capacity(BATCH + 1);
        let begun = Instant::now();
        for (at, bytes) in turns.frames().enumerate() {
            let now = time + at as u64 * PTIME / streams;
            if at.is_multiple_of(every)
                && let Some(other) = others.next()
            {
                batch.push(frame_at(now, other));
            }
            batch.push(frame_at(now, bytes));
            if batch.len() >= BATCH {
                engine.frames(&batch, |_, _| {});
                batch.clear();
            }
        }
        batch.extend(others.map(|other| frame_at(time + PTIME - 1, other)));
        engine.frames(&batch, |_, _| {});
        engine.tick(Timestamp::from_nanos(time + PTIME - 1));
        *packets += streams;
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
        for _ in 0..count {
            let begun = Instant::now();
            for bytes in self.turns.frames() {
                let Some(key) = headers(bytes) else { continue };
                let slot = ((u128::from(key) * self.table.len() as u128) >> 64) as usize;
                if let Some([packets, ..]) = self.table.get_mut(slot) {
                    *packets += 1;
                }
            }
            spent += begun.elapsed();
            self.packets += u64::from(self.turns.streams);
            self.turns.advance();
        }
        let counted: u64 = self.table.iter().map(|[packets, ..]| packets).sum();
        ensure!(
            counted == self.packets,
            "{counted} of {} packets are in the table",
            self.packets
        );
        Ok((spent, u64::from(count) * u64::from(self.turns.streams)))
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
        turns.advance();
        let frames: Vec<_> = turns.frames().map(<[u8]>::to_vec).collect();
        assert_eq!(frames, [3, 4, 5].map(|number| frame::expected(number, 3).to_vec()));
    }
}
