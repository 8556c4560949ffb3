//! Round trips, whichever of the two reports comes first.

use proptest::prelude::*;

use super::*;

fn at(micros: u64) -> Timestamp {
    Timestamp::from_nanos(micros * 1_000)
}

#[test]
fn a_round_trip_is_the_time_between_less_the_time_it_was_kept() {
    let mut trips = RoundTrips::default();
    let mut told = Vec::new();
    trips.sent(at(1_000_000), 7, |_| panic!("nothing waits"));
    // Kept for half a second.
    trips.echo(at(1_580_000), 7, 32_768, |time| told.push(time));
    // The same clock named again, by a later report.
    trips.echo(at(2_120_000), 7, 65_536, |time| told.push(time));
    assert_eq!(told, [80, 120].map(Duration::from_millis));
    assert_eq!(trips.measured.milliseconds(), Some([80.0, 100.0, 120.0, 120.0]));
}

#[test]
fn what_cannot_be_is_not_measured() {
    let mut trips = RoundTrips::default();
    let none = |_| panic!("nothing is measured");
    trips.sent(at(1_000_000), 0, none);
    trips.echo(at(1_100_000), 0, 0, none);
    trips.sent(at(1_000_000), 9, none);
    // Kept for longer than there was time.
    trips.echo(at(1_100_000), 9, 65_536, none);
    assert_eq!(trips.measured.milliseconds(), None);
    // By less than clocks differ: none, rather than below none.
    let mut told = None;
    trips.echo(at(1_500_000), 9, 33_000, |time| told = Some(time));
    assert_eq!(told, Some(Duration::ZERO));
}

proptest! {
    /// Reports every 200 ms at least, each answered with a delay of its own; moved by up to 50 ms as seen by lanes, and in two
    /// parts that are added.
    #[test]
    fn the_order_does_not_matter(
        answers in prop::collection::vec((0u64..300_000, 0u32..6_000, any::<bool>()), 1..60),
        moves in prop::collection::vec(0u64..50_000, 120),
        half in any::<bool>(),
    ) {
        // Time on the wire in µs, what it is, clock, delay.
        let mut reports = Vec::new();
        let mut expected = Vec::new();
        for (n, (trip, kept, answered)) in answers.iter().enumerate() {
            let sent = 1_000_000 + n as u64 * 200_000;
            let middle = n as u32 + 1;
            reports.push((sent, middle, None));
            if *answered {
                let nanos = (u64::from(*kept) * 1_000_000_000) >> 16;
                reports.push((sent + trip + nanos.div_ceil(1_000), middle, Some(*kept)));
                expected.push((*trip * 1_000 + nanos.div_ceil(1_000) * 1_000 - nanos) as f64 / 1e6);
            }
        }
        let mut moved: Vec<_> = reports.into_iter().zip(moves).collect();
        moved.sort_by_key(|((at, ..), by)| at + by);
        let mut trips = [RoundTrips::default(), RoundTrips::default()];
        for (n, ((micros, middle, kept), _)) in moved.into_iter().enumerate() {
            let trips = &mut trips[usize::from(half && n < 8)];
            match kept {
                None => trips.sent(at(micros), middle, |_| ()),
                Some(kept) => trips.echo(at(micros), middle, kept, |_| ()),
            }
        }
        let [mut trips, early] = trips;
        if half {
            // What a part saw first may have left it; the sum is at most that of the whole.
            trips.add(&early);
            prop_assert!(trips.measured.count <= expected.len() as u64);
        } else {
            prop_assert_eq!(trips.measured.count, expected.len() as u64);
            if let Some([min, mean, max, _]) = trips.measured.milliseconds() {
                let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
                prop_assert!(near(min, expected.iter().copied().fold(f64::MAX, f64::min)));
                prop_assert!(near(max, expected.iter().copied().fold(0.0, f64::max)));
                prop_assert!(near(mean, expected.iter().sum::<f64>() / expected.len() as f64));
            }
        }
    }
}
