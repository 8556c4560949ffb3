//! What calls offer and answer, hold, codec changes, encryption, and who hears whom.

use super::*;
use crate::report::{CallMedia, Hold, Keys, Party as Side};

fn media(document: &Document) -> &CallMedia {
    only_call(document).media.as_ref().expect("descriptions")
}

fn ms(ms: u64) -> Timestamp {
    Timestamp::from_nanos(ms * MILLISECOND)
}

/// A description with these formats, version and direction.
fn described(host: [u8; 4], port: u16, version: u32, formats: &str, direction: &str) -> String {
    let [a, b, c, d] = host;
    format!(
        "v=0\r\no=- 1 {version} IN IP4 h\r\ns=-\r\nc=IN IP4 {a}.{b}.{c}.{d}\r\nt=0 0\r\nm=audio {port} RTP/AVP {formats}\r\n\
         a=rtpmap:96 AMR/8000\r\na=fmtp:96 mode-set=0,2,5,7\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n\
         a={direction}\r\n"
    )
}

fn both_ways(scene: Scene, from: u64, until: u64) -> Scene {
    scene
        .rtp(from, until, (ALICE, 20_000), (BOB, 30_000), 1)
        .rtp(from + 5, until, (BOB, 30_000), (ALICE, 20_000), 2)
}

#[test]
fn offers_and_answers_are_told_with_what_they_agreed_on() {
    let document = both_ways(Scene::new(), 1_100, 2_000)
        .call(
            &described(ALICE, 20_000, 1, "8 0 96 101", "sendrecv"),
            &described(BOB, 30_000, 1, "101 96", "sendrecv"),
        )
        // The same once more, as over UDP.
        .response(
            1_500,
            200,
            "INVITE",
            1,
            &described(BOB, 30_000, 1, "101 96", "sendrecv"),
        )
        .bye(2_100)
        .in_any_order();
    let media = media(&document);
    let said: Vec<_> = media
        .descriptions
        .iter()
        .map(|d| (d.at, d.by, d.method.as_str(), d.status_code))
        .collect();
    assert_eq!(
        said,
        [
            (ms(0), Some(Side::Caller), "INVITE", None),
            (ms(1_000), Some(Side::Callee), "INVITE", Some(200))
        ]
    );
    let line = &media.descriptions[0].media[0];
    assert_eq!(
        (line.address.as_deref(), line.port, line.ptime_ms),
        (Some("192.0.2.1"), 20_000, Some(20.0))
    );
    let codecs: Vec<_> = line
        .codecs
        .iter()
        .map(|c| (c.payload_type, c.name.as_deref()))
        .collect();
    assert_eq!(
        codecs,
        [
            (Some(8), Some("PCMA")),
            (Some(0), Some("PCMU")),
            (Some(96), Some("AMR")),
            (Some(101), Some("telephone-event"))
        ]
    );
    let [agreed] = media.negotiated.as_slice() else {
        panic!("one line, not {:?}", media.negotiated)
    };
    assert_eq!((agreed.at, agreed.codec.name.as_deref()), (ms(1_000), Some("AMR")));
    assert_eq!(agreed.codec.fmtp.as_deref(), Some("mode-set=0,2,5,7"));
    assert_eq!(media.answered, Some(ms(1_000)));
}

#[test]
fn hold_and_a_change_of_codec_are_told_with_their_times() {
    let offer = |version, formats, direction| described(ALICE, 20_000, version, formats, direction);
    let answer = |version, formats, direction| described(BOB, 30_000, version, formats, direction);
    let scene = Scene::new()
        .call(&offer(1, "0 8", "sendrecv"), &answer(1, "0", "sendrecv"))
        .request(3_000, "INVITE", 2, &offer(2, "0 8", "sendonly"))
        .response(3_100, 200, "INVITE", 2, &answer(2, "0", "recvonly"))
        .request(6_000, "UPDATE", 3, &offer(3, "8", "sendrecv"))
        .response(6_100, 200, "UPDATE", 3, &answer(3, "8", "sendrecv"))
        .bye(12_000);
    let document = both_ways(scene, 1_100, 3_000)
        .rtp(3_000, 12_000, (ALICE, 20_000), (BOB, 30_000), 1)
        .in_any_order();
    let media = media(&document);
    let hold = Hold {
        by: Some(Side::Caller),
        from: ms(3_000),
        until: Some(ms(6_000)),
    };
    assert_eq!((media.holds.as_slice(), media.codec_changes), (&[hold][..], 1));
    assert_eq!(media.negotiated[0].codec.name.as_deref(), Some("PCMA"));
    // Seven and nine tenths seconds both ways; on hold for three more.
    assert_eq!(only_call(&document).one_way, None);
}

/// An offer in the 200 is answered in the ACK (RFC 3261 section 13.2.1); one in a reliable 183 in the PRACK (RFC 3262 section 5).
#[test]
fn an_offer_may_come_from_the_callee() {
    for (code, acknowledgement) in [(200, "ACK"), (183, "PRACK")] {
        let document = Scene::new()
            .request(0, "INVITE", 1, "")
            .response(1_000, code, "INVITE", 1, &described(BOB, 30_000, 1, "0 8", "sendrecv"))
            .request(1_020, acknowledgement, 2, &described(ALICE, 20_000, 1, "8", "sendrecv"))
            .in_any_order();
        let media = media(&document);
        let by: Vec<_> = media.descriptions.iter().map(|d| d.by).collect();
        assert_eq!(by, [Some(Side::Callee), Some(Side::Caller)]);
        assert_eq!(media.negotiated[0].codec.name.as_deref(), Some("PCMA"));
    }
}

#[test]
fn a_call_of_many_refreshes_keeps_its_first_and_last_descriptions() {
    let mut scene = Scene::new().call(
        &described(ALICE, 20_000, 1, "0", "sendrecv"),
        &described(BOB, 30_000, 1, "0", "sendrecv"),
    );
    for n in 2..40u32 {
        let at = u64::from(n) * 1_000;
        scene = scene
            .request(at, "INVITE", n, &described(ALICE, 20_000, n, "0", "sendrecv"))
            .response(at + 100, 200, "INVITE", n, &described(BOB, 30_000, n, "0", "sendrecv"));
    }
    let scene = scene
        .request(50_000, "INVITE", 50, &described(ALICE, 20_000, 50, "8", "sendonly"))
        .response(50_100, 200, "INVITE", 50, &described(BOB, 30_000, 50, "8", "recvonly"));
    let document = scene.in_any_order();
    let media = media(&document);
    assert!(media.more_descriptions);
    assert_eq!(media.descriptions.len(), 14);
    assert_eq!(media.negotiated[0].codec.name.as_deref(), Some("PCMA"));
    assert_eq!(media.holds[0].from, ms(50_000));
}

#[test]
fn one_way_audio_is_flagged_where_both_were_to_speak() {
    let call = |offer: &str, answer: &str| {
        Scene::new().call(
            &described(ALICE, 20_000, 1, "0", offer),
            &described(BOB, 30_000, 1, "0", answer),
        )
    };
    let up = |scene: Scene| scene.rtp(1_100, 9_000, (ALICE, 20_000), (BOB, 30_000), 1);
    let down = |scene: Scene| scene.rtp(1_100, 9_000, (BOB, 30_000), (ALICE, 20_000), 2);
    let plain = || call("sendrecv", "sendrecv");
    let early = || plain().rtp(300, 900, (BOB, 30_000), (ALICE, 20_000), 2);
    for (scene, one_way, no_media) in [
        (up(plain()).bye(9_000), UP, false),
        (down(plain()).bye(9_000), DOWN, false),
        (up(down(plain())).bye(9_000), None, false),
        (plain().bye(9_000), None, true),
        // Early media is no talk; four seconds are too short to tell; who announces is to send only.
        (up(early()).bye(9_000), UP, false),
        (plain().bye(5_000), None, false),
        (up(call("sendonly", "recvonly")).bye(9_000), None, false),
        (call("inactive", "inactive").bye(9_000), None, false),
    ] {
        let document = scene.in_any_order();
        let call = only_call(&document);
        assert_eq!(
            (call.one_way, call.no_media),
            (one_way, no_media),
            "{:?}",
            document.streams
        );
    }
}

#[test]
fn encryption_is_what_both_sides_say() {
    let crypto = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n";
    let plain = |host, port| sdp(host, port);
    let keyed = |host, port| sdp(host, port) + crypto;
    let secure = |host, port| keyed(host, port).replace("RTP/AVP", "RTP/SAVP");
    for (offer, answer, expected) in [
        (plain(ALICE, 20_000), plain(BOB, 30_000), false),
        (secure(ALICE, 20_000), secure(BOB, 30_000), true),
        (keyed(ALICE, 20_000), keyed(BOB, 30_000), true),
        (keyed(ALICE, 20_000), plain(BOB, 30_000), false),
    ] {
        let document = both_ways(Scene::new().call(&offer, &answer), 1_100, 3_000).in_any_order();
        let encrypted: Vec<bool> = document.streams.iter().map(|s| s.encrypted.is_some()).collect();
        assert_eq!(encrypted, [expected; 2], "{offer}{answer}");
        let json = serde_json::to_string(&document).expect("a document");
        assert!(!json.contains("d0RmdmcmVCsp"), "the key is nobody's business");
        let keys = media(&document).descriptions[0].media[0].keys;
        assert_eq!(keys, offer.contains("crypto").then_some(Keys::Sdes));
    }
}

#[test]
fn handshakes_on_media_ports_have_outcomes_of_their_own() {
    let dtls = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0];
    let zrtp = [0x10, 0, 0, 1, b'Z', b'R', b'T', b'P', 0, 0, 0, 0];
    let follow = Follow::default();
    let mut engine = Engine::new(&follow, &Capture::default(), Arc::new(Shared::new(&follow)));
    for payload in [&dtls[..], &zrtp, &dtls[..14]] {
        take(&mut engine, &(0, udp((ALICE, 20_000), (BOB, 30_000), payload)));
    }
    let counters = engine.counters();
    let outcomes = [Outcome::Dtls, Outcome::Zrtp, Outcome::OtherUdp].map(|outcome| counters.outcomes.get(outcome));
    assert_eq!(outcomes, [1, 1, 1]);
}

#[test]
fn descriptions_beyond_the_memory_for_them_are_counted_and_their_media_found() {
    let scene = both_ways(Scene::new().call(&sdp(ALICE, 20_000), &sdp(BOB, 30_000)), 1_100, 3_000);
    let document = scene.following(&Follow {
        sdp_memory: 250,
        ..Follow::default()
    });
    assert_eq!(document.drops.get("sdp_not_kept"), Some(&1));
    assert_eq!(media(&document).descriptions.len(), 1);
    assert_eq!(
        links(&document),
        [(Some(LinkedBy::Destination), UP), (Some(LinkedBy::Destination), DOWN)]
    );
}

#[test]
fn the_memory_of_a_description_comes_back_with_its_call() {
    let follow = Follow {
        max_calls: 1,
        sdp_memory: 250,
        ..Follow::default()
    };
    let mut engine = Engine::new(&follow, &Capture::default(), Arc::new(Shared::new(&follow)));
    for n in 0..50 {
        let invite = message(
            "INVITE sip:b@x SIP/2.0",
            &n.to_string(),
            "1 INVITE",
            &sdp(ALICE, 20_000),
        );
        take(&mut engine, &(n, udp((ALICE, 5060), (BOB, 5060), &invite)));
    }
    let losses = &engine.counters().losses;
    assert_eq!((losses.get(Loss::CallEvicted), losses.get(Loss::SdpNotKept)), (49, 0));
}

/// Calls by how they ended, and those that were one-way and without media, once `scene` is long over.
fn forgotten(scene: Scene) -> ([u64; 2], u64, u64) {
    let follow = Follow {
        linger: Duration::from_secs(5),
        ..Follow::default()
    };
    let shared = Arc::new(Shared::new(&follow));
    let mut engine = Engine::new(&follow, &Capture::default(), Arc::clone(&shared));
    let mut frames = scene.frames;
    frames.sort_by_key(|(ts, _)| *ts);
    let mut last = Timestamp::ZERO;
    for frame in &frames {
        take(&mut engine, frame);
        last = Timestamp::from_nanos(frame.0);
        engine.tick(last);
    }
    let early = shared.calls.count(last);
    assert_eq!((early.one_way, early.no_media), (0, 0));
    for tick in 0..600 {
        engine.tick(last.plus(Duration::from_millis(100 * tick)));
    }
    assert!(shared.calls.is_empty());
    let count = shared.calls.count(last);
    // What is in the table and what has left it are told as one.
    assert_eq!(early.ended_by, count.ended_by);
    (count.ended_by.map(|(_, calls)| calls), count.one_way, count.no_media)
}

#[test]
fn calls_that_are_forgotten_leave_their_count() {
    let call = |offer: &str, answer: &str| {
        Scene::new().call(
            &described(ALICE, 20_000, 1, "0", offer),
            &described(BOB, 30_000, 1, "0", answer),
        )
    };
    let plain = || call("sendrecv", "sendrecv").bye(9_000);
    let up = |scene: Scene| scene.rtp(1_100, 9_000, (ALICE, 20_000), (BOB, 30_000), 1);
    let down = |scene: Scene| scene.rtp(1_100, 9_000, (BOB, 30_000), (ALICE, 20_000), 2);
    let early = |scene: Scene| scene.rtp(300, 900, (BOB, 30_000), (ALICE, 20_000), 2);
    assert_eq!(forgotten(up(down(plain()))), ([1, 0], 0, 0));
    assert_eq!(forgotten(up(plain())), ([1, 0], 1, 0));
    assert_eq!(forgotten(down(plain())), ([1, 0], 1, 0));
    assert_eq!(forgotten(up(early(plain()))), ([1, 0], 1, 0));
    assert_eq!(forgotten(plain()), ([1, 0], 0, 1));
    assert_eq!(forgotten(up(call("sendonly", "recvonly").bye(9_000))), ([1, 0], 0, 0));
}

/// A static type is announced by the media line alone (RFC 8866 section 6.6), and one that is not there was not asked for.
#[test]
fn a_static_type_is_held_against_the_media_line() {
    let mut frames = call(0, "one", (20_000, 30_000), 0xaaaa, 20);
    for (_, frame) in &mut frames {
        for (from, to) in [(&b"RTP/AVP 96"[..], b"RTP/AVP 18"), (b"a=rtpmap:9", b"a=unknown:")] {
            if let Some(at) = frame.windows(10).position(|text| text == from) {
                frame[at..at + 10].copy_from_slice(to);
            }
        }
        // The caller sends what the callee wants, the callee PCMA.
        match frame.get(50..54) {
            Some([0, 0, 0xaa, 0xaa]) => frame[43] = 18,
            Some([0, 0, 0xaa, 0xab]) => frame[43] = 8,
            _ => {}
        }
    }
    let told: Vec<_> = in_order(&frames)
        .streams
        .iter()
        .map(|stream| (stream.payload_type, stream.payload_types[0].announced))
        .collect();
    assert_eq!(told.len(), 2);
    assert!(
        told.contains(&(18, Some(true))) && told.contains(&(8, Some(false))),
        "{told:?}"
    );
}
