//! What the daemon tells the kernel program.

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

/// The one value of the program's settings map.
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
}

const _: () = assert!(size_of::<Settings>() == 12);
