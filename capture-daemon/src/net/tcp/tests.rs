//! Units of a toy protocol, a length byte and as many bytes of its value, carried by segments in every condition.

mod order;

use super::direction::{GAP, JOIN};
use super::*;

const LIMITS: Limits = Limits {
    directions: 8,
    buffer: 1_000,
    total: 4_000,
};

fn ends(port: u16) -> (Endpoint, Endpoint) {
    (Endpoint::v4([192, 0, 2, 1], port), Endpoint::v4([192, 0, 2, 2], 5060))
}

/// A table, what it counted, and the units that came out with their times in milliseconds, and what was skipped.
struct Reader {
    streams: TcpStreams<Units>,
    losses: Losses,
    heard: Heard,
}

/// What no reader knows.
const STRANGE: u8 = 255;

/// Units read of a direction: what its reader remembers.
type Units = u32;

#[derive(Default)]
struct Heard {
    units: Vec<Vec<u8>>,
    times: Vec<u64>,
    skipped: Vec<u8>,
    /// Times the reader was asked.
    asked: usize,
}

impl Heard {
    fn take(&mut self, offer: &Offer<'_>, units: &mut Units) -> Taken {
        let bytes = offer.bytes;
        self.asked += 1;
        if bytes[0] == STRANGE {
            return Taken::Unreadable;
        }
        let len = usize::from(bytes[0]);
        if bytes[1..].iter().take(len).any(|&b| usize::from(b) != len) || len == 0 {
            assert!(offer.fresh || len == 0, "lost the step without being told");
            self.skipped.push(bytes[0]);
            return Taken::Skipped(1);
        }
        match bytes.get(..=len) {
            Some(unit) => {
                *units += 1;
                self.units.push(unit.to_vec());
                self.times.push(offer.ts.as_nanos() / MILLISECOND);
                Taken::Unit(unit.len())
            }
            None => Taken::More {
                needed: len + 1,
                searched: bytes.len(),
            },
        }
    }
}

const MILLISECOND: u64 = 1_000_000;

fn ms(at: u64) -> Timestamp {
    Timestamp::from_nanos(at * MILLISECOND)
}

impl Reader {
    fn new() -> Self {
        Self::within(LIMITS)
    }

    fn within(limits: Limits) -> Self {
        Self {
            streams: TcpStreams::new(limits),
            losses: Losses::default(),
            heard: Heard::default(),
        }
    }

    fn push(&mut self, seq: u32, flags: u8, payload: &[u8]) {
        self.push_from(1000, 1, seq, flags, payload);
    }

    fn push_at(&mut self, at: u64, seq: u32, payload: &[u8]) {
        self.push_from(1000, at, seq, 0, payload);
    }

    fn push_from(&mut self, port: u16, at: u64, seq: u32, flags: u8, payload: &[u8]) -> Units {
        let (src, dst) = ends(port);
        let segment = Segment {
            seq,
            flags: Flags::from_bits(flags),
            payload,
        };
        let heard = &mut self.heard;
        self.streams
            .push(ms(at), src, dst, &segment, &self.losses, |offer, units| {
                heard.take(offer, units)
            })
    }

    fn tick(&mut self, at: u64) {
        let heard = &mut self.heard;
        self.streams
            .tick(ms(at), &self.losses, |offer, units| heard.take(offer, units));
    }

    fn finish(&mut self) {
        let heard = &mut self.heard;
        self.streams
            .finish(&self.losses, |offer, units| heard.take(offer, units));
        assert_eq!((self.streams.len(), self.streams.held), (0, 0));
    }

    fn lost(&self, loss: Loss) -> u64 {
        self.losses.get(loss)
    }

    /// What is held is what is accounted for, and within the limits.
    fn assert_bounded(&self) {
        let limits = self.streams.limits;
        let directions = &self.streams.directions;
        assert!(directions.len() <= limits.directions);
        assert!(directions.values().all(|direction| direction.held() <= limits.buffer));
        assert_eq!(
            self.streams.held,
            directions.values().map(Direction::held).sum::<usize>()
        );
        assert!(self.streams.held <= limits.total);
        let holding = directions
            .values()
            .filter(|direction| direction.holding.is_some())
            .count();
        assert_eq!(self.streams.holding.len(), holding);
        assert!(
            directions
                .values()
                .all(|direction| direction.held() == 0 || direction.holding.is_some())
        );
    }
}

fn unit(len: u8) -> Vec<u8> {
    vec![len; usize::from(len) + 1]
}

const SYN: u8 = 2;
const FIN: u8 = 1;
const RST: u8 = 4;

#[test]
fn units_are_cut_out_of_segments_and_joined_over_them() {
    let mut reader = Reader::new();
    reader.push(100, SYN, &[]);
    let bytes = [unit(3), unit(1), unit(9)].concat();
    reader.push(101, 0, &bytes[..8]); // two units and two bytes
    assert_eq!(reader.heard.units, [unit(3), unit(1)]);
    reader.push(109, 0, &bytes[8..12]);
    reader.push(113, FIN, &bytes[12..]);
    assert_eq!(reader.heard.units, [unit(3), unit(1), unit(9)]);
    assert_eq!(reader.lost(Loss::TcpGap), 0);
}

#[test]
fn a_reader_remembers_its_direction_until_another_connection_begins() {
    let mut reader = Reader::new();
    assert_eq!(reader.push_from(1, 1, 100, SYN, &unit(3)), 1);
    assert_eq!(reader.push_from(2, 1, 100, SYN, &unit(3)), 1, "each its own");
    assert_eq!(reader.push_from(1, 2, 105, 0, &[unit(1), unit(2)].concat()), 3);
    assert_eq!(reader.push_from(1, 3, 105, 0, &unit(1)), 3, "a copy is not read");
    // A gap is no other connection.
    reader.push_from(1, 4, 120, 0, &unit(1));
    reader.tick(4 + GAP.as_millis() as u64);
    assert_eq!(reader.push_from(1, 5, 122, FIN, &[]), 4);
    assert_eq!(reader.push_from(1, 6, 9_000, SYN, &unit(3)), 1);
}

#[test]
fn of_a_connection_that_cannot_be_read_nothing_is_held_or_missed() {
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let mut reader = Reader::new();
        reader.push(100, SYN, &[]);
        let segments = [
            (101, 0, &[3, 3][..]),
            (103, 0, &[3, 3, STRANGE]),
            (106, 0, &[9, 9]),
            // 20 bytes are missing before it.
            (128, FIN, &[9]),
        ];
        for n in order {
            let (seq, flags, payload) = segments[n];
            reader.push(seq, flags, payload);
            reader.assert_bounded();
        }
        assert_eq!((reader.heard.units.len(), reader.streams.held), (1, 0), "{order:?}");
        let asked = reader.heard.asked;
        reader.push(140, 0, &unit(1));
        reader.tick(1 + GAP.as_millis() as u64);
        assert_eq!((reader.heard.asked, reader.lost(Loss::TcpGap)), (asked, 0));
        // The ports are used again.
        reader.push(9_000, SYN, &unit(3));
        assert_eq!(reader.heard.units.len(), 2);
    }
}

#[test]
fn what_came_already_is_skipped_and_an_overlap_trimmed() {
    let mut reader = Reader::new();
    reader.push(100, SYN, &[]);
    let bytes = [unit(3), unit(4)].concat();
    reader.push(101, 0, &bytes[..6]);
    reader.push(101, 0, &[99; 6]); // again, with other content
    reader.push(100, SYN, &[]); // and SYN, again
    reader.push(106, 0, &[77]); // a keep-alive: one below the next
    reader.push(104, 0, &bytes[3..]); // overlaps by three
    reader.push(101, FIN, &bytes); // everything, again
    assert_eq!(reader.heard.units, [unit(3), unit(4)]);
    assert_eq!(reader.lost(Loss::TcpGap), 0);
}

#[test]
fn segments_ahead_wait_for_what_is_missing() {
    let mut reader = Reader::new();
    reader.push(100, SYN, &[]);
    let bytes = [unit(9), unit(2)].concat();
    reader.push_at(2, 101 + 8, &bytes[8..]);
    reader.push_at(3, 101 + 4, &bytes[4..8]);
    reader.push_at(4, 101 + 4, &[99; 8]); // again, with other content
    assert_eq!(reader.heard.asked, 0);
    reader.push_at(5, 101, &bytes[..4]);
    assert_eq!(reader.heard.units, [unit(9), unit(2)]);
    assert_eq!(reader.heard.times, [5, 5], "when all of it was there");
    reader.finish();
    assert_eq!(reader.lost(Loss::TcpGap), 0);
}

#[test]
fn a_unit_has_the_time_of_its_last_byte() {
    let mut reader = Reader::new();
    reader.push(100, SYN, &[]);
    // Taken in late, and sent in order.
    reader.push_at(30, 104, &unit(2)[1..]);
    reader.push_at(20, 103, &unit(2)[..1]);
    reader.push_at(10, 101, &unit(1));
    assert_eq!(reader.heard.times, [10, 30]);
}

#[test]
fn a_gap_is_given_up_after_its_time_and_the_reader_finds_the_next_unit() {
    let gap = GAP.as_millis() as u64;
    let mut reader = Reader::new();
    reader.push(100, SYN, &[]);
    reader.push_at(1, 101, &unit(9)[..4]);
    // 105 to 107 are missing; three bytes of the unit are left, then a whole one.
    reader.push_at(10, 108, &[&unit(9)[7..], &unit(2)].concat());
    reader.tick(9 + gap);
    assert!(reader.heard.units.is_empty());
    reader.tick(10 + gap);
    assert_eq!(reader.lost(Loss::TcpGap), 1);
    assert_eq!(reader.heard.skipped, [9, 9, 9]);
    assert_eq!(
        (&reader.heard.units[..], &reader.heard.times[..]),
        (&[unit(2)][..], &[10][..])
    );
    // What was missing comes late: too late for this reader, and no second gap.
    reader.push_at(11 + gap, 105, &unit(9)[4..7]);
    reader.push_at(12 + gap, 114, &unit(1));
    assert_eq!(reader.heard.units, [unit(2), unit(1)]);
    assert_eq!(reader.lost(Loss::TcpGap), 1);
    // Without a tick, the next segment notices; two gaps are two.
    reader.push_at(20 + gap, 120, &unit(1));
    reader.push_at(21 + gap, 130, &unit(1));
    reader.push_at(21 + 2 * gap, 132, &unit(3));
    assert_eq!(reader.heard.units.len(), 5);
    assert_eq!(reader.lost(Loss::TcpGap), 3);
}

#[test]
fn a_gap_is_given_up_when_the_buffer_is_full() {
    let mut reader = Reader::new();
    reader.push(100, SYN, &[]);
    let bytes = unit(200);
    let mut seq = 200u32;
    for n in 0..8 {
        reader.push_at(2, seq, &bytes);
        seq += bytes.len() as u32;
        reader.assert_bounded();
        let given_up = reader.lost(Loss::TcpGap) == 1;
        assert_eq!(reader.heard.units.len(), if given_up { n + 1 } else { 0 });
    }
    assert_eq!((reader.heard.units.len(), reader.lost(Loss::TcpGap)), (8, 1));
}

#[test]
fn a_connection_is_joined_in_the_middle() {
    let join = JOIN.as_millis() as u64;
    let mut reader = Reader::new();
    reader.push(500, 0, &[]);
    assert!(
        reader.streams.is_empty(),
        "nothing to remember of a bare acknowledgement"
    );
    reader.push_at(1, 500, &[&[7, 9][..], &unit(2)].concat());
    reader.push_at(2, 505, &unit(1));
    // What was sent before comes after.
    reader.push_at(3, 499, &[3]);
    reader.tick(join);
    assert_eq!(reader.heard.asked, 0);
    reader.tick(1 + join);
    assert_eq!(reader.heard.skipped, [3, 7, 9]);
    assert_eq!(reader.heard.units, [unit(2), unit(1)]);
    assert_eq!(reader.heard.times, [3, 3]);
    reader.push_at(10, 507, &unit(4));
    assert_eq!(reader.heard.units.len(), 3);
    assert_eq!(reader.lost(Loss::TcpGap), 0);
}

#[test]
fn a_syn_that_comes_late_is_the_beginning() {
    let mut reader = Reader::new();
    let bytes = [unit(3), unit(4)].concat();
    reader.push(105, 0, &bytes[4..]);
    reader.push(100, SYN, &[]);
    reader.push(101, 0, &bytes[..4]);
    assert_eq!(reader.heard.units, [unit(3), unit(4)]);
    assert_eq!(reader.lost(Loss::TcpGap), 0);
}

#[test]
fn sequence_numbers_wrap() {
    for order in [[0, 1], [1, 0]] {
        let mut reader = Reader::new();
        reader.push(u32::MAX - 2, SYN, &[]);
        let bytes = unit(5);
        let segments = [(u32::MAX - 1, &bytes[..4]), (2, &bytes[4..])];
        for n in order {
            reader.push(segments[n].0, 0, segments[n].1);
        }
        assert_eq!(reader.heard.units, [unit(5)]);
    }
}

#[test]
fn the_end_of_a_connection_gives_up_what_is_incomplete() {
    for end in [FIN, RST] {
        let mut reader = Reader::new();
        reader.push(100, SYN, &[]);
        reader.push(101, 0, &unit(5)[..2]);
        reader.push(103, end, &[]);
        assert_eq!(reader.lost(Loss::TcpGap), 1);
        // The ports are used again.
        reader.push(9000, SYN, &[]);
        reader.push(9001, 0, &unit(5));
        assert_eq!(reader.heard.units, [unit(5)]);
        assert_eq!(reader.lost(Loss::TcpGap), 1);
        reader.push(9007, end, &[]);
        reader.tick(1 + ENDED.as_millis() as u64);
        assert!(reader.streams.is_empty(), "sooner than the merely silent");
    }
}

#[test]
fn an_end_that_comes_before_the_data_waits_for_it() {
    for end in [FIN, RST] {
        let mut reader = Reader::new();
        reader.push(100, SYN, &[]);
        reader.push(107, end, &[]);
        reader.push(101, 0, &unit(5));
        assert_eq!(reader.heard.units, [unit(5)]);
        assert_eq!(reader.lost(Loss::TcpGap), 0);
    }
    let mut reader = Reader::new();
    reader.push(100, SYN, &[]);
    reader.push(108, FIN, &[]);
    reader.tick(1 + GAP.as_millis() as u64);
    assert_eq!(reader.lost(Loss::TcpGap), 1, "and tells what never comes");
}

#[test]
fn another_connection_whose_syn_was_not_seen_is_joined() {
    let mut reader = Reader::new();
    reader.push(0x9000_0000, 0, &unit(1));
    // Far below: no retransmission. A bare reset is of no connection.
    reader.push(0, RST, &[]);
    reader.push(0x1000_0000, 0, &unit(2));
    reader.finish();
    assert_eq!(reader.heard.units, [unit(1), unit(2)]);
    assert_eq!(reader.lost(Loss::TcpGap), 1);
}

#[test]
fn a_unit_larger_than_the_buffer_is_given_up_and_counted() {
    let limits = Limits { buffer: 64, ..LIMITS };
    let mut reader = Reader::within(limits);
    reader.push(100, SYN, &[]);
    let long = unit(200);
    reader.push(101, 0, &long[..40]);
    reader.push(141, 0, &[&long[40..100], &unit(2)].concat());
    assert_eq!(reader.lost(Loss::TcpOverflow), 1);
    assert_eq!(
        reader.heard.units,
        [unit(2)],
        "what stands behind it in the same segment"
    );
    // In one segment it needs no buffer.
    reader.push(2000, SYN, &long);
    assert_eq!(reader.heard.units[1], long);
}

#[test]
fn all_directions_together_hold_no_more_than_they_may() {
    let limits = Limits { total: 500, ..LIMITS };
    let mut reader = Reader::within(limits);
    for port in 0..7 {
        reader.push_from(port, 1, 100, SYN, &[]);
        reader.push_from(port, 1, 101, 0, &unit(200)[..100]);
        reader.assert_bounded();
    }
    // Five fit: the first two gave theirs up.
    assert_eq!(reader.lost(Loss::TcpOverflow), 2);
    for port in 2..7 {
        reader.push_from(port, 1, 201, 0, &unit(200)[100..]);
    }
    assert_eq!(reader.heard.units.len(), 5);
    for port in 0..2 {
        reader.push_from(port, 1, 201, 0, &[&[200][..], &unit(0), &unit(3)].concat());
    }
    assert_eq!(reader.heard.units.len(), 7, "and find the next unit");
}

#[test]
fn a_long_unit_in_tiny_segments_is_not_read_again_with_each() {
    let mut reader = Reader::new();
    reader.push(100, SYN, &[]);
    for (n, byte) in unit(250).iter().enumerate() {
        reader.push(101 + n as u32, 0, &[*byte]);
    }
    assert_eq!(reader.heard.units, [unit(250)]);
    assert_eq!(reader.heard.asked, 2);
}

#[test]
fn the_longest_silent_direction_leaves_a_full_table() {
    let mut reader = Reader::new();
    for port in 0..=LIMITS.directions as u16 {
        reader.push_from(port, port.into(), 1, SYN, &[]);
        reader.push_from(port, port.into(), 2, 0, &unit(3)[..2]);
        reader.assert_bounded();
    }
    assert_eq!(reader.streams.len(), LIMITS.directions);
    assert_eq!(reader.lost(Loss::TcpEvicted), 1);
    assert!(!reader.streams.directions.contains_key(&ends(0)));
}

#[test]
fn silence_is_forgotten() {
    let idle = IDLE.as_millis() as u64;
    let mut reader = Reader::new();
    reader.push_from(1, 1, 1, SYN, &[]);
    reader.push_from(2, 100_000, 1, 0, &unit(5)[..1]);
    reader.tick(1 + idle);
    assert_eq!(reader.streams.len(), 1);
    reader.tick(1 + 2 * idle);
    assert!(reader.streams.is_empty());
    assert_eq!(reader.lost(Loss::TcpGap), 1, "a byte was held");
    reader.assert_bounded();
}
