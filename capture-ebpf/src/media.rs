//! The decision on datagrams from and to media ports: the maps it looks up, and the cut. The policy itself is
//! `capture_common::media`.

use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_xdp_adjust_tail};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{HashMap, LruHashMap};
use aya_ebpf::programs::XdpContext;
use capture_common::media::{self, EARLY_LIFE_NS};
use capture_common::{EndpointEntry, EndpointKey, MediaSettings, MediaTables, Verdict};

use crate::buffer::Buffer;
use crate::frame;
use crate::tables::Maps;

/// The endpoints of calls; the daemon writes them, and gives the map its size. Memory goes to those that are there.
#[map]
static ENDPOINTS: HashMap<EndpointKey, EndpointEntry> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);

/// What came to an endpoint that no call has named so far.
#[repr(C)]
#[derive(Clone, Copy)]
struct Early {
    /// When the latest packet came, CLOCK_MONOTONIC.
    at: u64,
    /// How many have crossed.
    packets: u64,
}

/// The least recently used make room for new ones; the daemon gives the map its size where it is used.
#[map]
static EARLY: LruHashMap<EndpointKey, Early> = LruHashMap::with_max_entries(1, 0);

impl MediaTables for Maps {
    #[inline(always)]
    fn endpoint(&self, key: &EndpointKey) -> Option<&EndpointEntry> {
        // SAFETY: memory of an entry that is deleted meanwhile is not given to another before this program has ended
        // (RCU); where the daemon writes it anew, the values are plain numbers, each of the one or the other writing.
        unsafe { ENDPOINTS.get(key) }
    }

    #[inline(always)]
    fn is_early(&self, key: &EndpointKey, packets: u32) -> bool {
        // SAFETY: the helper takes nothing and reads a clock.
        let now = unsafe { bpf_ktime_get_ns() };
        let Some(known) = EARLY.get_ptr_mut(key) else {
            if packets == 0 {
                return false;
            }
            // Where there is no room for the moment, the packet crosses and is not remembered.
            let _ = EARLY.insert(key, Early { at: now, packets: 1 }, 0);
            return true;
        };
        // SAFETY: two CPUs may count at once, or the entry be given to another endpoint meanwhile: then a few packets more
        // or fewer cross than the bound says.
        let known = unsafe { &mut *known };
        let is_quiet = now.wrapping_sub(known.at) >= EARLY_LIFE_NS;
        known.at = now;
        if is_quiet {
            known.packets = 0;
        }
        if known.packets >= packets.into() {
            return false;
        }
        known.packets = known.packets.wrapping_add(1);
        true
    }
}

/// Decides on the frame whose ports were found to be media's: the number of the verdict, and above 32 bits of it how many bytes
/// are kept.
#[inline(never)]
pub fn decide<F: Buffer>(ctx: &F, is_first: bool, settings: &MediaSettings) -> u64 {
    let Some(place) = frame::place() else {
        return Verdict::Media as u64;
    };
    let decision = match frame::linear(ctx) {
        Some(frame) => media::decide(&frame, &place, is_first, settings, &Maps),
        None => match frame::whole(ctx) {
            Some(frame) => media::decide(&frame, &place, is_first, settings, &Maps),
            None => return Verdict::Media as u64,
        },
    };
    u64::from(decision.cut_to) << 32 | decision.verdict as u64
}

/// Cuts the frame, which has `wire_len` bytes, to its first `cut_to`; whether it could be done.
#[inline(always)]
pub fn cut(ctx: &XdpContext, cut_to: u32, wire_len: u32) -> bool {
    let by = cut_to.wrapping_sub(wire_len) as i32;
    // SAFETY: the context is the one the kernel called the program with; the helper refuses what is beyond the frame.
    by < 0 && unsafe { bpf_xdp_adjust_tail(ctx.ctx, by) } == 0
}
