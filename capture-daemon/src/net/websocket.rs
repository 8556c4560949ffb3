//! WebSocket (RFC 6455): the frames of a TCP direction put together to messages, and the HTTP header before them.
//!
//! Nothing is kept between two calls: a message is read once all its frames are there, and where a reader is out of step it
//! looks for a frame whose payload begins as the caller expects.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "reads what anyone may send: a slice is asked for, never assumed"
)]

mod upgrade;

pub use upgrade::{Http, Upgrade, http, is_upgrade};

use std::borrow::Cow;

/// What stands at the beginning of the bytes, where a frame begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing<'a> {
    /// A message, or a control frame between two.
    Message(Message<'a>),
    /// The beginning of a message.
    Incomplete {
        /// Bytes there must be to say more.
        needed: usize,
        /// The frames up to here are whole, and the message goes on: where the next call goes on too.
        searched: usize,
    },
    /// No frame that RFC 6455 section 5 allows here.
    Invalid,
}

/// The frames of a message with what they carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Bytes of all its frames, and of the control frames between them.
    pub len: usize,
    /// What it is.
    pub kind: Kind,
    /// The payload without masks, of all its frames.
    pub payload: Cow<'a, [u8]>,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text or binary, which SIP may equally use (RFC 7118 section 5).
    Data,
    /// The same, coded by an extension as its reserved bits say (section 5.2): compressed by RFC 7692.
    Extended,
    /// Ping, pong or close.
    Control,
}

/// Longest payload of a control frame (RFC 6455 section 5.5).
const LONGEST_CONTROL: u64 = 125;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;

/// The header of a frame (RFC 6455 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    is_last: bool,
    is_extended: bool,
    opcode: u8,
    mask: Option<[u8; 4]>,
    /// Octets of the header itself.
    len: usize,
    payload_len: u64,
}

/// The first octets of a header that is not whole, or that no sender may write.
enum NoHeader {
    /// So many octets are needed.
    Short(usize),
    Invalid,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, NoHeader> {
        let &[first, second, ref rest @ ..] = bytes else {
            return Err(NoHeader::Short(2));
        };
        let (length_len, mask_len) = (
            match second & 0x7f {
                126 => 2,
                127 => 8,
                _ => 0_usize,
            },
            usize::from(second >> 7).saturating_mul(4),
        );
        let len = length_len.saturating_add(mask_len).saturating_add(2);
        let (Some((length, rest)), true) = (rest.split_at_checked(length_len), bytes.len() >= len) else {
            return Err(NoHeader::Short(len));
        };
        let payload_len = match length {
            [] => u64::from(second & 0x7f),
            _ => length.iter().fold(0, |len, octet| len << 8 | u64::from(*octet)),
        };
        let opcode = first & 0x0f;
        let is_last = first & 0x80 != 0;
        let is_allowed = match opcode {
            CONTINUATION | TEXT | BINARY => payload_len >> 63 == 0,
            8..=10 => is_last && payload_len <= LONGEST_CONTROL,
            _ => false,
        };
        if !is_allowed {
            return Err(NoHeader::Invalid);
        }
        Ok(Self {
            is_last,
            is_extended: first & 0x70 != 0,
            opcode,
            mask: rest.first_chunk().copied().filter(|_| mask_len > 0),
            len,
            payload_len,
        })
    }

    const fn is_control(&self) -> bool {
        self.opcode >= 8
    }

    /// Octets of the frame; beyond all bounds where they are more than can be addressed.
    fn frame_len(&self) -> usize {
        usize::try_from(self.payload_len)
            .unwrap_or(usize::MAX)
            .saturating_add(self.len)
    }

    /// The payload in `frame`, which this header begins, as far as it is there.
    fn payload<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        let payload = frame.get(self.len..).unwrap_or_default();
        let len = usize::try_from(self.payload_len).unwrap_or(usize::MAX);
        payload.get(..len).unwrap_or(payload)
    }

    /// Appends a payload without its mask (section 5.3).
    fn unmask(&self, payload: &[u8], to: &mut Vec<u8>) {
        match self.mask {
            Some(mask) => to.extend(
                payload
                    .iter()
                    .zip(mask.iter().cycle())
                    .map(|(octet, mask)| octet ^ mask),
            ),
            None => to.extend_from_slice(payload),
        }
    }
}

/// Reads the message that begins `bytes`. `searched` is what the last call said of the same bytes when there were fewer; 0 at
/// first. Control frames between the frames of a message (section 5.4) go with it, unread.
pub fn read(bytes: &[u8], searched: usize) -> Framing<'_> {
    let mut at = searched;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let header = match Header::read(rest) {
            Ok(header) => header,
            Err(NoHeader::Short(len)) => {
                return Framing::Incomplete {
                    needed: at.saturating_add(len),
                    searched: at,
                };
            }
            Err(NoHeader::Invalid) => return Framing::Invalid,
        };
        // A message begins with a frame that says what it is, and goes on with such that do not.
        if !header.is_control() && (header.opcode == CONTINUATION) != (at > 0) {
            return Framing::Invalid;
        }
        let end = at.saturating_add(header.frame_len());
        if end > bytes.len() {
            return Framing::Incomplete {
                needed: end,
                searched: at,
            };
        }
        if header.is_control() && at == 0 {
            return Framing::Message(Message {
                len: end,
                kind: Kind::Control,
                payload: Cow::Borrowed(&[]),
            });
        }
        if header.is_last && !header.is_control() {
            return Framing::Message(whole(bytes.get(..end).unwrap_or(bytes)));
        }
        at = end;
    }
}

/// The message that these whole frames are.
fn whole(bytes: &[u8]) -> Message<'_> {
    let mut message = Message {
        len: bytes.len(),
        kind: Kind::Data,
        payload: Cow::Borrowed(&[]),
    };
    let mut rest = bytes;
    while let Ok(header) = Header::read(rest) {
        let payload = header.payload(rest);
        if !header.is_control() {
            if header.is_extended {
                message.kind = Kind::Extended;
            }
            if header.mask.is_none() && header.opcode != CONTINUATION && header.is_last {
                message.payload = Cow::Borrowed(payload);
            } else {
                header.unmask(payload, message.payload.to_mut());
            }
        }
        rest = rest.get(header.frame_len()..).unwrap_or_default();
    }
    message
}

/// Octets of a payload by which it is judged.
const PREFIX: usize = 40;

/// Whether `bytes` begin a message whose payload begins as expected; `None` where there are too few to tell. `expected` says
/// the same of the first octets of the payload, without their mask.
pub fn begins(bytes: &[u8], expected: impl Fn(&[u8]) -> Option<bool>) -> Option<bool> {
    if !matches!(*bytes.first()?, 0x01 | 0x02 | 0x81 | 0x82) {
        return Some(false);
    }
    match Header::read(bytes) {
        Ok(header) => {
            let payload = header.payload(bytes);
            let mut prefix = [0; PREFIX];
            for ((to, octet), mask) in prefix
                .iter_mut()
                .zip(payload)
                .zip(header.mask.unwrap_or_default().iter().cycle())
            {
                *to = octet ^ mask;
            }
            let is_all = payload.len() >= PREFIX || payload.len() as u64 == header.payload_len;
            let prefix = prefix.get(..payload.len()).unwrap_or(&prefix);
            expected(prefix).or(is_all.then_some(false))
        }
        Err(NoHeader::Short(_)) => None,
        Err(NoHeader::Invalid) => Some(false),
    }
}

/// Octets before the next place, behind the first octet, where a message begins or may begin as [`begins`] tells.
pub fn search(bytes: &[u8], expected: impl Fn(&[u8]) -> Option<bool>) -> usize {
    (1..bytes.len())
        .find(|at| begins(bytes.get(*at..).unwrap_or_default(), &expected) != Some(false))
        .unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests;
