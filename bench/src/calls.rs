//! The calls that the load's streams belong to: their SIP messages as frames, between the ends the streams run between.

use capture_common::load::Ends;

use crate::frame;

/// Where SIP is spoken.
const PORT: u16 = 5060;

/// A message of a call, in the order they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// The offer.
    Invite,
    /// 100.
    Trying,
    /// 180.
    Ringing,
    /// 200, with the answer.
    Answer,
    /// The caller's ACK.
    Ack,
    /// The caller hangs up.
    Bye,
    /// 200 to that.
    ByeAnswer,
}

impl Message {
    /// All of a call.
    pub const ALL: [Self; 7] = [
        Self::Invite,
        Self::Trying,
        Self::Ringing,
        Self::Answer,
        Self::Ack,
        Self::Bye,
        Self::ByeAnswer,
    ];

    /// Those that set it up.
    pub const SET_UP: [Self; 5] = [Self::Invite, Self::Trying, Self::Ringing, Self::Answer, Self::Ack];

    /// Those that end it.
    pub const HANG_UP: [Self; 2] = [Self::Bye, Self::ByeAnswer];
}

/// The Call-ID of call `number`.
pub fn call_id(number: u32) -> String {
    format!("6a1b5d90-{number:08x}-4e7f9a@bench.example.com")
}

/// The frame of a message of call `number`.
pub fn frame(number: u32, message: Message) -> Vec<u8> {
    let Ends { caller, callee, .. } = Ends::of(number);
    let text = text(number, message);
    let (source, destination) = match message {
        Message::Invite | Message::Ack | Message::Bye => (caller, callee),
        Message::Trying | Message::Ringing | Message::Answer | Message::ByeAnswer => (callee, caller),
    };
    frame::udp((source, PORT), (destination, PORT), text.as_bytes())
}

fn text(number: u32, message: Message) -> String {
    let Ends { caller, callee, port } = Ends::of(number);
    let [a, b, c, d] = caller;
    let [e, f, g, h] = callee;
    let uri = format!("sip:{number:08}@{e}.{f}.{g}.{h}");
    let (start, method, cseq, tagged) = match message {
        Message::Invite => (format!("INVITE {uri} SIP/2.0"), "INVITE", 1, false),
        Message::Trying => ("SIP/2.0 100 Trying".to_owned(), "INVITE", 1, false),
        Message::Ringing => ("SIP/2.0 180 Ringing".to_owned(), "INVITE", 1, true),
        Message::Answer => ("SIP/2.0 200 OK".to_owned(), "INVITE", 1, true),
        Message::Ack => (format!("ACK {uri} SIP/2.0"), "ACK", 1, true),
        Message::Bye => (format!("BYE {uri} SIP/2.0"), "BYE", 2, true),
        Message::ByeAnswer => ("SIP/2.0 200 OK".to_owned(), "BYE", 2, true),
    };
    let tag = if tagged {
        format!(";tag=b{number:08x}")
    } else {
        String::new()
    };
    let host = match message {
        Message::Invite => Some(caller),
        Message::Answer => Some(callee),
        _ => None,
    };
    let body = host.map_or_else(String::new, |host| description(host, port));
    let kind = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    format!(
        "{start}\r\nVia: SIP/2.0/UDP {a}.{b}.{c}.{d}:5060;branch=z9hG4bK{number:08x}{method};rport\r\nMax-Forwards: 70\r\n\
         From: \"Alice\" <sip:+4930{number:08}@bench.example.com>;tag=a{number:08x}\r\n\
         To: <sip:+4940{number:08}@bench.example.com>{tag}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n\
         Contact: <sip:+4930{number:08}@{a}.{b}.{c}.{d}:5060>\r\nUser-Agent: Telephone 300 / 10.1.169.16\r\n\
         Allow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        call_id(number),
        body.len()
    )
}

fn description([a, b, c, d]: [u8; 4], port: u16) -> String {
    format!(
        "v=0\r\no=- 20518 0 IN IP4 {a}.{b}.{c}.{d}\r\ns=-\r\nc=IN IP4 {a}.{b}.{c}.{d}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
         a=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use capture_daemon::config::{Capture, Follow};
    use capture_daemon::engine::{Engine, Shared};
    use capture_daemon::frame::{Frame, LinkType};
    use capture_daemon::outcome::Outcome;
    use capture_daemon::time::Timestamp;

    use super::*;

    #[test]
    fn siphon_follows_the_calls_and_their_streams() {
        let (follow, capture) = (Follow::default(), Capture::default());
        let shared = Arc::new(Shared::new(&follow));
        let mut engine = Engine::new(&follow, &capture, Arc::clone(&shared));
        let mut now = 1_000_000_000;
        let mut take = |bytes: &[u8]| {
            now += 1_000_000;
            engine.frame(&Frame {
                ts: Timestamp::from_nanos(now),
                link: LinkType::Ethernet,
                wire_len: bytes.len() as u32,
                bytes,
            });
        };
        // The third is on another pair of addresses.
        let calls = [0, 1, 27_000];
        for number in calls {
            for message in Message::SET_UP {
                take(&frame(number, message));
            }
        }
        for packet in 0..300 {
            for stream in [0, 1, 2, 3, 54_000, 54_001_u64] {
                take(&frame::expected(stream + packet * 60_000, 60_000));
            }
        }
        for number in calls {
            for message in Message::HANG_UP {
                take(&frame(number, message));
            }
        }
        let outcomes = &engine.counters().outcomes;
        assert_eq!(outcomes.get(Outcome::Rtp), 6 * 300);
        let document = capture_daemon::engine::document(
            &shared,
            &[engine.counters()],
            engine.streams(),
            Timestamp::from_nanos(now),
        );
        assert_eq!(document.sip.malformed, 0);
        assert_eq!(document.calls.len(), 3);
        assert_eq!(document.streams.len(), 6);
        for stream in &document.streams {
            assert!(stream.call_id.is_some(), "{stream:?}");
        }
    }

    #[test]
    fn messages_of_one_kind_are_of_one_length() {
        for message in Message::ALL {
            assert_eq!(frame(0, message).len(), frame(1_400_000, message).len(), "{message:?}");
        }
    }
}
