//! The way through a block, from frame to frame. Lengths and offsets are the kernel's word, and are believed where they stay
//! inside the block.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "total on any block: lengths come from shared memory"
)]

use bytemuck::AnyBitPattern;

use super::types::{BlockHead, EARLIEST, FrameHead, LinkAddress, NO_GSO, SHORTEST, VirtioHead};

/// 802.1Q, where the kernel does not say which tag it is.
const TPID: u16 = 0x8100;

/// A frame where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// When the kernel had it, in nanoseconds of the wall clock.
    pub stamp: u64,
    /// Bytes it had, without the tag beside it.
    pub wire_len: u32,
    /// Those that were copied.
    pub bytes: &'a [u8],
    /// The VLAN tag that the kernel holds beside the frame, as four bytes on the wire.
    pub tag: Option<[u8; 4]>,
    /// Bytes of payload in each packet of a frame that stands for several (GSO, GRO); 0 where it is one.
    pub segment: u16,
    /// Whether it went out from the host.
    pub outgoing: bool,
}

/// What stands at the next place of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A frame.
    Packet(Packet<'a>),
    /// A place the kernel took and then did not use; the frame is among those it dropped (tpacket_rcv with a head that
    /// virtio has no word for, net/packet/af_packet.c).
    Unused,
    /// A frame that is not where the block says.
    Astray,
}

/// Where the walk through a block is.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    /// Where the next frame's head stands; `None` where that cannot be said.
    at: Option<usize>,
    /// Frames that are left.
    left: u32,
}

impl Walk {
    /// At the beginning of a block.
    pub fn new(block: &[u8]) -> Self {
        let Some(head) = read::<BlockHead>(block, 0) else {
            return Self { at: None, left: 0 };
        };
        // No block has more, whatever it says.
        let room = u32::try_from(block.len() / SHORTEST).unwrap_or(u32::MAX);
        Self {
            at: usize::try_from(head.first).ok(),
            left: head.frames.min(room),
        }
    }

    /// Whether the block is done with.
    pub const fn is_over(&self) -> bool {
        self.left == 0
    }

    /// The next place, unless the block is done with. `block` must be the same at each step.
    #[inline]
    pub fn step<'a>(&mut self, block: &'a [u8]) -> Option<Step<'a>> {
        self.left = self.left.checked_sub(1)?;
        let here = self.at.and_then(|at| Some((at, read::<FrameHead>(block, at)?)));
        let Some((at, head)) = here else {
            self.at = None;
            return Some(Step::Astray);
        };
        let next = usize::try_from(head.next)
            .ok()
            .filter(|next| *next >= size_of::<FrameHead>());
        self.at = next.and_then(|next| at.checked_add(next));
        if head.status & libc::TP_STATUS_USER == 0 {
            return Some(Step::Unused);
        }
        Some(packet(block, at, &head).map_or(Step::Astray, Step::Packet))
    }
}

/// The frame whose head stands at `at`.
#[inline]
fn packet<'a>(block: &'a [u8], at: usize, head: &FrameHead) -> Option<Packet<'a>> {
    let mac = usize::from(head.mac);
    if mac < EARLIEST {
        return None;
    }
    let start = at.checked_add(mac)?;
    let address: LinkAddress = read(block, at.checked_add(size_of::<FrameHead>())?)?;
    let virtio: VirtioHead = read(block, start.checked_sub(size_of::<VirtioHead>())?)?;
    let captured = usize::try_from(head.captured.min(head.length)).ok()?;
    let bytes = block.get(start..)?.get(..captured)?;
    let tag = (head.status & libc::TP_STATUS_VLAN_VALID != 0).then(|| {
        let tpid = if head.status & libc::TP_STATUS_VLAN_TPID_VALID != 0 {
            head.vlan_tpid
        } else {
            TPID
        };
        let [a, b] = tpid.to_be_bytes();
        let [_, _, c, d] = head.vlan_tci.to_be_bytes();
        [a, b, c, d]
    });
    Some(Packet {
        stamp: u64::from(head.seconds)
            .wrapping_mul(1_000_000_000)
            .wrapping_add(head.nanoseconds.into()),
        wire_len: head.length,
        bytes,
        tag,
        segment: if virtio.gso_type == NO_GSO { 0 } else { virtio.gso_size },
        outgoing: address.kind == libc::PACKET_OUTGOING,
    })
}

/// The structure at `at`.
#[inline]
fn read<T: AnyBitPattern>(block: &[u8], at: usize) -> Option<T> {
    let bytes = block.get(at..)?.get(..size_of::<T>())?;
    bytemuck::try_pod_read_unaligned(bytes).ok()
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic where it is wrong")]
mod tests;
