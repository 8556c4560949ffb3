//! A call whose caller sits behind a TURN server, over UDP and TCP: the wrapped leg, the plain one, and what the server's
//! operator is told.

use super::*;
use crate::report::{AllocationState, Channel, Relayed};
use crate::turn::stun::{Class, Method as Stun};
use crate::turn::wire::{Wire, channel_data};

const SERVER: [u8; 4] = [192, 0, 2, 9];
const CLIENT: ([u8; 4], u16) = (CALLER, 40_000);
const TURN: ([u8; 4], u16) = (SERVER, 3478);
const RELAYED: ([u8; 4], u16) = (SERVER, 50_000);
const PEER: ([u8; 4], u16) = (CALLEE, 30_000);

fn endpoint((ip, port): ([u8; 4], u16)) -> Endpoint {
    Endpoint::v4(ip, port)
}

/// Frames between client and server.
struct Leg {
    tcp: bool,
    frames: Vec<Timed>,
    /// Next sequence number of the client, of the server.
    seq: [u32; 2],
}

impl Leg {
    fn new(tcp: bool) -> Self {
        let mut leg = Self {
            tcp,
            frames: Vec::new(),
            seq: [u32::MAX - 500, 77],
        };
        if tcp {
            for from_server in [false, true] {
                leg.segment(0, from_server, 0x02, &[]);
                leg.seq[usize::from(from_server)] = leg.seq[usize::from(from_server)].wrapping_add(1);
            }
        }
        leg
    }

    fn segment(&mut self, ms: u64, from_server: bool, flags: u8, bytes: &[u8]) {
        let (src, dst) = if from_server { (TURN, CLIENT) } else { (CLIENT, TURN) };
        let seq = &mut self.seq[usize::from(from_server)];
        let frame = super::tcp(src, dst, *seq, flags, bytes);
        *seq = seq.wrapping_add(bytes.len() as u32);
        self.frames.push((ms * MILLISECOND, frame));
    }

    fn send(&mut self, ms: u64, from_server: bool, bytes: &[u8]) {
        if self.tcp {
            self.segment(ms, from_server, 0x18, bytes);
        } else {
            let (src, dst) = if from_server { (TURN, CLIENT) } else { (CLIENT, TURN) };
            self.frames.push((ms * MILLISECOND, udp(src, dst, bytes)));
        }
    }

    fn ask(&mut self, ms: u64, request: Wire) {
        self.send(ms, false, &request.bytes());
    }

    fn answer(&mut self, ms: u64, response: Wire) {
        self.send(ms, true, &response.bytes());
    }
}

const FIN: u8 = 0x11;
const RST: u8 = 0x04;

/// From the challenge to the deletion, with a call of `packets` packets each way in between: the first three from the client
/// in Send indications, the rest over a channel.
fn relayed_call(tcp: bool, packets: u16) -> Vec<Timed> {
    let mut leg = Leg::new(tcp);
    let new = Wire::new;
    leg.ask(10, new(Class::Request, Stun::Allocate, 1).with(0x0019, &[17, 0, 0, 0]));
    let challenge = new(Class::Error, Stun::Allocate, 1).with(0x0009, &[0, 0, 4, 1]);
    leg.answer(12, challenge.with(0x0014, b"example.org").with(0x8022, b"Coturn-4.6.1"));
    let lifetime = |wire: Wire, seconds: u32| wire.with(0x000d, &seconds.to_be_bytes());
    leg.ask(
        14,
        lifetime(new(Class::Request, Stun::Allocate, 2), 3_600).signed("alice"),
    );
    let granted = new(Class::Success, Stun::Allocate, 2)
        .mixed(0x0016, endpoint(RELAYED))
        .mixed(0x0020, endpoint(CLIENT));
    leg.answer(18, lifetime(granted, 600));
    let bind = |id: u32| new(Class::Request, Stun::ChannelBind, id).with(0x000c, &[0x40, 0x02, 0, 0]);
    leg.ask(
        300,
        new(Class::Request, Stun::CreatePermission, 3)
            .mixed(0x0012, endpoint(PEER))
            .signed("alice"),
    );
    leg.answer(304, new(Class::Success, Stun::CreatePermission, 3));
    leg.ask(400, bind(4).mixed(0x0012, endpoint(PEER)).signed("alice"));
    leg.answer(404, new(Class::Success, Stun::ChannelBind, 4));
    let mut frames = signaling(packets);
    for seq in 0..packets {
        let ms = 520 + 20 * u64::from(seq);
        let (up, down) = (super::rtp(0xaaaa, seq, 96), super::rtp(0xbbbb, seq, 96));
        if seq < 3 {
            let send = new(Class::Indication, Stun::Send, 100 + u32::from(seq));
            leg.ask(ms, send.mixed(0x0012, endpoint(PEER)).with(0x0013, &up));
        } else {
            leg.send(ms, false, &channel_data(0x4002, &up, tcp));
        }
        frames.push(((ms + 1) * MILLISECOND, udp(RELAYED, PEER, &up)));
        // The peer's seventh is lost on its way to the server.
        if seq != 6 {
            frames.push(((ms + 2) * MILLISECOND, udp(PEER, RELAYED, &down)));
            leg.send(ms + 3, true, &channel_data(0x4002, &down, tcp));
        }
    }
    let end = 600 + 20 * u64::from(packets);
    leg.ask(end, lifetime(new(Class::Request, Stun::Refresh, 5), 0).signed("alice"));
    leg.answer(end + 4, lifetime(new(Class::Success, Stun::Refresh, 5), 0));
    if tcp {
        leg.segment(end + 6, false, FIN, &[]);
        leg.segment(end + 7, true, FIN, &[]);
    }
    frames.extend(leg.frames);
    frames.sort_by_key(|(ts, _)| *ts);
    frames
}

/// The SIP of the call: the caller names its relayed address.
fn signaling(packets: u16) -> Vec<Timed> {
    let up = |payload: &[u8]| udp((CALLER, 5060), (CALLEE, 5060), payload);
    let down = |payload: &[u8]| udp((CALLEE, 5060), (CALLER, 5060), payload);
    let end = 540 + 20 * u64::from(packets);
    let frame = |ms: u64, frame: Vec<u8>| (ms * MILLISECOND, frame);
    vec![
        frame(
            20,
            up(&message(
                "INVITE sip:b@x SIP/2.0",
                "r",
                "1 INVITE",
                &sdp(RELAYED.0, RELAYED.1),
            )),
        ),
        frame(
            500,
            down(&message("SIP/2.0 200 OK", "r", "1 INVITE", &sdp(PEER.0, PEER.1))),
        ),
        frame(510, up(&message("ACK sip:b@x SIP/2.0", "r", "1 ACK", ""))),
        frame(end, up(&message("BYE sip:b@x SIP/2.0", "r", "2 BYE", ""))),
        frame(end + 1, down(&message("SIP/2.0 200 OK", "r", "2 BYE", ""))),
    ]
}

#[test]
fn relayed_media_is_measured_and_belongs_to_its_call() {
    for tcp in [false, true] {
        let document = in_order(&relayed_call(tcp, 50));
        assert_eq!(document.drops, [].into());
        let mut streams: Vec<_> = document
            .streams
            .iter()
            .map(|stream| {
                (
                    stream.ssrc.as_str(),
                    stream.src.as_str(),
                    stream.dst.as_str(),
                    stream.packets,
                    stream.lost,
                )
            })
            .collect();
        streams.sort();
        assert_eq!(
            streams,
            [
                ("0x0000aaaa", "192.0.2.1:40000", "192.0.2.9:3478", 50, 0),
                ("0x0000aaaa", "192.0.2.9:50000", "192.0.2.2:30000", 50, 0),
                ("0x0000bbbb", "192.0.2.2:30000", "192.0.2.9:50000", 49, 1),
                ("0x0000bbbb", "192.0.2.9:3478", "192.0.2.1:40000", 49, 1),
            ]
        );
        for stream in &document.streams {
            assert_eq!(stream.call_id.as_deref(), Some("r"), "{stream:?}");
            assert_eq!(stream.clock_rate, Some(8_000), "{stream:?}");
            let wrapped = [&stream.src, &stream.dst].iter().any(|end| end.ends_with(":3478"));
            assert_eq!(stream.via.is_some(), wrapped);
            if let Some(via) = &stream.via {
                assert_eq!(
                    (via.kind.as_str(), via.channel.as_deref()),
                    ("turn_channel", Some("0x4002"))
                );
                assert_eq!(via.relayed.as_deref(), Some("192.0.2.9:50000"));
                assert_eq!(via.peer.as_deref(), Some("192.0.2.2:30000"));
            }
        }
    }
}

#[test]
fn an_allocation_from_the_challenge_to_its_deletion() {
    for tcp in [false, true] {
        let frames = relayed_call(tcp, 50);
        let document = in_order(&frames);
        let [allocation] = document.turn.allocations.as_slice() else {
            panic!("one allocation, not {:?}", document.turn.allocations)
        };
        assert_eq!(
            (allocation.client.as_str(), allocation.server.as_str()),
            ("192.0.2.1:40000", "192.0.2.9:3478")
        );
        assert_eq!(
            (allocation.transport.as_str(), allocation.state),
            (if tcp { "tcp" } else { "udp" }, AllocationState::Deleted)
        );
        assert_eq!(allocation.username.as_deref(), Some("alice"));
        assert_eq!(allocation.realm.as_deref(), Some("example.org"));
        assert_eq!(allocation.software.as_deref(), Some("Coturn-4.6.1"));
        assert_eq!(allocation.relayed.as_deref(), Some("192.0.2.9:50000"));
        assert_eq!(allocation.mapped.as_deref(), Some("192.0.2.1:40000"));
        assert_eq!(
            (allocation.requested_lifetime_s, allocation.lifetime_s),
            (Some(3_600), Some(600))
        );
        assert_eq!((allocation.grants, allocation.refreshes), (1, 1));
        assert_eq!(allocation.failures, [].into());
        assert_eq!(allocation.permissions.len(), 1);
        let at = |ms: u64| Timestamp::from_nanos(ms * MILLISECOND);
        assert_eq!(
            allocation.channels,
            [Channel {
                number: "0x4002".to_owned(),
                peer: "192.0.2.2:30000".to_owned(),
                expires: Some(at(404 + 600_000)),
            }]
        );
        assert_eq!(allocation.expires, Some(at(18 + 600_000)));
        let packets = |packets: u64| Relayed {
            packets,
            bytes: packets * 172,
        };
        assert_eq!((allocation.to_peers, allocation.from_peers), (packets(50), packets(49)));

        let figures = &document.turn.figures;
        assert_eq!((figures.messages, figures.challenges, figures.malformed), (13, 1, 0));
        assert_eq!(figures.authentication_failures, [].into());
        assert_eq!(
            (figures.channel_data, figures.data_indications),
            (packets(96), packets(3))
        );
        assert_eq!(figures.allocations, [("deleted".to_owned(), 1)].into());
        let allocate = &figures.transactions["allocate"];
        assert_eq!((allocate.requests, allocate.successes, allocate.unanswered), (2, 1, 0));
        assert_eq!(allocate.errors, [(401, 1)].into());
        let round_trip = allocate.round_trip.as_ref().unwrap();
        assert_eq!(round_trip.count, 2);
        assert_eq!((round_trip.min_ms, round_trip.max_ms), (2.0, 4.0));
    }
}

#[test]
fn the_peer_is_found_though_the_channel_is_bound_later_or_never_seen() {
    // Media first, and the binding 40 ms behind it.
    let mut frames = relayed_call(false, 50);
    for (ts, bytes) in &mut frames {
        let is_binding = bytes.get(42..44) == Some(&[0, 9]);
        if is_binding {
            *ts = 560 * MILLISECOND;
        }
    }
    frames.sort_by_key(|(ts, _)| *ts);
    let document = in_order(&frames);
    assert!(
        document
            .streams
            .iter()
            .all(|stream| stream.call_id.as_deref() == Some("r"))
    );
    let wrapped = document.streams.iter().filter_map(|stream| stream.via.as_ref());
    assert_eq!(
        wrapped
            .filter(|via| via.peer.as_deref() == Some("192.0.2.2:30000"))
            .count(),
        2
    );

    // A capture that begins in the middle: ChannelData alone.
    let frames: Vec<Timed> = relayed_call(false, 50)
        .into_iter()
        .filter(|(_, bytes)| bytes.get(42) == Some(&0x40))
        .collect();
    let document = in_order(&frames);
    assert_eq!(document.streams.len(), 2);
    for stream in &document.streams {
        let via = stream.via.as_ref().unwrap();
        assert_eq!((&via.relayed, &via.peer, &stream.call_id), (&None, &None, &None));
    }
    let [allocation] = document.turn.allocations.as_slice() else {
        panic!("{:?}", document.turn.allocations)
    };
    assert_eq!(
        (allocation.client.as_str(), allocation.state),
        ("192.0.2.1:40000", AllocationState::Joined)
    );
    assert_eq!((allocation.to_peers.packets, allocation.from_peers.packets), (47, 49));
}

#[test]
fn checks_inside_a_channel_are_told_from_bindings_of_a_server() {
    let mut leg = Leg::new(false);
    let check = |id: u32| {
        Wire::new(Class::Request, Stun::Binding, id)
            .with(0x0006, b"a:b")
            .with(0x0024, &[1, 2, 3, 4])
    };
    leg.ask(0, Wire::new(Class::Request, Stun::Binding, 1));
    leg.answer(
        3,
        Wire::new(Class::Success, Stun::Binding, 1).mixed(0x0020, endpoint(CLIENT)),
    );
    leg.send(
        10,
        false,
        &channel_data(0x4000, &check(2).fingerprinted().bytes(), false),
    );
    leg.send(
        17,
        true,
        &channel_data(
            0x4000,
            &Wire::new(Class::Success, Stun::Binding, 2).fingerprinted().bytes(),
            true,
        ),
    );
    leg.send(20, false, &channel_data(0x4000, &check(3).bytes(), false));
    let document = in_order(&leg.frames);
    let figures = &document.turn.figures;
    assert_eq!((figures.messages, figures.relayed_messages), (5, 3));
    assert_eq!((figures.requests["binding"], figures.successes["binding"]), (3, 2));
    let checks = &figures.transactions["ice_check"];
    assert_eq!((checks.requests, checks.successes, checks.unanswered), (2, 1, 0));
    assert_eq!(figures.transactions["binding"].requests, 1);
    assert_eq!(figures.channel_data.packets, 3);
}

#[test]
fn stun_on_a_sip_port_is_stun_and_no_malformed_sip() {
    let keepalive = Wire::new(Class::Request, Stun::Binding, 1).bytes();
    let mut damaged = Wire::new(Class::Request, Stun::Binding, 2).fingerprinted().bytes();
    damaged[12] ^= 1;
    let frame = |ts: u64, payload: &[u8]| (ts, udp((CALLER, 5060), (CALLEE, 5060), payload));
    let document = in_order(&[frame(0, &keepalive), frame(1, &damaged), frame(2, b"\0\x01\0")]);
    assert_eq!(
        (document.turn.figures.messages, document.turn.figures.malformed),
        (1, 1)
    );
    assert_eq!(
        document.drops,
        [("sip_malformed".to_owned(), 1), ("stun_malformed".to_owned(), 1)].into()
    );
}

#[test]
fn what_only_looks_like_channel_data_is_none() {
    // Letters have the first bits of channel numbers: 0x4142 is "AB", and the length happens to be right.
    let text = [&b"AB"[..], &20u16.to_be_bytes(), &[b'x'; 20]].concat();
    let media = channel_data(0x4000, &super::rtp(1, 1, 0), false);
    let on = |port: u16, payload: &[u8]| in_order(&[(0, udp((CALLER, 20_000), (CALLEE, port), payload))]);
    assert_eq!(on(20_000, &text).drops, [("other_udp".to_owned(), 1)].into());
    assert_eq!(on(3478, &text).drops, [].into());
    // On another port RTP inside is followed, and is RTP when it is certain.
    assert_eq!(on(20_000, &media).drops, [("other_udp".to_owned(), 1)].into());
    assert_eq!(on(20_000, &media).turn.allocations, []);
    let many: Vec<Timed> = (0..9)
        .map(|seq| {
            let media = channel_data(0x4000, &super::rtp(1, seq, 0), false);
            (
                u64::from(seq) * 20 * MILLISECOND,
                udp((CALLER, 20_000), (CALLEE, 20_000), &media),
            )
        })
        .collect();
    let document = in_order(&many);
    assert_eq!(document.streams[0].packets, 9);
    assert!(document.streams[0].via.is_some());
}

#[test]
fn tcp_that_is_joined_in_the_middle_is_read_from_the_next_message_on() {
    let frames = relayed_call(true, 60);
    for cut in [8, 60, 130] {
        let from = frames[cut].0;
        let late: Vec<Timed> = frames.iter().filter(|(ts, _)| *ts >= from).cloned().collect();
        let document = in_order(&late);
        let [allocation] = document.turn.allocations.as_slice() else {
            panic!("cut at {cut}: {:?}", document.turn.allocations)
        };
        assert_eq!(
            (allocation.state, allocation.transport.as_str()),
            (AllocationState::Deleted, "tcp"),
            "cut at {cut}"
        );
        let wrapped = document.streams.iter().filter(|stream| stream.via.is_some()).count();
        assert_eq!(wrapped, 2, "cut at {cut}: {:?}", document.streams);
    }
}

/// coturn does so: the client has no way back to it.
#[test]
fn an_allocation_goes_with_its_tcp_connection() {
    for (flags, from_server) in [(FIN, false), (FIN, true), (RST, false)] {
        let granted = |leg: &mut Leg| {
            leg.ask(10, Wire::new(Class::Request, Stun::Allocate, 1).signed("alice"));
            let answer = Wire::new(Class::Success, Stun::Allocate, 1).mixed(0x0016, endpoint(RELAYED));
            leg.answer(14, answer.with(0x000d, &600_u32.to_be_bytes()));
        };
        let allocation = |leg: Leg| in_order(&leg.frames).turn.allocations[0].clone();
        let mut leg = Leg::new(true);
        granted(&mut leg);
        leg.segment(40, from_server, flags, &[]);
        let closed = allocation(leg);
        assert_eq!(closed.state, AllocationState::Deleted);
        assert_eq!(closed.deleted, Some(Timestamp::from_nanos(40 * MILLISECOND)));

        // A challenge that the client gave up at was never granted.
        let mut leg = Leg::new(true);
        leg.ask(10, Wire::new(Class::Request, Stun::Allocate, 1));
        let challenge = Wire::new(Class::Error, Stun::Allocate, 1).with(0x0009, &[0, 0, 4, 1]);
        leg.answer(14, challenge);
        leg.segment(40, from_server, flags, &[]);
        let refused = allocation(leg);
        assert_eq!((refused.state, refused.deleted), (AllocationState::Challenged, None));
    }
}

#[test]
fn tables_are_bounded_and_say_who_left() {
    let follow = Follow {
        max_allocations: 4,
        max_stun_transactions: 6,
        ..Follow::default()
    };
    let mut engine = Engine::new(&follow, &Capture::default(), Arc::new(Shared::new(&follow)));
    for id in 0..20u32 {
        let request = Wire::new(Class::Request, Stun::Allocate, id).bytes();
        let client = (CALLER, 40_000 + id as u16);
        take(&mut engine, &(u64::from(id) * MILLISECOND, udp(client, TURN, &request)));
    }
    let losses = &engine.counters.losses;
    assert_eq!(losses.get(Loss::AllocationEvicted), 16);
    assert_eq!(losses.get(Loss::StunTransactionEvicted), 14);
    assert_eq!(
        (engine.shared.turn.allocations(), engine.shared.turn.transactions()),
        (4, 6)
    );
    let figures = engine.shared.turn.figures(Timestamp::from_nanos(20 * MILLISECOND));
    assert_eq!(figures.transactions["allocate"].requests, 20);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Frames moved by up to 50 ms, on one lane and on several: the same answer. SIP may begin late by as much.
    #[test]
    fn order_and_lanes_do_not_matter_to_turn(
        tcp in any::<bool>(),
        delays in prop::collection::vec(0u64..50, 300),
        lanes in 1usize..5,
    ) {
        let frames = relayed_call(tcp, 50);
        let expected = in_order(&frames);
        let mut moved: Vec<_> = frames.into_iter().zip(delays).collect();
        moved.sort_by_key(|((ts, _), delay)| ts + delay * MILLISECOND);
        let moved: Vec<Timed> = moved.into_iter().map(|(frame, _)| frame).collect();
        let flow = |(_, bytes): &Timed| bytes[26..38].iter().map(|byte| usize::from(*byte)).sum::<usize>();
        let document = play(&moved, lanes, flow);
        prop_assert_eq!(&document.turn, &expected.turn);
        prop_assert_eq!(&document.drops, &expected.drops);
        let told = |document: &Document| {
            let of = |stream: &crate::report::Stream| {
                (stream.ssrc.clone(), stream.src.clone(), stream.call_id.clone(), stream.packets, stream.lost, stream.via.is_some())
            };
            let mut all: Vec<_> = document.streams.iter().map(of).collect();
            all.sort();
            all
        };
        prop_assert_eq!(told(&document), told(&expected));
    }
}
