//! What is known of one direction of a fax: how much of it came, and what later packets make up for.

use super::t38::{Ifp, MODULATIONS, Packet, Recovery};
use crate::report;
use crate::time::Timestamp;

/// Sequence numbers below the highest that are looked at one by one. A gateway repeats at most a dozen.
const WINDOW: u64 = 256;

/// A number this far from the highest is another count: a sender that started over (RFC 3550's MAX_DROPOUT, for want of one
/// in T.38).
const FAR: u64 = 3000;

/// The last numbers, one bit each; the lowest bit is the highest number.
#[derive(Clone, Copy, Debug, Default)]
struct Window([u64; 4]);

impl Window {
    /// Makes room for `by` higher numbers.
    fn advance(&mut self, by: u64) {
        if by >= WINDOW {
            *self = Self::default();
            return;
        }
        for _ in 0..by {
            let mut carry = 0;
            for word in &mut self.0 {
                let out = *word >> 63;
                *word = (*word << 1) | carry;
                carry = out;
            }
        }
    }

    fn set(&mut self, back: u64) {
        if let Some(word) = self.0.get_mut((back / 64) as usize) {
            *word |= 1 << (back % 64);
        }
    }

    fn has(&self, back: u64) -> bool {
        self.0
            .get((back / 64) as usize)
            .is_some_and(|word| word >> (back % 64) & 1 == 1)
    }
}

/// One count of sequence numbers, from its lowest to its highest. What is above the window is a sum, what is in it a set: the
/// order in which packets come does not matter as long as they come within it.
#[derive(Clone, Copy, Debug)]
struct Count {
    lowest: u64,
    highest: u64,
    arrived: Window,
    repeated: Window,
    /// Numbers that came, of those that have left the window.
    came: u64,
    /// Numbers that did not come but were repeated, of those that have left the window.
    recovered: u64,
}

impl Count {
    fn begin(seq: u16) -> Self {
        // Room for numbers below the first to arrive.
        let highest = (1 << 32) + u64::from(seq);
        Self {
            lowest: highest,
            highest,
            arrived: Window::default(),
            repeated: Window::default(),
            came: 0,
            recovered: 0,
        }
    }

    /// How far a number is above the highest, below where negative.
    fn distance(&self, seq: u16) -> i64 {
        i64::from(seq.wrapping_sub(self.highest as u16) as i16)
    }

    /// Takes a packet; returns whether it is a copy.
    fn take(&mut self, packet: &Packet) -> bool {
        let ahead = u64::try_from(self.distance(packet.seq)).unwrap_or(0);
        self.advance(ahead);
        let back = self.distance(packet.seq).unsigned_abs();
        let copy = back < WINDOW && self.arrived.has(back);
        if back < WINDOW {
            self.arrived.set(back);
            self.lowest = self.lowest.min(self.highest - back);
            if let Recovery::Redundancy(count) = packet.recovery {
                for before in 1..=u64::from(count).min(WINDOW) {
                    self.repeated.set(back + before);
                }
            }
        }
        copy
    }

    fn advance(&mut self, by: u64) {
        for out in 0..by.min(WINDOW) {
            let back = WINDOW - 1 - out;
            if self.highest - back >= self.lowest {
                self.came += u64::from(self.arrived.has(back));
                self.recovered += u64::from(!self.arrived.has(back) && self.repeated.has(back));
            }
        }
        self.arrived.advance(by);
        self.repeated.advance(by);
        self.highest += by;
    }

    /// Expected, come, and recovered of those that did not.
    fn sums(&self) -> [u64; 3] {
        let inside = 0..WINDOW.min(self.highest - self.lowest + 1);
        let (mut came, mut recovered) = (self.came, self.recovered);
        for back in inside {
            came += u64::from(self.arrived.has(back));
            recovered += u64::from(!self.arrived.has(back) && self.repeated.has(back));
        }
        [self.highest - self.lowest + 1, came, recovered]
    }
}

/// One direction of a call's fax.
#[derive(Clone, Debug)]
pub struct Fax {
    start: Timestamp,
    end: Timestamp,
    packets: u64,
    copies: u64,
    indicators: u64,
    data: u64,
    /// One bit for each modulation that data came in.
    modulations: u64,
    /// Packets with parity.
    parity: u64,
    /// Packets that repeat others.
    redundant: u64,
    count: Count,
    /// Expected, come and recovered of counts that are over.
    before: [u64; 3],
}

impl Fax {
    /// A direction that begins with this packet.
    pub fn begin(ts: Timestamp, packet: &Packet) -> Self {
        let mut fax = Self {
            start: ts,
            end: ts,
            packets: 0,
            copies: 0,
            indicators: 0,
            data: 0,
            modulations: 0,
            parity: 0,
            redundant: 0,
            count: Count::begin(packet.seq),
            before: [0; 3],
        };
        fax.take(ts, packet);
        fax
    }

    /// Takes one packet.
    pub fn take(&mut self, ts: Timestamp, packet: &Packet) {
        self.start = self.start.min(ts);
        self.end = self.end.max(ts);
        self.packets += 1;
        if !self.continues(packet.seq) {
            let sums = self.count.sums();
            for (before, sum) in self.before.iter_mut().zip(sums) {
                *before += sum;
            }
            self.count = Count::begin(packet.seq);
        }
        if self.count.take(packet) {
            self.copies += 1;
        }
        match packet.primary {
            Ifp::Indicator => self.indicators += 1,
            Ifp::Data(modulation) => {
                self.data += 1;
                self.modulations |= 1 << modulation.min(63);
            }
        }
        match packet.recovery {
            Recovery::Parity { .. } => self.parity += 1,
            Recovery::Redundancy(0) => {}
            Recovery::Redundancy(_) => self.redundant += 1,
        }
    }

    /// Whether a packet with this number goes on with what came before.
    pub fn continues(&self, seq: u16) -> bool {
        self.count.distance(seq).unsigned_abs() < FAR
    }

    /// Time of the latest packet.
    pub const fn end(&self) -> Timestamp {
        self.end
    }

    /// What is to be told, without where it went.
    pub fn report(&self) -> report::Fax {
        let sums = self.count.sums();
        let [expected, came, recovered] = std::array::from_fn(|at| self.before[at] + sums[at]);
        let modulations = (0..64u32).filter(|number| self.modulations >> number & 1 == 1);
        report::Fax {
            src: String::new(),
            dst: String::new(),
            direction: None,
            packets: self.packets,
            expected,
            lost: expected.saturating_sub(came),
            recovered,
            duplicates: self.copies,
            indicators: self.indicators,
            data: self.data,
            modulations: modulations
                .map(|number| MODULATIONS.get(number as usize).copied().unwrap_or("other").to_owned())
                .collect(),
            error_correction: if self.parity > 0 {
                Some(report::FaxCorrection::Parity)
            } else {
                (self.redundant > 0).then_some(report::FaxCorrection::Redundancy)
            },
            start: self.start,
            end: self.end,
            duration_ms: self.end.since(self.start).as_nanos() as f64 / 1e6,
        }
    }
}

#[cfg(test)]
#[path = "fax_tests.rs"]
mod tests;
