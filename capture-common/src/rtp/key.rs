//! Which stream a packet of RTP belongs to.

/// What tells streams apart.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct StreamKey {
    /// Source address; IPv4 in its mapped form (RFC 4291 section 2.5.5.2).
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
    /// Source port, in host byte order.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Synchronisation source.
    pub ssrc: u32,
}

const _: () = assert!(size_of::<StreamKey>() == 40);
