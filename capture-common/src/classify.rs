//! The policy: which frames are wanted. One short function over what the headers say and what the maps hold.

use crate::headers::{self, Bytes, Found, Ports};
use crate::ports::PortFlags;
use crate::verdict::{Fate, Verdict};

/// What tells the fragments of one datagram from those of others (RFC 791 section 2.3, RFC 8200 section 4.5).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FragmentKey {
    /// Source address; IPv4 in its mapped form.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
    /// Identification.
    pub id: u32,
    /// IPv4's protocol; 0 for IPv6, where it is no part of the key.
    pub protocol: u32,
}

const _: () = assert!(size_of::<FragmentKey>() == 40);

/// What the policy looks up: maps in the kernel, plain tables in a test.
pub trait Tables {
    /// What `port` is wanted for.
    fn port(&self, port: u16) -> PortFlags;
    /// Whether the datagram is wanted, if its first fragment was seen a short while ago.
    fn recall(&self, key: &FragmentKey) -> Option<bool>;
    /// Keeps the decision on a first fragment for the later ones.
    fn remember(&self, key: &FragmentKey, wanted: bool);
}

/// Decides on one frame. Every frame ends in exactly one verdict; [`Verdict::NoSocket`] is not among them, as only the
/// redirect can tell.
#[inline(always)]
pub fn classify<B: Bytes + ?Sized, T: Tables>(frame: &B, tables: &T) -> Verdict {
    match headers::walk(frame) {
        Ok(Found::Ports(ports)) => {
            let verdict = by_ports(&ports, tables);
            let Some(key) = ports.first_of.and_then(|datagram| datagram.key(frame)) else {
                return verdict;
            };
            let wanted = matches!(verdict.fate(), Fate::Captured);
            tables.remember(&key, wanted);
            if wanted { Verdict::FragmentFirst } else { verdict }
        }
        Ok(Found::Later(datagram)) => match datagram.key(frame).and_then(|key| tables.recall(&key)) {
            Some(true) => Verdict::FragmentLater,
            Some(false) => Verdict::FragmentUnwanted,
            None => Verdict::FragmentUnknown,
        },
        Err(verdict) => verdict,
    }
}

/// Either port makes a frame wanted; SIP over both, media over UDP only, WebSocket over TCP only.
#[inline(always)]
fn by_ports<T: Tables>(ports: &Ports, tables: &T) -> Verdict {
    let flags = tables.port(ports.source).with(tables.port(ports.destination));
    if flags.has(PortFlags::SIP) || !ports.udp && flags.has(PortFlags::WEBSOCKET) {
        Verdict::Sip
    } else if ports.udp && flags.has(PortFlags::MEDIA) {
        Verdict::Media
    } else {
        Verdict::OtherPorts
    }
}
