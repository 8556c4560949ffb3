//! What the daemon tells the kernel program.

use crate::level::{Level, Media};
use crate::tunnels::Tunnels;

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Mode {
    /// Every frame goes on to the host, none is counted: what holds until the sockets are bound, and what zeroed
    /// memory means.
    Idle = 0,
    /// Captured frames go to their queue's socket, the rest is dropped.
    Mirror = 1,
    /// Captured frames are copied into ring buffers; every frame goes on as if no program were there.
    Host = 2,
}

/// What the program has in memory of the settings.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Settings {
    /// A [`Mode`], as its number; any other number is `Idle`.
    pub mode: u32,
    /// Not 0: log every verdict through aya-log.
    pub log: u32,
    /// Tunnels whose inner ports decide. Those over UDP have their port in the port table too.
    pub tunnels: Tunnels,
    /// What is decided of media.
    pub media: MediaSettings,
}

/// What is decided of datagrams from and to media ports.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct MediaSettings {
    /// A [`Media`], as its number.
    pub media: u8,
    /// How much is kept of calls of which nothing is said: the number of a [`Level`]; any other number is `Full`.
    pub level: u8,
    /// Not 0: the levels of single calls are in the map of endpoints.
    pub levels: u8,
    /// Always 0.
    pub pad: u8,
    /// Packets of RTP to one endpoint that cross before any SDP names it.
    pub early_packets: u32,
}

impl MediaSettings {
    /// Settings of these values.
    pub const fn new(media: Media, level: Level, levels: bool, early_packets: u32) -> Self {
        Self {
            media: media as u8,
            level: level as u8,
            levels: levels as u8,
            pad: 0,
            early_packets,
        }
    }

    /// Whether `media` is chosen.
    #[inline(always)]
    pub const fn is(&self, media: Media) -> bool {
        self.media == media as u8
    }

    /// Whether every datagram crosses as it is, so that there is nothing to decide.
    #[inline(always)]
    pub const fn take_all(&self) -> bool {
        self.is(Media::Range) && self.levels == 0 && matches!(self.level(), Level::Full)
    }

    /// How much is kept of calls of which nothing is said.
    #[inline(always)]
    pub const fn level(&self) -> Level {
        match Level::from_number(self.level) {
            Some(level) => level,
            None => Level::Full,
        }
    }
}

const _: () = assert!(size_of::<Settings>() == 20 && size_of::<MediaSettings>() == 8);
