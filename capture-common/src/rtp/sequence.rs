//! Sequence numbers of one stream: what arrived, what is missing, what came twice (RFC 3550 appendices A.1 and A.3).
//!
//! RFC 3550 counts received packets, copies included, and so a copy hides a loss. Here each number counts once: a window
//! over the recent numbers tells late packets from copies, and the figures do not depend on the order within it. What becomes
//! of a number is final when it leaves the window, and so losses are told to whoever is [`Passed`] in the order of numbers.

/// Numbers remembered below the highest. At 50 packets a second five seconds, at a video stream's 1000 a quarter.
pub const WINDOW: u16 = 256;

/// Words of the window.
const WORDS: usize = (WINDOW / 64) as usize;

/// A step forward of this many numbers is no loss but another run (RFC 3550 A.1).
const MAX_DROPOUT: u16 = 3000;

/// Networks that reorder move a packet by a few places.
const REORDERING: u16 = 16;

/// First extended number of a run is above this, so that a packet from before the first one has a number too.
const BASE: u64 = 1 << 32;

/// Stands for no stray.
const NONE: u32 = u32::MAX;

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

/// Who is told of numbers as they leave the window, in their order.
pub trait Passed {
    /// Whether also those that arrived are to be told, without which the common case is a matter of one bit.
    fn watches(&self) -> bool;
    /// The window is about to move by so many numbers from where it is. The run began at `lowest`.
    fn advance(&mut self, numbers: &Sequence, lowest: u64, by: u64);
    /// The run is over, and what is in the window is final.
    fn end_run(&mut self, numbers: &Sequence, lowest: u64);
}

/// Where their order is of no interest.
impl Passed for () {
    #[inline(always)]
    fn watches(&self) -> bool {
        false
    }

    #[inline(always)]
    fn advance(&mut self, _: &Sequence, _: u64, _: u64) {}

    #[inline(always)]
    fn end_run(&mut self, _: &Sequence, _: u64) {}
}

/// The recent numbers of one stream: what every packet touches.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Sequence {
    /// Bit `n % WINDOW`: extended number `n` arrived. Of the numbers above `highest - WINDOW`.
    window: [u64; WORDS],
    /// Highest extended number of this run.
    highest: u64,
}

const _: () = assert!(size_of::<Sequence>() == 40);

/// The account of one stream's sequence numbers: what only the exceptions touch.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
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
    /// The last stray, which makes a run with the next one near it (`bad_seq` of RFC 3550 A.1), or `NONE`.
    stray: u32,
    padding: u32,
}

const _: () = assert!(size_of::<Account>() == 48);

impl Sequence {
    /// The account after the first packet.
    #[inline(always)]
    pub const fn first(seq: u16) -> (Self, Account) {
        let number = BASE + seq as u64;
        let account = Account {
            lowest: number,
            spanned: 0,
            missing: 0,
            late: 0,
            copies: 0,
            strays: 0,
            restarts: 0,
            stray: NONE,
            padding: 0,
        };
        (Self::at(number), account)
    }

    #[inline(always)]
    const fn at(number: u64) -> Self {
        let mut first = Self {
            window: [0; WORDS],
            highest: number,
        };
        first.mark(number);
        first
    }

    /// Highest extended number of this run.
    pub const fn highest(&self) -> u64 {
        self.highest
    }

    /// The common case of [`arrive`](Self::arrive), where nobody watches numbers that arrived: whether `seq` is the next number, and
    /// the one that leaves the window for it had arrived. It is taken then.
    #[inline(always)]
    pub const fn step(&mut self, seq: u16) -> bool {
        let next = self.highest + 1;
        if seq != next as u16 || !self.is_marked(next) {
            return false;
        }
        self.highest = next;
        true
    }

    /// The common case of [`arrive`](Self::arrive), where nobody is told of anything: whether `seq` is the next number. It is taken then.
    #[inline(always)]
    pub const fn follow(&mut self, seq: u16) -> bool {
        if seq != (self.highest as u16).wrapping_add(1) {
            return false;
        }
        self.highest += 1;
        // Whatever became of the one that leaves the window for it, that is in the account.
        self.mark(self.highest);
        true
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
    pub fn arrive(
        &mut self,
        account: &mut Account,
        passed: &mut impl Passed,
        seq: u16,
        same_clock: impl FnOnce() -> bool,
    ) -> Arrival {
        let ahead = seq.wrapping_sub(self.highest as u16);
        // Bit of the next number, and of the one that leaves the window for it. While nobody watches, a number that
        // arrived has nothing more to tell.
        if ahead == 1 && self.is_marked(self.highest + 1) && !passed.watches() {
            self.highest += 1;
            return Arrival::Next;
        }
        self.exception(account, passed, seq, same_clock)
    }

    #[inline(never)]
    fn exception(
        &mut self,
        account: &mut Account,
        passed: &mut impl Passed,
        seq: u16,
        same_clock: impl FnOnce() -> bool,
    ) -> Arrival {
        let ahead = seq.wrapping_sub(self.highest as u16);
        let behind = ahead.wrapping_neg();
        if behind < WINDOW {
            self.below(account, self.highest - u64::from(behind))
        } else if ahead < MAX_DROPOUT || (ahead < 0x8000 && same_clock()) {
            self.advance(account, passed, ahead)
        } else {
            self.stray(account, passed, seq)
        }
    }

    #[inline(always)]
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

    #[inline(always)]
    fn advance(&mut self, account: &mut Account, passed: &mut impl Passed, by: u16) -> Arrival {
        let by = u64::from(by);
        passed.advance(self, account.lowest, by);
        if by > 1 {
            self.clear(self.highest + 1, by);
        }
        account.missing += by - 1;
        self.highest += by;
        self.mark(self.highest);
        if by == 1 { Arrival::Next } else { Arrival::Ahead }
    }

    #[inline(always)]
    fn stray(&mut self, account: &mut Account, passed: &mut impl Passed, seq: u16) -> Arrival {
        let before = account.stray as u16;
        if account.stray == NONE || !near(before, seq) {
            account.stray = u32::from(seq);
            account.strays = account.strays.saturating_add(1);
            return Arrival::Stray;
        }
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
        passed.end_run(self, account.lowest);
        account.spanned = account.expected(self);
        account.strays = account.strays.saturating_sub(1);
        account.restarts = account.restarts.saturating_add(1);
        account.stray = NONE;
        *self = Self::at(BASE + u64::from(high));
        account.lowest = self.highest - u64::from(high.wrapping_sub(low));
        account.missing += self.highest - account.lowest - 1;
        self.mark(account.lowest);
        Arrival::Restart
    }

    /// Begins a new run with `seq`, after packets that were kept from whoever counts: none of them is missing, and the sender
    /// did not start over. Returns whether it did: a number that goes on with this run is to be taken as any other.
    pub fn resume(&mut self, account: &mut Account, passed: &mut impl Passed, seq: u16) -> bool {
        let ahead = seq.wrapping_sub(self.highest as u16);
        if ahead == 1 || ahead.wrapping_neg() < WINDOW {
            return false;
        }
        passed.end_run(self, account.lowest);
        account.spanned = account.expected(self);
        account.stray = NONE;
        *self = Self::at(BASE + u64::from(seq));
        account.lowest = self.highest;
        true
    }

    #[inline(always)]
    const fn mark(&mut self, number: u64) {
        self.window[word(number)] |= 1 << (number % 64);
    }

    /// Unmarks so many numbers from `first` on, a word at a time.
    #[inline(always)]
    fn clear(&mut self, first: u64, count: u64) {
        let mut at = first;
        let end = first + count.min(u64::from(WINDOW));
        // Of the first word the upper bits, and round the window its lower ones.
        for _ in 0..=WORDS {
            let bit = at % 64;
            let len = (64 - bit).min(end - at);
            let bits = u64::MAX.checked_shr(64 - len as u32).unwrap_or(0);
            self.window[word(at)] &= !(bits << bit);
            at += len;
        }
    }

    /// Whether a number arrived that is not above the highest and less than a window below, or, for one above, whether
    /// that arrived which leaves the window for it.
    #[inline(always)]
    pub const fn is_marked(&self, number: u64) -> bool {
        self.window[word(number)] & (1 << (number % 64)) != 0
    }
}

impl Account {
    /// Lowest extended number of this run.
    pub const fn lowest(&self) -> u64 {
        self.lowest
    }

    /// Packets taken, whatever became of them.
    #[inline(always)]
    pub const fn packets(&self, sequence: &Sequence) -> u64 {
        let arrived = self.expected(sequence).saturating_sub(self.missing);
        arrived + self.copies as u64 + self.strays as u64
    }

    /// Numbers from the lowest to the highest, summed over runs (RFC 3550 A.3).
    #[inline(always)]
    pub const fn expected(&self, sequence: &Sequence) -> u64 {
        self.spanned + sequence.highest.saturating_sub(self.lowest) + 1
    }

    /// Numbers that never arrived, or so late that the window had passed.
    pub const fn lost(&self) -> u64 {
        self.missing
    }

    /// Packets that arrived below the highest number and were no copies.
    pub const fn late(&self) -> u64 {
        self.late as u64
    }

    /// Packets whose number had arrived before.
    pub const fn copies(&self) -> u64 {
        self.copies as u64
    }

    /// New runs: times the sender's numbers began elsewhere.
    pub const fn restarts(&self) -> u64 {
        self.restarts as u64
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
#[inline(always)]
const fn word(number: u64) -> usize {
    (number / 64 % WORDS as u64) as usize
}
