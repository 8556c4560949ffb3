//! A replay by several engines says what a replay by one does, word for word.

use std::path::{Path, PathBuf};

use capture_daemon::config::Config;
use capture_daemon::replay::{Replayed, replay_by};
use serde_json::Value;

use super::captures;

/// The document of a file, its lists in an order that does not depend on who told first. Left out is how many frames were
/// `other_udp`: RTP counts there until its endpoints are announced, and of a packet and an announcement within the
/// same 50 ms either may come first. The streams have all their packets either way.
fn told(file: &PathBuf, jobs: usize) -> Value {
    let Replayed { document, errors } = replay_by(std::slice::from_ref(file), &Config::default(), jobs);
    let mut told = serde_json::to_value(&document).unwrap();
    told["drops"].as_object_mut().unwrap().remove("other_udp");
    told["errors"] = errors.iter().map(ToString::to_string).collect();
    for list in ["streams", "calls", "registrations"] {
        if let Some(list) = told[list].as_array_mut() {
            list.sort_by_key(Value::to_string);
        }
    }
    told
}

#[test]
fn several_engines_say_what_one_says() {
    let folder = captures::own("", "").unwrap();
    let mut streams = 0;
    for name in captures::names(&folder) {
        let file = folder.join(&name);
        let one = told(&file, 1);
        streams += one["streams"].as_array().map_or(0, Vec::len);
        for jobs in [2, 3, 8] {
            assert_eq!(told(&file, jobs), one, "{name} by {jobs}");
        }
    }
    assert!(streams > 20, "{streams} streams in all");
}

/// An IPv4 packet in Ethernet; `piece` is its identification and where the piece stands, in eights of bytes, with the bit for more.
fn ipv4(src: [u8; 4], dst: [u8; 4], protocol: u8, piece: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    frame.extend((20 + payload.len() as u16).to_be_bytes());
    frame.extend(piece.0.to_be_bytes());
    frame.extend(piece.1.to_be_bytes());
    frame.extend([64, protocol, 0, 0]);
    frame.extend(src);
    frame.extend(dst);
    frame.extend(payload);
    frame
}

fn udp(src_port: u16, dst_port: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = [src_port.to_be_bytes(), dst_port.to_be_bytes()].concat();
    datagram.extend((8 + payload.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

/// Where the calls of these tests are: enough of them that their frames go to every engine.
fn ends(call: u8) -> ([u8; 4], [u8; 4]) {
    ([10, 1, call, 1], [10, 1, call, 2])
}

fn rtp(call: u8, seq: u16) -> Vec<u8> {
    let (src, dst) = ends(call);
    let mut packet = vec![0x80, 0];
    packet.extend(seq.to_be_bytes());
    packet.extend((u32::from(seq) * 160).to_be_bytes());
    packet.extend([0, 0, 0xca, call]);
    packet.extend([0xd5; 160]);
    ipv4(src, dst, 17, (0, 0x4000), &udp(20_000, 30_000, &packet))
}

/// An INVITE that wants media where [`rtp`] goes to.
fn invite(call: u8) -> Vec<u8> {
    let (_, [a, b, c, d]) = ends(call);
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 {a}.{b}.{c}.{d}\r\ns=-\r\nc=IN IP4 {a}.{b}.{c}.{d}\r\nt=0 0\r\nm=audio 30000 RTP/AVP 0\r\n"
    );
    format!(
        "INVITE sip:b@x SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK{call}\r\nFrom: <sip:a@x>;tag=1\r\n\
         To: <sip:b@x>\r\nCall-ID: {call}\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
    .into_bytes()
}

/// A capture of these frames, each with its time in microseconds.
fn pcap(folder: &Path, frames: &[(u32, Vec<u8>)]) -> PathBuf {
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        bytes.extend(word.to_le_bytes());
    }
    for (at, frame) in frames {
        let len = frame.len() as u32;
        for word in [1_700_000_000 + at / 1_000_000, at % 1_000_000, len, len] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(frame);
    }
    let path = folder.join("made.pcap");
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Packets of the streams that have their call, and what one engine says if all say it.
fn packets_of_calls(frames: &[(u32, Vec<u8>)]) -> Vec<u64> {
    let folder = tempfile::tempdir().unwrap();
    let file = pcap(folder.path(), frames);
    let one = told(&file, 1);
    for jobs in [2, 3, 8] {
        assert_eq!(told(&file, jobs), one, "by {jobs}");
    }
    let streams = one["streams"].as_array().unwrap();
    let joined = streams.iter().filter(|stream| stream["call_id"].is_string());
    joined.map(|stream| stream["packets"].as_u64().unwrap()).collect()
}

/// The beginning of a TCP connection may be missing: its first bytes are waited for until the files end, and say then where media
/// goes that other engines have.
#[test]
fn what_is_known_at_the_end_is_known_to_all_engines() {
    let calls = 0..24;
    let mut frames = Vec::new();
    for seq in 0..50u16 {
        let at = u32::from(seq) * 20_000;
        frames.extend(calls.clone().map(|call| (at + u32::from(call), rtp(call, seq))));
    }
    for call in calls {
        let mut segment = [5060u16.to_be_bytes(), 5060u16.to_be_bytes()].concat();
        segment.extend([0, 0, 16, call, 0, 0, 0, 1, 0x50, 0x18, 1, 0, 0, 0, 0, 0]);
        segment.extend(invite(call));
        let (proxy, other) = ([10, 2, call, 3], [10, 2, call, 4]);
        frames.push((
            1_000_000 + u32::from(call),
            ipv4(proxy, other, 6, (0, 0x4000), &segment),
        ));
    }
    assert_eq!(packets_of_calls(&frames), [50; 24]);
}

/// A mirror that wraps what it sees in VXLAN has datagrams that are too long for its own way. Of those the pieces show the
/// mirror's addresses, the whole ones those of the call.
#[test]
fn pieces_of_a_tunnel_go_where_its_whole_packets_go() {
    let (mirror, sensor) = ([10, 9, 0, 1], [10, 9, 0, 2]);
    let mut frames: Vec<(u32, Vec<u8>)> = (0..24)
        .map(|call| {
            let message = udp(5060, 5060, &invite(call));
            (
                u32::from(call),
                ipv4([10, 2, call, 3], [10, 2, call, 4], 17, (0, 0x4000), &message),
            )
        })
        .collect();
    for seq in 0..60u16 {
        for call in 0..24 {
            let at = 100_000 + u32::from(seq) * 20_000 + u32::from(call) * 100;
            let wrapped = [&[8, 0, 0, 0, 0, 0, 7, 0][..], &rtp(call, seq)].concat();
            let datagram = udp(40_000, 4789, &wrapped);
            let id = seq * 24 + u16::from(call);
            let (head, tail) = datagram.split_at(160);
            let head = ipv4(mirror, sensor, 17, (id, 0x2000), head);
            let tail = ipv4(mirror, sensor, 17, (id, 20), tail);
            match seq % 3 {
                0 => frames.push((at, ipv4(mirror, sensor, 17, (0, 0x4000), &datagram))),
                1 => frames.extend([(at, head), (at + 10, tail)]),
                _ => frames.extend([(at, tail), (at + 10, head)]),
            }
        }
    }
    assert_eq!(packets_of_calls(&frames), [60; 24]);
}
