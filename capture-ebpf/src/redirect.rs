//! The way of a captured frame: stamped, then to the socket of its queue.

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_xdp_adjust_meta};
use aya_ebpf::macros::map;
use aya_ebpf::maps::XskMap;
use aya_ebpf::programs::XdpContext;
use capture_common::{FrameMeta, Verdict};

use crate::media;

/// The AF_XDP socket of each rx queue. The daemon gives the map its size: the interface's number of queues.
#[map]
static SOCKETS: XskMap = XskMap::with_max_entries(1, 0);

/// Sends the frame, which had `wire_len` bytes on the wire and is to keep `cut_to` of them (0 for all), to its queue's socket; says
/// what became of it, and the action. The kernel looks the socket up at once (__bpf_xdp_redirect_map,
/// include/linux/filter.h), so a missing one is known here.
///
/// Where the driver leaves no room for the metadata, the frame goes without, which the socket's reader counts; and whole, as
/// only the metadata tells how long it was.
#[inline(always)]
pub fn to_socket(ctx: &XdpContext, verdict: Verdict, cut_to: u32, wire_len: u32) -> (Verdict, u32) {
    // SAFETY: the context is the one the kernel called the program with.
    let has_room = unsafe { bpf_xdp_adjust_meta(ctx.ctx, -(FrameMeta::SIZE as i32)) } == 0;
    let verdict = if cut_to == 0 || has_room && media::cut(ctx, cut_to, wire_len) {
        verdict
    } else {
        Verdict::Media
    };
    if has_room {
        stamp(ctx, verdict, wire_len);
    }
    match SOCKETS.redirect(ctx.rx_queue_index(), xdp_action::XDP_DROP.into()) {
        Ok(action) => (verdict, action),
        Err(action) => (Verdict::NoSocket, action),
    }
}

/// Writes the metadata in front of the frame.
#[inline(always)]
fn stamp(ctx: &XdpContext, verdict: Verdict, wire_len: u32) {
    let start = ctx.metadata();
    if start.wrapping_add(FrameMeta::SIZE) > ctx.metadata_end() {
        return;
    }
    let meta = FrameMeta {
        magic: FrameMeta::MAGIC,
        verdict: verdict as u32,
        // SAFETY: the helper takes nothing and reads a clock.
        arrival: unsafe { bpf_ktime_get_ns() },
        wire_len,
        pad: 0,
    };
    // SAFETY: the bytes from data_meta to data belong to the program, as the verifier checks too; the metadata ends where
    // the frame begins, which drivers align to 2 bytes only.
    unsafe { (start as *mut FrameMeta).write_unaligned(meta) };
}
