//! Any cutting, any copies, any order; and any segments at all.

use proptest::prelude::*;

use super::*;

/// A path that reorders all the time always has something missing, and each time something else.
#[test]
fn reordering_without_end_is_no_gap() {
    let mut reader = Reader::new();
    reader.push(100, SYN, &[]);
    // Segments 1, 3, 0, 5, 2, 7, 4 … of one unit each: from the first on, one is always missing.
    let count = 200_u32;
    let order = std::iter::once(1).chain((0..count / 2 - 1).flat_map(|n| [2 * n + 3, 2 * n]));
    for (at, n) in order.enumerate() {
        let at = at as u64 * 100;
        reader.push_at(at, 101 + n * 4, &unit(3));
        reader.tick(at);
    }
    assert!(u64::from(count) * 100 > 2 * GAP.as_millis() as u64);
    assert_eq!(reader.lost(Loss::TcpGap), 0);
    assert_eq!(reader.heard.units.len(), count as usize - 2);
}

proptest! {
    /// However units are cut into segments, whichever of those are sent again, and in whatever order they are taken in:
    /// all come out once, in order, and at the same times.
    #[test]
    fn any_segmentation_and_order_gives_the_same_units(
        lens in proptest::collection::vec(1u8..20, 1..20),
        cuts in proptest::collection::vec((1usize..12, any::<bool>(), 0usize..6), 1..200),
        isn in any::<u32>(),
        syn in any::<bool>(),
        delays in proptest::collection::vec(0u64..50, 1_000),
    ) {
        let bytes: Vec<u8> = lens.iter().flat_map(|&len| unit(len)).collect();
        let mut segments = Vec::new();
        if syn {
            segments.push((isn, SYN, &bytes[..0]));
        }
        let mut at = 0;
        for (len, again, overlap) in cuts.into_iter().cycle() {
            if at == bytes.len() {
                break;
            }
            let from = at - overlap.min(at);
            let end = bytes.len().min(at + len);
            let seq = isn.wrapping_add(1 + from as u32);
            for _ in 0..=usize::from(again) {
                segments.push((seq, 0, &bytes[from..end]));
            }
            at = end;
        }
        segments.push((isn.wrapping_add(1 + at as u32), FIN, &bytes[..0]));
        let limits = Limits { buffer: 100_000, total: 100_000, ..LIMITS };
        let read = |order: &[(u64, usize)]| {
            let mut reader = Reader::within(limits);
            for (at, n) in order {
                let (seq, flags, payload) = segments[*n];
                reader.tick(*at);
                reader.push_from(1000, *at, seq, flags, payload);
                reader.assert_bounded();
            }
            reader.finish();
            assert_eq!(reader.lost(Loss::TcpGap) + reader.lost(Loss::TcpOverflow), 0);
            (reader.heard.units, reader.heard.times)
        };
        let in_order: Vec<(u64, usize)> = (0..segments.len()).map(|n| (n as u64, n)).collect();
        let mut shuffled: Vec<_> = in_order.iter().zip(&delays).collect();
        shuffled.sort_by_key(|((at, _), delay)| at + *delay);
        let shuffled: Vec<(u64, usize)> = shuffled.into_iter().map(|(arrival, _)| *arrival).collect();
        let expected: Vec<Vec<u8>> = lens.iter().map(|&len| unit(len)).collect();
        let (units, times) = read(&in_order);
        prop_assert_eq!(&units, &expected);
        let (shuffled_units, shuffled_times) = read(&shuffled);
        prop_assert_eq!(&shuffled_units, &expected);
        // A copy that is taken in first gives its own, later time.
        prop_assert!(shuffled_times.iter().zip(&times).all(|(shuffled, time)| shuffled.abs_diff(*time) <= 50));
    }

    /// No segments make it panic or hold more than they may.
    #[test]
    fn any_segments_are_bounded(
        segments in proptest::collection::vec(
            (0u16..12, any::<u32>(), any::<u8>(), 0u64..10_000, proptest::collection::vec(1u8..7, 0..100)), 0..100),
    ) {
        let mut reader = Reader::within(Limits { total: 1_500, ..LIMITS });
        let take = |offer: &Offer<'_>, _: &mut Units| match offer.bytes[0] {
            1 => Taken::Unit(usize::MAX),
            2 => Taken::Skipped(0),
            3 => Taken::More { needed: 0, searched: usize::MAX },
            5 => Taken::Lost(1),
            6 => Taken::Unreadable,
            _ => Taken::More { needed: usize::MAX, searched: 0 },
        };
        for (port, seq, flags, at, payload) in segments {
            let (src, dst) = ends(port);
            let segment = Segment { seq: seq % 400, flags: Flags::from_bits(flags), payload: &payload };
            reader.streams.tick(ms(at), &reader.losses, take);
            reader.streams.push(ms(at), src, dst, &segment, &reader.losses, take);
            reader.assert_bounded();
        }
        reader.streams.finish(&reader.losses, take);
        reader.assert_bounded();
    }
}
