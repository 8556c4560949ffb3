//! How losses stand together: bursts and gaps of RFC 3611 section 4.7.2, and the burst ratio of ITU-T G.107.
//!
//! Losses come in the order of numbers, when they are final. A burst begins and ends with a loss and has fewer than
//! [`GMIN`] packets in a row that were received; what is outside bursts is gap, with single losses in it. RFC 3611 A.2
//! counts transitions of a Markov model to the same end: its densities and durations are those of the definition, but for the
//! first and the last burst, which it takes half into account. Here the definition is counted directly.

use super::playout::BUFFERS;
use super::sequence::WINDOW;

/// Packets received in a row that end a burst: the value RFC 3611 section 4.7.2 recommends.
pub const GMIN: u64 = 16;

/// The losses of one stream, as far as their order tells something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Burst {
    /// Extended number of the last loss in this run of numbers.
    last: Option<u64>,
    /// Packets received after the last loss, in earlier runs of numbers.
    carried: u64,
    /// Losses since the latest that had `GMIN` received before it, and packets from that one to the last.
    open_lost: u64,
    open_packets: u64,
    /// Losses in a row up to the last.
    row: u64,
    /// Losses in all.
    lost: u64,
    /// Rows of losses.
    rows: u64,
    longest: u64,
    /// Bursts that are over.
    bursts: u64,
    burst_packets: u64,
    burst_lost: u64,
}

/// What is to be told of a stream's losses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Losses.
    pub lost: u64,
    /// Rows of consecutive losses.
    pub rows: u64,
    /// Length of the longest.
    pub longest: u64,
    /// Bursts.
    pub bursts: u64,
    /// Packets sent within bursts.
    pub burst_packets: u64,
    /// Losses within bursts.
    pub burst_lost: u64,
}

impl Burst {
    /// `len` numbers from `first` on, in a run of numbers that begins at `lowest`, are lost.
    pub fn lose(&mut self, first: u64, len: u64, lowest: u64) {
        let received = self.received_before(first, lowest);
        if self.open_lost == 0 || received >= GMIN {
            self.close();
            (self.open_lost, self.open_packets) = (len, len);
        } else {
            self.open_lost += len;
            self.open_packets += received + len;
        }
        if received == 0 && self.lost > 0 {
            self.row += len;
        } else {
            self.row = len;
            self.rows += 1;
        }
        self.lost += len;
        self.longest = self.longest.max(self.row);
        self.last = Some(first + len - 1);
        self.carried = 0;
    }

    /// Packets received between the last loss and `number`.
    fn received_before(&self, number: u64, lowest: u64) -> u64 {
        match self.last {
            Some(last) => number.saturating_sub(last + 1),
            None => self.carried + number.saturating_sub(lowest),
        }
    }

    /// The run of numbers from `lowest` to `highest` is over; another follows without a loss between them.
    fn end_run(&mut self, lowest: u64, highest: u64) {
        self.carried = self.received_before(highest + 1, lowest);
        self.last = None;
    }

    fn close(&mut self) {
        // A loss alone belongs to the gap around it.
        if self.open_lost > 1 {
            self.bursts += 1;
            self.burst_packets += self.open_packets;
            self.burst_lost += self.open_lost;
        }
        self.open_lost = 0;
    }

    /// The figures if no more packets come.
    pub fn figures(mut self) -> Figures {
        self.close();
        Figures {
            lost: self.lost,
            rows: self.rows,
            longest: self.longest,
            bursts: self.bursts,
            burst_packets: self.burst_packets,
            burst_lost: self.burst_lost,
        }
    }
}

impl Figures {
    /// BurstR of ITU-T G.107 clause 3.5: mean length of the rows of losses over the mean length that random loss of the
    /// same rate has, `1 / (1 - rate)`. `None` where nothing, or everything, was lost.
    pub fn ratio(&self, expected: u64) -> Option<f64> {
        if self.rows == 0 || self.lost >= expected {
            return None;
        }
        let received = 1.0 - self.lost as f64 / expected as f64;
        Some(self.lost as f64 / self.rows as f64 * received)
    }
}

/// Losses of the network and, where a buffer discarded, of each buffer. Nothing is allocated for a stream without either.
#[derive(Clone, Debug, Default)]
pub struct History {
    lost: Option<Box<Burst>>,
    discards: Option<Box<Discards>>,
}

#[derive(Clone, Debug)]
struct Discards {
    /// For each buffer, bit `n % WINDOW`: number `n` was discarded.
    windows: [[u64; (WINDOW / 64) as usize]; BUFFERS],
    bursts: [Burst; BUFFERS],
    /// Highest number discarded that is in the window; 0 where none is.
    latest: u64,
}

impl History {
    /// Whether numbers that leave the window are to be told though they arrived.
    #[inline]
    pub fn watches(&self) -> bool {
        self.discards.as_ref().is_some_and(|discards| discards.latest > 0)
    }

    /// What became of `number` is final: it arrived, unless a buffer had discarded it, or it is lost.
    pub fn leave(&mut self, number: u64, arrived: bool, lowest: u64) {
        if !arrived {
            self.lost.get_or_insert_default().lose(number, 1, lowest);
        }
        let Some(discards) = &mut self.discards else {
            return;
        };
        let (word, bit) = (number as usize / 64 % (WINDOW as usize / 64), 1 << (number % 64));
        for (window, burst) in discards.windows.iter_mut().zip(&mut discards.bursts) {
            if !arrived || window[word] & bit != 0 {
                window[word] &= !bit;
                burst.lose(number, 1, lowest);
            }
        }
        if number >= discards.latest {
            discards.latest = 0;
        }
    }

    /// A row of numbers that are lost.
    pub fn lose(&mut self, first: u64, len: u64, lowest: u64) {
        self.lost.get_or_insert_default().lose(first, len, lowest);
        for burst in self.discards.iter_mut().flat_map(|discards| &mut discards.bursts) {
            burst.lose(first, len, lowest);
        }
    }

    /// A number in the window arrived too late for the buffers of the mask.
    pub fn discard(&mut self, number: u64, buffers: u8) {
        let discards = self.discards.get_or_insert_with(|| {
            Box::new(Discards {
                windows: [[0; (WINDOW / 64) as usize]; BUFFERS],
                // Up to here no buffer had other losses than the network.
                bursts: [self.lost.as_deref().copied().unwrap_or_default(); BUFFERS],
                latest: number,
            })
        });
        for (buffer, window) in discards.windows.iter_mut().enumerate() {
            if buffers & 1 << buffer != 0 {
                window[number as usize / 64 % (WINDOW as usize / 64)] |= 1 << (number % 64);
            }
        }
        discards.latest = discards.latest.max(number);
    }

    /// The run of numbers from `lowest` to `highest` is over.
    pub fn end_run(&mut self, lowest: u64, highest: u64) {
        // A stream that has not lost anything yet has nothing to carry: its first loss begins everything.
        if let Some(burst) = &mut self.lost {
            burst.end_run(lowest, highest);
        }
        if let Some(discards) = &mut self.discards {
            for burst in &mut discards.bursts {
                burst.end_run(lowest, highest);
            }
            discards.latest = 0;
        }
    }

    /// The network's losses, and each buffer's.
    pub fn bursts(&self) -> [Burst; 1 + BUFFERS] {
        let network = self.lost.as_deref().copied().unwrap_or_default();
        let mut bursts = [network; 1 + BUFFERS];
        if let Some(discards) = &self.discards {
            for (burst, of_buffer) in bursts.iter_mut().skip(1).zip(discards.bursts) {
                *burst = of_buffer;
            }
        }
        bursts
    }
}

#[cfg(test)]
#[path = "burst_tests.rs"]
mod tests;
