//! Which ports are wanted, and for what.

/// What a port is wanted for.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct PortFlags(pub u8);

impl PortFlags {
    /// Not wanted.
    pub const NONE: Self = Self(0);
    /// SIP over UDP and TCP.
    pub const SIP: Self = Self(1);
    /// RTP and RTCP over UDP.
    pub const MEDIA: Self = Self(2);
    /// A tunnel over UDP, whose inner ports decide.
    pub const TUNNEL: Self = Self(4);
    /// SIP in WebSocket over TCP.
    pub const WEBSOCKET: Self = Self(8);
    /// STUN and TURN over UDP and TCP.
    pub const TURN: Self = Self(16);

    /// Whether all of `other` is among these.
    #[inline(always)]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and `other`.
    #[inline(always)]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Flags of every port, by number: what the program has in memory of them. One value of 64 KiB instead of 65,536
/// values, which the kernel would round up to 8 bytes each: an eighth of the cache, and one system call to fill it.
#[repr(transparent)]
#[derive(Clone, Copy)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct PortTable(pub [PortFlags; PortTable::PORTS]);

impl PortTable {
    /// All ports of UDP or TCP.
    pub const PORTS: usize = 1 << 16;
    /// No port is wanted.
    pub const EMPTY: Self = Self([PortFlags::NONE; Self::PORTS]);

    /// What `port` is wanted for.
    #[inline(always)]
    pub const fn flags(&self, port: u16) -> PortFlags {
        // A u16 is below 65,536.
        self.0[port as usize]
    }

    /// Wants the ports from `first` to `last`, both included, also for `flags`.
    pub fn want(&mut self, first: u16, last: u16, flags: PortFlags) {
        for port in first..=last {
            self.0[port as usize] = self.0[port as usize].with(flags);
        }
    }
}

const _: () = assert!(size_of::<PortTable>() == 65_536);

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn ranges_include_both_ends_and_add_up() {
        let mut table = std::boxed::Box::new(PortTable::EMPTY);
        table.want(65_534, 65_535, PortFlags::MEDIA);
        table.want(65_535, 65_535, PortFlags::SIP);
        assert_eq!(table.flags(65_533), PortFlags::NONE);
        assert_eq!(table.flags(65_534), PortFlags::MEDIA);
        assert!(table.flags(65_535).has(PortFlags::SIP.with(PortFlags::MEDIA)));
        table.want(2, 1, PortFlags::SIP);
        assert_eq!(table.flags(1), PortFlags::NONE);
    }
}
