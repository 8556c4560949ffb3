//! The clock that timestamps and arrivals tell.

use proptest::prelude::*;

use super::*;

const START: u64 = 1_795_251_600_000_000_000;

fn header(n: u32, clock_rate: u32, packet_ms: u32, delay_us: u32) -> Header {
    let sent_ms = n * packet_ms;
    Header {
        ts: Timestamp::from_nanos(START + u64::from(sent_ms) * 1_000_000 + u64::from(delay_us) * 1000),
        timestamp: (u64::from(sent_ms) * u64::from(clock_rate) / 1000) as u32,
        seq: n as u16,
        second: 96,
        len: 40,
    }
}

fn traits(headers: impl IntoIterator<Item = Header>) -> Traits {
    let mut probation = Probation::default();
    for header in headers {
        probation.keep(header);
    }
    probation.traits(96)
}

#[test]
fn a_header_is_sixteen_octets() {
    assert_eq!(size_of::<Header>(), 16);
}

#[test]
fn it_takes_a_second_and_half_of_sixty_four_packets() {
    let clock = |packets, packet_ms| traits((0..packets).map(|n| header(n, 8000, packet_ms, 0))).clock_rate;
    assert_eq!((clock(51, 20), clock(50, 20)), (Some(8000), None));
    assert_eq!((clock(33, 40), clock(32, 40)), (Some(8000), None));
    let told = traits((0..60).map(|n| header(n, 8000, 20, 0)));
    assert_eq!((told.units, told.len), (Some(160), 40));
}

#[test]
fn a_sender_at_another_pace_is_no_other_clock() {
    // Frames of 20 ms sent each 15 and each 30 ms.
    for pace_ms in [15, 30] {
        let headers = (0..200).map(|n| Header {
            timestamp: n * 160,
            ..header(n, 8000, pace_ms, 0)
        });
        assert_eq!(traits(headers).clock_rate, None, "{pace_ms} ms");
    }
}

#[test]
fn lost_packets_talkspurts_and_pauses_are_passed_over() {
    let headers = (0..200).filter(|n| n % 7 != 0).map(|n| {
        let mut header = header(n, 16_000, 20, 0);
        // The timestamps stood still in a pause before each talkspurt.
        header.timestamp -= n / 50 * 16_000;
        header.second |= if n % 50 == 0 { 0x80 } else { 0 };
        header
    });
    assert_eq!(traits(headers).clock_rate, Some(16_000));
}

/// Three times as fast for a second and then at its pace, a sender's mean is twice its clock, and no second agrees.
#[test]
fn seconds_that_differ_are_no_clock_of_another_kind() {
    let uneven = (0..=200u32).map(|n| {
        let micros = if n <= 150 { n * 20_000 / 3 } else { (n - 100) * 20_000 };
        Header {
            ts: Timestamp::from_nanos(u64::from(micros) * 1000),
            ..header(n, 8000, 20, 0)
        }
    });
    let told = traits(uneven);
    assert_eq!((told.clock_rate, told.steady), (Some(16_000), false));
    let even = |packets| traits((0..packets).map(|n| header(n, 8000, 20, 0))).steady;
    assert!(even(102) && !even(100));
}

proptest! {
    /// What is summed up while packets are kept is what reading them again gives.
    #[test]
    fn sums_are_those_of_the_packets(packets in proptest::collection::vec(
        (0u64..1_500_000_000, prop_oneof![8 => Just(160u32), 1 => any::<u32>()], prop_oneof![8 => Just(1u16), 1 => 0..3u16], prop_oneof![30 => Just(96u8), 1 => Just(0xe0u8), 1 => Just(8u8)], any::<u8>()),
        0..256,
    )) {
        let mut probation = Probation::default();
        let (mut ts, mut timestamp, mut seq) = (0, 0u32, 0u16);
        for (nanos, units, numbers, second, len) in packets {
            (ts, timestamp, seq) = (ts + nanos / 40, timestamp.wrapping_add(units), seq.wrapping_add(numbers));
            probation.keep(Header { ts: Timestamp::from_nanos(ts), timestamp, seq, second, len });
        }
        let again = Probation { is_mixed: true, ..probation.clone() };
        for payload_type in [96, 8, 0] {
            prop_assert_eq!(probation.traits(payload_type), again.traits(payload_type));
        }
    }

    #[test]
    fn every_known_clock_is_found_under_jitter(
        clock_rate in proptest::sample::select(CLOCKS.to_vec()),
        packet_ms in proptest::sample::select(vec![10u32, 20, 30]),
        delays in proptest::collection::vec(0u32..20_000, 256),
    ) {
        let headers = (0u32..).zip(&delays).map(|(n, &delay)| header(n, clock_rate, packet_ms, delay));
        let told = traits(headers);
        prop_assert_eq!(told.clock_rate, Some(clock_rate));
    }

    #[test]
    fn any_packets_have_an_answer(
        packets in proptest::collection::vec((any::<u64>(), any::<u32>(), any::<u16>(), 95u8..98), 0..256),
    ) {
        let told = traits(packets.into_iter().map(|(nanos, timestamp, seq, second)| Header {
            ts: Timestamp::from_nanos(nanos),
            timestamp,
            seq,
            second,
            len: 0,
        }));
        prop_assert!(told.clock_rate.is_none_or(|clock| CLOCKS.contains(&clock)));
    }
}
