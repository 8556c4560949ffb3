//! Makes the captures in `capture-daemon/tests/captures/` anew. Ignored: it does not test, it writes into the repository.
//!
//!     cargo test -p xtask --test captures -- --ignored --test-threads=1
//!
//! as root, then `cargo test -p capture-daemon --test oracle`, and both into one commit.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line that was wrong"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use xtask::lab::baresip::{Baresip, Codec, Media, Telephone};
use xtask::lab::capture::{Capture, Direction};
use xtask::lab::coturn::{Coturn, PASSWORD, Peer, Wrapping, echo, refused};
use xtask::lab::kamailio::{self, Kamailio};
use xtask::lab::loss::{Loss, Place};
use xtask::lab::mirror::{CALLEE, CALLER, MIDDLE, MIRROR};
use xtask::lab::process::wait_for;
use xtask::lab::rtpengine::Rtpengine;
use xtask::lab::sipp::{Calls, Kind, Telephones, Transport};
use xtask::lab::{Need, Netns, Network, Scratch, require, websocket};

/// So many calls of a kind.
type Placed = (Kind, Transport, u32);

/// What is in each file.
const FILES: [(&str, &[Placed]); 4] = [
    ("calls-udp.pcap", &[(Kind::Answered, Transport::Udp, 2)]),
    ("calls-tcp.pcap", &[(Kind::Answered, Transport::Tcp, 2)]),
    (
        "failures.pcap",
        &[
            (Kind::Busy, Transport::Udp, 2),
            (Kind::Cancelled, Transport::Udp, 2),
            (Kind::Forbidden, Transport::Udp, 2),
            (Kind::Busy, Transport::Tcp, 1),
        ],
    ),
    ("registrations.pcap", &[(Kind::Registration, Transport::Udp, 3)]),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../capture-daemon/tests/captures")
}

#[test]
#[ignore = "writes capture-daemon/tests/captures"]
fn make_the_captures() {
    let needs = [Need::Root, Need::Program("sipp"), Need::Program("tcpdump")];
    if !require("make_the_captures", &needs) {
        return;
    }
    for (name, kinds) in FILES {
        record(name, |network| {
            place(Telephones::start(network, Duration::from_secs(1)).unwrap(), kinds);
        });
    }
    let calls = fs::read(folder().join("calls-udp.pcap")).unwrap();
    fs::write(folder().join("calls-udp-impaired.pcap"), impaired(&calls)).unwrap();
}

#[test]
#[ignore = "writes capture-daemon/tests/captures"]
fn make_the_captures_of_proxy_and_relay() {
    let programs = ["sipp", "tcpdump", "kamailio", "rtpengine", "nft"].map(Need::Program);
    if !require("make_the_captures_of_proxy_and_relay", &programs) {
        return;
    }
    let talk = Duration::from_millis(500);
    record("kamailio.pcap", |network| {
        let proxy = network.plug("proxy").unwrap();
        let _kamailio = Kamailio::start(&proxy, kamailio::Media::Direct).unwrap();
        // So that something is sent again.
        let _loss = Loss::start(&network.callee, "sip", Place::AfterMirror, "udp dport 5060", 6).unwrap();
        let kinds = [
            (Kind::Answered, Transport::Udp, 3),
            (Kind::Answered, Transport::Tcp, 1),
            (Kind::Busy, Transport::Udp, 1),
            (Kind::Cancelled, Transport::Udp, 1),
            (Kind::Forbidden, Transport::Udp, 1),
        ];
        place(Telephones::start(network, talk).unwrap().through(MIDDLE), &kinds);
    });
    record("rtpengine.pcap", |network| {
        let proxy = network.plug("proxy").unwrap();
        let _rtpengine = Rtpengine::start(&proxy).unwrap();
        let _kamailio = Kamailio::start(&proxy, kamailio::Media::Relayed).unwrap();
        let kinds = [(Kind::Answered, Transport::Udp, 1), (Kind::Answered, Transport::Tcp, 1)];
        place(Telephones::start(network, talk).unwrap().through(MIDDLE), &kinds);
    });
}

#[test]
#[ignore = "writes capture-daemon/tests/captures"]
fn make_the_captures_of_softphones() {
    let programs = ["tcpdump", "baresip", "nft", "turnserver", "turnutils_uclient"].map(Need::Program);
    if !require("make_the_captures_of_softphones", &programs) {
        return;
    }
    record("baresip-loss.pcap", |network| {
        let drop = |host: &Netns| {
            let rtp = "udp sport 20000-20009 udp sport & 1 == 0";
            Loss::start(host, "rtp", Place::BeforeMirror, rtp, 20).unwrap();
        };
        drop(&network.caller);
        drop(&network.callee);
        // Long enough for a sender report of each side: baresip's first come after five seconds.
        converse(network, Codec::Pcma, Media::Plain, Duration::from_millis(5_500));
    });
    record("baresip-opus.pcap", |network| {
        converse(network, Codec::Opus, Media::Plain, Duration::from_secs(2));
    });
    record("baresip-srtp.pcap", |network| {
        converse(network, Codec::Pcma, Media::Encrypted, Duration::from_secs(2));
    });
    record("coturn.pcap", |network| {
        let relay = network.plug("relay").unwrap();
        let _coturn = Coturn::start(&relay, &[]).unwrap();
        let peer = Peer::start(&network.callee).unwrap();
        for wrapping in [Wrapping::Channels, Wrapping::Indications] {
            echo(&network.caller, Transport::Udp, wrapping, 20).unwrap();
        }
        drop(peer);
        converse(network, Codec::Pcma, Media::Turn, Duration::from_secs(1));
    });
    record("coturn-refused.pcap", |network| {
        let relay = network.plug("relay").unwrap();
        for (password, options) in [
            ("wrong", &[][..]),
            (PASSWORD, &["--user-quota=1"]),
            (PASSWORD, &["--min-port=50000", "--max-port=50000"]),
        ] {
            let _coturn = Coturn::start(&relay, options).unwrap();
            refused(&network.caller, password).unwrap();
        }
    });
}

#[test]
#[ignore = "writes capture-daemon/tests/captures"]
fn make_the_capture_of_websocket() {
    if require("make_the_capture_of_websocket", &[Need::Root, Need::Program("tcpdump")]) {
        record("websocket.pcap", |network| websocket::converse(network).unwrap());
    }
}

/// Places calls of some kinds, one kind after the other, and waits until they are over.
fn place(mut telephones: Telephones<'_>, kinds: &[Placed]) {
    for &(kind, transport, count) in kinds {
        let calls = Calls {
            kind,
            transport,
            count,
            rate: 5,
        };
        telephones.call(calls).unwrap().finish().unwrap();
    }
}

/// A call between two softphones that lasts for `talk`.
fn converse(network: &Network, codec: Codec, media: Media, talk: Duration) {
    let telephone = |user, address, media| Telephone {
        user,
        address,
        port: 5060,
        media_ports: 20_000..=20_009,
        codec,
        media,
        registrar: None,
    };
    // One side of the relay is enough.
    let there = if media == Media::Turn { Media::Plain } else { media };
    let called = telephone("callee", CALLEE, there);
    let answering = Baresip::answer(&network.callee, &called).unwrap();
    let calling = Baresip::call(&network.caller, &telephone("caller", CALLER, media), &called.uri()).unwrap();
    thread::sleep(talk);
    calling.hang_up().unwrap();
    answering.hang_up().unwrap();
}

/// Writes what `work` puts on the wire of a network of its own into the file `name`: the ports of a file are those of its
/// own calls.
fn record(name: &str, work: impl FnOnce(&Network)) {
    let network = Network::new(1).unwrap();
    let scratch = Scratch::new("captures").unwrap();
    let file = scratch.path().join(name);
    let capture = Capture::start(&network.switch, MIRROR, Direction::Out, &file).unwrap();
    let before = network.mirrored().unwrap().frames;
    work(&network);
    let sent = settled(&network);
    capture.finish(sent - before).unwrap();
    fs::copy(&file, folder().join(name)).unwrap();
}

/// Waits until the mirror port is silent, and returns the frames it has sent.
fn settled(network: &Network) -> u64 {
    let mut before = None;
    wait_for("the mirror port to be silent", Duration::from_secs(30), || {
        std::thread::sleep(Duration::from_millis(500));
        let sent = network.mirrored()?.frames;
        Ok((before.replace(sent) == Some(sent)).then_some(sent))
    })
    .unwrap()
}

/// A pcap file's frames as a bad network would have delivered them: of the media frames every 17th is missing, every
/// 23rd comes twice, and every 29th comes 45 ms late, behind its successors. Signalling stays as it was.
fn impaired(file: &[u8]) -> Vec<u8> {
    const COPY_AFTER: u64 = 3_000;
    const LATE_BY: u64 = 45_000;
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let (header, mut rest) = file.split_at(24);
    let mut records = Vec::new();
    let mut media = 0;
    while !rest.is_empty() {
        let (record, next) = rest.split_at(16 + word(rest, 8) as usize);
        rest = next;
        let micros = u64::from(word(record, 0)) * 1_000_000 + u64::from(word(record, 4));
        let frame = &record[16..];
        let is_media = u16::from_be_bytes([frame[36], frame[37]]) >= 10_000;
        media += u64::from(is_media);
        match (is_media, media % 17, media % 23, media % 29) {
            (true, 0, _, _) => {}
            (true, _, 0, _) => records.extend([(micros, frame), (micros + COPY_AFTER, frame)]),
            (true, _, _, 0) => records.push((micros + LATE_BY, frame)),
            _ => records.push((micros, frame)),
        }
    }
    records.sort_by_key(|(micros, _)| *micros);
    let mut made = header.to_vec();
    for (micros, frame) in records {
        let length = frame.len() as u32;
        for word in [(micros / 1_000_000) as u32, (micros % 1_000_000) as u32, length, length] {
            made.extend(word.to_le_bytes());
        }
        made.extend(frame);
    }
    made
}
