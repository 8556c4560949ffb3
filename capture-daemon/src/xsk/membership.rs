//! Promiscuous mode through a packet socket's membership (packet(7), PACKET_MR_PROMISC): the kernel counts the members of
//! an interface and ends the mode with the last, also when a process dies.

use std::io;
use std::os::fd::OwnedFd;

use bytemuck::{Pod, Zeroable};

use super::sys;

/// `struct packet_mreq` of include/uapi/linux/if_packet.h.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct PacketMreq {
    ifindex: i32,
    kind: u16,
    alen: u16,
    address: [u8; 8],
}

const _: () = assert!(size_of::<PacketMreq>() == size_of::<libc::packet_mreq>());

/// Membership that keeps an interface promiscuous while it lives.
#[derive(Debug)]
pub struct Membership {
    _socket: OwnedFd,
}

impl Membership {
    /// Makes the interface promiscuous.
    ///
    /// # Errors
    /// The errno of socket(2) or setsockopt(2).
    pub fn promiscuous(ifindex: u32) -> io::Result<Self> {
        // Protocol 0: the socket itself receives nothing.
        let socket = sys::socket(libc::AF_PACKET)?;
        let request = PacketMreq {
            ifindex: i32::try_from(ifindex).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?,
            kind: libc::PACKET_MR_PROMISC as u16,
            alen: 0,
            address: [0; 8],
        };
        sys::set_option(&socket, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)?;
        Ok(Self { _socket: socket })
    }
}
