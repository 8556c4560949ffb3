//! The walk over blocks as the kernel writes them, and as it never would.

use proptest::prelude::*;

use super::super::testing::{Written, block};
use super::*;

fn walk(block: &[u8]) -> Vec<Step<'_>> {
    let mut walk = Walk::new(block);
    let steps = std::iter::from_fn(|| walk.step(block)).collect();
    assert!(walk.is_over());
    assert_eq!(walk.step(block), None);
    steps
}

fn plain(bytes: &[u8]) -> Packet<'_> {
    Packet {
        stamp: 1_500_000_000,
        wire_len: bytes.len() as u32,
        bytes,
        tag: None,
        segment: 0,
        outgoing: false,
    }
}

#[test]
fn frames_are_lent_where_they_lie_in_their_order() {
    let frames = [vec![1; 60], vec![2; 1_514], vec![3; 14], Vec::new()];
    let block = block(&frames.each_ref().map(|bytes| Written::plain(bytes)), 4_096);
    let steps = walk(&block);
    assert_eq!(steps, frames.each_ref().map(|bytes| Step::Packet(plain(bytes))));
    for step in steps {
        if let Step::Packet(packet) = step {
            assert!(block.as_ptr_range().contains(&packet.bytes.as_ptr()));
        }
    }
}

#[test]
fn direction_tag_offload_and_cut_are_told() {
    let mut frame = Written::plain(&[7; 100]);
    frame.kind = libc::PACKET_OUTGOING;
    frame.head.length = 70_000;
    frame.head.status |= libc::TP_STATUS_VLAN_VALID | libc::TP_STATUS_VLAN_TPID_VALID;
    (frame.head.vlan_tpid, frame.head.vlan_tci) = (0x88a8, 0x6007);
    (frame.virtio.gso_type, frame.virtio.gso_size) = (5, 172);
    let expected = Packet {
        wire_len: 70_000,
        tag: Some([0x88, 0xa8, 0x60, 7]),
        segment: 172,
        outgoing: true,
        ..plain(&[7; 100])
    };
    assert_eq!(walk(&block(&[frame.clone()], 4_096)), [Step::Packet(expected)]);

    frame.head.status = libc::TP_STATUS_USER | libc::TP_STATUS_VLAN_VALID;
    frame.virtio.gso_type = NO_GSO;
    let expected = Packet {
        tag: Some([0x81, 0, 0x60, 7]),
        segment: 0,
        ..expected
    };
    assert_eq!(walk(&block(&[frame], 4_096)), [Step::Packet(expected)]);
}

#[test]
fn a_place_that_was_not_used_is_passed() {
    let mut unused = Written::plain(&[9; 60]);
    unused.head.status = 0;
    let frames = [Written::plain(&[1; 60]), unused, Written::plain(&[2; 60])];
    let block = block(&frames, 4_096);
    let steps = [
        Step::Packet(plain(&[1; 60])),
        Step::Unused,
        Step::Packet(plain(&[2; 60])),
    ];
    assert_eq!(walk(&block), steps);
}

#[test]
fn a_frame_outside_of_its_block_is_said_to_be_astray_and_the_next_is_found() {
    let wrong: [fn(&mut FrameHead); 4] = [
        |head| (head.captured, head.length) = (5_000, 5_000),
        |head| (head.captured, head.length) = (u32::MAX, u32::MAX),
        |head| head.mac = 0,
        |head| head.mac = EARLIEST as u16 - 1,
    ];
    for spoil in wrong {
        let mut block = block(&[Written::plain(&[1; 60]), Written::plain(&[2; 60])], 4_096);
        let at = size_of::<BlockHead>();
        let mut head: FrameHead = read(&block, at).unwrap();
        spoil(&mut head);
        block[at..at + size_of::<FrameHead>()].copy_from_slice(bytemuck::bytes_of(&head));
        assert_eq!(walk(&block), [Step::Astray, Step::Packet(plain(&[2; 60]))]);
    }
}

#[test]
fn where_the_next_is_not_found_all_others_are_astray() {
    for next in [1, 40, 4_096, u32::MAX] {
        let frames = [1, 2, 3].map(|number| Written::plain(&[number; 60]));
        let mut block = block(&frames, 4_096);
        let at = size_of::<BlockHead>();
        block[at..at + 4].copy_from_slice(&next.to_ne_bytes());
        assert_eq!(
            walk(&block),
            [Step::Packet(plain(&[1; 60])), Step::Astray, Step::Astray],
            "{next}"
        );
    }
}

#[test]
fn a_block_says_of_no_more_frames_than_it_has_room_for() {
    let mut block = block(&[Written::plain(&[1; 60])], 4_096);
    block[12..16].copy_from_slice(&u32::MAX.to_ne_bytes());
    assert_eq!(walk(&block).len(), 4_096 / SHORTEST);
    assert!(walk(&[]).is_empty() && walk(&block[..40]).is_empty());
}

proptest! {
    /// Whatever stands in a block, the walk ends, and what it lends lies in the block.
    #[test]
    fn no_block_leads_astray_for_long(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..1_024),
        spoiled in proptest::collection::vec((0_usize..512, any::<u8>()), 0..8),
        made: bool,
    ) {
        if made {
            let frames = [1, 2, 3].map(|number| Written::plain(&[number; 60]));
            bytes = block(&frames, 1_024);
            for (at, byte) in spoiled {
                bytes[at] = byte;
            }
        }
        let steps = walk(&bytes);
        prop_assert!(steps.len() <= bytes.len() / SHORTEST);
    }
}
