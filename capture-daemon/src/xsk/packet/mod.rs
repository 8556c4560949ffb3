//! Packet sockets with a ring in shared memory (packet(7), TPACKET_V3; Documentation/networking/packet_mmap.rst): frames
//! beside those that the host sends and receives, where neither XDP nor tc is to be had.

/// Kernel structures, as they are in its headers.
mod types;

/// The socket, from its options to its end.
mod socket;

/// From block to block through the shared memory.
mod ring;

/// From frame to frame through a block; no memory but the block's.
mod walk;

/// Blocks for tests.
#[cfg(test)]
mod testing;

pub use ring::PacketRing;
pub use socket::{PacketSocket, RETIRE, Shape, Tally};
pub use walk::{Packet, Step, Walk};

/// Bytes that a frame takes of a block at least: its head, its address, the head of virtio and the shortest Ethernet frame.
pub const SHORTEST: u64 = types::SHORTEST as u64;
