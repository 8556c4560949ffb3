//! Equal to an array of bytes in which a place is written once.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics fails"
)]

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn the_first_byte_at_each_place_stays(
        inserts in proptest::collection::vec((0usize..40, proptest::collection::vec(0u8..3, 0..20)), 0..30),
    ) {
        let mut reference = [None; 64];
        let mut runs = Vec::new();
        let mut pieces = Pieces::default();
        for (n, (at, bytes)) in inserts.iter().enumerate() {
            let mut expected = Placed::default();
            let all = *at..*at + bytes.len();
            expected.again = !bytes.is_empty() && runs.contains(&all);
            let mut run = *at..*at;
            for (place, byte) in all.zip(bytes) {
                match &mut reference[place] {
                    old @ None => {
                        *old = Some(*byte);
                        expected.new += 1;
                        if run.end < place {
                            runs.push(std::mem::replace(&mut run, place..place));
                        }
                        run.end = place + 1;
                    }
                    Some(old) => {
                        expected.met = true;
                        expected.differs |= old != byte;
                    }
                }
            }
            runs.push(run);
            let ts = Timestamp::from_nanos(n as u64);
            prop_assert_eq!(pieces.insert(*at as u64, ts, bytes), expected);
            prop_assert_eq!(pieces.start(), reference.iter().position(Option::is_some).map(|at| at as u64));
            prop_assert_eq!(pieces.end(), reference.iter().rposition(Option::is_some).map(|at| at as u64 + 1));
        }
        let mut there = [None; 64];
        for at in 0..64 {
            for (n, byte) in pieces.take(at).iter().flat_map(|piece| piece.bytes.iter()).enumerate() {
                prop_assert!(there[at as usize + n].replace(*byte).is_none(), "disjoint");
            }
        }
        prop_assert_eq!(there, reference);
        prop_assert_eq!(pieces.cost(), 0);
    }
}
