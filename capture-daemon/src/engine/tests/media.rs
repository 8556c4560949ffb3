//! Where media is and whose it is: calls whose SDP does not say, says late, or says more than an address.

mod description;
mod fax;
mod nat;

use super::*;
use crate::report::{Call, LinkedBy, Stream, Way};

const ALICE: [u8; 4] = [192, 0, 2, 1];
const BOB: [u8; 4] = [192, 0, 2, 2];

/// Two parties' signalling and media, written down as it goes over the wire.
#[derive(Clone, Debug)]
struct Scene {
    frames: Vec<Timed>,
    /// Where the SIP of the caller and of the callee comes from.
    hosts: ([u8; 4], [u8; 4]),
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Party {
    Caller,
    Callee,
}

use Party::{Callee, Caller};

impl Scene {
    fn new() -> Self {
        Self::between(ALICE, BOB)
    }

    fn between(caller: [u8; 4], callee: [u8; 4]) -> Self {
        Self {
            frames: Vec::new(),
            hosts: (caller, callee),
        }
    }

    /// A message at `ms`. The request it is or answers was sent by `asker`; requests outside of the dialog have no To tag.
    fn sip(mut self, ms: u64, sender: Party, start: &str, cseq: &str, asker: Party, body: &str) -> Self {
        let (from, to) = match asker {
            Caller => ("<sip:a@x>;tag=alice", "<sip:b@x>;tag=bob"),
            Callee => ("<sip:b@x>;tag=bob", "<sip:a@x>;tag=alice"),
        };
        let outside = (start.starts_with("INVITE") && cseq.starts_with("1 ")) || start.starts_with("SIP/2.0 100");
        let to = if outside { "<sip:b@x>" } else { to };
        let body_type = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let text = format!(
            "{start}\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK{cseq}\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: c\r\n\
             CSeq: {cseq}\r\n{body_type}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let (src, dst) = match sender {
            Caller => (self.hosts.0, self.hosts.1),
            Callee => (self.hosts.1, self.hosts.0),
        };
        self.frames
            .push((ms * MILLISECOND, udp((src, 5060), (dst, 5060), text.as_bytes())));
        self
    }

    /// A request of the caller's.
    fn request(self, ms: u64, method: &str, cseq: u32, body: &str) -> Self {
        self.sip(
            ms,
            Caller,
            &format!("{method} sip:b@x SIP/2.0"),
            &format!("{cseq} {method}"),
            Caller,
            body,
        )
    }

    /// The callee's response to a request of the caller's.
    fn response(self, ms: u64, code: u16, method: &str, cseq: u32, body: &str) -> Self {
        self.sip(
            ms,
            Callee,
            &format!("SIP/2.0 {code} x"),
            &format!("{cseq} {method}"),
            Caller,
            body,
        )
    }

    /// INVITE at 0 and its answer at 1,000 ms.
    fn call(self, offer: &str, answer: &str) -> Self {
        self.request(0, "INVITE", 1, offer)
            .response(10, 100, "INVITE", 1, "")
            .response(1_000, 200, "INVITE", 1, answer)
            .request(1_020, "ACK", 1, "")
    }

    /// RTP from one place to another, a packet each 20 ms from `from` to `until`.
    fn rtp(mut self, from: u64, until: u64, src: ([u8; 4], u16), dst: ([u8; 4], u16), ssrc: u32) -> Self {
        for (seq, ms) in (from..until).step_by(20).enumerate() {
            self.frames
                .push((ms * MILLISECOND, udp(src, dst, &super::rtp(ssrc, seq as u16, 96))));
        }
        self
    }

    fn datagram(mut self, ms: u64, src: ([u8; 4], u16), dst: ([u8; 4], u16), payload: &[u8]) -> Self {
        self.frames.push((ms * MILLISECOND, udp(src, dst, payload)));
        self
    }

    fn bye(self, ms: u64) -> Self {
        self.request(ms, "BYE", 9, "").response(ms + 5, 200, "BYE", 9, "")
    }

    fn document(&self) -> Document {
        self.following(&Follow::default())
    }

    /// What this comes to in order, on one lane.
    fn following(&self, follow: &Follow) -> Document {
        let mut frames = self.frames.clone();
        frames.sort_by_key(|(ts, _)| *ts);
        lanes(&frames, 1, |_| 0, follow)
    }

    /// Checks that it comes to the same in some other orders and on several lanes, and returns it.
    fn in_any_order(&self) -> Document {
        let expected = self.document();
        for seed in 0..24u64 {
            let mut moved = self.frames.clone();
            let mut random = Random(seed + 1);
            let delays: Vec<u64> = moved.iter().map(|_| random.next() % (50 * MILLISECOND)).collect();
            let mut order: Vec<usize> = (0..moved.len()).collect();
            order.sort_by_key(|&at| moved[at].0 + delays[at]);
            moved = order.iter().map(|&at| moved[at].clone()).collect();
            let flow = |(_, bytes): &Timed| {
                let sum = bytes[26..38].iter().map(|byte| usize::from(*byte)).sum::<usize>();
                sum * (1 + seed as usize)
            };
            let document = lanes(&moved, 4, flow, &Follow::default());
            assert_eq!(document.calls, expected.calls, "seed {seed}");
            let joined = |document: &Document| document.streams.iter().map(facts).collect::<Vec<_>>();
            assert_eq!(joined(&document), joined(&expected), "seed {seed}");
        }
        expected
    }
}

/// xorshift64 of Marsaglia: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn lanes(frames: &[Timed], lanes: usize, lane: impl Fn(&Timed) -> usize, follow: &Follow) -> Document {
    let shared = Arc::new(Shared::new(follow));
    let mut engines: Vec<Engine> = (0..lanes)
        .map(|_| Engine::new(follow, &Capture::default(), Arc::clone(&shared)))
        .collect();
    for frame in frames {
        let engine = &mut engines[lane(frame) % lanes];
        take(engine, frame);
        engine.tick(Timestamp::from_nanos(frame.0));
    }
    let now = frames.iter().map(|(ts, _)| *ts).max().unwrap_or_default();
    engines.iter_mut().for_each(Engine::finish);
    let streams = engines.iter_mut().flat_map(Engine::streams).collect();
    let counters: Vec<_> = engines.iter().map(Engine::counters).collect();
    document(&shared, &counters, streams, Timestamp::from_nanos(now))
}

/// What is said of a stream, and how many packets it has.
type Facts = (String, Option<LinkedBy>, Option<Way>, u64, bool);

fn facts(stream: &Stream) -> Facts {
    let Stream {
        src,
        linked_by,
        direction,
        packets,
        encrypted,
        ..
    } = stream;
    (src.clone(), *linked_by, *direction, *packets, encrypted.is_some())
}

fn only_call(document: &Document) -> &Call {
    let [call] = document.calls.as_slice() else {
        panic!("one call, not {:?}", document.calls)
    };
    call
}

/// How each stream was joined, and which way it goes, in order of their start.
fn links(document: &Document) -> Vec<(Option<LinkedBy>, Option<Way>)> {
    document.streams.iter().map(|s| (s.linked_by, s.direction)).collect()
}

const UP: Option<Way> = Some(Way::CallerToCallee);
const DOWN: Option<Way> = Some(Way::CalleeToCaller);
