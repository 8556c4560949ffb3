//! A session description as a call keeps it: as little as an operator asks for, in memory that all calls share out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::media::assigned;
use crate::net::Endpoint;
use crate::report::{self, Keys};
use crate::shared_lists::SharedLists;
use crate::sip::sdp::{Direction, Media, Session};
use crate::sip::{Message, Method, StartLine};
use crate::text::lossy;
use crate::time::Timestamp;

/// Media lines of a description that are kept.
const MAX_LINES: usize = 8;
/// Formats of a media line that are kept.
const MAX_CODECS: usize = 16;
/// Octets of a name that are kept.
const MAX_NAME: usize = 32;
/// Octets of a format's parameters that are kept.
const MAX_FMTP: usize = 128;

/// Memory for the descriptions of all calls.
#[derive(Debug)]
pub struct Ledger {
    used: AtomicUsize,
    max: usize,
    /// Calls that offer the same share the list; the room is counted as if each had its own.
    codecs: SharedLists<Codec>,
}

impl Ledger {
    /// Room for `max` bytes.
    pub fn new(max: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            max,
            codecs: SharedLists::default(),
        }
    }

    /// Keeps these lines; `None` where there is no room.
    fn keep(self: &Arc<Self>, lines: Box<[Line]>) -> Option<Arc<Lines>> {
        let bytes = size_of::<Lines>() + lines.iter().map(Line::bytes).sum::<usize>();
        let fits = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.max);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .is_ok()
            .then(|| {
                Arc::new(Lines {
                    lines,
                    bytes,
                    ledger: Arc::clone(self),
                })
            })
    }
}

/// The media lines of one description, and the room they take.
#[derive(Debug)]
pub(super) struct Lines {
    lines: Box<[Line]>,
    bytes: usize,
    ledger: Arc<Ledger>,
}

impl Lines {
    pub fn iter(&self) -> std::slice::Iter<'_, Line> {
        self.lines.iter()
    }

    pub fn get(&self, at: usize) -> Option<&Line> {
        self.lines.get(at)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.ledger.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// One media line.
#[derive(Debug)]
pub(super) struct Line {
    pub kind: Box<str>,
    address: Option<std::net::IpAddr>,
    pub port: u16,
    protocol: Box<str>,
    pub codecs: Arc<[Codec]>,
    pub direction: Direction,
    ptime_us: Option<u32>,
    keys: Option<Keys>,
    candidates: u8,
    pub hold: bool,
}

impl Line {
    fn of(media: &Media<'_>, session: &Session<'_>, ledger: &Ledger) -> Self {
        let codecs = media.formats.iter().take(MAX_CODECS);
        let codecs = codecs.map(|format| Codec::of(format, media)).collect();
        let transport = session.transport_of(media);
        Self {
            kind: text(media.kind, MAX_NAME),
            address: transport.connection,
            port: if media.bundle_only { transport.port } else { media.port },
            protocol: text(media.protocol, MAX_NAME),
            codecs: ledger.codecs.keep(codecs),
            direction: media.direction,
            ptime_us: media.ptime_us,
            keys: match (media.crypto, media.fingerprint) {
                (_, true) => Some(Keys::Dtls),
                (Some(_), false) => Some(Keys::Sdes),
                (None, false) => None,
            },
            candidates: u8::try_from(transport.candidates.len()).unwrap_or(u8::MAX),
            hold: media.is_hold(),
        }
    }

    fn bytes(&self) -> usize {
        let codecs = self.codecs.iter().map(Codec::bytes).sum::<usize>();
        size_of::<Self>() + self.kind.len() + self.protocol.len() + codecs
    }

    pub fn is_audio(&self) -> bool {
        self.kind.eq_ignore_ascii_case("audio")
    }

    fn report(&self) -> report::MediaLine {
        report::MediaLine {
            kind: self.kind.to_string(),
            address: self.address.map(|address| address.to_string()),
            port: self.port,
            protocol: self.protocol.to_string(),
            codecs: self.codecs.iter().map(Codec::report).collect(),
            direction: self.direction.label().to_owned(),
            ptime_ms: self.ptime_us.map(|micros| f64::from(micros) / 1000.0),
            keys: self.keys,
            candidates: u32::from(self.candidates),
            hold: self.hold && self.is_audio(),
        }
    }
}

/// One format.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Codec {
    payload_type: Option<u8>,
    name: Option<Box<str>>,
    clock_rate: Option<u32>,
    fmtp: Option<Box<str>>,
}

impl Codec {
    fn of(format: &[u8], media: &Media<'_>) -> Self {
        let payload_type = std::str::from_utf8(format)
            .ok()
            .filter(|_| media.is_rtp())
            .and_then(|format| format.parse::<u8>().ok())
            .filter(|number| *number < 128);
        let Some(number) = payload_type else {
            return Self {
                payload_type,
                name: Some(text(format, MAX_NAME)),
                clock_rate: None,
                fmtp: None,
            };
        };
        let map = media.maps.iter().find(|map| map.payload_type == number);
        let fmtp = media.fmtps.iter().find(|fmtp| fmtp.payload_type == number);
        let assigned = assigned(number);
        Self {
            payload_type,
            name: map
                .map(|map| text(map.encoding, MAX_NAME))
                .or_else(|| assigned.map(|(name, _)| name.into())),
            clock_rate: map.map(|map| map.clock_rate).or_else(|| assigned.map(|(_, rate)| rate)),
            fmtp: fmtp.map(|fmtp| text(fmtp.parameters, MAX_FMTP)),
        }
    }

    fn bytes(&self) -> usize {
        let text = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
        size_of::<Self>() + text(&self.name) + text(&self.fmtp)
    }

    /// Encoding name, or the format where the media is not RTP.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether this carries media, not events or noise.
    pub fn is_media(&self) -> bool {
        let name = self.name.as_deref().unwrap_or_default();
        !["telephone-event", "tone", "CN", "red", "rtx", "ulpfec", "flexfec-03"]
            .iter()
            .any(|other| name.eq_ignore_ascii_case(other))
    }

    /// Whether both sides mean the same: by name and clock, as payload types may differ (RFC 3264 section 5.1).
    pub fn is(&self, other: &Self) -> bool {
        match (&self.name, &other.name) {
            (Some(one), Some(other_name)) => {
                one.eq_ignore_ascii_case(other_name) && self.clock_rate == other.clock_rate
            }
            (None, None) => self.payload_type == other.payload_type,
            _ => false,
        }
    }

    pub fn report(&self) -> report::Codec {
        report::Codec {
            payload_type: self.payload_type,
            name: self.name.as_deref().map(str::to_owned),
            clock_rate: self.clock_rate,
            fmtp: self.fmtp.as_deref().map(str::to_owned),
        }
    }
}

/// One description, as often as it was seen.
#[derive(Clone, Debug)]
pub struct Description {
    /// When, and where it came from.
    pub(super) seen: (Timestamp, Endpoint),
    /// Whose it is: a hash of the tag.
    pub(super) author: u64,
    cseq: u32,
    /// Hash of the body.
    body: u64,
    method: Method,
    code: Option<u16>,
    pub(super) lines: Arc<Lines>,
}

impl Description {
    /// What `message` of time `ts` from `src` describes; `None` where it does not, or the memory for descriptions is used up.
    pub fn of(
        ts: Timestamp,
        src: Endpoint,
        message: &Message<'_>,
        session: &Session<'_>,
        ledger: &Arc<Ledger>,
    ) -> Option<Self> {
        let lines = session
            .media
            .iter()
            .take(MAX_LINES)
            .map(|media| Line::of(media, session, ledger))
            .collect();
        Some(Self {
            seen: (ts, src),
            author: message.author_tag(),
            cseq: message.cseq.number,
            body: message.body_hash(),
            method: message.cseq.method,
            code: match message.start {
                StartLine::Request { .. } => None,
                StartLine::Response { code, .. } => Some(code),
            },
            lines: ledger.keep(lines)?,
        })
    }

    /// Whether both are sights of one: the same words of the same party in the same transaction.
    pub(super) fn is(&self, other: &Self) -> bool {
        (self.author, self.cseq, self.body) == (other.author, other.cseq, other.body)
    }

    /// Another sight of it: the first is kept.
    pub(super) fn again(&mut self, other: &Self) {
        if (other.seen, other.code) < (self.seen, self.code) {
            *self = other.clone();
        }
    }

    pub(super) fn report(&self, by: Option<report::Party>) -> report::Description {
        let (at, src) = self.seen;
        report::Description {
            at,
            by,
            src: src.to_string(),
            method: self.method.label().to_owned(),
            status_code: self.code,
            media: self.lines.iter().map(Line::report).collect(),
        }
    }
}

/// The encoding names of a media line: of a payload type as mapped, else as assigned; the format itself where it is not RTP.
pub fn encodings<'a>(media: &'a Media<'_>) -> impl Iterator<Item = &'a [u8]> {
    let is_rtp = media.is_rtp();
    let of = move |format: &'a &[u8]| -> Option<&'a [u8]> {
        if !is_rtp {
            return Some(format);
        }
        let number = std::str::from_utf8(format).ok()?.parse::<u8>().ok()?;
        let map = media.maps.iter().find(|map| map.payload_type == number);
        map.map(|map| map.encoding)
            .or_else(|| assigned(number).map(|(name, _)| name.as_bytes()))
    };
    media.formats.iter().filter_map(of)
}

fn text(bytes: &[u8], most: usize) -> Box<str> {
    lossy(bytes.get(..most).unwrap_or(bytes)).into()
}
