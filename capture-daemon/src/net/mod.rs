//! From a frame to the payload of UDP or TCP, and from TCP segments to contiguous bytes.
//!
//! A frame is a stack of layers. Each opens to the next one inside it, until the transport is reached: a tunnel is one
//! more layer that opens to `Layer::Typed` or `Layer::Ipv4` again.

mod endpoint;
mod ip;
mod link;
pub mod tcp;
mod transport;

pub use endpoint::Endpoint;
pub use tcp::{Flags, Segment, Taken, TcpStreams};

use crate::frame::LinkType;
use crate::outcome::Outcome;

/// The innermost addresses of a frame and what travels between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Where it comes from.
    pub src: Endpoint,
    /// Where it goes.
    pub dst: Endpoint,
    /// What it carries.
    pub transport: Transport<'a>,
}

/// What an IP packet carries, as far as siphon reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport<'a> {
    /// Payload of a UDP datagram; its first part where the capture cut the frame short.
    Udp(&'a [u8]),
    /// A TCP segment.
    Tcp(Segment<'a>),
}

/// A frame opens at most this often: link, eight tags or tunnels, IP, transport, with room to spare. More is an attack.
const MAX_LAYERS: usize = 16;

/// What is left of a frame after its outer layers are taken off.
enum Layer<'a> {
    /// The frame as captured.
    Link(LinkType, &'a [u8]),
    /// What an EtherType announces.
    Typed(u16, &'a [u8]),
    /// An IPv4 packet.
    Ipv4(&'a [u8]),
    /// An IPv6 packet.
    Ipv6(&'a [u8]),
    /// What an IP header announces.
    Transport(ip::Payload<'a>),
}

/// Takes a frame apart down to its transport.
///
/// # Errors
/// The outcome of a frame that holds no UDP and no TCP, or none that can be read: `NotIp`, `LinkShort`, `IpMalformed`,
/// `Fragment`, `OtherTransport`, `UdpMalformed`, `TcpMalformed`.
pub fn decode<'a>(link: LinkType, bytes: &'a [u8]) -> Result<Packet<'a>, Outcome> {
    let mut layer = Layer::Link(link, bytes);
    for _ in 0..MAX_LAYERS {
        layer = match layer {
            Layer::Link(link, bytes) => link::open(link, bytes)?,
            Layer::Typed(ethertype, bytes) => link::typed(ethertype, bytes)?,
            Layer::Ipv4(bytes) => ip::v4(bytes)?,
            Layer::Ipv6(bytes) => ip::v6(bytes)?,
            Layer::Transport(payload) => return transport::open(&payload),
        };
    }
    Err(Outcome::NotIp)
}

#[cfg(test)]
mod tests;
