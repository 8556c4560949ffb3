//! Units of a toy protocol, a length byte and as many bytes of its value, carried by segments in every condition.

use proptest::prelude::*;

use super::*;

const MAX: usize = 8;
const BUFFER: usize = 64;

fn ends(port: u16) -> (Endpoint, Endpoint) {
    (Endpoint::v4([192, 0, 2, 1], port), Endpoint::v4([192, 0, 2, 2], 5060))
}

/// A table, what it counted, and the units that came out, with what was skipped.
struct Reader {
    streams: TcpStreams,
    losses: Losses,
    units: Vec<Vec<u8>>,
    skipped: Vec<u8>,
}

impl Reader {
    fn new() -> Self {
        Self {
            streams: TcpStreams::new(MAX, BUFFER),
            losses: Losses::default(),
            units: Vec::new(),
            skipped: Vec::new(),
        }
    }

    fn push(&mut self, seq: u32, flags: u8, payload: &[u8]) {
        self.push_from(1000, Timestamp::from_nanos(1), seq, flags, payload);
    }

    fn push_from(&mut self, port: u16, ts: Timestamp, seq: u32, flags: u8, payload: &[u8]) {
        let (src, dst) = ends(port);
        let segment = Segment {
            seq,
            flags: Flags::from_bits(flags),
            payload,
        };
        let Self {
            streams,
            losses,
            units,
            skipped,
        } = self;
        streams.push(ts, src, dst, &segment, losses, |bytes, fresh| {
            let len = usize::from(bytes[0]);
            if bytes[1..].iter().take(len).any(|&b| usize::from(b) != len) || len == 0 {
                assert!(fresh || len == 0, "lost the step without being told");
                skipped.push(bytes[0]);
                return Taken::Skipped(1);
            }
            match bytes.get(..=len) {
                Some(unit) => {
                    units.push(unit.to_vec());
                    Taken::Unit(unit.len())
                }
                None => Taken::More,
            }
        });
    }

    fn lost(&self, loss: Loss) -> u64 {
        self.losses.get(loss)
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
    assert_eq!(reader.units, [unit(3), unit(1)]);
    reader.push(109, 0, &bytes[8..12]);
    reader.push(113, FIN, &bytes[12..]);
    assert_eq!(reader.units, [unit(3), unit(1), unit(9)]);
    assert_eq!(reader.lost(Loss::TcpGap), 0);
}

#[test]
fn what_came_already_is_skipped_and_an_overlap_trimmed() {
    let mut reader = Reader::new();
    reader.push(100, SYN, &[]);
    let bytes = [unit(3), unit(4)].concat();
    reader.push(101, 0, &bytes[..6]);
    reader.push(101, 0, &bytes[..6]); // again
    reader.push(100, SYN, &[]); // and SYN, again
    reader.push(106, 0, &[]); // a keep-alive: one below the next
    reader.push(104, 0, &bytes[3..]); // overlaps by three
    reader.push(101, FIN, &bytes); // everything, again
    assert_eq!(reader.units, [unit(3), unit(4)]);
    assert_eq!(reader.lost(Loss::TcpGap), 0);
}

#[test]
fn a_gap_is_counted_once_and_the_reader_finds_the_next_unit() {
    let mut reader = Reader::new();
    reader.push(100, SYN, &[]);
    reader.push(101, 0, &unit(9)[..4]);
    // 105 to 107 are missing; three bytes of the unit are left, then a whole one.
    reader.push(108, 0, &[&unit(9)[7..], &unit(2)].concat());
    assert_eq!(reader.lost(Loss::TcpGap), 1);
    assert_eq!(reader.skipped, [9, 9, 9]);
    assert_eq!(reader.units, [unit(2)]);
    // What was missing comes late: too late for this reader, and no second gap.
    reader.push(105, 0, &unit(9)[4..7]);
    reader.push(114, 0, &unit(1));
    assert_eq!(reader.units, [unit(2), unit(1)]);
    assert_eq!(reader.lost(Loss::TcpGap), 1);
}

#[test]
fn a_connection_is_joined_in_the_middle() {
    let mut reader = Reader::new();
    reader.push(500, 0, &[]);
    assert!(
        reader.streams.is_empty(),
        "nothing to remember of a bare acknowledgement"
    );
    reader.push(500, 0, &[&[7, 9][..], &unit(2)].concat());
    assert_eq!(reader.skipped, [7, 9]);
    assert_eq!(reader.units, [unit(2)]);
    assert_eq!(reader.lost(Loss::TcpGap), 0);
}

#[test]
fn sequence_numbers_wrap() {
    let mut reader = Reader::new();
    reader.push(u32::MAX - 2, SYN, &[]);
    let bytes = unit(5);
    reader.push(u32::MAX - 1, 0, &bytes[..4]);
    reader.push(2, 0, &bytes[4..]);
    assert_eq!(reader.units, [unit(5)]);
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
        assert_eq!(reader.units, [unit(5)]);
        assert_eq!(reader.lost(Loss::TcpGap), 1);
    }
}

#[test]
fn a_fin_behind_missing_data_tells_of_it() {
    let mut reader = Reader::new();
    reader.push(100, SYN, &[]);
    reader.push(108, FIN, &[]);
    assert_eq!(reader.lost(Loss::TcpGap), 1);
}

#[test]
fn another_connection_whose_syn_was_not_seen_is_joined() {
    let mut reader = Reader::new();
    reader.push(0x9000_0000, 0, &unit(1));
    // Far below: no retransmission.
    reader.push(0x1000_0000, 0, &unit(2));
    assert_eq!(reader.units, [unit(1), unit(2)]);
    assert_eq!(reader.lost(Loss::TcpGap), 1);
}

#[test]
fn a_unit_larger_than_the_buffer_is_given_up_and_counted() {
    let mut reader = Reader::new();
    reader.push(100, SYN, &[]);
    let long = unit(200);
    reader.push(101, 0, &long[..40]);
    reader.push(141, 0, &long[40..100]);
    assert_eq!(reader.lost(Loss::TcpOverflow), 1);
    assert!(reader.units.is_empty());
    // In one segment it needs no buffer.
    reader.push(2000, SYN, &long);
    assert_eq!(reader.units, [long]);
}

#[test]
fn the_longest_silent_direction_leaves_a_full_table() {
    let mut reader = Reader::new();
    for port in 0..=MAX as u16 {
        reader.push_from(port, Timestamp::from_nanos(u64::from(port)), 1, SYN, &[]);
    }
    assert_eq!(reader.streams.len(), MAX);
    assert_eq!(reader.lost(Loss::TcpEvicted), 1);
    assert!(!reader.streams.directions.contains_key(&ends(0)));
}

#[test]
fn silence_is_forgotten() {
    let mut reader = Reader::new();
    let start = Timestamp::from_nanos(1);
    reader.push_from(1, start, 1, SYN, &[]);
    reader.push_from(2, start.plus(Duration::from_secs(100)), 1, 0, &unit(5)[..1]);
    reader.streams.tick(start.plus(IDLE), &reader.losses);
    assert_eq!(reader.streams.len(), 1);
    reader.streams.tick(start.plus(IDLE * 2), &reader.losses);
    assert!(reader.streams.is_empty());
    assert_eq!(reader.lost(Loss::TcpGap), 1, "a byte was held");
}

proptest! {
    /// However units are cut into segments, and whichever of those are sent again, all come out once and in order.
    #[test]
    fn any_segmentation_gives_the_same_units(
        lens in proptest::collection::vec(1u8..20, 1..20),
        cuts in proptest::collection::vec((1usize..12, any::<bool>(), 0usize..6), 1..200),
        isn in any::<u32>(),
    ) {
        let bytes: Vec<u8> = lens.iter().flat_map(|&len| unit(len)).collect();
        let mut reader = Reader::new();
        reader.push(isn, SYN, &[]);
        let mut at = 0;
        for (len, again, overlap) in cuts.into_iter().cycle() {
            if at == bytes.len() {
                break;
            }
            let from = at - overlap.min(at);
            let end = bytes.len().min(at + len);
            let seq = isn.wrapping_add(1 + from as u32);
            reader.push(seq, 0, &bytes[from..end]);
            if again {
                reader.push(seq, 0, &bytes[from..end]);
            }
            at = end;
        }
        let expected: Vec<Vec<u8>> = lens.iter().map(|&len| unit(len)).collect();
        prop_assert_eq!(reader.units, expected);
        prop_assert_eq!(reader.losses.get(Loss::TcpGap), 0);
    }

    /// No segments make it panic or hold more than the buffer.
    #[test]
    fn any_segments_are_bounded(
        segments in proptest::collection::vec(
            (0u16..12, any::<u32>(), any::<u8>(), proptest::collection::vec(1u8..4, 0..100)), 0..100),
    ) {
        let mut streams = TcpStreams::new(MAX, BUFFER);
        let losses = Losses::default();
        for (port, seq, flags, payload) in segments {
            let (src, dst) = ends(port);
            let segment = Segment { seq: seq % 400, flags: Flags::from_bits(flags), payload: &payload };
            streams.push(Timestamp::ZERO, src, dst, &segment, &losses, |bytes, _| match bytes[0] {
                1 => Taken::Unit(usize::MAX),
                2 => Taken::Skipped(0),
                _ => Taken::More,
            });
            prop_assert!(streams.len() <= MAX);
            prop_assert!(streams.directions.values().all(|d| d.pending.len() <= BUFFER));
        }
    }
}
