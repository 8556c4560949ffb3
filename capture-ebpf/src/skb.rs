//! A frame as tcx programs see it: an skb, whose bytes may lie in many pages, whose VLAN tag may lie beside them, and which
//! may stand for several packets.

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::bpf_skb_load_bytes;
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::TcContext;
use capture_common::{Bytes, Descent, Fate, Tables, Verdict};

use crate::descent::descend;
use crate::ring::Copied;
use crate::tables::Maps;

/// Decides on the frame: as in `frame`, over the linear part first. Of what GRO put together that may be the headers
/// alone.
#[inline(always)]
pub fn classify(ctx: &TcContext) -> Verdict {
    let verdict = classify_linear(ctx);
    match verdict.fate() {
        Fate::Dropped => classify_whole(ctx),
        Fate::Captured | Fate::Filtered => verdict,
    }
}

/// Bytes of payload in each packet of a frame that stands for several, and how many those are; 0 where it is one.
#[inline(always)]
pub fn segments(ctx: &TcContext) -> (u16, u16) {
    let skb = raw(ctx);
    // SAFETY: the context is the one the kernel called the program with.
    let size = unsafe { (*skb).gso_size };
    // SAFETY: as above.
    let count = unsafe { (*skb).gso_segs };
    // Both are 16 bits in the kernel (struct skb_shared_info, include/linux/skbuff.h).
    (size as u16, count as u16)
}

#[inline(always)]
fn raw(ctx: &TcContext) -> *mut __sk_buff {
    ctx.skb.skb
}

#[inline(never)]
fn classify_linear(ctx: &TcContext) -> Verdict {
    capture_common::classify(&Linear(ctx), &Maps)
}

#[inline(never)]
fn classify_whole(ctx: &TcContext) -> Verdict {
    match COPY_SKB.get_ptr_mut(0) {
        Some(room) => capture_common::classify(&Whole { ctx, room }, &Maps),
        // The verifier cannot know that the map has an entry.
        None => Verdict::LinkMalformed,
    }
}

/// The linear part of an skb.
struct Linear<'a>(&'a TcContext);

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

/// All of an skb.
struct Whole<'a> {
    ctx: &'a TcContext,
    room: *mut [u8; ROOM],
}

/// Bytes of the longest header that is asked for at once: IPv6's.
const ROOM: usize = 40;

/// Where headers are copied to; the stack is short.
#[map]
static COPY_SKB: PerCpuArray<[u8; ROOM]> = PerCpuArray::with_max_entries(1, 0);

impl Bytes for Whole<'_> {
    #[inline(always)]
    fn load<const N: usize>(&self, at: u32) -> Option<[u8; N]> {
        const { assert!(N <= ROOM) };
        // SAFETY: the room holds N bytes, as just asserted; the helper refuses what is beyond the frame.
        let result = unsafe { bpf_skb_load_bytes(raw(self.ctx).cast(), at, self.room.cast(), N as u32) };
        if result != 0 {
            return None;
        }
        // SAFETY: the entry is this CPU's own, programs of tcx run with softirqs off and so one after the other on one CPU,
        // and bytes have no alignment.
        Some(unsafe { *self.room.cast::<[u8; N]>() })
    }

    #[inline(always)]
    fn descend<T: Tables>(&self, descent: &mut Descent, _: &T) {
        descend(self, descent);
    }
}

impl Copied for TcContext {
    #[inline(always)]
    fn length(&self) -> u32 {
        self.len()
    }

    #[inline(always)]
    unsafe fn copy(&self, at: u32, to: *mut u8, len: u32) -> bool {
        // SAFETY: `to` has room, as the caller says; the helper refuses what is beyond the frame.
        unsafe { bpf_skb_load_bytes(raw(self).cast(), at, to.cast(), len) == 0 }
    }

    #[inline(always)]
    fn tag(&self) -> Option<[u8; 4]> {
        let skb = raw(self);
        // SAFETY: the context is the one the kernel called the program with.
        if unsafe { (*skb).vlan_present } == 0 {
            return None;
        }
        // SAFETY: as above.
        let protocol = unsafe { (*skb).vlan_proto } as u16;
        // SAFETY: as above.
        let control = unsafe { (*skb).vlan_tci } as u16;
        // The protocol is in the order of the wire already (bpf_convert_ctx_access, net/core/filter.c).
        let [a, b] = protocol.to_ne_bytes();
        let [c, d] = control.to_be_bytes();
        Some([a, b, c, d])
    }
}
