//! An IP address and a port.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One end of a flow, in 18 bytes: IPv4 as `::ffff:a.b.c.d`, which no frame carries as a real IPv6 address
/// (RFC 4291 section 2.5.5.2 keeps it inside hosts).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    addr: [u8; 16],
    port: u16,
}

impl Endpoint {
    /// From an IPv4 address as it stands in the header.
    pub const fn v4(addr: [u8; 4], port: u16) -> Self {
        // As one number: byte by byte, it would be taken apart and put together again for every packet.
        let mapped = 0xffff << 32 | u32::from_be_bytes(addr) as u128;
        Self {
            addr: mapped.to_be_bytes(),
            port,
        }
    }

    /// From an IPv6 address as it stands in the header.
    pub const fn v6(addr: [u8; 16], port: u16) -> Self {
        Self { addr, port }
    }

    /// From an address and a port, as SDP and URIs give them.
    pub const fn new(addr: IpAddr, port: u16) -> Self {
        match addr {
            IpAddr::V4(v4) => Self::v4(v4.octets(), port),
            IpAddr::V6(v6) => Self::v6(v6.octets(), port),
        }
    }

    /// The address.
    pub const fn ip(&self) -> IpAddr {
        let v6 = Ipv6Addr::from_octets(self.addr);
        match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(Ipv4Addr::from_octets(v4.octets())),
            None => IpAddr::V6(v6),
        }
    }

    /// The address as it stands in IPv6, that of IPv4 in its mapped form.
    pub const fn octets(&self) -> [u8; 16] {
        self.addr
    }

    /// The address of IPv4 as a number; `None` of IPv6.
    #[inline(always)]
    pub const fn mapped(&self) -> Option<u32> {
        let number = u128::from_be_bytes(self.addr);
        if number >> 32 == 0xffff {
            Some(number as u32)
        } else {
            None
        }
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The same address with another port, as RTCP's beside RTP's.
    pub const fn with_port(self, port: u16) -> Self {
        Self { addr: self.addr, port }
    }
}

impl Hash for Endpoint {
    /// In two words, where the derived way hashes an array's length too: every packet has two of these.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_ne_bytes(self.addr));
        state.write_u16(self.port);
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(socket: SocketAddr) -> Self {
        Self::new(socket.ip(), socket.port())
    }
}

impl fmt::Display for Endpoint {
    /// `192.0.2.1:5060` or `[2001:db8::1]:5060`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.ip(), self.port).fmt(f)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_operators_write_it() {
        assert_eq!(Endpoint::v4([192, 0, 2, 1], 5060).to_string(), "192.0.2.1:5060");
        let v6 = Endpoint::new("2001:db8::1".parse().unwrap(), 5060);
        assert_eq!(v6.to_string(), "[2001:db8::1]:5060");
        assert_eq!(size_of::<Endpoint>(), 18);
    }
}
