//! Media that comes from elsewhere than SDP says, or before it.

use super::*;
use crate::config::Nat;

const PRIVATE_A: [u8; 4] = [10, 0, 0, 5];
const PRIVATE_B: [u8; 4] = [192, 168, 1, 7];
const PUBLIC_A: [u8; 4] = [198, 51, 100, 7];
const PUBLIC_B: [u8; 4] = [203, 0, 113, 9];

fn follow(nat: &[Nat]) -> Follow {
    Follow {
        nat: nat.to_vec(),
        ..Follow::default()
    }
}

/// Early media from 0 on, five seconds before the 183 that announces where it goes.
fn early_media() -> Scene {
    Scene::new()
        .rtp(0, 10_000, (BOB, 30_000), (ALICE, 20_000), 7)
        .request(5_000, "INVITE", 1, &sdp(ALICE, 20_000))
        .response(5_100, 183, "INVITE", 1, &sdp(BOB, 30_000))
        .response(9_000, 200, "INVITE", 1, &sdp(BOB, 30_000))
        .bye(10_100)
}

#[test]
fn rtp_five_seconds_before_its_sdp_is_not_lost() {
    let document = early_media().in_any_order();
    let [stream] = document.streams.as_slice() else {
        panic!("one stream, not {:?}", document.streams)
    };
    assert_eq!((stream.packets, stream.lost, stream.clock_rate), (500, 0, Some(8000)));
    assert_eq!(stream.call_id.as_deref(), Some("c"));
    assert_eq!(links(&document), [(Some(LinkedBy::Destination), DOWN)]);
    assert_eq!(document.drops.get("stream_unjoined"), None);
}

#[test]
fn rtp_of_no_call_is_counted_and_told_of_where_it_is_asked_for() {
    let scene = Scene::new().rtp(0, 2_000, (BOB, 30_000), (ALICE, 20_000), 7);
    let document = scene.document();
    assert_eq!(document.streams, []);
    assert_eq!(document.drops.get("stream_unjoined"), Some(&1));
    let asked = scene.following(&Follow {
        rtp_without_sip: true,
        ..Follow::default()
    });
    assert_eq!(asked.streams.len(), 1);
    assert_eq!(links(&asked), [(None, None)]);
    assert_eq!(asked.drops.get("stream_unjoined"), None);
}

/// A flood of datagrams that look like RTP, each of another source, does not put out what behaves like RTP.
#[test]
fn the_waiting_room_is_bounded_and_keeps_what_behaves_like_rtp() {
    let mut scene = Scene::new().rtp(0, 3_000, (BOB, 30_000), (ALICE, 20_000), 7);
    for n in 0..1_000u16 {
        let noise = super::super::rtp(1000 + u32::from(n), n, 96);
        scene = scene.datagram(200 + u64::from(n), (BOB, 40_000), (ALICE, 40_000), &noise);
    }
    let scene =
        scene
            .request(2_500, "INVITE", 1, &sdp(ALICE, 20_000))
            .response(2_600, 183, "INVITE", 1, &sdp(BOB, 30_000));
    let document = scene.following(&Follow {
        waiting_room: 8,
        ..Follow::default()
    });
    let packets: Vec<u64> = document.streams.iter().map(|stream| stream.packets).collect();
    assert_eq!(packets, [150]);
    assert!(
        document
            .drops
            .get("waiting_evicted")
            .is_some_and(|evicted| *evicted > 900)
    );
}

/// Both parties are behind NAT that keeps ports: only the addresses their SIP comes from are on the wire.
fn private_addresses() -> Scene {
    Scene::between(PUBLIC_A, PUBLIC_B)
        .call(&sdp(PRIVATE_A, 4_000), &sdp(PRIVATE_B, 6_000))
        .rtp(1_100, 8_000, (PUBLIC_A, 4_000), (PUBLIC_B, 6_000), 1)
        .rtp(1_110, 8_000, (PUBLIC_B, 6_000), (PUBLIC_A, 4_000), 2)
        .bye(8_100)
}

#[test]
fn a_private_address_stands_for_the_one_its_sip_came_from() {
    let scene = private_addresses();
    let document = scene.in_any_order();
    let guess = Some(LinkedBy::SignalingAddress);
    assert_eq!(links(&document), [(guess, UP), (guess, DOWN)]);
    assert_eq!(only_call(&document).one_way, None);
    for nat in [&[][..], &[Nat::Symmetric]] {
        assert_eq!(scene.following(&follow(nat)).streams, [], "{nat:?}");
    }
}

/// The caller's NAT gives it another port; the callee sends from another one than it announced.
fn other_ports() -> Scene {
    Scene::between(PUBLIC_A, BOB)
        .call(&sdp(PRIVATE_A, 4_000), &sdp(BOB, 6_000))
        .rtp(1_100, 8_000, (PUBLIC_A, 61_234), (BOB, 6_000), 1)
        .rtp(1_110, 8_000, (BOB, 7_000), (PUBLIC_A, 61_234), 2)
        .bye(8_100)
}

#[test]
fn media_goes_back_to_where_it_comes_from() {
    let scene = other_ports();
    let document = scene.in_any_order();
    assert_eq!(
        links(&document),
        [(Some(LinkedBy::Destination), UP), (Some(LinkedBy::Symmetric), DOWN)]
    );
    assert!(document.streams.iter().all(|s| s.codec.as_deref() == Some("PCMX")));
    for nat in [&[][..], &[Nat::SignalingAddress]] {
        let document = scene.following(&follow(nat));
        assert_eq!(links(&document), [(Some(LinkedBy::Destination), UP)], "{nat:?}");
    }
}

/// Two callers behind one NAT announce the same port of theirs. The one whose media the NAT sends from that port is the one
/// that RTP shows; by the address of its SIP alone it is the one that announced it last.
#[test]
fn of_two_guesses_that_fit_the_first_in_the_configuration_decides() {
    let other = message("INVITE sip:z@x SIP/2.0", "other", "1 INVITE", &sdp(PRIVATE_B, 4_000));
    let scene = Scene::between(PUBLIC_A, BOB)
        .call(&sdp(PRIVATE_A, 4_000), &sdp(BOB, 6_000))
        .rtp(1_100, 8_000, (PUBLIC_A, 4_000), (BOB, 6_000), 1)
        .datagram(2_500, (PUBLIC_A, 5060), (BOB, 5060), &other)
        .rtp(3_000, 8_000, (BOB, 7_000), (PUBLIC_A, 4_000), 2);
    for (nat, by, call_id) in [
        (
            [Nat::SignalingAddress, Nat::Symmetric],
            LinkedBy::SignalingAddress,
            "other",
        ),
        ([Nat::Symmetric, Nat::SignalingAddress], LinkedBy::Symmetric, "c"),
    ] {
        let document = scene.following(&follow(&nat));
        let back = &document.streams[1];
        assert_eq!(
            (back.linked_by, back.call_id.as_deref()),
            (Some(by), Some(call_id)),
            "{nat:?}"
        );
    }
}

/// A guess is on an endpoint that another call announces itself: the other call has it from then on.
#[test]
fn what_sdp_says_wins_over_a_guess() {
    let mut scene = Scene::between(PUBLIC_A, PUBLIC_B)
        .call(&sdp(PRIVATE_A, 4_000), &sdp(PRIVATE_B, 6_000))
        .rtp(3_000, 6_000, (BOB, 7_000), (PUBLIC_A, 4_000), 2);
    let other = message("INVITE sip:z@x SIP/2.0", "other", "1 INVITE", &sdp(PUBLIC_A, 4_000));
    scene = scene.datagram(2_500, (PUBLIC_A, 5060), (BOB, 5060), &other);
    let document = scene.in_any_order();
    let streams: Vec<_> = document
        .streams
        .iter()
        .map(|s| (s.call_id.as_deref(), s.linked_by))
        .collect();
    assert_eq!(streams, [(Some("other"), Some(LinkedBy::Destination))]);
}

#[test]
fn candidates_and_sources_join_what_no_media_line_names() {
    let offer = "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\na=group:BUNDLE a v\r\na=fingerprint:sha-256 AA\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:a\r\na=rtcp-mux\r\na=rtpmap:96 opus/48000/2\r\n\
        a=candidate:1 1 udp 1 10.0.0.5 4000 typ host\r\na=candidate:2 1 udp 1 198.51.100.7 4444 typ srflx\r\n\
        m=video 0 UDP/TLS/RTP/SAVPF 97\r\nc=IN IP4 0.0.0.0\r\na=mid:v\r\na=bundle-only\r\na=rtpmap:97 VP8/90000\r\n\
        a=ssrc:77 cname:alice\r\n";
    let answer = "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\na=fingerprint:sha-256 BB\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=rtpmap:96 opus/48000/2\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 97\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:97 VP8/90000\r\n";
    let document = Scene::between(PUBLIC_A, PUBLIC_B)
        .call(offer, answer)
        .rtp(1_100, 3_000, (PUBLIC_B, 6_000), (PUBLIC_A, 4_444), 5)
        .rtp(1_110, 3_000, ([203, 0, 113, 77], 999), ([203, 0, 113, 78], 998), 77)
        .in_any_order();
    assert_eq!(
        links(&document),
        [(Some(LinkedBy::Ice), DOWN), (Some(LinkedBy::Ssrc), UP)]
    );
    assert!(document.streams.iter().all(|stream| stream.encrypted.is_some()));
    let call = only_call(&document);
    let media = call.media.as_ref().unwrap();
    let negotiated: Vec<_> = media.negotiated.iter().map(|n| n.codec.name.as_deref()).collect();
    assert_eq!(negotiated, [Some("opus"), Some("VP8")]);
}
