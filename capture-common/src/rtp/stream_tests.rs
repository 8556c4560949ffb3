//! The short way of a packet into its account against the general one.

extern crate std;

use std::format;

use proptest::prelude::*;

use super::*;

/// An account that nothing was written to.
fn unwritten() -> StreamState {
    let (sequence, account) = Sequence::first(0);
    StreamState {
        hot: Hot {
            sequence,
            end: 0,
            rhythm: Rhythm::new(0, 0),
            meter: Meter::default(),
            bytes: 0,
            delta_min: 0,
            delta_max: 0,
            media_clock: 0,
            payload_type: 0,
            flags: 0,
            countdown: 0,
            padding: 0,
        },
        cold: Cold {
            account,
            start: 0,
            irregular: 0,
            types: PayloadTypes::begin(0),
            silence: Silence::default(),
        },
    }
}

/// What SDP says.
fn said(payload_type: u8) -> Kind {
    match payload_type {
        96 => Kind::Media(48_000),
        101 => Kind::Event,
        _ => Kind::Unknown,
    }
}

/// A packet and how long after the one before it came.
#[derive(Clone, Copy, Debug)]
struct Packet {
    nanos: i64,
    numbers: i16,
    units: i32,
    second: u8,
    len: u8,
}

const VOICE: Packet = Packet {
    nanos: 20_000_000,
    numbers: 1,
    units: 160,
    second: 0,
    len: 160,
};

fn packet() -> impl Strategy<Value = Packet> {
    let nanos =
        prop_oneof![4 => 0..30_000_000_i64, 1 => 199_999_000..200_001_000_i64, 1 => -40_000_000..12_000_000_000_i64];
    let numbers = prop_oneof![8 => Just(1_i16), 2 => -20..20_i16, 1 => any::<i16>()];
    let units = prop_oneof![6 => Just(160), 1 => Just(0), 1 => any::<i32>()];
    let second = prop::sample::select(&[0, 0, 0, 0, 0, 8, 13, 96, 97, 101, 0x80][..]);
    (nanos, numbers, units, second).prop_map(|(nanos, numbers, units, second)| Packet {
        nanos,
        numbers,
        units,
        second,
        len: if second == 101 { 4 } else { 160 },
    })
}

/// Takes packets by both ways, and says how many went the short one.
fn both_ways(packets: impl IntoIterator<Item = Packet>) -> u32 {
    let (mut short, mut general) = (unwritten(), unwritten());
    let mut arrival = 100_000_000_000_u64;
    let mut header = Header {
        ssrc: 1,
        timestamp: 0,
        seq: 65_000,
        second: 0,
        len: 160,
    };
    short.begin(arrival, &header, 172, said);
    general.begin(arrival, &header, 172, said);
    let mut steps = 0;
    for packet in packets {
        arrival = arrival.wrapping_add_signed(packet.nanos);
        header.seq = header.seq.wrapping_add_signed(packet.numbers);
        header.timestamp = header.timestamp.wrapping_add_signed(packet.units);
        (header.second, header.len) = (packet.second, packet.len);
        let take = |state: &mut StreamState| {
            if state.due() {
                state.hear(said(state.payload_type()));
            }
            state.take(arrival, &header, 172, said);
        };
        let before = format!("{short:?}");
        if short.hot.step(arrival, &header, 172) {
            steps += 1;
        } else {
            assert_eq!(format!("{short:?}"), before, "what says no has done nothing");
            take(&mut short);
        }
        take(&mut general);
        assert_eq!(format!("{short:?}"), format!("{general:?}"), "{packet:?}");
    }
    steps
}

#[test]
fn of_an_even_stream_all_but_one_in_64_go_the_short_way() {
    // The first only begins the rhythm's clock.
    assert_eq!(both_ways([VOICE; 6401]), 6301);
}

proptest! {
    #[test]
    fn the_short_way_leads_where_the_general_one_does(
        packets in prop::collection::vec(prop_oneof![2 => Just(VOICE), 1 => packet()], 0..600),
    ) {
        both_ways(packets);
    }

    #[test]
    fn microseconds_are_whole(nanos in prop_oneof![any::<u64>(), 0..1u64 << 33, (1u64 << 32) - 2000..1 << 32]) {
        prop_assert_eq!(u64::from(micros(nanos)), (nanos / 1000).min(u64::from(u32::MAX)));
    }
}
