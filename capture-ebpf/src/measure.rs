//! Accounting for RTP where it is: the streams, and the way of a packet to its stream's account. What is accounted stands in
//! `capture_common::rtp`.
//!
//! The functions are not inlined: a chain of calls shares 512 bytes of stack, most of it the packet's, which lies in the frame of the
//! first of them.

use core::mem::MaybeUninit;

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{HashMap, PerCpuArray};
use capture_common::Verdict;
use capture_common::media::Packet;
use capture_common::ordinary::Voice;
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
    account(unsafe { packet.assume_init_ref() })
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
    let words = voice.key();
    // SAFETY: both are 40 bytes, and any bytes are a key.
    let key = unsafe { &*words.as_ptr().cast::<StreamKey>() };
    if let Some(state) = STREAMS.get_ptr_mut(key) {
        // SAFETY: as in `account`.
        let state = unsafe { &mut *state };
        if state.step(now, &voice.header(), octets) {
            return Verdict::Measured as u32;
        }
    }
    account_packet(addresses, ports, header, octets)
}

/// [`account`] of the packet with the words of a [`Voice`].
#[inline(never)]
fn account_packet(addresses: u64, ports: u64, header: u64, octets: u32) -> u32 {
    let voice = Voice {
        addresses,
        ports,
        header,
        octets,
    };
    account(&voice.packet())
}

/// Takes a packet into its stream's account; says its verdict's number.
#[inline(never)]
fn account(packet: &Packet) -> u32 {
    let Some(state) = STREAMS.get_ptr_mut(&packet.key) else {
        return begin(packet);
    };
    // SAFETY: packets of one stream come on one queue, whose program does not interrupt itself. Where a network sends
    // them on two, or the daemon takes the stream out at this moment, figures of this stream or of the one that has its place
    // since may be off by a packet; all are plain numbers, which any bytes are.
    let state = unsafe { &mut *state };
    if state.due() {
        if crosses(packet) != 0 {
            // To be asked again at the next packet.
            state.wait(1);
            return CROSSES;
        }
        state.hear(kind_of(said(packet, state.payload_type().into())));
    }
    let said = |payload_type: u8| kind_of(said(packet, payload_type.into()));
    state.take(now(), &packet.header, packet.octets, said);
    Verdict::Measured as u32
}

/// Begins the account of the packet's stream.
#[inline(never)]
fn begin(packet: &Packet) -> u32 {
    if crosses(packet) != 0 {
        return CROSSES;
    }
    let Some(state) = BEGUN.get_ptr_mut(0) else {
        // The verifier cannot know that the map has an entry.
        return CROSSES;
    };
    // SAFETY: the entry is this CPU's own, and the programs, which run with softirqs off, do not interrupt each other on one CPU.
    let state = unsafe { &mut *state };
    let said = |payload_type: u8| kind_of(said(packet, payload_type.into()));
    state.begin(now(), &packet.header, packet.octets, said);
    match STREAMS.insert(&packet.key, &*state, 0) {
        Ok(()) => Verdict::Measured as u32,
        Err(_) => Verdict::MeasuredFull as u32,
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
