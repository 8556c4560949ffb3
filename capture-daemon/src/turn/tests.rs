use std::sync::Arc;

use proptest::prelude::*;

use super::wire::Wire;
use super::*;
use crate::report::AllocationState::{Active, Challenged, Deleted, Expired, Failed, Joined, Requested, TimedOut};

const CLIENT: Endpoint = Endpoint::v4([192, 0, 2, 1], 40_000);
const SERVER: Endpoint = Endpoint::v4([192, 0, 2, 9], 3478);
const RELAYED: Endpoint = Endpoint::v4([192, 0, 2, 9], 50_000);
const PEER: Endpoint = Endpoint::v4([192, 0, 2, 2], 30_000);

/// Second of the packet, whether the server sends it, message.
type Timed = (u64, bool, Vec<u8>);

fn at(second: u64) -> Timestamp {
    Timestamp::from_nanos(second * 1_000_000_000)
}

fn record(turn: &Turn, (second, from_server, bytes): &Timed) {
    let (src, dst) = if *from_server {
        (SERVER, CLIENT)
    } else {
        (CLIENT, SERVER)
    };
    let stun::Kind::Message(message) = stun::read(bytes) else {
        panic!("{bytes:?}")
    };
    let path = Path { src, dst, tcp: false };
    turn.record(at(*second), path, false, &message, &Losses::default());
}

fn all(messages: &[Timed]) -> Turn {
    let turn = Turn::new(&Follow::default());
    messages.iter().for_each(|message| record(&turn, message));
    turn
}

fn request(second: u64, method: Method, id: u32) -> Timed {
    (second, false, Wire::new(Class::Request, method, id).bytes())
}

fn signed(second: u64, method: Method, id: u32) -> Timed {
    (
        second,
        false,
        Wire::new(Class::Request, method, id).signed("alice").bytes(),
    )
}

fn refusal(second: u64, method: Method, id: u32, code: u16) -> Timed {
    let value = [0, 0, (code / 100) as u8, (code % 100) as u8];
    (
        second,
        true,
        Wire::new(Class::Error, method, id).with(0x0009, &value).bytes(),
    )
}

fn lifetime(second: u64, class: Class, method: Method, id: u32, seconds: u32) -> Timed {
    let mut wire = Wire::new(class, method, id).with(0x000d, &seconds.to_be_bytes());
    if (class, method) == (Class::Success, Method::Allocate) {
        wire = wire.mixed(0x0016, RELAYED).mixed(0x0020, CLIENT);
    }
    (second, class == Class::Success, wire.bytes())
}

fn granted(second: u64, id: u32) -> [Timed; 2] {
    [
        signed(second, Method::Allocate, id),
        lifetime(second, Class::Success, Method::Allocate, id, 600),
    ]
}

fn state(messages: &[Timed], now: u64) -> AllocationState {
    let allocations = all(messages).report(at(now));
    assert_eq!(allocations.len(), 1);
    allocations[0].state
}

#[test]
fn the_state_follows_from_the_messages_and_the_time() {
    let mut messages = vec![request(10, Method::Allocate, 1)];
    assert_eq!(
        (state(&messages, 10), state(&messages, 49), state(&messages, 50)),
        (Requested, Requested, TimedOut)
    );
    messages.push(refusal(11, Method::Allocate, 1, 401));
    assert_eq!(state(&messages, 99), Challenged);
    messages.extend(granted(12, 2));
    assert_eq!((state(&messages, 612), state(&messages, 613)), (Active, Expired));
    messages.push(lifetime(300, Class::Request, Method::Refresh, 3, 600));
    messages.push(lifetime(300, Class::Success, Method::Refresh, 3, 600));
    assert_eq!((state(&messages, 900), state(&messages, 901)), (Active, Expired));
    messages.push(lifetime(310, Class::Request, Method::Refresh, 4, 0));
    assert_eq!(state(&messages, 311), Active, "not yet answered");
    messages.push(lifetime(311, Class::Success, Method::Refresh, 4, 0));
    assert_eq!(state(&messages, 311), Deleted);
    messages.extend(granted(400, 5));
    assert_eq!(state(&messages, 401), Active, "the 5-tuple is used again");

    assert_eq!(
        state(
            &[signed(1, Method::Allocate, 1), refusal(1, Method::Allocate, 1, 486)],
            2
        ),
        Failed
    );
    assert_eq!(
        state(
            &[signed(1, Method::Allocate, 1), refusal(1, Method::Allocate, 1, 438)],
            2
        ),
        Challenged
    );
    assert_eq!(state(&[signed(1, Method::CreatePermission, 1)], 2), Joined);
}

#[test]
fn permissions_and_channels_last_as_long_as_the_rfc_says() {
    let mut messages = granted(0, 1).to_vec();
    let to = |method: Method, id: u32| Wire::new(Class::Request, method, id).mixed(0x0012, PEER);
    let bind = to(Method::ChannelBind, 3).with(0x000c, &[0x40, 0, 0, 0]);
    messages.push((100, false, to(Method::CreatePermission, 2).bytes()));
    messages.push((100, false, bind.bytes()));
    let bindings = |messages: &[Timed], now: u64| {
        let figures = all(messages).figures(at(now));
        (figures.permissions, figures.channels)
    };
    assert_eq!(bindings(&messages, 100), (0, 0), "not granted yet");
    messages.push((
        100,
        true,
        Wire::new(Class::Success, Method::CreatePermission, 2).bytes(),
    ));
    assert_eq!(bindings(&messages, 100), (1, 0));
    messages.push((100, true, Wire::new(Class::Success, Method::ChannelBind, 3).bytes()));
    assert_eq!((bindings(&messages, 400), bindings(&messages, 401)), ((1, 1), (0, 1)));
    assert_eq!(bindings(&messages, 601), (0, 0), "the allocation has expired");
}

#[test]
fn authentication_failures_are_told_from_challenges() {
    let mut messages = vec![request(0, Method::Allocate, 1), refusal(0, Method::Allocate, 1, 401)];
    for (id, code) in [
        (2, 401),
        (3, 438),
        (4, 441),
        (5, 486),
        (6, 508),
        (7, 403),
        (8, 437),
        (9, 442),
        (10, 443),
    ] {
        messages.push(signed(1, Method::Allocate, id));
        messages.push(refusal(2, Method::Allocate, id, code));
    }
    // A check between peers is none of the server's business.
    let check = Wire::new(Class::Request, Method::Binding, 11)
        .with(0x0006, b"a:b")
        .with(0x0008, &[7; 20]);
    messages.push((3, false, check.bytes()));
    messages.push(refusal(3, Method::Binding, 11, 401));
    // Only the answer was seen: what was asked is not known.
    messages.push(refusal(3, Method::Allocate, 12, 401));
    let turn = all(&messages);
    let figures = turn.figures(at(4));
    assert_eq!(figures.challenges, 1);
    assert_eq!(figures.authentication_failures, [(401, 1), (438, 1), (441, 1)].into());
    let allocate = &figures.transactions["allocate"];
    assert_eq!(
        (allocate.requests, allocate.errors[&401], allocate.errors[&508]),
        (10, 3, 1)
    );
    assert_eq!(figures.transactions["ice_check"].errors, [(401, 1)].into());
    let failures = &turn.report(at(4))[0].failures;
    let codes: Vec<u16> = failures.keys().copied().collect();
    assert_eq!(
        codes,
        [401, 403, 437, 441, 442, 443, 486, 508],
        "without the challenges"
    );
}

#[test]
fn repeated_requests_are_one_transaction() {
    let messages = [
        request(0, Method::Binding, 1),
        request(1, Method::Binding, 1),
        request(3, Method::Binding, 1),
        request(5, Method::Binding, 2),
        (4, true, Wire::new(Class::Success, Method::Binding, 1).bytes()),
    ];
    let binding = |now: u64| all(&messages).figures(at(now)).transactions["binding"].clone();
    let figures = binding(44);
    assert_eq!(
        (figures.requests, figures.retransmissions, figures.successes),
        (2, 2, 1)
    );
    assert_eq!(figures.unanswered, 0);
    assert_eq!(binding(45).unanswered, 1);
    let round_trip = figures.round_trip.unwrap();
    assert_eq!((round_trip.count, round_trip.max_ms), (1, 4_000.0));
}

#[test]
fn what_has_left_the_tables_is_still_in_the_totals() {
    let mut messages = granted(0, 1).to_vec();
    messages.extend([
        request(1, Method::Refresh, 2),
        refusal(1, Method::Refresh, 2, 437),
        lifetime(5, Class::Request, Method::Refresh, 3, 0),
        lifetime(5, Class::Success, Method::Refresh, 3, 0),
    ]);
    let turn = all(&messages);
    let flow = Flow {
        first: at(2),
        last: at(3),
        channel_data: report::Relayed { packets: 3, bytes: 300 },
        ..Flow::default()
    };
    let path = Path {
        src: CLIENT,
        dst: SERVER,
        tcp: false,
    };
    turn.relayed(path, &flow, &Losses::default());
    let before = turn.figures(at(10_000));
    for _ in 0..64 {
        turn.sweep(at(10_000));
    }
    assert_eq!((turn.transactions(), turn.allocations()), (0, 0));
    assert_eq!(turn.figures(at(10_000)), before);
    assert_eq!(
        (before.channel_data.packets, &before.allocations),
        (3, &[("deleted".to_owned(), 1)].into())
    );
}

#[test]
fn a_channel_number_that_is_bound_again_is_a_question_of_time() {
    let other = Endpoint::v4([192, 0, 2, 3], 30_000);
    let bind = |second: u64, id: u32, peer: Endpoint| {
        let wire = Wire::new(Class::Request, Method::ChannelBind, id).with(0x000c, &[0x40, 0, 0, 0]);
        (second, false, wire.mixed(0x0012, peer).bytes())
    };
    let turn = all(&[granted(0, 1).to_vec(), vec![bind(1_000, 3, other), bind(10, 2, PEER)]].concat());
    let via = Via {
        tcp: false,
        channel: Some(0x4000),
        peer: None,
    };
    let path = Path {
        src: SERVER,
        dst: CLIENT,
        tcp: false,
    };
    let peer = |second: u64| turn.ends(at(second), path, via).peer;
    assert_eq!(
        (peer(9), peer(10), peer(999), peer(1_000)),
        (Some(PEER), Some(PEER), Some(PEER), Some(other))
    );
    let ends = turn.ends(at(10), path, via);
    assert_eq!((ends.relayed, ends.from_client), (Some(RELAYED), false));
}

#[test]
fn an_allocation_remembers_so_many_bindings_and_no_more() {
    let turn = Turn::new(&Follow::default());
    let losses = Losses::default();
    for number in 0..200u32 {
        let peer = Endpoint::v4([10, 0, 0, number as u8], 1);
        let wire = Wire::new(Class::Request, Method::ChannelBind, number)
            .with(0x000c, &[0x40, number as u8, 0, 0])
            .mixed(0x0012, peer);
        let bytes = wire.bytes();
        let stun::Kind::Message(message) = stun::read(&bytes) else {
            panic!("no message")
        };
        let path = Path {
            src: CLIENT,
            dst: SERVER,
            tcp: false,
        };
        turn.record(at(1), path, false, &message, &losses);
    }
    assert_eq!(turn.report(at(2))[0].channels.len(), 64);
    assert_eq!(losses.get(Loss::TurnBindingEvicted), 200 - 64);
}

/// A history of one client: requests and answers of all kinds, some of them without the other.
fn history() -> impl Strategy<Value = Vec<Timed>> {
    let step = (0..50u64, 0..6u32, 0..5u8, 0..4u8, 0..3u64);
    proptest::collection::vec(step, 1..30).prop_map(|steps| {
        let mut messages = Vec::new();
        let mut now = 0;
        for (id, (gap, number, kind, answer, took)) in steps.into_iter().enumerate() {
            now += gap;
            let id = id as u32;
            let peer = Endpoint::v4([192, 0, 2, number as u8], 30_000);
            let method = match kind {
                0 => Method::Allocate,
                1 => Method::Refresh,
                2 => Method::CreatePermission,
                3 => Method::ChannelBind,
                _ => Method::Binding,
            };
            let mut wire = Wire::new(Class::Request, method, id).mixed(0x0012, peer);
            wire = wire.with(0x000c, &[0x40, number as u8, 0, 0]);
            if number > 2 {
                wire = wire.signed(if number > 3 { "alice" } else { "bob" });
            }
            let request = (now, false, wire.bytes());
            match answer {
                0 => messages.push(request),
                1 => {
                    messages.push(request.clone());
                    messages.push((now + 1, false, request.2));
                    messages.push(refusal(now + took, method, id, [401, 438, 486][number as usize % 3]));
                }
                _ => {
                    if answer == 2 {
                        messages.push(request);
                    }
                    messages.push(lifetime(now + took, Class::Success, method, id, number * 100));
                }
            }
        }
        messages
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// The order in which facts come does not matter, nor how many threads bring them.
    #[test]
    fn any_order_gives_the_same_answer(messages in history(), seed in any::<u64>(), now in 0..2_000u64) {
        let expected = all(&messages);
        let mut shuffled: Vec<(u64, &Timed)> = messages
            .iter()
            .enumerate()
            .map(|(index, message)| ((index as u64 + 1).wrapping_mul(seed | 1).rotate_left(17), message))
            .collect();
        shuffled.sort_by_key(|(key, _)| *key);
        let turn = Arc::new(Turn::new(&Follow::default()));
        std::thread::scope(|scope| {
            for half in shuffled.chunks(shuffled.len().div_ceil(2)) {
                let turn = Arc::clone(&turn);
                scope.spawn(move || half.iter().for_each(|(_, message)| record(&turn, message)));
            }
        });
        prop_assert_eq!(turn.report(at(now)), expected.report(at(now)));
        prop_assert_eq!(turn.figures(at(now)), expected.figures(at(now)));
    }
}
