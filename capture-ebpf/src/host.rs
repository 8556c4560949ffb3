//! The programs of host mode: what comes in on the host's interface and what goes out of it is looked at and, where it is
//! wanted, copied. Nothing is taken, changed or held up: XDP says PASS and tcx NEXT, whatever happens here.

use aya_ebpf::bindings::{tcx_action_base, xdp_action};
use aya_ebpf::helpers::bpf_xdp_load_bytes;
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use capture_common::{Direction, Fate, Mode, Record};

use crate::ring::{self, Copied};
use crate::{counters, frame, skb, tables};

/// What comes in, in the driver.
#[xdp(frags)]
pub fn siphon_in_xdp(ctx: XdpContext) -> u32 {
    if armed() {
        let mut verdict = frame::classify(&ctx);
        if matches!(verdict.fate(), Fate::Captured) {
            verdict = ring::copy(&ctx, record(&ctx, Direction::In, (0, 0)), verdict);
        }
        counters::count(&ctx, verdict);
    }
    xdp_action::XDP_PASS
}

/// What comes in, behind the driver and GRO.
#[classifier]
pub fn siphon_in(ctx: TcContext) -> i32 {
    see(&ctx, Direction::In);
    tcx_action_base::TCX_NEXT
}

/// What goes out, in front of the queueing discipline, of segmentation and of the last checksum.
#[classifier]
pub fn siphon_out(ctx: TcContext) -> i32 {
    see(&ctx, Direction::Out);
    tcx_action_base::TCX_NEXT
}

#[inline(always)]
fn see(ctx: &TcContext, direction: Direction) {
    if !armed() {
        return;
    }
    let mut verdict = skb::classify(ctx);
    if matches!(verdict.fate(), Fate::Captured) {
        verdict = ring::copy(ctx, record(ctx, direction, skb::segments(ctx)), verdict);
    }
    counters::add(verdict, ctx.length().into());
}

#[inline(always)]
fn armed() -> bool {
    tables::settings().mode == Mode::Host as u32
}

/// What is known of a frame before it is copied.
#[inline(always)]
fn record<F: Copied>(frame: &F, direction: Direction, (segment, segments): (u16, u16)) -> Record {
    let tag = if frame.tag().is_some() { 4 } else { 0 };
    let wire_len = frame.length().wrapping_add(tag);
    Record {
        wire_len,
        captured: wire_len.min(Record::SNAP),
        segment,
        segments,
        direction: direction as u32,
        ..Record::default()
    }
}

impl Copied for XdpContext {
    #[inline(always)]
    fn length(&self) -> u32 {
        frame::length(self) as u32
    }

    #[inline(always)]
    unsafe fn copy(&self, at: u32, to: *mut u8, len: u32) -> bool {
        // SAFETY: `to` has room, as the caller says; the helper refuses what is beyond the frame.
        unsafe { bpf_xdp_load_bytes(self.ctx, at, to.cast(), len) == 0 }
    }

    #[inline(always)]
    fn tag(&self) -> Option<[u8; 4]> {
        None
    }
}
