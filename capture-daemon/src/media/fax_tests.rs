//! The account of a fax against one that remembers every packet.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn packet(seq: u16, repeats: u16) -> Packet {
    Packet {
        seq,
        primary: Ifp::Data(0),
        recovery: Recovery::Redundancy(repeats),
    }
}

fn fax(packets: &[(u16, u16)]) -> Option<report::Fax> {
    let ((seq, repeats), rest) = packets.split_first()?;
    let at = |n: usize| Timestamp::from_nanos(1_000_000_000 + n as u64);
    let mut fax = Fax::begin(at(0), &packet(*seq, *repeats));
    for (n, (seq, repeats)) in rest.iter().enumerate() {
        fax.take(at(n + 1), &packet(*seq, *repeats));
    }
    Some(fax.report())
}

#[test]
fn redundancy_recovers_what_it_repeats() {
    // 2 and 3 are lost, 4 repeats 3 only.
    let report = fax(&[(0, 0), (1, 1), (4, 1), (5, 1)]).unwrap();
    assert_eq!((report.expected, report.lost, report.recovered), (6, 2, 1));
    assert_eq!((report.data, report.packets), (4, 4));
    assert_eq!(report.error_correction, Some(report::FaxCorrection::Redundancy));
    assert_eq!(report.modulations, ["v21"]);
}

#[test]
fn a_sender_that_starts_over_loses_nothing() {
    let report = fax(&[(40_000, 0), (40_001, 0), (0, 0), (1, 0)]).unwrap();
    assert_eq!((report.expected, report.lost), (4, 0));
}

proptest! {
    /// Numbers that wrap, losses, copies, and packets that come up to a hundred places late.
    #[test]
    fn the_account_is_that_of_who_remembers_all(
        first in any::<u16>(),
        sent in prop::collection::vec((0u8..10, 0u16..4, 0usize..100), 1..1500),
    ) {
        let mut packets = Vec::new();
        for (n, (fate, repeats, late)) in sent.iter().enumerate() {
            for copy in 0..match fate { 0 => 0, 1 => 2, _ => 1 } {
                packets.push((n + late + copy, n, *repeats));
            }
        }
        packets.sort_unstable();
        let seqs: Vec<(u16, u16)> = packets
            .iter()
            .map(|(_, n, repeats)| (first.wrapping_add(*n as u16), *repeats))
            .collect();
        let Some(report) = fax(&seqs) else { return Ok(()) };

        let came: BTreeSet<usize> = packets.iter().map(|(_, n, _)| *n).collect();
        let (lowest, highest) = (*came.first().unwrap(), *came.last().unwrap());
        let repeated: BTreeSet<usize> = packets
            .iter()
            .flat_map(|(_, n, repeats)| n.saturating_sub(usize::from(*repeats))..*n)
            .collect();
        let lost: Vec<usize> = (lowest..=highest).filter(|n| !came.contains(n)).collect();
        let recovered = lost.iter().filter(|n| repeated.contains(n)).count();
        let figures = (report.expected, report.lost, report.recovered, report.duplicates);
        let expected = (highest - lowest + 1, lost.len(), recovered, packets.len() - came.len());
        prop_assert_eq!(figures, (expected.0 as u64, expected.1 as u64, expected.2 as u64, expected.3 as u64));
    }
}
