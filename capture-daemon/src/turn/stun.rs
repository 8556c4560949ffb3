//! STUN messages (RFC 8489) with the attributes of TURN (RFC 8656) and ICE (RFC 8445), and those of RFC 3489, which have no
//! magic cookie, where they can be nothing else.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "reads what anyone may send: a slice is asked for, never assumed"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::fingerprint;
use crate::net::Endpoint;
use crate::outcome::labelled;

/// RFC 8489 section 5.
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// Bytes before the attributes.
const HEADER: usize = 20;

labelled! {
    /// What a message is of (RFC 8489 section 5).
    Class {
        /// Wants an answer.
        Request = "request",
        /// Wants none.
        Indication = "indication",
        /// Grants.
        Success = "success",
        /// Refuses.
        Error = "error",
    }
}

labelled! {
    /// What a message is about: the methods of RFC 8489, 8656, 6062 and 3489.
    Method {
        /// Which address the sender is seen at; with ICE, whether a path works.
        Binding = "binding",
        /// RFC 3489 only.
        SharedSecret = "shared_secret",
        /// A relayed address is wanted.
        Allocate = "allocate",
        /// It is wanted for longer, or no more.
        Refresh = "refresh",
        /// Data for a peer.
        Send = "send",
        /// Data from a peer.
        Data = "data",
        /// A peer may send.
        CreatePermission = "create_permission",
        /// A number for a peer.
        ChannelBind = "channel_bind",
        /// A connection to a peer (RFC 6062).
        Connect = "connect",
        /// Which data connection belongs to it.
        ConnectionBind = "connection_bind",
        /// A peer has connected.
        ConnectionAttempt = "connection_attempt",
        /// Any other.
        Other = "other",
    }
}

labelled! {
    /// Why what has the cookie of STUN is no message.
    Malformed {
        /// Its length is not that of the datagram, or no multiple of four.
        Length = "length",
        /// An attribute is longer than what is left for it.
        Attribute = "attribute",
        /// The FINGERPRINT is not that of the bytes: a receiver takes it for something else (RFC 8489 section 6.3).
        Fingerprint = "fingerprint",
    }
}

/// What a datagram is, as far as STUN is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A message.
    Message(Message<'a>),
    /// Meant to be one.
    Malformed(Malformed),
    /// None.
    Other,
}

/// Magic cookie and transaction id, or the 128 bits that RFC 3489 has in their place.
pub type TransactionId = [u8; 16];

/// One message. Of an attribute that comes several times the first counts (RFC 8489 section 14), and what stands behind the
/// integrity does not (section 14.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What it is of.
    pub class: Class,
    /// What it is about.
    pub method: Method,
    /// What an answer has in common with its request.
    pub transaction: TransactionId,
    /// No cookie: of RFC 3489.
    pub classic: bool,
    /// XOR-MAPPED-ADDRESS, else MAPPED-ADDRESS: where the client is seen.
    pub mapped: Option<Endpoint>,
    /// USERNAME.
    pub username: Option<&'a [u8]>,
    /// USERHASH, which stands for a name that is not to be seen.
    pub userhash: Option<&'a [u8]>,
    /// REALM.
    pub realm: Option<&'a [u8]>,
    /// NONCE.
    pub nonce: Option<&'a [u8]>,
    /// SOFTWARE.
    pub software: Option<&'a [u8]>,
    /// ERROR-CODE, 300 to 699.
    pub error: Option<u16>,
    /// LIFETIME in seconds.
    pub lifetime: Option<u32>,
    /// REQUESTED-TRANSPORT: the IP protocol between relay and peers, 17 for UDP.
    pub requested_transport: Option<u8>,
    /// CHANNEL-NUMBER.
    pub channel: Option<u16>,
    /// DATA: what is relayed.
    pub data: Option<&'a [u8]>,
    /// MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256 is there: the sender has credentials.
    pub integrity: bool,
    /// FINGERPRINT is there, and right.
    pub fingerprint: bool,
    /// PRIORITY, USE-CANDIDATE, ICE-CONTROLLED or ICE-CONTROLLING is there (RFC 8445 section 7.1).
    pub ice: bool,
    attributes: &'a [u8],
}

/// Reads a datagram. What stands behind the message is not read.
pub fn read(datagram: &[u8]) -> Kind<'_> {
    let Some((&[t0, t1, l0, l1, id @ ..], rest)) = datagram.split_first_chunk::<HEADER>() else {
        return Kind::Other;
    };
    // RFC 7983 section 7: the first byte of STUN is 0 to 3. The class is split over the type (RFC 8489 figure 3).
    if t0 > 3 {
        return Kind::Other;
    }
    let kind = u16::from_be_bytes([t0, t1]);
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let classic = !id.starts_with(&COOKIE);
    let attributes = match rest.get(..length) {
        Some(attributes) if length.is_multiple_of(4) => attributes,
        _ if classic => return Kind::Other,
        _ => return Kind::Malformed(Malformed::Length),
    };
    let mut message = Message::new(kind, id, classic, attributes);
    match message.take_attributes(datagram) {
        Ok(()) if !classic || message.is_certain_without_cookie(rest) => Kind::Message(message),
        Err(why) if !classic => Kind::Malformed(why),
        _ => Kind::Other,
    }
}

/// Whether these bytes begin a message with its cookie.
pub fn begins(bytes: &[u8]) -> bool {
    bytes
        .first_chunk::<8>()
        .is_some_and(|[first, _, _, low, cookie @ ..]| *first <= 3 && low.is_multiple_of(4) && *cookie == COOKIE)
}

/// Bytes that the message which begins here has in all; `None` where there are too few to tell.
pub fn announced_len(bytes: &[u8]) -> Option<usize> {
    let [_, _, high, low] = *bytes.first_chunk::<4>()?;
    Some(usize::from(u16::from_be_bytes([high, low])).saturating_add(HEADER))
}

impl<'a> Message<'a> {
    fn new(kind: u16, transaction: TransactionId, classic: bool, attributes: &'a [u8]) -> Self {
        let class = match (kind & 0x0100 != 0, kind & 0x0010 != 0) {
            (false, false) => Class::Request,
            (false, true) => Class::Indication,
            (true, false) => Class::Success,
            (true, true) => Class::Error,
        };
        let method = match (kind & 0x000f) | ((kind & 0x00e0) >> 1) | ((kind & 0x3e00) >> 2) {
            0x001 => Method::Binding,
            0x002 => Method::SharedSecret,
            0x003 => Method::Allocate,
            0x004 => Method::Refresh,
            0x006 => Method::Send,
            0x007 => Method::Data,
            0x008 => Method::CreatePermission,
            0x009 => Method::ChannelBind,
            0x00a => Method::Connect,
            0x00b => Method::ConnectionBind,
            0x00c => Method::ConnectionAttempt,
            _ => Method::Other,
        };
        Self {
            class,
            method,
            transaction,
            classic,
            mapped: None,
            username: None,
            userhash: None,
            realm: None,
            nonce: None,
            software: None,
            error: None,
            lifetime: None,
            requested_transport: None,
            channel: None,
            data: None,
            integrity: false,
            fingerprint: false,
            ice: false,
            attributes,
        }
    }

    fn take_attributes(&mut self, datagram: &[u8]) -> Result<(), Malformed> {
        let mut mapped = None;
        for attribute in Attributes(self.attributes) {
            let Attribute { kind, value, behind } = attribute.ok_or(Malformed::Attribute)?;
            if kind == attribute::FINGERPRINT {
                self.check_fingerprint(datagram, value, behind)?;
                continue;
            }
            if self.fingerprint || (self.integrity && kind != attribute::MESSAGE_INTEGRITY_SHA256) {
                continue;
            }
            match kind {
                attribute::MAPPED_ADDRESS => keep(&mut mapped, address(value, None)),
                attribute::XOR_MAPPED_ADDRESS | attribute::XOR_MAPPED_ADDRESS_OLD => {
                    keep(&mut self.mapped, address(value, Some(&self.transaction)));
                }
                attribute::USERNAME => keep(&mut self.username, Some(value)),
                attribute::USERHASH => keep(&mut self.userhash, Some(value)),
                attribute::REALM => keep(&mut self.realm, Some(value)),
                attribute::NONCE => keep(&mut self.nonce, Some(value)),
                attribute::SOFTWARE => keep(&mut self.software, Some(value)),
                attribute::ERROR_CODE => keep(&mut self.error, error_code(value)),
                attribute::LIFETIME => keep(&mut self.lifetime, value.first_chunk().map(|v| u32::from_be_bytes(*v))),
                attribute::REQUESTED_TRANSPORT => keep(&mut self.requested_transport, value.first().copied()),
                attribute::CHANNEL_NUMBER => {
                    keep(&mut self.channel, value.first_chunk().map(|v| u16::from_be_bytes(*v)));
                }
                attribute::DATA => keep(&mut self.data, Some(value)),
                attribute::MESSAGE_INTEGRITY | attribute::MESSAGE_INTEGRITY_SHA256 => self.integrity = true,
                attribute::PRIORITY
                | attribute::USE_CANDIDATE
                | attribute::ICE_CONTROLLED
                | attribute::ICE_CONTROLLING => self.ice = true,
                _ => {}
            }
        }
        self.mapped = self.mapped.or(mapped);
        Ok(())
    }

    /// RFC 8489 section 14.7: the CRC of what stands before the attribute. RFC 3489 knew none.
    fn check_fingerprint(&mut self, datagram: &[u8], value: &[u8], behind: usize) -> Result<(), Malformed> {
        if self.classic || self.fingerprint {
            return Ok(());
        }
        // Header, attributes, less those from the fingerprint's own header on.
        let from_header = value.len().saturating_add(behind).saturating_add(4);
        let covered = self
            .attributes
            .len()
            .checked_sub(from_header)
            .map(|len| len.saturating_add(HEADER));
        let covered = covered
            .and_then(|len| datagram.get(..len))
            .ok_or(Malformed::Fingerprint)?;
        if value != fingerprint::of(covered).to_be_bytes() {
            return Err(Malformed::Fingerprint);
        }
        self.fingerprint = true;
        Ok(())
    }

    /// Without the cookie a message is one when it has the length of its datagram and is about a binding: the request
    /// without attributes that all clients of RFC 3489 send, or an answer with what answers have.
    fn is_certain_without_cookie(&self, rest: &[u8]) -> bool {
        let whole = rest.len() == self.attributes.len();
        let known = Attributes(self.attributes)
            .flatten()
            .all(|attribute| attribute.kind <= 0x000b || attribute.kind >= 0x8000);
        let says = match self.class {
            Class::Request => {
                matches!(self.attributes, [] | [0x00, 0x03, 0x00, 0x04, 0, 0, 0, _]) || self.username.is_some()
            }
            Class::Success => self.mapped.is_some(),
            Class::Error => self.error.is_some(),
            Class::Indication => false,
        };
        whole && known && says && self.method == Method::Binding
    }

    /// Every XOR-PEER-ADDRESS: CreatePermission may have several (RFC 8656 section 9.1).
    pub fn peers(&self) -> impl Iterator<Item = Endpoint> {
        self.addresses(attribute::XOR_PEER_ADDRESS)
    }

    /// Every XOR-RELAYED-ADDRESS: there are two where IPv4 and IPv6 are allocated at once (RFC 8656 section 7.3).
    pub fn relayed(&self) -> impl Iterator<Item = Endpoint> {
        self.addresses(attribute::XOR_RELAYED_ADDRESS)
    }

    fn addresses(&self, wanted: u16) -> impl Iterator<Item = Endpoint> {
        let transaction = self.transaction;
        Attributes(self.attributes)
            .flatten()
            .take_while(|attribute| !attribute.ends_the_protected())
            .filter(move |attribute| attribute.kind == wanted)
            .filter_map(move |attribute| address(attribute.value, Some(&transaction)))
    }

    /// Whether a request is an ICE connectivity check: it has ICE's attributes, or names a user without a realm, as the
    /// drafts before them had it.
    pub const fn is_check(&self) -> bool {
        matches!(self.method, Method::Binding)
            && matches!(self.class, Class::Request)
            && (self.ice || (self.username.is_some() && self.realm.is_none()))
    }
}

/// Keeps the first.
fn keep<T>(known: &mut Option<T>, value: Option<T>) {
    if known.is_none() {
        *known = value;
    }
}

/// Numbers of the registry "STUN Attributes" at IANA.
mod attribute {
    pub const MAPPED_ADDRESS: u16 = 0x0001;
    pub const USERNAME: u16 = 0x0006;
    pub const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub const ERROR_CODE: u16 = 0x0009;
    pub const CHANNEL_NUMBER: u16 = 0x000c;
    pub const LIFETIME: u16 = 0x000d;
    pub const XOR_PEER_ADDRESS: u16 = 0x0012;
    pub const DATA: u16 = 0x0013;
    pub const REALM: u16 = 0x0014;
    pub const NONCE: u16 = 0x0015;
    pub const XOR_RELAYED_ADDRESS: u16 = 0x0016;
    pub const REQUESTED_TRANSPORT: u16 = 0x0019;
    pub const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
    pub const USERHASH: u16 = 0x001e;
    pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub const PRIORITY: u16 = 0x0024;
    pub const USE_CANDIDATE: u16 = 0x0025;
    /// The number that servers of RFC 3489 used before there was one.
    pub const XOR_MAPPED_ADDRESS_OLD: u16 = 0x8020;
    pub const SOFTWARE: u16 = 0x8022;
    pub const FINGERPRINT: u16 = 0x8028;
    pub const ICE_CONTROLLED: u16 = 0x8029;
    pub const ICE_CONTROLLING: u16 = 0x802a;
}

/// One attribute.
#[derive(Clone, Copy)]
struct Attribute<'a> {
    kind: u16,
    /// Without padding.
    value: &'a [u8],
    /// Bytes behind the value: its padding and the attributes after it.
    behind: usize,
}

impl Attribute<'_> {
    /// What follows is not covered by the integrity.
    const fn ends_the_protected(&self) -> bool {
        matches!(
            self.kind,
            attribute::MESSAGE_INTEGRITY | attribute::MESSAGE_INTEGRITY_SHA256 | attribute::FINGERPRINT
        )
    }
}

/// The attributes of a message, in their order; `None` for one that does not fit, which is then the last.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = Option<Attribute<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let taken = self.take();
        if taken.is_none() {
            self.0 = &[];
        }
        Some(taken)
    }
}

impl<'a> Attributes<'a> {
    fn take(&mut self) -> Option<Attribute<'a>> {
        let (&[k0, k1, l0, l1], rest) = self.0.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let (value, behind) = rest.split_at_checked(length)?;
        // Values are padded to four bytes (RFC 8489 section 14).
        self.0 = behind.get(length.next_multiple_of(4).saturating_sub(length)..)?;
        Some(Attribute {
            kind: u16::from_be_bytes([k0, k1]),
            value,
            behind: behind.len(),
        })
    }
}

/// MAPPED-ADDRESS, or one of those that are mixed with the cookie and the transaction id (RFC 8489 sections 14.1, 14.2).
fn address(value: &[u8], mixed_with: Option<&TransactionId>) -> Option<Endpoint> {
    let mask = mixed_with.copied().unwrap_or_default();
    let (&[_, family, p0, p1], address) = value.split_first_chunk::<4>()?;
    let [m0, m1, ..] = mask;
    let port = u16::from_be_bytes([p0 ^ m0, p1 ^ m1]);
    let ip = match family {
        1 => IpAddr::V4(Ipv4Addr::from(mixed(<[u8; 4]>::try_from(address).ok()?, &mask))),
        2 => IpAddr::V6(Ipv6Addr::from(mixed(<[u8; 16]>::try_from(address).ok()?, &mask))),
        _ => return None,
    };
    Some(Endpoint::new(ip, port))
}

fn mixed<const N: usize>(mut bytes: [u8; N], mask: &TransactionId) -> [u8; N] {
    for (byte, mask) in bytes.iter_mut().zip(mask) {
        *byte ^= mask;
    }
    bytes
}

/// RFC 8489 section 14.8.
fn error_code(value: &[u8]) -> Option<u16> {
    let [_, _, class, number] = *value.first_chunk::<4>()?;
    let hundreds = u16::from(class & 7).saturating_mul(100);
    (matches!(class & 7, 3..=6) && number < 100).then(|| hundreds.saturating_add(u16::from(number)))
}

#[cfg(test)]
#[path = "stun_tests.rs"]
mod tests;
