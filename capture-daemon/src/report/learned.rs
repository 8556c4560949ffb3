//! What is said of the endpoints that the kernel program knows.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{Bucket, Distribution};

/// The endpoints of calls in the kernel program's map.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LearnedFigures {
    /// Endpoints in the map.
    pub endpoints: u64,
    /// Endpoints it has room for.
    pub capacity: u64,
    /// Times one was written, since the start.
    pub updates: u64,
    /// Times one was removed.
    pub removals: u64,
    /// Times one found no room: its media is treated as that of any endpoint.
    pub refused: u64,
    /// Times the kernel refused one for another reason.
    pub failed: u64,
    /// From an SDP's packet time to its endpoints in the map; absent before the first.
    pub latency: Option<LearningLatency>,
}

/// How long it took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LearningLatency {
    /// Median, in milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 were not longer.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// By length, in seconds.
    pub seconds: Distribution,
}

/// Upper ends of the buckets, in microseconds: around the millisecond that RTP must not wait for.
const BUCKETS_US: [u64; 12] = [
    50, 100, 200, 300, 500, 700, 1_000, 2_000, 5_000, 20_000, 100_000, 1_000_000,
];

/// The longest time told from longer ones, in microseconds.
const LONGEST_US: u64 = 60_000_000;

/// The times from SDP to map.
#[derive(Clone, Debug)]
pub struct LearningTimes {
    micros: Histogram<u64>,
    buckets: [u64; BUCKETS_US.len()],
    sum: Duration,
    most: Duration,
}

impl Default for LearningTimes {
    fn default() -> Self {
        Self {
            // Two figures: at most 1 % above what it stands for.
            micros: Histogram::new_with_bounds(1, LONGEST_US, 2).expect("these bounds and figures are valid"),
            buckets: [0; BUCKETS_US.len()],
            sum: Duration::ZERO,
            most: Duration::ZERO,
        }
    }
}

impl LearningTimes {
    /// Takes in one time.
    pub fn record(&mut self, time: Duration) {
        // Rounded up, as the bounds of buckets are included.
        let micros = u64::try_from(time.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX);
        self.micros.saturating_record(micros);
        let bucket = BUCKETS_US.partition_point(|end| *end < micros);
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += 1;
        }
        self.sum = self.sum.saturating_add(time);
        self.most = self.most.max(time);
    }

    /// What they come to; `None` before the first.
    pub fn report(&self) -> Option<LearningLatency> {
        let count = self.micros.len();
        let most = self.most.as_secs_f64() * 1e3;
        let percentile = |quantile| (self.micros.value_at_quantile(quantile) as f64 / 1e3).min(most);
        let mut within = 0;
        (count > 0).then(|| LearningLatency {
            p50_ms: percentile(0.5),
            p99_ms: percentile(0.99),
            max_ms: most,
            seconds: Distribution {
                buckets: BUCKETS_US
                    .iter()
                    .zip(self.buckets)
                    .map(|(end, more)| {
                        within += more;
                        Bucket {
                            le: *end as f64 / 1e6,
                            count: within,
                        }
                    })
                    .collect(),
                count,
                sum: self.sum.as_secs_f64(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_into_their_buckets_and_percentiles() {
        let mut times = LearningTimes::default();
        assert_eq!(times.report(), None);
        for micros in [50, 51, 1_000, 1_001, 2_000_000] {
            times.record(Duration::from_micros(micros));
        }
        let report = times.report().expect("figures");
        let counts: Vec<u64> = report.seconds.buckets.iter().map(|bucket| bucket.count).collect();
        assert_eq!(counts, [1, 2, 2, 2, 2, 2, 3, 4, 4, 4, 4, 4]);
        assert_eq!((report.seconds.count, report.max_ms), (5, 2_000.0));
        assert!((report.p50_ms - 1.0).abs() < 0.02, "{report:?}");
        assert!((report.seconds.sum - 2.002102).abs() < 1e-9);
    }
}
