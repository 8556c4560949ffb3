//! AF_XDP: the socket of one rx queue, the memory it shares with the kernel, and the frames that come through it
//! (Documentation/networking/af_xdp.rst); and the other memory that frames come through. The only place of the daemon with unsafe code.

/// Kernel structures, as they are in its headers.
pub mod types;

/// Every system call of this directory.
pub mod sys;

/// Memory shared with the kernel.
mod mmap;

/// The frames' memory, and the tokens that say whose a frame is.
pub mod umem;

/// Producer and consumer ends of the rings; no system call in it.
pub mod ring;

/// The socket, from its options to its bind.
pub mod socket;

/// What a lane counts, and what the kernel counts for it.
pub mod stats;

/// Memory asked for before it is needed: no socket, but an instruction of its own.
pub mod prefetch;

/// A capture file mapped into memory: no socket, but here lives the daemon's unsafe code.
pub mod file_map;

/// From the kernel's clock to the wall's.
pub mod clock;

/// The reading end of a BPF ring buffer: no socket, but memory shared with the kernel.
pub mod records;

/// The socket and the ring of packet mode.
pub mod packet;

/// The fill ring: which of its places a frame gets that comes back.
mod fill;

/// Frames out of the rings: what the kernel gave, borrowed until it is given back.
mod receive;

/// One rx queue: socket, rings and frames together.
pub mod lane;

/// Hash maps of bpf(2), many entries at once.
pub mod bpf_map;

/// An array of the kernel program in this process's memory.
pub mod shared_array;

/// What a driver counts beyond the standard statistics.
pub mod ethtool;

/// Promiscuous mode that ends with the process.
pub mod membership;

pub use clock::Clock;
pub use lane::{Lane, LaneError};
pub use membership::Membership;
pub use receive::{Batch, Packet};
pub use stats::LaneCounters;
