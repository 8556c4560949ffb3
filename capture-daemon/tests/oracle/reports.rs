//! RTCP and keys pressed: siphon and tshark on the same file. Packets by type; for each stream the reports about it, with their
//! figures; round trips; telephone events and INFO requests.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use capture_daemon::config::{Config, Digits, Privacy};
use capture_daemon::replay::replay;
use capture_daemon::report::{DigitSource, Document};
use xtask::lab::{Need, require};

use super::captures;

/// SSRC, source and destination of a stream, ports even.
type Key = (String, String, String);

/// What reports say of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
struct Said {
    sender_reports: u64,
    /// Packets and octets of the last.
    sent: [u32; 2],
    blocks: u64,
    /// 256ths.
    fraction_lost_max: u64,
    /// Of the last block.
    cumulative_lost: i64,
    highest_seq: u32,
    jitter_max: u64,
    cname: Option<String>,
    goodbye: bool,
    round_trips: u64,
}

/// Milliseconds that tshark's round trips may be longer: it cuts DLSR to whole milliseconds and rounds the time between up.
const ROUND_TRIP_MS: f64 = 2.0;

fn document(file: &Path) -> Document {
    let mut config = Config {
        privacy: Privacy { dtmf: Digits::Shown },
        ..Config::default()
    };
    // Behind a relay nothing but the media itself says that it is media.
    config.follow.rtp_without_sip = true;
    let replayed = replay(&[file.to_owned()], &config);
    assert!(replayed.errors.is_empty(), "{:?}", replayed.errors);
    replayed.document
}

/// Lines of `fields` for the frames that pass `filter`: each field's values.
fn tshark(file: &Path, filter: &str, fields: &[&str]) -> Vec<Vec<Vec<String>>> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-2", "-o", "rtcp.show_roundtrip_calculation:TRUE"]);
    command.args(["-o", "rtcp.roundtrip_min_threshhold:0", "-r"]).arg(file);
    command.args(["-Y", filter, "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=|"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let values = |field: &str| -> Vec<String> {
        let values = field.split('|').filter(|value| !value.is_empty());
        values.map(str::to_owned).collect()
    };
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| line.split('\t').map(values).collect())
        .collect()
}

/// The innermost address and port, the port even.
fn end(addresses: &[&[String]], ports: &[String]) -> String {
    let address = addresses.iter().find_map(|field| field.last()).unwrap();
    let port = ports.last().unwrap().parse::<u16>().unwrap() & !1;
    if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

/// Packets by type, what is said by stream, round trips in milliseconds.
type Theirs = (BTreeMap<String, u64>, BTreeMap<Key, Said>, Vec<f64>);

fn theirs(file: &Path) -> Theirs {
    let fields = [
        "ip.src",
        "ipv6.src",
        "ip.dst",
        "ipv6.dst",
        "udp.srcport",
        "udp.dstport",
        "rtcp.pt",
        "rtcp.senderssrc",
        "rtcp.ssrc.identifier",
        "rtcp.ssrc.fraction",
        "rtcp.ssrc.cum_nr",
        "rtcp.ssrc.ext_high",
        "rtcp.ssrc.jitter",
        "rtcp.sender.packetcount",
        "rtcp.sender.octetcount",
        "rtcp.sdes.text",
        "rtcp.roundtrip-delay",
    ];
    let names = BTreeMap::from([("200", "sr"), ("201", "rr"), ("202", "sdes"), ("203", "bye")]);
    let (mut packets, mut said, mut trips) = (BTreeMap::new(), BTreeMap::<Key, Said>::new(), Vec::new());
    for line in tshark(file, "rtcp", &fields) {
        let [
            ip_src,
            ip6_src,
            ip_dst,
            ip6_dst,
            src,
            dst,
            types,
            senders,
            about,
            fraction,
            lost,
            highest,
            jitter,
            sent,
            octets,
            text,
            trip,
        ] = line.as_slice()
        else {
            panic!("{line:?}")
        };
        let (src, dst) = (end(&[ip6_src, ip_src], src), end(&[ip6_dst, ip_dst], dst));
        for packet_type in types {
            *packets.entry(names[packet_type.as_str()].to_owned()).or_default() += 1;
        }
        let here = |ssrc: &String| (ssrc.clone(), src.clone(), dst.clone());
        let back = |ssrc: &String| (ssrc.clone(), dst.clone(), src.clone());
        if let (Some(sender), [sent], [octets]) = (senders.first(), sent.as_slice(), octets.as_slice()) {
            let said = said.entry(here(sender)).or_default();
            said.sender_reports += 1;
            said.sent = [number(sent), number(octets)];
        }
        for (block, fraction) in fraction.iter().enumerate() {
            // What a source says of itself is nobody's reception.
            if about[block] == senders[0] {
                continue;
            }
            let said = said.entry(back(&about[block])).or_default();
            said.blocks += 1;
            said.fraction_lost_max = said.fraction_lost_max.max(number(fraction));
            said.cumulative_lost = number(&lost[block]);
            said.highest_seq = number(&highest[block]);
            said.jitter_max = said.jitter_max.max(number(&jitter[block]));
            if let Some(trip) = trip.get(block) {
                said.round_trips += 1;
                trips.push(number(trip));
            }
        }
        // Chunks and goodbyes come behind the blocks, and each of these captures has one at most.
        let source = about.get(fraction.len());
        if let (Some(source), [name]) = (source, text.as_slice()) {
            said.entry(here(source)).or_default().cname.get_or_insert(name.clone());
        }
        if types.contains(&"203".to_owned()) {
            said.entry(here(source.unwrap())).or_default().goodbye = true;
        }
    }
    (packets, said, trips)
}

fn ours(document: &Document) -> BTreeMap<Key, Said> {
    let even = |end: &str| {
        let (address, port) = end.rsplit_once(':').unwrap();
        format!("{address}:{}", number::<u16>(port) & !1)
    };
    let with_rtcp = document
        .streams
        .iter()
        .filter_map(|stream| Some((stream, stream.rtcp.as_deref()?)));
    with_rtcp
        .map(|(stream, rtcp)| {
            let key = (stream.ssrc.clone(), even(&stream.src), even(&stream.dst));
            let mut said = Said {
                cname: rtcp.cname.clone(),
                goodbye: rtcp.goodbye.is_some(),
                ..Said::default()
            };
            if let Some(sender) = &rtcp.sender {
                said.sender_reports = sender.reports;
                said.sent = [sender.packets, sender.octets];
            }
            if let Some(receiver) = &rtcp.receiver {
                let units = receiver.jitter_max_ms.unwrap() * f64::from(stream.clock_rate.unwrap()) / 1e3;
                said.blocks = receiver.reports;
                said.fraction_lost_max = (receiver.fraction_lost_max * 256.0) as u64;
                said.cumulative_lost = i64::from(receiver.cumulative_lost);
                said.highest_seq = receiver.highest_seq;
                said.jitter_max = units.round() as u64;
            }
            let measured = rtcp.round_trip.as_ref().and_then(|trip| trip.receiver);
            said.round_trips = measured.map_or(0, |spread| spread.count);
            (key, said)
        })
        .collect()
}

/// Holds a capture against tshark, after `differs` has taken out of tshark's figures what is known to differ.
fn check(test: &str, name: &str, differs: impl FnOnce(&mut Theirs)) {
    let Some(file) = captures::foreign(test, name) else {
        return;
    };
    if !require(test, &[Need::Program("tshark")]) {
        return;
    }
    let document = document(&file);
    let mut theirs = theirs(&file);
    differs(&mut theirs);
    let (packets, said, mut trips) = theirs;
    let ours = ours(&document);
    assert!(!ours.is_empty());
    assert_eq!(document.rtcp.packets, packets);
    assert_eq!(ours, said);
    assert_eq!(document.rtcp.malformed, BTreeMap::new());
    let spreads = document
        .streams
        .iter()
        .filter_map(|stream| stream.rtcp.as_ref()?.round_trip.as_ref()?.receiver);
    let (mut longest, mut count) = (0.0_f64, 0);
    for spread in spreads {
        longest = longest.max(spread.max_ms);
        count += spread.count;
    }
    trips.sort_by(f64::total_cmp);
    assert_eq!(count, trips.len() as u64);
    if let Some(theirs) = trips.last() {
        let longer = theirs - longest;
        assert!((0.0..=ROUND_TRIP_MS).contains(&longer), "{longest} ms, and {theirs} ms");
    }
}

#[test]
fn reports_inside_gtp_and_a_goodbye_alone() {
    check(
        "reports::reports_inside_gtp_and_a_goodbye_alone",
        "gtp-iphone.pcap",
        |_| (),
    );
}

#[test]
fn reports_beside_sip_over_tcp() {
    check("reports::reports_beside_sip_over_tcp", "sip-over-tcp.pcap", |_| ());
}

#[test]
fn reports_through_a_relay() {
    check(
        "reports::reports_through_a_relay",
        "sip-call-rtp-g711.pcap",
        |(packets, said, _)| {
            // Two compounds (frames 531 and 2646) end with two odd octets. Where no SDP named the ports tshark refuses them; before
            // the relay it reads the same compounds (529, 2644).
            let leg = |said: &BTreeMap<Key, Said>, src: &str| {
                let key = said.keys().find(|(ssrc, from, _)| ssrc == "0xd2bd4e3e" && from == src);
                key.unwrap().clone()
            };
            let (before, behind) = (leg(said, "200.57.7.204:8000"), leg(said, "200.57.7.196:40378"));
            let whole = said[&before].clone();
            let read = said.get_mut(&behind).unwrap();
            assert_eq!(read.sender_reports + 2, whole.sender_reports);
            (read.sender_reports, read.cname) = (whole.sender_reports, whole.cname);
            for packet_type in ["sr", "rr", "sdes"] {
                *packets.get_mut(packet_type).unwrap() += 2;
            }
            let reported = said
                .keys()
                .find(|(ssrc, from, _)| ssrc == "0x58f33dea" && from == "200.57.7.199:4800");
            let reported = reported.unwrap().clone();
            said.get_mut(&reported).unwrap().blocks += 2;
            // The first report is about an SSRC of 0, before anything was received: about no stream.
            said.retain(|(ssrc, ..), _| ssrc != "0x00000000");
        },
    );
}

#[test]
fn telephone_events() {
    let test = "reports::telephone_events";
    let Some(file) = captures::foreign(test, "SIP_DTMF2.cap") else {
        return;
    };
    if !require(test, &[Need::Program("tshark")]) {
        return;
    }
    let fields = ["ip.src", "rtp.timestamp", "rtpevent.event_id", "rtpevent.duration"];
    // Events by source and RTP timestamp: code and longest duration.
    let mut events = BTreeMap::<(String, u32), (u64, u64)>::new();
    for line in tshark(&file, "rtpevent", &fields) {
        let [src, timestamp, code, duration] = [0, 1, 2, 3].map(|field| line[field][0].clone());
        let event = events.entry((src, number(&timestamp))).or_default();
        *event = (number(&code), event.1.max(number(&duration)));
    }
    let document = document(&file);
    let digits: Vec<_> = document
        .calls
        .iter()
        .filter_map(|call| call.dtmf.as_ref())
        .flat_map(|dtmf| &dtmf.digits)
        .collect();
    let ours: BTreeMap<(String, u32), (u64, u64)> = digits
        .iter()
        .map(|digit| {
            let address = digit.src.rsplit_once(':').unwrap().0.to_owned();
            // 8000 units in a second.
            let duration = (digit.duration_ms.unwrap() * 8.0).round() as u64;
            ((address, digit.timestamp.unwrap()), (number(&digit.digit), duration))
        })
        .collect();
    assert_eq!(digits.len(), events.len());
    assert_eq!(ours, events);
}

#[test]
fn info_requests() {
    let test = "reports::info_requests";
    let Some(file) = captures::foreign(test, "DTMFsipinfo.pcap") else {
        return;
    };
    if !require(test, &[Need::Program("tshark")]) {
        return;
    }
    // The lines of the body among other text: `Signal= 1`.
    let requests = tshark(&file, "sip.Method == \"INFO\"", &["text"]);
    let theirs: Vec<String> = requests
        .iter()
        .flat_map(|fields| fields[0].iter().filter_map(|text| text.strip_prefix("Signal=")))
        .map(|signal| signal.trim_start().chars().take(1).collect())
        .collect();
    let document = document(&file);
    let digits: Vec<_> = document
        .calls
        .iter()
        .filter_map(|call| call.dtmf.as_ref())
        .flat_map(|dtmf| &dtmf.digits)
        .collect();
    assert!(
        digits
            .iter()
            .all(|digit| digit.source == DigitSource::Info && digit.duration_ms == Some(180.0))
    );
    let ours: Vec<&str> = digits.iter().map(|digit| digit.digit.as_str()).collect();
    assert_eq!((ours.len(), ours), (4, theirs.iter().map(String::as_str).collect()));
}

/// A pcap file of one INVITE and one INFO with the key 7.
fn file_with_a_key() -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    for (method, second, body) in [("INVITE", 1_u32, ""), ("INFO", 2, "Signal=7\r\nDuration=160\r\n")] {
        let message = format!(
            "{method} sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{second}\r\nFrom: <sip:a@x>;tag=1\r\n\
             To: <sip:b@x>\r\nCall-ID: one\r\nCSeq: {second} {method}\r\nContent-Type: application/dtmf-relay\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let udp = 8 + message.len() as u16;
        let mut packet = vec![0x45, 0];
        packet.extend((20 + udp).to_be_bytes());
        packet.extend([
            0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0x13, 0xc4, 0x13, 0xc4,
        ]);
        packet.extend(udp.to_be_bytes());
        packet.extend([0, 0]);
        packet.extend(message.as_bytes());
        for word in [second, 0, packet.len() as u32, packet.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}

#[test]
fn keys_are_masked_unless_the_configuration_shows_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pcap");
    std::fs::write(&file, file_with_a_key()).unwrap();
    let told = |text: &str| {
        let config = capture_daemon::config::parse(text).unwrap();
        let replayed = replay(std::slice::from_ref(&file), &config);
        let dtmf = replayed.document.calls[0].dtmf.clone().unwrap();
        (dtmf.masked, dtmf.digits[0].digit.clone())
    };
    for masked in ["", "[privacy]\ndtmf = \"masked\""] {
        assert_eq!(told(masked), (true, "*".to_owned()));
    }
    assert_eq!(told("[privacy]\ndtmf = \"shown\""), (false, "7".to_owned()));
}
