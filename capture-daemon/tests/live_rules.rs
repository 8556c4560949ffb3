//! Calls at three levels through a running daemon: the files have exactly what the levels say, also after the rules were
//! changed over the control socket.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line that was wrong"
)]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use capture_daemon::source::{self, CaptureFile};
use rustix::process::Signal;
use serde_json::Value;
use xtask::lab::mirror::{CALLEE, CALLER, TAP};
use xtask::lab::process::wait_for;
use xtask::lab::siphon::Siphon;
use xtask::lab::{Need, Netns, Network, Scratch, require};

const NEEDS: [Need<'_>; 5] = [
    Need::Root,
    Need::Program("ip"),
    Need::Program("tc"),
    Need::Program("ethtool"),
    Need::Fact(
        capture_daemon::program::EMBEDDED,
        "the kernel program is not built: `cargo xtask build-ebpf`",
    ),
];

/// Guards against a hang; nothing is measured with it.
const LIMIT: Duration = Duration::from_secs(30);

/// Ethernet, IPv4, UDP and the fixed header of RTP, and what G.711 at 20 ms adds.
const HEADERS: usize = 14 + 20 + 8 + 12;
const PAYLOAD: usize = 160;

/// Sockets of one call: SIP, RTP and RTCP of both parties.
struct Call {
    call_id: &'static str,
    from: &'static str,
    port: u16,
    sip: [UdpSocket; 2],
    rtp: [UdpSocket; 2],
    rtcp: [UdpSocket; 2],
    seq: u16,
}

fn bind(host: &Netns, address: Ipv4Addr, port: u16) -> UdpSocket {
    host.enter(|| UdpSocket::bind((address, port))).unwrap().unwrap()
}

impl Call {
    fn new(network: &Network, call_id: &'static str, from: &'static str, port: u16) -> Self {
        let both = |port: u16| [bind(&network.caller, CALLER, port), bind(&network.callee, CALLEE, port)];
        // SIP goes from and to ports of its own for each call, of which one is siphon's.
        let sip = [
            bind(&network.caller, CALLER, port + 2),
            bind(&network.callee, CALLEE, port + 2),
        ];
        Self {
            call_id,
            from,
            port,
            sip,
            rtp: both(port),
            rtcp: both(port + 1),
            seq: 0,
        }
    }

    fn message(&self, start: &str, host: Ipv4Addr) -> String {
        let Self {
            call_id, from, port, ..
        } = self;
        let body =
            format!("v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {port} RTP/AVP 8\r\n");
        let tag = if start.starts_with("SIP") { ";tag=2" } else { "" };
        format!(
            "{start}\r\nVia: SIP/2.0/UDP {CALLER};branch=z9hG4bK{call_id}\r\nFrom: <sip:{from}@example.com>;tag=1\r\n\
             To: <sip:service@example.com>{tag}\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// Offer and answer.
    fn set_up(&self) {
        let [caller, callee] = &self.sip;
        let invite = self.message("INVITE sip:service@example.com SIP/2.0", CALLER);
        let at = SocketAddr::from((CALLEE, self.port + 2));
        caller.send_to(invite.as_bytes(), at).unwrap();
        let answer = self.message("SIP/2.0 200 OK", CALLEE);
        let at = SocketAddr::from((CALLER, self.port + 2));
        callee.send_to(answer.as_bytes(), at).unwrap();
    }

    /// So many RTP packets each way, and a receiver report.
    fn talk(&mut self, packets: u16) {
        for seq in self.seq..self.seq + packets {
            for (socket, (to, ssrc)) in self.rtp.iter().zip([(CALLEE, 0xa), (CALLER, 0xb)]) {
                let mut packet = vec![0x80, 8];
                packet.extend(seq.to_be_bytes());
                packet.extend((u32::from(seq) * 160).to_be_bytes());
                packet.extend((u32::from(self.port) << 8 | ssrc).to_be_bytes());
                packet.resize(12 + PAYLOAD, 0xd5);
                socket.send_to(&packet, SocketAddr::from((to, self.port))).unwrap();
            }
            // veth's ring has 256 entries, which NAPI on this CPU empties when the sender pauses.
            if seq % 32 == 31 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self.seq += packets;
        let [caller, _] = &self.rtcp;
        let report = [0x80, 201, 0, 1, 0, 0, 0, 10];
        let at = SocketAddr::from((CALLEE, self.port + 1));
        caller.send_to(&report, at).unwrap();
    }
}

/// Rule and level of each call.
fn levels(siphon: &Siphon) -> BTreeMap<String, (Option<String>, String)> {
    let calls = siphon.json(["calls"]).unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let calls = calls["calls"].as_array().unwrap().iter();
    calls
        .map(|call| {
            let level = text(&call["level"]).unwrap();
            (text(&call["call_id"]).unwrap(), (text(&call["rule"]), level))
        })
        .collect()
}

/// What a file has of a port's RTP: sequence numbers with captured length and length on the wire, and the RTCP beside it.
#[derive(Debug, Default, PartialEq)]
struct Kept {
    rtp: Vec<(u16, usize, u32)>,
    rtcp: usize,
}

fn kept(files: &[std::path::PathBuf], port: u16) -> Kept {
    let files: Vec<CaptureFile> = files.iter().map(|file| CaptureFile::open(file).unwrap()).collect();
    let mut kept = Kept::default();
    for frame in source::merge(&files) {
        let word = |at: usize| u16::from_be_bytes([frame.bytes[at], frame.bytes[at + 1]]);
        let to = word(36);
        if to == port {
            kept.rtp.push((word(44), frame.bytes.len(), frame.wire_len));
        }
        kept.rtcp += usize::from(to == port + 1);
    }
    kept.rtp.sort_unstable();
    kept
}

/// Each number of a range, both ways, of this captured length.
fn both_ways(numbers: std::ops::Range<u16>, len: usize) -> Vec<(u16, usize, u32)> {
    let wire = (HEADERS + PAYLOAD) as u32;
    numbers.flat_map(|seq| [(seq, len, wire), (seq, len, wire)]).collect()
}

#[test]
fn files_have_of_each_call_what_its_level_says() {
    if !require("files_have_of_each_call_what_its_level_says", &NEEDS) {
        return;
    }
    let network = Network::new(1).unwrap();
    let scratch = Scratch::new("live-rules").unwrap();
    let shown = scratch.path().display();
    let text = format!(
        "[capture]\ninterface = \"{TAP}\"\nlevel = \"signaling\"\nsip_ports = [5060, 20002, 20012, 20022]\n\
         [control]\nsocket = \"{shown}/siphon.sock\"\n[metrics]\nenabled = false\n\
         [spool]\ndirectory = \"{shown}/spool\"\n\
         [[rules]]\nname = \"whole\"\nlevel = \"full\"\nfrom = \"alice\"\n\
         [[rules]]\nname = \"cut\"\nlevel = \"headers\"\nnumber = \"+49-211-*\"\n\
         [[rules]]\nname = \"late\"\nlevel = \"full\"\nfrom = \"alice@example.com\"\n"
    );
    let program = Path::new(env!("CARGO_BIN_EXE_siphon"));
    let mut siphon = Siphon::start_with(&network.sensor, program, scratch.path(), &text, &[]).unwrap();
    let log = siphon.log();
    assert!(
        log.contains("the rule late can never match: every call it is about comes under whole"),
        "{log}"
    );

    let mut calls = [
        Call::new(&network, "full-1", "alice", 20_000),
        Call::new(&network, "headers-1", "+492115551234", 20_010),
        Call::new(&network, "signaling-1", "bob", 20_020),
    ];
    calls.iter().for_each(Call::set_up);
    let known = |siphon: &Siphon, expected: [(&str, Option<&str>, &str); 3]| {
        let expected: BTreeMap<_, _> = expected
            .into_iter()
            .map(|(call_id, rule, level)| (call_id.to_owned(), (rule.map(str::to_owned), level.to_owned())))
            .collect();
        wait_for("the calls to have their levels", LIMIT, || {
            Ok((levels(siphon) == expected).then_some(()))
        })
        .unwrap();
    };
    known(
        &siphon,
        [
            ("full-1", Some("whole"), "full"),
            ("headers-1", Some("cut"), "headers"),
            ("signaling-1", None, "signaling"),
        ],
    );
    calls.iter_mut().for_each(|call| call.talk(50));
    let sent = |packets: u64| 3 * 2 + 3 * (2 * packets + 1);
    let status = siphon.wait_seen(sent(50)).unwrap();
    // In the kernel: what is not wanted does not cross, and what is cut crosses cut.
    let verdicts = |status: &Value| {
        ["media", "media_headers", "media_by_level", "media_control", "sip"]
            .map(|verdict| status["verdicts"][verdict].as_u64().unwrap())
    };
    assert_eq!(verdicts(&status), [100, 100, 100, 3, 6], "{status}");

    // Alice's call is under no rule any more, bob's is kept whole, and of the third all is kept from now on.
    siphon.ask(["rules", "change", "whole", "--from", "bob"]).unwrap();
    siphon.ask(["rules", "remove", "late"]).unwrap();
    siphon
        .ask([
            "rules",
            "add",
            "first",
            "--level",
            "full",
            "--number",
            "+492115551234",
            "--at",
            "1",
        ])
        .unwrap();
    let refused = siphon.output(["rules", "remove", "nobody"]).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    known(
        &siphon,
        [
            ("full-1", None, "signaling"),
            ("headers-1", Some("first"), "full"),
            ("signaling-1", Some("whole"), "full"),
        ],
    );
    // A stream looks at its level every 64 packets: of the second fifty of the call that was cut already, all may come cut.
    calls.iter_mut().for_each(|call| call.talk(150));
    let status = siphon.wait_seen(sent(50) + sent(150) - 6).unwrap();
    assert_eq!(status["identity"]["spool"]["holds"], true, "{status}");
    assert_eq!(status["calls"]["levels"]["full"], 2, "{status}");
    assert_eq!(verdicts(&status), [700, 100, 400, 6, 6], "{status}");

    let book = siphon.json(["rules"]).unwrap();
    let names: Vec<&str> = book["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["rule"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["first", "whole", "cut"]);
    let of = |at: usize, what: &str| book["rules"][at][what].as_u64().unwrap();
    assert_eq!((of(0, "calls"), of(0, "calls_now")), (1, 1), "{book}");
    assert_eq!((of(1, "calls"), of(1, "calls_now")), (2, 1), "{book}");
    assert_eq!((of(2, "calls"), of(2, "calls_now")), (1, 0), "{book}");
    assert!(siphon.stop(Signal::TERM, LIMIT).unwrap().success());

    let files = siphon.files().unwrap();
    let whole = HEADERS + PAYLOAD;
    let alice = kept(&files, 20_000);
    assert_eq!((alice.rtp, alice.rtcp), (both_ways(0..50, whole), 2));
    let bob = kept(&files, 20_020);
    assert_eq!((bob.rtp, bob.rtcp), (both_ways(50..200, whole), 2));
    let number = kept(&files, 20_010);
    assert_eq!(number.rtcp, 2);
    let (before, after): (Vec<_>, Vec<_>) = number.rtp.into_iter().partition(|(seq, ..)| *seq < 50);
    assert_eq!(before, both_ways(0..50, HEADERS));
    let (turning, after): (Vec<_>, Vec<_>) = after.into_iter().partition(|(seq, ..)| *seq < 50 + 64);
    assert_eq!(turning.len(), 2 * 64, "each of them once, cut or whole");
    assert_eq!(after, both_ways(114..200, whole));
}
