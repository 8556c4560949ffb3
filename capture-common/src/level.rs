//! How much of a call is kept, and which media the kernel program lets cross.

/// How much of a call is kept. A zero in a map means that nothing is said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// SIP and RTCP only.
    Signaling = 1,
    /// RTP cut to its headers too, its length on the wire kept in the record.
    Headers = 2,
    /// Every frame as it came.
    Full = 3,
}

impl Level {
    /// Every level, from the least to the most.
    pub const ALL: &'static [Self] = &[Self::Signaling, Self::Headers, Self::Full];

    /// The name in configuration, metrics and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Signaling => "signaling",
            Self::Headers => "headers",
            Self::Full => "full",
        }
    }

    /// The level with this number.
    #[inline(always)]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Signaling),
            2 => Some(Self::Headers),
            3 => Some(Self::Full),
            _ => None,
        }
    }
}

/// Which RTP crosses from the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Media {
    /// None.
    Off = 0,
    /// What goes from or to a media port.
    #[default]
    Range = 1,
    /// What goes from or to an endpoint that SDP named or a call was seen to use.
    Learned = 2,
    /// None but what a rule asks for: the program measures the rest where it is.
    Measured = 3,
}

impl Media {
    /// Every choice, in order of number.
    pub const ALL: &'static [Self] = &[Self::Off, Self::Range, Self::Learned, Self::Measured];

    /// The name in the configuration.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Range => "range",
            Self::Learned => "learned",
            Self::Measured => "measured",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_to_their_levels() {
        for level in Level::ALL {
            assert_eq!(Level::from_number(*level as u8), Some(*level));
        }
        assert_eq!(Level::from_number(0), None);
        assert!(Level::Signaling < Level::Headers && Level::Headers < Level::Full);
        for (number, media) in Media::ALL.iter().enumerate() {
            assert_eq!(*media as usize, number);
        }
    }
}
