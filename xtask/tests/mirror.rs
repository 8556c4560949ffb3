//! The network with the mirror port, under real calls.

use std::collections::BTreeMap;
use std::time::Duration;

use xtask::lab::capture::{Capture, Direction};
use xtask::lab::mirror::{MIRROR, TAP};
use xtask::lab::process::wait_for;
use xtask::lab::sipp::{CALLEE_SSRC, CALLER_SSRC, Calls, Kind, Telephones, Transport};
use xtask::lab::{Need, Network, Scratch, require, tshark};

const NEEDS: [Need<'_>; 8] = [
    Need::Root,
    Need::Program("ip"),
    Need::Program("tc"),
    Need::Program("ss"),
    Need::Program("ethtool"),
    Need::Program("sipp"),
    Need::Program("tcpdump"),
    Need::Program("tshark"),
];

/// How often each frame occurs.
fn multiset(frames: impl IntoIterator<Item = Vec<u8>>) -> BTreeMap<Vec<u8>, u32> {
    let mut counts = BTreeMap::new();
    for frame in frames {
        *counts.entry(frame).or_default() += 1;
    }
    counts
}

/// What an interface has sent so far.
fn sent(host: &xtask::lab::Netns) -> anyhow::Result<u64> {
    let text = host.exec("cat /sys/class/net/wire/statistics/tx_packets")?;
    Ok(text.trim().parse()?)
}

#[test]
fn calls_of_every_kind_are_mirrored_frame_for_frame_over_both_queues() {
    if !require(
        "calls_of_every_kind_are_mirrored_frame_for_frame_over_both_queues",
        &NEEDS,
    ) {
        return;
    }
    let network = Network::new(2).unwrap();
    // The counters of the rx queues are NAPI's, and NAPI runs with GRO on.
    network.sensor.exec(&format!("ethtool -K {TAP} gro on")).unwrap();
    let scratch = Scratch::new("mirror").unwrap();
    let file = |name: &str| scratch.path().join(name);
    let mirrored_file = file("mirror.pcap");
    let at_mirror = Capture::start(&network.switch, MIRROR, Direction::Both, &mirrored_file).unwrap();
    let at_caller = Capture::start(&network.caller, "wire", Direction::Out, &file("caller.pcap")).unwrap();
    let at_callee = Capture::start(&network.callee, "wire", Direction::Out, &file("callee.pcap")).unwrap();

    let mut telephones = Telephones::start(&network, Duration::from_secs(2)).unwrap();
    let callers: Vec<_> = [
        (Kind::Answered, Transport::Udp, 20),
        (Kind::Answered, Transport::Tcp, 5),
        (Kind::Busy, Transport::Udp, 3),
        (Kind::Cancelled, Transport::Udp, 2),
        (Kind::Forbidden, Transport::Udp, 1),
        (Kind::Registration, Transport::Udp, 4),
    ]
    .into_iter()
    .map(|(kind, transport, count)| {
        telephones
            .call(Calls {
                kind,
                transport,
                count,
                rate: 10,
            })
            .unwrap()
    })
    .collect();
    for caller in callers {
        caller.finish().unwrap();
    }
    let packets = u64::from(telephones.packets_per_stream());
    drop(telephones);

    // Everything that was sent has been mirrored once both hosts are silent: compare until the counts agree, and hold
    // the captures to exactly these counts.
    let (from_caller, from_callee, mirrored) = wait_for("as many mirrored as sent", Duration::from_secs(10), || {
        let (caller, callee, mirrored) = (sent(&network.caller)?, sent(&network.callee)?, network.mirrored()?);
        Ok((caller + callee == mirrored.frames).then_some((caller, callee, mirrored)))
    })
    .unwrap();
    assert_eq!(mirrored.dropped, 0);
    let mirror = at_mirror.finish(mirrored.frames).unwrap();
    let hosts = [
        at_caller.finish(from_caller).unwrap(),
        at_callee.finish(from_callee).unwrap(),
    ]
    .concat();
    assert!(
        multiset(mirror) == multiset(hosts),
        "the mirror port differs from what the hosts sent"
    );

    wait_for("every frame on a queue of the tap", Duration::from_secs(10), || {
        let queues = network.tap_queues()?;
        Ok((queues.iter().sum::<u64>() == mirrored.frames).then_some(()))
    })
    .unwrap();
    let queues = network.tap_queues().unwrap();
    assert_eq!(queues.len(), 2);
    assert!(queues.iter().all(|frames| frames * 10 > mirrored.frames), "{queues:?}");

    let reading = tshark::read(&[mirrored_file]).unwrap();
    assert_eq!(reading.frames, mirrored.frames);
    let mut finals = BTreeMap::new();
    for call in reading.calls.values() {
        *finals.entry(call.final_status).or_insert(0) += 1;
    }
    let expected = [(200, 25), (403, 1), (486, 3), (487, 2)].map(|(status, calls)| (Some(status), calls));
    assert_eq!(finals, BTreeMap::from(expected));
    assert_eq!(reading.calls.values().filter(|call| call.bye).count(), 25);
    assert_eq!(reading.requests.get("REGISTER"), Some(&8));

    assert_eq!(reading.streams.len(), 50, "25 calls, both ways");
    for stream in &reading.streams {
        assert_eq!((stream.packets, stream.lost), (packets, 0), "{stream:?}");
    }
    for ssrc in [CALLER_SSRC, CALLEE_SSRC] {
        assert_eq!(reading.streams.iter().filter(|stream| stream.ssrc == ssrc).count(), 25);
    }
}
