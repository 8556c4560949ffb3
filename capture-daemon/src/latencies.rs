//! How long things took: percentiles, and the buckets of `/metrics`.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::report::{BUCKETS_MS, Latency};

/// The longest time told from longer ones. Longer ones count as this in percentiles, and as they are everywhere else.
const LONGEST_US: u64 = 24 * 3_600 * 1_000_000;
/// Significant figures of a percentile: it is at most 1 % above the value it stands for.
const FIGURES: u8 = 2;

/// A set of times. Takes no room until there is one, then 31 KiB however many there are.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    times: Option<Box<Times>>,
}

#[derive(Clone, Debug)]
struct Times {
    /// In microseconds.
    histogram: Histogram<u64>,
    /// How many are at most as long as each bucket's bound and longer than the one before; behind them, the longer ones.
    buckets: [u64; BUCKETS_MS.len() + 1],
    /// In nanoseconds: 128 bits hold any number of them.
    sum: u128,
    least: Duration,
    most: Duration,
}

impl Latencies {
    /// Takes in one time.
    pub fn record(&mut self, time: Duration) {
        let times = self.times.get_or_insert_with(|| {
            Box::new(Times {
                histogram: Histogram::new_with_bounds(1, LONGEST_US, FIGURES)
                    .expect("these bounds and figures are valid"),
                buckets: [0; BUCKETS_MS.len() + 1],
                sum: 0,
                least: Duration::MAX,
                most: Duration::ZERO,
            })
        });
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        times.histogram.saturating_record(micros);
        let bucket = BUCKETS_MS.partition_point(|bound| Duration::from_millis(*bound) < time);
        times.buckets[bucket] += 1;
        times.sum += time.as_nanos();
        times.least = times.least.min(time);
        times.most = times.most.max(time);
    }

    /// What reports say of them; `None` where there is none.
    pub fn report(&self) -> Option<Latency> {
        let times = self.times.as_ref()?;
        let count = times.histogram.len();
        let milliseconds = |time: Duration| time.as_nanos() as f64 / 1e6;
        let (least, most) = (milliseconds(times.least), milliseconds(times.most));
        // The histogram answers with the end of a range, which may lie beyond everything that was recorded.
        let percentile = |quantile| (times.histogram.value_at_quantile(quantile) as f64 / 1e3).clamp(least, most);
        let mut longer = 0;
        Some(Latency {
            count,
            mean_ms: (times.sum as f64 / count as f64).round() / 1e6,
            min_ms: least,
            p50_ms: percentile(0.5),
            p90_ms: percentile(0.9),
            p99_ms: percentile(0.99),
            max_ms: most,
            sum_s: times.sum as f64 / 1e9,
            buckets: times.buckets[..BUCKETS_MS.len()]
                .iter()
                .map(|count| {
                    longer += count;
                    longer
                })
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn none_is_no_figure() {
        assert_eq!(Latencies::default().report(), None);
    }

    #[test]
    fn a_time_on_the_bound_of_a_bucket_is_in_it() {
        let mut latencies = Latencies::default();
        for bound in BUCKETS_MS {
            latencies.record(Duration::from_millis(bound));
        }
        latencies.record(Duration::from_secs(200 * 3_600));
        let report = latencies.report().expect("figures");
        assert_eq!(report.buckets, (1..=BUCKETS_MS.len() as u64).collect::<Vec<_>>());
        assert_eq!(
            (report.count, report.max_ms),
            (BUCKETS_MS.len() as u64 + 1, 720_000_000.0)
        );
    }

    proptest! {
        /// Against the sorted list: percentiles by nearest rank within 1 %, everything else exactly.
        #[test]
        fn figures_are_those_of_the_sorted_list(
            micros in prop::collection::vec(prop_oneof![0u64..2_000, 0u64..20_000_000, 0u64..LONGEST_US], 1..200)
        ) {
            let mut latencies = Latencies::default();
            for time in &micros {
                latencies.record(Duration::from_micros(*time));
            }
            let mut sorted = micros.clone();
            sorted.sort_unstable();
            let report = latencies.report().expect("figures");
            let rank = |quantile: f64| {
                let rank = (quantile * sorted.len() as f64).ceil() as usize;
                sorted[rank.clamp(1, sorted.len()) - 1] as f64 / 1e3
            };
            for (is, quantile) in [(report.p50_ms, 0.5), (report.p90_ms, 0.9), (report.p99_ms, 0.99)] {
                let right = rank(quantile);
                prop_assert!(is >= right && is <= right * 1.01 + 0.001, "{quantile}: {is}, {right}");
            }
            prop_assert_eq!(report.count, sorted.len() as u64);
            prop_assert_eq!(report.min_ms, sorted[0] as f64 / 1e3);
            prop_assert_eq!(report.max_ms, sorted[sorted.len() - 1] as f64 / 1e3);
            let mean = sorted.iter().sum::<u64>() as f64 / sorted.len() as f64 / 1e3;
            // The mean is told in whole nanoseconds.
            prop_assert!((report.mean_ms - mean).abs() <= mean * 1e-9 + 1e-6);
            for (bound, count) in BUCKETS_MS.iter().zip(&report.buckets) {
                prop_assert_eq!(*count, sorted.iter().filter(|time| **time <= bound * 1_000).count() as u64);
            }
        }
    }
}
