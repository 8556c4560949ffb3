//! The frame's bytes: read where they lie in the linear part, header by header copied where a driver put them into
//! several buffers (multi-buffer XDP, or an skb's pages).

use core::arch::asm;

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use capture_common::headers::Datagram;
use capture_common::{Bytes, Decision, Descent, Fate, Finding, Media, MediaSettings, Ordinary, Place, Tables, Verdict};

use crate::buffer::Buffer;
use crate::descent::descend;
use crate::tables::Maps;
use crate::{measure, media};

/// Decides on the frame, which has `length` bytes. It nearly always is ordinary and lies in the linear part.
#[inline(always)]
pub fn classify<F: Buffer>(ctx: &F, length: u32, settings: &MediaSettings) -> Decision {
    match at_a_glance(ctx, length, settings) {
        Some(decision) => decision,
        None => by_the_walk(ctx, length, settings),
    }
}

/// Decides on an ordinary frame, whose headers are read once and stay in registers.
#[inline(always)]
fn at_a_glance<F: Buffer>(ctx: &F, length: u32, settings: &MediaSettings) -> Option<Decision> {
    let ordinary = Ordinary::read(&Linear(ctx))?;
    let verdict = ordinary.verdict(&Maps)?;
    if !matches!(verdict, Verdict::Media) || settings.take_all() {
        return Some(Decision { verdict, cut_to: 0 });
    }
    // What stands for several packets cannot be measured as one, and where there are several buffers, only the walk sees all.
    if ctx.segments().0 != 0 || !is_linear(ctx, length) {
        return None;
    }
    let payload = ordinary.payload(&Linear(ctx))?;
    if settings.is(Media::Measured) && payload.is_rtp() {
        let measured = match payload.voice(&ordinary) {
            Some(voice) => measure::step(voice),
            None => {
                note_place(ordinary.place());
                measure::measure(ctx)
            }
        };
        if let Some(verdict) = measured {
            return Some(Decision { verdict, cut_to: 0 });
        }
    }
    Some(match payload.decide(settings) {
        Some(decision) => decision,
        None => {
            note_place(ordinary.place());
            decision(media::decide(ctx, false, settings))
        }
    })
}

/// What [`media::decide`] says.
#[inline(always)]
fn decision(decided: u64) -> Decision {
    Decision {
        verdict: verdict(decided as u32),
        cut_to: (decided >> 32) as u32,
    }
}

/// Decides on a frame by what the walk finds, done again over all of the frame where the headers do not lie in the linear part.
#[inline(always)]
fn by_the_walk<F: Buffer>(ctx: &F, length: u32, settings: &MediaSettings) -> Decision {
    let mut found = match capture_common::glance(&Linear(ctx), &Maps) {
        Some((verdict, place)) => {
            if matches!(verdict, Verdict::Media) {
                note_place(place);
            }
            verdict as u32
        }
        None => {
            let found = find_linear(ctx);
            // What was not found wanted may be so by what lies behind.
            if matches!(verdict(found).fate(), Fate::Captured) || is_linear(ctx, length) {
                found
            } else {
                find_whole(ctx)
            }
        }
    };
    let is_fragment = found & FRAGMENT != 0;
    let mut cut_to = 0;
    // What stands for several packets cannot be measured as one.
    let is_measurable = ctx.segments().0 == 0 || !settings.is(Media::Measured);
    if matches!(verdict(found), Verdict::Media) && !settings.take_all() && is_measurable {
        let measured = if settings.is(Media::Measured) {
            measure::measure(ctx)
        } else {
            None
        };
        let decided = match measured {
            Some(verdict) => verdict as u64,
            None => media::decide(ctx, is_fragment, settings),
        };
        cut_to = (decided >> 32) as u32;
        found = decided as u32 | found & FRAGMENT;
    }
    if is_fragment {
        found = settle(ctx, found);
    }
    Decision {
        verdict: verdict(found),
        cut_to,
    }
}

/// Where the datagram stands whose ports were found.
#[inline(always)]
pub fn place() -> Option<Place> {
    let found = FINDING.get_ptr(0)?;
    // SAFETY: the entry is this CPU's own, and the programs, which run with softirqs off, do not interrupt each other on one CPU.
    Some(unsafe { (*found).place })
}

/// What was found of the frame at hand, without the verdict. In a map and not in registers, so that the verifier knows
/// nothing of the figures and follows what comes behind once, and not for each way that leads there.
#[map]
static FINDING: PerCpuArray<Found> = PerCpuArray::with_max_entries(1, 0);

/// The part of a [`Finding`] that stands in the map.
#[repr(C)]
#[derive(Clone, Copy)]
struct Found {
    place: Place,
    first_of: Datagram,
    outer_first_of: Datagram,
    later_of: Datagram,
}

/// Set beside the number of the verdict where the frame is a fragment.
const FRAGMENT: u32 = 0x100;

/// The verdict in what these functions hand on.
#[inline(always)]
fn verdict(found: u32) -> Verdict {
    // SAFETY: without the flag it is the number of a verdict, as every function below made it of one.
    unsafe { core::mem::transmute::<u32, Verdict>(found & !FRAGMENT) }
}

// Functions of their own: a chain of calls shares 512 bytes of stack, and these are never in one chain.
#[inline(never)]
fn find_linear<F: Buffer>(ctx: &F) -> u32 {
    note(capture_common::find(&Linear(ctx), &Maps))
}

#[inline(never)]
fn find_whole<F: Buffer>(ctx: &F) -> u32 {
    match whole(ctx) {
        Some(frame) => note(capture_common::find(&frame, &Maps)),
        // The verifier cannot know that the map has an entry.
        None => Verdict::LinkMalformed as u32,
    }
}

/// Keeps where the datagram stands.
#[inline(always)]
fn note_place(place: Place) {
    if let Some(found) = FINDING.get_ptr_mut(0) {
        // SAFETY: the entry is this CPU's own, and the programs, which run with softirqs off, do not interrupt each other on one CPU.
        unsafe { (*found).place = place };
    }
}

/// Keeps what was found where the next step looks for it.
#[inline(always)]
fn note(finding: Finding) -> u32 {
    let number = finding.verdict as u32;
    let is_fragment = finding.is_fragment();
    if !is_fragment && !matches!(finding.verdict, Verdict::Media) {
        return number;
    }
    let Some(found) = FINDING.get_ptr_mut(0) else {
        return number;
    };
    // SAFETY: the entry is this CPU's own, and the programs, which run with softirqs off, do not interrupt each other on one CPU.
    let found = unsafe { &mut *found };
    found.place = finding.place;
    if !is_fragment {
        return number;
    }
    found.first_of = finding.first_of;
    found.outer_first_of = finding.outer_first_of;
    found.later_of = finding.later_of;
    number | FRAGMENT
}

/// Decides on a fragment as on its datagram.
#[inline(never)]
fn settle<F: Buffer>(ctx: &F, found: u32) -> u32 {
    let (Some(noted), Some(frame)) = (FINDING.get_ptr(0), whole(ctx)) else {
        return found;
    };
    // SAFETY: the entry is this CPU's own, and nobody writes to it meanwhile.
    let noted = unsafe { &*noted };
    let finding = Finding {
        verdict: verdict(found),
        place: noted.place,
        first_of: noted.first_of,
        outer_first_of: noted.outer_first_of,
        later_of: noted.later_of,
    };
    capture_common::settle(&frame, &finding, finding.verdict, &Maps) as u32
}

/// Whether the frame, which has `length` bytes, lies in one buffer.
#[inline(always)]
fn is_linear<F: Buffer>(ctx: &F, length: u32) -> bool {
    ctx.end().wrapping_sub(ctx.start()) as u32 == length
}

/// The frame's bytes where they lie, if it has but one buffer.
#[inline(always)]
pub fn linear<F: Buffer>(ctx: &F) -> Option<Linear<'_, F>> {
    is_linear(ctx, ctx.length()).then_some(Linear(ctx))
}

/// The frame's bytes, whichever buffers they lie in.
#[inline(always)]
pub fn whole<F: Buffer>(ctx: &F) -> Option<Whole<'_, F>> {
    Some(Whole {
        ctx,
        room: COPY.get_ptr_mut(0)?,
    })
}

/// Words of a packet, loaded each by one instruction: what begins at an odd place the compiler would load byte by byte.
macro_rules! words {
    ($start:ident, $($at:literal),+) => {
        [$({
            let word: u32;
            // SAFETY: the bytes are before data_end, as the caller has asked and the verifier checks too, and it lets programs load
            // from packets at any alignment where the machine does (NET_IP_ALIGN, is_strict; check_pkt_ptr_alignment).
            unsafe {
                asm!(
                    concat!("{word} = *(u32 *)({start} + ", $at, ")"),
                    start = in(reg) $start,
                    word = lateout(reg) word,
                    options(pure, readonly, nostack, preserves_flags)
                )
            };
            u32::from_be(word)
        }),+]
    };
}

/// The linear part of a frame.
pub struct Linear<'a, F>(&'a F);

impl<F: Buffer> Linear<'_, F> {
    /// Where `N` bytes from `at` on begin in memory, if they are there.
    #[inline(always)]
    fn start_of<const N: usize>(&self, at: u32) -> Option<usize> {
        let start = self.0.start().wrapping_add(at as usize);
        (start.wrapping_add(N) <= self.0.end()).then_some(start)
    }
}

impl<F: Buffer> Bytes for Linear<'_, F> {
    #[inline(always)]
    fn load<const N: usize>(&self, at: u32) -> Option<[u8; N]> {
        const { assert!(N >= 2) };
        let start = self.start_of::<N>(at)?;
        // SAFETY: the bytes end before data_end, as the verifier checks too, and bytes have no alignment.
        Some(unsafe { *(start as *const [u8; N]) })
    }

    #[inline(always)]
    fn half(&self, at: u32) -> Option<u16> {
        let start = self.start_of::<2>(at)?;
        let half: u16;
        // SAFETY: as for `words!`.
        unsafe {
            asm!(
                "{half} = *(u16 *)({start} + 0)",
                start = in(reg) start,
                half = lateout(reg) half,
                options(pure, readonly, nostack, preserves_flags)
            )
        };
        Some(u16::from_be(half))
    }

    #[inline(always)]
    fn six_words(&self, at: u32) -> Option<[u32; 6]> {
        let start = self.start_of::<24>(at)?;
        Some(words!(start, "0", "4", "8", "12", "16", "20"))
    }

    #[inline(always)]
    fn four_words(&self, at: u32) -> Option<[u32; 4]> {
        let start = self.start_of::<16>(at)?;
        Some(words!(start, "0", "4", "8", "12"))
    }

    #[inline(always)]
    fn descend<T: Tables>(&self, descent: &mut Descent, _: &T) {
        descend(self, descent);
    }
}

/// A frame with all its buffers.
pub struct Whole<'a, F> {
    ctx: &'a F,
    room: *mut [u8; ROOM],
}

/// Bytes of the longest header that is asked for at once: IPv6's.
const ROOM: usize = 40;

/// Where headers are copied to; the stack is short.
#[map]
static COPY: PerCpuArray<[u8; ROOM]> = PerCpuArray::with_max_entries(1, 0);

impl<F: Buffer> Bytes for Whole<'_, F> {
    #[inline(always)]
    fn load<const N: usize>(&self, at: u32) -> Option<[u8; N]> {
        const { assert!(N <= ROOM) };
        // SAFETY: the room holds N bytes, as just asserted.
        let done = unsafe { self.ctx.copy(at, self.room.cast(), N as u32) };
        if !done {
            return None;
        }
        // SAFETY: the entry is this CPU's own, the programs, which run with softirqs off, do not interrupt each other on one CPU, and bytes have no alignment.
        Some(unsafe { *self.room.cast::<[u8; N]>() })
    }

    #[inline(always)]
    fn descend<T: Tables>(&self, descent: &mut Descent, _: &T) {
        descend(self, descent);
    }
}
