//! What the kernel programs of host mode write into a ring buffer: a [`Record`], and behind it a copy of the frame.

/// In front of each copy of a frame.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Record {
    /// When the program saw the frame: CLOCK_MONOTONIC, in nanoseconds.
    pub arrival: u64,
    /// Bytes of the frame, from the Ethernet header on, its VLAN tag included.
    pub wire_len: u32,
    /// Bytes of it that follow, at most [`Record::SNAP`].
    pub captured: u32,
    /// Of each packet in a frame of several, the bytes that are kept; 0: all.
    pub keep: u32,
    /// The verdict, as its number.
    pub verdict: u32,
    /// Bytes of payload in each packet of a frame of several (GSO, GRO); 0 where the frame is one packet.
    pub segment: u16,
    /// Packets in such a frame.
    pub segments: u16,
    /// A [`Direction`], as its number.
    pub direction: u32,
}

/// Which way a frame went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Direction {
    /// To the host.
    In = 0,
    /// From the host.
    Out = 1,
}

impl Record {
    /// Bytes in front of the copy.
    pub const SIZE: usize = size_of::<Self>();

    /// Bytes that are copied of a frame at most: the longest IPv4 packet, behind Ethernet with tags. Longer are only
    /// super-frames of TCP over IPv6 (BIG TCP).
    pub const SNAP: u32 = 65_535 + 65;

    /// Room for a copy: a ring buffer reserves sizes that are known when the program is verified. Headers, in two
    /// cache lines with the record and what the ring has in front; G.711 of 20 ms; Ethernet; jumbo frames; super-frames.
    pub const ROOMS: [usize; 5] = [88, 256, 1_568, 9_248, Self::SNAP as usize];
}

// Records begin at multiples of 8 in a ring buffer, and so does the frame's copy behind it.
const _: () = assert!(Record::SIZE == 32);
