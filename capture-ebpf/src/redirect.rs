//! The way of a captured frame: stamped, then to the socket of its queue.

use core::arch::asm;

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_xdp_adjust_meta};
use aya_ebpf::macros::map;
use aya_ebpf::maps::XskMap;
use aya_ebpf::programs::XdpContext;
use capture_common::{Stamp, Verdict};

use crate::media;

/// The AF_XDP socket of each rx queue. The daemon gives the map its size: the interface's number of queues.
#[map]
static SOCKETS: XskMap = XskMap::with_max_entries(1, 0);

/// Sends the frame, which had `wire_len` bytes on the wire and is to keep `cut_to` of them (0 for all), to its queue's socket; says
/// what became of it, and the action. The kernel looks the socket up at once (__bpf_xdp_redirect_map,
/// include/linux/filter.h), so a missing one is known here.
///
/// Where the driver leaves no room for the stamp, the frame goes without, which the socket's reader counts; and whole, as
/// only the stamp tells how long it was.
#[inline(always)]
pub fn to_socket(ctx: &XdpContext, verdict: Verdict, cut_to: u32, wire_len: u32) -> (Verdict, u32) {
    let verdict = if cut_to == 0 {
        if make_room(ctx, Stamp::SIZE) {
            write(ctx, verdict, None);
        }
        verdict
    } else if make_room(ctx, Stamp::SIZE_CUT) {
        let verdict = if media::cut(ctx, cut_to, wire_len) {
            verdict
        } else {
            Verdict::Media
        };
        write(ctx, verdict, Some(wire_len));
        verdict
    } else {
        Verdict::Media
    };
    match SOCKETS.redirect(ctx.rx_queue_index(), xdp_action::XDP_DROP.into()) {
        Ok(action) => (verdict, action),
        Err(action) => (Verdict::NoSocket, action),
    }
}

/// Makes room for `bytes` in front of the frame; whether the driver has it.
#[inline(always)]
fn make_room(ctx: &XdpContext, bytes: usize) -> bool {
    // SAFETY: the context is the one the kernel called the program with.
    unsafe { bpf_xdp_adjust_meta(ctx.ctx, -(bytes as i32)) == 0 }
}

/// Writes the stamp into the room made for it, and the length on the wire in front of it where there is one to be told.
#[inline(always)]
fn write(ctx: &XdpContext, verdict: Verdict, wire_len: Option<u32>) {
    let stamp = Stamp {
        // SAFETY: the helper takes nothing and reads a clock.
        arrival: unsafe { bpf_ktime_get_ns() },
        verdict,
    };
    let length_bytes = if wire_len.is_some() {
        Stamp::SIZE_CUT - Stamp::SIZE
    } else {
        0
    };
    let start = ctx.metadata();
    if start.wrapping_add(length_bytes + Stamp::SIZE) > ctx.metadata_end() {
        return;
    }
    // A store for each, though drivers align frames to 2 bytes only: the compiler would write them byte by byte.
    if let Some(wire_len) = wire_len {
        // SAFETY: the bytes from data_meta to data belong to the program, and there are as many, as the verifier checks too.
        unsafe {
            asm!(
                "*(u32 *)({start} + 0) = {length}",
                start = in(reg) start,
                length = in(reg) wire_len,
                options(nostack, preserves_flags)
            );
        }
    }
    // SAFETY: the same.
    unsafe {
        asm!(
            "*(u64 *)({place} + 0) = {word}",
            place = in(reg) start.wrapping_add(length_bytes),
            word = in(reg) stamp.word(),
            options(nostack, preserves_flags)
        );
    }
}
