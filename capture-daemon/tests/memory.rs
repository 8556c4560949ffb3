//! What calls cost in memory, as the kernel counts it for this process, allocator and all. One test, so that nothing else
//! allocates meanwhile.

use std::sync::Arc;

use capture_daemon::config::{Capture, Follow};
use capture_daemon::engine::{Engine, Shared};
use capture_daemon::frame::{Frame, LinkType};
use capture_daemon::time::Timestamp;

const CALLER: [u8; 4] = [192, 0, 2, 1];
const PROXY: [u8; 4] = [192, 0, 2, 2];
const CALLEE: [u8; 4] = [192, 0, 2, 3];

/// Calls before the first look and before the second: tables have grown by then.
const BEFORE: u32 = 3_000;
const CALLS: u32 = 8_000;

/// Anonymous memory of this process in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process has a status");
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.and_then(|kib| kib.parse::<usize>().ok()).expect("a number of KiB") * 1024
}

/// Ethernet, IPv4 and UDP from port 5060 to port 5060.
fn frame(src: [u8; 4], dst: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let len = |more: usize| (payload.len() as u16 + more as u16).to_be_bytes();
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    frame.extend(len(28));
    frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    frame.extend([src, dst].concat());
    frame.extend([0x13, 0xc4, 0x13, 0xc4]);
    frame.extend(len(8));
    frame.extend([0, 0]);
    frame.extend(payload);
    frame
}

/// A description as telephones write it.
fn sdp(host: [u8; 4], port: u16) -> String {
    let host = std::net::Ipv4Addr::from(host);
    format!(
        "v=0\r\no=- 20518 0 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 9 8 0 18 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n\
         a=ptime:20\r\na=sendrecv\r\n"
    )
}

/// The ten messages of a call over a proxy that record-routes: INVITE, 100, 180, 200 and ACK, on both hops.
fn call(n: u32) -> Vec<Vec<u8>> {
    let message = |start: &str, cseq: &str, hop: u8, to: bool, body: &str| {
        let via = |hop: u8| {
            format!(
                "Via: SIP/2.0/UDP 192.0.2.{};branch=z9hG4bK-{n}-{hop}-{cseq}\r\n",
                hop + 1
            )
        };
        let vias: String = (0..=hop).rev().map(via).collect();
        let to_tag = if to { format!(";tag=callee-{n}") } else { String::new() };
        let content = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        format!(
            "{start}\r\n{vias}From: \"Alice\" <sip:+4930123{n}@alice.example.com>;tag=caller-{n}\r\n\
             To: <sip:+4940456{n}@bob.example.com>{to_tag}\r\nCall-ID: 6a1b5d90-{n:08x}-4e7f9a@192.0.2.1\r\n\
             CSeq: 1 {cseq}\r\nContact: <sip:+4930123{n}@192.0.2.1:5060;transport=udp>\r\n\
             User-Agent: Telephone 300 / 10.1.169.16\r\n{content}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let port = 10_000 + 4 * (n % 10_000) as u16;
    let up = |hop: u8, text: String| match hop {
        0 => frame(CALLER, PROXY, text.as_bytes()),
        _ => frame(PROXY, CALLEE, text.as_bytes()),
    };
    let down = |hop: u8, text: String| match hop {
        0 => frame(PROXY, CALLER, text.as_bytes()),
        _ => frame(CALLEE, PROXY, text.as_bytes()),
    };
    // Each call has addresses of its own, as telephones have.
    let host = |of: u8| [203, of + (n >> 16) as u8, (n >> 8) as u8, n as u8];
    let (offer, answer) = (sdp(host(1), port), sdp(host(2), port + 2));
    let invite = "INVITE sip:+494045678@bob.example.com SIP/2.0";
    let answers = [
        ("100 Trying", false, ""),
        ("180 Ringing", true, ""),
        ("200 OK", true, &answer),
    ];
    let mut frames = Vec::new();
    for hop in [0, 1] {
        frames.push(up(hop, message(invite, "INVITE", hop, false, &offer)));
    }
    for (status, to, body) in answers {
        for hop in [1, 0] {
            let start = format!("SIP/2.0 {status}");
            frames.push(down(hop, message(&start, "INVITE", hop, to, body)));
        }
    }
    for hop in [0, 1] {
        frames.push(up(hop, message("ACK sip:bob@192.0.2.3 SIP/2.0", "ACK", hop, true, "")));
    }
    frames
}

/// Calls, and the bytes that each of them takes.
struct Followed {
    engine: Engine,
    shared: Arc<Shared>,
    each: usize,
}

/// Follows calls with as much memory as configured.
fn followed(follow: &Follow) -> Followed {
    let shared = Arc::new(Shared::new(follow));
    let mut engine = Engine::new(follow, &Capture::default(), Arc::clone(&shared));
    let mut set_up = |calls: std::ops::Range<u32>| {
        for n in calls {
            for (at, bytes) in call(n).iter().enumerate() {
                engine.frame(&Frame {
                    ts: Timestamp::from_nanos(u64::from(n) * 1_000_000 + at as u64),
                    link: LinkType::Ethernet,
                    wire_len: bytes.len() as u32,
                    bytes,
                });
            }
        }
        resident()
    };
    let before = set_up(0..BEFORE);
    let after = set_up(BEFORE..CALLS);
    let each = after.saturating_sub(before) / (CALLS - BEFORE) as usize;
    Followed { engine, shared, each }
}

#[test]
fn a_typical_call_takes_little_memory() {
    // They would be resident whole.
    rustix::thread::disable_transparent_huge_pages(true).expect("a process may do without huge pages");
    let calls = followed(&Follow {
        max_transactions: 1,
        max_endpoints: 1,
        ..Follow::default()
    });
    // The memory of the first is not given back before the second is measured.
    let all = followed(&Follow::default());
    let (call, with_all) = (calls.each, all.each);
    println!("a call: {call} bytes; with its transactions and endpoints: {with_all} bytes");
    assert!((1_000..=4_096).contains(&call), "a call: {call} bytes");
    assert!(
        (call..=6_656).contains(&with_all),
        "with transactions and endpoints: {with_all} bytes"
    );
    let now = Timestamp::from_nanos(u64::from(CALLS) * 1_000_000);
    for Followed { engine, shared, .. } in [calls, all] {
        assert_eq!(engine.counters().frames.get(), 10 * u64::from(CALLS));
        let told = shared.calls.report_with_ladders(now);
        assert_eq!(told.len(), CALLS as usize);
        for call in &told {
            let descriptions = call.media.as_ref().map(|media| media.descriptions.len());
            assert_eq!((call.messages, call.ladder.len(), descriptions), (10, 10, Some(2)));
        }
    }
}
