//! Session descriptions (RFC 8866): where media is wanted and in which formats.

use std::net::IpAddr;

use super::header::{line, number, split_before, trim, word};
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
    /// Media descriptions in order, at most 32.
    pub media: Vec<Media<'a>>,
}

/// One `m=` line and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media<'a> {
    /// `audio`, `video`, `image`, …
    pub kind: &'a [u8],
    /// Port; 0 refuses or drops the media (RFC 3264 section 6).
    pub port: u16,
    /// Consecutive port pairs, 1 unless written.
    pub port_count: u16,
    /// `RTP/AVP`, `udptl`, …
    pub protocol: &'a [u8],
    /// Formats as written; for RTP, payload types. At most 128.
    pub formats: Vec<&'a [u8]>,
    /// `a=rtpmap` lines, at most 128.
    pub maps: Vec<RtpMap<'a>>,
    /// The connection address in force here: its own, else the session's.
    pub connection: Option<IpAddr>,
    /// Where RTCP is wanted, if not on the next port (RFC 3605).
    pub rtcp: Option<Rtcp>,
    /// RTCP shares RTP's port (RFC 5761 section 5.1.1).
    pub rtcp_mux: bool,
    /// Which way media flows, seen from the sender of this description.
    pub direction: Direction,
}

impl Media<'_> {
    /// Whether the media is carried by RTP, encrypted or not.
    pub fn is_rtp(&self) -> bool {
        const RTP: &[u8] = b"RTP/";
        self.protocol
            .windows(RTP.len())
            .any(|part| part.eq_ignore_ascii_case(RTP))
    }
}

/// `a=rtpmap:96 opus/48000/2` (RFC 8866 section 6.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpMap<'a> {
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Encoding name as written.
    pub encoding: &'a [u8],
    /// RTP clock in Hz, above 0.
    pub clock_rate: u32,
}

/// `a=rtcp:53020 IN IP4 192.0.2.1` (RFC 3605).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rtcp {
    /// RTCP's port.
    pub port: u16,
    /// RTCP's address, where it is not the media's.
    pub address: Option<IpAddr>,
}

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
            b"a=" => attribute(value, &mut session),
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
        maps: Vec::new(),
        connection: session.connection,
        rtcp: None,
        rtcp_mux: false,
        direction: session.direction,
    })
}

/// `IN IP4 224.2.36.42/127` without its TTL; `None` for a host name, which a passive listener does not look up.
fn connection(value: &[u8]) -> Option<IpAddr> {
    let (network, rest) = word(value);
    let (family, rest) = word(rest);
    let (address, _) = split_before(word(rest).0, |byte| byte == b'/');
    if !network.eq_ignore_ascii_case(b"IN") {
        return None;
    }
    let address = std::str::from_utf8(address).ok()?;
    // The family is not held against an address: some senders write IP4 whatever follows.
    let known = family.eq_ignore_ascii_case(b"IP4") || family.eq_ignore_ascii_case(b"IP6");
    known.then(|| address.parse().ok()).flatten()
}

fn attribute<'a>(value: &'a [u8], session: &mut Session<'a>) {
    let (name, value) = split_before(value, |byte| byte == b':');
    let name = trim(name);
    let value = trim(value.get(1..).unwrap_or_default());
    let direction = match name {
        b"sendrecv" => Some(Direction::SendRecv),
        b"sendonly" => Some(Direction::SendOnly),
        b"recvonly" => Some(Direction::RecvOnly),
        b"inactive" => Some(Direction::Inactive),
        _ => None,
    };
    let Some(media) = session.media.last_mut() else {
        session.direction = direction.unwrap_or(session.direction);
        return;
    };
    media.direction = direction.unwrap_or(media.direction);
    match name {
        b"rtpmap" if media.maps.len() < MAX_FORMATS => media.maps.extend(rtpmap(value)),
        b"rtcp" => media.rtcp = rtcp(value),
        b"rtcp-mux" => media.rtcp_mux = true,
        _ => {}
    }
}

/// `97 iLBC/8000`, `96 opus/48000/2`.
fn rtpmap(value: &[u8]) -> Option<RtpMap<'_>> {
    let (payload_type, rest) = word(value);
    let (encoding, rest) = split_before(rest, |byte| byte == b'/');
    let (clock_rate, _) = split_before(rest.strip_prefix(b"/")?, |byte| byte == b'/');
    Some(RtpMap {
        payload_type: payload_type_of(payload_type)?,
        encoding: trim(encoding),
        clock_rate: number(trim(clock_rate)).filter(|rate| *rate > 0)?,
    })
}

/// `53020 IN IP6 2001:db8::1`.
fn rtcp(value: &[u8]) -> Option<Rtcp> {
    let (port, address) = word(value);
    Some(Rtcp {
        port: port_number(port)?,
        address: connection(address),
    })
}

fn port_number(digits: &[u8]) -> Option<u16> {
    number(digits).and_then(|port| u16::try_from(port).ok())
}

/// A format of an RTP media line as a payload type.
fn payload_type_of(format: &[u8]) -> Option<u8> {
    number(format)
        .and_then(|number| u8::try_from(number).ok())
        .filter(|number| *number < 128)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    #[test]
    fn media_inherit_from_the_session_and_override_it() {
        let text = b"v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 192.0.2.1/127\r\nt=0 0\r\na=inactive\r\n\
            m=audio 49170/2 RTP/AVP 0 96 x\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:200 bad/1\r\n\
            a=rtpmap:97 bad\r\na=rtcp:53020 IN IP6 2001:db8::2\r\na=sendonly\r\n\
            m=video 0 UDP/TLS/RTP/SAVPF 99\nc=IN IP6 2001:db8::1\na=rtcp-mux\n\
            m=image 4000 udptl t38\r\nc=IN IP4 fax.example.com";
        let session = parse(text).expect("a description");
        let [audio, video, image] = session.media.as_slice() else {
            panic!("three media, not {:?}", session.media)
        };
        assert_eq!((audio.kind, audio.port, audio.port_count), (&b"audio"[..], 49_170, 2));
        assert_eq!(audio.connection, ip("192.0.2.1"));
        assert_eq!(audio.formats, [&b"0"[..], b"96", b"x"]);
        let maps: Vec<_> = audio
            .maps
            .iter()
            .map(|map| (map.payload_type, map.clock_rate))
            .collect();
        assert_eq!(maps, [(96, 48_000), (0, 8_000)]);
        assert_eq!(audio.maps.first().map(|map| map.encoding), Some(&b"opus"[..]));
        assert_eq!(
            audio.rtcp,
            Some(Rtcp {
                port: 53_020,
                address: ip("2001:db8::2"),
            })
        );
        assert_eq!(audio.direction, Direction::SendOnly);
        assert!(audio.is_rtp() && !audio.rtcp_mux);
        assert_eq!((video.port, video.connection), (0, ip("2001:db8::1")));
        assert_eq!(video.direction, Direction::Inactive);
        assert!(video.is_rtp() && video.rtcp_mux);
        assert_eq!(image.connection, None);
        assert!(!image.is_rtp());
    }

    #[test]
    fn what_is_no_description_says_why() {
        assert_eq!(parse(b""), Err(Malformed::NoVersion));
        assert_eq!(parse(b"<xml/>"), Err(Malformed::NoVersion));
        for media in [
            "m=",
            "m=audio",
            "m=audio 99999 RTP/AVP 0",
            "m=audio x RTP/AVP 0",
            "m=audio 4000",
        ] {
            assert_eq!(
                parse(format!("v=0\r\n{media}\r\n").as_bytes()),
                Err(Malformed::Media),
                "{media}"
            );
        }
    }

    #[test]
    fn what_one_description_can_take_is_bounded() {
        let mut text = "v=0\r\n".to_owned();
        for _ in 0..1_000 {
            text.push_str("m=audio 4000 RTP/AVP");
            text.push_str(&" 0".repeat(1_000));
            text.push_str("\r\n");
        }
        let session = parse(text.as_bytes()).expect("a description");
        assert_eq!(session.media.len(), MAX_MEDIA);
        assert!(session.media.iter().all(|media| media.formats.len() == MAX_FORMATS));
    }
}
