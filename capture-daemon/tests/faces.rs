//! What is measured of a call and its streams has three faces: `siphon replay --json`, the text of `siphon call`, and `/metrics`. A call in which
//! everything happens is played, and whatever it was must be seen in all three.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line that was wrong"
)]

mod sample;

use std::sync::Arc;

use capture_daemon::cli::{Form, Style, call};
use capture_daemon::config::{Capture, Follow};
use capture_daemon::control::Status;
use capture_daemon::engine::{Engine, Shared, document};
use capture_daemon::frame::{Frame, LinkType};
use capture_daemon::metrics::Exporter;
use capture_daemon::report::{CallFlow, Document};
use capture_daemon::time::Timestamp;
use serde_json::{Value, json};

const CALLER: [u8; 4] = [192, 0, 2, 1];
const CALLEE: [u8; 4] = [192, 0, 2, 2];
const MILLISECOND: u64 = 1_000_000;

/// Frames with their times in nanoseconds.
#[derive(Default)]
struct Wire(Vec<(u64, Vec<u8>)>);

impl Wire {
    fn udp(&mut self, ms: u64, (src, from): ([u8; 4], u16), (dst, to): ([u8; 4], u16), payload: &[u8]) {
        let len = |more: usize| ((payload.len() + more) as u16).to_be_bytes();
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
        frame.extend(len(28));
        frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
        frame.extend([src, dst].concat());
        frame.extend([from, to].map(u16::to_be_bytes).concat());
        frame.extend(len(8));
        frame.extend([0, 0]);
        frame.extend(payload);
        self.0.push((ms * MILLISECOND, frame));
    }

    /// A SIP message of the call `of`, from the caller or from the callee; `rest` is further header fields and the body.
    #[expect(clippy::too_many_arguments, reason = "a message has so many parts")]
    fn sip(&mut self, ms: u64, of: &str, from_caller: bool, start: &str, cseq: &str, to_tag: &str, rest: &str) {
        // Requests of the callee's are none of this call: From is the caller throughout.
        let to_tag = if to_tag.is_empty() {
            String::new()
        } else {
            format!(";tag={to_tag}")
        };
        let (head, body) = rest.split_once("\r\n\r\n").unwrap_or((rest, ""));
        let head = if head.is_empty() {
            String::new()
        } else {
            format!("{head}\r\n")
        };
        let text = format!(
            "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK-{of}-{}\r\nFrom: <sip:a@x>;tag=caller\r\nTo: <sip:b@x>{to_tag}\r\n\
             Call-ID: {of}\r\nCSeq: {cseq}\r\n{head}Content-Length: {}\r\n\r\n{body}",
            cseq.replace(' ', ""),
            body.len()
        );
        let (caller, callee) = ((CALLER, 5060), (CALLEE, 5060));
        let (src, dst) = if from_caller {
            (caller, callee)
        } else {
            (callee, caller)
        };
        self.udp(ms, src, dst, text.as_bytes());
    }

    /// A packet of the stream from `from` to `to`.
    fn rtp(&mut self, ms: u64, ports: (u16, u16), second: u8, (seq, timestamp, ssrc): (u16, u32, u32), payload: &[u8]) {
        let caller_sends = ports.0 < 30_000;
        let (src, dst) = if caller_sends {
            (CALLER, CALLEE)
        } else {
            (CALLEE, CALLER)
        };
        let packet = [
            &[0x80, second][..],
            &seq.to_be_bytes(),
            &timestamp.to_be_bytes(),
            &ssrc.to_be_bytes(),
            payload,
        ]
        .concat();
        self.udp(ms, (src, ports.0), (dst, ports.1), &packet);
    }
}

fn sdp(host: [u8; 4], port: u16, protocol: &str, more: &str) -> String {
    let [a, b, c, d] = host;
    format!(
        "Content-Type: application/sdp\r\n\r\nv=0\r\no=- 1 1 IN IP4 {a}.{b}.{c}.{d}\r\ns=-\r\nc=IN IP4 {a}.{b}.{c}.{d}\r\nt=0 0\r\n\
         m=audio {port} {protocol} 0 8 13 101\r\na=rtpmap:101 telephone-event/8000\r\n{more}"
    )
}

/// The media of the caller: everything that can happen to a stream, one after another.
fn everything(wire: &mut Wire) {
    const SSRC: u32 = 0xaaaa;
    let ports = (20_000, 30_000);
    let at = |number: u64| 1_000 + 20 * number;
    let voice = |wire: &mut Wire, number: u64, late: u64, second: u8| {
        let header = (number as u16, number as u32 * 160, SSRC);
        wire.rtp(at(number) + late, ports, second, header, &[0x55; 160]);
    };
    for number in 0..300 {
        match number {
            // A burst, and a loss by itself.
            50 | 52 | 54 | 120 => {}
            // Too late for a buffer of 50 ms and below the highest number.
            80 => voice(wire, number, 130, 0),
            90 => (0..2).for_each(|_| voice(wire, number, 0, 0)),
            // Another codec, and one that nobody announced.
            200..250 => voice(wire, number, 0, 8),
            260..262 => voice(wire, number, 0, 3),
            _ => voice(wire, number, 0, 0),
        }
    }
    // A key, in three packets.
    for (packet, end) in [(300, 0x0a), (301, 0x0a), (302, 0x8a)] {
        let duration = (packet - 299) as u8;
        let header = (packet, 300 * 160, SSRC);
        wire.rtp(at(packet.into()), ports, 101, header, &[5, end, duration, 0x40]);
    }
    // Comfort noise and a silence after it, then one that nothing announces.
    let quiet = |number: u64, ms: u64| (at(number) + ms, (number as u16, (number * 160 + ms * 8) as u32, SSRC));
    let (ms, header) = quiet(303, 0);
    wire.rtp(ms, ports, 13, header, &[60]);
    for number in 304..350 {
        let (ms, header) = quiet(number, if number < 330 { 400 } else { 800 });
        wire.rtp(ms, ports, 0, header, &[0x55; 160]);
    }
    // The sender begins anew.
    for number in 350..420u64 {
        let header = ((number + 30_000) as u16, number as u32 * 160 + 900_000, SSRC);
        wire.rtp(at(number) + 900, ports, 0, header, &[0x55; 160]);
    }
}

/// Of the caller's stream: a sender report, what its receiver says of it in a report block and in VoIP metrics, its name, its end.
fn reports(wire: &mut Wire) {
    let ssrc = 0xaaaa_u32.to_be_bytes();
    let (there, back) = (
        ((CALLER, 20_001), (CALLEE, 30_001)),
        ((CALLEE, 30_001), (CALLER, 20_001)),
    );
    let sender = [
        &[0x80, 200, 0, 6][..],
        &ssrc,
        &[0xe8, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 160, 0, 0, 0, 1, 0, 0, 0, 160],
    ]
    .concat();
    let name = [&[0x81, 202, 0, 3][..], &ssrc, b"\x01\x03a@x\0\0\0"].concat();
    wire.udp(2_000, there.0, there.1, &[&sender[..], &name].concat());
    let block = [
        &ssrc[..],
        &[13, 0, 0, 4, 0, 0, 0, 100, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    let receiver = [&[0x81, 201, 0, 7][..], &0xbbbb_u32.to_be_bytes(), &block].concat();
    // RFC 3611 section 4.7: a round trip of 80 ms, 20 ms within the receiver, R 88, MOS 4.2 and 4.1.
    let metrics = [
        &[7, 0, 0, 8][..],
        &ssrc,
        &[
            10, 5, 60, 2, 0, 60, 1, 0, 0, 80, 0, 20, 0xe2, 0xc4, 30, 16, 88, 127, 42, 41, 0x70, 0, 0, 40, 0, 80, 0, 120,
        ],
    ]
    .concat();
    let extended = [&[0x80, 207, 0, 10][..], &0xbbbb_u32.to_be_bytes(), &metrics].concat();
    wire.udp(4_000, back.0, back.1, &[&receiver[..], &extended].concat());
    wire.udp(9_800, there.0, there.1, &[&[0x81, 203, 0, 1][..], &ssrc].concat());
}

/// A call with all of it, and one that is encrypted.
fn played() -> Document {
    let mut wire = Wire::default();
    let offer = sdp(CALLER, 20_000, "RTP/AVP", "");
    let answer = sdp(CALLEE, 30_000, "RTP/AVP", "");
    wire.sip(0, "one", true, "INVITE sip:b@x SIP/2.0", "1 INVITE", "", &offer);
    // Two phones ring, and one answers.
    wire.sip(100, "one", false, "SIP/2.0 180 Ringing", "1 INVITE", "desk", "");
    wire.sip(120, "one", false, "SIP/2.0 180 Ringing", "1 INVITE", "mobile", "");
    wire.sip(900, "one", false, "SIP/2.0 200 OK", "1 INVITE", "desk", &answer);
    wire.sip(910, "one", true, "ACK sip:b@x SIP/2.0", "1 ACK", "desk", "");
    everything(&mut wire);
    reports(&mut wire);
    // The callee's clock is not the one that is signalled.
    for number in 0..300u32 {
        let header = (number as u16, number * 320, 0xbbbb);
        wire.rtp(
            1_005 + 20 * u64::from(number),
            (30_000, 20_000),
            0,
            header,
            &[0x55; 160],
        );
    }
    let key = "Content-Type: application/dtmf-relay\r\n\r\nSignal=7\r\nDuration=160\r\n";
    wire.sip(3_000, "one", true, "INFO sip:b@x SIP/2.0", "2 INFO", "desk", key);
    wire.sip(3_010, "one", false, "SIP/2.0 200 OK", "2 INFO", "desk", "");
    wire.sip(
        9_000,
        "one",
        true,
        "REFER sip:b@x SIP/2.0",
        "3 REFER",
        "desk",
        "Refer-To: <sip:c@x>\r\n\r\n",
    );
    wire.sip(9_010, "one", false, "SIP/2.0 202 Accepted", "3 REFER", "desk", "");
    wire.sip(11_000, "one", true, "BYE sip:b@x SIP/2.0", "4 BYE", "desk", "");
    wire.sip(11_020, "one", false, "SIP/2.0 200 OK", "4 BYE", "desk", "");

    let keys = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n";
    wire.sip(
        0,
        "two",
        true,
        "INVITE sip:b@x SIP/2.0",
        "1 INVITE",
        "",
        &sdp(CALLER, 20_010, "RTP/SAVP", keys),
    );
    wire.sip(
        10,
        "two",
        false,
        "SIP/2.0 200 OK",
        "1 INVITE",
        "t",
        &sdp(CALLEE, 30_010, "RTP/SAVP", keys),
    );
    for number in 0..60u32 {
        let header = (number as u16, number * 160, 0xcccc);
        wire.rtp(500 + 20 * u64::from(number), (20_010, 30_010), 0, header, &[0x11; 170]);
    }

    let Wire(mut frames) = wire;
    frames.sort_by_key(|(ts, _)| *ts);
    let follow = Follow::default();
    let shared = Arc::new(Shared::new(&follow));
    let mut engine = Engine::new(&follow, &Capture::default(), Arc::clone(&shared));
    for (ts, bytes) in &frames {
        let ts = Timestamp::from_nanos(sample::START + ts);
        engine.frame(&Frame {
            ts,
            link: LinkType::Ethernet,
            wire_len: bytes.len() as u32,
            bytes,
        });
        engine.tick(ts);
    }
    engine.finish();
    let now = Timestamp::from_nanos(sample::START + frames.last().unwrap().0);
    let streams = engine.streams();
    document(&shared, &[engine.counters()], streams, now)
}

/// The lines of a page that are figures of `metric`, and not 0.
fn exposes(page: &str, metric: &str) -> bool {
    page.lines().any(|line| {
        let figure = line.strip_prefix(metric).and_then(|rest| rest.rsplit_once(' '));
        figure.is_some_and(|(_, figure)| figure.parse::<f64>().is_ok_and(|figure| figure != 0.0))
    })
}

#[test]
fn what_happened_is_in_json_in_the_text_and_in_the_metrics() {
    let document = played();
    let flow = CallFlow::of(&document, "one");
    let encrypted = CallFlow::of(&document, "two");
    let text = [&flow, &encrypted]
        .map(|flow| {
            call(
                flow,
                Form::default(),
                Style {
                    width: 160,
                    ..Style::PLAIN
                },
            )
        })
        .concat();
    let json = json!({"one": flow, "two": encrypted, "signaling": document.signaling});
    let status = Status {
        rtp: document.rtp.clone(),
        rtcp: document.rtcp.clone(),
        ..sample::status()
    };
    let page = Exporter::default().render(&sample::health(), &status, &document.signaling, &sample::turn());
    let mut missing = Vec::new();
    for (what, pointer, words, metric) in [
        (
            "packets",
            "/one/streams/0/packets",
            "PACKETS",
            "siphon_rtp_packets_total",
        ),
        ("loss", "/one/streams/0/lost", "LOST", "siphon_rtp_lost_packets_total"),
        (
            "reordering",
            "/one/streams/0/reordered",
            "REORDERED",
            "siphon_rtp_reordered_packets_total",
        ),
        (
            "copies",
            "/one/streams/0/duplicates",
            "COPIES",
            "siphon_rtp_duplicate_packets_total",
        ),
        (
            "late packets",
            "/one/streams/0/playout/fixed_50/discarded",
            "50 ms: 1 late",
            "siphon_rtp_discarded_packets_total{buffer=\"fixed_50\"}",
        ),
        (
            "restarts",
            "/one/streams/0/restarts",
            "1 restart",
            "siphon_rtp_events_total{event=\"restart\"}",
        ),
        (
            "jitter",
            "/one/streams/0/jitter_mean_ms",
            "JITTER",
            "siphon_rtp_jitter_seconds_sum",
        ),
        (
            "a wrong clock",
            "/one/streams/1/clock/mismatch",
            "clock 16000 Hz for 20 ms (another is signalled)",
            "siphon_rtp_streams_noted_total{what=\"clock_mismatch\"}",
        ),
        (
            "bursts",
            "/one/streams/0/burst/bursts",
            "lost in 1 burst of",
            "siphon_rtp_events_total{event=\"burst\"}",
        ),
        (
            "density in bursts",
            "/one/streams/0/burst/burst_density",
            "lost in 1 burst of",
            "siphon_rtp_burst_density_ratio_sum",
        ),
        (
            "density in gaps",
            "/one/streams/0/burst/gap_density",
            "lost in gaps of",
            "siphon_rtp_gap_density_ratio_sum",
        ),
        (
            "delta",
            "/one/streams/0/delta/max_ms",
            "apart (",
            "siphon_rtp_delta_max_seconds_sum",
        ),
        (
            "skew",
            "/one/streams/0/clock/skew_max_ms",
            "at most",
            "siphon_rtp_skew_max_seconds_sum",
        ),
        (
            "codec changes",
            "/one/streams/0/codec_changes",
            "codec changes",
            "siphon_rtp_events_total{event=\"codec_change\"}",
        ),
        (
            "comfort noise",
            "/one/streams/0/comfort_noise",
            "1 comfort noise packet",
            "siphon_rtp_events_total{event=\"comfort_noise\"}",
        ),
        (
            "announced silence",
            "/one/streams/0/silence/dtx",
            "announced silence",
            "siphon_rtp_events_total{event=\"dtx\"}",
        ),
        (
            "silence",
            "/one/streams/0/silence/gaps",
            "1 silence of up to",
            "siphon_rtp_events_total{event=\"silence_gap\"}",
        ),
        (
            "an unannounced type",
            "/one/streams/0/payload_types/2/packets",
            "that nobody announced",
            "siphon_rtp_streams_noted_total{what=\"payload_type_unannounced\"}",
        ),
        (
            "who joined it",
            "/one/streams/0/linked_by",
            "destination",
            "siphon_rtp_streams_linked_total{by=\"destination\"}",
        ),
        (
            "encryption",
            "/two/streams/0/encrypted",
            "srtp",
            "siphon_rtp_streams_noted_total{what=\"encrypted\"}",
        ),
        (
            "sender reports",
            "/one/streams/0/rtcp/sender/reports",
            "1 sender report",
            "siphon_rtcp_packets_total",
        ),
        (
            "report blocks",
            "/one/streams/0/rtcp/receiver/cumulative_lost",
            "the receiver lost 4",
            "siphon_rtcp_packets_total",
        ),
        (
            "a name",
            "/one/streams/0/rtcp/cname",
            "CNAME a@x",
            "siphon_rtcp_packets_total",
        ),
        (
            "VoIP metrics",
            "/one/streams/0/rtcp/voip_metrics/r_factor",
            "R 88 MOS-LQ 4.2 MOS-CQ 4.1",
            "siphon_rtcp_xr_blocks_total",
        ),
        (
            "round trip",
            "/one/streams/0/rtcp/round_trip/path_ms",
            "round trip 80 ms",
            "siphon_rtp_mos_cq_sum",
        ),
        (
            "R",
            "/one/streams/0/quality/fixed_50/r_lq",
            "R-LQ",
            "siphon_rtp_r_lq_sum",
        ),
        (
            "R-CQ",
            "/one/streams/0/quality/fixed_50/r_cq",
            "R-CQ",
            "siphon_rtp_r_cq_sum",
        ),
        (
            "MOS-LQ",
            "/one/streams/0/quality/adaptive/mos_lq",
            "MOS-LQ",
            "siphon_rtp_mos_lq_sum",
        ),
        (
            "MOS-CQ",
            "/one/streams/0/quality/fixed_200/mos_cq",
            "MOS-CQ",
            "siphon_rtp_mos_cq_sum",
        ),
        (
            "keys in RTP",
            "/one/streams/0/dtmf/digits/0/digit",
            "(rtp)",
            "siphon_rtp_dtmf_digits_total",
        ),
        (
            "keys in INFO",
            "/one/calls/0/dtmf/digits/0/digit",
            "(info)",
            "siphon_sip_info_digits_total",
        ),
        (
            "forks",
            "/one/calls/0/dialogs/1/early_code",
            "forks",
            "siphon_sip_calls_noted_total{what=\"forked\"}",
        ),
        (
            "transfers",
            "/one/calls/0/transfers/0/status_code",
            "transfer",
            "siphon_sip_calls_noted_total{what=\"transfer\"}",
        ),
        (
            "SRD",
            "/one/calls/0/session_request_delay_ms",
            "SRD",
            "siphon_sip_session_request_delay_seconds_sum",
        ),
        (
            "SDD",
            "/one/calls/0/session_disconnect_delay_ms",
            "SDD",
            "siphon_sip_session_disconnect_delay_seconds_sum",
        ),
        (
            "SDT",
            "/signaling/sessions/session_duration_time",
            "lasted",
            "siphon_sip_session_duration_seconds_sum",
        ),
        (
            "ring time",
            "/one/calls/0/ring_time_ms",
            "ring",
            "siphon_sip_ring_seconds_sum",
        ),
        (
            "post-dial delay",
            "/one/calls/0/post_dial_delay_ms",
            "post-dial delay",
            "siphon_sip_post_dial_delay_seconds_sum",
        ),
        (
            "SER",
            "/signaling/sessions/session_establishment_ratio",
            "",
            "siphon_sip_session_establishment_ratio",
        ),
        (
            "SEER",
            "/signaling/sessions/session_establishment_effectiveness_ratio",
            "",
            "siphon_sip_session_establishment_effectiveness_ratio",
        ),
        (
            "SCR",
            "/signaling/sessions/session_completion_ratio",
            "",
            "siphon_sip_session_completion_ratio",
        ),
        (
            "ASR",
            "/signaling/sessions/answer_seizure_ratio",
            "",
            "siphon_sip_answer_seizure_ratio",
        ),
    ] {
        let nothing = [&Value::Null, &json!(0), &json!(0.0), &json!(false), &json!("")];
        let value = json.pointer(pointer).unwrap_or(&Value::Null);
        if nothing.contains(&value) {
            missing.push(format!("{what} in JSON: {pointer} is {value}"));
        }
        if !text.contains(words) {
            missing.push(format!("{what} in the text: {words:?}"));
        }
        if !exposes(&page, metric) {
            missing.push(format!("{what} in the metrics: {metric}"));
        }
    }
    assert!(missing.is_empty(), "{missing:#?}\n{text}\n{json:#}");
}
