//! Calls whose media goes through rtpengine, beside the Kamailio that rewrites the SDP: each has two streams before the relay
//! and two behind it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use xtask::lab::kamailio::{Kamailio, Media};
use xtask::lab::mirror::{CALLEE, CALLER, MIDDLE};
use xtask::lab::require;
use xtask::lab::rtpengine::{PORTS, Rtpengine};
use xtask::lab::sipp::{Calls, Kind, Telephones, Transport};

use super::run::{Run, needs, with};

/// Host and port.
fn endpoint(stream: &Value, key: &str) -> (String, u16) {
    let (host, port) = stream[key].as_str().unwrap().rsplit_once(':').unwrap();
    (host.to_owned(), port.parse().unwrap())
}

#[test]
fn both_legs_of_a_relayed_call_are_its_streams() {
    if !require(
        "both_legs_of_a_relayed_call_are_its_streams",
        &needs(&["sipp", "kamailio", "rtpengine"]),
    ) {
        return;
    }
    let run = Run::start();
    let proxy = run.network.plug("proxy").unwrap();
    let rtpengine = Rtpengine::start(&proxy).unwrap();
    let kamailio = Kamailio::start(&proxy, Media::Relayed).unwrap();
    let mut telephones = Telephones::start(&run.network, Duration::from_secs(2))
        .unwrap()
        .through(MIDDLE);
    let callers = [
        (Kind::Answered, Transport::Udp, 8),
        (Kind::Answered, Transport::Tcp, 4),
        (Kind::Busy, Transport::Udp, 2),
    ]
    .map(|(kind, transport, count)| {
        let calls = Calls {
            kind,
            transport,
            count,
            rate: 8,
        };
        telephones.call(calls).unwrap()
    });
    for caller in callers {
        caller.finish().unwrap();
    }
    let packets = u64::from(telephones.packets_per_stream());
    drop((telephones, kamailio, rtpengine, proxy));
    let told = run.finish();

    let answered = with(&told.calls, "state", "ended");
    assert_eq!((told.calls.len(), answered.len()), (14, 12));
    assert_eq!(told.streams.len(), 12 * 4);
    let hosts = [CALLER, CALLEE, MIDDLE].map(|host| host.to_string());
    let [caller, callee, relay] = hosts.each_ref().map(String::as_str);
    for call in answered {
        let streams = with(&told.streams, "call_id", call["call_id"].as_str().unwrap());
        // By the way they take; the relay's end has one of its own ports.
        let ways: BTreeMap<(String, String), &Value> = streams
            .iter()
            .map(|stream| {
                let (src, dst) = (endpoint(stream, "src"), endpoint(stream, "dst"));
                for (host, port) in [&src, &dst] {
                    assert_eq!(host == relay, PORTS.contains(port), "{stream}");
                }
                ((src.0, dst.0), *stream)
            })
            .collect();
        assert_eq!((streams.len(), ways.len()), (4, 4), "{streams:?}");
        let way = |src: &str, dst: &str| ways[&(src.to_owned(), dst.to_owned())];
        for (src, dst) in [(caller, callee), (callee, caller)] {
            let (before, behind) = (way(src, relay), way(relay, dst));
            // The relay passes on what it gets, and does not mix: packet for packet, with the SSRC of the talker.
            assert_eq!(before["ssrc"], behind["ssrc"]);
            for stream in [before, behind] {
                assert_eq!(
                    (&stream["packets"], &stream["lost"]),
                    (&packets.into(), &0.into()),
                    "{stream}"
                );
            }
        }
    }
}
