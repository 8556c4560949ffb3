//! How much of which frame is kept: by the level of its call, which rules say.

use super::*;
use crate::frame::Keep;
use crate::rules::{Change, Draft, Place, Rule, Said};
use capture_common::Level;

/// Ethernet, IPv4, UDP and the fixed header of RTP.
const HEADERS: u32 = 14 + 20 + 8 + 12;

fn rule(name: &str, level: Level, words: &[(&str, &str)]) -> Rule {
    let mut draft = Draft::default();
    draft.say("name", &Said::Text(name)).unwrap();
    draft.say("level", &Said::Text(level.label())).unwrap();
    for (word, text) in words {
        let said = match *word {
            "sample" => Said::Number(text.parse().unwrap()),
            "header" => Said::Header {
                name: "X-Customer",
                value: text,
            },
            _ => Said::Text(text),
        };
        draft.say(word, &said).unwrap();
    }
    draft.finish().unwrap()
}

/// Some lanes, what they share, and what they said of each frame.
struct Bench {
    shared: Arc<Shared>,
    lanes: Vec<Engine>,
}

impl Bench {
    fn new(lanes: usize, rules: &[Rule], default: Level) -> Self {
        Self::following(&Follow::default(), lanes, rules, default)
    }

    fn following(follow: &Follow, lanes: usize, rules: &[Rule], default: Level) -> Self {
        let shared = Arc::new(Shared::new(follow).with_rules(rules, default));
        let lane = || Engine::new(follow, &Capture::default(), Arc::clone(&shared));
        Self {
            lanes: std::iter::repeat_with(lane).take(lanes).collect(),
            shared,
        }
    }

    fn frame(&mut self, lane: usize, (ts, bytes): &Timed) -> Keep {
        let ts = Timestamp::from_nanos(*ts);
        let kept = self.lanes[lane].frame(&Frame {
            ts,
            link: LinkType::Ethernet,
            wire_len: bytes.len() as u32,
            bytes,
        });
        self.lanes[lane].tick(ts);
        kept
    }

    fn change(&self, change: Change) {
        self.shared.rules.change(change).unwrap();
        for part in 0.. {
            if !self.shared.judge_again(part) {
                return;
            }
        }
    }

    fn add(&self, rule: Rule) {
        self.change(Change::Add {
            rule: Box::new(rule),
            place: Some(Place::At(1)),
        });
    }

    /// The rule and the level of a call.
    fn call(&self, call_id: &str) -> (Option<String>, String) {
        let flow = one_call(&self.shared, Vec::new(), call_id, Timestamp::from_nanos(u64::MAX / 2));
        let [call] = flow.calls.as_slice() else {
            panic!("one call, not {:?}", flow.calls)
        };
        (call.rule.clone(), call.level.clone())
    }
}

fn is_rtp(frame: &Timed) -> bool {
    frame.1.len() == HEADERS as usize + 160
}

#[test]
fn each_call_is_kept_at_its_level() {
    let rules = [
        rule("of-one", Level::Full, &[("call_id", "full*")]),
        rule("of-two", Level::Headers, &[("call_id", "headers*")]),
        rule("rest", Level::Signaling, &[]),
    ];
    for (call_id, level, of_rtp) in [
        ("full-1", "full", Keep::All),
        ("headers-1", "headers", Keep::Head(HEADERS)),
        ("other-1", "signaling", Keep::Nothing),
    ] {
        let mut bench = Bench::new(1, &rules, Level::Full);
        for frame in call(0, call_id, (20_000, 30_000), 0xaaaa, 100) {
            let expected = if is_rtp(&frame) { of_rtp } else { Keep::All };
            assert_eq!(bench.frame(0, &frame), expected, "{call_id}");
        }
        // A receiver report of the call.
        let rtcp = [&[0x80, 201, 0, 1][..], &[0, 0, 0xaa, 0xab]].concat();
        let report = (2_000 * MILLISECOND, udp((CALLER, 20_001), (CALLEE, 30_001), &rtcp));
        assert_eq!(bench.frame(0, &report), Keep::All);
        assert_eq!(bench.call(call_id).1, level);
        let streams = bench.lanes[0].streams();
        let packets: u64 = streams.iter().map(|stream| stream.packets).sum();
        assert_eq!(packets, 199, "what is not kept is measured all the same");
        let list = bench.shared.rules.list();
        let counted: Vec<_> = list.entries().iter().map(|entry| entry.ruling.tally.get()).collect();
        assert_eq!(counted.iter().map(|(calls, _)| calls).sum::<u64>(), 1);
    }
}

#[test]
fn what_is_under_no_rule_has_the_default_level() {
    for (default, of_rtp) in [
        (Level::Signaling, Keep::Nothing),
        (Level::Headers, Keep::Head(HEADERS)),
        (Level::Full, Keep::All),
    ] {
        let mut bench = Bench::new(1, &[], default);
        for frame in call(0, "one", (20_000, 30_000), 0xaaaa, 10) {
            let expected = if is_rtp(&frame) { of_rtp } else { Keep::All };
            assert_eq!(bench.frame(0, &frame), expected);
        }
        // Of no call at all.
        let stray = (0, udp((CALLER, 40_000), (CALLEE, 40_002), &rtp(7, 1, 0)));
        assert_eq!(bench.frame(0, &stray), of_rtp);
        let other = (0, udp((CALLER, 40_000), (CALLEE, 40_002), b"neither"));
        assert_eq!(bench.frame(0, &other), Keep::All);
        assert_eq!(bench.call("one"), (None, default.label().to_owned()));
    }
}

#[test]
fn early_media_has_the_default_level_until_its_call_is_known() {
    let rules = [rule("all", Level::Headers, &[])];
    let mut bench = Bench::new(2, &rules, Level::Signaling);
    let frames = call(0, "one", (20_000, 30_000), 0xaaaa, 100);
    let (media, sip): (Vec<&Timed>, Vec<&Timed>) = frames.iter().partition(|frame| is_rtp(frame));
    let (early, later) = media.split_at(20);
    for frame in early {
        assert_eq!(bench.frame(0, frame), Keep::Nothing);
    }
    // The SIP of the call, all but the BYE, on another lane.
    for frame in sip.iter().take(5) {
        assert_eq!(bench.frame(1, frame), Keep::All);
    }
    let kept: Vec<Keep> = later.iter().map(|frame| bench.frame(0, frame)).collect();
    // A stream without a call looks for one every eight packets.
    let waiting = kept.iter().take_while(|keep| **keep == Keep::Nothing).count();
    assert!(waiting <= 2 * 8, "{waiting}");
    assert!(kept.iter().skip(2 * 8).all(|keep| *keep == Keep::Head(HEADERS)));
}

#[test]
fn telephone_events_stay_whole_where_payload_is_cut() {
    let rules = [rule("all", Level::Headers, &[])];
    let mut bench = Bench::new(1, &rules, Level::Full);
    let frames = call(0, "one", (20_000, 30_000), 0xaaaa, 20);
    let mapped = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.replace(
            "RTP/AVP 96\r\n",
            "RTP/AVP 96 101\r\na=rtpmap:101 telephone-event/8000\r\n",
        )
    };
    let sip = |src, dst, start: &str, port| {
        let body = mapped(sdp(src, port).as_bytes());
        udp((src, 5060), (dst, 5060), &message(start, "one", "1 INVITE", &body))
    };
    bench.frame(0, &(0, sip(CALLER, CALLEE, "INVITE sip:b@x SIP/2.0", 20_000)));
    bench.frame(0, &(1, sip(CALLEE, CALLER, "SIP/2.0 200 OK", 30_000)));
    for frame in frames.iter().filter(|frame| is_rtp(frame)) {
        assert_eq!(bench.frame(0, frame), Keep::Head(HEADERS));
    }
    let mut event = rtp(0xaaaa, 20, 101);
    event.truncate(12);
    event.extend([5, 10, 0, 160]);
    let event = (
        frames.last().unwrap().0,
        udp((CALLER, 20_000), (CALLEE, 30_000), &event),
    );
    assert_eq!(bench.frame(0, &event), Keep::All);
}

/// A call that goes on, with 1,000 packets each way, and where its media begin.
fn long_call(with: impl Fn(String) -> String) -> (Vec<Timed>, Vec<Timed>) {
    let frames = call(0, "one", (20_000, 30_000), 0xaaaa, 1_000);
    let (media, sip): (Vec<Timed>, Vec<Timed>) = frames.into_iter().partition(is_rtp);
    let invite = String::from_utf8(sip[0].1[42..].to_vec()).unwrap();
    let mut sip = sip;
    sip[0].1 = udp((CALLER, 5060), (CALLEE, 5060), with(invite).as_bytes());
    sip.truncate(5);
    (sip, media)
}

#[test]
fn a_change_of_the_rules_reaches_calls_under_way() {
    let with = |invite: String| {
        let headers = "Call-ID: one\r\nUser-Agent: Yealink SIP-T46\r\nX-Customer: acme";
        invite.replace("Call-ID: one", headers)
    };
    let (sip, media) = long_call(with);
    let mut bench = Bench::new(1, &[], Level::Full);
    for frame in &sip {
        assert_eq!(bench.frame(0, frame), Keep::All);
    }
    let mut media = media.iter();
    let mut next = |bench: &mut Bench, packets: usize| -> Vec<Keep> {
        media
            .by_ref()
            .take(packets)
            .map(|frame| bench.frame(0, frame))
            .collect()
    };
    assert!(next(&mut bench, 100).iter().all(|keep| *keep == Keep::All));
    // What the call keeps of its messages decides at once, a stream looks every 64 packets.
    for (word, text) in [
        ("from", "a@x"),
        ("to", "b"),
        ("address", "192.0.2.2"),
        ("call_id", "o?e"),
        ("user_agent", "yealink*"),
        ("codec", "pcmx"),
        ("sample", "1"),
    ] {
        bench.add(rule(word, Level::Headers, &[(word, text)]));
        assert_eq!(bench.call("one").0.as_deref(), Some(word));
        next(&mut bench, 2 * 64);
        assert!(
            next(&mut bench, 10).iter().all(|keep| *keep == Keep::Head(HEADERS)),
            "{word}"
        );
        bench.change(Change::Remove { name: word.to_owned() });
        assert_eq!(bench.call("one").0, None);
        next(&mut bench, 2 * 64);
        assert!(next(&mut bench, 10).iter().all(|keep| *keep == Keep::All), "{word}");
    }
    // Of a header that it does not keep the call knows nothing, until a message has it again.
    bench.add(rule("customer", Level::Signaling, &[("header", "acme")]));
    assert_eq!(bench.call("one").0, None);
    bench.frame(0, &sip[0]);
    assert_eq!(bench.call("one").0.as_deref(), Some("customer"));
}

#[test]
fn a_change_of_another_rule_moves_nothing() {
    let (sip, media) = long_call(|invite| invite);
    let mut bench = Bench::new(1, &[rule("all", Level::Headers, &[])], Level::Full);
    for frame in sip.iter().chain(&media[..300]) {
        bench.frame(0, frame);
    }
    let tally = |bench: &Bench| bench.shared.rules.list().entries().last().unwrap().ruling.tally.get();
    assert_eq!(tally(&bench).0, 1);
    bench.add(rule("nobody", Level::Full, &[("from", "nobody")]));
    assert_eq!(bench.call("one").0.as_deref(), Some("all"));
    for frame in &media[300..600] {
        assert_eq!(bench.frame(0, frame), Keep::Head(HEADERS));
    }
    bench.lanes[0].finish();
    assert_eq!(
        tally(&bench),
        (1, 600),
        "counted once, and its packets through the change"
    );
}

#[test]
fn what_held_of_a_call_holds_where_other_rules_change() {
    let rules = [
        rule("customer", Level::Headers, &[("header", "acme")]),
        rule("agent", Level::Headers, &[("user_agent", "Callee*")]),
    ];
    for (name, header) in [("customer", "X-Customer: acme"), ("agent", "Server: Callee 1.0")] {
        let mut bench = Bench::new(1, &rules, Level::Full);
        let frames = call(0, "one", (20_000, 30_000), 0xaaaa, 0);
        for (number, (at, bytes)) in frames[..5].iter().enumerate() {
            let text = String::from_utf8(bytes[42..].to_vec()).unwrap();
            // In a response: no header of it is kept with the call.
            let text = match number {
                3 => text.replace("Call-ID: one", &format!("Call-ID: one\r\n{header}")),
                _ => text,
            };
            let ends = if matches!(number, 0 | 4) {
                (CALLER, CALLEE)
            } else {
                (CALLEE, CALLER)
            };
            bench.frame(0, &(*at, udp((ends.0, 5060), (ends.1, 5060), text.as_bytes())));
        }
        assert_eq!(bench.call("one").0.as_deref(), Some(name));
        for number in 0..70 {
            bench.add(rule(&format!("nobody-{number}"), Level::Full, &[("from", "nobody")]));
            assert_eq!(bench.call("one").0.as_deref(), Some(name), "{number}");
        }
        let changed = |words: &[(&str, &str)]| {
            let mut draft = Draft::default();
            for (word, text) in words {
                let said = match *word {
                    "header" => Said::Header {
                        name: "X-Customer",
                        value: text,
                    },
                    _ => Said::Text(text),
                };
                draft.say(word, &said).unwrap();
            }
            Change::Change {
                name: name.to_owned(),
                draft: Box::new(draft),
                without: Vec::new(),
                place: Some(Place::At(3)),
            }
        };
        bench.change(changed(&[("level", "signaling")]));
        assert_eq!(bench.call("one"), (Some(name.to_owned()), "signaling".to_owned()));
        let other = if name == "customer" {
            [("header", "a*")]
        } else {
            [("user_agent", "C*")]
        };
        bench.change(changed(&other));
        assert_eq!(bench.call("one").0, None, "that it does not know");
    }
}

#[test]
fn a_call_counts_once_for_each_rule_it_was_under() {
    let mut bench = Bench::new(1, &[rule("a", Level::Headers, &[])], Level::Full);
    for frame in &call(0, "one", (20_000, 30_000), 0xaaaa, 10) {
        bench.frame(0, frame);
    }
    let tally = |bench: &Bench| bench.shared.rules.list().entries().last().unwrap().ruling.tally.get().0;
    for _ in 0..3 {
        bench.add(rule("b", Level::Full, &[("from", "a")]));
        assert_eq!(bench.call("one").0.as_deref(), Some("b"));
        bench.change(Change::Remove { name: "b".to_owned() });
        assert_eq!((bench.call("one").0.as_deref(), tally(&bench)), (Some("a"), 1));
    }
}

#[test]
fn a_change_of_the_rules_reaches_media_whose_call_is_forgotten() {
    let follow = Follow {
        max_calls: 1,
        ..Follow::default()
    };
    let rules = [
        rule("one", Level::Headers, &[("call_id", "one")]),
        rule("two", Level::Headers, &[("call_id", "two")]),
    ];
    let mut bench = Bench::following(&follow, 1, &rules, Level::Full);
    let (sip, media) = long_call(|invite| invite);
    for frame in sip.iter().chain(&media[..100]) {
        bench.frame(0, frame);
    }
    for frame in &call(media[100].0, "two", (21_000, 31_000), 0xbbbb, 0)[..5] {
        bench.frame(0, frame);
    }
    assert!(
        one_call(&bench.shared, Vec::new(), "one", Timestamp::ZERO)
            .calls
            .is_empty(),
        "it had to leave"
    );
    let mut media = media[100..].iter();
    let mut last = |bench: &mut Bench| {
        media
            .by_ref()
            .take(200)
            .map(|frame| bench.frame(0, frame))
            .last()
            .unwrap()
    };
    assert_eq!(last(&mut bench), Keep::Head(HEADERS));
    bench.change(Change::Remove { name: "two".to_owned() });
    assert_eq!(last(&mut bench), Keep::Head(HEADERS), "its rule is as it was");
    bench.change(Change::Remove { name: "one".to_owned() });
    assert_eq!(last(&mut bench), Keep::All);
}

#[test]
fn where_no_media_is_kept_what_goes_with_it_is_not_either() {
    let handshake = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 1, 0];
    for (level, kept) in [
        (Level::Signaling, Keep::Nothing),
        (Level::Headers, Keep::All),
        (Level::Full, Keep::All),
    ] {
        let mut by_rule = Bench::new(1, &[rule("all", level, &[])], Level::Full);
        let mut by_default = Bench::new(1, &[], level);
        for bench in [&mut by_rule, &mut by_default] {
            for frame in &call(0, "one", (20_000, 30_000), 0xaaaa, 0)[..5] {
                bench.frame(0, frame);
            }
            let frame = (600 * MILLISECOND, udp((CALLER, 20_000), (CALLEE, 30_000), &handshake));
            assert_eq!(bench.frame(0, &frame), kept, "{level:?}");
            assert_eq!(bench.lanes[0].counters().outcomes.get(Outcome::Dtls), 1);
        }
    }
}

/// A proxy that changes the Call-ID and leaves the media where it is makes two calls with the same endpoints.
#[test]
fn of_two_calls_with_the_same_media_the_one_of_which_more_is_wanted_decides() {
    for wanted in ["one", "two"] {
        for default in [Level::Headers, Level::Signaling] {
            let mut bench = Bench::new(1, &[rule("of-one", Level::Full, &[("call_id", wanted)])], default);
            let legs = ["one", "two"].map(|call_id| call(0, call_id, (20_000, 30_000), 0xaaaa, 200));
            let [(media, sip), (_, other)] = legs.map(|frames| frames.into_iter().partition::<Vec<Timed>, _>(is_rtp));
            for frame in sip[..5].iter().chain(&other[..5]) {
                bench.frame(0, frame);
            }
            for (number, frame) in media[..200].iter().enumerate() {
                assert_eq!(
                    bench.frame(0, frame),
                    Keep::All,
                    "{wanted}, {default:?}: packet {number}"
                );
            }
            // The leg it is wanted of is over, and so is its claim.
            let over = if wanted == "one" { &sip } else { &other };
            let at = media[200].0;
            for (_, bytes) in &over[5..] {
                bench.frame(0, &(at, bytes.clone()));
            }
            let rest: Vec<Keep> = media[200..].iter().map(|frame| bench.frame(0, frame)).collect();
            assert!(
                rest[2 * 64..].iter().all(|keep| *keep != Keep::All),
                "{wanted}, {default:?}"
            );
        }
    }
}

/// What the kernel program drops by the level of a call does not cross, and is not lost.
#[test]
fn what_a_level_kept_from_crossing_was_not_lost() {
    for default in [Level::Full, Level::Headers] {
        let (sip, media) = long_call(|invite| invite);
        let mut bench = Bench::new(1, &[], default);
        for frame in sip.iter().chain(&media[..400]) {
            bench.frame(0, frame);
        }
        bench.add(rule("none", Level::Signaling, &[("call_id", "one")]));
        // The sweep sees that nothing is to come.
        let at = Timestamp::from_nanos(media[400].0);
        bench.lanes[0].tick(at.plus(Duration::from_millis(200)));
        bench.change(Change::Remove {
            name: "none".to_owned(),
        });
        for frame in &media[1_000..] {
            bench.frame(0, frame);
        }
        let told = bench.lanes[0].streams();
        let [caller, callee] = told.as_slice() else {
            panic!("two streams, not {told:?}")
        };
        assert_eq!(
            (caller.packets, caller.lost, caller.expected),
            (699, 1, 700),
            "its third packet was lost"
        );
        assert_eq!((callee.packets, callee.lost, callee.expected), (700, 0, 700));
        for stream in [caller, callee] {
            assert_eq!(stream.restarts, 0, "the sender went on");
            let delta = stream.delta.as_ref().unwrap();
            assert!(delta.max_ms < 41.0 && delta.mean_ms < 21.0, "{delta:?}");
            assert_eq!(stream.silence, None);
            assert!(
                stream.burst.as_ref().is_none_or(|burst| burst.longest == 1),
                "{:?}",
                stream.burst
            );
        }
    }
}

/// Where they crossed all the same, the account goes on.
#[test]
fn what_crosses_while_none_of_it_is_kept_is_one_stream() {
    let (sip, media) = long_call(|invite| invite);
    let mut bench = Bench::new(1, &[], Level::Full);
    for frame in sip.iter().chain(&media[..400]) {
        bench.frame(0, frame);
    }
    bench.add(rule("none", Level::Signaling, &[("call_id", "one")]));
    for frame in &media[400..800] {
        bench.frame(0, frame);
    }
    bench.change(Change::Remove {
        name: "none".to_owned(),
    });
    for frame in media[800..]
        .iter()
        .filter(|(at, _)| !(at / MILLISECOND).is_multiple_of(1_000))
    {
        bench.frame(0, frame);
    }
    let told = bench.lanes[0].streams();
    assert_eq!(told[0].expected, 1_000);
    assert_eq!(told[0].lost + told[1].lost, 2_000 - told[0].packets - told[1].packets);
}

#[test]
fn who_hangs_up_is_not_who_calls() {
    let rules = [
        rule("from-b", Level::Signaling, &[("from", "b")]),
        rule("from-a", Level::Headers, &[("from", "a")]),
    ];
    let mut bench = Bench::new(1, &rules, Level::Full);
    let mut frames = call(0, "one", (20_000, 30_000), 0xaaaa, 10);
    // In a request of the callee the URIs have changed places (RFC 3261 section 12.2.1.1).
    let bye = String::from_utf8(message("BYE sip:a@x SIP/2.0", "one", "7 BYE", "")).unwrap();
    let bye = bye
        .replace("<sip:a@x>;tag=1", "<sip:b@x>;tag=2")
        .replace("To: <sip:b@x>", "To: <sip:a@x>;tag=1");
    let at = frames.len() - 2;
    frames.truncate(at);
    frames.push((700 * MILLISECOND, udp((CALLEE, 5060), (CALLER, 5060), bye.as_bytes())));
    for frame in frames.iter().rev() {
        bench.frame(0, frame);
    }
    assert_eq!(bench.call("one").0.as_deref(), Some("from-a"));
}

proptest! {
    #[test]
    fn neither_the_order_of_messages_nor_their_lanes_decide(
        shuffled in Just((0..7_usize).collect::<Vec<_>>()).prop_shuffle(),
        lanes in prop::collection::vec(0..2_usize, 7),
        first in 0..5_usize,
    ) {
        let words = [("user_agent", "callee*"), ("codec", "PCMX"), ("header", "acme"), ("from", "a"), ("address", "192.0.2.2")];
        let rules: Vec<Rule> = (0..5)
            .map(|at| (first + at) % 5)
            .map(|at| rule(words[at].0, Level::Headers, &[words[at]]))
            .collect();
        let frames = call(0, "one", (20_000, 30_000), 0xaaaa, 0);
        let frames: Vec<Timed> = frames
            .into_iter()
            .enumerate()
            .map(|(at, (ts, bytes))| {
                let text = String::from_utf8(bytes[42..].to_vec()).unwrap();
                let more = match at {
                    3 => "Call-ID: one\r\nServer: Callee 1.0",
                    6 => "Call-ID: one\r\nX-Customer: acme",
                    _ => "Call-ID: one",
                };
                let text = text.replace("Call-ID: one", more);
                let ends = if matches!(at, 0 | 4 | 5) { (CALLER, CALLEE) } else { (CALLEE, CALLER) };
                (ts, udp((ends.0, 5060), (ends.1, 5060), text.as_bytes()))
            })
            .collect();
        let mut bench = Bench::new(2, &rules, Level::Full);
        for (at, lane) in shuffled.iter().zip(&lanes) {
            bench.frame(*lane, &frames[*at]);
        }
        prop_assert_eq!(bench.call("one"), (Some(words[first].0.to_owned()), "headers".to_owned()));
    }
}
