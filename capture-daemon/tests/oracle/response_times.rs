//! How long SIP requests took to be answered, method by method, against tshark's `sip.response-time`: as many answers, and
//! the same shortest, mean and longest time to the millisecond tshark gives. What differs is listed, with who is right.

use std::collections::BTreeSet;
use std::path::Path;

use capture_daemon::config::Config;
use capture_daemon::replay::replay;
use xtask::lab::{Need, require, tshark};

use super::captures;

/// File, method, siphon's figures and tshark's: count, shortest, mean and longest in milliseconds. siphon is right in all.
type Difference = (&'static str, &'static str, &'static str, &'static str);

/// tshark measures over UDP only.
const TCP: &[Difference] = &[
    ("calls-tcp.pcap", "BYE", "2 of 0.1 0.1 0.2", "none"),
    ("calls-tcp.pcap", "INVITE", "2 of 107.4 107.6 107.8", "none"),
    ("gtp-iphone.pcap", "BYE", "1 of 67.0 67.0 67.0", "none"),
    ("gtp-iphone.pcap", "INVITE", "1 of 5134.2 5134.2 5134.2", "none"),
    ("gtp-iphone.pcap", "REGISTER", "3 of 19.9 338.6 696.1", "none"),
    ("ipip.pcap", "INVITE", "1 of 1659.6 1659.6 1659.6", "none"),
    ("kamailio.pcap", "BYE", "8 of 0.1 0.3 0.5", "6 of 0 0.0 0"),
    ("rtpengine.pcap", "BYE", "4 of 0.1 0.4 0.9", "2 of 0 0.0 0"),
    (
        "rtpengine.pcap",
        "INVITE",
        "4 of 106.3 109.3 112.2",
        "2 of 106 107.0 108",
    ),
    ("sip-over-tcp.pcap", "BYE", "1 of 31.2 31.2 31.2", "none"),
    ("sip-over-tcp.pcap", "INVITE", "1 of 4343.5 4343.5 4343.5", "none"),
    (
        "sip_ipv4_tcp_retrans.pcap",
        "REGISTER",
        "4 of 0.3 0.5 0.7",
        "2 of 0 0.0 0",
    ),
    ("sip_tcp_websocket.pcap", "BYE", "4 of 4.3 7.2 10.0", "3 of 4 7.7 10"),
    (
        "sip_tcp_websocket.pcap",
        "INVITE",
        "5 of 0.4 7117.1 8931.3",
        "3 of 8862 8885.0 8931",
    ),
    ("websocket.pcap", "BYE", "1 of 0.0 0.0 0.0", "none"),
    ("websocket.pcap", "INVITE", "1 of 8.6 8.6 8.6", "none"),
    ("websocket.pcap", "REGISTER", "2 of 2.3 2.3 2.3", "none"),
];

/// tshark has no times for CANCEL, and where one was sent it measures the INVITE from the CANCEL. One of the INVITEs of
/// failures.pcap, and two of kamailio.pcap, went over TCP.
const CANCEL: &[Difference] = &[
    ("DTMFsipinfo.pcap", "CANCEL", "2 of 86.1 88.9 91.7", "none"),
    (
        "DTMFsipinfo.pcap",
        "INVITE",
        "5 of 89.7 149.6 278.2",
        "5 of 17 134.0 278",
    ),
    ("failures.pcap", "CANCEL", "2 of 0.1 0.1 0.1", "none"),
    ("failures.pcap", "INVITE", "9 of 0.1 69.8 311.4", "8 of 0 1.2 3"),
    ("kamailio.pcap", "CANCEL", "2 of 0.1 0.2 0.3", "none"),
    ("kamailio.pcap", "INVITE", "16 of 0.0 267.3 567.3", "14 of 0 245.2 568"),
];

/// tshark follows one INVITE for each Call-ID and CSeq, and loses it where a proxy sends it on.
const PROXIED: &[Difference] = &[
    ("SIP_DTMF2.cap", "INVITE", "3 of 17.1 1550.4 2341.2", "1 of 17 17.0 17"),
    ("ipv6frag.pcap", "INVITE", "2 of 3619.9 4112.2 4604.6", "none"),
];

/// The frames of this capture are years apart, which are more milliseconds than tshark's 32 bits hold.
const YEARS: &[Difference] = &[
    (
        "sip_ipv6_udp.pcap",
        "BYE",
        "1 of 652075650000.0 652075650000.0 652075650000.0",
        "1 of 3535588304 3535588304.0 3535588304",
    ),
    (
        "sip_ipv6_udp.pcap",
        "INVITE",
        "1 of 201412350000.0 201412350000.0 201412350000.0",
        "1 of 3843854384 3843854384.0 3843854384",
    ),
];

/// What differs of one file, and how many methods were compared.
fn differing(name: &str, file: &Path) -> (BTreeSet<[String; 4]>, usize) {
    let replayed = replay(&[file.to_owned()], &Config::default());
    let siphon = replayed.document.signaling.transactions;
    let tshark = tshark::response_times(file).unwrap();
    let methods: BTreeSet<&String> = siphon.keys().chain(tshark.keys()).collect();
    let mut differing = BTreeSet::new();
    let mut compared = 0;
    for method in methods {
        let ours = siphon.get(method).and_then(|of| of.response_time.as_ref());
        let theirs = tshark.get(method).map(Vec::as_slice).unwrap_or_default();
        let mean = theirs.iter().sum::<u64>() as f64 / theirs.len().max(1) as f64;
        let ends = theirs.first().zip(theirs.last());
        compared += usize::from(ours.is_some() && ends.is_some());
        let equal = match (ours, ends) {
            (None, None) => true,
            (Some(ours), Some((least, most))) => {
                let near = |ours: f64, theirs: f64| (ours - theirs).abs() <= 1.0;
                ours.count == theirs.len() as u64
                    && near(ours.min_ms, *least as f64)
                    && near(ours.mean_ms, mean)
                    && near(ours.max_ms, *most as f64)
            }
            _ => false,
        };
        if !equal {
            let none = || "none".to_owned();
            let ours = ours.map_or_else(none, |ours| {
                format!(
                    "{} of {:.1} {:.1} {:.1}",
                    ours.count, ours.min_ms, ours.mean_ms, ours.max_ms
                )
            });
            let theirs = ends.map_or_else(none, |(least, most)| {
                format!("{} of {least} {mean:.1} {most}", theirs.len())
            });
            differing.insert([name.to_owned(), method.clone(), ours, theirs]);
        }
    }
    (differing, compared)
}

/// Every capture of a folder; at least `least` methods have figures on both sides.
fn check(test: &str, folder: &Path, least: usize) {
    if !require(test, &[Need::Program("tshark")]) {
        return;
    }
    let names = captures::names(folder);
    let mut found = BTreeSet::new();
    let mut compared = 0;
    for name in &names {
        let (differing, methods) = differing(name, &folder.join(name));
        found.extend(differing);
        compared += methods;
    }
    let listed: BTreeSet<[String; 4]> = [TCP, CANCEL, PROXIED, YEARS]
        .into_iter()
        .flatten()
        .filter(|(file, ..)| names.iter().any(|name| name == file))
        .map(|(file, method, ours, theirs)| [*file, *method, *ours, *theirs].map(str::to_owned))
        .collect();
    let unknown: Vec<_> = found.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(
        unknown.is_empty() && gone.is_empty(),
        "not listed: {unknown:#?}\nlisted, but not so: {gone:#?}"
    );
    assert!(compared >= least, "only {compared} methods were compared");
}

#[test]
fn own_captures() {
    check("response_times::own_captures", &captures::own("", "").unwrap(), 5);
}

#[test]
fn foreign_captures() {
    let test = "response_times::foreign_captures";
    if let Some(folder) = captures::foreign(test, "") {
        check(test, &folder, 35);
    }
}
