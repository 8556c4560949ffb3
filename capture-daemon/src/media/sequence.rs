//! Sequence numbers of one stream: what arrived, what is missing, what came twice (RFC 3550 appendices A.1 and A.3).
//!
//! RFC 3550 counts received packets, copies included, and so a copy hides a loss. Here each number counts once: a window
//! over the recent numbers tells late packets from copies, and the figures do not depend on the order within it. What becomes
//! of a number is final when it leaves the window, and so losses are told to [`History`] in the order of numbers.

use super::burst::{Burst, History};
use super::playout::BUFFERS;

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

/// The recent numbers of one stream: what every packet touches.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// Bit `n % WINDOW`: extended number `n` arrived. Of the numbers above `highest - WINDOW`.
    window: [u64; (WINDOW / 64) as usize],
    /// Highest extended number of this run.
    highest: u64,
}

/// The account of one stream's sequence numbers: what only the exceptions touch.
#[derive(Clone, Debug)]
pub struct Account {
    /// Lowest extended number of this run.
    lowest: u64,
    /// Numbers spanned by earlier runs.
    spanned: u64,
    /// Numbers that have not arrived, over all runs.
    missing: u64,
    late: u32,
    copies: u32,
    strays: u32,
    restarts: u32,
    /// The last stray, which makes a run with the next one near it (`bad_seq` of RFC 3550 A.1).
    stray: Option<u16>,
    history: History,
}

impl Sequence {
    /// The account after the first packet.
    pub fn first(seq: u16) -> (Self, Account) {
        let number = BASE + u64::from(seq);
        let account = Account {
            lowest: number,
            spanned: 0,
            missing: 0,
            late: 0,
            copies: 0,
            strays: 0,
            restarts: 0,
            stray: None,
            history: History::default(),
        };
        (Self::at(number), account)
    }

    fn at(number: u64) -> Self {
        let mut first = Self {
            window: [0; (WINDOW / 64) as usize],
            highest: number,
        };
        first.mark(number);
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

    /// Extended number of a packet that arrived and was no stray.
    pub const fn number(&self, seq: u16) -> u64 {
        let below = (self.highest as u16).wrapping_sub(seq);
        self.highest.saturating_sub(below as u64)
    }

    /// Takes the number of the next packet. `same_clock` is asked only where the number is thousands ahead: whether the
    /// packet's timestamp fits its arrival time, so that the path was down for a while and the sender never stopped.
    #[inline(always)]
    pub fn arrive(&mut self, account: &mut Account, seq: u16, same_clock: impl FnOnce() -> bool) -> Arrival {
        let ahead = seq.wrapping_sub(self.highest as u16);
        // Bit of the next number, and of the one that leaves the window for it. While nobody discards, a number that
        // arrived has nothing more to tell.
        if ahead == 1 && self.is_marked(self.highest + 1) && !account.history.watches() {
            self.highest += 1;
            return Arrival::Next;
        }
        self.exception(account, seq, same_clock)
    }

    #[inline(never)]
    fn exception(&mut self, account: &mut Account, seq: u16, same_clock: impl FnOnce() -> bool) -> Arrival {
        let ahead = seq.wrapping_sub(self.highest as u16);
        let behind = ahead.wrapping_neg();
        if behind < WINDOW {
            self.below(account, self.highest - u64::from(behind))
        } else if ahead < MAX_DROPOUT || (ahead < 0x8000 && same_clock()) {
            self.advance(account, ahead)
        } else {
            self.stray(account, seq)
        }
    }

    fn below(&mut self, account: &mut Account, number: u64) -> Arrival {
        if self.is_marked(number) {
            account.copies = account.copies.saturating_add(1);
            return Arrival::Copy;
        }
        self.mark(number);
        if number < account.lowest {
            account.missing += account.lowest - number - 1;
            account.lowest = number;
        } else {
            account.missing = account.missing.saturating_sub(1);
        }
        account.late = account.late.saturating_add(1);
        Arrival::Late
    }

    fn advance(&mut self, account: &mut Account, by: u16) -> Arrival {
        let before = self.highest;
        let by = u64::from(by);
        for number in before + 1..=before + by.min(u64::from(WINDOW)) {
            account.leave(number - u64::from(WINDOW), self.is_marked(number));
            self.unmark(number);
        }
        if by > u64::from(WINDOW) {
            // These pass through the window without having been in it.
            account.history.lose(before + 1, by - u64::from(WINDOW), account.lowest);
        }
        account.missing += by - 1;
        self.highest = before + by;
        self.mark(self.highest);
        if by == 1 { Arrival::Next } else { Arrival::Ahead }
    }

    fn stray(&mut self, account: &mut Account, seq: u16) -> Arrival {
        let Some(before) = account.stray.filter(|before| near(*before, seq)) else {
            account.stray = Some(seq);
            account.strays = account.strays.saturating_add(1);
            return Arrival::Stray;
        };
        if before == seq {
            account.copies = account.copies.saturating_add(1);
            return Arrival::Stray;
        }
        // The stray before belongs to the new run.
        let (low, high) = if is_above(seq, before) {
            (before, seq)
        } else {
            (seq, before)
        };
        self.end_run(account);
        account.spanned = account.expected(self);
        account.strays = account.strays.saturating_sub(1);
        account.restarts = account.restarts.saturating_add(1);
        account.stray = None;
        *self = Self::at(BASE + u64::from(high));
        account.lowest = self.highest - u64::from(high.wrapping_sub(low));
        account.missing += self.highest - account.lowest - 1;
        self.mark(account.lowest);
        Arrival::Restart
    }

    /// All numbers still in the window leave it.
    fn end_run(&self, account: &mut Account) {
        for number in self.highest + 1 - u64::from(WINDOW)..=self.highest {
            account.leave(number, self.is_marked(number));
        }
        account.history.end_run(account.lowest, self.highest);
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
}

impl Account {
    /// A number leaves the window: what became of it is final.
    fn leave(&mut self, number: u64, arrived: bool) {
        if number >= self.lowest {
            self.history.leave(number, arrived, self.lowest);
        }
    }

    /// A packet with this extended number arrived too late for the buffers of the mask (bit `1 << buffer`).
    pub fn discard(&mut self, number: u64, buffers: u8) {
        self.history.discard(number, buffers);
    }

    /// Packets taken, whatever became of them.
    pub fn packets(&self, sequence: &Sequence) -> u64 {
        self.expected(sequence) - self.missing + u64::from(self.copies) + u64::from(self.strays)
    }

    /// Numbers from the lowest to the highest, summed over runs (RFC 3550 A.3).
    pub fn expected(&self, sequence: &Sequence) -> u64 {
        self.spanned + (sequence.highest - self.lowest) + 1
    }

    /// Numbers that never arrived, or so late that the window had passed.
    pub const fn lost(&self) -> u64 {
        self.missing
    }

    /// Packets that arrived below the highest number and were no copies.
    pub fn late(&self) -> u64 {
        u64::from(self.late)
    }

    /// Packets whose number had arrived before.
    pub fn copies(&self) -> u64 {
        u64::from(self.copies)
    }

    /// New runs: times the sender's numbers began elsewhere.
    pub fn restarts(&self) -> u64 {
        u64::from(self.restarts)
    }

    /// Losses in the order of numbers, those still in the window taken for final: of the network, and for each buffer
    /// with what it discards.
    pub fn bursts(&self, sequence: &Sequence) -> [Burst; 1 + BUFFERS] {
        let mut now = self.clone();
        sequence.end_run(&mut now);
        now.history.bursts()
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
