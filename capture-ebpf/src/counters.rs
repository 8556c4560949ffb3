//! One counter per verdict and CPU; the daemon adds the CPUs up.

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use capture_common::{Verdict, VerdictCount};

#[map]
static VERDICTS: PerCpuArray<VerdictCount> = PerCpuArray::with_max_entries(Verdict::COUNT as u32, 0);

/// Adds the frame, which had `wire_len` bytes on the wire, to its verdict's counter.
#[inline(always)]
pub fn count(verdict: Verdict, wire_len: u32) {
    let Some(count) = VERDICTS.get_ptr_mut(verdict as u32) else {
        // The verifier cannot know that every verdict has an entry.
        return;
    };
    // SAFETY: the entry is this CPU's own, and the programs, which run with softirqs off, do not interrupt each other on
    // one CPU.
    let count = unsafe { &mut *count };
    count.frames = count.frames.wrapping_add(1);
    count.bytes = count.bytes.wrapping_add(wire_len.into());
}
