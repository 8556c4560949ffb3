//! siphon and tshark on the same file: SIP messages by method and status, calls by Call-ID with their final status, RTP
//! streams with packets, loss and jitter. Where they differ stands in [`DIFFERENCES`](super::differences::DIFFERENCES).

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use capture_daemon::config::Config;
use capture_daemon::replay::replay;
use xtask::lab::compare::{Answers, Row, differences};
use xtask::lab::{Need, require, tshark};

use super::captures;
use super::differences::{DIFFERENCES, Difference, Why};

/// One test for each capture, and the list of them.
macro_rules! captures {
    ($kind:ident from $folder:expr; $($test:ident: $file:literal,)+) => {
        mod $kind {
            use super::*;

            const FILES: &[&str] = &[$($file),+];

            $(
                #[test]
                fn $test() {
                    let test = concat!(stringify!($kind), "::", stringify!($test));
                    if let Some(file) = $folder(test, $file) {
                        check(test, $file, &file);
                    }
                }
            )+

            #[test]
            fn every_capture_has_its_test() {
                let test = concat!(stringify!($kind), "::every_capture_has_its_test");
                let Some(folder) = $folder(test, "") else { return };
                let listed: BTreeSet<&str> = FILES.iter().copied().collect();
                let there = captures::names(&folder);
                assert_eq!(there.iter().map(String::as_str).collect::<BTreeSet<_>>(), listed);
            }
        }
    };
}

captures! {
    own from captures::own;
    baresip_loss: "baresip-loss.pcap",
    baresip_opus: "baresip-opus.pcap",
    baresip_srtp: "baresip-srtp.pcap",
    calls_tcp: "calls-tcp.pcap",
    calls_udp: "calls-udp.pcap",
    calls_udp_impaired: "calls-udp-impaired.pcap",
    coturn: "coturn.pcap",
    coturn_refused: "coturn-refused.pcap",
    failures: "failures.pcap",
    kamailio: "kamailio.pcap",
    registrations: "registrations.pcap",
    rtpengine: "rtpengine.pcap",
    websocket: "websocket.pcap",
}

captures! {
    foreign from captures::foreign;
    b2bua_asterisk: "b2bua-asterisk.pcapng",
    codec_negotiation: "codec-negotiation.pcap",
    dtmf_sip_info: "DTMFsipinfo.pcap",
    erspan: "erspan_sip_ipv4_udp.pcapng",
    geneve: "tcpdump-geneve.pcap",
    gre_erspan_vxlan: "gre-erspan-vxlan.pcap",
    gtp_iphone: "gtp-iphone.pcap",
    invite_opus_bye: "invite-opus-bye.pcap",
    ip_fragments: "ip-frag.pcap",
    ipip: "ipip.pcap",
    ipv6_fragments: "ipv6frag.pcap",
    mpls: "mpls-basic.pcap",
    register_invite_reinvite_bye: "register-invite-reinvite-bye.pcap",
    rtp_late: "rtp-60late-500total.pcapng",
    sip_488: "sip-488-codec-reject.pcapng",
    sip_auth_failure: "sip-auth-failure.pcapng",
    sip_dtmf: "SIP_DTMF2.cap",
    sip_ipv4_tcp_retransmissions: "sip_ipv4_tcp_retrans.pcap",
    sip_ipv6: "sip_ipv6_udp.pcap",
    sip_over_tcp: "sip-over-tcp.pcap",
    sip_proxy: "sip-proxy.pcap",
    sip_routing_error: "sip-routing-error.pcapng",
    sip_rtp_g711: "sip-call-rtp-g711.pcap",
    sip_rtp_g722: "sip-rtp-g722.pcap",
    sip_rtp_g729a: "sip-rtp-g729a.pcap",
    sip_websocket: "sip_tcp_websocket.pcap",
    stun_ice: "stun-ice-testcall.pcap",
    turn: "turn.pcap",
    vxlan: "vxlan.pcap",
}

/// Fails for a difference that is not listed, and for a listed one that does not occur.
fn check(test: &str, name: &str, file: &Path) {
    if !require(test, &[Need::Program("tshark")]) {
        return;
    }
    let mut config = Config::default();
    // tshark's heuristic dissector is on.
    config.follow.rtp_without_sip = true;
    let replayed = replay(&[file.to_owned()], &config);
    assert!(replayed.errors.is_empty(), "{:?}", replayed.errors);
    let document = serde_json::to_value(&replayed.document).unwrap();
    let answers = Answers::new(&document["sip"], &document["calls"], &document["streams"]).unwrap();
    let reading = tshark::read_one(file).unwrap();
    assert_eq!(replayed.document.frames, reading.frames);

    let listed: Vec<&Difference> = DIFFERENCES.iter().filter(|listed| listed.file == name).collect();
    let report = unexpected(&differences(&answers, &reading), &listed);
    assert!(report.is_empty(), "{name}: what, siphon, tshark\n{report}");
}

/// What was found and is not listed, and what is listed and was not found.
fn unexpected(found: &[Row], listed: &[&Difference]) -> String {
    let found: Vec<(&str, &str, &str)> = found
        .iter()
        .map(|row| (row.what.as_str(), row.siphon.as_str(), row.tshark.as_str()))
        .collect();
    let mut report = String::new();
    for row in &found {
        if !listed.iter().any(|listed| listed.rows.contains(row)) {
            writeln!(report, "not listed: {row:?}").unwrap();
        }
    }
    for Difference { rows, why, .. } in listed {
        for row in rows.iter().filter(|row| !found.contains(row)) {
            let advice = match why {
                Why::Pending(feature) => format!("has {feature} come?"),
                Why::SiphonIsRight(_) => "one of the two has changed".to_owned(),
            };
            writeln!(report, "listed, and does not occur ({advice}): {row:?}").unwrap();
        }
    }
    report
}

#[test]
fn the_list_is_exact_in_both_directions() {
    const LISTED: Difference = Difference {
        file: "a.pcap",
        why: Why::Pending("PPPoE"),
        rows: &[("INVITE", "0", "2")],
    };
    let row = |siphon: u64| Row::new("INVITE", siphon, 2);
    assert_eq!(unexpected(&[row(0)], &[&LISTED]), "");
    let gone = "listed, and does not occur (has PPPoE come?): (\"INVITE\", \"0\", \"2\")\n";
    assert_eq!(unexpected(&[], &[&LISTED]), gone);
    let unknown = "not listed: (\"INVITE\", \"1\", \"2\")\n";
    assert_eq!(unexpected(&[row(1)], &[&LISTED]), format!("{unknown}{gone}"));
}

#[test]
fn every_difference_is_of_a_capture_and_listed_once() {
    let mut seen = BTreeSet::new();
    for Difference { file, why, rows } in DIFFERENCES {
        let (Why::Pending(reason) | Why::SiphonIsRight(reason)) = why;
        assert!(!reason.is_empty() && !rows.is_empty(), "{file}");
        assert!(file.contains('.'), "{file}");
        for (what, siphon, tshark) in *rows {
            assert_ne!(siphon, tshark, "{file}: {what}");
            assert!(seen.insert((file, what)), "{file}: {what} is listed twice");
        }
    }
}
