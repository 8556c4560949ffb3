//! Calls through Kamailio as a record-routing proxy. siphon sees every message twice, before the proxy and behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use xtask::lab::baresip::{self, Baresip, Codec, Telephone};
use xtask::lab::kamailio::{Kamailio, Media};
use xtask::lab::loss::{Loss, Place};
use xtask::lab::mirror::{CALLEE, CALLER, MIDDLE};
use xtask::lab::process::wait_for;
use xtask::lab::sipp::{Calls, Kind, Telephones, Transport};
use xtask::lab::{require, tshark};

use super::run::{LIMIT, Run, Told, needs, with};

#[test]
fn a_call_at_both_hops_of_a_proxy_is_one_call() {
    if !require(
        "a_call_at_both_hops_of_a_proxy_is_one_call",
        &needs(&["sipp", "kamailio"]),
    ) {
        return;
    }
    let run = Run::start();
    let proxy = run.network.plug("proxy").unwrap();
    let kamailio = Kamailio::start(&proxy, Media::Direct).unwrap();
    let mut telephones = Telephones::start(&run.network, Duration::from_secs(1))
        .unwrap()
        .through(MIDDLE);
    let callers: Vec<_> = [
        (Kind::Answered, Transport::Udp, 20),
        (Kind::Answered, Transport::Tcp, 10),
        (Kind::Busy, Transport::Udp, 4),
        (Kind::Cancelled, Transport::Udp, 3),
        (Kind::Forbidden, Transport::Udp, 2),
    ]
    .into_iter()
    .map(|(kind, transport, count)| {
        let calls = Calls {
            kind,
            transport,
            count,
            rate: 10,
        };
        telephones.call(calls).unwrap()
    })
    .collect();
    for caller in callers {
        caller.finish().unwrap();
    }
    let packets = u64::from(telephones.packets_per_stream());
    drop((telephones, kamailio, proxy));
    let told = run.finish();

    assert_eq!(told.calls.len(), 39);
    let states = ["ended", "failed", "cancelled"].map(|state| with(&told.calls, "state", state).len());
    assert_eq!(states, [30, 6, 3]);
    // Each is the caller's call to the proxy, not the proxy's to the called side.
    let (caller, proxy) = (format!("{CALLER}:"), format!("{MIDDLE}:5060"));
    for call in &told.calls {
        assert!(call["src"].as_str().unwrap().starts_with(&caller), "{call}");
        assert_eq!(call["dst"], proxy.as_str(), "{call}");
        // The second sight is the second hop, and neither a loop nor a spiral.
        assert_eq!(call["hops"], 2, "{call}");
        assert_eq!((call.get("looped"), call.get("spiral")), (None, None), "{call}");
    }
    // Both hops are there: every INVITE twice, every call's BYE twice.
    assert_eq!(told.tshark.requests["INVITE"], 2 * (39 + 2));
    assert_eq!(told.tshark.requests["BYE"], 2 * 30);
    assert_eq!(told.sip["requests"]["INVITE"], 2 * (39 + 2));
    // Media goes from end to end, and every stream is its call's.
    assert_eq!(told.streams.len(), 60);
    let calls: BTreeSet<_> = with(&told.calls, "state", "ended")
        .iter()
        .map(|call| &call["call_id"])
        .map(|id| id.as_str().unwrap())
        .collect();
    for stream in &told.streams {
        assert_eq!(stream["packets"], packets, "{stream}");
        assert!(calls.contains(stream["call_id"].as_str().unwrap()), "{stream}");
    }
}

#[test]
fn a_telephone_that_has_registered_is_called_through_the_proxy() {
    let mut programs = needs(&["kamailio", "baresip"]);
    programs.push(baresip::need());
    if !require("a_telephone_that_has_registered_is_called_through_the_proxy", &programs) {
        return;
    }
    let run = Run::start();
    let proxy = run.network.plug("proxy").unwrap();
    let kamailio = Kamailio::start(&proxy, Media::Direct).unwrap();
    let (caller, callee) = (&run.network.caller, &run.network.callee);
    let telephone = |user, address| Telephone {
        user,
        address,
        port: 6_070,
        media_ports: 20_000..=20_009,
        codec: Codec::Pcma,
        media: baresip::Media::Plain,
        registrar: Some(MIDDLE),
    };
    let called = telephone("callee", CALLEE);
    let answering = Baresip::answer(callee, &called).unwrap();
    let calling = Baresip::call(caller, &telephone("caller", CALLER), &called.uri()).unwrap();
    let before = run.network.mirrored().unwrap().frames;
    wait_for("media", LIMIT, || {
        std::thread::sleep(Duration::from_millis(100));
        Ok((run.network.mirrored()?.frames >= before + 2 * 50).then_some(()))
    })
    .unwrap();
    calling.hang_up().unwrap();
    answering.hang_up().unwrap();
    drop((kamailio, proxy));
    let told = run.finish();

    let call = &told.calls[0];
    assert_eq!((told.calls.len(), &call["state"]), (1, &"ended".into()), "{call}");
    assert_eq!(told.streams.len(), 2);
    assert!(told.streams.iter().all(|stream| stream["call_id"] == call["call_id"]));
    // Each has registered, and given its registration back when it ended.
    let registrations: BTreeMap<_, _> = told
        .registrations
        .iter()
        .map(|registration| (registration["aor"].as_str().unwrap(), &registration["state"]))
        .collect();
    let [caller, callee] = ["caller", "callee"].map(|user| format!("sip:{user}@{MIDDLE}"));
    let gone = Value::from("unregistered");
    assert_eq!(
        registrations,
        BTreeMap::from([(caller.as_str(), &gone), (callee.as_str(), &gone)])
    );
}

#[test]
fn what_is_sent_again_is_the_same_call() {
    if !require(
        "what_is_sent_again_is_the_same_call",
        &needs(&["sipp", "kamailio", "nft"]),
    ) {
        return;
    }
    let run = Run::start();
    let proxy = run.network.plug("proxy").unwrap();
    let kamailio = Kamailio::start(&proxy, Media::Direct).unwrap();
    // Both hosts do not receive what siphon has seen on its way to them: requests one in five, responses one in seven.
    let losses = [(&run.network.callee, "dport", 5), (&run.network.caller, "sport", 7)].map(|(host, key, every)| {
        Loss::start(host, "sip", Place::AfterMirror, &format!("udp {key} 5060"), every).unwrap()
    });
    let mut telephones = Telephones::start(&run.network, Duration::from_millis(500))
        .unwrap()
        .through(MIDDLE);
    let calls = Calls {
        kind: Kind::Answered,
        transport: Transport::Udp,
        count: 10,
        rate: 10,
    };
    telephones.call(calls).unwrap().finish().unwrap();
    let dropped: u64 = losses.iter().map(|loss| loss.figures().unwrap().dropped).sum();
    drop((losses, telephones, kamailio, proxy));
    let told = run.finish();

    assert!(dropped >= 5, "{dropped}");
    let [invites, byes] = ["INVITE", "BYE"].map(|method| told.tshark.requests[method]);
    assert!(invites > 2 * 10 && byes > 2 * 10, "{:?}", told.tshark.requests);
    assert_eq!(told.calls.len(), 10);
    assert_eq!(with(&told.calls, "state", "ended").len(), 10);
    for stream in &told.streams {
        assert!(
            told.calls.iter().any(|call| call["call_id"] == stream["call_id"]),
            "{stream}"
        );
    }
    let again: u64 = told
        .calls
        .iter()
        .filter_map(|call| call["retransmissions"].as_u64())
        .sum();
    assert!(again > 0, "{:?}", told.calls);
    set_up_between_the_hops(&told, 10);
}

/// The set-up of a call lasts from the caller's INVITE until the answer reaches the caller, and the called side has given it
/// before: by tshark's times, siphon's is not shorter than the one and not longer than the other.
fn set_up_between_the_hops(told: &Told, answered: usize) {
    /// Far less than a microsecond, the unit of the file's times, and more than a double loses.
    const NOTHING: f64 = 1e-4;
    let messages = tshark::messages(&told.witness).unwrap();
    let [caller, callee, proxy] = [CALLER, CALLEE, MIDDLE].map(|host| host.to_string());
    let mut compared = 0;
    for call in told.replayed["calls"].as_array().unwrap() {
        let Some(setup) = call["setup_ms"].as_f64() else {
            continue;
        };
        let first = |src: &str, dst: &str, status: Option<u16>| {
            let hop = messages
                .iter()
                .filter(|message| (message.src.as_str(), message.dst.as_str()) == (src, dst));
            let about = hop.filter(|message| call["call_id"] == message.call_id.as_str() && message.about == "INVITE");
            about
                .filter(|message| message.status == status)
                .map(|message| message.time)
                .min()
                .unwrap()
        };
        let begin = first(&caller, &proxy, None);
        let [given, reached] =
            [(&callee, &proxy), (&proxy, &caller)].map(|(src, dst)| (first(src, dst, Some(200)) - begin) as f64 / 1e6);
        assert!(
            (given - NOTHING..=reached + NOTHING).contains(&setup),
            "{given} {setup} {reached}: {call}"
        );
        compared += 1;
    }
    assert_eq!(compared, answered);
}
