//! Against the formulas of RFC 3550 A.8 as written, in units of the clock.

extern crate std;

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

/// RFC 3550 A.8: transit times and the estimate in units of the clock, over packets in order; in milliseconds at the end.
fn reference(packets: &[(u64, u32)], clock_rate: u32) -> (f64, f64) {
    let transit = |&(nanos, timestamp): &(u64, u32)| nanos as f64 * f64::from(clock_rate) / 1e9 - f64::from(timestamp);
    let (mut jitter, mut sum, mut max) = (0.0f64, 0.0, 0.0f64);
    for pair in packets.windows(2) {
        let d = (transit(&pair[1]) - transit(&pair[0])).abs();
        jitter += (d - jitter) / 16.0;
        sum += jitter;
        max = max.max(jitter);
    }
    let ms = 1000.0 / f64::from(clock_rate);
    (sum / (packets.len() - 1) as f64 * ms, max * ms)
}

/// Mean over so many packets, and the highest, in milliseconds.
fn figures(meter: &Meter, regular: u64) -> (f64, f64) {
    let ms = |figure: f64| figure / PER_MS as f64;
    (ms(meter.sum() as f64 / regular as f64), ms(f64::from(meter.max())))
}

fn steps(packets: &[(u64, u32)]) -> impl Iterator<Item = Step> {
    packets.windows(2).map(|pair| {
        let rhythm = Rhythm::new(pair[0].0, pair[0].1);
        rhythm.step(pair[1].0, pair[1].1)
    })
}

#[test]
fn an_even_stream_has_none_and_a_late_packet_a_sixteenth() {
    let mut packets: Vec<(u64, u32)> = (0..10).map(|n| (u64::from(n) * 20_000_000, n * 160)).collect();
    let mut meter = Meter::default();
    steps(&packets).for_each(|step| meter.take(step.transit(Period::of(8000)), true));
    assert_eq!(figures(&meter, 9), (0.0, 0.0));

    packets.truncate(2);
    packets[1].0 += 16_000_000;
    let mut meter = Meter::default();
    steps(&packets).for_each(|step| meter.take(step.transit(Period::of(8000)), true));
    assert_eq!(figures(&meter, 1), (1.0, 1.0));
}

#[test]
fn timestamps_wrap() {
    let rhythm = Rhythm::new(0, u32::MAX - 79);
    let step = rhythm.step(20_000_000, 80);
    assert!(step.is_forward());
    assert_eq!(step.transit(Period::of(8000)), Some(0));
}

#[test]
fn a_new_origin_is_not_jitter() {
    let rhythm = Rhythm::new(0, 0);
    let step = rhythm.step(20_000_000, 0x7000_0000);
    let mut meter = Meter::default();
    meter.take(step.transit(Period::of(8000)), true);
    assert_eq!(meter, Meter::default());
}

#[test]
fn the_longest_deviation_fits_the_estimate() {
    let mut meter = Meter::default();
    for sign in [1, -1].into_iter().cycle().take(10_000) {
        meter.take(Some(sign * (NEW_ORIGIN.cast_signed() - 1)), true);
    }
    let (_, highest) = figures(&meter, 1);
    assert!((highest - 10_000.0).abs() < 1e-3, "{highest}");
}

#[test]
fn the_slowest_clock_has_a_period_and_a_slower_one_has_none() {
    assert_eq!(Period::of(Period::SLOWEST - 1), Period::UNKNOWN);
    for clock_rate in [Period::SLOWEST, 8000, 11_025, 90_000, 192_000] {
        let step = Rhythm::new(0, 0).step(60_000_000_000, 60 * clock_rate);
        let off = step.transit(Period::of(clock_rate)).unwrap();
        assert!(off.abs() < 2_000, "{clock_rate} Hz is off by {off} ns in a minute");
    }
    // Timestamps as far apart as they can be are held, not overflown.
    for timestamp in [0x7fff_ffff, 0x8000_0000] {
        let step = Rhythm::new(0, 0).step(0, timestamp);
        assert_eq!(step.transit(Period::of(Period::SLOWEST)), None);
    }
}

proptest! {
    #[test]
    fn equals_rfc_3550_at_every_clock(
        clock_rate in proptest::sample::select(vec![8000u32, 11_025, 16_000, 44_100, 48_000, 90_000]),
        delays in proptest::collection::vec(0u64..60_000_000, 2..500),
        frame_ms in 10u32..60,
    ) {
        let packets: Vec<(u64, u32)> = (0u32..).zip(&delays)
            .map(|(n, delay)| {
                let units = u64::from(n) * u64::from(frame_ms) * u64::from(clock_rate) / 1000;
                (u64::from(n * frame_ms) * 1_000_000 + delay, units as u32)
            })
            .collect();
        let (mean, max) = reference(&packets, clock_rate);
        let regular = packets.len() as u64 - 1;
        let mut meter = Meter::default();
        for step in steps(&packets) {
            meter.take(step.transit(Period::of(clock_rate)), true);
        }
        let (ours, highest) = figures(&meter, regular);
        prop_assert!((ours - mean).abs() < 1e-3, "{ours} {mean}");
        prop_assert!((highest - max).abs() < 1e-3, "{highest} {max}");
    }
}
