//! What the daemon writes and the program reads: the settings and the wanted ports.

use core::cell::UnsafeCell;
use core::mem;

use capture_common::{FragmentKey, PortFlags, PortTable, Settings, Tables, Tunnels};

use crate::fragments;

/// Memory of the object, of which the kernel makes a map of one entry: the daemon writes that, and a program knows its address, where
/// an array's entry takes ten instructions to look up.
#[repr(transparent)]
struct Written<T>(UnsafeCell<T>);

// SAFETY: the programs only read it, and any bytes the daemon writes meanwhile are a T.
unsafe impl<T> Sync for Written<T> {}

impl<T> Written<T> {
    /// Zeroed, as it is until the daemon has written it.
    const fn zeroed() -> Self {
        // SAFETY: settings and ports are plain numbers, which may be 0.
        Self(UnsafeCell::new(unsafe { mem::zeroed() }))
    }

    #[inline(always)]
    fn get(&self) -> &T {
        // SAFETY: it is never written from here; what the daemon writes are plain numbers, each of the one or the other writing.
        unsafe { &*self.0.get() }
    }
}

// With their names in the object: of what only it knew, the compiler would say that nobody writes it.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.settings")]
static SETTINGS: Written<Settings> = Written::zeroed();

#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.ports")]
static PORTS: Written<PortTable> = Written::zeroed();

/// The settings as they stand; `Idle` and silent until the daemon has written them.
#[inline(always)]
pub fn settings() -> &'static Settings {
    SETTINGS.get()
}

/// The maps as the policy sees them.
pub struct Maps;

impl Tables for Maps {
    #[inline(always)]
    fn tunnels(&self) -> Tunnels {
        SETTINGS.get().tunnels
    }

    #[inline(always)]
    fn port(&self, port: u16) -> PortFlags {
        PORTS.get().flags(port)
    }

    #[inline(always)]
    fn either(&self, source: u16, destination: u16) -> PortFlags {
        let table = PORTS.get();
        table.flags(source).with(table.flags(destination))
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
