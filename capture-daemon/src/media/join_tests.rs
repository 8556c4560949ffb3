//! A stream that asks again only where something is known to have changed is where one is that asks at each packet.

use capture_common::Level;
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::announcement::Srtp;
use super::super::rtp::Packet;
use super::*;
use crate::config::Follow;
use crate::rules::Ruling;

const CALLS: [&str; 3] = ["a", "b", "c"];

/// Something of a call, and when it was on the wire.
#[derive(Clone, Debug)]
enum Said {
    Announced {
        call: usize,
        place: Place,
        basis: Basis,
        author: Author,
    },
    BegunBy {
        call: usize,
        tag: u64,
    },
    Released {
        call: usize,
    },
    UnderRule {
        call: usize,
        level: Option<Level>,
    },
}

/// What a lane comes to next: a packet of the stream, `after` so many milliseconds; or what is said, at a time that the stream's lane has
/// not come to, or has passed.
#[derive(Clone, Debug)]
enum Step {
    Packet { after: u64 },
    Said { apart: i64, said: Said },
}

fn endpoint(port: u16) -> Endpoint {
    Endpoint::v4([192, 0, 2, 1], port)
}

fn said() -> impl Strategy<Value = Said> {
    let call = || 0..CALLS.len();
    let place = prop_oneof![
        8 => (1u16..=3).prop_map(|port| Place::At(endpoint(port * 1000))),
        1 => Just(Place::Ssrc(7)),
        1 => Just(Place::Ssrc(8)),
    ];
    let basis = prop_oneof![
        3 => Just(Basis::Described),
        1 => Just(Basis::Candidate),
        1 => Just(Basis::SignalingAddress),
        1 => Just(Basis::Symmetric),
    ];
    let author = (1u64..=2, any::<bool>()).prop_map(|(tag, peer)| Author { tag, peer });
    let level = prop_oneof![
        Just(None),
        Just(Some(Level::Signaling)),
        Just(Some(Level::Headers)),
        Just(Some(Level::Full)),
    ];
    prop_oneof![
        4 => (call(), place, basis, author)
            .prop_map(|(call, place, basis, author)| Said::Announced { call, place, basis, author }),
        1 => (call(), 1u64..=2).prop_map(|(call, tag)| Said::BegunBy { call, tag }),
        2 => call().prop_map(|call| Said::Released { call }),
        1 => (call(), level).prop_map(|(call, level)| Said::UnderRule { call, level }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1u64..4_000).prop_map(|after| Step::Packet { after }),
        2 => (-15_000i64..15_000, said()).prop_map(|(apart, said)| Step::Said { apart, said }),
    ];
    vec(step, 1..40)
}

fn key() -> Key {
    Key {
        src: endpoint(1000),
        dst: endpoint(2000),
        ssrc: 7,
    }
}

/// One stream, and a table of its own: what is guessed from it is announced too.
struct Follower {
    stream: Stream,
    endpoints: Endpoints,
    asks_always: bool,
}

impl Follower {
    fn new(ts: Timestamp, asks_always: bool) -> Self {
        Self {
            stream: Stream::begin(ts, key(), &packet(0)),
            endpoints: Endpoints::new(100).guessing(&Follow::default().nat),
            asks_always,
        }
    }

    fn packet(&mut self, ts: Timestamp, seq: u16) -> Look {
        if self.asks_always {
            self.stream.look(UNSEEN);
        }
        let look = look(&mut self.stream, ts, &self.endpoints, Due::Change, &Losses::default());
        if look == Look::OtherCall {
            self.stream = Stream::begin(ts, key(), &packet(seq));
        } else {
            self.stream.take(ts, &packet(seq));
        }
        look
    }

    fn hear(&self, ts: Timestamp, said: &Said, ticket: u64) {
        let losses = Losses::default();
        match *said {
            Said::Announced {
                call,
                place,
                basis,
                author,
            } => {
                let terms = Terms {
                    purpose: Purpose::Media,
                    basis,
                    author,
                    formats: [].into(),
                    srtp: Srtp::No,
                };
                self.endpoints.announce(place, &CALLS[call].into(), ts, &terms, &losses);
            }
            Said::BegunBy { call, tag } => self.endpoints.begun_by(tag, &CALLS[call].into(), ts, &losses),
            Said::Released { call } => self.endpoints.release(&CALLS[call].into(), ts, &losses),
            Said::UnderRule { call, level } => {
                let rule = level.map(|level| {
                    Arc::new(Ruling {
                        name: "rule".into(),
                        level,
                        tally: Arc::default(),
                        asks: 1,
                    })
                });
                self.endpoints.change_rule(CALLS[call], ticket, rule.as_ref());
            }
        }
    }

    /// Call, link, whether it was under way, sender, SRTP, level.
    fn state(&self) -> impl PartialEq + std::fmt::Debug {
        let join = self.stream.joined();
        let join = join.map(|join| (join.call_id().to_string(), join.link, join.firm, join.sender, join.srtp));
        (join, self.stream.level())
    }
}

fn packet(seq: u16) -> Packet<'static> {
    Packet {
        payload_type: 0,
        marker: false,
        seq,
        timestamp: u32::from(seq) * 160,
        ssrc: 7,
        payload: &[0; 160],
        len: 160,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn asking_where_something_changed_is_asking_always(steps in steps()) {
        let mut ms = 100_000;
        let at = |ms: u64| Timestamp::from_nanos(ms * 1_000_000);
        let mut followers = [true, false].map(|asks_always| Follower::new(at(ms), asks_always));
        for (n, step) in (1u16..).zip(&steps) {
            match step {
                Step::Packet { after } => {
                    ms += after;
                    let [always, seldom] = followers.each_mut().map(|one| one.packet(at(ms), n));
                    prop_assert!(always == seldom, "{n}");
                }
                Step::Said { apart, said } => {
                    for one in &followers {
                        one.hear(at(ms.saturating_add_signed(*apart)), said, n.into());
                    }
                }
            }
            let [always, seldom] = followers.each_ref().map(Follower::state);
            prop_assert_eq!(always, seldom, "after step {}", n);
        }
    }
}

#[test]
fn what_other_calls_say_is_no_reason_to_ask() {
    let mut follower = Follower::new(Timestamp::from_nanos(1), false);
    let announced = |call, port| Said::Announced {
        call,
        place: Place::At(endpoint(port)),
        basis: Basis::Described,
        author: Author { tag: 1, peer: false },
    };
    let now = Timestamp::from_nanos(2);
    follower.hear(now, &announced(0, 2000), 1);
    let places = |follower: &Follower| generation(follower.stream.key(), &follower.endpoints);
    let before = places(&follower);
    follower.hear(now, &announced(1, 3000), 2);
    follower.hear(now, &Said::Released { call: 1 }, 3);
    assert_eq!(places(&follower), before);
    follower.packet(now, 1);
    follower.hear(now, &Said::Released { call: 0 }, 4);
    assert_ne!(places(&follower), before, "its own call's end is one");
}
