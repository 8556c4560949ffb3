//! Telephone events in order, out of order, and against a reader that has all packets before it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_nanos(ms * 1_000_000)
}

/// Takes a packet: when it came, in milliseconds; RTP timestamp, event, whether it is the end, duration.
fn take(events: &mut Option<Box<Events>>, ms: u64, timestamp: u32, code: u8, end: bool, duration: u16) {
    let mut payload = vec![code, if end { 0x8a } else { 0x0a }];
    payload.extend(duration.to_be_bytes());
    let packet = rtp::Packet {
        marker: false,
        payload_type: 101,
        seq: 0,
        timestamp,
        ssrc: 1,
        payload: &payload,
        len: payload.len(),
    };
    Events::take(events, at(ms), &packet);
}

/// Keys with the millisecond of their first packet and their durations at `rate`.
fn keys(events: Option<&Events>, rate: u32) -> Vec<(String, u64, f64)> {
    let formats = [Format {
        payload_type: 101,
        encoding: "telephone-event".into(),
        clock_rate: rate,
    }];
    let report = events.map(|events| events.report(&formats, Endpoint::v4([192, 0, 2, 1], 4000), 1));
    let digits = report.unwrap_or_default().digits;
    let told = |digit: report::Digit| {
        let ms = digit.at.as_nanos() / 1_000_000;
        (digit.digit, ms, digit.duration_ms.unwrap_or(-1.0))
    };
    digits.into_iter().map(told).collect()
}

#[test]
fn an_end_told_three_times_is_one_key_and_lost_ends_cost_only_duration() {
    let mut events = None;
    for (ms, duration, end) in [
        (0, 160, false),
        (20, 320, false),
        (40, 480, true),
        (41, 480, true),
        (42, 480, true),
    ] {
        take(&mut events, ms, 1_000, 5, end, duration);
    }
    // The next key's beginning and end are lost.
    take(&mut events, 220, 2_600, 11, false, 320);
    assert_eq!(
        keys(events.as_deref(), 8000),
        [("5".to_owned(), 0, 60.0), ("#".to_owned(), 220, 40.0)]
    );
    assert_eq!(keys(events.as_deref(), 16_000)[0].2, 30.0);
}

#[test]
fn a_key_held_beyond_sixteen_bits_goes_on_in_segments() {
    let mut events = None;
    let begin = u32::MAX - 100;
    take(&mut events, 0, begin, 1, false, 160);
    take(&mut events, 8_191, begin, 1, false, u16::MAX);
    let next = begin.wrapping_add(65_535);
    take(&mut events, 8_200, next, 1, false, u16::MAX);
    take(&mut events, 16_400, next.wrapping_add(65_535), 1, true, 80);
    take(&mut events, 17_000, 5_000_000, 1, true, 800);
    let told = keys(events.as_deref(), 8000);
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0], ("1".to_owned(), 0, f64::from(2 * 65_535 + 80) / 8.0));
}

#[test]
fn what_is_no_key_of_a_telephone_is_none_here() {
    let mut events = None;
    take(&mut events, 0, 0, 36, true, 100); // a fax tone
    assert!(events.is_none());
    assert_eq!(read(&[1, 0x40, 0, 0]), None, "the reserved bit");
    assert_eq!(read(&[1, 0, 0]), None);
    assert_eq!(read(&[1, 0, 0, 0, 1, 0, 0, 0]), None);
    assert_eq!(key(16), Some('!'));
}

fn key(code: u8) -> Option<char> {
    dtmf::key(code)
}

#[test]
fn keys_beyond_the_cap_are_counted_once_each() {
    let mut events = None;
    for n in 0..100u32 {
        for _ in 0..3 {
            take(&mut events, u64::from(n), n * 1_000, 1, true, 100);
        }
    }
    let report = events.unwrap().report(&[], Endpoint::default(), 1);
    assert_eq!((report.digits.len(), report.beyond), (MAX_DIGITS, 36));
}

proptest! {
    /// The payload by the figure of RFC 4733 section 2.3, bit by bit.
    #[test]
    fn a_payload_is_read_as_its_bits_say(payload in prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 4),
        1 => prop::collection::vec(any::<u8>(), 0..9),
    ]) {
        let bits: Vec<u32> = payload.iter().flat_map(|byte| (0..8).rev().map(move |bit| u32::from(byte >> bit & 1))).collect();
        let field = |from: usize, len: usize| bits[from..from + len].iter().fold(0, |number, bit| number * 2 + bit);
        let expected = (bits.len() == 32 && field(9, 1) == 0).then(|| Event {
            code: field(0, 8) as u8,
            end: field(8, 1) == 1,
            volume: field(10, 6) as u8,
            duration: field(16, 16) as u16,
        });
        prop_assert_eq!(read(&payload), expected);
    }
}

proptest! {
    /// Keys pressed one after the other, their packets shuffled, some lost, some doubled.
    #[test]
    fn any_order_of_any_packets_tells_the_same_keys(
        presses in prop::collection::vec((0u8..16, 1u16..20), 1..20),
        fates in prop::collection::vec(0usize..3, 60),
        order in prop::collection::vec(any::<u64>(), 900),
    ) {
        let mut packets = Vec::new();
        let mut fates = fates.into_iter().cycle();
        for (n, (code, steps)) in presses.iter().enumerate() {
            let timestamp = (n as u32).wrapping_mul(40_000).wrapping_add(u32::MAX - 100_000);
            for step in 1..=steps + 2 {
                let duration = step.min(*steps) * 160;
                let ms = n as u64 * 5_000 + u64::from(step) * 20;
                let packet = (ms, timestamp, *code, step >= *steps, duration);
                packets.extend(std::iter::repeat_n(packet, fates.next().unwrap()));
            }
        }
        let mut expected = BTreeMap::<u32, (u64, u8, u16)>::new();
        for (ms, timestamp, code, _, duration) in &packets {
            let known = expected.entry(*timestamp).or_insert((*ms, *code, *duration));
            *known = (known.0.min(*ms), *code, known.2.max(*duration));
        }
        let mut expected: Vec<_> = expected
            .into_values()
            .map(|(ms, code, duration)| (key(code).unwrap().to_string(), ms, f64::from(duration) / 8.0))
            .collect();
        expected.sort_by_key(|(_, ms, _)| *ms);
        let mut events = None;
        let mut shuffled: Vec<_> = order.into_iter().zip(packets).collect();
        shuffled.sort_unstable();
        for (_, (ms, timestamp, code, end, duration)) in shuffled {
            take(&mut events, ms, timestamp, code, end, duration);
        }
        prop_assert_eq!(keys(events.as_deref(), 8000), expected);
    }
}
