//! The places of calls' media, as the daemon tells them to the program: what goes from or to one of them belongs to a call.

use crate::level::Level;
use crate::rtp::Kind;

/// An address and a UDP port.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct EndpointKey {
    /// The address; IPv4 in its mapped form (RFC 4291 section 2.5.5.2).
    pub address: [u8; 16],
    /// The port, in host byte order.
    pub port: u16,
    /// Always 0: keys are compared byte by byte.
    pub pad: u16,
}

impl EndpointKey {
    /// The key of an endpoint.
    #[inline(always)]
    pub const fn new(address: [u8; 16], port: u16) -> Self {
        Self { address, port, pad: 0 }
    }
}

const _: () = assert!(size_of::<EndpointKey>() == 20);

/// Formats that are told of one endpoint: those of its media line that come first.
pub const FORMATS: usize = 8;

/// What is known of an endpoint.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct EndpointEntry {
    /// How much of its call is kept: the number of a [`Level`], or 0 for the default.
    pub level: u8,
    /// Formats that follow.
    pub count: u8,
    /// Always 0.
    pub pad: u16,
    /// What SDP says of its payload types.
    pub formats: [EndpointFormat; FORMATS],
}

impl EndpointEntry {
    /// How much of its call is kept, if that is said.
    #[inline(always)]
    pub const fn level(&self) -> Option<Level> {
        Level::from_number(self.level)
    }

    /// What SDP says that packets of a payload type are.
    #[inline(always)]
    pub fn kind(&self, payload_type: u8) -> Option<Kind> {
        let mut at = 0;
        while at < FORMATS {
            if at >= self.count as usize {
                return None;
            }
            if self.formats[at].payload_type() == payload_type {
                return Some(self.formats[at].kind());
            }
            at += 1;
        }
        None
    }
}

const _: () = assert!(size_of::<EndpointEntry>() == 36);

/// A payload type and its clock, in one word: whether it is comfort noise in the highest bit, the type in seven more, 24 bits of
/// hertz below; none for an event, which has no rhythm.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct EndpointFormat(pub u32);

impl EndpointFormat {
    /// Highest clock rate there is room for, in hertz. RTP's are below 200 kHz.
    pub const MAX_CLOCK_RATE: u32 = 0x00ff_ffff;

    const NOISE: u32 = 1 << 31;

    /// A format of what packets of a payload type are; `None` where that is unknown, or a clock rate beyond
    /// [`Self::MAX_CLOCK_RATE`].
    #[inline(always)]
    pub const fn new(payload_type: u8, kind: Kind) -> Option<Self> {
        let (clock_rate, flag) = match kind {
            Kind::Media(rate) => (rate, 0),
            Kind::Noise(rate) => (rate, Self::NOISE),
            Kind::Event => (0, 0),
            Kind::Unknown => return None,
        };
        if clock_rate > Self::MAX_CLOCK_RATE || payload_type > 127 {
            return None;
        }
        Some(Self(flag | (payload_type as u32) << 24 | clock_rate))
    }

    /// What packets of the type are.
    #[inline(always)]
    pub const fn kind(self) -> Kind {
        match self.clock_rate() {
            0 => Kind::Event,
            rate if self.0 & Self::NOISE != 0 => Kind::Noise(rate),
            rate => Kind::Media(rate),
        }
    }

    /// The payload type.
    #[inline(always)]
    pub const fn payload_type(self) -> u8 {
        (self.0 >> 24) as u8 & 0x7f
    }

    /// The clock rate in hertz.
    #[inline(always)]
    pub const fn clock_rate(self) -> u32 {
        self.0 & Self::MAX_CLOCK_RATE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_one_word() {
        for kind in [Kind::Media(90_000), Kind::Noise(16_000), Kind::Event] {
            let format = EndpointFormat::new(127, kind).unwrap();
            assert_eq!((format.payload_type(), format.kind()), (127, kind));
        }
        assert_eq!(EndpointFormat::new(0, Kind::Media(1 << 24)), None);
        assert_eq!(EndpointFormat::new(128, Kind::Event), None);
        assert_eq!(EndpointFormat::new(96, Kind::Unknown), None);
        assert_eq!(EndpointEntry::default().level(), None);
    }

    #[test]
    fn an_entry_knows_its_formats_and_no_others() {
        let mut entry = EndpointEntry::default();
        assert_eq!(entry.kind(0), None, "what is not filled is no format");
        entry.formats[0] = EndpointFormat::new(96, Kind::Media(48_000)).unwrap();
        entry.formats[FORMATS - 1] = EndpointFormat::new(101, Kind::Event).unwrap();
        entry.count = FORMATS as u8;
        assert_eq!(entry.kind(96), Some(Kind::Media(48_000)));
        assert_eq!((entry.kind(101), entry.kind(97)), (Some(Kind::Event), None));
    }
}
