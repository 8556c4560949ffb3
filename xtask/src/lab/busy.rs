//! Frames of a busy link, made rather than sent: calls over a proxy, each with two directions of G.711, every telephone with
//! an address of its own. Tests and benches that weigh memory or cost take the same ones.

use std::net::Ipv4Addr;

const CALLER: [u8; 4] = [192, 0, 2, 1];
const PROXY: [u8; 4] = [192, 0, 2, 2];
const CALLEE: [u8; 4] = [192, 0, 2, 3];

/// Media of a packet of 20 ms of G.711, in bytes.
pub const PAYLOAD: usize = 160;

/// Where the RTP header of a frame that [`rtp`] made begins: behind Ethernet, IPv4 and UDP.
const RTP: usize = 42;

/// Ethernet, IPv4 and UDP around a payload.
fn frame(src: [u8; 4], dst: [u8; 4], ports: [u16; 2], payload: &[u8]) -> Vec<u8> {
    let len = |more: usize| (payload.len() as u16 + more as u16).to_be_bytes();
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    frame.extend(len(28));
    frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    frame.extend([src, dst].concat());
    frame.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
    frame.extend(len(8));
    frame.extend([0, 0]);
    frame.extend(payload);
    frame
}

/// A description as telephones write it.
fn sdp((host, port): ([u8; 4], u16)) -> String {
    let host = Ipv4Addr::from(host);
    format!(
        "v=0\r\no=- 20518 0 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 9 8 0 18 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n\
         a=ptime:20\r\na=sendrecv\r\n"
    )
}

/// Where the caller and the callee of call `n` receive their media. Calls are told apart up to 2^24.
fn ends(n: u32) -> [([u8; 4], u16); 2] {
    let port = 10_000 + 4 * (n % 10_000) as u16;
    let host = |of: u8| [203, of + 2 * (n >> 16) as u8, (n >> 8) as u8, n as u8];
    [(host(1), port), (host(2), port + 2)]
}

/// The ten messages of call `n` over a proxy that record-routes: INVITE, 100, 180, 200 and ACK, on both hops.
pub fn call(n: u32) -> Vec<Vec<u8>> {
    let message = |start: &str, cseq: &str, hop: u8, to: bool, body: &str| {
        let via = |hop: u8| {
            format!(
                "Via: SIP/2.0/UDP 192.0.2.{};branch=z9hG4bK-{n}-{hop}-{cseq}\r\n",
                hop + 1
            )
        };
        let vias: String = (0..=hop).rev().map(via).collect();
        let to_tag = if to { format!(";tag=callee-{n}") } else { String::new() };
        let content = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        format!(
            "{start}\r\n{vias}From: \"Alice\" <sip:+4930123{n}@alice.example.com>;tag=caller-{n}\r\n\
             To: <sip:+4940456{n}@bob.example.com>{to_tag}\r\nCall-ID: 6a1b5d90-{n:08x}-4e7f9a@192.0.2.1\r\n\
             CSeq: 1 {cseq}\r\nContact: <sip:+4930123{n}@192.0.2.1:5060;transport=udp>\r\n\
             User-Agent: Telephone 300 / 10.1.169.16\r\n{content}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let sip = [5060; 2];
    let up = |hop: u8, text: String| match hop {
        0 => frame(CALLER, PROXY, sip, text.as_bytes()),
        _ => frame(PROXY, CALLEE, sip, text.as_bytes()),
    };
    let down = |hop: u8, text: String| match hop {
        0 => frame(PROXY, CALLER, sip, text.as_bytes()),
        _ => frame(CALLEE, PROXY, sip, text.as_bytes()),
    };
    let [offer, answer] = ends(n).map(sdp);
    let invite = "INVITE sip:+494045678@bob.example.com SIP/2.0";
    let answers = [
        ("100 Trying", false, ""),
        ("180 Ringing", true, ""),
        ("200 OK", true, &answer),
    ];
    let mut frames = Vec::new();
    for hop in [0, 1] {
        frames.push(up(hop, message(invite, "INVITE", hop, false, &offer)));
    }
    for (status, to, body) in answers {
        for hop in [1, 0] {
            let start = format!("SIP/2.0 {status}");
            frames.push(down(hop, message(&start, "INVITE", hop, to, body)));
        }
    }
    for hop in [0, 1] {
        frames.push(up(hop, message("ACK sip:bob@192.0.2.3 SIP/2.0", "ACK", hop, true, "")));
    }
    frames
}

/// The first packet of a stream of G.711 (A-law): streams `2 n` and `2 n + 1` are those to the callee and to the caller of call `n`.
pub fn rtp(stream: u32) -> Vec<u8> {
    let [caller, callee] = ends(stream / 2);
    let (src, dst) = if stream.is_multiple_of(2) {
        (caller, callee)
    } else {
        (callee, caller)
    };
    let mut rtp = vec![0x80, 8, 0, 0, 0, 0, 0, 0];
    rtp.extend((0x5150_0000 + stream).to_be_bytes());
    rtp.resize(12 + PAYLOAD, 0xd5);
    frame(src.0, dst.0, [src.1, dst.1], &rtp)
}

/// Makes a frame of [`rtp`] the packet with this number of its stream.
pub fn number(frame: &mut [u8], number: u32) {
    let timestamp = number.wrapping_mul(PAYLOAD as u32);
    frame[RTP + 2..RTP + 4].copy_from_slice(&(number as u16).to_be_bytes());
    frame[RTP + 4..RTP + 8].copy_from_slice(&timestamp.to_be_bytes());
}
