//! From a frame to the payload of UDP or TCP, from IP fragments to datagrams, and from TCP segments to contiguous bytes.
//!
//! A frame is a stack of layers. Each opens to the next one inside it, until the transport is reached: a tunnel is one
//! more layer that opens to `Layer::Link`, `Layer::Typed` or `Layer::Ipv4` again.

mod domain;
mod endpoint;
pub mod fragments;
mod gre;
mod ip;
mod l2tp;
mod link;
mod mpls;
mod pieces;
mod ppp;
pub mod tcp;
mod transport;
mod tunnel;
pub mod websocket;

pub use domain::Domain;
pub use endpoint::Endpoint;
pub use fragments::{Fragment, Fragments};
pub use tcp::{Flags, Limits, Offer, Segment, Taken, TcpStreams};
pub use tunnel::PORTS as TUNNEL_PORTS;

pub use self::fragments::Datagram;
use crate::frame::LinkType;
use crate::outcome::Outcome;

/// What a frame comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A whole packet.
    Packet(Packet<'a>),
    /// A piece of one, to be put together with the others.
    Fragment(Fragment<'a>),
}

/// The innermost addresses of a frame and what travels between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Where it comes from.
    pub src: Endpoint,
    /// Where it goes.
    pub dst: Endpoint,
    /// What it carries.
    pub transport: Transport<'a>,
    /// Bytes of that beyond those that were captured: the capture cut the frame short.
    pub missing: usize,
}

/// What an IP packet carries, as far as siphon reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport<'a> {
    /// Payload of a UDP datagram; its first part where the capture cut the frame short.
    Udp(&'a [u8]),
    /// A TCP segment.
    Tcp(Segment<'a>),
}

/// A frame opens at most this often. The longest way into a tunnel, Ethernet over GENEVE, has six steps: five of those
/// one in the other have room. More is an attack.
const MAX_LAYERS: usize = 40;

/// What is left of a frame after its outer layers are taken off.
enum Layer<'a> {
    /// The frame as captured, or one inside a tunnel.
    Link(LinkType, &'a [u8]),
    /// What an EtherType announces.
    Typed(u16, &'a [u8]),
    /// A stack of MPLS labels.
    Mpls(&'a [u8]),
    /// A PPP frame.
    Ppp(&'a [u8]),
    /// An IPv4 packet.
    Ipv4(&'a [u8]),
    /// An IPv6 packet.
    Ipv6(&'a [u8]),
    /// An IPv4 packet that is a fragment.
    Ipv4Fragment(&'a [u8]),
    /// An IPv6 packet that is a fragment.
    Ipv6Fragment(&'a [u8]),
    /// What an IP header announces.
    Transport(ip::Payload<'a>),
}

/// Takes a frame apart down to its innermost transport, or to the innermost fragment on the way there.
///
/// # Errors
/// The outcome of a frame that holds no UDP and no TCP, or none that can be read: `NotIp`, `LinkShort`, `IpMalformed`,
/// `TunnelMalformed`, `OtherTransport`, `UdpMalformed`, `TcpMalformed`.
pub fn decode<'a>(link: LinkType, bytes: &'a [u8]) -> Result<Decoded<'a>, Outcome> {
    match datagram(link, bytes) {
        Some(packet) => Ok(Decoded::Packet(packet)),
        None => descend(Layer::Link(link, bytes), MAX_LAYERS, Domain::default()),
    }
}

/// The way of nearly all frames, UDP in IP in Ethernet, without a detour: what [`decode`] would say of it. `None` where there
/// is more or less to a frame.
// This and what it calls become one function with its caller: a layer handed on through memory costs as much as reading it.
#[inline(always)]
pub fn datagram<'a>(link: LinkType, bytes: &'a [u8]) -> Option<Packet<'a>> {
    outer_datagram(link, bytes).filter(|packet| !tunnel::has_port(packet))
}

/// The same, also where the ports are [those of a tunnel](TUNNEL_PORTS) and there may be another inside.
#[inline(always)]
pub fn outer_datagram<'a>(link: LinkType, bytes: &'a [u8]) -> Option<Packet<'a>> {
    let (LinkType::Ethernet, Ok(Layer::Typed(ethertype, rest))) = (link, link::open(LinkType::Ethernet, bytes)) else {
        return None;
    };
    let Ok(Layer::Transport(payload)) = link::ip(ethertype, rest)? else {
        return None;
    };
    transport::datagram(&payload)
}

/// Opens at most `layers` layers of what is in `domain`.
#[inline(never)]
fn descend<'a>(mut layer: Layer<'a>, layers: usize, mut domain: Domain) -> Result<Decoded<'a>, Outcome> {
    for left in (0..layers).rev() {
        layer = match layer {
            Layer::Link(link, bytes) => link::open(link, bytes)?,
            Layer::Typed(ethertype, bytes) => link::typed(ethertype, bytes, &mut domain)?,
            Layer::Ipv4(bytes) => ip::v4(bytes)?,
            Layer::Ipv6(bytes) => ip::v6(bytes)?,
            Layer::Transport(payload) => match transport::open(&payload)? {
                Some(packet) if tunnel::has_port(&packet) => return inside(packet, left, domain),
                Some(packet) => return Ok(Decoded::Packet(packet)),
                None => tunnel::in_ip(&payload, &mut domain)?,
            },
            Layer::Mpls(bytes) => mpls::open(bytes, &mut domain)?,
            Layer::Ppp(bytes) => ppp::open(bytes)?,
            Layer::Ipv4Fragment(bytes) => return fragment(ip::v4_fragment(bytes)?, domain),
            Layer::Ipv6Fragment(bytes) => return fragment(ip::v6_fragment(bytes)?, domain),
        };
    }
    Err(Outcome::NotIp)
}

const fn fragment(mut fragment: Fragment<'_>, domain: Domain) -> Result<Decoded<'_>, Outcome> {
    fragment.datagram.domain = domain;
    Ok(Decoded::Fragment(fragment))
}

/// Takes a datagram apart that was put together from fragments.
fn whole<'a>(datagram: &Datagram, protocol: u8, bytes: &'a [u8]) -> Result<Decoded<'a>, Outcome> {
    let payload = ip::whole(datagram, protocol, bytes)?;
    transport::verify(&payload)?;
    descend(Layer::Transport(payload), MAX_LAYERS, datagram.domain)
}

/// The innermost ends of a packet as far as its first piece tells of them; `None` of another piece, and where it does not.
pub fn ends_in_first(piece: &Fragment<'_>) -> Option<(Endpoint, Endpoint)> {
    if piece.offset != 0 {
        return None;
    }
    let payload = ip::Payload {
        // All the rest.
        missing: usize::from(u16::MAX),
        ..ip::whole(&piece.datagram, piece.protocol, piece.bytes).ok()?
    };
    let ends = match descend(Layer::Transport(payload), MAX_LAYERS, piece.datagram.domain).ok()? {
        Decoded::Packet(packet) => (packet.src, packet.dst),
        Decoded::Fragment(inner) => (inner.datagram.src, inner.datagram.dst),
    };
    Some(ends)
}

/// Goes on inside a datagram on a tunnel's port. A port does not make a tunnel: what leads to no IP packet is the payload
/// of the datagram.
fn inside(packet: Packet<'_>, layers: usize, mut domain: Domain) -> Result<Decoded<'_>, Outcome> {
    let Some(layer) = tunnel::in_udp(&packet, &mut domain) else {
        return Ok(Decoded::Packet(packet));
    };
    match descend(layer, layers, domain) {
        Err(Outcome::NotIp | Outcome::LinkShort | Outcome::IpMalformed | Outcome::TunnelMalformed) => {
            Ok(Decoded::Packet(packet))
        }
        inner => inner,
    }
}

#[cfg(test)]
mod tests;
