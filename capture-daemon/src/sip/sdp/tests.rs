//! Descriptions as people and programs write them.

use super::*;

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().expect("an address"))
}

#[test]
fn media_inherit_from_the_session_and_override_it() {
    let text = b"v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 192.0.2.1/127\r\nt=0 0\r\na=inactive\r\n\
        m=audio 49170/2 RTP/AVP 0 96 x\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:200 bad/1\r\n\
        a=rtpmap:97 bad\r\na=rtcp:53020 IN IP6 2001:db8::2\r\na=sendonly\r\n\
        m=video 0 UDP/TLS/RTP/SAVPF 99\nc=IN IP6 2001:db8::1\na=rtcp-mux\n\
        m=image 4000 udptl t38\r\nc=IN IP4 fax.example.com";
    let session = parse(text).expect("a description");
    let [audio, video, image] = session.media.as_slice() else {
        panic!("three media, not {:?}", session.media)
    };
    assert_eq!((audio.kind, audio.port, audio.port_count), (&b"audio"[..], 49_170, 2));
    assert_eq!(audio.connection, ip("192.0.2.1"));
    assert_eq!(audio.formats, [&b"0"[..], b"96", b"x"]);
    let maps: Vec<_> = audio
        .maps
        .iter()
        .map(|map| (map.payload_type, map.clock_rate))
        .collect();
    assert_eq!(maps, [(96, 48_000), (0, 8_000)]);
    assert_eq!(audio.maps.first().map(|map| map.encoding), Some(&b"opus"[..]));
    assert_eq!(
        audio.rtcp,
        Some(Rtcp {
            port: 53_020,
            address: ip("2001:db8::2"),
        })
    );
    assert_eq!(audio.direction, Direction::SendOnly);
    assert!(audio.is_rtp() && !audio.rtcp_mux);
    assert_eq!((video.port, video.connection), (0, ip("2001:db8::1")));
    assert_eq!(video.direction, Direction::Inactive);
    assert!(video.is_rtp() && video.rtcp_mux);
    assert_eq!(image.connection, None);
    assert!(!image.is_rtp());
}

#[test]
fn what_is_no_description_says_why() {
    assert_eq!(parse(b""), Err(Malformed::NoVersion));
    assert_eq!(parse(b"<xml/>"), Err(Malformed::NoVersion));
    for media in [
        "m=",
        "m=audio",
        "m=audio 99999 RTP/AVP 0",
        "m=audio x RTP/AVP 0",
        "m=audio 4000",
    ] {
        assert_eq!(
            parse(format!("v=0\r\n{media}\r\n").as_bytes()),
            Err(Malformed::Media),
            "{media}"
        );
    }
}

#[test]
fn what_one_description_can_take_is_bounded() {
    let mut text = "v=0\r\n".to_owned();
    for _ in 0..1_000 {
        text.push_str("m=audio 4000 RTP/AVP");
        text.push_str(&" 0".repeat(1_000));
        text.push_str("\r\n");
    }
    let session = parse(text.as_bytes()).expect("a description");
    assert_eq!(session.media.len(), MAX_MEDIA);
    assert!(session.media.iter().all(|media| media.formats.len() == MAX_FORMATS));
}

#[test]
fn a_browsers_bundle_has_one_transport() {
    let text = b"v=0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=fingerprint:sha-256 AB\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=rtcp-mux\r\na=ptime:2.5\r\n\
        a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
        a=candidate:1 1 udp 2130706431 192.0.2.1 8998 typ host\r\n\
        a=candidate:2 1 UDP 1694498815 198.51.100.1 45664 typ srflx raddr 192.0.2.1 rport 8998\r\n\
        a=candidate:3 1 tcp 1 2001:db8::1 9 typ host tcptype active\r\n\
        a=candidate:4 1 udp 1 4f1e.local 5000 typ host\r\n\
        a=ssrc:11111 cname:user@host\r\na=ssrc:11111 msid:a b\r\na=ssrc:22222\r\n\
        m=video 0 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=bundle-only\r\n";
    let session = parse(text).expect("a description");
    let [audio, video] = session.media.as_slice() else {
        panic!("two media, not {:?}", session.media)
    };
    assert!(std::ptr::eq(session.transport_of(video), audio));
    assert!(video.bundle_only && video.fingerprint && video.is_srtp() && video.has_keys());
    assert_eq!(audio.ptime_us, Some(2500));
    let candidates: Vec<_> = audio.candidates.iter().map(|c| (c.tcp, c.port)).collect();
    assert_eq!(candidates, [(false, 8998), (false, 45_664), (true, 9)]);
    let sources: Vec<_> = audio.sources.iter().map(|s| (s.ssrc, s.cname)).collect();
    assert_eq!(sources, [(11_111, &b"user@host"[..]), (22_222, b"")]);
    let fmtp = audio.fmtps.first().expect("a line");
    assert_eq!(
        (fmtp.payload_type, fmtp.parameters),
        (111, &b"minptime=10;useinbandfec=1"[..])
    );
    assert!(!audio.is_hold(), "candidates are to come");
}

#[test]
fn hold_is_said_in_three_ways() {
    let hold = |address: &str, port: u16, direction: &str| {
        let text = format!("v=0\r\nc=IN IP4 {address}\r\nm=audio {port} RTP/AVP 0\r\na={direction}\r\n");
        let session = parse(text.as_bytes()).expect("a description");
        session.media.first().expect("one").is_hold()
    };
    for (address, port, direction, expected) in [
        ("192.0.2.1", 4000, "sendrecv", false),
        ("192.0.2.1", 4000, "recvonly", false),
        ("192.0.2.1", 4000, "sendonly", true),
        ("192.0.2.1", 4000, "inactive", true),
        ("0.0.0.0", 4000, "sendrecv", true),
        ("192.0.2.1", 0, "inactive", false),
    ] {
        assert_eq!(hold(address, port, direction), expected, "{address} {port} {direction}");
    }
}
