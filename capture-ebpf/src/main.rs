//! The XDP program `siphon` of mirror mode: classify, stamp, count, decide; and those of host mode, in `host`. The policy itself
//! is `capture_common::classify`.

#![no_std]
#![no_main]
// Loads from packets are written down as the kernel executes them.
#![feature(asm_experimental_arch)]

mod buffer;
mod counters;
mod descent;
mod fragments;
mod frame;
mod host;
mod log;
mod measure;
mod media;
mod redirect;
mod ring;
mod tables;

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use capture_common::{Decision, Fate, Mode};

use buffer::Buffer;

/// The whole way of a frame through the program. Every frame of an armed program is counted as it comes, and by its verdict.
#[xdp(frags)]
pub fn siphon(ctx: XdpContext) -> u32 {
    let settings = tables::settings();
    if settings.mode != Mode::Mirror as u32 {
        return xdp_action::XDP_PASS;
    }
    let Some(seen) = counters::see() else {
        return xdp_action::XDP_PASS;
    };
    let wire_len = ctx.length();
    let Decision { verdict, cut_to } = frame::classify(&ctx, wire_len, &settings.media);
    let (verdict, action) = if matches!(verdict.fate(), Fate::Captured) {
        redirect::to_socket(&ctx, verdict, cut_to, wire_len)
    } else {
        (verdict, xdp_action::XDP_DROP)
    };
    seen.count(verdict, wire_len);
    if settings.log != 0 {
        log::verdict(&ctx, verdict, ctx.rx_queue_index(), wire_len);
    }
    action
}

/// Nothing here panics; the compiler wants to know what would happen.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// What the kernel is told of the licence; no helper in use asks for the GPL.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 15] = *b"MIT/Apache-2.0\0";
