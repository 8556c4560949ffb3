//! What a TCP direction carries: told by its first bytes, remembered until the connection is another, and read by
//! whoever understands it.

use crate::net::{Offer, Taken};
use crate::outcome::Loss;
use crate::sip::{self, Framing};

use super::signaling::Signaling;

/// What the bytes of a TCP direction are, as far as they were read. Each direction finds out by itself, for the other one
/// may be on another lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carried {
    /// Nothing that was recognised yet.
    #[default]
    Unknown,
    /// SIP (RFC 3261 section 18.3).
    Sip,
    /// TLS: there is no reading on.
    Tls,
}

/// Takes what can be read at the beginning of a TCP direction's bytes, of which `carried` is known.
pub fn read(offer: &Offer<'_>, carried: &mut Carried, signaling: &Signaling) -> Taken {
    match *carried {
        Carried::Unknown => open(offer, carried, signaling),
        Carried::Sip => signaling.stream(offer),
        Carried::Tls => Taken::Skipped(offer.bytes.len()),
    }
}

/// Tells by the first bytes what a direction carries.
fn open(offer: &Offer<'_>, carried: &mut Carried, signaling: &Signaling) -> Taken {
    if is_tls(offer.bytes) {
        *carried = Carried::Tls;
        signaling.losses().count(Loss::TcpTls);
        return Taken::Lost(offer.bytes.len());
    }
    if matches!(sip::frame(offer.bytes), Framing::Message(_)) {
        *carried = Carried::Sip;
    }
    signaling.stream(offer)
}

/// Whether a record of TLS begins `bytes` (RFC 8446 section 5.1): the type of what is in it, a version from SSL 3.0 to what
/// TLS 1.3 still writes, and a length that is allowed. No first byte of SIP, HTTP or WebSocket is one of these types.
const fn is_tls(bytes: &[u8]) -> bool {
    /// 2^14 bytes and what TLS 1.2 may add to them (RFC 5246 section 6.2.3).
    const LONGEST: u16 = (1 << 14) + 2048;
    matches!(*bytes, [20..=23, 3, 0..=4, hi, lo, ..] if u16::from_be_bytes([hi, lo]) <= LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_tls_and_nothing_else() {
        assert!(is_tls(b"\x16\x03\x01\x02\x00\x01"));
        assert!(is_tls(b"\x17\x03\x03\x48\x00"));
        for other in [
            &b"\x17\x03\x03\x48\x01"[..],
            b"\x18\x03\x03\x00\x20",
            b"\x16\x02\x01\x02\x00",
            b"\x16\x03\x05\x02\x00",
            b"\x16\x03\x01\x02",
            b"INVITE",
            b"",
        ] {
            assert!(!is_tls(other), "{other:?}");
        }
    }
}
