//! Against the definitions on the whole vector of losses, and against RFC 3611 A.2.

use proptest::prelude::*;

use super::*;

/// The definition of RFC 3611 section 4.7.2, on what became of each packet.
fn reference(lost: &[bool]) -> Figures {
    let places: Vec<usize> = (0..lost.len()).filter(|&at| lost[at]).collect();
    let mut figures = Figures {
        lost: places.len() as u64,
        ..Figures::default()
    };
    for row in lost.split(|&lost| !lost).filter(|row| !row.is_empty()) {
        figures.rows += 1;
        figures.longest = figures.longest.max(row.len() as u64);
    }
    // Losses with fewer than GMIN received between one and the next.
    for burst in places.chunk_by(|a, b| b - a <= GMIN as usize) {
        if let [first, .., last] = burst {
            figures.bursts += 1;
            figures.burst_packets += (last - first + 1) as u64;
            figures.burst_lost += burst.len() as u64;
        }
    }
    figures
}

/// RFC 3611 A.2 with its variables: packets and losses in bursts, losses in gaps, bursts.
fn a_2(lost: &[bool]) -> (u64, u64, u64, u64) {
    let (mut c13, mut c14, mut c22, mut c23, mut c33) = (0, 0, 0, 0, 0);
    let (mut pkt, mut run) = (0, 0);
    for &lost in lost {
        if !lost {
            pkt += 1;
            continue;
        }
        if pkt >= GMIN {
            if run == 1 {
                c14 += 1;
            } else {
                c13 += 1;
            }
            run = 1;
        } else {
            run += 1;
            if pkt == 0 {
                c33 += 1;
            } else {
                c23 += 1;
                c22 += pkt - 1;
            }
        }
        pkt = 0;
    }
    let (c31, c32) = (c13, c23);
    (c22 + c23 + c31 + c32 + c33, c31 + c32 + c33, c14, c13)
}

fn run(lost: &[bool]) -> Figures {
    let mut burst = Burst::default();
    for (number, _) in (1000..).zip(lost).filter(|(_, lost)| **lost) {
        burst.lose(number, 1, 1000);
    }
    burst.figures()
}

fn vector(text: &str) -> Vec<bool> {
    text.bytes().map(|byte| byte == b'x').collect()
}

#[test]
fn a_loss_alone_is_no_burst_and_sixteen_received_end_one() {
    let gap = ".".repeat(16);
    let near = ".".repeat(15);
    let figures = run(&vector(&format!("{gap}x{gap}xx.x{gap}x{near}x{gap}")));
    assert_eq!((figures.lost, figures.rows, figures.longest), (6, 5, 2));
    assert_eq!(
        (figures.bursts, figures.burst_packets, figures.burst_lost),
        (2, 4 + 17, 5)
    );
}

/// A.2 has a burst begin with a loss, as here, and ends each with the first loss after it; with a loss alone at both ends
/// of the vector, all bursts lie between and the two agree.
#[test]
fn equals_rfc_3611_a_2() {
    let gap = ".".repeat(20);
    let bursts = ["xx", "x.x", "xxx..x...x", "x...............x"].map(|burst| format!("{gap}{burst}"));
    let text = format!("{gap}x{}{gap}x{gap}x", bursts.concat());
    let (packets, in_bursts, alone, count) = a_2(&vector(&text));
    let figures = run(&vector(&text));
    // A.2 counts the way into the first loss for a burst of one packet, and the last loss not yet.
    assert_eq!(figures.bursts, count - 1);
    assert_eq!(figures.burst_packets, packets - 1);
    assert_eq!(figures.burst_lost, in_bursts - 1);
    assert_eq!(figures.lost - figures.burst_lost, alone + 1);
}

#[test]
fn the_ratio_is_1_for_the_rows_of_random_loss() {
    let ratio = |lost, rows, expected| {
        let figures = Figures {
            lost,
            rows,
            ..Figures::default()
        };
        figures.ratio(expected)
    };
    // Of loss at 20 % the mean row is 1.25 long.
    assert_eq!(ratio(100, 80, 500), Some(1.0));
    assert_eq!(ratio(100, 10, 500), Some(8.0));
    assert_eq!((ratio(0, 0, 500), ratio(5, 1, 5)), (None, None));
}

/// A packet each 20 ms: lost, played, or discarded by some buffers.
fn fates() -> impl Strategy<Value = Vec<u8>> {
    // 8 is lost, else the buffers that discard it.
    let fate = prop_oneof![20 => Just(0u8), 2 => Just(8u8), 1 => 1u8..8];
    proptest::collection::vec(fate, 1..900)
}

proptest! {
    #[test]
    fn equals_the_definition(lost in proptest::collection::vec(proptest::bool::weighted(0.08), 1..600)) {
        prop_assert_eq!(run(&lost), reference(&lost));
    }

    /// Lost in the network or discarded by a buffer, whatever number begins the stream and wherever the sender starts over.
    #[test]
    fn a_buffer_misses_what_is_lost_and_what_it_discards(fates in fates(), restart in 2usize..900) {
        use super::super::sequence::Account;
        let mut fates = fates;
        // What is lost before the first and after the last packet, nobody knows; two packets begin a new run.
        fates.insert(0, 0);
        let len = fates.len();
        let restart = restart.min(len);
        for at in [restart - 1, restart, restart + 1, len - 1] {
            if let Some(fate) = fates.get_mut(at) {
                *fate &= 7;
            }
        }
        if let Some(fate) = fates.get_mut(restart) {
            *fate = 0;
        }
        let (mut sequence, mut account) = Account::first(65_000);
        for (at, &fate) in fates.iter().enumerate() {
            let seq = 65_000u16.wrapping_add(at as u16).wrapping_add(if at < restart { 0 } else { 20_000 });
            if fate == 8 {
                continue;
            }
            if at > 0 {
                account.arrive(&mut sequence, seq, || false);
            }
            if fate > 0 {
                account.discard(sequence.number(seq), fate);
            }
        }
        // A lone packet of a new run at the end is a stray.
        let counted = if restart + 1 == len { restart } else { len };
        let bursts = account.bursts(&sequence).map(Burst::figures);
        for (buffer, figures) in bursts.iter().enumerate() {
            let missed: Vec<bool> = fates[..counted]
                .iter()
                .map(|&fate| fate == 8 || (buffer > 0 && fate & 1 << (buffer - 1) != 0))
                .collect();
            prop_assert_eq!(*figures, reference(&missed), "buffer {}", buffer);
        }
    }
}
