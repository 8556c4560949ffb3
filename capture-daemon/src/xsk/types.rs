//! Structures of include/uapi/linux/if_xdp.h, field by field. The constants are libc's.

use bytemuck::{Pod, Zeroable};

/// `struct sockaddr_xdp`: what a socket is bound to.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct SockaddrXdp {
    /// AF_XDP.
    pub family: u16,
    /// XDP_COPY, XDP_ZEROCOPY, XDP_USE_NEED_WAKEUP, XDP_USE_SG.
    pub flags: u16,
    /// Index of the interface.
    pub ifindex: u32,
    /// The rx queue.
    pub queue_id: u32,
    /// Socket whose umem is shared; unused here.
    pub shared_umem_fd: u32,
}

/// `struct xdp_ring_offset`: where the parts of a ring lie in its mapping.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct RingOffset {
    /// The producer's index.
    pub producer: u64,
    /// The consumer's index.
    pub consumer: u64,
    /// The first entry.
    pub desc: u64,
    /// The flags, XDP_RING_NEED_WAKEUP.
    pub flags: u64,
}

/// `struct xdp_mmap_offsets`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct MmapOffsets {
    /// The rx ring.
    pub rx: RingOffset,
    /// The tx ring.
    pub tx: RingOffset,
    /// The fill ring.
    pub fill: RingOffset,
    /// The completion ring.
    pub completion: RingOffset,
}

/// `struct xdp_umem_reg`, with its padding by name.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct UmemReg {
    /// Address of the first frame.
    pub addr: u64,
    /// Bytes of all frames.
    pub len: u64,
    /// Bytes of a frame.
    pub chunk_size: u32,
    /// Bytes left free in front of each frame, beyond the kernel's own 256.
    pub headroom: u32,
    /// XDP_UMEM_UNALIGNED_CHUNK_FLAG and the like; none here.
    pub flags: u32,
    /// `tx_metadata_len` since Linux 6.8, padding before.
    pub tx_metadata_len: u32,
}

/// `struct xdp_statistics`: what XDP_STATISTICS answers, all of it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Statistics {
    /// Frames dropped for other reasons than a full rx ring: the fill ring was empty, or the frame too long.
    pub rx_dropped: u64,
    /// Fill ring entries the kernel refused.
    pub rx_invalid_descs: u64,
    /// Tx ring entries the kernel refused.
    pub tx_invalid_descs: u64,
    /// Frames dropped because the rx ring was full.
    pub rx_ring_full: u64,
    /// Times the fill ring was found empty. Not to be added to `rx_dropped`, which counts those frames too.
    pub rx_fill_ring_empty_descs: u64,
    /// Times the tx ring was found empty.
    pub tx_ring_empty_descs: u64,
}

/// `struct xdp_options`: what XDP_OPTIONS answers.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Options {
    /// XDP_OPTIONS_ZEROCOPY.
    pub flags: u32,
}

/// `struct xdp_desc`: an entry of the rx ring.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Desc {
    /// Where the bytes begin, from the start of the umem.
    pub addr: u64,
    /// How many there are.
    pub len: u32,
    /// XDP_PKT_CONTD: the packet goes on in the next entry.
    pub options: u32,
}

const _: () = {
    assert!(size_of::<SockaddrXdp>() == size_of::<libc::sockaddr_xdp>());
    assert!(size_of::<MmapOffsets>() == size_of::<libc::xdp_mmap_offsets>());
    assert!(size_of::<UmemReg>() == 32);
    assert!(size_of::<Statistics>() == size_of::<libc::xdp_statistics>());
    assert!(size_of::<Options>() == size_of::<libc::xdp_options>());
    assert!(size_of::<Desc>() == size_of::<libc::xdp_desc>());
};
