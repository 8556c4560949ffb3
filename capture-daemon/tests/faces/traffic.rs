//! A day in the life of a small network, frame by frame: one of everything that is told of calls and their streams.

use std::iter;

const CALLER: [u8; 4] = [192, 0, 2, 1];
const CALLEE: [u8; 4] = [192, 0, 2, 2];
/// The server of TURN.
const RELAY: [u8; 4] = [192, 0, 2, 9];
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

/// A call to which two phones ring, with all of it.
fn one(wire: &mut Wire) {
    let offer = sdp(CALLER, 20_000, "RTP/AVP", "");
    let answer = sdp(CALLEE, 30_000, "RTP/AVP", "");
    wire.sip(0, "one", true, "INVITE sip:b@x SIP/2.0", "1 INVITE", "", &offer);
    // Two phones ring, and one answers.
    wire.sip(100, "one", false, "SIP/2.0 180 Ringing", "1 INVITE", "desk", "");
    wire.sip(120, "one", false, "SIP/2.0 180 Ringing", "1 INVITE", "mobile", "");
    wire.sip(900, "one", false, "SIP/2.0 200 OK", "1 INVITE", "desk", &answer);
    wire.sip(910, "one", true, "ACK sip:b@x SIP/2.0", "1 ACK", "desk", "");
    everything(wire);
    reports(wire);
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
}

/// A call that is encrypted.
fn two(wire: &mut Wire) {
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
}

/// A call in which nothing is heard of the callee.
fn one_way(wire: &mut Wire) {
    let offer = sdp(CALLER, 20_020, "RTP/AVP", "");
    wire.sip(0, "three", true, "INVITE sip:b@x SIP/2.0", "1 INVITE", "", &offer);
    let answer = sdp(CALLEE, 30_020, "RTP/AVP", "");
    wire.sip(10, "three", false, "SIP/2.0 200 OK", "1 INVITE", "t", &answer);
    wire.sip(20, "three", true, "ACK sip:b@x SIP/2.0", "1 ACK", "t", "");
    for number in 0..400u32 {
        let header = (number as u16, number * 160, 0xdddd);
        wire.rtp(50 + 20 * u64::from(number), (20_020, 30_020), 0, header, &[0x55; 160]);
    }
    wire.sip(8_100, "three", true, "BYE sip:b@x SIP/2.0", "2 BYE", "t", "");
    wire.sip(8_110, "three", false, "SIP/2.0 200 OK", "2 BYE", "t", "");
}

/// A fax: CNG again and again (T.38 appendix IV), and a packet that is lost without any that makes up for it.
fn fax(wire: &mut Wire) {
    let image = |host: [u8; 4], port: u16| {
        let [a, b, c, d] = host;
        format!(
            "Content-Type: application/sdp\r\n\r\nv=0\r\no=- 1 1 IN IP4 {a}.{b}.{c}.{d}\r\ns=-\r\nc=IN IP4 {a}.{b}.{c}.{d}\r\n\
             t=0 0\r\nm=image {port} udptl t38\r\na=T38FaxVersion:0\r\n"
        )
    };
    wire.sip(
        0,
        "four",
        true,
        "INVITE sip:b@x SIP/2.0",
        "1 INVITE",
        "",
        &image(CALLER, 20_030),
    );
    wire.sip(
        10,
        "four",
        false,
        "SIP/2.0 200 OK",
        "1 INVITE",
        "t",
        &image(CALLEE, 30_030),
    );
    for seq in (0..30u8).filter(|seq| *seq != 7) {
        let ifp = [0, seq, 1, 0x02, 0, 0];
        wire.udp(100 + 20 * u64::from(seq), (CALLER, 20_030), (CALLEE, 30_030), &ifp);
    }
    wire.sip(900, "four", true, "BYE sip:b@x SIP/2.0", "2 BYE", "t", "");
    wire.sip(910, "four", false, "SIP/2.0 200 OK", "2 BYE", "t", "");
}

/// One that is challenged and then registered, one that is refused; a message, a subscription with its event, a question.
fn beside_calls(wire: &mut Wire) {
    let contact = "Contact: <sip:b@192.0.2.1>\r\nExpires: 600\r\n\r\n";
    wire.sip(0, "five", true, "REGISTER sip:x SIP/2.0", "1 REGISTER", "", contact);
    wire.sip(30, "five", false, "SIP/2.0 401 Unauthorized", "1 REGISTER", "t", "");
    wire.sip(60, "five", true, "REGISTER sip:x SIP/2.0", "2 REGISTER", "", contact);
    wire.sip(90, "five", false, "SIP/2.0 200 OK", "2 REGISTER", "t", contact);
    let other = "Contact: <sip:b@192.0.2.7>\r\n\r\n";
    wire.sip(100, "six", true, "REGISTER sip:x SIP/2.0", "1 REGISTER", "", other);
    wire.sip(130, "six", false, "SIP/2.0 403 Forbidden", "1 REGISTER", "t", "");
    let event = "Event: presence\r\n\r\n";
    for (number, method) in ["OPTIONS", "MESSAGE", "SUBSCRIBE", "NOTIFY", "PUBLISH"]
        .iter()
        .enumerate()
    {
        let (ms, of) = (200 + 100 * number as u64, format!("seven-{number}"));
        let (start, cseq) = (format!("{method} sip:b@x SIP/2.0"), format!("1 {method}"));
        wire.sip(ms, &of, true, &start, &cseq, "", event);
        wire.sip(ms + 40, &of, false, "SIP/2.0 200 OK", &cseq, "t", event);
    }
}

/// A message of STUN (RFC 8489 section 5) with these attributes, padded as they must be.
fn stun(kind: u16, id: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in attributes {
        body.extend(kind.to_be_bytes());
        body.extend((value.len() as u16).to_be_bytes());
        body.extend(*value);
        body.extend(iter::repeat_n(0, value.len().next_multiple_of(4) - value.len()));
    }
    let mut message = kind.to_be_bytes().to_vec();
    message.extend((body.len() as u16).to_be_bytes());
    message.extend(COOKIE);
    message.extend([id; 12]);
    message.extend(body);
    message
}

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// XOR-PEER-ADDRESS and the like (RFC 8489 section 14.2).
fn hidden(host: [u8; 4], port: u16) -> Vec<u8> {
    let [high, low] = (port ^ 0x2112).to_be_bytes();
    let host = host.iter().zip(COOKIE).map(|(byte, mask)| byte ^ mask);
    [0, 1, high, low].into_iter().chain(host).collect()
}

/// An allocation with a channel, media over it and in indications; and a client whose password is wrong.
fn relayed(wire: &mut Wire) {
    let client = (CALLER, 40_000);
    let server = (RELAY, 3478);
    let peer = hidden(CALLEE, 30_040);
    let credentials: [(u16, &[u8]); 4] = [(0x06, b"alice"), (0x14, b"x"), (0x15, b"nonce"), (0x08, &[7; 20])];
    let with = |more: &[(u16, &'static [u8])]| [more, &credentials].concat();
    let refusal: [(u16, &[u8]); 2] = [(0x09, &[0, 0, 4, 1]), (0x14, b"x")];
    let asked = stun(0x0003, 1, &[(0x19, &[17, 0, 0, 0])]);
    wire.udp(0, client, server, &asked);
    wire.udp(10, server, client, &stun(0x0113, 1, &refusal));
    wire.udp(20, client, server, &stun(0x0003, 2, &with(&[(0x19, &[17, 0, 0, 0])])));
    let granted = stun(
        0x0103,
        2,
        &[(0x16, &hidden(RELAY, 50_000)), (0x0d, &600_u32.to_be_bytes())],
    );
    wire.udp(30, server, client, &granted);
    let bind = [&[(0x0c, &[0x40, 1, 0, 0][..]), (0x12, &peer)][..], &credentials].concat();
    wire.udp(40, client, server, &stun(0x0009, 3, &bind));
    wire.udp(50, server, client, &stun(0x0109, 3, &[]));
    for number in 0..60u8 {
        let timestamp = (160 * u32::from(number)).to_be_bytes();
        let voice = [&[0x80, 0, 0, number][..], &timestamp, &[0, 0, 0xee, 0xee], &[0x55; 160]].concat();
        let ms = 100 + 20 * u64::from(number);
        let len = (voice.len() as u16).to_be_bytes();
        wire.udp(ms, client, server, &[&[0x40, 1], &len[..], &voice].concat());
        // The same way back, by the other wrapping.
        let data = stun(0x0017, 100 + number, &[(0x12, &peer), (0x13, &voice)]);
        wire.udp(ms + 5, server, client, &data);
    }
    // What SDP names of the caller is its relayed address.
    let offer = sdp(RELAY, 50_000, "RTP/AVP", "");
    wire.sip(60, "eight", true, "INVITE sip:b@x SIP/2.0", "1 INVITE", "", &offer);
    let answer = sdp(CALLEE, 30_040, "RTP/AVP", "");
    wire.sip(70, "eight", false, "SIP/2.0 200 OK", "1 INVITE", "t", &answer);
    let other = (CALLER, 40_002);
    wire.udp(0, other, server, &stun(0x0003, 4, &with(&[])));
    wire.udp(10, server, other, &stun(0x0113, 4, &refusal));
}

/// A call that the network had no room for.
fn refused(wire: &mut Wire) {
    let offer = sdp(CALLER, 20_050, "RTP/AVP", "");
    wire.sip(0, "nine", true, "INVITE sip:b@x SIP/2.0", "1 INVITE", "", &offer);
    let code = "SIP/2.0 503 Service Unavailable";
    wire.sip(50, "nine", false, code, "1 INVITE", "t", "");
    wire.sip(60, "nine", true, "ACK sip:b@x SIP/2.0", "1 ACK", "t", "");
}

/// All of it, in order.
pub fn frames() -> Vec<(u64, Vec<u8>)> {
    let mut wire = Wire::default();
    one(&mut wire);
    two(&mut wire);
    one_way(&mut wire);
    fax(&mut wire);
    beside_calls(&mut wire);
    relayed(&mut wire);
    refused(&mut wire);
    let Wire(mut frames) = wire;
    frames.sort_by_key(|(ts, _)| *ts);
    frames
}
