//! What a TCP direction carries: told by its first bytes, remembered until the connection is another, and read by
//! whoever understands it.

use super::media::Media;
use super::signaling::Signaling;
use crate::net::websocket::{self, Http, Kind, Upgrade};
use crate::net::{Offer, Taken};
use crate::outcome::Loss;
use crate::sip::{self, Framing};
use crate::turn::stun;

/// The subprotocol of SIP (RFC 7118 section 4.1).
const SUBPROTOCOL: &[u8] = b"sip";

/// What the bytes of a TCP direction are, as far as they were read. Each direction finds out by itself, for the other one
/// may be on another lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carried {
    /// Nothing that was recognised yet.
    #[default]
    Unknown,
    /// SIP (RFC 3261 section 18.3).
    Sip,
    /// SIP in WebSocket (RFC 7118), behind the header that opens it.
    WebSocket,
    /// STUN and ChannelData of TURN (RFC 8656 section 3.1).
    Turn,
    /// HTTP that opens no WebSocket of SIP: not read on.
    Web,
    /// TLS: there is no reading on.
    Tls,
}

/// Whether a segment, whatever port it stands on, begins something that is read: SIP, the header that opens a WebSocket of
/// SIP, or STUN.
pub fn begins(payload: &[u8]) -> bool {
    sip::begins(payload) || stun::begins(payload) || websocket::is_upgrade(payload, SUBPROTOCOL)
}

/// Takes what can be read at the beginning of a TCP direction's bytes, of which `carried` is known.
pub fn read(offer: &Offer<'_>, carried: &mut Carried, signaling: &Signaling, media: &mut Media<'_>) -> Taken {
    match *carried {
        Carried::Unknown if !is_tls(offer.bytes) && media.is_turn(offer) => {
            *carried = Carried::Turn;
            media.turn_stream(offer)
        }
        Carried::Unknown => open(offer, carried, signaling),
        Carried::Turn => media.turn_stream(offer),
        Carried::Sip => signaling.stream(offer),
        Carried::WebSocket => message(offer, carried, signaling),
        Carried::Web | Carried::Tls => Taken::Unreadable,
    }
}

/// Tells by the first bytes what a direction carries.
fn open(offer: &Offer<'_>, carried: &mut Carried, signaling: &Signaling) -> Taken {
    let Offer {
        bytes, fresh, searched, ..
    } = *offer;
    // HTTP and SIP end their headers alike.
    if sip::is_unchanged(bytes, searched) {
        return Taken::More {
            needed: bytes.len() + 1,
            searched: bytes.len(),
        };
    }
    if is_tls(bytes) {
        *carried = Carried::Tls;
        signaling.losses().count(Loss::TcpTls);
        return Taken::Unreadable;
    }
    match websocket::http(bytes, SUBPROTOCOL) {
        Http::Header { len, upgrade } => return header(len, upgrade, carried),
        Http::Incomplete { needed, searched } => return Taken::More { needed, searched },
        Http::Nothing => {}
    }
    let begins_frame = |bytes| websocket::begins(bytes, sip::is_beginning);
    match begins_frame(bytes) {
        Some(true) => {
            *carried = Carried::WebSocket;
            return message(offer, carried, signaling);
        }
        // In step, a frame comes only behind the header that announces it.
        None if fresh => return again(bytes),
        _ => {}
    }
    match sip::frame(bytes) {
        Framing::Message(_) => *carried = Carried::Sip,
        Framing::Garbage(len) if fresh => return Taken::Skipped(len.min(websocket::search(bytes, sip::is_beginning))),
        // What may yet become SIP must not keep what is a frame from being seen.
        Framing::Incomplete if fresh => {
            let frame = websocket::search(bytes, sip::is_beginning);
            if begins_frame(bytes.get(frame..).unwrap_or_default()) == Some(true) {
                return Taken::Skipped(frame);
            }
        }
        _ => {}
    }
    signaling.stream(offer)
}

/// Goes on behind a header of HTTP.
const fn header(len: usize, upgrade: Upgrade, carried: &mut Carried) -> Taken {
    match upgrade {
        Upgrade::Agreed => {
            *carried = Carried::WebSocket;
            Taken::Unit(len)
        }
        Upgrade::Challenge => {
            *carried = Carried::Unknown;
            Taken::Unit(len)
        }
        Upgrade::None => {
            *carried = Carried::Web;
            Taken::Unreadable
        }
    }
}

/// Takes the next message of a WebSocket.
fn message(offer: &Offer<'_>, carried: &mut Carried, signaling: &Signaling) -> Taken {
    let Offer {
        bytes, fresh, searched, ..
    } = *offer;
    if fresh {
        match websocket::begins(bytes, sip::is_beginning) {
            Some(true) => {}
            Some(false) => return Taken::Skipped(websocket::search(bytes, sip::is_beginning)),
            None => return again(bytes),
        }
    }
    match websocket::read(bytes, searched) {
        websocket::Framing::Incomplete { needed, searched } => Taken::More { needed, searched },
        websocket::Framing::Message(message) => {
            match message.kind {
                Kind::Data => signaling.websocket(offer, &message.payload),
                Kind::Extended => signaling.losses().count(Loss::WebSocketExtension),
                Kind::Control => {}
            }
            Taken::Unit(message.len)
        }
        // A client that was asked for credentials asks again, and no frame begins as HTTP does.
        websocket::Framing::Invalid => match websocket::http(bytes, SUBPROTOCOL) {
            Http::Header { len, upgrade } => header(len, upgrade, carried),
            Http::Incomplete { needed, .. } => Taken::More { needed, searched: 0 },
            Http::Nothing => {
                signaling.losses().count(Loss::TcpMalformed);
                Taken::Lost(websocket::search(bytes, sip::is_beginning))
            }
        },
    }
}

/// Asks again with the next byte.
const fn again(bytes: &[u8]) -> Taken {
    Taken::More {
        needed: bytes.len() + 1,
        searched: 0,
    }
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
