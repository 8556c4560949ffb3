//! Streams and their calls, in the order of the wire and in others.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::media::quality::Scale;
use crate::media::totals::Sum;
use crate::media::{Author, Basis, Format, Purpose, Srtp, Terms};

const MS: u64 = 1_000_000;
const LINGER: Duration = Duration::from_secs(300);

fn at(ms: u64) -> Timestamp {
    Timestamp::from_nanos(1_795_251_600_000_000_000 + ms * MS)
}

fn endpoint(host: u8, port: u16) -> Endpoint {
    Endpoint::v4([192, 0, 2, host], port)
}

fn rtp(ssrc: u32, seq: u16, payload_type: u8) -> Vec<u8> {
    let mut bytes = vec![0x80, payload_type];
    bytes.extend(seq.to_be_bytes());
    bytes.extend((u32::from(seq) * 160).to_be_bytes());
    bytes.extend(ssrc.to_be_bytes());
    bytes.extend([0; 160]);
    bytes
}

fn formats() -> Arc<[Format]> {
    [Format {
        payload_type: 96,
        encoding: "iLBC".into(),
        clock_rate: 8000,
    }]
    .into()
}

fn terms() -> Terms {
    Terms {
        purpose: Purpose::Media,
        basis: Basis::Described,
        author: Author { tag: 1, peer: false },
        formats: formats(),
        srtp: Srtp::No,
    }
}

fn follow(max_streams: usize) -> Follow {
    Follow {
        max_streams,
        waiting_room: max_streams,
        linger: LINGER,
        ..Follow::default()
    }
}

/// A lane's streams with the table of endpoints.
struct Lane {
    streams: Streams,
    endpoints: Endpoints,
    losses: Losses,
}

impl Lane {
    fn new(max: usize) -> Self {
        Self::following(&follow(max))
    }

    fn following(follow: &Follow) -> Self {
        Self {
            streams: Streams::new(follow),
            endpoints: Endpoints::new(100),
            losses: Losses::default(),
        }
    }

    fn announce(&self, host: u8, port: u16, call: &str, ms: u64) {
        let losses = &self.losses;
        self.endpoints
            .announce(endpoint(host, port), &call.into(), at(ms), &terms(), losses);
    }

    fn release(&self, call: &str, ms: u64) {
        self.endpoints.release(&call.into(), at(ms), &self.losses);
    }

    /// From host 1 to host 2, port 4000 to port 5000.
    fn packet(&mut self, ms: u64, payload: &[u8]) -> Outcome {
        self.packet_between(ms, (1, 4000), (2, 5000), payload)
    }

    fn packet_between(&mut self, ms: u64, src: (u8, u16), dst: (u8, u16), payload: &[u8]) -> Outcome {
        let (src, dst) = (endpoint(src.0, src.1), endpoint(dst.0, dst.1));
        match rtp::read(payload) {
            rtp::Kind::Rtp(packet) => {
                self.streams
                    .packet(at(ms), src, dst, &packet, &self.endpoints, &self.losses)
                    .outcome
            }
            rtp::Kind::Rtcp | rtp::Kind::Other => Outcome::OtherUdp,
        }
    }

    /// Call-ID and packets of each stream in order of time.
    fn report(&mut self) -> Vec<(Option<String>, u64)> {
        let mut streams = self.streams.report(&self.endpoints, &self.losses);
        streams.sort_by_key(|stream| stream.start);
        streams.into_iter().map(|s| (s.call_id, s.packets)).collect()
    }
}

fn call(call_id: &str, packets: u64) -> (Option<String>, u64) {
    (Some(call_id.to_owned()), packets)
}

#[test]
fn rtp_belongs_to_the_call_that_announced_its_destination_or_else_its_source() {
    let mut lane = Lane::new(10);
    lane.announce(1, 4000, "from source", 0);
    assert_eq!(lane.packet(10, &rtp(1, 1, 96)), Outcome::Rtp);
    assert_eq!(lane.report(), [call("from source", 1)]);
    lane.announce(2, 5000, "from destination", 5);
    assert_eq!(lane.report(), [call("from destination", 1)]);
}

#[test]
fn rtp_before_its_sdp_is_joined_when_the_sdp_comes() {
    let mut lane = Lane::new(10);
    assert_eq!(lane.packet(0, &rtp(1, 1, 96)), Outcome::OtherUdp);
    assert_eq!(lane.packet(20, &rtp(1, 2, 96)), Outcome::OtherUdp);
    assert_eq!(lane.report(), []);
    lane.announce(2, 5000, "late", 25);
    assert_eq!(lane.report(), [call("late", 2)]);
    assert_eq!(lane.packet(40, &rtp(1, 3, 96)), Outcome::Rtp);
    let report = lane.streams.report(&lane.endpoints, &lane.losses).remove(0);
    assert_eq!((report.codec.as_deref(), report.clock_rate), (Some("iLBC"), Some(8000)));
    assert_eq!(report.jitter_max_ms, Some(0.0));
    assert_eq!(report.start, at(0));
}

#[test]
fn rtp_that_nobody_announced_is_told_when_it_is_certain() {
    let mut lane = Lane::following(&Follow {
        rtp_without_sip: true,
        ..follow(10)
    });
    let outcomes: Vec<Outcome> = (0..6)
        .map(|seq| lane.packet(u64::from(seq) * 20, &rtp(1, seq, 0)))
        .collect();
    assert_eq!(outcomes[..4], [Outcome::OtherUdp; 4]);
    assert_eq!(outcomes[4..], [Outcome::Rtp; 2]);
    assert_eq!(lane.report(), [(None, 6)]);
    // Noise that begins like RTP.
    for n in 0..100u16 {
        assert_eq!(lane.packet(200, &rtp(7, n.wrapping_mul(7919), 0)), Outcome::OtherUdp);
    }
    assert_eq!(lane.report().len(), 1);
}

/// What two calls on the same ports with the same SSRC look like: each from its SDP to its BYE.
#[derive(Clone, Debug)]
enum Event {
    Announce(&'static str),
    Release(&'static str),
    Rtp(u16),
}

fn two_calls(second_first_seq: u16) -> Vec<(u64, Event)> {
    let mut events = vec![
        (0, Event::Announce("a")),
        (2000, Event::Release("a")),
        (3000, Event::Announce("b")),
        (5000, Event::Release("b")),
    ];
    events.extend((0..95).map(|n| (10 + u64::from(n) * 20, Event::Rtp(n))));
    events.extend((0..95).map(|n| (3010 + u64::from(n) * 20, Event::Rtp(second_first_seq.wrapping_add(n)))));
    events
}

fn play(events: &[(u64, Event)]) -> Lane {
    let mut lane = Lane::new(10);
    for (ms, event) in events {
        match event {
            Event::Announce(call) => lane.announce(2, 5000, call, *ms),
            Event::Release(call) => lane.release(call, *ms),
            Event::Rtp(seq) => {
                lane.packet(*ms, &rtp(1, *seq, 96));
            }
        }
    }
    lane
}

proptest! {
    /// Frames may come up to 50 ms out of order, from lanes that run side by side. The second call's numbers are not those
    /// that would follow the first's: such a stream can only be parted where the second call's SDP is known.
    #[test]
    fn two_calls_on_one_port_are_two_streams_in_any_order(
        second_first_seq in prop_oneof![Just(0u16), 3200..=u16::MAX],
        shifts in proptest::collection::vec(0u64..50, 194),
    ) {
        let mut events: Vec<_> = two_calls(second_first_seq).into_iter().zip(shifts).collect();
        events.sort_by_key(|((ms, _), shift)| ms + shift);
        let events: Vec<_> = events.into_iter().map(|(event, _)| event).collect();
        let mut lane = play(&events);
        prop_assert_eq!(lane.report(), vec![call("a", 95), call("b", 95)]);
        let streams = lane.streams.report(&lane.endpoints, &lane.losses);
        prop_assert!(streams.iter().all(|s| (s.expected, s.lost, s.duplicates) == (95, 0, 0)), "{streams:?}");
    }
}

#[test]
fn a_sender_that_never_starts_over_is_parted_where_the_call_begins() {
    let mut lane = play(&{
        let mut events = two_calls(95);
        events.sort_by_key(|(ms, _)| *ms);
        events
    });
    assert_eq!(lane.report(), [call("a", 95), call("b", 95)]);
}

/// The answer of the second call is read after its first media: only the caller's own end tells that there is another call.
#[test]
fn a_caller_that_starts_over_is_in_the_next_call_before_its_answer() {
    let mut lane = Lane::new(10);
    lane.announce(1, 4000, "a", 0);
    lane.announce(2, 5000, "a", 0);
    for seq in 0..50 {
        lane.packet(u64::from(seq) * 20, &rtp(1, seq, 96));
    }
    lane.release("a", 1100);
    lane.announce(1, 4000, "b", 2000);
    lane.packet(2010, &rtp(1, 0, 96));
    lane.packet(2030, &rtp(1, 1, 96));
    lane.announce(2, 5000, "b", 2005);
    lane.packet(2050, &rtp(1, 2, 96));
    assert_eq!(lane.report(), [call("a", 50), call("b", 3)]);
}

#[test]
fn packets_after_the_bye_are_still_the_calls() {
    let mut lane = Lane::new(10);
    lane.announce(2, 5000, "a", 0);
    for seq in 0..50 {
        lane.packet(u64::from(seq) * 20, &rtp(1, seq, 96));
    }
    lane.release("a", 500);
    lane.packet(1200, &rtp(1, 50, 96));
    assert_eq!(lane.report(), [call("a", 51)]);
    // Another SSRC on the old port while a new call is being set up is the new call's.
    lane.packet(9000, &rtp(2, 0, 96));
    assert_eq!(lane.report(), [call("a", 51), call("a", 1)]);
    lane.announce(2, 5000, "b", 9010);
    lane.packet(9020, &rtp(2, 1, 96));
    assert_eq!(lane.report(), [call("a", 51), call("b", 2)]);
}

#[test]
fn idle_streams_leave_without_a_loss() {
    let mut lane = Lane::new(10);
    lane.announce(2, 5000, "a", 0);
    lane.packet(0, &rtp(1, 0, 96));
    lane.packet_between(0, (3, 3), (4, 4), &rtp(2, 0, 96));
    lane.streams.tick(at(0).plus(LEAD), &lane.endpoints, &lane.losses);
    assert_eq!(lane.streams.waiting(), 0, "one datagram that only looks like RTP");
    lane.streams.tick(
        at(0).plus(LINGER).minus(Duration::from_nanos(1)),
        &lane.endpoints,
        &lane.losses,
    );
    assert_eq!(lane.streams.len(), 1);
    lane.streams.tick(at(0).plus(LINGER), &lane.endpoints, &lane.losses);
    assert!(lane.streams.is_empty() && lane.streams.index.len() == 0);
    assert!(Loss::ALL.iter().all(|loss| lane.losses.get(*loss) == 0));
    // The slots are used again.
    lane.packet(400_000, &rtp(3, 0, 96));
    lane.packet_between(400_000, (3, 3), (4, 4), &rtp(4, 0, 96));
    assert_eq!((lane.streams.told.slots(), lane.streams.waiting.slots()), (1, 1));
}

#[test]
fn the_longest_idle_leaves_a_full_table_and_is_counted() {
    let mut lane = Lane::new(4);
    lane.announce(2, 5000, "a", 0);
    for ssrc in 0..4 {
        lane.packet(u64::from(10 - ssrc), &rtp(ssrc, 0, 96));
    }
    // Not announced: has a room of its own.
    lane.packet_between(20, (3, 3), (4, 4), &rtp(9, 0, 96));
    assert_eq!(lane.losses.get(Loss::StreamEvicted), 0);
    lane.packet(30, &rtp(5, 0, 96));
    assert_eq!(lane.losses.get(Loss::StreamEvicted), 1);
    let ssrcs: Vec<String> = lane
        .streams
        .report(&lane.endpoints, &lane.losses)
        .into_iter()
        .map(|s| s.ssrc)
        .collect();
    let mut ssrcs: Vec<&str> = ssrcs.iter().map(String::as_str).collect();
    ssrcs.sort_unstable();
    assert_eq!(ssrcs, ["0x00000000", "0x00000001", "0x00000002", "0x00000005"]);
    assert_eq!((lane.streams.len(), lane.streams.index.len()), (4, 5));
}

#[test]
fn an_answer_in_slices_is_the_whole_answer() {
    let mut lane = Lane::new(50);
    lane.announce(2, 5000, "a", 0);
    for ssrc in 0..23 {
        lane.packet(u64::from(ssrc), &rtp(ssrc, 0, 96));
    }
    let whole = lane.streams.report(&lane.endpoints, &lane.losses);
    assert_eq!(whole.len(), 23);
    let (mut parts, mut cursor) = (Vec::new(), Some(0));
    while let Some(from) = cursor {
        let slice = lane.streams.slice(from, 5, &lane.endpoints, &lane.losses);
        assert!(slice.streams.len() <= 5);
        parts.extend(slice.streams);
        cursor = slice.next;
    }
    assert_eq!(parts, whole);
}

proptest! {
    /// No datagrams make it panic or outgrow its cap.
    #[test]
    fn any_datagrams_are_bounded(
        datagrams in proptest::collection::vec(
            (0u64..1000, 0u16..4, prop_oneof![
                (any::<u16>(), 0u32..8, 0u8..128).prop_map(|(seq, ssrc, pt)| rtp(ssrc, seq, pt)),
                proptest::collection::vec(any::<u8>(), 0..40),
            ]), 0..200),
    ) {
        let mut lane = Lane::new(8);
        lane.announce(2, 2, "a", 300);
        lane.release("a", 600);
        lane.announce(2, 2, "b", 700);
        for (n, (ms, port, datagram)) in datagrams.iter().enumerate() {
            lane.packet_between(*ms, (1, 1), (2, *port), datagram);
            if n % 16 == 0 {
                lane.streams.tick(at(*ms), &lane.endpoints, &lane.losses);
            }
            prop_assert!(lane.streams.len() <= 8 && lane.streams.waiting() <= 8);
            prop_assert!(lane.streams.index.len() <= lane.streams.len() + lane.streams.waiting());
        }
        lane.streams.report(&lane.endpoints, &lane.losses);
    }
}

impl Lane {
    /// Sums of packets and losses, streams that ended, and those of them with jitter.
    fn totals(&mut self, ms: u64) -> (u64, u64, u64, u64) {
        self.streams.tick(at(ms), &self.endpoints, &self.losses);
        let totals = self.streams.totals();
        (
            totals.sum(Sum::Packets),
            totals.sum(Sum::Lost),
            totals.ended.get(),
            totals.jitter.counts().sum(),
        )
    }
}

#[test]
fn totals_follow_streams_and_never_go_back() {
    let mut lane = Lane::new(10);
    lane.announce(2, 5000, "a", 0);
    for seq in (0..50).filter(|seq| ![20, 30].contains(seq)) {
        lane.packet(u64::from(seq) * 20, &rtp(1, seq, 8));
    }
    assert_eq!(lane.totals(1_000), (48, 2, 0, 0));
    // What comes late after all is no loss, but a counter that was read cannot take it back.
    lane.packet(1_010, &rtp(1, 20, 8));
    assert_eq!(lane.totals(1_999), (48, 2, 0, 0), "once a second");
    assert_eq!(lane.totals(2_000), (49, 2, 0, 0));
    // It makes up for it with the next loss.
    lane.packet(1_120, &rtp(1, 51, 8));
    assert_eq!(lane.totals(3_000), (50, 2, 0, 0));
    lane.packet(1_140, &rtp(1, 53, 8));
    assert_eq!(lane.totals(4_000), (51, 3, 0, 0));
    let linger = LINGER.as_millis() as u64;
    assert_eq!(lane.totals(1_140 + linger), (51, 3, 1, 1));
    assert_eq!(lane.totals(2_000 + linger), (51, 3, 1, 1), "counted once");
    let totals = lane.streams.totals();
    let opinions = totals.opinions(Scale::Narrow, 0).map(|of| {
        (
            of.mos_lq.counts().sum::<u64>(),
            of.r_lq.counts().sum::<u64>(),
            of.mos_cq.counts().sum::<u64>(),
        )
    });
    assert_eq!(
        opinions,
        Some((1, 1, 0)),
        "51 packets are a basis for an opinion, and nothing tells the delay"
    );
    assert_eq!(totals.share_lost.sum(), 3_000_000 / 54);
    // 5.6 % lies between 5 % and 10 %.
    assert_eq!(totals.share_lost.counts().position(|count| count == 1), Some(7));
}

#[test]
fn a_stream_that_is_evicted_or_cut_off_is_in_the_totals() {
    let mut lane = Lane::new(1);
    lane.announce(2, 5000, "a", 0);
    lane.packet(0, &rtp(1, 0, 8));
    lane.packet(10, &rtp(2, 0, 8));
    assert_eq!(lane.totals(20), (2, 0, 1, 1));
    lane.packet(30, &rtp(2, 1, 8));
    lane.streams.settle(&lane.endpoints, &lane.losses);
    lane.streams.close(&lane.losses);
    let totals = lane.streams.totals();
    assert_eq!((totals.sum(Sum::Packets), totals.ended.get()), (3, 2));
}

#[test]
fn what_leaves_at_once_leaves_in_turn() {
    let mut lane = Lane::new(1_000);
    lane.announce(2, 5000, "a", 0);
    for ssrc in 0..300 {
        lane.packet(0, &rtp(ssrc, 0, 8));
    }
    let linger = LINGER.as_millis() as u64;
    let left: Vec<u64> = (0..40).map(|tick| lane.totals(linger + 100 * tick).2).collect();
    assert_eq!(left[..2], [LEAVE as u64, 2 * LEAVE as u64]);
    assert!(left.windows(2).all(|two| two[1] - two[0] <= LEAVE as u64), "{left:?}");
    assert_eq!((left.last(), lane.streams.len()), (Some(&300), 0));
}
