//! Structures and numbers of include/uapi/linux/if_packet.h, filter.h and virtio_net.h.

use bytemuck::{Pod, Zeroable};

/// `enum tpacket_versions`.
pub const TPACKET_V3: u32 = 2;

/// `struct tpacket_req3`: the shape of a ring.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Request {
    pub block_size: u32,
    pub blocks: u32,
    pub frame_size: u32,
    pub frames: u32,
    /// Milliseconds after which a block that holds anything is handed over, full or not.
    pub retire: u32,
    pub private: u32,
    pub features: u32,
}

const _: () = assert!(size_of::<Request>() == size_of::<libc::tpacket_req3>());

/// `struct tpacket_stats_v3`, counted since the last reading. Frames that were dropped are among the packets
/// (packet_getsockopt, net/packet/af_packet.c).
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Statistics {
    pub packets: u32,
    pub drops: u32,
    /// Times that the kernel found no free block.
    pub freezes: u32,
}

const _: () = assert!(size_of::<Statistics>() == size_of::<libc::tpacket_stats_v3>());

/// `struct sockaddr_ll`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct LinkAddress {
    pub family: u16,
    /// In the order of the wire.
    pub protocol: u16,
    pub ifindex: i32,
    pub hatype: u16,
    pub kind: u8,
    pub halen: u8,
    pub address: [u8; 8],
}

const _: () = assert!(size_of::<LinkAddress>() == size_of::<libc::sockaddr_ll>());

/// `struct tpacket_block_desc` with its `struct tpacket_hdr_v1`: what a block begins with.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct BlockHead {
    pub version: u32,
    pub private: u32,
    pub status: u32,
    pub frames: u32,
    /// Where the first frame's head stands, from the block's beginning.
    pub first: u32,
    pub length: u32,
    pub sequence: u64,
    pub stamps: [u32; 4],
}

const _: () = assert!(size_of::<BlockHead>() == size_of::<libc::tpacket_block_desc>());

/// Where the status of a block stands in it.
pub const STATUS: usize = 8;

/// `struct tpacket3_hdr`: what a frame begins with.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct FrameHead {
    /// Where the next frame's head stands, from this one's beginning; 0 for the block's last.
    pub next: u32,
    pub seconds: u32,
    pub nanoseconds: u32,
    /// Bytes that were copied.
    pub captured: u32,
    /// Bytes it had.
    pub length: u32,
    pub status: u32,
    /// Where the frame stands, from this head's beginning.
    pub mac: u16,
    pub net: u16,
    pub hash: u32,
    pub vlan_tci: u32,
    /// In the order of this machine.
    pub vlan_tpid: u16,
    pub pad: [u16; 5],
}

const _: () = assert!(size_of::<FrameHead>() == size_of::<libc::tpacket3_hdr>());

/// `struct virtio_net_hdr` in the order of this machine (vio_le, net/packet/af_packet.c); it ends where the frame begins.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct VirtioHead {
    pub flags: u8,
    pub gso_type: u8,
    pub header_len: u16,
    pub gso_size: u16,
    pub checksum_start: u16,
    pub checksum_offset: u16,
}

const _: () = assert!(size_of::<VirtioHead>() == 10);

/// VIRTIO_NET_HDR_GSO_NONE.
pub const NO_GSO: u8 = 0;

/// Where a frame begins at the earliest: its head is followed by the address (TPACKET3_HDRLEN), and the frame itself stands
/// behind virtio's head.
pub const EARLIEST: usize = size_of::<FrameHead>() + size_of::<LinkAddress>() + size_of::<VirtioHead>();

/// Bytes that a frame takes at least.
pub const SHORTEST: usize = EARLIEST + 14;

/// Takes no frame.
pub const NOTHING: [libc::sock_filter; 1] = [take(0)];

/// Takes every frame, whole.
pub const EVERYTHING: [libc::sock_filter; 1] = [take(u32::MAX)];

/// Takes frames that do not go out.
pub const INCOMING: [libc::sock_filter; 4] = [
    instruction(
        libc::BPF_LD | libc::BPF_B | libc::BPF_ABS,
        (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE).cast_unsigned(),
        [0, 0],
    ),
    instruction(
        libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
        libc::PACKET_OUTGOING as u32,
        [0, 1],
    ),
    take(0),
    take(u32::MAX),
];

/// Takes so many bytes of the frame.
const fn take(bytes: u32) -> libc::sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, bytes, [0, 0])
}

/// An instruction of the classic filter; `jumps` over so many others where a comparison holds, and where it does not.
const fn instruction(code: u32, k: u32, [jt, jf]: [u8; 2]) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    }
}
