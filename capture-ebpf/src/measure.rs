//! Accounting for RTP where it is: the streams, and the way of a packet to its stream's account. What is accounted stands in
//! `capture_common::rtp`.
//!
//! The functions are not inlined, and hand the packet on in a map: a chain of calls shares 512 bytes of stack, and of what
//! it reads in a map the verifier knows nothing, so that it follows the account once and not for each way to it.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{HashMap, PerCpuArray};
use capture_common::Verdict;
use capture_common::media::Packet;
use capture_common::rtp::{Kind, StreamKey, StreamState};

use crate::buffer::Buffer;
use crate::frame;
use crate::tables::Maps;

/// The streams. The daemon gives the map its size, reads it, and takes out those that are over.
#[map]
static STREAMS: HashMap<StreamKey, StreamState> = HashMap::with_max_entries(1, 0);

/// Where a stream's account is begun.
#[map]
static BEGUN: PerCpuArray<StreamState> = PerCpuArray::with_max_entries(1, 0);

/// The packet at hand.
#[map]
static PACKET: PerCpuArray<Packet> = PerCpuArray::with_max_entries(1, 0);

/// Takes the RTP packet that the frame carries into its stream's account; `None` where it carries none, or its call's
/// level lets it cross.
#[inline(always)]
pub fn measure<F: Buffer>(frame: &F) -> Option<Verdict> {
    if read(frame) == 0 {
        return None;
    }
    match account() {
        CROSSES => None,
        full if full == Verdict::MeasuredFull as u32 => Some(Verdict::MeasuredFull),
        _ => Some(Verdict::Measured),
    }
}

/// What [`account`] answers where the packet is to cross.
const CROSSES: u32 = u32::MAX;

/// Finds the packet at hand in its frame; 0 where there is none.
#[inline(never)]
fn read<F: Buffer>(frame: &F) -> u32 {
    let (Some(place), Some(packet)) = (frame::place(), PACKET.get_ptr_mut(0)) else {
        return 0;
    };
    let found = match frame::linear(frame) {
        Some(frame) => Packet::read(&frame, &place),
        None => frame::whole(frame).and_then(|frame| Packet::read(&frame, &place)),
    };
    let Some(found) = found else { return 0 };
    // SAFETY: the entry is this CPU's own, and the programs, which run with softirqs off, do not interrupt each other on one CPU.
    unsafe { *packet = found };
    1
}

/// Takes the packet at hand into its stream's account; says its verdict's number.
#[inline(never)]
fn account() -> u32 {
    let Some(packet) = at_hand() else { return CROSSES };
    let Some(state) = STREAMS.get_ptr_mut(&packet.key) else {
        return begin();
    };
    // SAFETY: packets of one stream come on one queue, whose program does not interrupt itself. Where a network sends
    // them on two, or the daemon takes the stream out at this moment, figures of this stream or of the one that has its place
    // since may be off by a packet; all are plain numbers, which any bytes are.
    let state = unsafe { &mut *state };
    if state.due() {
        if crosses() != 0 {
            // To be asked again at the next packet.
            state.wait(1);
            return CROSSES;
        }
        state.hear(kind_of(said(state.payload_type().into())));
    }
    let said = |payload_type: u8| kind_of(said(payload_type.into()));
    state.take(now(), &packet.header, packet.octets, said);
    Verdict::Measured as u32
}

/// Begins the account of the packet's stream.
#[inline(never)]
fn begin() -> u32 {
    if crosses() != 0 {
        return CROSSES;
    }
    let (Some(packet), Some(state)) = (at_hand(), BEGUN.get_ptr_mut(0)) else {
        // The verifier cannot know that the maps have an entry.
        return CROSSES;
    };
    // SAFETY: the entry is this CPU's own, and the programs, which run with softirqs off, do not interrupt each other on one CPU.
    let state = unsafe { &mut *state };
    let said = |payload_type: u8| kind_of(said(payload_type.into()));
    state.begin(now(), &packet.header, packet.octets, said);
    match STREAMS.insert(&packet.key, &*state, 0) {
        Ok(()) => Verdict::Measured as u32,
        Err(_) => Verdict::MeasuredFull as u32,
    }
}

#[inline(always)]
fn at_hand<'a>() -> Option<&'a Packet> {
    // SAFETY: the entry is this CPU's own, and is written before all that reads it is called.
    PACKET.get_ptr(0).map(|packet| unsafe { &*packet })
}

/// Whether the level of the packet's call has it cross: not 0.
#[inline(never)]
fn crosses() -> u32 {
    at_hand().is_some_and(|packet| packet.ends().crosses(&Maps)).into()
}

/// Set beside the clock rate in what [`said`] hands on.
const MEDIA: u64 = 1 << 32;
const NOISE: u64 = 2 << 32;
const EVENT: u64 = 3 << 32;

/// What SDP says of a payload type of the packet's ends, as one number.
#[inline(never)]
fn said(payload_type: u32) -> u64 {
    match at_hand().map(|packet| packet.ends().said(&Maps, payload_type as u8)) {
        Some(Kind::Media(rate)) => MEDIA | u64::from(rate),
        Some(Kind::Noise(rate)) => NOISE | u64::from(rate),
        Some(Kind::Event) => EVENT,
        Some(Kind::Unknown) | None => 0,
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
