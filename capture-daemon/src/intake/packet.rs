//! A lane of packet mode: a packet socket's ring, and in front of the engine the policy that the other modes have in the
//! kernel.
//!
//! Every frame that the socket was given has one verdict, as with the kernel program; what found the ring full is counted by
//! the kernel and has the verdict for that.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use capture_common::{Decision, Fate, Record, Verdict, VerdictCount};

use super::offload::{Captured, Offloads};
use super::policy::{Levels, Policy};
use super::{Arrival, Intake, hand_on};
use crate::config::Capture;
use crate::counter::Counter;
use crate::frame::Frame;
use crate::xsk::lane::Port;
use crate::xsk::packet::{Packet, PacketRing, PacketSocket, RETIRE, Step};
use crate::xsk::socket::SocketError;
use crate::xsk::{Clock, LaneCounters, LaneError};

/// Where the EtherType stands, and a tag in front of it.
const ADDRESSES: usize = 12;
/// Bytes of a tag.
const TAG: usize = 4;

/// What a lane decided, and what the kernel lost before it. The lane's worker writes it, any thread reads it.
#[derive(Debug, Default)]
pub struct Verdicts {
    counts: [(Counter, Counter); Verdict::COUNT],
    /// Frames that the kernel put into the ring and that were not taken, when its statistics were last read.
    waiting: Counter,
}

impl Verdicts {
    /// Frames and bytes with this verdict.
    pub fn get(&self, verdict: Verdict) -> VerdictCount {
        let (frames, bytes) = &self.counts[verdict as usize];
        VerdictCount {
            frames: frames.get(),
            bytes: bytes.get(),
        }
    }

    /// Frames that the kernel says it put into the ring less those that were taken, when its statistics were last read: between 0
    /// and what the ring has room for, or a frame has no place.
    pub fn waiting(&self) -> u64 {
        self.waiting.get()
    }

    #[inline]
    fn add(&self, verdict: Verdict, frames: u64, bytes: u64) {
        let (of_frames, of_bytes) = &self.counts[verdict as usize];
        of_frames.add(frames);
        of_bytes.add(bytes);
    }
}

/// One packet ring and what is made of its frames. The ring's mapping goes before the socket.
#[derive(Debug)]
pub struct PacketLane {
    ring: PacketRing,
    socket: Arc<PacketSocket>,
    policy: Policy,
    offloads: Offloads,
    /// Where a tag is put back into its frame.
    room: Box<[u8]>,
    counters: Arc<LaneCounters>,
    verdicts: Arc<Verdicts>,
    /// Frames that the kernel put into the ring, by its own count.
    placed: Cell<u64>,
    /// Frames that were taken out of it.
    taken: u64,
    interface: String,
    queue: u32,
}

impl PacketLane {
    /// Makes the socket of lane `queue` and maps its ring. It takes nothing before it is armed.
    ///
    /// # Errors
    /// The step that failed, with the interface and the lane.
    pub fn open(
        port: &Port,
        queue: u32,
        loopback: bool,
        capture: &Capture,
        levels: Arc<Levels>,
    ) -> Result<Self, LaneError> {
        let failed = |source| LaneError::Socket {
            interface: port.name.clone(),
            queue,
            source,
        };
        let socket = PacketSocket::new(port.ifindex, capture.ring_size, loopback).map_err(failed)?;
        let ring = PacketRing::new(&socket, socket.shape()).map_err(|source| {
            failed(SocketError {
                operation: "map the ring",
                source,
            })
        })?;
        let counters = Arc::<LaneCounters>::default();
        counters.ring_size.set(ring.size());
        Ok(Self {
            ring,
            socket: Arc::new(socket),
            policy: Policy::new(capture, levels),
            offloads: Offloads::default(),
            room: vec![0; Record::SNAP as usize].into_boxed_slice(),
            counters,
            verdicts: Arc::default(),
            placed: Cell::new(0),
            taken: 0,
            interface: port.name.clone(),
            queue,
        })
    }

    /// The socket, to arm it and to disarm it.
    pub fn socket(&self) -> Arc<PacketSocket> {
        Arc::clone(&self.socket)
    }

    /// What it decides, for the control thread.
    pub fn verdicts(&self) -> Arc<Verdicts> {
        Arc::clone(&self.verdicts)
    }

    fn io_error(&self, error: SocketError) -> LaneError {
        let SocketError { operation, source } = error;
        LaneError::Io {
            interface: self.interface.clone(),
            queue: self.queue,
            operation,
            source,
        }
    }
}

impl Intake for PacketLane {
    fn queue(&self) -> u32 {
        self.queue
    }

    fn counters(&self) -> Arc<LaneCounters> {
        Arc::clone(&self.counters)
    }

    #[inline]
    fn take(&mut self, max: u32, clock: &Clock, mut each: impl FnMut(&Frame<'_>)) -> u32 {
        let Self {
            ring,
            policy,
            offloads,
            room,
            counters,
            verdicts,
            ..
        } = self;
        let mut step = None;
        let mut taken = 0;
        while taken < max {
            let packet = match ring.step() {
                None => break,
                // The kernel has counted it as dropped.
                Some(Step::Unused) => continue,
                Some(Step::Astray) => {
                    taken += 1;
                    verdicts.add(Verdict::CopyRefused, 1, 0);
                    continue;
                }
                Some(Step::Packet(packet)) => packet,
            };
            taken += 1;
            let step = *step.get_or_insert_with(|| clock.step());
            let ts = clock.stamped(packet.stamp, step);
            let Decision { verdict, cut_to } = policy.decide(packet.bytes, ts);
            // The tag stands in front of all that is counted from the frame's beginning and kept.
            let tag = if packet.tag.is_some() { TAG as u32 } else { 0 };
            let wire_len = packet.wire_len.saturating_add(tag);
            verdicts.add(verdict, 1, wire_len.into());
            if verdict.fate() != Fate::Captured {
                continue;
            }
            let keep = if cut_to == 0 { 0 } else { cut_to.saturating_add(tag) };
            let captured = Captured {
                wire_len,
                bytes: as_kept(&packet, keep, room),
                segment: packet.segment,
                keep,
            };
            let arrival = Arrival {
                ts,
                outgoing: packet.outgoing,
            };
            hand_on(counters, offloads, arrival, captured, &mut each);
        }
        self.taken += u64::from(taken);
        taken
    }

    #[inline]
    fn refill(&mut self) {
        self.ring.release();
    }

    fn poll(&mut self, timeout: Duration) -> Result<bool, LaneError> {
        let waited = self.socket.wait(timeout).map_err(|error| self.io_error(error))?;
        Ok(waited || !self.ring.is_empty())
    }

    fn read_statistics(&self) -> Result<(), LaneError> {
        self.counters.ring_used.set(self.ring.used());
        let tally = self.socket.tally().map_err(|error| self.io_error(error))?;
        self.verdicts.add(Verdict::RingFull, tally.dropped, 0);
        self.counters.rx_fill_ring_empty_descs.add(tally.freezes);
        self.placed.set(self.placed.get().wrapping_add(tally.placed));
        // More taken than placed is far more than any ring has room for.
        self.verdicts.waiting.set(self.placed.get().wrapping_sub(self.taken));
        Ok(())
    }

    fn wakes_for_many(&self) -> bool {
        true
    }

    fn lag(&self) -> Duration {
        RETIRE * 4
    }
}

/// The bytes of a frame, its tag put back, as far as they are needed: whole where it stands for several packets, each of which
/// is cut, and else as far as they are kept.
#[inline]
fn as_kept<'a>(packet: &Packet<'a>, keep: u32, room: &'a mut [u8]) -> &'a [u8] {
    let kept = match (packet.segment, keep) {
        (0, keep) if keep != 0 => (keep as usize).min(Record::SNAP as usize),
        _ => Record::SNAP as usize,
    };
    let bytes = packet.bytes;
    let Some(tag) = packet.tag else {
        return bytes.get(..kept).unwrap_or(bytes);
    };
    tagged(bytes, tag, room.get_mut(..kept).unwrap_or_default()).unwrap_or(bytes)
}

/// A frame with its tag, as far as `room` goes; `None` for one that is shorter than its addresses.
#[cold]
fn tagged<'a>(bytes: &[u8], tag: [u8; 4], room: &'a mut [u8]) -> Option<&'a [u8]> {
    let (addresses, rest) = bytes.split_at_checked(ADDRESSES)?;
    let length = (bytes.len() + TAG).min(room.len());
    let made = room.get_mut(..length)?;
    made.get_mut(..ADDRESSES)?.copy_from_slice(addresses);
    made.get_mut(ADDRESSES..ADDRESSES + TAG)?.copy_from_slice(&tag);
    let behind = made.get_mut(ADDRESSES + TAG..)?;
    behind.copy_from_slice(rest.get(..behind.len())?);
    Some(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(bytes: &[u8], tag: Option<[u8; 4]>, segment: u16) -> Packet<'_> {
        Packet {
            stamp: 0,
            wire_len: bytes.len() as u32,
            bytes,
            tag,
            segment,
            outgoing: false,
        }
    }

    #[test]
    fn a_tag_is_put_back_behind_the_addresses() {
        let bytes: Vec<u8> = (0..100).collect();
        let tag = [0x81, 0, 0x60, 7];
        let with_tag = [&bytes[..12], &tag, &bytes[12..]].concat();
        let mut room = vec![0; Record::SNAP as usize];
        let tagged = packet(&bytes, Some(tag), 0);
        assert_eq!(as_kept(&tagged, 0, &mut room), with_tag);
        assert_eq!(as_kept(&tagged, 58, &mut room), &with_tag[..58]);
        assert_eq!(as_kept(&packet(&bytes, None, 0), 54, &mut room), &bytes[..54]);
        let longest = vec![7; Record::SNAP as usize];
        assert_eq!(
            as_kept(&packet(&longest, Some(tag), 0), 0, &mut room).len(),
            longest.len()
        );
    }

    #[test]
    fn what_stands_for_several_packets_is_whole() {
        let bytes = [7; 1_000];
        let mut room = vec![0; Record::SNAP as usize];
        assert_eq!(as_kept(&packet(&bytes, None, 172), 54, &mut room), bytes);
        assert_eq!(as_kept(&packet(&bytes, Some([1; 4]), 172), 58, &mut room).len(), 1_004);
    }

    #[test]
    fn a_frame_shorter_than_its_addresses_stays_as_it_is() {
        let mut room = vec![0; Record::SNAP as usize];
        for length in 0..ADDRESSES {
            let bytes = vec![7; length];
            assert_eq!(as_kept(&packet(&bytes, Some([1; 4]), 0), 0, &mut room), bytes);
        }
    }
}
