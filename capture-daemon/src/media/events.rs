//! Telephone events (RFC 4733): keys pressed, as an RTP stream carries them.
//!
//! An event is told again and again while it lasts, with a growing duration, and its end three times; all of these packets
//! have the RTP timestamp of its beginning, which is its name. So the order of packets does not matter, lost ones cost
//! at most some of the duration, and copies cost nothing.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "reads what anyone may send: a slice is asked for, never assumed"
)]

use super::codec::Format;
use super::dtmf::{self, MAX_DIGITS};
use super::rtp;
use crate::net::Endpoint;
use crate::report;
use crate::time::Timestamp;

/// Clock of telephone events where nobody told another (RFC 4733 section 2.3.2 takes 8000 for granted).
const CLOCK_HZ: u32 = 8000;

/// Timestamps of events beyond the cap that are remembered, so that each is counted once.
const BEYOND: usize = 4;

/// The payload of a telephone event (RFC 4733 section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Event code: 0 to 15 are the keys of a telephone.
    pub code: u8,
    /// The event is over.
    pub end: bool,
    /// Power of the tone in dBm0, without its sign.
    pub volume: u8,
    /// So far, in units of the clock.
    pub duration: u16,
}

/// Reads a payload of one event. Two events in one payload (section 2.5.1.4) are not told from SRTP with a short tag, and
/// are not read.
pub fn read(payload: &[u8]) -> Option<Event> {
    let &[code, flags, hi, lo] = payload else {
        return None;
    };
    // A bit that must be 0: with it this is something else.
    (flags & 0x40 == 0).then_some(Event {
        code,
        end: flags & 0x80 != 0,
        volume: flags & 0x3f,
        duration: u16::from_be_bytes([hi, lo]),
    })
}

/// A key pressed, or a part of a long one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tone {
    key: char,
    /// RTP timestamp of its beginning.
    timestamp: u32,
    /// When its first packet came.
    at: Timestamp,
    /// The longest told.
    duration: u16,
}

/// The keys of one stream.
#[derive(Clone, Debug, Default)]
pub struct Events {
    /// Payload type of the first packet.
    payload_type: u8,
    tones: Vec<Tone>,
    /// Keys that found no room, and the timestamps of the latest of them.
    beyond: u64,
    recent: [Option<u32>; BEYOND],
}

impl Events {
    /// Takes a packet of telephone events.
    pub fn take(known: &mut Option<Box<Self>>, ts: Timestamp, packet: &rtp::Packet<'_>) {
        let Some(event) = read(packet.payload).filter(|_| packet.len == packet.payload.len()) else {
            return;
        };
        // Others are tones of lines, modems and fax machines.
        if let Some(key) = dtmf::key(event.code) {
            let events = known.get_or_insert_with(|| {
                Box::new(Self {
                    payload_type: packet.payload_type,
                    ..Self::default()
                })
            });
            events.insert(ts, packet.timestamp, key, event.duration);
        }
    }

    fn insert(&mut self, at: Timestamp, timestamp: u32, key: char, duration: u16) {
        let same = |tone: &&mut Tone| tone.timestamp == timestamp && tone.key == key;
        if let Some(tone) = self.tones.iter_mut().rev().find(same) {
            tone.at = tone.at.min(at);
            tone.duration = tone.duration.max(duration);
        } else if self.tones.len() < MAX_DIGITS {
            self.tones.push(Tone {
                key,
                timestamp,
                at,
                duration,
            });
        } else if !self.recent.contains(&Some(timestamp)) {
            self.recent.rotate_right(1);
            if let Some(latest) = self.recent.first_mut() {
                *latest = Some(timestamp);
            }
            self.beyond = self.beyond.saturating_add(1);
        }
    }

    /// Keys pressed; a long one counts for each of its segments.
    pub fn count(&self) -> u64 {
        self.beyond.saturating_add(self.tones.len() as u64)
    }

    /// What is to be told, in order of time, at the clock that `formats` gives the events.
    pub fn report(&self, formats: &[Format], src: Endpoint, ssrc: u32) -> report::Dtmf {
        let told = formats.iter().find(|format| format.payload_type == self.payload_type);
        let rate = told
            .map(|format| format.clock_rate)
            .filter(|rate| *rate > 0)
            .unwrap_or(CLOCK_HZ);
        let mut tones = self.tones.clone();
        tones.sort_by_key(|tone| (tone.at, tone.timestamp));
        let mut digits: Vec<report::Digit> = Vec::with_capacity(tones.len());
        // Where the key before goes on, if it is a long one.
        let mut goes_on = None;
        for tone in tones {
            // The duration has 16 bits: a longer event is told in segments, each beginning where the one before ends
            // (section 2.5.1.3).
            let duration_ms = f64::from(tone.duration) * 1e3 / f64::from(rate);
            let follows = goes_on == Some((tone.key, tone.timestamp));
            let full = tone.duration == u16::MAX;
            goes_on = full.then(|| (tone.key, tone.timestamp.wrapping_add(u32::from(u16::MAX))));
            match digits.last_mut().filter(|_| follows) {
                Some(digit) => digit.duration_ms = digit.duration_ms.map(|before| before + duration_ms),
                None => digits.push(report::Digit {
                    digit: tone.key.into(),
                    at: tone.at,
                    duration_ms: Some(duration_ms),
                    source: report::DigitSource::Rtp,
                    src: src.to_string(),
                    ssrc: Some(format!("0x{ssrc:08x}")),
                    timestamp: Some(tone.timestamp),
                }),
            }
        }
        report::Dtmf {
            masked: false,
            digits,
            beyond: self.beyond,
        }
    }
}

#[cfg(test)]
#[path = "events_tests.rs"]
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics has said what is wrong"
)]
mod tests;
