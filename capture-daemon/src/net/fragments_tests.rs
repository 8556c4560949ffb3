//! Datagrams cut in every way, and brought in every order.
#![expect(clippy::indexing_slicing, reason = "a test that panics fails")]

use proptest::prelude::*;

use super::*;

/// A table with what it counted.
struct Table {
    fragments: Fragments,
    losses: Losses,
}

impl Table {
    fn new(max: usize, buffer: usize) -> Self {
        Self {
            fragments: Fragments::new(max, buffer),
            losses: Losses::default(),
        }
    }

    fn push(&self, at: u64, fragment: &Fragment<'_>) -> Option<(u64, Vec<u8>)> {
        let ts = Timestamp::from_nanos(at * 1_000_000);
        let whole = self.fragments.take(ts, fragment, &self.losses)?;
        Some((whole.ts.as_nanos() / 1_000_000, whole.bytes.to_vec()))
    }

    fn tick(&self, at: u64) {
        self.fragments.tick(Timestamp::from_nanos(at * 1_000_000), &self.losses);
    }

    /// Datagrams evicted, timed out, and fragments that contradicted others.
    fn lost(&self) -> [u64; 3] {
        [Loss::FragmentEvicted, Loss::FragmentTimeout, Loss::FragmentOverlap].map(|loss| self.losses.get(loss))
    }
}

const ROOM: usize = 1 << 20;

fn key(id: u32, protocol: Option<u8>) -> Datagram {
    Datagram {
        src: Endpoint::v4([192, 0, 2, 1], 0),
        dst: Endpoint::v4([192, 0, 2, 2], 0),
        id,
        protocol,
        domain: Domain::default(),
    }
}

const V4: Option<u8> = Some(17);
const V6: Option<u8> = None;

/// The part of `bytes` from one byte to another as a fragment of datagram `id`.
fn cut(protocol: Option<u8>, id: u32, bytes: &[u8], from: usize, to: usize) -> Fragment<'_> {
    Fragment {
        datagram: key(id, protocol),
        protocol: 17,
        offset: from as u16,
        last: to == bytes.len(),
        bytes: &bytes[from..to],
        cut: false,
    }
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 % 251) as u8).collect()
}

#[test]
fn the_last_missing_piece_makes_it_whole_at_the_latest_time() {
    let data = bytes(40);
    for protocol in [V4, V6] {
        let table = Table::new(8, ROOM);
        assert_eq!(table.push(5, &cut(protocol, 1, &data, 24, 40)), None);
        assert_eq!(table.push(1, &cut(protocol, 1, &data, 0, 16)), None);
        assert_eq!(table.fragments.len(), 1);
        assert_eq!(table.push(3, &cut(protocol, 1, &data, 16, 24)), Some((5, data.clone())));
        assert!(table.fragments.is_empty());
        assert_eq!(table.lost(), [0, 0, 0]);
    }
}

#[test]
fn datagrams_are_told_apart_by_their_whole_key() {
    let (one, two) = (bytes(16), vec![9; 16]);
    let table = Table::new(8, ROOM);
    assert_eq!(table.push(0, &cut(V4, 1, &one, 0, 8)), None);
    for other in [
        key(2, V4),
        key(1, Some(6)),
        key(1, V6),
        Datagram {
            src: Endpoint::v4([192, 0, 2, 3], 0),
            ..key(1, V4)
        },
    ] {
        let mut fragment = cut(V4, 1, &two, 8, 16);
        fragment.datagram = other;
        assert_eq!(table.push(0, &fragment), None, "{other:?}");
    }
    assert_eq!(table.push(0, &cut(V4, 1, &one, 8, 16)), Some((0, one)));
}

#[test]
fn copies_come_to_nothing_before_and_after_the_end() {
    let data = bytes(24);
    for protocol in [V4, V6] {
        let table = Table::new(8, ROOM);
        let (first, second) = (cut(protocol, 1, &data, 0, 16), cut(protocol, 1, &data, 16, 24));
        assert_eq!(table.push(0, &first), None);
        assert_eq!(table.push(1, &first), None);
        assert!(table.push(2, &second).is_some());
        assert_eq!(table.push(3, &second), None);
        assert_eq!(table.push(4, &first), None);
        assert!(table.fragments.is_empty());
        // Another datagram that bears the same number: other bytes soon, or the same ones later.
        let other = vec![1; 24];
        assert_eq!(table.push(100, &cut(protocol, 1, &other, 0, 16)), None);
        assert_eq!(table.push(100, &cut(protocol, 1, &other, 16, 24)), Some((100, other)));
        assert_eq!(table.push(500, &first), None);
        assert_eq!(table.push(500, &second), Some((500, data.clone())));
        assert_eq!(table.lost(), [0, 0, 0]);
    }
}

#[test]
fn an_overlap_with_other_bytes_is_counted_and_the_first_wins() {
    let (data, other) = (bytes(32), vec![1; 32]);
    let table = Table::new(8, ROOM);
    assert_eq!(table.push(0, &cut(V4, 1, &data, 0, 16)), None);
    let mut late = cut(V4, 1, &other, 8, 24);
    late.last = false;
    assert_eq!(table.push(0, &late), None);
    let whole = table.push(0, &cut(V4, 1, &data, 24, 32)).unwrap().1;
    assert_eq!(whole, [&data[..16], &other[16..24], &data[24..]].concat());
    assert_eq!(table.lost(), [0, 0, 1]);
}

/// The same bytes too: only an exact copy is none (RFC 8200 section 4.5), whichever comes first.
#[test]
fn an_overlap_discards_a_datagram_of_ipv6() {
    let data = bytes(32);
    for (one, other) in [((0, 16), (8, 24)), ((0, 24), (8, 16)), ((8, 16), (0, 24))] {
        let table = Table::new(8, ROOM);
        assert_eq!(table.push(0, &cut(V6, 1, &data, one.0, one.1)), None);
        assert_eq!(table.push(0, &cut(V6, 1, &data, other.0, other.1)), None);
        assert_eq!(table.lost(), [0, 0, 1]);
        assert!(table.fragments.is_empty());
        for (from, to) in [(0, 16), (16, 32)] {
            assert_eq!(table.push(1, &cut(V6, 1, &data, from, to)), None);
        }
        assert_eq!(table.lost(), [0, 0, 1], "and what is still to come of it");
        discarded_for_a_while(&table, &data);
    }
}

fn discarded_for_a_while(table: &Table, data: &[u8]) {
    // RFC 5722 asks for no more than this datagram.
    assert_eq!(table.push(40_000, &cut(V6, 1, data, 0, 16)), None);
    assert!(table.push(40_000, &cut(V6, 1, data, 16, 32)).is_some());
}

#[test]
fn a_second_end_is_a_contradiction() {
    let data = bytes(32);
    let table = Table::new(8, ROOM);
    assert_eq!(table.push(0, &cut(V4, 1, &data, 24, 32)), None);
    assert_eq!(table.push(0, &cut(V4, 1, &data[..16], 8, 16)), None, "a nearer end");
    assert_eq!(table.push(0, &cut(V4, 1, &bytes(64), 40, 48)), None, "beyond the end");
    assert_eq!(table.lost(), [0, 0, 2]);
    assert_eq!(table.push(0, &cut(V4, 1, &data, 0, 24)), Some((0, data)));
}

#[test]
fn what_the_capture_cut_does_not_make_a_datagram_whole() {
    let data = bytes(24);
    let table = Table::new(8, ROOM);
    assert_eq!(table.push(0, &cut(V4, 1, &data, 0, 16)), None);
    let mut last = cut(V4, 1, &data, 16, 24);
    (last.bytes, last.cut) = (&data[16..20], true);
    assert_eq!(table.push(0, &last), None);
    table.fragments.finish(&table.losses);
    assert_eq!(table.lost(), [0, 1, 0]);
}

#[test]
fn an_incomplete_datagram_is_given_up_after_its_time() {
    let data = bytes(16);
    let table = Table::new(8, ROOM);
    table.push(1_000, &cut(V4, 1, &data, 8, 16));
    // An earlier one that comes later counts as the first.
    table.push(0, &cut(V4, 2, &data, 8, 16));
    table.tick(29_999);
    assert_eq!(table.lost(), [0, 0, 0]);
    table.tick(30_000);
    assert_eq!((table.fragments.len(), table.lost()), (1, [0, 1, 0]));
    // Without a tick, what comes too late begins another datagram.
    assert_eq!(table.push(31_000, &cut(V4, 1, &data, 0, 8)), None);
    assert_eq!(table.lost(), [0, 2, 0]);
    assert_eq!(table.push(31_001, &cut(V4, 1, &data, 8, 16)), Some((31_001, data)));
}

#[test]
fn the_oldest_leaves_a_full_table() {
    let data = bytes(16);
    let table = Table::new(4, ROOM);
    for id in 0..6 {
        table.push(u64::from(id), &cut(V4, id, &data, 0, 8));
    }
    assert_eq!((table.fragments.len(), table.lost()), (4, [2, 0, 0]));
    for id in 2..6 {
        assert!(table.push(10, &cut(V4, id, &data, 8, 16)).is_some(), "{id}");
    }
    assert_eq!(table.push(10, &cut(V4, 0, &data, 8, 16)), None);
    // Bytes too: what was made whole leaves first, and is no loss.
    let long = bytes(4_000);
    let table = Table::new(100, 20_000);
    for id in 0..4 {
        table.push(0, &cut(V4, id, &long, 0, 2_000));
        assert!(table.push(0, &cut(V4, id, &long, 2_000, 4_000)).is_some());
    }
    for id in 10..18 {
        table.push(1, &cut(V4, id, &long, 0, 2_000));
    }
    assert_eq!((table.fragments.len(), table.lost()), (8, [0, 0, 0]));
    for id in 18..20 {
        table.push(2, &cut(V4, id, &long, 0, 2_000));
    }
    assert_eq!((table.fragments.len(), table.lost()), (8, [2, 0, 0]));
}

#[test]
fn tiny_fragments_of_the_longest_datagram() {
    let data = bytes(65_535);
    let table = Table::new(4, 4 << 20);
    let mut starts: Vec<usize> = (0..data.len()).step_by(8).collect();
    // Every second one first, backwards: nothing joins.
    starts.sort_by_key(|start| (start / 8 % 2, usize::MAX - start));
    let last = starts.pop().unwrap();
    for start in starts {
        assert_eq!(
            table.push(0, &cut(V4, 1, &data, start, data.len().min(start + 8))),
            None
        );
    }
    assert_eq!(table.push(0, &cut(V4, 1, &data, last, last + 8)), Some((0, data)));
}

/// Cuts at multiples of eight, from numbers.
fn pieces(len: usize, at: &[usize]) -> Vec<(usize, usize)> {
    let mut ends: Vec<usize> = at.iter().map(|at| at * 8 % len).filter(|at| *at > 0).collect();
    ends.extend([0, len]);
    ends.sort_unstable();
    ends.dedup();
    ends.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

proptest! {
    /// Two datagrams at once, each cut anywhere, in any order: each comes out once, at the time of its latest fragment.
    #[test]
    fn order_does_not_matter(
        lens in [1usize..400, 1usize..400],
        at in [proptest::collection::vec(1usize..50, 0..8), proptest::collection::vec(1usize..50, 0..8)],
        order in proptest::collection::vec(any::<u32>(), 40),
        six in any::<bool>(),
    ) {
        let protocol = if six { V6 } else { V4 };
        let data = lens.map(bytes);
        let mut arrivals = Vec::new();
        for (id, at) in at.iter().enumerate() {
            for (from, to) in pieces(lens[id], at) {
                let ts = arrivals.len() as u64;
                arrivals.push((ts, cut(protocol, id as u32, &data[id], from, to)));
            }
        }
        let latest = |id: u32| arrivals.iter().filter(|(_, f)| f.datagram.id == id).map(|(ts, _)| *ts).max().unwrap();
        let expected = [0, 1].map(|id| (latest(id), data[id as usize].clone()));
        let mut shuffled: Vec<_> = arrivals.into_iter().zip(order).collect();
        shuffled.sort_by_key(|(_, order)| *order);
        let table = Table::new(8, ROOM);
        let mut whole: Vec<_> = shuffled.iter().filter_map(|((ts, fragment), _)| table.push(*ts, fragment)).collect();
        let mut wanted = expected.to_vec();
        whole.sort();
        wanted.sort();
        prop_assert_eq!(whole, wanted);
        prop_assert_eq!(table.lost(), [0, 0, 0]);
        prop_assert!(table.fragments.is_empty());
    }

    /// Two different cuttings of one IPv4 datagram and copies of both, in any order: it comes out once, and nothing is
    /// left over or counted.
    #[test]
    fn copies_and_other_cuttings_do_not_matter(
        len in 1usize..400,
        at in [proptest::collection::vec(1usize..50, 0..8), proptest::collection::vec(1usize..50, 0..8)],
        copies in proptest::collection::vec(1usize..3, 20),
        order in proptest::collection::vec(any::<u32>(), 60),
    ) {
        let data = bytes(len);
        let all = at.iter().flat_map(|at| pieces(len, at));
        let mut arrivals: Vec<_> = all
            .zip(&copies)
            .flat_map(|(piece, copies)| std::iter::repeat_n(piece, *copies))
            .zip(order)
            .collect();
        arrivals.sort_by_key(|(_, order)| *order);
        let table = Table::new(8, ROOM);
        let whole: Vec<_> = arrivals
            .iter()
            .filter_map(|((from, to), _)| table.push(0, &cut(V4, 1, &data, *from, *to)))
            .collect();
        prop_assert_eq!(whole, vec![(0, data.clone())]);
        prop_assert_eq!(table.lost(), [0, 0, 0]);
        prop_assert!(table.fragments.is_empty());
    }

    /// Any fragments: bounded, and every datagram that was begun is whole, lost or still there.
    #[test]
    fn any_fragments_are_bounded(
        fragments in proptest::collection::vec(
            (0u32..6, 0u16..40, 1usize..60, any::<bool>(), any::<bool>(), 0u64..70_000), 0..200),
    ) {
        const BUFFER: usize = 4_000;
        let data = bytes(400);
        let table = Table::new(4, BUFFER);
        for (id, offset, len, last, six, at) in fragments {
            let fragment = Fragment {
                datagram: key(id, if six { V6 } else { V4 }),
                protocol: 17,
                offset: offset * 8,
                last,
                bytes: &data[..len],
                cut: false,
            };
            if let Some((_, whole)) = table.push(at, &fragment) {
                // A fragment that is not the last may reach as far as the last one does.
                prop_assert!(last || whole.len() >= len);
            }
            let shard = lock(&table.fragments.shards[0]);
            prop_assert!(shard.open.len() <= 4 && shard.closed.len() <= 4 && shard.cost <= BUFFER);
            prop_assert_eq!(shard.datagrams.len(), shard.open.len() + shard.closed.len());
            prop_assert_eq!(shard.cost, shard.datagrams.values().map(Held::cost).sum::<usize>());
            for (age, key) in shard.open.iter().chain(&shard.closed) {
                prop_assert_eq!(shard.datagrams[key].age, *age);
            }
        }
        table.fragments.finish(&table.losses);
        let shard = lock(&table.fragments.shards[0]);
        prop_assert!(shard.datagrams.is_empty() && shard.cost == 0);
    }
}
