//! The programs of host mode: what comes in on the host's interface and what goes out of it is looked at and, where it is
//! wanted, copied. Nothing is taken, changed or held up: XDP says PASS and tcx NEXT, whatever happens here.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{tcx_action_base, xdp_action};
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use capture_common::{Decision, Direction, Fate, Mode, Record};

use crate::buffer::Buffer;
use crate::{counters, frame, log, ring, tables};

/// What comes in, in the driver.
#[xdp(frags)]
pub fn siphon_in_xdp(ctx: XdpContext) -> u32 {
    see(&ctx, Direction::In);
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

/// The whole way of a frame. Every frame that an armed program sees is counted as it comes, and by its verdict.
#[inline(always)]
fn see<F: Buffer + EbpfContext>(frame: &F, direction: Direction) {
    let settings = tables::settings();
    if settings.mode != Mode::Host as u32 {
        return;
    }
    let Some(seen) = counters::see() else { return };
    let length = frame.length();
    let Decision { mut verdict, cut_to } = frame::classify(frame, length, &settings.media);
    // The tag stands in front of all that is counted from the frame's beginning and kept.
    let tag = if frame.tag().is_some() { 4 } else { 0 };
    let wire_len = length.wrapping_add(tag);
    if matches!(verdict.fate(), Fate::Captured) {
        let (segment, segments) = frame.segments();
        let keep = if cut_to == 0 { 0 } else { cut_to.wrapping_add(tag) };
        // A frame of several packets crosses whole; the reader cuts each of them.
        let captured = if segment != 0 || keep == 0 {
            wire_len
        } else {
            keep.min(wire_len)
        };
        let record = Record {
            wire_len,
            captured: captured.min(Record::SNAP),
            keep,
            segment,
            segments,
            direction: direction as u32,
            ..Record::default()
        };
        verdict = ring::copy(frame, record, verdict, seen);
    } else {
        seen.count(verdict, wire_len);
    }
    if settings.log != 0 {
        log::verdict(frame, verdict, direction as u32, wire_len);
    }
}
