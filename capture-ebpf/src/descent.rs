//! The descent through tunnels and extension headers as a loop of the kernel's.
//!
//! Where the descent stands is kept in a map between two steps: of what it reads there the verifier knows nothing, so it
//! follows one step, once, and not each step from wherever the one before may have led.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_loop;
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use capture_common::{Bytes, Descent, descent};

use crate::tables::Maps;

/// The descent of the frame at hand.
#[map]
static DESCENT: PerCpuArray<Descent> = PerCpuArray::with_max_entries(1, 0);

/// Takes the steps.
#[inline(always)]
pub fn descend<B: Bytes>(frame: &B, descent: &mut Descent) {
    // The verifier cannot know that the map has an entry.
    let Some(place) = DESCENT.get_ptr_mut(0) else { return };
    // SAFETY: the entry is this CPU's own, and the programs, which run with softirqs off, do not interrupt each other on one CPU.
    unsafe { *place = *descent };
    let body: unsafe extern "C" fn(u32, *mut c_void) -> i64 = step::<B>;
    // SAFETY: the callback takes what the kernel gives it, the loop's index and this pointer, and the frame outlives the
    // loop.
    unsafe {
        bpf_loop(
            descent::MAX_STEPS,
            body as *mut c_void,
            core::ptr::from_ref(frame).cast_mut().cast(),
            0,
        )
    };
    // SAFETY: as above.
    *descent = unsafe { *place };
}

/// One step; 1 ends the loop.
unsafe extern "C" fn step<B: Bytes>(_: u32, frame: *mut c_void) -> i64 {
    let Some(descent) = DESCENT.get_ptr_mut(0) else {
        return 1;
    };
    // SAFETY: the loop was given a `B`, which nobody changes.
    let frame = unsafe { &*frame.cast::<B>() };
    // SAFETY: the entry is this CPU's own, and the loop's caller does not touch it meanwhile.
    let descent = unsafe { &mut *descent };
    i64::from(descent::step(frame, descent, &Maps))
}
