//! Host mode on real calls: siphon sits on the called host's own interface, and that host must not notice. Whether siphon is
//! there, is not, is killed or hangs, every datagram arrives and every call completes; and what siphon keeps is what tcpdump
//! sees on the same interface, both ways.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line that was wrong"
)]

mod host_lab;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use aya::programs::{SchedClassifier, TcAttachType};
use host_lab::{LIMIT, calls, calls_while, exchange, multiset, passed, written};
use rustix::process::Signal;
use serde_json::Value;
use xtask::lab::capture::{Capture, Direction};
use xtask::lab::mirror::{CALLEE, CALLER, WIRE};
use xtask::lab::process::wait_for;
use xtask::lab::siphon::{Siphon, sum};
use xtask::lab::sipp::{CALLEE_SSRC, CALLER_SSRC};
use xtask::lab::{Need, Network, Scratch, require};

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

fn siphon() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_siphon"))
}

/// siphon on the called host's interface. `capture` are further keys of that section.
fn start(network: &Network, scratch: &Scratch, capture: &str, spool: bool) -> Siphon {
    let shown = scratch.path().display();
    let text = format!(
        "[capture]\ninterface = \"{WIRE}\"\nmode = \"host\"\n{capture}\n\n[control]\nsocket = \"{shown}/siphon.sock\"\n\n\
         [metrics]\nenabled = false\n\n[spool]\nenabled = {spool}\ndirectory = \"{shown}/spool\"\n"
    );
    Siphon::start_with(&network.callee, siphon(), scratch.path(), &text, &[]).unwrap()
}

/// Programs at the called host's interface: of tcx, both directions, and of XDP.
fn attached(network: &Network) -> usize {
    let directions = [TcAttachType::Ingress, TcAttachType::Egress];
    let count = |direction| SchedClassifier::query_tcx(WIRE, direction).map(|(_, programs)| programs.len());
    let counts = network.callee.enter(|| directions.map(count)).unwrap();
    let link = network.callee.ip(&format!("-j link show dev {WIRE}")).unwrap();
    let link: Value = serde_json::from_str(&link).unwrap();
    let xdp = usize::from(link[0]["xdp"]["prog"]["id"].is_u64());
    xdp + counts.into_iter().map(Result::unwrap).sum::<usize>()
}

fn wait_until_gone(network: &Network) {
    wait_for("the programs to be gone", LIMIT, || {
        Ok((attached(network) == 0).then_some(()))
    })
    .unwrap();
}

#[test]
fn what_is_kept_is_what_passes_both_ways() {
    if !require("what_is_kept_is_what_passes_both_ways", &NEEDS) {
        return;
    }
    let network = Network::new(1).unwrap();
    let scratch = Scratch::new("host").unwrap();
    for attach in ["tcx", "native"] {
        let reference = scratch.path().join(format!("reference-{attach}.pcap"));
        let before = passed(&network);
        let reference = Capture::start(&network.callee, WIRE, Direction::Both, &reference).unwrap();
        let keys = format!("attach = \"{attach}\"\nlevel = \"full\"\nring_size = \"16MiB\"");
        let mut siphon = start(&network, &scratch, &keys, true);
        let packets = u64::from(calls(&network));
        let frames = passed(&network) - before;
        let status = siphon.wait_seen(frames).unwrap();
        assert_eq!(status["mode"], "host");
        assert_eq!(status["attach"]["got"], attach);
        for stage in ["program", "sockets", "engine", "spool"] {
            assert_eq!(status["identity"][stage]["holds"], true, "{stage}: {status}");
            assert_eq!(sum(&status["identity"][stage]["dropped"]), 0, "{stage}: {status}");
        }
        assert_eq!(sum(&status["audit"]["violations"]), 0, "{status}");
        let streams = siphon.json(["streams"]).unwrap();
        let streams = streams["streams"].as_array().unwrap();
        assert_eq!(streams.len(), 60, "two for each call");
        for stream in streams {
            assert_eq!(
                (&stream["packets"], &stream["lost"]),
                (&packets.into(), &0.into()),
                "{stream}"
            );
        }
        for ssrc in [CALLER_SSRC, CALLEE_SSRC] {
            let of_side = streams.iter().filter(|stream| {
                let told = &stream["ssrc"];
                told.as_u64() == Some(ssrc.into())
                    || told.as_str().is_some_and(|text| text.contains(&format!("{ssrc:x}")))
            });
            assert_eq!(of_side.count(), 30, "streams of {ssrc:#x}");
        }
        assert!(siphon.stop(Signal::TERM, LIMIT).unwrap().success());
        assert_eq!(attached(&network), 0);
        let reference = reference.finish(frames).unwrap();
        let files = siphon.files().unwrap();
        let kept = written(&files);
        assert!(
            multiset(&kept) == multiset(&reference),
            "{attach}: not what tcpdump saw, byte for byte"
        );
        for file in files {
            std::fs::remove_file(file).unwrap();
        }
    }
}

#[test]
fn the_host_does_not_notice_whatever_becomes_of_siphon() {
    if !require("the_host_does_not_notice_whatever_becomes_of_siphon", &NEEDS) {
        return;
    }
    let network = Network::new(1).unwrap();
    // As hosts have it: checksums and segments are left to the interface, and tags too.
    for host in [&network.caller, &network.callee] {
        host.exec(&format!(
            "ethtool -K {WIRE} tx on tso on gso on gro on txvlan on rxvlan on"
        ))
        .unwrap();
    }
    let scratch = Scratch::new("host").unwrap();
    exchange(&network).unwrap();
    calls(&network);
    for attach in ["tcx", "native"] {
        // Running: headers of RTP are kept, and a small ring is emptied in time or not, which the host must not notice either.
        let keys = format!("attach = \"{attach}\"\nring_size = \"256KiB\"");
        let mut siphon = start(&network, &scratch, &keys, false);
        assert_eq!(attached(&network), 2, "{attach}");
        exchange(&network).unwrap();

        // Hanging, from the middle of calls on: rings fill, what finds no room is counted, and nobody waits for it.
        calls_while(&network, || siphon.signal(Signal::STOP).unwrap());
        exchange(&network).unwrap();
        siphon.signal(Signal::CONT).unwrap();
        assert_counted(&siphon);

        // Stopped in the middle of calls, and killed in the middle of others: the programs go with the process.
        calls_while(&network, || {
            assert!(siphon.stop(Signal::TERM, LIMIT).unwrap().success());
            exchange(&network).unwrap();
        });
        assert_eq!(attached(&network), 0, "{attach}");
        let mut siphon = start(&network, &scratch, &keys, false);
        assert_eq!(attached(&network), 2, "{attach}");
        calls_while(&network, || {
            siphon.stop(Signal::KILL, LIMIT).unwrap();
            exchange(&network).unwrap();
        });
        wait_until_gone(&network);
    }
}

/// What found no room while siphon hung has its place: in the program's account and in the ring's.
fn assert_counted(siphon: &Siphon) {
    let full = wait_for("siphon to say what it had no room for", LIMIT, || {
        let status = siphon.json(["status"])?;
        let dropped = &status["identity"]["program"]["dropped"];
        let full = dropped["ring_full"].as_u64().unwrap_or_default();
        let is_empty = status["identity"]["sockets"]["queued"] == 0;
        Ok((full > 0 && is_empty).then_some((full, status)))
    });
    let (full, status) = full.unwrap();
    let by_lane: u64 = status["lanes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|lane| lane["ring"]["full"].as_u64())
        .sum();
    assert_eq!(by_lane, full, "{status}");
    assert_eq!(status["identity"]["program"]["holds"], true, "{status}");
    assert_eq!(sum(&status["audit"]["violations"]), 0, "{status}");
}

/// An INVITE that many segments carry.
fn invite(number: u32) -> Vec<u8> {
    let body = "x".repeat(50_000);
    format!(
        "INVITE sip:b@{CALLEE} SIP/2.0\r\nVia: SIP/2.0/TCP {CALLER};branch=z9hG4bK-{number}\r\nFrom: <sip:a@x>;tag=1\r\n\
         To: <sip:b@x>\r\nCall-ID: large-{number}\r\nCSeq: 1 INVITE\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sum of 16-bit words, as Internet checksums are made (RFC 1071): 0xffff over what carries its own.
fn sum_of_words(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|word| u32::from(u16::from_be_bytes([word[0], *word.get(1).unwrap_or(&0)])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    ((folded & 0xffff) + (folded >> 16)) as u16
}

/// What the frames of a TCP connection from `port` carry, each byte where its sequence number says, whatever was sent again and
/// however it was cut then; each frame must be a packet as it is on the wire.
fn carried(frames: &[Vec<u8>], port: u16) -> Vec<u8> {
    const SYN: u8 = 2;
    let mut pieces = BTreeMap::<u32, Vec<u8>>::new();
    let mut start = None;
    for frame in frames.iter().filter(|frame| frame[12..14] == [8, 0] && frame[23] == 6) {
        assert!(frame.len() <= 14 + 1_500, "{} bytes", frame.len());
        let header = 14 + 4 * usize::from(frame[14] & 0xf);
        let end = 14 + usize::from(u16::from_be_bytes([frame[16], frame[17]]));
        assert!(end == frame.len() || frame.len() == 60, "{end} of {}", frame.len());
        let segment = &frame[header..end];
        let length = (segment.len() as u16).to_be_bytes();
        let pseudo = [&frame[26..34], &[0, 6], &length].concat();
        assert_eq!(sum_of_words(&frame[14..header]), 0xffff, "IPv4's checksum");
        assert_eq!(sum_of_words(&[&pseudo, segment].concat()), 0xffff, "TCP's checksum");
        if segment[..2] != port.to_be_bytes() {
            continue;
        }
        let sequence = u32::from_be_bytes(segment[4..8].try_into().unwrap());
        if segment[13] & SYN != 0 {
            start = Some(sequence.wrapping_add(1));
        }
        let payload = &segment[4 * usize::from(segment[12] >> 4)..];
        if payload.is_empty() {
            continue;
        }
        let start = start.expect("a connection begins with its SYN");
        let piece = pieces.entry(sequence.wrapping_sub(start)).or_default();
        if piece.len() < payload.len() {
            *piece = payload.to_vec();
        }
    }
    let mut bytes = Vec::new();
    for (at, piece) in pieces {
        let known = bytes.len().checked_sub(at as usize).expect("no gap in what is kept");
        bytes.extend(piece.into_iter().skip(known));
    }
    bytes
}

/// What TCP hands to the interface as one, and what GRO has put together, of a connection of the kernel's own: both ways it is
/// kept as the packets that cross the wire.
#[test]
fn super_frames_of_a_connection_are_the_packets_of_the_wire() {
    if !require("super_frames_of_a_connection_are_the_packets_of_the_wire", &NEEDS) {
        return;
    }
    const MESSAGES: u32 = 20;
    let network = Network::new(1).unwrap();
    for host in [&network.caller, &network.callee] {
        host.exec(&format!("ethtool -K {WIRE} tx on tso on gso on gro on"))
            .unwrap();
    }
    let scratch = Scratch::new("host-tcp").unwrap();
    let mut siphon = start(&network, &scratch, "level = \"full\"\nring_size = \"16MiB\"", true);
    let listener = network
        .callee
        .enter(|| TcpListener::bind((CALLEE, 5060)))
        .unwrap()
        .unwrap();
    let mut near = network
        .caller
        .enter(|| TcpStream::connect((CALLEE, 5060)))
        .unwrap()
        .unwrap();
    let (mut far, client) = listener.accept().unwrap();
    let sent: Vec<u8> = (0..MESSAGES).flat_map(invite).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| near.write_all(&sent).unwrap());
        let mut arrived = vec![0; sent.len()];
        far.read_exact(&mut arrived).unwrap();
        assert!(arrived == sent, "the host did not get what was sent to it");
    });
    // And the same back: what goes out.
    std::thread::scope(|scope| {
        scope.spawn(|| far.write_all(&sent).unwrap());
        let mut returned = vec![0; sent.len()];
        near.read_exact(&mut returned).unwrap();
        assert!(returned == sent, "what the host sent did not arrive");
    });
    drop((near, far, listener));
    let status = wait_for("all messages to be seen", LIMIT, || {
        let status = siphon.json(["status"])?;
        Ok((status["sip"]["requests"]["INVITE"] == 2 * MESSAGES).then_some(status))
    })
    .unwrap();
    let ring = &status["lanes"][0]["ring"];
    assert!(ring["super_frames"].as_u64().unwrap() > 2, "{ring}");
    assert!(siphon.stop(Signal::TERM, LIMIT).unwrap().success());
    let kept = written(&siphon.files().unwrap());
    assert!(carried(&kept, client.port()) == sent, "what is kept of what came in");
    assert!(carried(&kept, 5060) == sent, "what is kept of what went out");
}
