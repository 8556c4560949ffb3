//! The bench's programs: `generate` makes frames where BPF_PROG_TEST_RUN runs it with live frames; `receive` is the least that
//! an AF_XDP receiver can do in the kernel, `discard` the least that anything can; `vary` and `pass` stand around and beside
//! siphon's program where its time is taken.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

use core::arch::asm;
use core::ffi::c_void;

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_PASS};
use aya_ebpf::helpers::{
    bpf_ktime_get_ns, bpf_loop, bpf_redirect, bpf_xdp_adjust_meta, bpf_xdp_adjust_tail, bpf_xdp_get_buff_len,
};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, PerCpuArray, ProgramArray, XskMap};
use aya_ebpf::programs::XdpContext;
use capture_common::load::{Fields, Load, Made, offset};

/// What to send; the bench writes it.
#[map]
static LOAD: Array<Load> = Array::with_max_entries(1, 0);

/// What has been sent, on the CPU the bench runs the program on.
#[map]
static MADE: PerCpuArray<Made> = PerCpuArray::with_max_entries(1, 0);

/// The bare receiver's socket on each rx queue.
#[map]
static SOCKETS: XskMap = XskMap::with_max_entries(64, 0);

/// Frames `receive` has seen.
#[map]
static SEEN: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Frames among them that went to a socket.
#[map]
static REDIRECTED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// The program that `vary` goes on with.
#[map]
static TESTED: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// Looks at the clock while waiting for a frame's time, some 20 ns each: a gap of more than some 100 ms is cut short.
const LOOKS: u32 = 4_000_000;

/// Makes the next frame out of the template it is given, at the time it is due, and sends it off. Paced in here, as a call of
/// BPF_PROG_TEST_RUN takes milliseconds to set up.
#[xdp]
pub fn generate(ctx: XdpContext) -> u32 {
    next_frame(&ctx).unwrap_or(XDP_ABORTED)
}

#[inline(always)]
fn next_frame(ctx: &XdpContext) -> Option<u32> {
    let load = LOAD.get(0)?;
    let made = MADE.get_ptr_mut(0)?;
    // SAFETY: the entry is this CPU's own, and only this program, run by one caller, writes it.
    let made = unsafe { &mut *made };
    if made.frames >= load.frames {
        return Some(XDP_DROP);
    }
    if made.frames == 0 {
        made.begun = now();
    }
    let fields = made.next_fields(load);
    if load.period > 0 {
        wait(made.due);
    }
    write(ctx, fields)?;
    if made.frames == load.frames {
        made.ended = now();
    }
    // SAFETY: the helper takes two numbers and notes the interface for the kernel to look up.
    Some(unsafe { bpf_redirect(load.ifindex as u32, 0) } as u32)
}

/// Writes the frame's fields into the template, or whatever frame was made of the memory last.
#[inline(always)]
fn write(ctx: &XdpContext, fields: Fields) -> Option<()> {
    let start = ctx.data();
    if start + offset::END > ctx.data_end() {
        return None;
    }
    let ports = u32::from(fields.port) << 16 | u32::from(fields.port);
    let number = u32::from(fields.sequence);
    put(start, offset::ADDRESSES, u32::from_be_bytes(fields.source));
    put(start, offset::ADDRESSES + 4, u32::from_be_bytes(fields.destination));
    put(start, offset::PORTS, ports);
    // Version, marker and payload type are the template's: G.711.
    put(start, offset::SEQUENCE - 2, 0x8000_0000 | number);
    put(start, offset::SEQUENCE + 2, fields.timestamp);
    put(start, offset::SEQUENCE + 6, fields.ssrc);
    Some(())
}

/// Puts a word at `at` of the frame that begins at `start`; it ends before [`offset::END`]. By one instruction: the compiler would write
/// it byte by byte, and the program behind, which reads it whole, wait for all of them.
#[inline(always)]
fn put(start: usize, at: usize, word: u32) {
    // SAFETY: the caller has checked the frame to reach to END, as the verifier checks too, and it lets programs write to packets at any
    // alignment where the machine does.
    unsafe {
        asm!(
            "*(u32 *)({to} + 0) = {word}",
            to = in(reg) start + at,
            word = in(reg) u64::from(word.to_be()),
            options(nostack, preserves_flags)
        )
    };
}

/// Returns when the clock shows `due`.
#[inline(always)]
fn wait(due: u64) {
    let mut due = due;
    // SAFETY: the callback takes what is passed here, which lives until the helper returns.
    unsafe { bpf_loop(LOOKS, is_due as *mut c_void, (&raw mut due).cast(), 0) };
}

/// One look at the clock; 1 ends the loop. Not `no_mangle`: the verifier takes static functions only for callbacks.
unsafe extern "C" fn is_due(_look: u32, due: *mut c_void) -> i64 {
    // SAFETY: `wait` passes a pointer to a u64 that lives.
    let due = unsafe { *due.cast::<u64>() };
    i64::from(now() >= due)
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: the helper takes nothing and reads a clock.
    unsafe { bpf_ktime_get_ns() }
}

/// Sends every frame to the socket of its queue, and counts.
#[xdp(frags)]
pub fn receive(ctx: XdpContext) -> u32 {
    count(&SEEN);
    match SOCKETS.redirect(ctx.rx_queue_index(), XDP_DROP.into()) {
        Ok(action) => {
            count(&REDIRECTED);
            action
        }
        Err(action) => action,
    }
}

/// Throws every frame away, and counts.
#[xdp(frags)]
pub fn discard(_: XdpContext) -> u32 {
    count(&SEEN);
    XDP_DROP
}

/// The empty program.
#[xdp(frags)]
pub fn pass(_: XdpContext) -> u32 {
    XDP_PASS
}

/// Makes the frame that of the next stream, as long as it was and without metadata, and goes on with the program under
/// test: BPF_PROG_TEST_RUN gives a program the same frame again, as the program left it.
#[xdp(frags)]
pub fn vary(ctx: XdpContext) -> u32 {
    next_stream(&ctx).unwrap_or(XDP_ABORTED)
}

#[inline(always)]
fn next_stream(ctx: &XdpContext) -> Option<u32> {
    let load = LOAD.get(0)?;
    let made = MADE.get_ptr_mut(0)?;
    // SAFETY: the entry is this CPU's own, and only this program, run by one caller, writes it.
    let made = unsafe { &mut *made };
    let metadata = ctx.data().wrapping_sub(ctx.metadata()) as i32;
    // SAFETY: the context is the one the kernel called the program with.
    unsafe { bpf_xdp_adjust_meta(ctx.ctx, metadata) };
    // SAFETY: likewise.
    let cut = load.length.wrapping_sub(unsafe { bpf_xdp_get_buff_len(ctx.ctx) }) as i32;
    // SAFETY: likewise.
    unsafe { bpf_xdp_adjust_tail(ctx.ctx, cut) };
    write(ctx, Fields::of(made.frames, load.streams))?;
    made.frames += 1;
    // SAFETY: the map holds programs of this type only, and nothing of this function is used after the jump.
    unsafe { TESTED.tail_call(ctx, 0) };
    None
}

#[inline(always)]
fn count(counter: &PerCpuArray<u64>) {
    if let Some(count) = counter.get_ptr_mut(0) {
        // SAFETY: the entry is this CPU's own, and XDP programs do not interrupt each other on one CPU.
        unsafe { *count += 1 };
    }
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
