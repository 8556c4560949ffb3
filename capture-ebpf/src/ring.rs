//! The way of a captured frame in host mode: copied into the ring buffer, and nobody is woken.

use core::hint::black_box;

use aya_ebpf::bindings::BPF_RB_NO_WAKEUP;
use aya_ebpf::btf_maps::{ArrayOfMaps, RingBuf};
use aya_ebpf::helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns};
use aya_ebpf::macros::btf_map;
use capture_common::{Record, Verdict};

use crate::buffer::Buffer;
use crate::counters::Seen;

/// Shape of a ring buffer, for the verifier; the daemon makes the real ones as large as it is told.
type Ring = RingBuf<u8, 4096>;

/// A ring buffer for each CPU: two that reserve room in one wait for each other. Behind a map, as the daemon gives them number and
/// size when the program is loaded.
#[btf_map]
static RINGS: ArrayOfMaps<Ring, 1> = ArrayOfMaps::new();

/// Copies into the room of this number.
macro_rules! place {
    ($number:literal, $ring:ident, $frame:ident, $record:ident, $verdict:ident, $seen:ident) => {
        place::<
            { Record::ROOMS[$number] },
            { Record::ROOMS[$number] - (ADDRESSES + TAG) as usize },
            { Record::SIZE + Record::ROOMS[$number] },
            F,
        >($ring, $frame, $record, $verdict, $seen)
    };
}

/// Copies the frame as `record` says, which is completed here, and counts it; says what became of it.
#[inline(always)]
pub fn copy<F: Buffer>(frame: &F, mut record: Record, verdict: Verdict, seen: Seen) -> Verdict {
    // SAFETY: the helper takes nothing; where the kernel lets a program be preempted, it lets none move.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    // A CPU that came later has none of its own.
    let copied = match RINGS.get(cpu).or_else(|| RINGS.get(0)) {
        Some(ring) => copy_into(ring, frame, &mut record, verdict, seen),
        None => Err(Verdict::RingFull),
    };
    match copied {
        Ok(()) => verdict,
        Err(why) => {
            seen.count(why, record.wire_len);
            why
        }
    }
}

#[inline(always)]
fn copy_into<F: Buffer>(
    ring: &Ring,
    frame: &F,
    record: &mut Record,
    verdict: Verdict,
    seen: Seen,
) -> Result<(), Verdict> {
    // SAFETY: the helper takes nothing and reads a clock.
    record.arrival = unsafe { bpf_ktime_get_ns() };
    record.verdict = verdict as u32;
    let [headers, voice, ethernet, jumbo, _] = Record::ROOMS;
    let room = record.captured as usize;
    if room <= headers {
        place!(0, ring, frame, record, verdict, seen)
    } else if room <= voice {
        place!(1, ring, frame, record, verdict, seen)
    } else if room <= ethernet {
        place!(2, ring, frame, record, verdict, seen)
    } else if room <= jumbo {
        place!(3, ring, frame, record, verdict, seen)
    } else {
        place!(4, ring, frame, record, verdict, seen)
    }
}

/// Where the EtherType stands, and a tag in front of it.
const ADDRESSES: u32 = 12;
/// Bytes of a tag.
const TAG: u32 = 4;

/// Copies into a record of `SIZE` bytes, `ROOM` of them for the frame.
#[inline(always)]
fn place<const ROOM: usize, const BEHIND: usize, const SIZE: usize, F: Buffer>(
    ring: &Ring,
    frame: &F,
    record: &Record,
    verdict: Verdict,
    seen: Seen,
) -> Result<(), Verdict> {
    let Some(mut entry) = ring.reserve_bytes(SIZE, 0) else {
        return Err(Verdict::RingFull);
    };
    let start = entry.as_mut_ptr();
    // SAFETY: the entry has SIZE bytes, more than a record, and begins at a multiple of 8.
    unsafe { start.cast::<Record>().write(*record) };
    // SAFETY: inside the entry.
    let to = unsafe { start.add(Record::SIZE) };
    let captured = record.captured;
    let done = match frame.tag() {
        // SAFETY: ROOM bytes follow the record, and `whole` asks for no more.
        None => unsafe { whole::<ROOM, F>(frame, to, captured) },
        // SAFETY: as above.
        Some(tag) => unsafe { tagged::<BEHIND, F>(frame, to, captured, tag) },
    };
    if done {
        // Before the reader can see it: whoever asks for the counters finds no frame behind that was not in front.
        seen.count(verdict, record.wire_len);
        entry.submit(BPF_RB_NO_WAKEUP.into());
        Ok(())
    } else {
        entry.discard(BPF_RB_NO_WAKEUP.into());
        Err(Verdict::CopyRefused)
    }
}

/// A length between 1 and `MAX`, as the helpers take it and the verifier wants to see it: the compiler must not know where the
/// number comes from, or it compares another one that says the same.
#[inline(always)]
fn bounded<const MAX: usize>(len: u32) -> Option<u32> {
    let beyond_one = black_box(len.wrapping_sub(1));
    (beyond_one < MAX as u32).then_some(beyond_one.wrapping_add(1))
}

/// Copies a frame as it is.
///
/// # Safety
/// `to` must have room for `ROOM` bytes.
#[inline(always)]
unsafe fn whole<const ROOM: usize, F: Buffer>(frame: &F, to: *mut u8, captured: u32) -> bool {
    let Some(len) = bounded::<ROOM>(captured) else {
        return false;
    };
    // SAFETY: no more than ROOM bytes.
    unsafe { frame.copy(0, to, len) }
}

/// Copies a frame and puts its tag back where it was.
///
/// # Safety
/// `to` must have room for addresses, tag and `BEHIND` bytes.
#[inline(always)]
unsafe fn tagged<const BEHIND: usize, F: Buffer>(frame: &F, to: *mut u8, captured: u32, tag: [u8; 4]) -> bool {
    let Some(behind) = bounded::<BEHIND>(captured.wrapping_sub(ADDRESSES + TAG)) else {
        return false;
    };
    // SAFETY: every room has more than the 16 bytes of addresses and tag.
    let addresses = unsafe { frame.copy(0, to, ADDRESSES) };
    // SAFETY: as above.
    let at = unsafe { to.add(ADDRESSES as usize) };
    // SAFETY: as above; 12 bytes behind a multiple of 8.
    unsafe { at.cast::<[u8; 4]>().write(tag) };
    // SAFETY: as above.
    let rest = unsafe { at.add(TAG as usize) };
    // SAFETY: no more bytes than are left behind addresses and tag.
    addresses && unsafe { frame.copy(ADDRESSES, rest, behind) }
}
