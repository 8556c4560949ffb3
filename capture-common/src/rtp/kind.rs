//! What a payload type is to a measurement, and the clocks that are assigned: RFC 3551 section 6, tables 4 and 5.

/// What packets of a payload type are to a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Media with a known clock, in Hz.
    Media(u32),
    /// Comfort noise with a known clock: sent when the sender likes, so it is no part of the rhythm.
    Noise(u32),
    /// RFC 4733 events: their timestamp stands still while the event lasts.
    Event,
    /// Nobody has said yet.
    Unknown,
}

/// Comfort noise, RFC 3389.
pub const CN: u8 = 13;
/// Comfort noise before RFC 3389: reserved since, still sent by old gateways.
pub const CN_OLD: u8 = 19;

/// Types by clock, as sets of bits: the kernel program takes no tables.
const AT_8000: u64 = set(&[0, 3, 4, 5, 7, 8, 9, 12, 15, 18]);
const AT_90000: u64 = set(&[14, 25, 26, 28, 31, 32, 33, 34]);

const fn set(types: &[u8]) -> u64 {
    let mut bits = 0;
    let mut at = 0;
    while at < types.len() {
        bits |= 1 << types[at];
        at += 1;
    }
    bits
}

impl Kind {
    /// What a statically assigned payload type is; `None` for all others. This holds whatever SDP says: an assignment
    /// cannot be changed by `a=rtpmap` (RFC 3551 section 3), and the one that people try to change, G722 to 16000, is wrong
    /// (section 4.5.2).
    #[inline(always)]
    pub const fn assigned(payload_type: u8) -> Option<Self> {
        if payload_type >= 64 {
            return None;
        }
        let bit = 1 << payload_type;
        Some(Self::Media(if AT_8000 & bit != 0 {
            8000
        } else if AT_90000 & bit != 0 {
            90_000
        } else {
            match payload_type {
                CN | CN_OLD => return Some(Self::Noise(8000)),
                6 => 16_000,
                10 | 11 => 44_100,
                16 => 11_025,
                17 => 22_050,
                _ => return None,
            }
        }))
    }
}
