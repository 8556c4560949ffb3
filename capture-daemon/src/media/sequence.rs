//! Sequence numbers of one stream, and how its losses stand together.

use capture_common::rtp::sequence::{self, Passed};
pub use capture_common::rtp::sequence::{Arrival, Sequence, WINDOW};

use super::burst::{Burst, History};
use super::playout::BUFFERS;

/// The common case of [`Account::arrive`], where nobody watches numbers that arrived: whether `seq` is the next number, and there is
/// nothing to tell of the one that leaves the window for it. It is taken then. `fresh` is what [`Account::fresh`] said last.
#[inline(always)]
pub const fn step(sequence: &mut Sequence, fresh: &mut u8, seq: u16) -> bool {
    if sequence.step(seq) {
        return true;
    }
    let follows = *fresh > 0 && sequence.follow(seq);
    if follows {
        *fresh -= 1;
    }
    follows
}

/// The account of one stream's sequence numbers: what only the exceptions touch.
#[derive(Clone, Debug)]
pub struct Account {
    counts: sequence::Account,
    history: History,
}

impl Account {
    /// The recent numbers and the account after the first packet.
    pub fn first(seq: u16) -> (Sequence, Self) {
        let (sequence, counts) = Sequence::first(seq);
        let account = Self {
            counts,
            history: History::default(),
        };
        (sequence, account)
    }

    /// Takes the number of the next packet; see [`Sequence::arrive`].
    #[inline(always)]
    pub fn arrive(&mut self, sequence: &mut Sequence, seq: u16, same_clock: impl FnOnce() -> bool) -> Arrival {
        sequence.arrive(&mut self.counts, &mut self.history, seq, same_clock)
    }

    /// Begins a new run after packets that were kept from here; see [`Sequence::resume`].
    pub fn resume(&mut self, sequence: &mut Sequence, seq: u16) -> bool {
        sequence.resume(&mut self.counts, &mut self.history, seq)
    }

    /// Steps until a number of this run leaves the window: until then, what leaves it is nobody's.
    pub fn fresh(&self, sequence: &Sequence) -> u8 {
        let span = sequence.highest().saturating_sub(self.counts.lowest());
        u64::from(WINDOW - 1).saturating_sub(span) as u8
    }

    /// Whether numbers that arrived are to be told too when they leave the window.
    #[inline]
    pub fn watches(&self) -> bool {
        self.history.watches()
    }

    /// A packet with this extended number arrived too late for the buffers of the mask (bit `1 << buffer`).
    pub fn discard(&mut self, number: u64, buffers: u8) {
        self.history.discard(number, buffers);
    }

    /// Packets taken, whatever became of them.
    pub fn packets(&self, sequence: &Sequence) -> u64 {
        self.counts.packets(sequence)
    }

    /// Numbers from the lowest to the highest, summed over runs (RFC 3550 A.3).
    pub fn expected(&self, sequence: &Sequence) -> u64 {
        self.counts.expected(sequence)
    }

    /// Numbers that never arrived, or so late that the window had passed.
    pub const fn lost(&self) -> u64 {
        self.counts.lost()
    }

    /// Packets that arrived below the highest number and were no copies.
    pub const fn late(&self) -> u64 {
        self.counts.late()
    }

    /// Packets whose number had arrived before.
    pub const fn copies(&self) -> u64 {
        self.counts.copies()
    }

    /// New runs: times the sender's numbers began elsewhere.
    pub const fn restarts(&self) -> u64 {
        self.counts.restarts()
    }

    /// Losses in the order of numbers, those still in the window taken for final: of the network, and for each buffer
    /// with what it discards.
    pub fn bursts(&self, sequence: &Sequence) -> [Burst; 1 + BUFFERS] {
        let mut now = self.history.clone();
        Passed::end_run(&mut now, sequence, self.counts.lowest());
        now.bursts()
    }
}

impl Passed for History {
    #[inline(always)]
    fn watches(&self) -> bool {
        Self::watches(self)
    }

    fn advance(&mut self, numbers: &Sequence, lowest: u64, by: u64) {
        let (next, window) = (numbers.highest() + 1, u64::from(WINDOW));
        for number in next..next + by.min(window) {
            let passed = number - window;
            if passed >= lowest {
                self.leave(passed, numbers.is_marked(passed), lowest);
            }
        }
        if by > window {
            // These pass through the window without having been in it.
            self.lose(next, by - window, lowest);
        }
    }

    fn end_run(&mut self, numbers: &Sequence, lowest: u64) {
        let highest = numbers.highest();
        for number in (highest + 1 - u64::from(WINDOW)).max(lowest)..=highest {
            self.leave(number, numbers.is_marked(number), lowest);
        }
        Self::end_run(self, lowest, highest);
    }
}

#[cfg(test)]
#[path = "sequence_tests.rs"]
mod tests;
