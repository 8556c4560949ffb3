//! The `a=` lines that say where media goes, what its payload types mean, and whether it is encrypted.

use std::net::IpAddr;

use super::{Direction, MAX_FORMATS, Media, Session, address, connection, port_number};
use crate::sip::header::{number, split_before, trim, word};

/// Candidates read from one media description. An agent with a few interfaces has some ten (RFC 8445 section 14 limits the
/// pairs to 100).
const MAX_CANDIDATES: usize = 32;
/// Sources read from one media description: three qualities of a video, each with its repair.
const MAX_SOURCES: usize = 16;
/// BUNDLE groups read from one session. One is usual.
const MAX_BUNDLES: usize = 8;

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

/// `a=fmtp:97 mode-set=0,2,5,7` (RFC 8866 section 6.15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fmtp<'a> {
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// The format's parameters as written.
    pub parameters: &'a [u8],
}

/// `a=rtcp:53020 IN IP4 192.0.2.1` (RFC 3605).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rtcp {
    /// RTCP's port.
    pub port: u16,
    /// RTCP's address, where it is not the media's.
    pub address: Option<IpAddr>,
}

/// `a=candidate:1 1 UDP 2130706431 192.0.2.1 8998 typ host` (RFC 8839 section 5.1). Candidates that name a host are passed
/// over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// 1 for RTP, 2 for RTCP.
    pub component: u16,
    /// TCP (RFC 6544), else UDP.
    pub tcp: bool,
    /// Where it receives.
    pub address: IpAddr,
    /// Port, above 0; [`DISCARD`](super::DISCARD) for TCP that only connects.
    pub port: u16,
}

/// `a=ssrc:11111 cname:user@example.com` (RFC 5576 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    /// Synchronisation source.
    pub ssrc: u32,
    /// Its canonical name (RFC 3550 section 6.5.1); empty where none was given.
    pub cname: &'a [u8],
}

/// Takes one attribute into the session, or into its latest media.
pub(super) fn read<'a>(line: &'a [u8], session: &mut Session<'a>) {
    let (name, value) = split_before(line, |byte| byte == b':');
    let name = trim(name);
    let value = trim(value.get(1..).unwrap_or_default());
    match session.media.last_mut() {
        Some(media) => of_media(name, value, media),
        None => of_session(name, value, session),
    }
}

fn of_session<'a>(name: &[u8], value: &'a [u8], session: &mut Session<'a>) {
    match name {
        b"fingerprint" => session.fingerprint = true,
        b"group" if session.bundles.len() < MAX_BUNDLES => {
            let (semantics, tags) = word(value);
            if semantics.eq_ignore_ascii_case(b"BUNDLE") {
                session.bundles.push(tags);
            }
        }
        _ => session.direction = direction(name).unwrap_or(session.direction),
    }
}

fn of_media<'a>(name: &[u8], value: &'a [u8], media: &mut Media<'a>) {
    match name {
        b"rtpmap" if media.maps.len() < MAX_FORMATS => media.maps.extend(rtpmap(value)),
        b"fmtp" if media.fmtps.len() < MAX_FORMATS => media.fmtps.extend(fmtp(value)),
        b"candidate" if media.candidates.len() < MAX_CANDIDATES => media.candidates.extend(candidate(value)),
        b"ssrc" => source(value, &mut media.sources),
        b"rtcp" => media.rtcp = rtcp(value),
        b"rtcp-mux" => media.rtcp_mux = true,
        b"rtcp-mux-only" => (media.rtcp_mux, media.rtcp_mux_only) = (true, true),
        b"ptime" => media.ptime_us = ptime(value),
        b"mid" => media.mid = value,
        b"bundle-only" => media.bundle_only = true,
        b"fingerprint" => media.fingerprint = true,
        b"crypto" => media.crypto = media.crypto.or_else(|| suite(value)),
        _ => media.direction = direction(name).unwrap_or(media.direction),
    }
}

fn direction(name: &[u8]) -> Option<Direction> {
    match name {
        b"sendrecv" => Some(Direction::SendRecv),
        b"sendonly" => Some(Direction::SendOnly),
        b"recvonly" => Some(Direction::RecvOnly),
        b"inactive" => Some(Direction::Inactive),
        _ => None,
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

/// `101 0-16`, `97 mode-set=0,2; octet-align=1`.
fn fmtp(value: &[u8]) -> Option<Fmtp<'_>> {
    let (payload_type, parameters) = word(value);
    Some(Fmtp {
        payload_type: payload_type_of(payload_type)?,
        parameters,
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

/// `1 1 UDP 2130706431 192.0.2.1 8998 typ host …`.
fn candidate(value: &[u8]) -> Option<Candidate> {
    let (_foundation, rest) = word(value);
    let (component, rest) = word(rest);
    let (transport, rest) = word(rest);
    let (_priority, rest) = word(rest);
    let (written, rest) = word(rest);
    let (port, rest) = word(rest);
    let tcp = transport.eq_ignore_ascii_case(b"TCP");
    let known = tcp || transport.eq_ignore_ascii_case(b"UDP");
    let typed = word(rest).0.eq_ignore_ascii_case(b"typ");
    (known && typed).then_some(())?;
    Some(Candidate {
        component: port_number(component).filter(|component| (1..=256).contains(component))?,
        tcp,
        address: address(written)?,
        port: port_number(port).filter(|port| *port != 0)?,
    })
}

/// `11111 cname:user@example.com`, and the same source's other attributes on other lines.
fn source<'a>(value: &'a [u8], sources: &mut Vec<Source<'a>>) {
    let (ssrc, attribute) = word(value);
    let Some(ssrc) = number(ssrc) else { return };
    let cname = attribute.strip_prefix(b"cname:").unwrap_or_default();
    if let Some(known) = sources.iter_mut().find(|source| source.ssrc == ssrc) {
        if known.cname.is_empty() {
            known.cname = cname;
        }
    } else if sources.len() < MAX_SOURCES {
        sources.push(Source { ssrc, cname });
    }
}

/// `20`, and `2.5` as Opus has it; above 0 and below a minute.
fn ptime(value: &[u8]) -> Option<u32> {
    let (whole, fraction) = split_before(value, |byte| byte == b'.');
    let mut thousandths = fraction.get(1..).unwrap_or_default().iter().take(3).enumerate();
    let micros = thousandths.try_fold(0, |sum, (at, digit)| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        Some(sum + u32::from(digit) * [100, 10, 1].get(at)?)
    })?;
    let millis = number(whole).filter(|millis| *millis < 60_000)?;
    Some(millis * 1000 + micros).filter(|micros| *micros > 0)
}

/// `1 AES_CM_128_HMAC_SHA1_80 inline:…`.
fn suite(value: &[u8]) -> Option<&[u8]> {
    let (tag, rest) = word(value);
    let (suite, parameters) = word(rest);
    (number(tag).is_some() && !parameters.is_empty()).then_some(suite)
}

/// A format of an RTP media line as a payload type.
fn payload_type_of(format: &[u8]) -> Option<u8> {
    number(format)
        .and_then(|number| u8::try_from(number).ok())
        .filter(|number| *number < 128)
}
