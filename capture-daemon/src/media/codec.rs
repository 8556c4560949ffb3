//! Payload types with a meaning of their own: RFC 3551 section 6, tables 4 and 5.

use super::jitter::Period;

/// What SDP says of a payload type (RFC 8866 section 6.6): by `a=rtpmap`, or by naming a static one in the media line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Encoding name as written, without rate and channels.
    pub encoding: Box<str>,
    /// RTP clock in Hz.
    pub clock_rate: u32,
}

/// Comfort noise, RFC 3389.
pub const CN: u8 = 13;
/// Comfort noise before RFC 3389: reserved since, still sent by old gateways.
pub const CN_OLD: u8 = 19;
/// First payload type without a meaning of its own.
pub const DYNAMIC: u8 = 96;

/// RTP clock of video in Hz.
pub const VIDEO: u32 = 90_000;

/// Encoding name and RTP clock of a statically assigned payload type.
///
/// These hold whatever SDP says: an assignment cannot be changed by `a=rtpmap` (RFC 3551 section 3), and the one that
/// people try to change, G722 to 16000, is wrong (section 4.5.2).
pub const fn assigned(payload_type: u8) -> Option<(&'static str, u32)> {
    Some(match payload_type {
        0 => ("PCMU", 8000),
        3 => ("GSM", 8000),
        4 => ("G723", 8000),
        5 => ("DVI4", 8000),
        6 => ("DVI4", 16_000),
        7 => ("LPC", 8000),
        8 => ("PCMA", 8000),
        // Sampled at 16 kHz, but RFC 1890 said 8000 and so it stays.
        9 => ("G722", 8000),
        10 | 11 => ("L16", 44_100),
        12 => ("QCELP", 8000),
        CN | CN_OLD => ("CN", 8000),
        14 => ("MPA", 90_000),
        15 => ("G728", 8000),
        16 => ("DVI4", 11_025),
        17 => ("DVI4", 22_050),
        18 => ("G729", 8000),
        25 => ("CelB", 90_000),
        26 => ("JPEG", 90_000),
        28 => ("nv", 90_000),
        31 => ("H261", 90_000),
        32 => ("MPV", 90_000),
        33 => ("MP2T", 90_000),
        34 => ("H263", 90_000),
        _ => return None,
    })
}

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

impl Kind {
    /// What `payload_type` is, by assignment and then by what SDP said.
    pub fn of(payload_type: u8, formats: &[Format]) -> Self {
        match (payload_type, assigned(payload_type)) {
            (CN | CN_OLD, Some((_, rate))) => Self::Noise(rate),
            (_, Some((_, rate))) => Self::Media(rate),
            (_, None) => formats
                .iter()
                .find(|format| format.payload_type == payload_type)
                .map_or(Self::Unknown, Self::of_format),
        }
    }

    fn of_format(format: &Format) -> Self {
        // RFC 4733 section 7.1; encoding names are compared without case (RFC 4855 section 3).
        if format.encoding.eq_ignore_ascii_case("telephone-event") || format.encoding.eq_ignore_ascii_case("tone") {
            Self::Event
        } else if format.clock_rate < Period::SLOWEST {
            Self::Unknown
        } else if format.encoding.eq_ignore_ascii_case("CN") {
            Self::Noise(format.clock_rate)
        } else {
            Self::Media(format.clock_rate)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(payload_type: u8, encoding: &str, clock_rate: u32) -> Format {
        Format {
            payload_type,
            encoding: encoding.into(),
            clock_rate,
        }
    }

    #[test]
    fn an_assigned_type_keeps_its_clock_and_a_dynamic_one_takes_sdps() {
        let formats = [
            format(9, "G722", 16_000),
            format(111, "opus", 48_000),
            format(101, "Telephone-Event", 8000),
            format(98, "CN", 16_000),
            format(99, "broken", 0),
            format(100, "broken", 999),
        ];
        assert_eq!(Kind::of(9, &formats), Kind::Media(8000));
        assert_eq!(Kind::of(111, &formats), Kind::Media(48_000));
        assert_eq!(Kind::of(101, &formats), Kind::Event);
        assert_eq!(Kind::of(98, &formats), Kind::Noise(16_000));
        assert_eq!(Kind::of(13, &formats), Kind::Noise(8000));
        assert_eq!(Kind::of(99, &formats), Kind::Unknown);
        assert_eq!(Kind::of(100, &formats), Kind::Unknown);
        assert_eq!(Kind::of(111, &[]), Kind::Unknown);
    }
}
