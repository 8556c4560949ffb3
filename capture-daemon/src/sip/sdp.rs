//! Session descriptions (RFC 8866): where media is wanted, in which formats, and whether it is encrypted.

mod attribute;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

pub use self::attribute::{Candidate, Fmtp, Rtcp, RtpMap, Source};
use super::header::{line, number, split_before, word};
use crate::outcome::labelled;

/// Media descriptions read from one session; those beyond are left out. Conference bridges offer a dozen.
const MAX_MEDIA: usize = 32;
/// Formats and mappings read from one media description. Payload types are 7 bits, and an rtpmap may follow for each.
const MAX_FORMATS: usize = 128;

labelled! {
    /// Why a session description cannot be read.
    Malformed {
        /// It does not begin with `v=`.
        NoVersion = "no_version",
        /// A media line without media, port, protocol and format.
        Media = "media",
    }
}

/// One session description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session<'a> {
    /// The session's connection address, where it is an IP address.
    pub connection: Option<IpAddr>,
    /// Direction for media that name none.
    pub direction: Direction,
    /// A DTLS fingerprint for all media (RFC 8122 section 5).
    pub fingerprint: bool,
    /// Tags of the media that share one transport, of each BUNDLE group (RFC 9143 section 7.1); at most 8 groups.
    pub bundles: Vec<&'a [u8]>,
    /// Media descriptions in order, at most 32.
    pub media: Vec<Media<'a>>,
}

/// One `m=` line and what belongs to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Media<'a> {
    /// `audio`, `video`, `image`, …
    pub kind: &'a [u8],
    /// Port; 0 refuses or drops the media (RFC 3264 section 6), unless it is `bundle_only`.
    pub port: u16,
    /// Consecutive port pairs, 1 unless written.
    pub port_count: u16,
    /// `RTP/AVP`, `udptl`, …
    pub protocol: &'a [u8],
    /// Formats as written; for RTP, payload types. At most 128.
    pub formats: Vec<&'a [u8]>,
    /// `a=rtpmap` lines, at most 128.
    pub maps: Vec<RtpMap<'a>>,
    /// `a=fmtp` lines, at most 128.
    pub fmtps: Vec<Fmtp<'a>>,
    /// The connection address in force here: its own, else the session's.
    pub connection: Option<IpAddr>,
    /// Where RTCP is wanted, if not on the next port (RFC 3605).
    pub rtcp: Option<Rtcp>,
    /// RTCP shares RTP's port (RFC 5761 section 5.1.1).
    pub rtcp_mux: bool,
    /// RTCP is wanted on RTP's port only (RFC 8858).
    pub rtcp_mux_only: bool,
    /// Which way media flows, seen from the sender of this description.
    pub direction: Direction,
    /// Length of a packet's media in microseconds (RFC 8866 section 6.4).
    pub ptime_us: Option<u32>,
    /// `a=mid`, the tag that groups name (RFC 5888 section 4); empty where there is none.
    pub mid: &'a [u8],
    /// Port 0 refuses nothing: the media is offered for the bundle's transport only (RFC 9143 section 6).
    pub bundle_only: bool,
    /// Suite of the first `a=crypto` (SDES, RFC 4568); its key is not kept.
    pub crypto: Option<&'a [u8]>,
    /// A DTLS fingerprint, its own or the session's: keys come from a DTLS handshake (RFC 5763).
    pub fingerprint: bool,
    /// ICE candidates with an IP address (RFC 8839 section 5.1), at most 32.
    pub candidates: Vec<Candidate>,
    /// Synchronisation sources the sender will use (RFC 5576 section 4.1), at most 16.
    pub sources: Vec<Source<'a>>,
}

impl Media<'_> {
    /// Whether the media is carried by RTP, encrypted or not.
    pub fn is_rtp(&self) -> bool {
        self.has_protocol(b"RTP/")
    }

    /// Whether the profile is one of SRTP's: SAVP (RFC 3711), SAVPF (RFC 5124).
    pub fn is_srtp(&self) -> bool {
        self.has_protocol(b"RTP/SAVP")
    }

    /// Whether keys for SRTP are offered, whatever the profile says (RFC 8643 has them with RTP/AVP).
    pub const fn has_keys(&self) -> bool {
        self.crypto.is_some() || self.fingerprint
    }

    /// Whether this is fax over UDPTL (RFC 3362), not inside DTLS (RFC 7345).
    pub fn is_udptl(&self) -> bool {
        self.protocol.eq_ignore_ascii_case(b"udptl")
    }

    /// Whether nothing can be sent to the connection address: the hold of RFC 2543, and what stands where candidates
    /// are to follow (RFC 8840 section 4.1.1, with port 9).
    pub fn is_nowhere(&self) -> bool {
        self.connection.is_none_or(|address| address.is_unspecified())
    }

    /// Whether the sender wants to hear nothing: `sendonly` or `inactive` (RFC 3264 section 8.4), or address 0.0.0.0
    /// (RFC 2543).
    pub fn is_hold(&self) -> bool {
        let says = matches!(self.direction, Direction::SendOnly | Direction::Inactive);
        let address = self.connection.is_some_and(|address| address.is_unspecified());
        self.port != 0 && (says || (address && self.port != DISCARD))
    }

    fn has_protocol(&self, wanted: &[u8]) -> bool {
        self.protocol
            .windows(wanted.len())
            .any(|part| part.eq_ignore_ascii_case(wanted))
    }
}

/// The port that stands for "not known yet" (RFC 8839 section 4.2.1.2, RFC 4145 section 4.1).
pub const DISCARD: u16 = 9;

/// `a=sendrecv` and the others (RFC 8866 section 6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both ways: what holds where nothing is said.
    #[default]
    SendRecv,
    /// Only from the sender of the description.
    SendOnly,
    /// Only to it.
    RecvOnly,
    /// Neither: hold, with RTCP going on.
    Inactive,
}

impl Direction {
    /// Whether the sender of the description will send.
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether it wants to receive.
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The name in SDP.
    pub const fn label(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }
}

impl<'a> Session<'a> {
    /// The media whose transport `media` shares: that of the first tag of its BUNDLE group that is in use (RFC 9143
    /// section 7.2). Itself, where it is in none.
    pub fn transport_of<'s>(&'s self, media: &'s Media<'a>) -> &'s Media<'a> {
        let tagged = |tag: &[u8]| self.media.iter().find(|media| !tag.is_empty() && media.mid == tag);
        let group = self
            .bundles
            .iter()
            .find(|group| !media.mid.is_empty() && tags(group).any(|tag| tag == media.mid));
        group
            .and_then(|group| tags(group).filter_map(tagged).find(|media| media.port != 0))
            .unwrap_or(media)
    }
}

/// The tags of a group, as many as there are media.
fn tags(group: &[u8]) -> impl Iterator<Item = &[u8]> {
    group
        .split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|tag| !tag.is_empty())
        .take(MAX_MEDIA)
}

/// Reads a description. Lines of a kind siphon does not use, and attributes it cannot read, are passed over.
///
/// # Errors
/// [`Malformed`] where it is no session description or a media line cannot be read.
pub fn parse(body: &[u8]) -> Result<Session<'_>, Malformed> {
    let mut session = Session::default();
    // A description cut out of a multipart body may have an empty line before it.
    let mut rest = split_before(body, |byte| !matches!(byte, b'\r' | b'\n')).1;
    if !rest.starts_with(b"v=") {
        return Err(Malformed::NoVersion);
    }
    while !rest.is_empty() {
        let (text, next) = line(rest).unwrap_or((rest, &[]));
        rest = next;
        let Some((kind, value)) = text.split_first_chunk::<2>() else {
            continue;
        };
        match kind {
            b"m=" if session.media.len() == MAX_MEDIA => break,
            b"m=" => {
                let media = media(value, &session).ok_or(Malformed::Media)?;
                session.media.push(media);
            }
            b"c=" => {
                let address = connection(value);
                match session.media.last_mut() {
                    Some(media) => media.connection = address,
                    None => session.connection = address,
                }
            }
            b"a=" => attribute::read(value, &mut session),
            _ => {}
        }
    }
    Ok(session)
}

/// `audio 49170/2 RTP/AVP 0 8 97`.
fn media<'a>(value: &'a [u8], session: &Session<'_>) -> Option<Media<'a>> {
    let (kind, rest) = word(value);
    let (ports, rest) = word(rest);
    let (protocol, mut rest) = word(rest);
    let (port, count) = split_before(ports, |byte| byte == b'/');
    if protocol.is_empty() {
        return None;
    }
    let mut formats = Vec::new();
    while !rest.is_empty() && formats.len() < MAX_FORMATS {
        let (format, next) = word(rest);
        formats.push(format);
        rest = next;
    }
    Some(Media {
        kind,
        port: port_number(port)?,
        port_count: count.strip_prefix(b"/").and_then(port_number).unwrap_or(1),
        protocol,
        formats,
        connection: session.connection,
        direction: session.direction,
        fingerprint: session.fingerprint,
        ..Media::default()
    })
}

/// `IN IP4 224.2.36.42/127` without its TTL; `None` for a host name, which a passive listener does not look up.
fn connection(value: &[u8]) -> Option<IpAddr> {
    let (network, rest) = word(value);
    let (family, rest) = word(rest);
    let (written, _) = split_before(word(rest).0, |byte| byte == b'/');
    // The family is not held against an address: some senders write IP4 whatever follows.
    let known = family.eq_ignore_ascii_case(b"IP4") || family.eq_ignore_ascii_case(b"IP6");
    (known && network.eq_ignore_ascii_case(b"IN"))
        .then(|| address(written))
        .flatten()
}

fn address(written: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(written).ok()?.parse().ok()
}

fn port_number(digits: &[u8]) -> Option<u16> {
    number(digits).and_then(|port| u16::try_from(port).ok())
}
