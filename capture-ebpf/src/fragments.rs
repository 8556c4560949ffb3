//! The decisions on first fragments, which later fragments follow. Least recently used entries make room for new ones;
//! a later fragment whose entry is gone is captured as unknown, so eviction never loses a frame.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::LruHashMap;
use capture_common::FragmentKey;

/// How long a decision is believed, in nanoseconds. The fragments of a datagram follow each other within milliseconds,
/// while IPv4's 16-bit identification comes round again in seconds: an older decision is about another datagram.
const LIFE_NS: u64 = 3_000_000_000;

/// A decision on a first fragment.
#[repr(C)]
#[derive(Clone, Copy)]
struct Decision {
    /// When it was made, CLOCK_MONOTONIC.
    at: u64,
    /// Not 0: the datagram is wanted.
    wanted: u64,
}

#[map]
static FRAGMENTS: LruHashMap<FragmentKey, Decision> = LruHashMap::with_max_entries(16_384, 0);

/// Keeps a decision. Where the map has no room for the moment, later fragments are captured as unknown.
#[inline(always)]
pub fn remember(key: &FragmentKey, wanted: bool) {
    let decision = Decision {
        at: now(),
        wanted: u64::from(wanted),
    };
    let _ = FRAGMENTS.insert(key, decision, 0);
}

/// The decision, if there is one that is still believed.
#[inline(always)]
pub fn recall(key: &FragmentKey) -> Option<bool> {
    // SAFETY: the entry may be given to another datagram while it is read; both its words are plain numbers, and the
    // worst outcome is the other datagram's decision.
    let decision = unsafe { FRAGMENTS.get(key) }?;
    (now().wrapping_sub(decision.at) < LIFE_NS).then_some(decision.wanted != 0)
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: the helper takes nothing and reads a clock.
    unsafe { bpf_ktime_get_ns() }
}
