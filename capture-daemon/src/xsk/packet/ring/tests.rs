//! The ring in anonymous memory, with the kernel's part played by hand.

use super::super::testing::{Written, block};
use super::*;

const SHAPE: Shape = Shape {
    block_size: 4_096,
    blocks: 3,
};

/// A ring whose blocks are all the kernel's.
fn ring() -> PacketRing {
    PacketRing::over(Mapping::anonymous(SHAPE.bytes()).unwrap(), SHAPE)
}

/// Hands over a block with a frame for each of these numbers.
fn hand_over(ring: &PacketRing, number: u32, frames: &[u8]) {
    assert!(!ring.blocks.is_ours(number), "the kernel writes into no block of ours");
    let frames: Vec<_> = frames.iter().map(|byte| Written::plain(&[*byte; 60])).collect();
    let bytes = block(&frames, SHAPE.block_size as usize);
    // SAFETY: inside the mapping, of which no byte is borrowed.
    let to = unsafe { ring.blocks.mapping.start().add(SHAPE.offset(number)) };
    // SAFETY: as long as a block, and not part of the mapping.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
}

/// Takes at most `max` frames, and says their numbers.
fn take(ring: &mut PacketRing, max: usize) -> Vec<u8> {
    let mut taken = Vec::new();
    while taken.len() < max {
        match ring.step() {
            None => break,
            Some(Step::Packet(packet)) => taken.extend(packet.bytes.first()),
            Some(other) => panic!("{other:?}"),
        }
    }
    taken
}

#[test]
fn blocks_are_read_in_turn_and_given_back_when_all_was_taken() {
    let mut ring = ring();
    assert!(ring.is_empty() && take(&mut ring, 64).is_empty());
    hand_over(&ring, 0, &[1, 2]);
    hand_over(&ring, 1, &[3]);
    assert_eq!((ring.is_empty(), ring.used()), (false, 8_192));
    assert_eq!(take(&mut ring, 1), [1]);
    ring.release();
    assert_eq!(ring.used(), 8_192, "a frame is left in it");
    assert_eq!(take(&mut ring, 1), [2]);
    ring.release();
    assert_eq!(ring.used(), 4_096);
    assert_eq!(take(&mut ring, 64), [3]);
    ring.release();
    assert_eq!((ring.is_empty(), ring.used()), (true, 0));
    // Round the ring.
    for lap in 0..10 {
        let number = (2 + lap) % 3;
        hand_over(&ring, number, &[lap as u8, 100]);
        assert_eq!(take(&mut ring, 64), [lap as u8, 100]);
        ring.release();
    }
    assert_eq!((ring.is_empty(), ring.used()), (true, 0));
}

#[test]
fn what_is_not_given_back_is_not_read_twice() {
    let mut ring = ring();
    for number in 0..3 {
        hand_over(&ring, number, &[number as u8]);
    }
    assert_eq!(take(&mut ring, 64), [0, 1, 2]);
    assert!(take(&mut ring, 64).is_empty());
    assert_eq!(ring.used(), 3 * 4_096);
    ring.release();
    assert_eq!((ring.is_empty(), ring.used()), (true, 0));
    hand_over(&ring, 0, &[7]);
    assert_eq!(take(&mut ring, 64), [7]);
}

#[test]
fn an_empty_block_is_passed() {
    let mut ring = ring();
    hand_over(&ring, 0, &[]);
    hand_over(&ring, 1, &[5]);
    assert_eq!(take(&mut ring, 64), [5]);
    ring.release();
    assert_eq!((ring.is_empty(), ring.used()), (true, 0));
}
