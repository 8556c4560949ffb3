//! Sequence numbers of one stream: what arrived, what is missing, what came twice (RFC 3550 appendices A.1 and A.3).
//!
//! RFC 3550 counts received packets, copies included, and so a copy hides a loss. Here each number counts once: a window
//! over the recent numbers tells late packets from copies, and the figures do not depend on the order within it.

/// Numbers remembered below the highest. At 50 packets a second five seconds, at a video stream's 1000 a quarter.
pub const WINDOW: u16 = 256;

/// A step forward of this many numbers is no loss but another run (RFC 3550 A.1).
const MAX_DROPOUT: u16 = 3000;

/// Networks that reorder move a packet by a few places.
const REORDERING: u16 = 16;

/// First extended number of a run is above this, so that a packet from before the first one has a number too.
const BASE: u64 = 1 << 32;

/// What a packet's sequence number was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The one after the highest.
    Next,
    /// Above the highest, with others missing in between.
    Ahead,
    /// Below the highest, and not seen before.
    Late,
    /// Seen before.
    Copy,
    /// Far from all others. Two near each other begin a new run.
    Stray,
    /// The second of a new run: the sender started over.
    Restart,
}

/// The account of one stream's sequence numbers.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// Bit `n % WINDOW`: extended number `n` arrived. Of the numbers above `highest - WINDOW`.
    window: [u64; (WINDOW / 64) as usize],
    /// Highest extended number of this run.
    highest: u64,
    /// Lowest extended number of this run.
    lowest: u64,
    /// Numbers spanned by earlier runs.
    spanned: u64,
    /// Distinct numbers that arrived, over all runs.
    arrived: u64,
    late: u32,
    copies: u32,
    strays: u32,
    /// The last stray, which makes a run with the next one near it (`bad_seq` of RFC 3550 A.1).
    stray: Option<u16>,
}

impl Sequence {
    /// The account after the first packet.
    pub fn first(seq: u16) -> Self {
        let mut first = Self {
            window: [0; (WINDOW / 64) as usize],
            highest: BASE + u64::from(seq),
            lowest: BASE + u64::from(seq),
            spanned: 0,
            arrived: 1,
            late: 0,
            copies: 0,
            strays: 0,
            stray: None,
        };
        first.mark(first.highest);
        first
    }

    /// Whether `seq` is where no network puts a packet of this run: too far ahead, or further below than reordering.
    pub const fn is_far(&self, seq: u16) -> bool {
        let ahead = seq.wrapping_sub(self.highest as u16);
        ahead >= MAX_DROPOUT && ahead <= u16::MAX - REORDERING
    }

    /// Whether `seq` is not above the highest number.
    pub const fn is_behind(&self, seq: u16) -> bool {
        seq.wrapping_sub(self.highest as u16) as i16 <= 0
    }

    /// Takes the number of the next packet. `same_clock` is asked only where the number is thousands ahead: whether the
    /// packet's timestamp fits its arrival time, so that the path was down for a while and the sender never stopped.
    pub fn arrive(&mut self, seq: u16, same_clock: impl FnOnce() -> bool) -> Arrival {
        let ahead = seq.wrapping_sub(self.highest as u16);
        let behind = ahead.wrapping_neg();
        if behind < WINDOW {
            self.below(self.highest - u64::from(behind))
        } else if ahead < MAX_DROPOUT || (ahead < 0x8000 && same_clock()) {
            self.advance(ahead)
        } else {
            self.stray(seq)
        }
    }

    fn below(&mut self, number: u64) -> Arrival {
        if self.is_marked(number) {
            self.copies = self.copies.saturating_add(1);
            return Arrival::Copy;
        }
        self.mark(number);
        self.lowest = self.lowest.min(number);
        self.arrived += 1;
        self.late = self.late.saturating_add(1);
        Arrival::Late
    }

    fn advance(&mut self, by: u16) -> Arrival {
        if by >= WINDOW {
            self.window = [0; (WINDOW / 64) as usize];
        } else {
            for number in self.highest + 1..self.highest + u64::from(by) {
                self.unmark(number);
            }
        }
        self.highest += u64::from(by);
        self.mark(self.highest);
        self.arrived += 1;
        if by == 1 { Arrival::Next } else { Arrival::Ahead }
    }

    fn stray(&mut self, seq: u16) -> Arrival {
        let Some(before) = self.stray.filter(|before| near(*before, seq)) else {
            self.stray = Some(seq);
            self.strays = self.strays.saturating_add(1);
            return Arrival::Stray;
        };
        if before == seq {
            self.copies = self.copies.saturating_add(1);
            return Arrival::Stray;
        }
        // The stray before belongs to the new run.
        let earlier = self.clone();
        let (low, high) = if is_above(seq, before) {
            (before, seq)
        } else {
            (seq, before)
        };
        *self = Self {
            spanned: earlier.expected(),
            arrived: earlier.arrived + 2,
            late: earlier.late,
            copies: earlier.copies,
            strays: earlier.strays.saturating_sub(1),
            ..Self::first(high)
        };
        self.lowest = self.highest - u64::from(high.wrapping_sub(low));
        self.mark(self.lowest);
        Arrival::Restart
    }

    fn mark(&mut self, number: u64) {
        self.window[word(number)] |= 1 << (number % 64);
    }

    fn unmark(&mut self, number: u64) {
        self.window[word(number)] &= !(1 << (number % 64));
    }

    fn is_marked(&self, number: u64) -> bool {
        self.window[word(number)] & (1 << (number % 64)) != 0
    }

    /// Packets taken, whatever became of them.
    pub fn packets(&self) -> u64 {
        self.arrived + u64::from(self.copies) + u64::from(self.strays)
    }

    /// Numbers from the lowest to the highest, summed over runs (RFC 3550 A.3).
    pub fn expected(&self) -> u64 {
        self.spanned + (self.highest - self.lowest) + 1
    }

    /// Numbers that never arrived, or so late that the window had passed.
    pub fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.arrived)
    }

    /// Packets that arrived below the highest number and were no copies.
    pub fn late(&self) -> u64 {
        u64::from(self.late)
    }

    /// Packets whose number had arrived before.
    pub fn copies(&self) -> u64 {
        u64::from(self.copies)
    }
}

/// Whether two numbers are as near as packets of one run that have changed places.
const fn near(a: u16, b: u16) -> bool {
    a.wrapping_sub(b) < REORDERING || b.wrapping_sub(a) < REORDERING
}

/// Whether `a` comes after `b`.
const fn is_above(a: u16, b: u16) -> bool {
    a.wrapping_sub(b) < 0x8000
}

/// Index of the window's word for an extended number.
const fn word(number: u64) -> usize {
    (number / 64 % (WINDOW / 64) as u64) as usize
}

#[cfg(test)]
#[path = "sequence_tests.rs"]
mod tests;
