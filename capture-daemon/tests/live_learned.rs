//! `media = "learned"` on real calls, and on calls whose RTP comes before their SDP: not one packet of a call is missed, and
//! what is no call's does not cross.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;
use xtask::lab::capture::{self, Capture, Direction};
use xtask::lab::mirror::{CALLEE, CALLER, MIRROR, TAP};
use xtask::lab::process::wait_for;
use xtask::lab::siphon::{METRICS, Siphon, sum};
use xtask::lab::sipp::{Calls, Kind, Telephones, Transport};
use xtask::lab::{Need, Netns, Network, Scratch, http, require};

const NEEDS: [Need<'_>; 7] = [
    Need::Root,
    Need::Program("ip"),
    Need::Program("tc"),
    Need::Program("ethtool"),
    Need::Program("sipp"),
    Need::Program("tcpdump"),
    Need::Fact(
        capture_daemon::program::EMBEDDED,
        "the kernel program is not built: `cargo xtask build-ebpf`",
    ),
];

/// Guards against a hang; nothing is measured with it.
const LIMIT: Duration = Duration::from_secs(30);

/// Port of SIP at both ends of the calls made here.
const SIP: u16 = 5062;

/// A port of media that no call has.
const NOBODYS: u16 = 40_123;

const CALLS: u16 = 100;

/// Both ends of the calls made here.
struct Party {
    sip: UdpSocket,
    rtp: Vec<UdpSocket>,
    address: Ipv4Addr,
    /// The address that its SDP names: another one where it is behind a NAT and does not know.
    announced: Ipv4Addr,
    first_port: u16,
}

impl Party {
    fn new(host: &Netns, address: Ipv4Addr, first_port: u16) -> Result<Self> {
        let bind = |port| -> Result<UdpSocket> { Ok(host.enter(|| UdpSocket::bind((address, port)))??) };
        Ok(Self {
            sip: bind(SIP)?,
            rtp: (0..CALLS)
                .map(|call| bind(first_port + 2 * call))
                .collect::<Result<_>>()?,
            address,
            announced: address,
            first_port,
        })
    }

    fn sdp(&self, call: u16) -> String {
        let (address, port) = (self.announced, self.first_port + 2 * call);
        format!("v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio {port} RTP/AVP 8\r\n")
    }

    /// Sends a message of a call to the other party.
    fn say(&self, to: &Self, call: u16, start: &str, method: &str, with_sdp: bool) -> Result<()> {
        let sdp = if with_sdp { self.sdp(call) } else { String::new() };
        let tag = if start.ends_with(" SIP/2.0") && method == "INVITE" {
            ""
        } else {
            ";tag=b"
        };
        let text = format!(
            "{start}\r\nVia: SIP/2.0/UDP {CALLER}:{SIP};branch=z9hG4bK{method}{call}\r\nMax-Forwards: 70\r\n\
             From: <sip:a@example.com>;tag=a\r\nTo: <sip:b@example.com>{tag}\r\nCall-ID: early-{call}\r\n\
             CSeq: 1 {method}\r\nContact: <sip:x@{}:{SIP}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            self.address,
            sdp.len()
        );
        self.sip.send_to(text.as_bytes(), SocketAddr::from((to.address, SIP)))?;
        Ok(())
    }

    /// Sends `count` packets of a call's RTP, the first with number `from`.
    fn talk(&self, to: &Self, call: u16, from: u16, count: u16) -> Result<()> {
        for number in from..from + count {
            let mut packet = vec![0x80, 8];
            packet.extend(number.to_be_bytes());
            packet.extend((u32::from(number) * 160).to_be_bytes());
            packet.extend((u32::from(self.first_port) << 16 | u32::from(call)).to_be_bytes());
            packet.resize(172, 0xd5);
            let port = to.first_port + 2 * call;
            self.rtp[usize::from(call)].send_to(&packet, SocketAddr::from((to.address, port)))?;
        }
        Ok(())
    }
}

/// Packets each way: before the INVITE, before the answer's SDP, and after it.
const TALK: [u16; 3] = [3, 4, 20];

/// A call whose RTP flows both ways before anyone has said where to.
fn call(caller: &Party, callee: &Party, number: u16) -> Result<()> {
    let both = |from, count| -> Result<()> {
        caller.talk(callee, number, from, count)?;
        callee.talk(caller, number, from, count)
    };
    let [first, second, rest] = TALK;
    both(0, first)?;
    caller.say(callee, number, "INVITE sip:b@example.com SIP/2.0", "INVITE", true)?;
    both(first, second)?;
    callee.say(caller, number, "SIP/2.0 183 Session Progress", "INVITE", true)?;
    both(first + second, 1)?;
    callee.say(caller, number, "SIP/2.0 200 OK", "INVITE", true)?;
    caller.say(callee, number, "ACK sip:b@example.com SIP/2.0", "ACK", false)?;
    both(first + second + 1, rest - 1)?;
    caller.say(callee, number, "BYE sip:b@example.com SIP/2.0", "BYE", false)?;
    callee.say(caller, number, "SIP/2.0 200 OK", "BYE", false)
}

/// RTP that belongs to no call: more than crosses early.
fn chatter(caller: &Party, sink: &UdpSocket) -> Result<()> {
    let mut packet = vec![0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    packet.resize(172, 0xff);
    for number in 0..200_u16 {
        packet[2..4].copy_from_slice(&number.to_be_bytes());
        caller.sip.send_to(&packet, sink.local_addr()?)?;
        if number % 50 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

fn multiset(frames: Vec<Vec<u8>>) -> BTreeMap<Vec<u8>, u32> {
    let mut counts = BTreeMap::new();
    for frame in frames {
        *counts.entry(frame).or_default() += 1;
    }
    counts
}

/// The chatter comes from SIP's port, and SIP on that port would cross; so it has one of its own.
fn is_chatter(frame: &[u8]) -> bool {
    frame.get(23) == Some(&17) && frame.get(36..38) == Some(&NOBODYS.to_be_bytes())
}

#[test]
fn not_one_packet_of_a_call_is_missed() {
    if !require("not_one_packet_of_a_call_is_missed", &NEEDS) {
        return;
    }
    let network = Network::new(2).unwrap();
    let scratch = Scratch::new("learned").unwrap();
    let reference = scratch.path().join("reference.pcap");
    let reference = Capture::start(&network.switch, MIRROR, Direction::Out, &reference).unwrap();
    let shown = scratch.path().display();
    let text = format!(
        "[capture]\ninterface = \"{TAP}\"\nmedia = \"learned\"\nsip_ports = [5060, 5061, {SIP}]\nearly_packets = 50\n\
         [control]\nsocket = \"{shown}/siphon.sock\"\n[metrics]\nlisten = \"{METRICS}\"\n\
         [spool]\ndirectory = \"{shown}/spool\"\n"
    );
    let siphon = Path::new(env!("CARGO_BIN_EXE_siphon"));
    let mut siphon = Siphon::start_with(&network.sensor, siphon, scratch.path(), &text, &[]).unwrap();
    let mut telephones = Telephones::start(&network, Duration::from_secs(1)).unwrap();
    let calls = Calls {
        kind: Kind::Answered,
        transport: Transport::Udp,
        count: 40,
        rate: 20,
    };
    let sipp = telephones.call(calls).unwrap();
    let caller = Party::new(&network.caller, CALLER, 50_000).unwrap();
    let callee = Party::new(&network.callee, CALLEE, 55_000).unwrap();
    for number in 0..CALLS {
        call(&caller, &callee, number).unwrap();
        // veth's ring has 256 entries.
        std::thread::sleep(Duration::from_millis(2));
    }
    let sink = network
        .callee
        .enter(|| UdpSocket::bind((CALLEE, NOBODYS)))
        .unwrap()
        .unwrap();
    let outside = Party {
        sip: network
            .caller
            .enter(|| UdpSocket::bind((CALLER, NOBODYS)))
            .unwrap()
            .unwrap(),
        rtp: Vec::new(),
        address: CALLER,
        announced: CALLER,
        first_port: 0,
    };
    chatter(&outside, &sink).unwrap();
    sipp.finish().unwrap();
    let packets = telephones.packets_per_stream();
    drop(telephones);

    let mut before = None;
    let sent = wait_for("the mirror port to be silent", LIMIT, || {
        std::thread::sleep(Duration::from_millis(300));
        let sent = network.mirrored()?;
        Ok((before.replace(sent) == Some(sent)).then_some(sent))
    })
    .unwrap();
    assert_eq!(sent.dropped, 0);
    let status = siphon.wait_seen(sent.frames).unwrap();
    let streams = siphon.json(["streams"]).unwrap();
    let metrics = http::get(&network.sensor, METRICS, "/metrics").unwrap();
    let answer = siphon.ask(["status"]).unwrap();
    assert!(siphon.stop(Signal::TERM, LIMIT).unwrap().success());

    // Every frame of a call, byte for byte, and of the chatter what crosses early.
    let mut kept = Vec::new();
    for file in siphon.files().unwrap() {
        kept.extend(capture::frames(&file).unwrap());
    }
    let reference = reference.finish(sent.frames).unwrap();
    let (kept_chatter, kept): (Vec<_>, Vec<_>) = kept.into_iter().partition(|frame| is_chatter(frame));
    let (chatter, wanted): (Vec<_>, Vec<_>) = reference.into_iter().partition(|frame| is_chatter(frame));
    assert_eq!((chatter.len(), kept_chatter.len()), (200, 50));
    assert!(
        multiset(kept) == multiset(wanted),
        "the files are not what the calls sent, byte for byte"
    );

    let each = u64::from(TALK.iter().sum::<u16>());
    let mut found = [0_u64; 2];
    for stream in streams["streams"].as_array().unwrap() {
        let Some(call_id) = stream["call_id"].as_str() else {
            continue;
        };
        let is_early = call_id.starts_with("early-");
        let expected = if is_early { each } else { u64::from(packets) };
        assert_eq!(
            (&stream["packets"], &stream["lost"]),
            (&expected.into(), &0.into()),
            "{stream}"
        );
        found[usize::from(is_early)] += 1;
    }
    assert_eq!(found, [80, 2 * u64::from(CALLS)]);
    for stage in ["program", "sockets", "engine", "spool"] {
        let stage = &status["identity"][stage];
        assert_eq!((&stage["holds"], sum(&stage["dropped"])), (&true.into(), 0), "{stage}");
    }
    let verdicts = &status["verdicts"];
    assert_eq!(verdicts["media_unlearned"], 150);
    // What came before the INVITE can have crossed in no other way.
    let early = verdicts["media_early"].as_u64().unwrap();
    assert!(early >= u64::from(CALLS * 2 * TALK[0]) + 50, "{verdicts}");
    let learned = verdicts["media_learned"].as_u64().unwrap();
    let of_sipp = 80 * u64::from(packets);
    assert_eq!(
        early + learned,
        of_sipp + u64::from(CALLS) * 2 * each + 50,
        "{verdicts}"
    );
    // A few may have overtaken their SDP.
    assert!(learned >= of_sipp / 2, "{verdicts}");

    let learned = &status["learned"];
    // A call has an endpoint at each side.
    let endpoints = learned["endpoints"].as_u64().unwrap();
    assert!(endpoints >= 2 * (u64::from(CALLS) + 40), "{learned}");
    assert_eq!(
        (&learned["refused"], &learned["failed"]),
        (&0.into(), &0.into()),
        "{learned}"
    );
    let latency = &learned["latency"];
    assert!(latency["p99_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{learned}");
    assert!(answer.contains("from SDP to the kernel's map"), "{answer}");
    let count = format!("siphon_learned_endpoint_seconds_count {}", latency["seconds"]["count"]);
    assert!(metrics.contains(&count), "{count}: {metrics}");
}

/// Sends `count` packets of RTP from where no SDP says that any comes from.
fn strangers(stranger: &UdpSocket, to: SocketAddr, count: u8) -> Result<()> {
    for number in 0..count {
        let mut packet = vec![0x80, 8, 0, number, 0, 0, 0, 0, 0, 0, 0, 2];
        packet.resize(172, 0xd5);
        stranger.send_to(&packet, to)?;
    }
    Ok(())
}

#[test]
fn the_far_end_of_a_nat_is_learned_from_its_first_packet() {
    if !require("the_far_end_of_a_nat_is_learned_from_its_first_packet", &NEEDS) {
        return;
    }
    let network = Network::new(2).unwrap();
    let scratch = Scratch::new("nat").unwrap();
    let shown = scratch.path().display();
    let text = format!(
        "[capture]\ninterface = \"{TAP}\"\nmedia = \"learned\"\nsip_ports = [{SIP}]\nearly_packets = 0\n\
         [control]\nsocket = \"{shown}/siphon.sock\"\n[metrics]\nenabled = false\n[spool]\nenabled = false\n"
    );
    let siphon = Path::new(env!("CARGO_BIN_EXE_siphon"));
    let mut siphon = Siphon::start_with(&network.sensor, siphon, scratch.path(), &text, &[]).unwrap();
    let caller = Party::new(&network.caller, CALLER, 50_000).unwrap();
    let callee = Party {
        announced: Ipv4Addr::new(192, 168, 77, 7),
        ..Party::new(&network.callee, CALLEE, 55_000).unwrap()
    };
    let stranger = network.caller.enter(|| UdpSocket::bind((CALLER, NOBODYS)));
    let stranger = stranger.unwrap().unwrap();
    // The NAT gives its packets a port of its own.
    let far_end = callee.rtp[1].local_addr().unwrap();
    let status = |what: &str, is_so: &dyn Fn(&serde_json::Value) -> bool| {
        wait_for(what, LIMIT, || {
            let status = siphon.json(["status"])?;
            Ok(is_so(&status).then_some(status))
        })
        .unwrap()
    };

    caller
        .say(&callee, 0, "INVITE sip:b@example.com SIP/2.0", "INVITE", true)
        .unwrap();
    callee.say(&caller, 0, "SIP/2.0 200 OK", "INVITE", true).unwrap();
    caller
        .say(&callee, 0, "ACK sip:b@example.com SIP/2.0", "ACK", false)
        .unwrap();
    // Those that SDP names, and where the private one may be: at the address that its SIP came from.
    status("the ends that SDP names", &|status| status["learned"]["endpoints"] == 3);
    strangers(&stranger, far_end, 7).unwrap();
    let before = status("RTP that is nobody's", &|status| {
        status["verdicts"]["media_unlearned"] == 7
    });
    assert_eq!(before["verdicts"]["media_learned"], 0);

    strangers(&callee.rtp[1], SocketAddr::from((CALLER, 50_000)), 3).unwrap();
    let learned = status("the end that packets come from", &|status| {
        status["learned"]["endpoints"] == 4
    });
    assert_eq!(learned["verdicts"]["media_learned"], 3);
    strangers(&stranger, far_end, 5).unwrap();
    let after = status("what goes to it", &|status| status["verdicts"]["media_learned"] == 8);
    assert_eq!(after["verdicts"]["media_unlearned"], 7);
    assert!(siphon.stop(Signal::TERM, LIMIT).unwrap().success());
}
