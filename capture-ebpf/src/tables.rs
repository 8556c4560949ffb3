//! What the daemon writes and the program reads: the settings and the wanted ports.

use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use capture_common::{FragmentKey, PortFlags, PortTable, Settings, Tables, Tunnels};

use crate::fragments;

#[map]
static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);

#[map]
static PORTS: Array<PortTable> = Array::with_max_entries(1, 0);

/// The settings as they stand; `Idle` and silent until the daemon has written them. The verifier cannot know that the map has
/// an entry.
#[inline(always)]
pub fn settings() -> Option<&'static Settings> {
    SETTINGS.get(0)
}

/// The maps as the policy sees them.
pub struct Maps;

impl Tables for Maps {
    #[inline(always)]
    fn tunnels(&self) -> Tunnels {
        SETTINGS.get(0).map_or(Tunnels::default(), |settings| settings.tunnels)
    }

    #[inline(always)]
    fn port(&self, port: u16) -> PortFlags {
        PORTS.get(0).map_or(PortFlags::NONE, |table| table.flags(port))
    }

    #[inline(always)]
    fn either(&self, source: u16, destination: u16) -> PortFlags {
        PORTS.get(0).map_or(PortFlags::NONE, |table| {
            table.flags(source).with(table.flags(destination))
        })
    }

    #[inline(always)]
    fn recall(&self, key: &FragmentKey) -> Option<bool> {
        fragments::recall(key)
    }

    #[inline(always)]
    fn remember(&self, key: &FragmentKey, wanted: bool) {
        fragments::remember(key, wanted);
    }
}
