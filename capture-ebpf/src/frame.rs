//! The frame's bytes: read where they lie in the linear part, header by header copied where a driver put them into
//! several buffers (multi-buffer XDP).

use aya_ebpf::helpers::{bpf_xdp_get_buff_len, bpf_xdp_load_bytes};
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::XdpContext;
use capture_common::{Bytes, Descent, Fate, Tables, Verdict};

use crate::descent::descend;
use crate::tables::Maps;

/// Decides on the frame. Headers nearly always lie in the linear part; only where the walk over it did not succeed, which
/// is rare, is it done again over all of the frame.
#[inline(always)]
pub fn classify(ctx: &XdpContext) -> Verdict {
    let verdict = classify_linear(ctx);
    match verdict.fate() {
        Fate::Dropped => classify_whole(ctx),
        Fate::Captured | Fate::Filtered => verdict,
    }
}

/// Bytes of the frame, all its buffers together.
#[inline(always)]
pub fn length(ctx: &XdpContext) -> u64 {
    // SAFETY: the context is the one the kernel called the program with.
    unsafe { bpf_xdp_get_buff_len(ctx.ctx) }
}

// Two functions of their own: a chain of calls shares 512 bytes of stack, and these two are never in one chain.
#[inline(never)]
fn classify_linear(ctx: &XdpContext) -> Verdict {
    capture_common::classify(&Linear(ctx), &Maps)
}

#[inline(never)]
fn classify_whole(ctx: &XdpContext) -> Verdict {
    match COPY.get_ptr_mut(0) {
        Some(room) => capture_common::classify(&Whole { ctx, room }, &Maps),
        // The verifier cannot know that the map has an entry.
        None => Verdict::LinkMalformed,
    }
}

/// The linear part of a frame.
struct Linear<'a>(&'a XdpContext);

impl Bytes for Linear<'_> {
    #[inline(always)]
    fn load<const N: usize>(&self, at: u32) -> Option<[u8; N]> {
        const { assert!(N >= 2) };
        let start = self.0.data().wrapping_add(at as usize);
        if start.wrapping_add(N) > self.0.data_end() {
            return None;
        }
        // SAFETY: the bytes end before data_end, as the verifier checks too, and bytes have no alignment.
        Some(unsafe { *(start as *const [u8; N]) })
    }

    #[inline(always)]
    fn descend<T: Tables>(&self, descent: &mut Descent, _: &T) {
        descend(self, descent);
    }
}

/// A frame with all its buffers.
struct Whole<'a> {
    ctx: &'a XdpContext,
    room: *mut [u8; ROOM],
}

/// Bytes of the longest header that is asked for at once: IPv6's.
const ROOM: usize = 40;

/// Where headers are copied to; the stack is short.
#[map]
static COPY: PerCpuArray<[u8; ROOM]> = PerCpuArray::with_max_entries(1, 0);

impl Bytes for Whole<'_> {
    #[inline(always)]
    fn load<const N: usize>(&self, at: u32) -> Option<[u8; N]> {
        const { assert!(N <= ROOM) };
        // SAFETY: the room holds N bytes, as just asserted; the helper refuses what is beyond the frame.
        let result = unsafe { bpf_xdp_load_bytes(self.ctx.ctx, at, self.room.cast(), N as u32) };
        if result != 0 {
            return None;
        }
        // SAFETY: the entry is this CPU's own, XDP programs do not interrupt each other on one CPU, and bytes have no alignment.
        Some(unsafe { *self.room.cast::<[u8; N]>() })
    }

    #[inline(always)]
    fn descend<T: Tables>(&self, descent: &mut Descent, _: &T) {
        descend(self, descent);
    }
}
