//! What the RTP streams of one lane come to, for any thread to read. Sums follow the streams as the lane's sweep sees them;
//! distributions are of streams that have ended, each once.

use super::playout::BUFFERS;
use super::quality::Scale;
use crate::counter::Counter;
use crate::outcome::labelled;
use crate::report::{self, LinkedBy};

/// Upper ends of the buckets of mean jitter, in milliseconds; the last bucket has no end.
pub const JITTER_MS: [u64; 9] = [1, 2, 5, 10, 20, 30, 50, 100, 200];

/// Upper ends of the buckets of the share lost, in thousandths. ITU-T G.1010 asks voice for less than 3 %.
pub const SHARE_LOST: [u64; 9] = [0, 1, 5, 10, 20, 30, 50, 100, 200];

/// Upper ends of the buckets of MOS-LQ and MOS-CQ, in hundredths.
pub const MOS: [u64; 8] = [100, 150, 200, 250, 300, 350, 400, 450];

/// Upper ends of the buckets of R. Its categories are of ITU-T G.109; wideband has ratings above 100.
pub const RATING: [u64; 8] = [50, 60, 70, 80, 90, 100, 110, 120];

/// Upper ends of the buckets of the longest time between two packets, in milliseconds.
pub const DELTA_MS: [u64; 9] = [20, 30, 40, 60, 100, 200, 500, 1_000, 5_000];

/// Upper ends of the buckets of how far a sender's clock was off, in milliseconds.
pub const SKEW_MS: [u64; 9] = [1, 5, 10, 20, 50, 100, 200, 500, 1_000];

/// Upper ends of the buckets of the share lost in bursts and outside of them, in thousandths.
pub const DENSITY: [u64; 9] = [1, 5, 10, 20, 50, 100, 200, 500, 750];

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

labelled! {
    /// What may happen in a stream. It is counted when the stream has ended.
    Event {
        /// The sender's sequence numbers began elsewhere.
        Restart = "restart",
        /// The media changed its payload type.
        CodecChange = "codec_change",
        /// A packet of comfort noise (RFC 3389).
        ComfortNoise = "comfort_noise",
        /// 200 ms or more without a packet that nothing announced, and no number is missing.
        SilenceGap = "silence_gap",
        /// The same where a marker or comfort noise announced it.
        Dtx = "dtx",
        /// A burst of losses (RFC 3611 section 4.7.2).
        Burst = "burst",
    }
}

labelled! {
    /// What may be to be said of a stream. It is counted once, when the stream has ended.
    Nature {
        /// SRTP.
        Encrypted = "encrypted",
        /// Timestamps ran at another clock than SDP, or the static table of RFC 3551, says.
        ClockMismatch = "clock_mismatch",
        /// It had a payload type that SDP does not announce.
        PayloadTypeUnannounced = "payload_type_unannounced",
        /// Its packets came inside of TURN.
        InTurn = "in_turn",
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

    /// The same for a figure in the unit of `ends`, and in that of the sum.
    fn take(&self, ends: &[u64], figure: f64, sum: f64) {
        self.count(
            ends.partition_point(|end| (*end as f64) < figure),
            sum.round().max(0.0) as u64,
        );
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
    /// Longest time between two packets of each, its sum in microseconds.
    pub delta: Buckets<{ DELTA_MS.len() + 1 }>,
    /// How far the clock of each was off at most, its sum in microseconds.
    pub skew: Buckets<{ SKEW_MS.len() + 1 }>,
    /// Share lost of each within bursts and outside of them, its sum in millionths.
    pub burst_density: Buckets<{ DENSITY.len() + 1 }>,
    /// The same outside of them.
    pub gap_density: Buckets<{ DENSITY.len() + 1 }>,
    events: [Counter; Event::ALL.len()],
    natures: [Counter; Nature::ALL.len()],
    /// By what joined it with its call; the last is nothing.
    linked: [Counter; LinkedBy::ALL.len() + 1],
    /// By model and buffer.
    opinions: [[Opinions; BUFFERS]; Scale::ALL.len()],
}

/// Opinions of streams that have ended.
#[derive(Debug, Default)]
pub struct Opinions {
    /// R for listening, its sum in thousandths, as those of the others.
    pub r_lq: Buckets<{ RATING.len() + 1 }>,
    /// R for a conversation.
    pub r_cq: Buckets<{ RATING.len() + 1 }>,
    /// MOS-LQ.
    pub mos_lq: Buckets<{ MOS.len() + 1 }>,
    /// MOS-CQ.
    pub mos_cq: Buckets<{ MOS.len() + 1 }>,
}

impl Opinions {
    fn take(&self, opinion: &report::Opinion) {
        let rated = [(&self.r_lq, Some(opinion.r_lq)), (&self.r_cq, opinion.r_cq)];
        for (buckets, r) in rated {
            if let Some(r) = r {
                buckets.take(&RATING, r, r * 1e3);
            }
        }
        let scores = [(&self.mos_lq, Some(opinion.mos_lq)), (&self.mos_cq, opinion.mos_cq)];
        for (buckets, mos) in scores {
            if let Some(mos) = mos {
                buckets.take(&MOS, mos * 100.0, mos * 1e3);
            }
        }
    }
}

impl StreamTotals {
    /// A sum over all streams.
    pub fn sum(&self, of: Sum) -> u64 {
        self.sums[of as usize].get()
    }

    /// Opinions by one model with one buffer.
    pub fn opinions(&self, scale: Scale, buffer: usize) -> Option<&Opinions> {
        self.opinions.get(scale as usize)?.get(buffer)
    }

    /// How often something happened in streams that have ended.
    pub fn event(&self, of: Event) -> u64 {
        self.events[of as usize].get()
    }

    /// Streams that have ended of which this is to be said.
    pub fn nature(&self, of: Nature) -> u64 {
        self.natures[of as usize].get()
    }

    /// Streams that have ended which this joined with their call, or nothing.
    pub fn linked(&self, by: Option<LinkedBy>) -> u64 {
        self.linked[place(by)].get()
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
        self.linked[place(stream.linked_by)].add(1);
        let (gaps, dtx) = stream
            .silence
            .as_ref()
            .map_or((0, 0), |silence| (silence.gaps, silence.dtx));
        let bursts = stream.burst.as_ref().map_or(0, |burst| burst.bursts);
        for (event, times) in [
            (Event::Restart, stream.restarts),
            (Event::CodecChange, stream.codec_changes),
            (Event::ComfortNoise, stream.comfort_noise),
            (Event::SilenceGap, gaps),
            (Event::Dtx, dtx),
            (Event::Burst, bursts),
        ] {
            self.events[event as usize].add(times);
        }
        let unannounced = stream.payload_types.iter().any(|of| of.announced == Some(false));
        for (nature, holds) in [
            (Nature::Encrypted, stream.encrypted.is_some()),
            (
                Nature::ClockMismatch,
                stream.clock.as_ref().is_some_and(|clock| clock.mismatch),
            ),
            (Nature::PayloadTypeUnannounced, unannounced),
            (Nature::InTurn, stream.via.is_some()),
        ] {
            self.natures[nature as usize].add(holds.into());
        }
        if let Some(jitter) = stream.jitter_mean_ms {
            self.jitter.take(&JITTER_MS, jitter, jitter * 1e3);
        }
        if let Some(delta) = &stream.delta {
            self.delta.take(&DELTA_MS, delta.max_ms, delta.max_ms * 1e3);
        }
        if let Some(clock) = &stream.clock {
            let skew = clock.skew_max_ms.abs();
            self.skew.take(&SKEW_MS, skew, skew * 1e3);
        }
        let density = |buckets: &Buckets<{ DENSITY.len() + 1 }>, share: Option<f64>| {
            if let Some(share) = share {
                buckets.take(&DENSITY, share * 1e3, share * 1e6);
            }
        };
        if let Some(burst) = &stream.burst {
            density(&self.burst_density, burst.burst_density);
            density(&self.gap_density, burst.gap_density);
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
            if let (Some(opinion), Some(opinions)) = (opinion, self.opinions(scale, buffer)) {
                opinions.take(opinion);
            }
        }
    }
}

/// Where a stream is counted by what joined it with its call.
fn place(by: Option<LinkedBy>) -> usize {
    by.map_or(LinkedBy::ALL.len(), |by| by as usize)
}
