//! What is counted of every frame, by CPU, which the daemon adds up: that it came, and what its verdict was.

use core::arch::asm;

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use capture_common::{Counters, Verdict, VerdictCount};

#[map]
static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(1, 0);

/// A frame that was counted when it came, and is to be counted by its verdict.
#[derive(Clone, Copy)]
pub struct Seen(*mut Counters);

/// Counts a frame that came. The verifier cannot know that the map has an entry.
#[inline(always)]
pub fn see() -> Option<Seen> {
    let counters = COUNTERS.get_ptr_mut(0)?;
    // SAFETY: the entry is this CPU's own, and the programs, which run with softirqs off, do not interrupt each other on
    // one CPU.
    let seen = unsafe { &mut (*counters).seen };
    *seen = seen.wrapping_add(1);
    Some(Seen(counters))
}

impl Seen {
    /// Adds the frame, which had `wire_len` bytes on the wire, to its verdict's counter.
    #[inline(always)]
    pub fn count(self, verdict: Verdict, wire_len: u32) {
        let place: u64;
        // SAFETY: a number is computed. The compiler knows that a verdict's is none beyond the last and would leave the mask out, which the
        // verifier wants to see.
        unsafe {
            asm!(
                "{place} = {number}",
                "{place} &= {mask}",
                number = in(reg) verdict as u32,
                place = lateout(reg) place,
                mask = const Counters::PLACES - 1,
                options(pure, nomem, nostack, preserves_flags)
            )
        };
        // SAFETY: the entry is there, and nothing is read.
        let counts = unsafe { &raw mut (*self.0).verdicts };
        // SAFETY: inside the array, by the mask.
        let count = unsafe { counts.cast::<VerdictCount>().add(place as usize) };
        // SAFETY: as in `see`.
        let count = unsafe { &mut *count };
        count.frames = count.frames.wrapping_add(1);
        count.bytes = count.bytes.wrapping_add(wire_len.into());
    }
}
