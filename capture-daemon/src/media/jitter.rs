//! Jitter in milliseconds, as it is told; how it is measured stands in [`capture_common::rtp::jitter`].

use capture_common::rtp::jitter::PER_MS;
pub use capture_common::rtp::jitter::{Meter, Period, Rhythm};

/// Mean over the regular packets, of which there were so many, in milliseconds.
pub fn mean_ms(meter: &Meter, regular: u64) -> f64 {
    meter.sum() as f64 / regular.max(1) as f64 / PER_MS as f64
}

/// Highest value at a regular packet, in milliseconds.
pub fn max_ms(meter: &Meter) -> f64 {
    f64::from(meter.max()) / PER_MS as f64
}
