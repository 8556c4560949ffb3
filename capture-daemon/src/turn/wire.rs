//! STUN messages for tests, written as RFC 8489 draws them.

use super::fingerprint;
use super::stun::{Class, Method};
use crate::net::Endpoint;

/// A message that attributes are added to.
#[derive(Clone, Debug)]
pub struct Wire(Vec<u8>);

pub const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// Numbers of the methods (IANA, "STUN Methods").
fn number(method: Method) -> u16 {
    match method {
        Method::Binding => 1,
        Method::SharedSecret => 2,
        Method::Allocate => 3,
        Method::Refresh => 4,
        Method::Send => 6,
        Method::Data => 7,
        Method::CreatePermission => 8,
        Method::ChannelBind => 9,
        Method::Connect => 10,
        Method::ConnectionBind => 11,
        Method::ConnectionAttempt => 12,
        Method::Other => 0xabc,
    }
}

impl Wire {
    /// A message without attributes whose transaction id ends in `id`.
    pub fn new(class: Class, method: Method, id: u32) -> Self {
        let number = number(method);
        let class = match class {
            Class::Request => 0x0000,
            Class::Indication => 0x0010,
            Class::Success => 0x0100,
            Class::Error => 0x0110,
        };
        let kind = class | (number & 0xf) | ((number & 0x70) << 1) | ((number & 0xf80) << 2);
        let mut bytes = kind.to_be_bytes().to_vec();
        bytes.extend([0, 0]);
        bytes.extend(COOKIE);
        bytes.extend([0x5a; 8]);
        bytes.extend(id.to_be_bytes());
        Self(bytes)
    }

    /// Adds an attribute with its padding.
    pub fn with(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend(kind.to_be_bytes());
        self.0.extend((value.len() as u16).to_be_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        let length = (self.0.len() - 20) as u16;
        self.0[2..4].copy_from_slice(&length.to_be_bytes());
        self
    }

    /// Adds an address as it is.
    pub fn plain(self, kind: u16, endpoint: Endpoint) -> Self {
        let mut value = vec![0, 1];
        value.extend(endpoint.port().to_be_bytes());
        match endpoint.ip() {
            std::net::IpAddr::V4(ip) => value.extend(ip.octets()),
            std::net::IpAddr::V6(ip) => {
                value[1] = 2;
                value.extend(ip.octets());
            }
        }
        self.with(kind, &value)
    }

    /// Adds an address that is mixed with the cookie and the transaction id.
    pub fn mixed(self, kind: u16, endpoint: Endpoint) -> Self {
        let mask: Vec<u8> = self.0[4..20].to_vec();
        let at = self.0.len() + 6;
        let mut wire = self.plain(kind, endpoint);
        for (index, byte) in wire.0[at..at + 2].iter_mut().enumerate() {
            *byte ^= mask[index];
        }
        for (index, byte) in wire.0[at + 2..].iter_mut().enumerate() {
            *byte ^= mask[index];
        }
        wire
    }

    /// Names the user and signs, as all requests of TURN do after the challenge.
    pub fn signed(self, user: &str) -> Self {
        self.with(0x0006, user.as_bytes())
            .with(0x0014, b"example.org")
            .with(0x0015, b"nonce")
            .with(0x0008, &[7; 20])
    }

    /// Adds a right FINGERPRINT.
    pub fn fingerprinted(self) -> Self {
        let covered = self.0.len();
        let mut wire = self.with(0x8028, &[0; 4]);
        let sum = fingerprint::of(&wire.0[..covered]);
        wire.0[covered + 4..].copy_from_slice(&sum.to_be_bytes());
        wire
    }

    pub fn bytes(self) -> Vec<u8> {
        self.0
    }
}

/// ChannelData, padded to four bytes where `padded`.
pub fn channel_data(number: u16, data: &[u8], padded: bool) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend(data);
    if padded {
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}
