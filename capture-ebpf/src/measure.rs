//! Accounting for RTP where it is: the streams, and the way of a packet to its stream's account. What is accounted stands in
//! `capture_common::rtp`.
//!
//! The functions are not inlined: a chain of calls shares 512 bytes of stack, most of it the packet's, which lies in the frame of the
//! first of them.

use core::arch::asm;
use core::mem::MaybeUninit;

use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_NOEXIST};
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, Stack};
use capture_common::Verdict;
use capture_common::media::Packet;
use capture_common::ordinary::Voice;
use capture_common::rtp::slot::{self, Line, Owner, Slot};
use capture_common::rtp::{Cold, Hot, Kind, StreamKey, StreamState};

use crate::buffer::Buffer;
use crate::frame;
use crate::tables::Maps;

/// The streams: the number of each one's slot. The daemon gives the map its size, reads it, and takes out those that are over.
#[map]
static STREAMS: HashMap<StreamKey, u32> = HashMap::with_max_entries(1, 0);

/// Their accounts, a slot for each. The daemon has them in its memory too.
#[map]
static SLOTS: Array<Slot> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// What of the accounts only the exceptions touch, by the same numbers.
#[map]
static REST: Array<Cold> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Where an account is put together.
#[map]
static WHOLE: PerCpuArray<StreamState> = PerCpuArray::with_max_entries(1, 0);

/// What leads from an ordinary packet to its stream's slot; the daemon gives it its size.
#[map]
static INDEX: Array<Line> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// One less than the lines of the index, a power of two; the daemon says it before the program is loaded.
#[unsafe(no_mangle)]
static INDEX_MASK: u32 = 0;

/// How many slots were taken that nobody had before; they are taken in order.
#[map]
static FRESH: Array<u64> = Array::with_max_entries(1, 0);

/// Slots that were given back.
#[map]
static FREED: Stack<u32> = Stack::with_max_entries(1, 0);

/// Takes the RTP packet that the frame carries into its stream's account; `None` where it carries none, or its call's
/// level lets it cross.
#[inline(always)]
pub fn measure<F: Buffer>(frame: &F) -> Option<Verdict> {
    verdict(find(frame))
}

/// Takes an ordinary packet into its stream's account; `None` where its call's level lets it cross.
#[inline(always)]
pub fn step(voice: Voice) -> Option<Verdict> {
    let Voice {
        addresses,
        ports,
        header,
        octets,
    } = voice;
    verdict(account_voice(addresses, ports, header, octets))
}

/// Finds the packet in its frame and takes it into its stream's account; says its verdict's number.
#[inline(never)]
fn find<F: Buffer>(frame: &F) -> u32 {
    let mut packet = MaybeUninit::uninit();
    if read(frame, &mut packet) == 0 {
        return CROSSES;
    }
    // SAFETY: `read` says that it wrote the packet.
    look_up(unsafe { packet.assume_init_ref() })
}

/// Finds the packet in its frame; 0 where there is none.
#[inline(never)]
fn read<F: Buffer>(frame: &F, packet: &mut MaybeUninit<Packet>) -> u32 {
    let Some(place) = frame::place() else { return 0 };
    let found = match frame::linear(frame) {
        Some(frame) => Packet::read(&frame, &place),
        None => frame::whole(frame).and_then(|frame| Packet::read(&frame, &place)),
    };
    let Some(found) = found else { return 0 };
    packet.write(found);
    1
}

/// What [`account`] answers where the packet is to cross.
const CROSSES: u32 = u32::MAX;

#[inline(always)]
fn verdict(account: u32) -> Option<Verdict> {
    match account {
        CROSSES => None,
        full if full == Verdict::MeasuredFull as u32 => Some(Verdict::MeasuredFull),
        _ => Some(Verdict::Measured),
    }
}

/// Takes a packet into its stream's account, at once where it is just the next; says its verdict's number. The words of a [`Voice`]: they are
/// handed on in registers.
#[inline(never)]
fn account_voice(addresses: u64, ports: u64, header: u64, octets: u32) -> u32 {
    let voice = Voice {
        addresses,
        ports,
        header,
        octets,
    };
    // Before the look-up: the clock is read when all that is in front of it is done, and so does not wait for memory here.
    let now = now();
    let owner = Owner::of(&voice);
    let hash = owner.hash();
    let found = line_of(hash).and_then(|line| slot::find(line, hash));
    if let Some(number) = found
        && let Some(slot) = SLOTS.get_ptr_mut(number)
    {
        // SAFETY: as in `account`.
        let slot = unsafe { &mut *slot };
        if slot.owner == owner && owner.is_some() {
            if slot.hot.step(now, &voice.header(), octets) {
                return Verdict::Measured as u32;
            }
            return account_found(addresses, ports, header, octets, number);
        }
    }
    look_up_voice(addresses, ports, header, octets)
}

/// [`account`] of the packet with the words of a [`Voice`].
#[inline(never)]
fn account_found(addresses: u64, ports: u64, header: u64, octets: u32, number: u32) -> u32 {
    let voice = Voice {
        addresses,
        ports,
        header,
        octets,
    };
    account(&voice.packet(), number)
}

/// [`look_up`] of the packet with the words of a [`Voice`], whose like are to find the slot by the index from now on.
#[inline(never)]
fn look_up_voice(addresses: u64, ports: u64, header: u64, octets: u32) -> u32 {
    let voice = Voice {
        addresses,
        ports,
        header,
        octets,
    };
    let packet = voice.packet();
    let Some(number) = number_of(&packet) else {
        return begin(&packet);
    };
    remember(&packet, number);
    account(&packet, number)
}

/// Finds the stream of a packet and takes it into its account; says its verdict's number.
#[inline(never)]
fn look_up(packet: &Packet) -> u32 {
    match number_of(packet) {
        Some(number) => account(packet, number),
        None => begin(packet),
    }
}

/// The number of the slot of a packet's stream, if there is such a stream.
#[inline(always)]
fn number_of(packet: &Packet) -> Option<u32> {
    // SAFETY: it is written once, and where the daemon takes the stream out at this moment, it is the number of this stream's slot or
    // of the one that has its place since.
    STREAMS.get_ptr(&packet.key).map(|number| unsafe { *number })
}

/// Takes a packet into its stream's account, which is in the slot of this number; says its verdict's number.
#[inline(never)]
fn account(packet: &Packet, number: u32) -> u32 {
    // The verifier cannot know that the maps have these entries.
    let (Some(slot), Some(rest), Some(state)) = (
        SLOTS.get_ptr_mut(number),
        REST.get_ptr_mut(number),
        WHOLE.get_ptr_mut(0),
    ) else {
        return CROSSES;
    };
    // SAFETY: packets of one stream come on one queue, whose program does not interrupt itself. Where a network sends
    // them on two, a packet may be missing in the figures. Where the daemon takes the stream out while its packet is here, and another
    // CPU gives the slot to a new stream before it is done, the new stream gets this one's figures: that takes a packet of a stream
    // that is over. All are plain numbers, which any bytes are.
    let slot = unsafe { &mut *slot };
    // SAFETY: likewise.
    let rest = unsafe { &mut *rest };
    // SAFETY: the entry is this CPU's own, and the programs, which run with softirqs off, do not interrupt each other on one CPU.
    let state = unsafe { &mut *state };
    let now = now();
    if slot.hot.step(now, &packet.header, packet.octets) {
        return Verdict::Measured as u32;
    }
    copy(&slot.hot, &mut state.hot);
    copy(rest, &mut state.cold);
    if state.due() {
        if crosses(packet) != 0 {
            // To be asked again at the next packet.
            state.wait(1);
            copy(&state.hot, &mut slot.hot);
            return CROSSES;
        }
        state.hear(kind_of(said(packet, state.payload_type().into())));
    }
    let said = |payload_type: u8| kind_of(said(packet, payload_type.into()));
    state.take(now, &packet.header, packet.octets, said);
    copy(&state.hot, &mut slot.hot);
    copy(&state.cold, rest);
    Verdict::Measured as u32
}

/// Begins the account of the packet's stream.
#[inline(never)]
fn begin(packet: &Packet) -> u32 {
    if crosses(packet) != 0 {
        return CROSSES;
    }
    let number = take_slot();
    let (Some(slot), Some(rest), Some(state)) = (
        SLOTS.get_ptr_mut(number),
        REST.get_ptr_mut(number),
        WHOLE.get_ptr_mut(0),
    ) else {
        return Verdict::MeasuredFull as u32;
    };
    // SAFETY: nobody else has this slot.
    let slot = unsafe { &mut *slot };
    // SAFETY: likewise.
    let rest = unsafe { &mut *rest };
    // SAFETY: the entry is this CPU's own, and the programs, which run with softirqs off, do not interrupt each other on one CPU.
    let state = unsafe { &mut *state };
    let said = |payload_type: u8| kind_of(said(packet, payload_type.into()));
    state.begin(now(), &packet.header, packet.octets, said);
    copy(&state.hot, &mut slot.hot);
    copy(&state.cold, rest);
    slot.owner = Owner::of_stream(&packet.key);
    if STREAMS.insert(&packet.key, number, BPF_NOEXIST.into()).is_ok() {
        remember(packet, number);
        return Verdict::Measured as u32;
    }
    slot.owner = Owner::NONE;
    // There is room for as many as there are slots.
    let _ = FREED.push(number, 0);
    // Another CPU may have begun the same stream at this moment; then only this packet is missing in it.
    if STREAMS.get_ptr(&packet.key).is_some() {
        Verdict::Measured as u32
    } else {
        Verdict::MeasuredFull as u32
    }
}

/// The number of a slot that nobody has; where there is none, a number that no slot has.
#[inline(always)]
fn take_slot() -> u32 {
    if let Ok(Some(number)) = FREED.pop() {
        return number;
    }
    let Some(fresh) = FRESH.get_ptr_mut(0) else {
        return u32::MAX;
    };
    // SAFETY: the entry lives as long as the program, and whatever another CPU makes of it is a number.
    let number = unsafe { fresh.read_volatile() } as u32;
    // Not counted beyond what there is, so that it never comes round.
    if SLOTS.get_ptr(number).is_none() {
        return number;
    }
    let mut number = 1_u64;
    // SAFETY: as above. The core library has no such operation for this target, the kernel has.
    unsafe {
        asm!(
            "{number} = atomic_fetch_add((u64 *)({fresh} + 0), {number})",
            fresh = in(reg) fresh,
            number = inout(reg) number,
            options(nostack)
        )
    };
    number as u32
}

/// The line of the index for a hash.
#[inline(always)]
fn line_of<'a>(hash: u64) -> Option<&'a mut Line> {
    // SAFETY: it is in the object, where the daemon writes it before the program is loaded.
    let mask = unsafe { (&raw const INDEX_MASK).read_volatile() };
    let line = INDEX.get_ptr_mut(slot::line(hash, mask))?;
    // SAFETY: any bytes are a line, and whoever reads one that another CPU or the daemon writes asks the slot whose it is.
    Some(unsafe { &mut *line })
}

/// Copies one of the parts of an account, word by word, as it would be on its own if the compiler did not know a function for that
/// which goes byte by byte.
#[inline(always)]
fn copy<T: Words>(from: &T, to: &mut T) {
    let (from, to) = (
        core::ptr::from_ref(from).cast::<u64>(),
        core::ptr::from_mut(to).cast::<u64>(),
    );
    for at in 0..size_of::<T>() / size_of::<u64>() {
        let (from, to) = (from.wrapping_add(at), to.wrapping_add(at));
        // SAFETY: inside the part that is read.
        let word = unsafe { from.read_volatile() };
        // SAFETY: inside the part that is written, of which any bytes are one.
        unsafe { to.write_volatile(word) };
    }
}

/// What is made of words, and of which any bytes are a value.
trait Words: Copy {}

impl Words for Hot {}
impl Words for Cold {}

const _: () = assert!(size_of::<Hot>().is_multiple_of(8) && size_of::<Cold>().is_multiple_of(8));
const _: () = assert!(align_of::<Hot>() == 8 && align_of::<Cold>() == 8);

/// Has the stream's ordinary packets find their slot by the index.
#[inline(never)]
fn remember(packet: &Packet, number: u32) {
    let owner = Owner::of_stream(&packet.key);
    let hash = owner.hash();
    if let (true, Some(entry), Some(line)) = (owner.is_some(), slot::entry(hash, number), line_of(hash)) {
        slot::put(line, hash, entry);
    }
}

/// Whether the level of the packet's call has it cross: not 0.
#[inline(never)]
fn crosses(packet: &Packet) -> u32 {
    packet.ends().crosses(&Maps).into()
}

/// Set beside the clock rate in what [`said`] hands on.
const MEDIA: u64 = 1 << 32;
const NOISE: u64 = 2 << 32;
const EVENT: u64 = 3 << 32;

/// What SDP says of a payload type of the packet's ends, as one number.
#[inline(never)]
fn said(packet: &Packet, payload_type: u32) -> u64 {
    match packet.ends().said(&Maps, payload_type as u8) {
        Kind::Media(rate) => MEDIA | u64::from(rate),
        Kind::Noise(rate) => NOISE | u64::from(rate),
        Kind::Event => EVENT,
        Kind::Unknown => 0,
    }
}

#[inline(always)]
const fn kind_of(said: u64) -> Kind {
    let rate = said as u32;
    match said >> 32 << 32 {
        MEDIA => Kind::Media(rate),
        NOISE => Kind::Noise(rate),
        EVENT => Kind::Event,
        _ => Kind::Unknown,
    }
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: the helper takes nothing and reads a clock.
    unsafe { bpf_ktime_get_ns() }
}
