//! Calls between softphones over a network that loses one RTP packet in twenty, each time the same: what siphon says was lost is
//! what nftables has dropped.

use std::net::Ipv4Addr;
use std::time::Duration;

use xtask::lab::baresip::{Baresip, Codec, Media, Telephone, need};
use xtask::lab::loss::{Figures, Loss, Place};
use xtask::lab::mirror::{CALLEE, CALLER, MIDDLE};
use xtask::lab::process::wait_for;
use xtask::lab::{Netns, require};

use super::run::{LIMIT, Run, needs, with};

/// One packet of so many is dropped: 5 %.
const EVERY: u32 = 20;

/// Packets each side has tried to send before the call ends: six seconds, so that each side has sent an RTCP report.
const PACKETS: u64 = 300;

/// A pair of telephones, and what is said of their call.
struct Pair {
    name: &'static str,
    codec: Codec,
    media: Media,
    /// Name, payload type and clock rate of the codec in siphon's words.
    heard: (&'static str, u32),
    /// SIP port of the caller. baresip takes the next one too, for TLS; siphon looks for SIP on 5060 and 5061, so that one
    /// side must have 5060.
    calling: u16,
    /// Who is called, and the port.
    called: (Ipv4Addr, u16),
    /// First of ten media ports at both sides.
    media_ports: u16,
}

const PAIRS: [Pair; 3] = [
    Pair {
        name: "pcma",
        codec: Codec::Pcma,
        media: Media::Plain,
        heard: ("PCMA", 8_000),
        calling: 6060,
        called: (CALLEE, 5060),
        media_ports: 20_000,
    },
    Pair {
        name: "opus",
        codec: Codec::Opus,
        media: Media::Plain,
        heard: ("opus", 48_000),
        calling: 6062,
        called: (MIDDLE, 5060),
        media_ports: 21_000,
    },
    Pair {
        name: "srtp",
        codec: Codec::Pcma,
        media: Media::Encrypted,
        heard: ("PCMA", 8_000),
        calling: 5060,
        called: (CALLEE, 6070),
        media_ports: 22_000,
    },
];

impl Pair {
    fn telephone(&self, (address, port): (Ipv4Addr, u16)) -> Telephone<'_> {
        Telephone {
            user: self.name,
            address,
            port,
            media_ports: self.media_ports..=self.media_ports + 9,
            codec: self.codec,
            media: self.media,
            registrar: None,
        }
    }

    /// The drops of what one side sends: of RTP, which has the even ports, and before the mirror port sees it.
    fn loss<'a>(&self, host: &'a Netns) -> Loss<'a> {
        let Self { name, media_ports, .. } = self;
        let rtp = format!("udp sport {media_ports}-{} udp sport & 1 == 0", media_ports + 9);
        Loss::start(host, name, Place::BeforeMirror, &rtp, EVERY).unwrap()
    }
}

#[test]
fn what_nftables_drops_is_what_is_lost() {
    let mut needs = needs(&["baresip", "nft"]);
    needs.push(need());
    if !require("what_nftables_drops_is_what_is_lost", &needs) {
        return;
    }
    let run = Run::start();
    let (caller, callee) = (&run.network.caller, &run.network.callee);
    let another = run.network.plug("another").unwrap();
    let host = |pair: &Pair| if pair.called.0 == CALLEE { callee } else { &another };
    let losses = PAIRS
        .each_ref()
        .map(|pair| [caller, host(pair)].map(|host| pair.loss(host)));
    let telephones = PAIRS.each_ref().map(|pair| {
        let (calling, called) = (pair.telephone((CALLER, pair.calling)), pair.telephone(pair.called));
        let answering = Baresip::answer(host(pair), &called).unwrap();
        (Baresip::call(caller, &calling, &called.uri()).unwrap(), answering)
    });
    let figures = |loss: &Loss<'_>| loss.figures().unwrap();
    wait_for("each side to have talked for six seconds", LIMIT, || {
        std::thread::sleep(Duration::from_millis(100));
        let enough = losses.iter().flatten().all(|loss| figures(loss).matched >= PACKETS);
        Ok(enough.then_some(()))
    })
    .unwrap();
    for (calling, answering) in telephones {
        calling.hang_up().unwrap();
        answering.hang_up().unwrap();
    }
    let figures = losses.each_ref().map(|both| both.each_ref().map(figures));
    drop(losses);
    drop(another);
    let told = run.finish();

    assert_eq!((told.calls.len(), told.streams.len()), (PAIRS.len(), 2 * PAIRS.len()));
    for (pair, [from_caller, from_callee]) in PAIRS.iter().zip(figures) {
        let uri = format!("sip:{}@{}", pair.name, pair.called.0);
        let call = told
            .calls
            .iter()
            .find(|call| call["to_uri"].as_str().unwrap().starts_with(&uri))
            .unwrap();
        assert_eq!(
            (&call["state"], &call["status_code"]),
            (&"ended".into(), &200.into()),
            "{call}"
        );
        let streams = with(&told.streams, "call_id", call["call_id"].as_str().unwrap());
        assert_eq!(streams.len(), 2, "{}: {streams:?}", pair.name);
        for (src, dropped) in [(CALLER, from_caller), (pair.called.0, from_callee)] {
            let src = format!("{src}:");
            let stream = streams
                .iter()
                .find(|stream| stream["src"].as_str().unwrap().starts_with(&src))
                .unwrap();
            let (codec, clock_rate) = pair.heard;
            assert_eq!(
                (&stream["codec"], &stream["clock_rate"]),
                (&codec.into(), &clock_rate.into()),
                "{stream}"
            );
            let figures = |key: &str| stream[key].as_u64().unwrap();
            let Figures { matched, dropped: gone } = dropped;
            assert_eq!(gone, matched / u64::from(EVERY), "nftables has dropped one in twenty");
            assert_eq!(figures("packets"), matched - gone, "{}: {stream}", pair.name);
            assert_eq!(
                figures("lost"),
                dropped.dropped_within(EVERY.into()),
                "{}: {stream}",
                pair.name
            );
            assert_eq!(figures("expected"), figures("packets") + figures("lost"), "{stream}");
            assert_eq!((figures("reordered"), figures("duplicates")), (0, 0), "{stream}");
        }
    }
}
