//! The packet socket of one lane, from its options to its end (net/packet/af_packet.c).
//!
//! It is bound with a filter that takes nothing, and armed when all lanes of a capture share the frames: a frame that came
//! while only some of them were there would be seen by each.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::types::{EVERYTHING, INCOMING, LinkAddress, NOTHING, Request, Statistics, TPACKET_V3};
use crate::xsk::socket::{self, OPEN_PACKET, SocketError, step};
use crate::xsk::sys;

/// After this long, or after twice as long where the kernel just looked, a block that holds anything is handed over, full or not.
pub const RETIRE: Duration = Duration::from_millis(10);

/// A block has room for the longest super-frame, and a small ring has two.
const SMALLEST_BLOCK: u32 = 128 << 10;
/// Larger blocks would be handed over by the clock anyway.
const LARGEST_BLOCK: u32 = 1 << 20;
/// Blocks of a ring in between.
const BLOCKS: u32 = 64;

/// How a ring is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of a block, a power of two.
    pub block_size: u32,
    /// Blocks.
    pub blocks: u32,
}

impl Shape {
    /// That of a ring of `size` bytes, a power of two.
    pub const fn of(size: u32) -> Self {
        let wanted = size / BLOCKS;
        let block_size = if wanted < SMALLEST_BLOCK {
            SMALLEST_BLOCK
        } else if wanted > LARGEST_BLOCK {
            LARGEST_BLOCK
        } else {
            wanted
        };
        Self {
            block_size,
            blocks: size / block_size,
        }
    }

    /// Bytes of the ring.
    pub const fn bytes(&self) -> usize {
        self.block_size as usize * self.blocks as usize
    }

    /// Where a block begins.
    pub(super) const fn offset(&self, block: u32) -> usize {
        self.block_size as usize * block as usize
    }

    /// The block behind one.
    pub(super) const fn after(&self, block: u32) -> u32 {
        (block + 1) % self.blocks
    }

    /// The block so many before one, at most once around.
    pub(super) const fn before(&self, block: u32, by: u32) -> u32 {
        (block + self.blocks - by) % self.blocks
    }
}

/// What the kernel counted of a socket's frames since it was asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Frames that were put into the ring.
    pub placed: u64,
    /// Frames that found no room in it.
    pub dropped: u64,
    /// Times that there was no free block.
    pub freezes: u64,
}

/// A packet socket with a ring.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
    shape: Shape,
    /// What it takes once it is armed.
    takes: &'static [libc::sock_filter],
}

impl PacketSocket {
    /// Makes a socket on an interface, with a ring of `size` bytes, which takes nothing yet. On the loopback interface,
    /// where everything that goes out comes in again, it will take what comes in.
    ///
    /// # Errors
    /// The step that failed, with its errno.
    pub fn new(ifindex: u32, size: u32, loopback: bool) -> Result<Self, SocketError> {
        // Protocol 0: nothing comes before the bind.
        let fd = sys::socket(libc::AF_PACKET).map_err(step(OPEN_PACKET))?;
        let shape = Shape::of(size);
        let option = |name, value: &u32| sys::set_option(&fd, libc::SOL_PACKET, name, value);
        option(libc::PACKET_VERSION, &TPACKET_V3).map_err(step("choose the ring's version (PACKET_VERSION)"))?;
        // Before the ring: it takes a place in front of each frame.
        option(libc::PACKET_VNET_HDR, &1).map_err(step("ask for offloads (PACKET_VNET_HDR)"))?;
        // Frames have no size of their own in this version; one that divides the block is asked for.
        let frame_size = 2_048;
        let request = Request {
            block_size: shape.block_size,
            blocks: shape.blocks,
            frame_size,
            frames: shape.block_size / frame_size * shape.blocks,
            retire: RETIRE.as_millis() as u32,
            private: 0,
            features: 0,
        };
        sys::set_option(&fd, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)
            .map_err(step("make the ring (PACKET_RX_RING)"))?;
        let socket = Self {
            fd,
            shape,
            takes: if loopback { &INCOMING } else { &EVERYTHING },
        };
        socket.disarm()?;
        let address = LinkAddress {
            family: libc::AF_PACKET as u16,
            protocol: (libc::ETH_P_ALL as u16).to_be(),
            // The kernel's indices are positive numbers of this type.
            ifindex: ifindex.cast_signed(),
            hatype: 0,
            kind: 0,
            halen: 0,
            address: [0; 8],
        };
        sys::bind(&socket.fd, &address).map_err(step("bind to the interface"))?;
        Ok(socket)
    }

    /// Has sockets share the frames of an interface: those of one flow, either way, and the fragments of one datagram
    /// (fanout_demux_hash) go to one of them. With the first, `group` is `None`; the others are given what it returned.
    ///
    /// # Errors
    /// The errno of PACKET_FANOUT.
    pub fn share(&self, group: Option<u16>) -> Result<u16, SocketError> {
        let join = |id: u16, flags: u32| {
            let value = u32::from(id) | (libc::PACKET_FANOUT_HASH | flags) << 16;
            sys::set_option(&self.fd, libc::SOL_PACKET, libc::PACKET_FANOUT, &value)
        };
        let failed = step("share the frames (PACKET_FANOUT)");
        if let Some(group) = group {
            return join(group, 0).map(|()| group).map_err(failed);
        }
        match join(0, libc::PACKET_FANOUT_FLAG_UNIQUEID) {
            Ok(()) => {
                let value: u32 = sys::get_option(&self.fd, libc::SOL_PACKET, libc::PACKET_FANOUT)
                    .map_err(step("ask for the group that was made (PACKET_FANOUT)"))?;
                Ok(value as u16)
            }
            // Kernels before 4.12 choose none by themselves; no two processes have this one.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                let group = std::process::id() as u16;
                join(group, 0).map(|()| group).map_err(failed)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// From here on frames are taken.
    ///
    /// # Errors
    /// The errno of SO_ATTACH_FILTER.
    pub fn arm(&self) -> Result<(), SocketError> {
        sys::attach_filter(&self.fd, self.takes).map_err(step("take frames (SO_ATTACH_FILTER)"))
    }

    /// From here on none is; what is in the ring stays there.
    ///
    /// # Errors
    /// The errno of SO_ATTACH_FILTER.
    pub fn disarm(&self) -> Result<(), SocketError> {
        sys::attach_filter(&self.fd, &NOTHING).map_err(step("take no frames (SO_ATTACH_FILTER)"))
    }

    /// How its ring is divided.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// Waits until the kernel has handed over a block or `timeout` has passed; whether it has.
    ///
    /// # Errors
    /// ENETDOWN and the like, when the interface is down or gone.
    pub fn wait(&self, timeout: Duration) -> Result<bool, SocketError> {
        socket::wait(&self.fd, timeout)
    }

    /// What the kernel counted since this was asked last.
    ///
    /// # Errors
    /// The errno of PACKET_STATISTICS.
    pub fn tally(&self) -> Result<Tally, SocketError> {
        let Statistics {
            packets,
            drops,
            freezes,
        } = sys::get_option(&self.fd, libc::SOL_PACKET, libc::PACKET_STATISTICS)
            .map_err(step("read PACKET_STATISTICS"))?;
        Ok(Tally {
            placed: packets.wrapping_sub(drops).into(),
            dropped: drops.into(),
            freezes: freezes.into(),
        })
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_of_any_size_has_blocks_that_hold_a_super_frame() {
        for bits in 18..=30 {
            let shape = Shape::of(1 << bits);
            assert_eq!(shape.bytes(), 1 << bits);
            assert!(shape.block_size >= SMALLEST_BLOCK && shape.blocks >= 2, "{shape:?}");
        }
        assert_eq!(
            Shape::of(16 << 20),
            Shape {
                block_size: 256 << 10,
                blocks: 64
            }
        );
    }

    #[test]
    fn blocks_follow_each_other_round_the_ring() {
        let shape = Shape::of(1 << 18);
        assert_eq!((shape.after(0), shape.after(1)), (1, 0));
        assert_eq!((shape.before(0, 1), shape.before(1, 2), shape.before(1, 1)), (1, 1, 0));
    }
}
