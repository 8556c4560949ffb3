//! The places of calls' media, as the daemon tells them to the program: what goes from or to one of them belongs to a call.

use crate::level::Level;

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
}

const _: () = assert!(size_of::<EndpointEntry>() == 36);

/// A payload type and its clock, in one word: the type above, 24 bits of hertz below.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct EndpointFormat(pub u32);

impl EndpointFormat {
    /// Highest clock rate there is room for, in hertz. RTP's are below 200 kHz.
    pub const MAX_CLOCK_RATE: u32 = 0x00ff_ffff;

    /// A format; `None` for a clock rate beyond [`Self::MAX_CLOCK_RATE`].
    #[inline(always)]
    pub const fn new(payload_type: u8, clock_rate: u32) -> Option<Self> {
        if clock_rate > Self::MAX_CLOCK_RATE {
            return None;
        }
        Some(Self((payload_type as u32) << 24 | clock_rate))
    }

    /// The payload type.
    #[inline(always)]
    pub const fn payload_type(self) -> u8 {
        (self.0 >> 24) as u8
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
        let format = EndpointFormat::new(127, 90_000).unwrap();
        assert_eq!((format.payload_type(), format.clock_rate()), (127, 90_000));
        assert_eq!(EndpointFormat::new(0, 1 << 24), None);
        assert_eq!(EndpointEntry::default().level(), None);
    }
}
