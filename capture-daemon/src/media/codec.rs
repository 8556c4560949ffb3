//! Payload types with a meaning of their own: RFC 3551 section 6, tables 4 and 5.

pub use capture_common::rtp::Kind;
use capture_common::rtp::kind::{CN, CN_OLD};

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

/// First payload type without a meaning of its own.
pub const DYNAMIC: u8 = 96;

/// RTP clock of video in Hz.
pub const VIDEO: u32 = 90_000;

/// Encoding name and RTP clock of a statically assigned payload type; the clock is [`Kind::assigned`]'s.
pub const fn assigned(payload_type: u8) -> Option<(&'static str, u32)> {
    let name = match payload_type {
        0 => "PCMU",
        3 => "GSM",
        4 => "G723",
        5 | 6 | 16 | 17 => "DVI4",
        7 => "LPC",
        8 => "PCMA",
        9 => "G722",
        10 | 11 => "L16",
        12 => "QCELP",
        CN | CN_OLD => "CN",
        14 => "MPA",
        15 => "G728",
        18 => "G729",
        25 => "CelB",
        26 => "JPEG",
        28 => "nv",
        31 => "H261",
        32 => "MPV",
        33 => "MP2T",
        34 => "H263",
        _ => return None,
    };
    match Kind::assigned(payload_type) {
        Some(Kind::Media(rate) | Kind::Noise(rate)) => Some((name, rate)),
        _ => None,
    }
}

/// What `payload_type` is, by assignment and then by what SDP said.
pub fn kind(payload_type: u8, formats: &[Format]) -> Kind {
    let announced = || formats.iter().find(|format| format.payload_type == payload_type);
    Kind::assigned(payload_type)
        .or_else(|| announced().map(Format::kind))
        .unwrap_or(Kind::Unknown)
}

impl Format {
    /// What packets of it are.
    pub fn kind(&self) -> Kind {
        // RFC 4733 section 7.1; encoding names are compared without case (RFC 4855 section 3).
        if self.encoding.eq_ignore_ascii_case("telephone-event") || self.encoding.eq_ignore_ascii_case("tone") {
            Kind::Event
        } else if self.clock_rate < Period::SLOWEST {
            Kind::Unknown
        } else if self.encoding.eq_ignore_ascii_case("CN") {
            Kind::Noise(self.clock_rate)
        } else {
            Kind::Media(self.clock_rate)
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
    fn what_has_a_name_has_a_clock_and_the_other_way_round() {
        for payload_type in 0..128 {
            let has_clock = Kind::assigned(payload_type).is_some();
            assert_eq!(assigned(payload_type).is_some(), has_clock, "{payload_type}");
        }
        let clocks = [5, 6, 16, 17, 10, 34, CN].map(|of| assigned(of).unwrap().1);
        assert_eq!(clocks, [8000, 16_000, 11_025, 22_050, 44_100, 90_000, 8000]);
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
        assert_eq!(kind(9, &formats), Kind::Media(8000));
        assert_eq!(kind(111, &formats), Kind::Media(48_000));
        assert_eq!(kind(101, &formats), Kind::Event);
        assert_eq!(kind(98, &formats), Kind::Noise(16_000));
        assert_eq!(kind(13, &formats), Kind::Noise(8000));
        assert_eq!(kind(99, &formats), Kind::Unknown);
        assert_eq!(kind(100, &formats), Kind::Unknown);
        assert_eq!(kind(111, &[]), Kind::Unknown);
    }
}
