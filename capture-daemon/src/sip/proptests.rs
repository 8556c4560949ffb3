//! Properties of the SIP parsers: total on any bytes, and faithful to what was written.

#![expect(
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that slices wrongly fails, as it should"
)]

use proptest::prelude::*;

use super::*;

/// Bytes that are nearly SIP: random octets hardly get past the first line.
fn near_sip() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"INVITE sip:b@h SIP/2.0\r\n".to_vec()),
        Just(b"SIP/2.0 200 OK\r\n".to_vec()),
        Just(b"Call-ID: 1\r\n".to_vec()),
        Just(b"CSeq: 1 INVITE\r\n".to_vec()),
        Just(b"f: \"a<\\\" <sip:a@h>;tag=\r\n".to_vec()),
        Just(b"t: sip:b@h;tag=\"x\r\n".to_vec()),
        Just(b"v: SIP/2.0/UDP h;branch=z,\r\n".to_vec()),
        Just(b"m: *, <sip:x>;expires=9\r\n".to_vec()),
        Just(b"l: 9\r\n".to_vec()),
        Just(b"c: multipart/x;boundary=b\r\n".to_vec()),
        Just(b"--b\r\n".to_vec()),
        Just(b"c: application/sdp\r\n".to_vec()),
        Just(b"v=0\r\n".to_vec()),
        Just(b"m=audio 1 RTP/AVP 0\r\n".to_vec()),
        Just(b"a=rtpmap:0 x/1\r\n".to_vec()),
        Just(b"c=IN IP4 1.2.3.4\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b" ".to_vec()),
        prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Takes everything out of `bytes` that the parsers offer.
fn read_all(bytes: &[u8]) {
    let _ = sdp::parse(bytes);
    let _ = Uri::parse(bytes).map(|uri| uri.address_of_record());
    let _ = Address::parse(bytes).and_then(|address| address.tag());
    if let Ok((message, consumed)) = Message::parse(bytes) {
        assert!(consumed <= bytes.len());
        assert!(message.body.len() <= consumed);
        assert!(message.contacts().count() <= bytes.len());
        let _ = message.sdp().map(sdp::parse);
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..512), near_sip()]) {
        read_all(&bytes);
    }

    /// Every answer but `Incomplete` moves on, so a stream is always read to its end.
    #[test]
    fn framing_moves_on_and_stays_inside(bytes in near_sip()) {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let taken = match frame(rest) {
                Framing::Incomplete => break,
                Framing::Message(len) | Framing::Keepalive(len) | Framing::Garbage(len) => len,
            };
            prop_assert!(taken > 0 && taken <= rest.len());
            rest = &rest[taken..];
        }
    }

    /// Messages written one after another come out one by one, whatever stood before the first.
    #[test]
    fn framing_finds_what_was_written(
        garbage in "[a-z=]{0,20}",
        bodies in prop::collection::vec("[ -~]{0,40}", 1..5),
    ) {
        let mut stream = format!("{garbage}\r\n");
        let messages: Vec<String> = bodies
            .iter()
            .map(|body| format!("OPTIONS sip:b@h SIP/2.0\r\nl: {}\r\n\r\n{body}", body.len()))
            .collect();
        stream.push_str(&messages.concat());
        let mut rest = stream.as_str();
        let mut found = Vec::new();
        while !rest.is_empty() {
            let taken = match frame(rest.as_bytes()) {
                Framing::Incomplete => break,
                Framing::Message(len) => {
                    found.push(rest[..len].to_owned());
                    len
                }
                Framing::Keepalive(len) | Framing::Garbage(len) => len,
            };
            rest = &rest[taken..];
        }
        prop_assert_eq!(found, messages);
    }

    #[test]
    fn what_was_written_is_read(
        method in prop::sample::select(Method::ALL),
        call_id in "[!-9;-~]{1,40}",
        number in any::<u32>(),
        user in "[a-z0-9]{1,12}",
        display in "[ !#-\\[\\]-~]{0,20}",
        tag in "[a-z0-9]{1,12}",
        vias in 1usize..5,
        body in "[ -~]{0,60}",
        compact in any::<bool>(),
        line_end in prop::sample::select(vec!["\r\n", "\n"]),
        fold in prop::sample::select(vec![" ", "\t", "\r\n ", " \r\n\t"]),
    ) {
        let name = |long: &'static str, short: &'static str| if compact { short } else { long };
        let mut lines = vec![format!("{} sip:{user}@h SIP/2.0", method.label())];
        for hop in 0..vias {
            lines.push(format!("{}: SIP/2.0/UDP h{hop};branch=z9hG4bK{hop}", name("Via", "v")));
        }
        lines.push(format!("{}:{fold}{call_id}", name("Call-ID", "i")));
        lines.push(format!("CSEQ: {number}{fold}{}", method.label()));
        lines.push(format!("{}: \"{display}\"{fold}<sip:{user}@h;x=y>;z;tag={tag}", name("From", "f")));
        lines.push(format!("{}: sip:to@h", name("to", "T")));
        lines.push(format!("{}: {}", name("Content-Length", "L"), body.len()));
        let text = format!("{}{line_end}{line_end}{body}", lines.join(line_end));

        let (message, consumed) = Message::parse(text.as_bytes()).expect("a message");
        prop_assert_eq!(consumed, text.len());
        prop_assert_eq!(frame(text.as_bytes()), Framing::Message(text.len()));
        let uri = format!("sip:{user}@h");
        prop_assert_eq!(message.start, StartLine::Request { method, uri: uri.as_bytes() });
        prop_assert_eq!(message.call_id, call_id.as_bytes());
        prop_assert_eq!(message.cseq, CSeq { number, method });
        let (display, with_parameter) = (format!("\"{display}\""), format!("{uri};x=y"));
        prop_assert_eq!(message.from.display, display.as_bytes());
        prop_assert_eq!(message.from.uri, with_parameter.as_bytes());
        prop_assert_eq!(message.from.tag(), Some(tag.as_bytes()));
        prop_assert_eq!(message.to.uri, &b"sip:to@h"[..]);
        prop_assert_eq!((message.branch, message.vias), (&b"z9hG4bK0"[..], vias));
        prop_assert_eq!(message.body, body.as_bytes());
    }
}
