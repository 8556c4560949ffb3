//! One property of the engine at a time.

use super::*;

/// The same messages over TCP, in segments of `size`.
fn over_tcp(size: usize) -> Vec<Timed> {
    let texts = [
        message("INVITE sip:b@x SIP/2.0", "t", "1 INVITE", &sdp(CALLER, 20_000)),
        b"\r\n\r\n".to_vec(),
        message("CANCEL sip:b@x SIP/2.0", "t", "1 CANCEL", ""),
        message("REGISTER sip:x SIP/2.0", "r", "1 REGISTER", ""),
    ];
    let mut frames = vec![(0, tcp((CALLER, 40_000), (CALLEE, 5060), 999, 0x02, b""))];
    let mut seq = 1_000;
    for (n, bytes) in texts.concat().chunks(size).enumerate() {
        let ts = (n as u64 + 1) * MILLISECOND;
        frames.push((ts, tcp((CALLER, 40_000), (CALLEE, 5060), seq, 0x18, bytes)));
        seq += bytes.len() as u32;
    }
    frames
}

#[test]
fn messages_over_tcp_are_found_however_they_are_cut() {
    for size in [1, 7, 100, 10_000] {
        let document = in_order(&over_tcp(size));
        let requests: Vec<_> = document
            .sip
            .requests
            .iter()
            .map(|(method, n)| (method.as_str(), *n))
            .collect();
        assert_eq!(requests, [("CANCEL", 1), ("INVITE", 1), ("REGISTER", 1)], "{size}");
        assert_eq!((document.calls.len(), document.registrations.len()), (1, 1));
        assert_eq!(document.drops, [].into());
    }
}

#[test]
fn a_gap_in_tcp_costs_what_it_held_and_no_more() {
    let mut frames = over_tcp(100);
    frames.remove(2);
    let document = in_order(&frames);
    let requests: Vec<_> = document.sip.requests.keys().map(String::as_str).collect();
    assert_eq!(requests, ["CANCEL", "REGISTER"]);
    assert_eq!(document.drops, [("tcp_gap".to_owned(), 1)].into());
}

#[test]
fn each_kind_of_frame_has_its_outcome() {
    let sip = |payload: &[u8]| (0, udp((CALLER, 5060), (CALLEE, 40_000), payload));
    let other = |payload: &[u8]| (0, udp((CALLER, 4_000), (CALLEE, 4_000), payload));
    let options = message("OPTIONS sip:b@x SIP/2.0", "o", "1 OPTIONS", "");
    let cases = [
        (sip(b"\r\n\r\n"), Outcome::Keepalive),
        (sip(b"\0\0\0\0"), Outcome::Keepalive),
        (sip(b"hello"), Outcome::SipMalformed),
        (sip(b"OPTIONS sip:b@x SIP/2.0\r\n\r\n"), Outcome::SipMalformed),
        (sip(&options), Outcome::SipUdp),
        (other(&options), Outcome::SipUdp),
        (other(b"hello"), Outcome::OtherUdp),
        (other(&[0x80, 200, 0, 1, 0, 0, 0, 1]), Outcome::Rtcp),
        (
            (0, tcp((CALLER, 80), (CALLEE, 4_000), 1, 0x18, b"GET / HTTP/1.1")),
            Outcome::OtherTcp,
        ),
        (
            (0, tcp((CALLER, 80), (CALLEE, 4_000), 1, 0x18, &options)),
            Outcome::SipTcp,
        ),
        ((0, vec![0; 14]), Outcome::NotIp),
    ];
    for (frame, outcome) in cases {
        let follow = Follow::default();
        let mut engine = Engine::new(&follow, &Capture::default(), Arc::new(Shared::new(&follow)));
        take(&mut engine, &frame);
        let counters = engine.counters();
        assert_eq!(counters.outcomes.get(outcome), 1, "{outcome:?}");
        assert_eq!(counters.frames.get(), 1);
    }
}

#[test]
fn what_began_as_sip_and_is_none_is_counted_by_reason() {
    let follow = Follow::default();
    let mut engine = Engine::new(&follow, &Capture::default(), Arc::new(Shared::new(&follow)));
    for payload in [
        &b"hello"[..],
        b"OPTIONS sip:b@x SIP/2.0\r\n\r\n",
        b"SIP/7.0 200 OK\r\n\r\n",
    ] {
        take(&mut engine, &(0, udp((CALLER, 5060), (CALLEE, 5060), payload)));
    }
    let counters = engine.counters();
    assert_eq!(counters.malformed_for(Malformed::CallId), 1);
    assert_eq!(counters.malformed_for(Malformed::Version), 1);
    assert_eq!(counters.requests(Method::Options), 0);
    let shared = Shared::new(&follow);
    let document = document(&shared, &[counters], Vec::new(), Timestamp::ZERO);
    assert_eq!(document.sip.malformed, 2);
    assert_eq!(document.drops, [("sip_malformed".to_owned(), 3)].into());
}

#[test]
fn media_nobody_can_send_is_not_announced() {
    for description in [
        sdp([0, 0, 0, 0], 20_000),
        sdp(CALLER, 0),
        sdp(CALLER, 20_000).replace("RTP/AVP", "TCP/MSRP"),
        sdp(CALLER, 9),
        sdp(CALLER, 20_000).replace("c=IN IP4 192.0.2.1", "c=IN IP4 host.example"),
    ] {
        let follow = Follow::default();
        let shared = Arc::new(Shared::new(&follow));
        let mut engine = Engine::new(&follow, &Capture::default(), Arc::clone(&shared));
        let invite = message("INVITE sip:b@x SIP/2.0", "x", "1 INVITE", &description);
        take(&mut engine, &(0, udp((CALLER, 5060), (CALLEE, 5060), &invite)));
        assert_eq!(shared.calls.report(Timestamp::ZERO).len(), 1);
        assert!(shared.endpoints.is_empty(), "{description}");
    }
}

#[test]
fn what_a_refusal_would_accept_is_no_place_for_media() {
    let follow = Follow::default();
    let shared = Arc::new(Shared::new(&follow));
    let mut engine = Engine::new(&follow, &Capture::default(), Arc::clone(&shared));
    let mut down = |start: &str| {
        let response = message(start, "x", "1 INVITE", &sdp(CALLEE, 30_000));
        take(&mut engine, &(0, udp((CALLEE, 5060), (CALLER, 5060), &response)));
        shared.endpoints.len()
    };
    assert_eq!(down("SIP/2.0 488 Not Acceptable Here"), 0);
    assert_eq!(down("SIP/2.0 183 Session Progress"), 2, "RTP and RTCP");
}

#[test]
fn a_connection_joined_in_the_middle_or_on_another_port_is_read_from_its_next_message() {
    let options = message("OPTIONS sip:b@x SIP/2.0", "o", "1 OPTIONS", "");
    let (first, second) = options.split_at(10);
    let segments = |port: u16, texts: &[&[u8]]| {
        let mut seq = 1;
        let mut frames = Vec::new();
        for text in texts {
            frames.push((0, tcp((CALLER, 40_000), (CALLEE, port), seq, 0x18, text)));
            seq += text.len() as u32;
        }
        in_order(&frames)
    };
    let joined = segments(5060, &[b"\r\nend of a body\r\n", &options]);
    assert_eq!((joined.sip.messages, joined.drops), (1, [].into()));
    let elsewhere = segments(4_000, &[first, second]);
    assert_eq!(
        (elsewhere.sip.messages, elsewhere.drops),
        (0, [("other_tcp".to_owned(), 2)].into())
    );
    let whole_line = options.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
    let (first, second) = options.split_at(whole_line);
    let elsewhere = segments(4_000, &[first, second]);
    assert_eq!((elsewhere.sip.messages, elsewhere.drops), (1, [].into()));
    let garbage = segments(5060, &[&options, b"no SIP at all\r\n"]);
    assert_eq!(
        (garbage.sip.messages, garbage.drops),
        (1, [("tcp_sip_malformed".to_owned(), 1)].into())
    );
}

#[test]
fn time_clears_what_is_over() {
    let follow = Follow::default();
    let shared = Arc::new(Shared::new(&follow));
    let mut engine = Engine::new(&follow, &Capture::default(), Arc::clone(&shared));
    let register = message("REGISTER sip:x SIP/2.0", "r", "1 REGISTER", "");
    let refused = message("SIP/2.0 407 x", "r2", "1 INVITE", "");
    let invite = message("INVITE sip:b@x SIP/2.0", "r2", "1 INVITE", &sdp(CALLER, 40_000));
    let mut frames = call(0, "one", (20_000, 30_000), 0xaaaa, 50);
    frames.extend([register, invite].map(|text| (0, udp((CALLER, 5060), (CALLEE, 5060), &text))));
    frames.push((1, udp((CALLEE, 5060), (CALLER, 5060), &refused)));
    for frame in &frames {
        take(&mut engine, frame);
    }
    let held = |engine: &mut Engine, now| {
        let tables = (shared.calls.report(now).len(), shared.registrations.report(now).len());
        (tables, shared.endpoints.len(), engine.streams().len())
    };
    // Each place of RTP has one of RTCP beside it.
    assert_eq!(held(&mut engine, Timestamp::ZERO), ((2, 1), 6, 2));
    // A tick looks at one part of 64 of each table.
    let mut now = Timestamp::ZERO.plus(follow.linger).minus(TICK * 64);
    for _ in 0..64 {
        now = now.plus(TICK);
        engine.tick(now);
    }
    assert_eq!(held(&mut engine, now).0, (2, 1), "nothing is old enough");
    now = now.plus(follow.linger);
    for _ in 0..64 {
        now = now.plus(TICK);
        engine.tick(now);
    }
    assert_eq!((held(&mut engine, now).0, engine.streams().len()), ((0, 0), 0));
    // The refused call's endpoint was only now given back, and lingers.
    now = now.plus(follow.linger * 2);
    for _ in 0..64 {
        now = now.plus(TICK);
        engine.tick(now);
    }
    assert_eq!(held(&mut engine, now), ((0, 0), 0, 0));
}

#[test]
fn a_full_table_counts_what_it_loses() {
    let follow = Follow {
        max_calls: 2,
        max_registrations: 3,
        max_transactions: 4,
        ..Follow::default()
    };
    let mut engine = Engine::new(&follow, &Capture::default(), Arc::new(Shared::new(&follow)));
    for n in 0..10 {
        for method in ["INVITE", "REGISTER"] {
            let text = message(
                &format!("{method} sip:b@x SIP/2.0"),
                &n.to_string(),
                &format!("1 {method}"),
                "",
            );
            take(&mut engine, &(n, udp((CALLER, 5060), (CALLEE, 5060), &text)));
        }
    }
    let losses = &engine.counters().losses;
    assert_eq!(losses.get(Loss::CallEvicted), 8);
    assert_eq!(losses.get(Loss::RegistrationEvicted), 7);
    assert_eq!(losses.get(Loss::TransactionEvicted), 16);
}

#[test]
fn a_call_id_that_is_used_again_is_two_calls_each_with_its_streams_and_its_ladder() {
    let mut frames = call(0, "one", (20_000, 30_000), 0xaaaa, 20);
    frames.extend(call(60_000 * MILLISECOND, "one", (20_002, 30_002), 0xbbbb, 20));
    let document = in_order(&frames);
    let told: Vec<_> = document
        .calls
        .iter()
        .map(|call| (call.streams.join(" "), call.ladder.len(), call.state))
        .collect();
    assert_eq!(
        told,
        [
            ("0x0000aaaa 0x0000aaab".to_owned(), 7, CallState::Ended),
            ("0x0000bbbb 0x0000bbbc".to_owned(), 7, CallState::Ended)
        ]
    );
    let follow = Follow::default();
    let shared = Arc::new(Shared::new(&follow));
    let mut engine = Engine::new(&follow, &Capture::default(), Arc::clone(&shared));
    frames.iter().for_each(|frame| take(&mut engine, frame));
    let now = Timestamp::from_nanos(70_000 * MILLISECOND);
    let streams = engine.streams();
    assert_eq!(one_call(&shared, &streams, "one", now), document.calls);
    assert_eq!(one_call(&shared, &streams, "two", now), []);
    // A list has no ladders.
    assert!(calls(&shared, &streams, now).iter().all(|call| call.ladder.is_empty()));
}
