//! The frame's bytes: read directly where they are linear, through a helper where a driver put them into fragments of
//! its buffer (multi-buffer XDP).

use core::mem::MaybeUninit;

use aya_ebpf::helpers::{bpf_xdp_get_buff_len, bpf_xdp_load_bytes};
use aya_ebpf::programs::XdpContext;
use capture_common::{Bytes, Fate, Verdict};

use crate::tables::Maps;

/// Decides on the frame. Headers nearly always lie in the linear part; only where that ended too early and the frame
/// goes on elsewhere is the walk done again over all of it.
#[inline(always)]
pub fn classify(ctx: &XdpContext) -> Verdict {
    let verdict = classify_linear(ctx);
    if matches!(verdict.fate(), Fate::Dropped) && length(ctx) > linear_length(ctx) {
        return classify_whole(ctx);
    }
    verdict
}

/// Bytes of the frame, all its buffers together.
#[inline(always)]
pub fn length(ctx: &XdpContext) -> u64 {
    // SAFETY: the context is the one the kernel called the program with.
    unsafe { bpf_xdp_get_buff_len(ctx.ctx) }
}

#[inline(always)]
fn linear_length(ctx: &XdpContext) -> u64 {
    ctx.data_end().wrapping_sub(ctx.data()) as u64
}

// Two functions of their own: a chain of calls shares 512 bytes of stack, and these two are never in one chain.
#[inline(never)]
fn classify_linear(ctx: &XdpContext) -> Verdict {
    capture_common::classify(&Linear(ctx), &Maps)
}

#[inline(never)]
fn classify_whole(ctx: &XdpContext) -> Verdict {
    capture_common::classify(&Whole(ctx), &Maps)
}

/// The linear part of a frame.
struct Linear<'a>(&'a XdpContext);

impl Bytes for Linear<'_> {
    #[inline(always)]
    fn load<const N: usize>(&self, at: u32) -> Option<[u8; N]> {
        let start = self.0.data().wrapping_add(at as usize);
        if start.wrapping_add(N) > self.0.data_end() {
            return None;
        }
        // SAFETY: the bytes end before data_end, as the verifier checks too, and bytes have no alignment.
        Some(unsafe { *(start as *const [u8; N]) })
    }
}

/// A frame with all its buffers.
struct Whole<'a>(&'a XdpContext);

impl Bytes for Whole<'_> {
    #[inline(always)]
    fn load<const N: usize>(&self, at: u32) -> Option<[u8; N]> {
        let mut bytes = MaybeUninit::<[u8; N]>::uninit();
        // SAFETY: the buffer has room for N bytes; the helper refuses what is beyond the frame.
        let result = unsafe { bpf_xdp_load_bytes(self.0.ctx, at, bytes.as_mut_ptr().cast(), N as u32) };
        if result != 0 {
            return None;
        }
        // SAFETY: the helper filled all N bytes.
        Some(unsafe { bytes.assume_init() })
    }
}
