//! Against a reference that stores every number.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Expected, lost, late, copies, packets.
type Figures = (u64, u64, u64, u64, u64);

/// A stream's numbers, recent and accounted for, taken as a measurement takes them.
struct Numbers(Sequence, Account, u8);

impl Numbers {
    fn first(seq: u16) -> Self {
        let (sequence, account) = Account::first(seq);
        let fresh = account.fresh(&sequence);
        Self(sequence, account, fresh)
    }

    fn arrive(&mut self, seq: u16, same_clock: impl FnOnce() -> bool) -> Arrival {
        let Self(sequence, account, fresh) = self;
        if !account.watches() && step(sequence, fresh, seq) {
            return Arrival::Next;
        }
        let arrival = account.arrive(sequence, seq, same_clock);
        *fresh = account.fresh(sequence);
        arrival
    }

    fn figures(&self) -> Figures {
        let Self(sequence, account, _) = self;
        (
            account.expected(sequence),
            account.lost(),
            account.late(),
            account.copies(),
            account.packets(sequence),
        )
    }

    /// Of the network's losses: how many, in how many rows, the longest.
    fn rows(&self) -> (u64, u64, u64) {
        let figures = self.1.bursts(&self.0)[0].figures();
        (figures.lost, figures.rows, figures.longest)
    }
}

fn figures(numbers: &Numbers) -> Figures {
    numbers.figures()
}

fn run(numbers: &[u64]) -> Numbers {
    let mut numbers = numbers.iter().map(|&n| n as u16);
    let mut sequence = Numbers::first(numbers.next().unwrap());
    for seq in numbers {
        sequence.arrive(seq, || false);
    }
    sequence
}

/// What the words mean, with all the memory in the world.
fn reference(numbers: &[u64]) -> Figures {
    let mut seen = BTreeSet::new();
    let (mut late, mut copies) = (0, 0);
    for &number in numbers {
        let below = seen.last().is_some_and(|&highest| number < highest);
        if !seen.insert(number) {
            copies += 1;
        } else if below {
            late += 1;
        }
    }
    let expected = seen.last().unwrap() - seen.first().unwrap() + 1;
    (
        expected,
        expected - seen.len() as u64,
        late,
        copies,
        numbers.len() as u64,
    )
}

/// Losses between numbers in order: how many, in how many rows, the longest.
fn rows(in_order: &[u64]) -> (u64, u64, u64) {
    let rows = in_order.windows(2).map(|pair| (pair[1] - pair[0]).saturating_sub(1));
    let rows: Vec<u64> = rows.filter(|&row| row > 0).collect();
    (
        rows.iter().sum(),
        rows.len() as u64,
        rows.iter().copied().max().unwrap_or_default(),
    )
}

#[test]
fn one_packet_is_one_expected() {
    assert_eq!(figures(&Numbers::first(65535)), (1, 0, 0, 0, 1));
}

#[test]
fn a_packet_from_before_the_first_extends_downwards() {
    let mut sequence = Numbers::first(0);
    assert_eq!(sequence.arrive(65534, || false), Arrival::Late);
    assert_eq!(figures(&sequence), (3, 1, 1, 0, 2));
    assert_eq!(sequence.arrive(65535, || false), Arrival::Late);
    assert_eq!(figures(&sequence), (3, 0, 2, 0, 3));
}

#[test]
fn copies_hide_no_loss() {
    // RFC 3550's arithmetic, expected less received, would say that nothing is missing.
    let sequence = run(&[10, 11, 11, 13]);
    assert_eq!(figures(&sequence), (4, 1, 0, 1, 4));
}

#[test]
fn two_strays_in_a_row_are_a_new_run_and_one_is_not() {
    let mut sequence = run(&[100, 101]);
    assert_eq!(sequence.arrive(40_000, || false), Arrival::Stray);
    assert_eq!(sequence.arrive(102, || false), Arrival::Next);
    assert_eq!(figures(&sequence), (3, 0, 0, 0, 4));
    assert_eq!(sequence.arrive(30_000, || false), Arrival::Stray);
    assert_eq!(sequence.arrive(30_001, || false), Arrival::Restart);
    // Both packets of the new run are counted, and nothing between the runs is missing.
    assert_eq!(figures(&sequence), (5, 0, 0, 0, 6));
    assert_eq!(sequence.arrive(30_003, || false), Arrival::Ahead);
    assert_eq!(sequence.arrive(30_000, || false), Arrival::Copy);
    assert_eq!(figures(&sequence), (7, 1, 0, 1, 8));
}

#[test]
fn a_new_run_whose_first_packets_changed_places_is_whole() {
    let mut sequence = run(&[100, 101]);
    let arrivals = [30_002, 30_000, 30_003, 30_001].map(|seq| sequence.arrive(seq, || false));
    assert_eq!(
        arrivals,
        [Arrival::Stray, Arrival::Restart, Arrival::Next, Arrival::Late]
    );
    assert_eq!(figures(&sequence), (6, 0, 1, 0, 6));
    // Across the wrap, and with the first one sent twice.
    let arrivals = [1, 1, 65_535, 0, 2].map(|seq| sequence.arrive(seq, || false));
    assert_eq!(arrivals[2..], [Arrival::Restart, Arrival::Late, Arrival::Next]);
    assert_eq!(figures(&sequence), (10, 0, 2, 1, 11));
}

#[test]
fn thousands_missing_are_a_loss_where_the_clock_went_on() {
    let mut sequence = Numbers::first(100);
    assert_eq!(sequence.arrive(5100, || true), Arrival::Ahead);
    assert_eq!(figures(&sequence), (5001, 4999, 0, 0, 2));
    assert!(sequence.0.is_far(20_000) && sequence.0.is_far(5000));
    assert!(!sequence.0.is_far(5101) && !sequence.0.is_far(5100) && !sequence.0.is_far(5090));
    assert!(sequence.0.is_behind(5100) && sequence.0.is_behind(5000) && !sequence.0.is_behind(5101));
}

#[test]
fn a_young_run_is_fresh_until_its_first_number_leaves_the_window() {
    let mut numbers = Numbers::first(10);
    assert_eq!(u16::from(numbers.2), WINDOW - 1);
    for seq in 11..10 + WINDOW {
        assert!(numbers.2 > 0, "{seq}");
        assert_eq!(numbers.arrive(seq, || false), Arrival::Next);
    }
    assert_eq!(numbers.2, 0);
    // From before the first.
    let mut numbers = run(&[100, 101]);
    assert_eq!(numbers.arrive(98, || false), Arrival::Late);
    assert_eq!(u16::from(numbers.2), WINDOW - 1 - 3);
    assert_eq!(numbers.arrive(99, || false), Arrival::Late);
    assert_eq!(figures(&numbers), (4, 0, 2, 0, 4));
}

#[test]
fn what_comes_after_the_window_has_passed_stays_lost() {
    let first = u64::from(WINDOW) + 1000;
    let mut numbers: Vec<u64> = (first..first + 600).collect();
    numbers.retain(|&n| n != first + 10);
    numbers.push(first + 10);
    assert_eq!(figures(&run(&numbers)), (600, 1, 0, 0, 600));
}

/// Numbers on the wire: ascending with losses, each perhaps sent again, all moved by less than the window.
fn wire() -> impl Strategy<Value = Vec<u64>> {
    let steps = proptest::collection::vec((1u64..4, 0u8..3, 0u64..200, 0u64..200), 1..600);
    (0u64..65536, steps).prop_map(|(first, steps)| {
        let mut number = 1 << 20 | first;
        let mut sent = Vec::new();
        for (step, copies, delay, again) in steps {
            number += if step == 3 { 40 } else { step };
            sent.push((number + delay, number));
            // Every other packet once, some twice.
            if copies == 2 {
                sent.push((number + again, number));
            }
        }
        sent.sort_unstable();
        sent.into_iter().map(|(_, number)| number).collect()
    })
}

proptest! {
    #[test]
    fn equals_the_reference_and_does_not_depend_on_order(numbers in wire()) {
        let (expected, lost, late, copies, packets) = reference(&numbers);
        prop_assert_eq!(figures(&run(&numbers)), (expected, lost, late, copies, packets));

        let mut in_order = numbers.clone();
        in_order.sort_unstable();
        prop_assert_eq!(figures(&run(&in_order)), (expected, lost, 0, copies, packets));

        let rows = rows(&in_order);
        prop_assert_eq!(run(&numbers).rows(), rows);
        prop_assert_eq!(run(&in_order).rows(), rows);
    }

    /// A sender that starts over, its packets moved by less than what is taken for reordering.
    #[test]
    fn a_new_run_does_not_depend_on_order(moves in proptest::collection::vec(0u16..16, 30), first in 40_000u16..60_000) {
        let mut order: Vec<u16> = (0..30).collect();
        order.sort_by_key(|&n| n + moves[usize::from(n)]);
        let mut sequence = run(&[100, 101]);
        let mut late = 0;
        for n in order {
            late += u64::from(sequence.arrive(first + n, || false) == Arrival::Late);
        }
        prop_assert_eq!(sequence.figures(), (32, 0, late, 0, 32));
    }

    #[test]
    fn any_numbers_keep_the_account_whole(numbers in proptest::collection::vec(any::<u16>(), 1..400), clock in any::<bool>()) {
        let mut sequence = Numbers::first(numbers[0]);
        for &seq in &numbers[1..] {
            let far = sequence.0.is_far(seq);
            let arrival = sequence.arrive(seq, || clock);
            prop_assert!(far || !matches!(arrival, Arrival::Stray | Arrival::Restart));
        }
        let (expected, lost, _, _, packets) = sequence.figures();
        prop_assert_eq!(packets, numbers.len() as u64);
        prop_assert!(lost < expected);
        prop_assert_eq!(sequence.rows().0, lost);
    }
}
