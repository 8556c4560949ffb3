//! Against a buffer that keeps every packet.

use proptest::prelude::*;

use super::*;

/// A packet as the simulation gets it.
#[derive(Clone, Copy, Debug)]
struct Taken {
    lag: i32,
    talkspurt: bool,
    adapt: bool,
}

/// Runs packets through the simulation; which buffers discard each.
fn run(packets: &[Taken]) -> (Vec<u8>, [Figures; BUFFERS]) {
    let (mut playout, mut points) = Playout::begin();
    let mut late = Vec::new();
    for (before, packet) in (0u64..).zip(packets) {
        if packet.talkspurt {
            points.talkspurt(&mut playout, packet.lag, before);
        } else if packet.adapt {
            points.adapt(&mut playout, before);
        }
        let ask = playout.take(packet.lag);
        late.push(if ask {
            points.weigh(&mut playout, packet.lag, before)
        } else {
            0
        });
    }
    (late, points.figures(&playout, packets.len() as u64))
}

/// One buffer, asked about every packet, with every wait written down.
fn reference(packets: &[Taken], fixed: Option<i32>) -> (Vec<bool>, Vec<i32>, u32) {
    let mut point = fixed.unwrap_or(60_000);
    let (mut mean, mut deviation) = (0, 0);
    let (mut late, mut waits, mut resets) = (Vec::new(), Vec::new(), 0);
    // Places of the discards since the buffer began anew.
    let mut discards: Vec<usize> = Vec::new();
    for &Taken { lag, talkspurt, adapt } in packets {
        let target = mean / 16 + (deviation / 4).clamp(20_000, 500_000);
        match fixed {
            Some(delay) if talkspurt => point = lag + delay,
            None if talkspurt => point = target,
            None if adapt => point = target.max(point - 20_000),
            _ => {}
        }
        let off = lag * 16 - mean;
        mean += off.div_euclid(512);
        deviation += (off.abs() - deviation).div_euclid(512);
        if lag > point {
            discards.push(late.len());
            late.push(true);
            let near = discards.chunk_by(|a, b| b - a <= 32).last().map_or(0, <[usize]>::len);
            match fixed {
                Some(delay) if near == 10 => {
                    point = lag + delay;
                    discards.clear();
                    resets += 1;
                }
                Some(_) => {}
                None => point = point.max(lag.min(mean / 16 + 500_000)),
            }
            continue;
        }
        late.push(false);
        if let Some(delay) = fixed
            && point - lag > delay + 200_000
        {
            point = lag + delay;
            resets += 1;
        }
        waits.push(point - lag);
    }
    (late, waits, resets)
}

fn steady(lags: impl IntoIterator<Item = i32>) -> Vec<Taken> {
    let taken = |lag| Taken {
        lag,
        talkspurt: false,
        adapt: false,
    };
    lags.into_iter().map(taken).collect()
}

#[test]
fn what_is_later_than_the_delay_is_discarded() {
    let (late, [short, long, adaptive]) = run(&steady([0, 50_000, 50_001, 60_001, 200_001, 0]));
    assert_eq!(late, [0, 0, 0b001, 0b101, 0b111, 0]);
    assert_eq!((short.discarded, long.discarded, adaptive.discarded), (3, 1, 2));
    assert_eq!(short.mean_ms, Some(100.0 / 3.0));
    assert_eq!((short.max_ms, long.max_ms), (50.0, 200.0));
}

#[test]
fn a_longer_path_is_found_after_ten() {
    let (late, [short, long, _]) = run(&steady([vec![0; 100], vec![80_000; 100]].concat()));
    assert_eq!(late.iter().filter(|late| **late & 1 != 0).count(), 10);
    assert_eq!((short.discarded, short.resets), (10, 1));
    assert_eq!((long.discarded, long.resets), (0, 0));
}

/// Every other packet 60 ms later than the first: no ten in a row, and yet the buffer stands wrong.
#[test]
fn discards_need_not_be_in_a_row() {
    let lags = (0..400).map(|n| if n % 2 == 0 { 0 } else { 60_000 });
    let (_, [short, long, _]) = run(&steady(lags));
    assert_eq!((short.discarded, short.resets, long.discarded), (10, 1, 0));
    let seldom = (0..4000).map(|n| if n % 40 == 39 { 60_000 } else { 0 });
    let (_, [short, ..]) = run(&steady(seldom));
    assert_eq!((short.discarded, short.resets), (100, 0));
}

#[test]
fn a_first_packet_that_was_late_does_not_fill_the_buffer_for_ever() {
    let (_, [short, _, _]) = run(&steady([vec![0; 1], vec![-210_000; 100]].concat()));
    assert_eq!((short.discarded, short.resets, short.max_ms), (0, 1, 50.0));
}

#[test]
fn a_talkspurt_begins_anew() {
    let mut packets = steady([0, 0, 90_000, 90_000]);
    packets[2].talkspurt = true;
    let (late, [short, long, _]) = run(&packets);
    assert_eq!((late[3] & 1, short.discarded), (0, 0));
    assert_eq!((short.mean_ms, long.mean_ms), (Some(50.0), Some(200.0)));
}

#[test]
fn the_adaptive_buffer_comes_down_on_an_even_stream() {
    let mut packets = steady(vec![0; 1000]);
    for packet in packets.iter_mut().step_by(64) {
        packet.adapt = true;
    }
    let (_, [.., adaptive]) = run(&packets);
    assert!(adaptive.mean_ms.unwrap() < 25.0, "{adaptive:?}");
    assert_eq!(adaptive.discarded, 0);
}

#[test]
fn lags_without_measure_are_held() {
    assert_eq!((micros(i64::MAX), micros(i64::MIN)), (60_000_000, -60_000_000));
    let extremes = [i64::MAX, i64::MIN].map(micros);
    let (_, figures) = run(&steady(extremes.into_iter().cycle().take(1000)));
    assert!(figures.iter().all(|buffer| buffer.max_ms <= 200_000.0), "{figures:?}");
}

proptest! {
    #[test]
    fn equals_the_buffer_that_keeps_every_packet(
        packets in proptest::collection::vec(
            (
                prop_oneof![6 => 0i32..40_000, 3 => 0i32..300_000, 1 => -300_000i32..900_000],
                proptest::bool::weighted(0.02),
                proptest::bool::weighted(0.05),
            ),
            1..400,
        ),
        drift in -300i32..300,
    ) {
        let packets: Vec<Taken> = (0i32..).zip(packets)
            .map(|(n, (lag, talkspurt, adapt))| Taken { lag: if n == 0 { 0 } else { lag + n * drift }, talkspurt, adapt })
            .collect();
        let (late, figures) = run(&packets);
        for (at, fixed) in [Some(50_000), Some(200_000), None].into_iter().enumerate() {
            let (discarded, waits, resets) = reference(&packets, fixed);
            let is: Vec<bool> = late.iter().map(|late| late & 1 << at != 0).collect();
            prop_assert_eq!(&is, &discarded, "buffer {}", at);
            let figures = figures[at];
            prop_assert_eq!(figures.discarded, discarded.iter().filter(|late| **late).count() as u64);
            prop_assert_eq!(figures.resets, resets);
            let sum: i64 = waits.iter().map(|&wait| i64::from(wait)).sum();
            let mean = (!waits.is_empty()).then(|| sum as f64 / waits.len() as f64 / 1e3);
            prop_assert_eq!(figures.mean_ms, mean);
            // A buffer that played nothing says how long it would have waited for the first.
            let first = fixed.unwrap_or(60_000);
            let max = waits.iter().copied().max().unwrap_or_default().max(first);
            prop_assert_eq!(figures.max_ms, f64::from(max) / 1e3);
        }
    }
}
