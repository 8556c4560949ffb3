//! Data and calls through coturn. What siphon has seen is held against what coturn and its client say of the same packets:
//! coturn logs of each allocation the packets and bytes from and to its client and its peers, and the requests it granted and
//! refused; turnutils_uclient prints the messages it sent and got back.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use serde_json::json;
use xtask::lab::baresip::{self, Baresip, Codec, Media, Telephone};
use xtask::lab::capture;
use xtask::lab::coturn::{Coturn, Echoed, PASSWORD, PORT, Peer, Usage, Wrapping, echo, refused};
use xtask::lab::mirror::{CALLEE, CALLER, MIDDLE};
use xtask::lab::process::wait_for;
use xtask::lab::sipp::Transport;
use xtask::lab::{require, tshark};

use super::run::{LIMIT, Run, needs};

/// Messages each client sends.
const MESSAGES: u32 = 50;

/// Packets and bytes of UDP payload, by source and destination.
type Flows = BTreeMap<([u8; 4], u16, [u8; 4], u16), (u64, u64)>;

/// The flows of UDP over IPv4 in frames of this network, whose headers have no options.
fn flows(frames: &[Vec<u8>]) -> Flows {
    let mut flows = Flows::new();
    for frame in frames.iter().filter(|frame| frame[12..14] == [8, 0] && frame[23] == 17) {
        let address = |at: usize| frame[at..at + 4].try_into().unwrap();
        let word = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
        let flow = flows.entry((address(26), word(34), address(30), word(36))).or_default();
        flow.0 += 1;
        flow.1 += u64::from(word(38)) - 8;
    }
    flows
}

/// What coturn would log of each client, by its port.
fn clients(flows: &Flows) -> BTreeMap<u16, (u64, u64, u64, u64)> {
    let (client, relay) = (CALLER.octets(), MIDDLE.octets());
    let mut clients = BTreeMap::<_, (u64, u64, u64, u64)>::new();
    for (&(src, from, dst, to), &(packets, bytes)) in flows {
        if (src, dst, to) == (client, relay, PORT) {
            let usage = clients.entry(from).or_default();
            (usage.0, usage.1) = (packets, bytes);
        } else if (src, from, dst) == (relay, PORT, client) {
            let usage = clients.entry(to).or_default();
            (usage.2, usage.3) = (packets, bytes);
        }
    }
    clients
}

#[test]
fn what_coturn_relays_is_all_there() {
    let programs = needs(&["turnserver", "turnutils_uclient", "turnutils_peer"]);
    if !require("what_coturn_relays_is_all_there", &programs) {
        return;
    }
    let run = Run::start();
    let relay = run.network.plug("relay").unwrap();
    let coturn = Coturn::start(&relay, &[]).unwrap();
    let peer = Peer::start(&run.network.callee).unwrap();
    let caller = &run.network.caller;
    let echoes = thread::scope(|scope| {
        [Wrapping::Channels, Wrapping::Indications]
            .map(|wrapping| scope.spawn(move || echo(caller, Transport::Udp, wrapping, MESSAGES).unwrap()))
            .map(|thread| thread.join().unwrap())
    });
    let usages = coturn.usages(2).unwrap();
    let (granted, refused) = (coturn.successes("ALLOCATE"), coturn.refusals());
    drop((coturn, peer, relay));
    let told = run.finish();

    for Echoed {
        sent, received, lost, ..
    } in echoes
    {
        assert_eq!((sent, received, lost), (MESSAGES.into(), MESSAGES.into(), 0));
    }
    // Each client makes two allocations, each of them asked for without credentials first (RFC 8489 section 9.2.3).
    assert_eq!((granted, refused), (4, BTreeMap::from([(401, 4)])));
    let turn = &told.replayed["turn"];
    let figures = &turn["figures"];
    let allocate = &figures["transactions"]["allocate"];
    assert_eq!(
        (&allocate["successes"], &allocate["errors"]),
        (&granted.into(), &json!({"401": 4}))
    );
    assert_eq!(
        (&figures["challenges"], &figures["authentication_failures"]),
        (&4.into(), &json!({}))
    );
    // There and back.
    let both_ways = json!({"packets": 2 * MESSAGES, "bytes": 2 * MESSAGES * 172});
    assert_eq!(
        [&figures["channel_data"], &figures["data_indications"]],
        [&both_ways; 2]
    );
    // What is in the files is what tcpdump saw, and that is, packet for packet and byte for byte, what coturn counted.
    let flows = flows(&capture::frames(&told.witness).unwrap());
    let clients = clients(&flows);
    assert_eq!(usages.len(), 2);
    for usage in usages {
        let Usage {
            from_client,
            from_client_bytes,
            to_client,
            to_client_bytes,
            ..
        } = usage;
        let seen = (from_client, from_client_bytes, to_client, to_client_bytes);
        assert!(clients.values().any(|client| *client == seen), "{usage:?}: {clients:?}");
        let carried = |packets: u64, bytes: u64| json!({"packets": packets, "bytes": bytes});
        let ours = turn["allocations"].as_array().unwrap().iter().filter(|allocation| {
            allocation["to_peers"] == carried(usage.to_peers, usage.to_peers_bytes)
                && allocation["from_peers"] == carried(usage.from_peers, usage.from_peers_bytes)
                && allocation["state"] == "deleted"
        });
        assert_eq!(ours.count(), 2, "{usage:?}: {turn}");
        let payload = (u64::from(MESSAGES), u64::from(MESSAGES) * 172);
        assert_eq!((usage.from_peers, usage.from_peers_bytes), payload);
        assert_eq!((usage.to_peers, usage.to_peers_bytes), payload);
        let relayed = flows.iter().filter(|((src, _, dst, _), figures)| {
            let hosts = [*src, *dst];
            let between = hosts == [MIDDLE.octets(), CALLEE.octets()] || hosts == [CALLEE.octets(), MIDDLE.octets()];
            between && **figures == payload
        });
        assert_eq!(relayed.count(), 4, "two ways of two allocations: {flows:?}");
    }
    assert_eq!((told.sip["messages"].as_u64(), told.calls.len()), (Some(0), 0));
}

/// Over TCP the messages lie anywhere in the segments; and a nonce that has become stale is refused with the next one.
#[test]
fn what_comes_over_tcp_is_relayed_too_and_a_stale_nonce_is_told() {
    let programs = needs(&["turnserver", "turnutils_uclient", "turnutils_peer"]);
    if !require(
        "what_comes_over_tcp_is_relayed_too_and_a_stale_nonce_is_told",
        &programs,
    ) {
        return;
    }
    let run = Run::start();
    let relay = run.network.plug("relay").unwrap();
    let options = ["--min-port=50000", "--max-port=50999", "--stale-nonce=1"];
    let coturn = Coturn::start(&relay, &options).unwrap();
    let peer = Peer::start(&run.network.callee).unwrap();
    // Longer than a nonce serves, and few enough: their numbers come first in them, and tshark takes 128 and more for RTP.
    let messages = 2 * MESSAGES;
    for wrapping in [Wrapping::Channels, Wrapping::Indications] {
        let Echoed {
            sent, received, lost, ..
        } = echo(&run.network.caller, Transport::Tcp, wrapping, messages).unwrap();
        assert_eq!((sent, received, lost), (messages.into(), messages.into(), 0));
    }
    let usages = coturn.usages(4).unwrap();
    let refused = coturn.refusals();
    drop((coturn, peer, relay));
    let told = run.finish();

    assert!(refused[&438] > 0, "{refused:?}");
    assert_eq!(tshark::stun_errors(&told.witness).unwrap(), refused);
    let turn = &told.replayed["turn"];
    let figures = &turn["figures"];
    let challenges = figures["challenges"].as_u64().unwrap();
    assert_eq!(
        (challenges, &figures["authentication_failures"]),
        (refused[&401], &json!({"438": refused[&438]}))
    );
    let both_ways = json!({"packets": 2 * messages, "bytes": 2 * messages * 172});
    assert_eq!(
        [&figures["channel_data"], &figures["data_indications"]],
        [&both_ways; 2]
    );
    // The client gives nothing back: its connections end, and the allocations with them.
    let allocations = turn["allocations"].as_array().unwrap();
    assert_eq!(figures["allocations"], json!({"deleted": usages.len()}), "{turn}");
    assert!(
        allocations.iter().all(|allocation| allocation["transport"] == "tcp"),
        "{turn}"
    );
    let carried = |packets: u64, bytes: u64| json!({"packets": packets, "bytes": bytes});
    for usage in &usages {
        let is_it = |allocation: &&serde_json::Value| {
            allocation["to_peers"] == carried(usage.to_peers, usage.to_peers_bytes)
                && allocation["from_peers"] == carried(usage.from_peers, usage.from_peers_bytes)
        };
        assert_eq!(allocations.iter().filter(is_it).count(), 2, "{usage:?}: {turn}");
    }
}

#[test]
fn what_coturn_refuses_is_on_the_wire() {
    let programs = needs(&["turnserver", "turnutils_uclient"]);
    if !require("what_coturn_refuses_is_on_the_wire", &programs) {
        return;
    }
    let run = Run::start();
    let relay = run.network.plug("relay").unwrap();
    let mut refusals = BTreeMap::<u16, u64>::new();
    let mut asked = [0, 0];
    // Wrong credentials; more allocations than a user may have; no port left to relay from.
    for (password, options, code) in [
        ("wrong", &[][..], 401),
        (PASSWORD, &["--user-quota=1"], 486),
        (PASSWORD, &["--min-port=50000", "--max-port=50000"], 508),
    ] {
        let coturn = Coturn::start(&relay, options).unwrap();
        refused(&run.network.caller, password).unwrap_or_else(|error| panic!("{options:?}: {error:#}"));
        let logged = coturn.refusals();
        // One 401 asks for credentials (RFC 8489 section 9.2.3).
        assert!(logged[&code] > u64::from(code == 401), "{logged:?}");
        // With wrong credentials the first client is refused again and again, and no other begins.
        let challenges = if code == 401 { 1 } else { logged[&401] };
        asked[0] += challenges;
        asked[1] += logged[&401] - challenges;
        for (code, count) in logged {
            *refusals.entry(code).or_default() += count;
        }
    }
    drop(relay);
    let told = run.finish();
    assert_eq!(tshark::stun_errors(&told.witness).unwrap(), refusals);
    let figures = &told.replayed["turn"]["figures"];
    assert_eq!(figures["transactions"]["allocate"]["errors"], json!(refusals));
    let counted = [&figures["challenges"], &figures["authentication_failures"]["401"]];
    assert_eq!(counted.map(|count| count.as_u64().unwrap()), asked);
}

#[test]
fn a_call_through_turn_is_seen_behind_the_relay() {
    let mut programs = needs(&["turnserver", "baresip"]);
    programs.push(baresip::need());
    if !require("a_call_through_turn_is_seen_behind_the_relay", &programs) {
        return;
    }
    let run = Run::start();
    let relay = run.network.plug("relay").unwrap();
    let coturn = Coturn::start(&relay, &[]).unwrap();
    let (caller, callee) = (&run.network.caller, &run.network.callee);
    let telephone = |user, address, media| Telephone {
        user,
        address,
        port: 5060,
        media_ports: 20_000..=20_009,
        codec: Codec::Pcma,
        media,
        registrar: None,
    };
    let called = telephone("callee", CALLEE, Media::Plain);
    let answering = Baresip::answer(callee, &called).unwrap();
    let calling = Baresip::call(caller, &telephone("caller", CALLER, Media::Turn), &called.uri()).unwrap();
    let before = run.network.mirrored().unwrap().frames;
    // Each packet of the two streams is seen on both sides of the relay.
    wait_for("two seconds of media", LIMIT, || {
        thread::sleep(Duration::from_millis(100));
        Ok((run.network.mirrored()?.frames >= before + 2 * 2 * 100).then_some(()))
    })
    .unwrap();
    calling.hang_up().unwrap();
    answering.hang_up().unwrap();
    // One for RTP, one for RTCP.
    let usages = coturn.usages(2).unwrap();
    drop((coturn, relay));
    let told = run.finish();

    assert_eq!(told.calls.len(), 1);
    assert_eq!(told.calls[0]["state"], "ended");
    let media = usages.iter().max_by_key(|usage| usage.from_peers).unwrap();
    let (behind, called) = (format!("{MIDDLE}:"), format!("{CALLEE}:"));
    for (src, dst, relayed) in [(&called, &behind, media.from_peers), (&behind, &called, media.to_peers)] {
        let starts =
            |stream: &serde_json::Value, key: &str, with: &str| stream[key].as_str().unwrap().starts_with(with);
        let streams = told.streams.iter();
        let stream: Vec<_> = streams
            .filter(|stream| starts(stream, "src", src) && starts(stream, "dst", dst))
            .collect();
        assert_eq!(stream.len(), 1, "{src} > {dst}: {:?}", told.streams);
        assert_eq!(stream[0]["packets"], relayed);
        assert_eq!((&stream[0]["lost"], &stream[0]["codec"]), (&0.into(), &"PCMA".into()));
        assert_eq!(stream[0]["call_id"], told.calls[0]["call_id"]);
        // Before the relay it is the same stream, in ChannelData.
        let relayed: Vec<_> = told
            .streams
            .iter()
            .filter(|other| other["ssrc"] == stream[0]["ssrc"] && other["via"]["kind"] == "turn_channel")
            .collect();
        assert_eq!(relayed.len(), 1, "{:?}", told.streams);
        for key in ["packets", "lost", "codec", "call_id"] {
            assert_eq!(relayed[0][key], stream[0][key], "{key}");
        }
    }
}
