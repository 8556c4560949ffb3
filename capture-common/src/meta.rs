//! What the kernel program writes in front of every frame it hands to a socket (XDP metadata,
//! Documentation/networking/xdp-rx-metadata.rst in the kernel tree).

/// The XDP metadata of a captured frame: the 24 bytes just before its first byte.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct FrameMeta {
    /// [`FrameMeta::MAGIC`]; anything else means that the program could not write, as some drivers have no room for
    /// metadata.
    pub magic: u32,
    /// The verdict, as its number.
    pub verdict: u32,
    /// When the program saw the frame: CLOCK_MONOTONIC, in nanoseconds. It goes on over steps of the wall clock, and the
    /// program can read it without a lock.
    pub arrival: u64,
    /// Bytes the frame had on the wire: more than were captured where the program cut it.
    pub wire_len: u32,
    /// Always 0.
    pub pad: u32,
}

impl FrameMeta {
    /// "siph" in memory order.
    pub const MAGIC: u32 = u32::from_le_bytes(*b"siph");
    /// Bytes in front of the frame.
    pub const SIZE: usize = size_of::<Self>();
}

// bpf_xdp_adjust_meta refuses what is no multiple of 4 or longer than 32 bytes where the frame may become an skb
// (xdp_metalen_invalid, include/net/xdp.h).
const _: () = assert!(FrameMeta::SIZE == 24 && FrameMeta::SIZE.is_multiple_of(4) && FrameMeta::SIZE <= 32);
