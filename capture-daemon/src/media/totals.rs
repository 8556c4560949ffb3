//! What the RTP streams of one lane come to, for any thread to read. Sums follow the streams as the lane's sweep sees them;
//! distributions are of streams that have ended, each once.

use super::playout::BUFFERS;
use super::quality::Scale;
use crate::counter::Counter;
use crate::outcome::labelled;
use crate::report;

/// Upper ends of the buckets of mean jitter, in milliseconds; the last bucket has no end.
pub const JITTER_MS: [u64; 9] = [1, 2, 5, 10, 20, 30, 50, 100, 200];

/// Upper ends of the buckets of the share lost, in thousandths. ITU-T G.1010 asks voice for less than 3 %.
pub const SHARE_LOST: [u64; 9] = [0, 1, 5, 10, 20, 30, 50, 100, 200];

/// Upper ends of the buckets of MOS-LQ, in hundredths.
pub const MOS: [u64; 8] = [100, 150, 200, 250, 300, 350, 400, 450];

/// Names of the simulated jitter buffers.
pub const BUFFER_NAMES: [&str; BUFFERS] = ["fixed_50", "fixed_200", "adaptive"];

labelled! {
    /// What is summed over streams.
    Sum {
        /// RTP packets, copies included.
        Packets = "packets",
        /// Sequence numbers that never arrived.
        Lost = "lost",
        /// Packets that arrived below the highest sequence number.
        Reordered = "reordered",
        /// Copies of packets that had come.
        Duplicates = "duplicates",
        /// Packets too late for a buffer of 50 ms.
        DiscardedFixed50 = "discarded_fixed_50",
        /// Packets too late for a buffer of 200 ms.
        DiscardedFixed200 = "discarded_fixed_200",
        /// Packets too late for the adaptive buffer.
        DiscardedAdaptive = "discarded_adaptive",
        /// Keys pressed, or parts of long ones.
        Digits = "dtmf_digits",
    }
}

/// How many sums there are.
pub const SUMS: usize = Sum::ALL.len();

/// Figures of one stream in the order of [`Sum`], as far as 32 bits hold them: what matters is how far they have moved.
pub type Figures = [u32; SUMS];

/// Counters by bucket, and the sum of what was counted.
#[derive(Debug)]
pub struct Buckets<const N: usize> {
    /// Not above the end of the bucket, and above that of the one before.
    counts: [Counter; N],
    sum: Counter,
}

impl<const N: usize> Default for Buckets<N> {
    fn default() -> Self {
        Self {
            counts: std::array::from_fn(|_| Counter::default()),
            sum: Counter::default(),
        }
    }
}

impl<const N: usize> Buckets<N> {
    /// Counts a figure that falls into this bucket; `sum` is the figure in the unit the sum has.
    fn count(&self, bucket: usize, sum: u64) {
        if let Some(counter) = self.counts.get(bucket) {
            counter.add(1);
            self.sum.add(sum);
        }
    }

    /// Counts by bucket.
    pub fn counts(&self) -> impl Iterator<Item = u64> {
        self.counts.iter().map(Counter::get)
    }

    /// Sum of all figures, in the unit it was counted in.
    pub fn sum(&self) -> u64 {
        self.sum.get()
    }
}

/// The counters of one lane, which alone writes them.
#[derive(Debug, Default)]
pub struct StreamTotals {
    sums: [Counter; SUMS],
    /// Streams that have ended.
    pub ended: Counter,
    /// Mean jitter of each, its sum in microseconds.
    pub jitter: Buckets<{ JITTER_MS.len() + 1 }>,
    /// Share lost of each, its sum in millionths.
    pub share_lost: Buckets<{ SHARE_LOST.len() + 1 }>,
    /// MOS-LQ of each by model and buffer, its sum in thousandths.
    mos: [[Buckets<{ MOS.len() + 1 }>; BUFFERS]; Scale::ALL.len()],
}

impl StreamTotals {
    /// A sum over all streams.
    pub fn sum(&self, of: Sum) -> u64 {
        self.sums[of as usize].get()
    }

    /// Opinions by one model with one buffer.
    pub fn mos(&self, scale: Scale, buffer: usize) -> Option<&Buckets<{ MOS.len() + 1 }>> {
        self.mos.get(scale as usize)?.get(buffer)
    }

    /// Shows the sums as they stand. What was lost may yet arrive, and a counter does not go back: it waits.
    pub(super) fn show(&self, sums: &[i64; SUMS]) {
        for (counter, sum) in self.sums.iter().zip(sums) {
            counter.set(counter.get().max(u64::try_from(*sum).unwrap_or(0)));
        }
    }

    /// Takes in a stream that has ended.
    pub(super) fn end(&self, stream: &report::Stream) {
        self.ended.add(1);
        if let Some(jitter) = stream.jitter_mean_ms {
            let bucket = JITTER_MS.partition_point(|end| (*end as f64) < jitter);
            self.jitter.count(bucket, (jitter * 1e3).round() as u64);
        }
        if stream.expected > 0 {
            let thousandths = (stream.lost * 1_000).div_ceil(stream.expected);
            let bucket = SHARE_LOST.partition_point(|end| *end < thousandths);
            self.share_lost.count(bucket, stream.lost * 1_000_000 / stream.expected);
        }
        let Some(quality) = &stream.quality else { return };
        let Some(scale) = Scale::named(&quality.model) else {
            return;
        };
        let opinions = [&quality.fixed_50, &quality.fixed_200, &quality.adaptive];
        for (buffer, opinion) in opinions.into_iter().enumerate() {
            if let (Some(opinion), Some(buckets)) = (opinion, self.mos(scale, buffer)) {
                let bucket = MOS.partition_point(|end| (*end as f64) < opinion.mos_lq * 100.0);
                buckets.count(bucket, (opinion.mos_lq * 1e3).round() as u64);
            }
        }
    }
}
