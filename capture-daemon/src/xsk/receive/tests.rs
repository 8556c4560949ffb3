//! Frames through rings in anonymous memory, with a queue in the kernel's place.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::super::ring::testing::{Memory, ring};
use super::super::umem::{HEADROOM, STAMP_ROOM};
use super::*;

const FRAMES: u32 = 32;
/// Where a frame's content is.
const DATA: u64 = (HEADROOM + STAMP_ROOM) as u64;
/// Bytes that it has room for.
const FULL: u32 = 2048 - HEADROOM - STAMP_ROOM;

/// The other side: takes frames out of the fill ring, writes into them, and puts them into the rx ring.
struct Kernel {
    fill: Consumer<u64>,
    rx: Producer<Desc>,
    held: VecDeque<u64>,
    _memory: (Memory, Memory),
}

fn pair(start: u32) -> (Receive, Kernel) {
    let (fill, kernel_fill, fill_memory) = ring(16, start);
    let (kernel_rx, rx, rx_memory) = ring(16, start);
    let (umem, tokens) = Umem::new(FRAMES, 2048, false).unwrap();
    let kernel = Kernel {
        fill: kernel_fill,
        rx: kernel_rx,
        held: VecDeque::new(),
        _memory: (fill_memory, rx_memory),
    };
    (Receive::new(rx, fill, umem, tokens), kernel)
}

impl Kernel {
    /// Delivers a packet in as many buffers as there are pieces, stamped or not; whether there were frames and room.
    fn deliver(&mut self, receive: &mut Receive, pieces: &[Vec<u8>], arrival: Option<u64>) -> bool {
        let available = self.fill.available(u32::MAX);
        self.held
            .extend((0..available).filter_map(|ahead| self.fill.get(ahead)));
        self.fill.advance(available);
        self.fill.publish();
        if self.held.len() < pieces.len() || (self.rx.free(u32::MAX) as usize) < pieces.len() {
            return false;
        }
        for (number, piece) in pieces.iter().enumerate() {
            let addr = self.held.pop_front().unwrap();
            if let (0, Some(arrival)) = (number, arrival) {
                let stamp = Stamp {
                    arrival,
                    verdict: Verdict::Media,
                };
                receive
                    .umem
                    .write_as_kernel(addr + u64::from(HEADROOM), &stamp.word().to_ne_bytes());
            }
            receive.umem.write_as_kernel(addr + DATA, piece);
            let last = number + 1 == pieces.len();
            self.put(addr + DATA, piece.len() as u32, !last);
        }
        self.rx.publish();
        true
    }

    fn put(&mut self, addr: u64, len: u32, more: bool) {
        let options = if more { libc::XDP_PKT_CONTD } else { 0 };
        self.rx.push(Desc { addr, len, options }).unwrap();
    }

    /// Frames in the fill ring or in hand.
    fn frames(&mut self) -> usize {
        self.fill.available(u32::MAX) as usize + self.held.len()
    }
}

fn all(receive: &mut Receive) -> Vec<Vec<u8>> {
    let mut batch = receive.peek(64);
    let mut packets = Vec::new();
    while let Some(packet) = batch.next_packet() {
        packets.push(packet.bytes().to_vec());
    }
    packets
}

#[test]
fn a_stamp_is_the_frames_own_and_a_missing_one_is_counted() {
    let (mut receive, mut kernel) = pair(u32::MAX - 1);
    let clock = Clock::new();
    let arrival = Clock::monotonic();
    assert!(kernel.deliver(&mut receive, &[vec![1; 60]], Some(arrival)));
    assert!(kernel.deliver(&mut receive, &[vec![2; 60]], None));
    let mut batch = receive.peek(64);
    let packet = batch.next_packet().unwrap();
    assert_eq!(packet.frame(&clock).ts, clock.wall(arrival));
    assert_eq!(packet.verdict(), Some(Verdict::Media));
    packet.release();
    let packet = batch.next_packet().unwrap();
    let before = clock.now();
    assert!(packet.frame(&clock).ts >= before);
    assert_eq!(packet.verdict(), None);
    drop(packet);
    assert!(batch.next_packet().is_none());
    batch.release();
    assert_eq!(receive.counters.no_timestamp.get(), 1);
    assert_eq!(receive.counters.frames.get(), 2);
    assert_eq!(receive.counters.bytes.get(), 120);
}

#[test]
fn packets_lent_together_are_those_lent_one_by_one() {
    let lengths = [1, 1, 3, 1, 2, 1, 1];
    let first = Clock::monotonic();
    let deliver = |receive: &mut Receive, kernel: &mut Kernel| {
        for (number, pieces) in lengths.into_iter().enumerate() {
            let pieces: Vec<Vec<u8>> = (0..pieces).map(|piece| vec![number as u8 * 8 + piece; 60]).collect();
            assert!(kernel.deliver(receive, &pieces, Some(first + number as u64)));
        }
    };
    let clock = Clock::new();
    let (mut receive, mut kernel) = pair(u32::MAX - 3);
    deliver(&mut receive, &mut kernel);
    let one_by_one = all(&mut receive);
    let (mut receive, mut kernel) = pair(u32::MAX - 3);
    deliver(&mut receive, &mut kernel);
    let mut together = Vec::new();
    let mut times = Vec::new();
    for (max, expected) in [(2, 2), (4, 4), (64, 1), (64, 0)] {
        let taken = receive.take_together(max, &clock, |frames| {
            together.extend(frames.iter().map(|frame| frame.bytes.to_vec()));
            times.extend(frames.iter().map(|frame| frame.ts));
        });
        assert_eq!(taken, expected, "of at most {max}");
    }
    assert_eq!(together, one_by_one);
    assert_eq!(times, (0..7).map(|nanos| clock.wall(first + nanos)).collect::<Vec<_>>());
    let counters = &receive.counters;
    let counted = [
        &counters.frames,
        &counters.bytes,
        &counters.multi_buffer,
        &counters.no_timestamp,
    ];
    assert_eq!(counted.map(crate::counter::Counter::get), [7, 600, 2, 0]);
    receive.refill();
    assert_eq!(
        receive.free.len() + kernel.frames(),
        FRAMES as usize,
        "every frame is back"
    );
}

#[test]
fn the_batch_is_as_long_as_asked_for_and_the_rest_stays() {
    let (mut receive, mut kernel) = pair(0);
    for number in 0..5 {
        assert!(kernel.deliver(&mut receive, &[vec![number; 60]], None));
    }
    let mut batch = receive.peek(2);
    assert_eq!(batch.next_packet().unwrap().bytes()[0], 0);
    assert_eq!(batch.next_packet().unwrap().bytes()[0], 1);
    assert!(batch.next_packet().is_none());
    batch.release();
    assert_eq!(all(&mut receive).len(), 3);
}

#[test]
fn a_packet_of_several_buffers_is_one() {
    let (mut receive, mut kernel) = pair(u32::MAX - 2);
    let clock = Clock::new();
    let arrival = Clock::monotonic();
    let pieces = [vec![1; FULL as usize], vec![2; FULL as usize], vec![3; 100]];
    assert!(kernel.deliver(&mut receive, &pieces, Some(arrival)));
    let mut batch = receive.peek(1);
    let packet = batch.next_packet().unwrap();
    assert_eq!(packet.bytes(), pieces.concat());
    assert_eq!(packet.frame(&clock).ts, clock.wall(arrival));
    packet.release();
    batch.release();
    assert_eq!(receive.counters.multi_buffer.get(), 1);
    receive.refill();
    assert_eq!(kernel.frames() + receive.free.len(), FRAMES as usize);
}

#[test]
fn half_a_packet_is_waited_for() {
    let (mut receive, mut kernel) = pair(7);
    assert!(kernel.deliver(&mut receive, &[vec![9; 60]], None));
    let addr = kernel.held.pop_front().unwrap();
    kernel.put(addr + DATA, 10, true);
    kernel.rx.publish();
    assert_eq!(all(&mut receive).len(), 1);
    assert_eq!(all(&mut receive).len(), 0);
    let addr = kernel.held.pop_front().unwrap();
    kernel.put(addr + DATA, 10, false);
    kernel.rx.publish();
    assert_eq!(all(&mut receive), [vec![0; 20]]);
}

#[test]
fn wrong_descriptors_are_counted_and_cost_nothing_else() {
    let (mut receive, mut kernel) = pair(0);
    assert!(kernel.deliver(&mut receive, &[vec![1; 60]], None));
    let frame = kernel.held.pop_front().unwrap();
    kernel.put(u64::MAX, 60, false);
    kernel.put(u64::from(FRAMES) * 2048, 60, false);
    kernel.put(frame + DATA, FULL + 1, false);
    kernel.put(frame + DATA, 60, false);
    kernel.rx.publish();
    assert!(kernel.deliver(&mut receive, &[vec![2; 60]], None));
    assert_eq!(all(&mut receive), [vec![1; 60], vec![2; 60]]);
    assert_eq!(receive.counters.bad_descriptors.get(), 4);
    receive.refill();
    assert_eq!(kernel.frames() + receive.free.len(), FRAMES as usize);
}

#[test]
fn a_packet_longer_than_any_is_counted_and_its_frames_come_back() {
    let (fill, kernel_fill, fill_memory) = ring(128, 0);
    let (kernel_rx, rx, rx_memory) = ring(128, 0);
    let (umem, tokens) = Umem::new(128, 2048, false).unwrap();
    let mut receive = Receive::new(rx, fill, umem, tokens);
    let mut kernel = Kernel {
        fill: kernel_fill,
        rx: kernel_rx,
        held: VecDeque::new(),
        _memory: (fill_memory, rx_memory),
    };
    // 37 full buffers are above 65,599; 65 buffers are more than any packet has.
    for buffers in [37, 65] {
        assert!(kernel.deliver(&mut receive, &vec![vec![1; FULL as usize]; buffers], None));
        assert!(kernel.deliver(&mut receive, &[vec![2; 60]], None));
        let packets = all(&mut receive);
        assert_eq!(packets.last().unwrap(), &vec![2; 60]);
        receive.refill();
        assert_eq!(kernel.frames() + receive.free.len(), 128);
    }
    assert_eq!(receive.counters.oversize.get(), 2);
}

proptest! {
    /// Packets come out as they went in, whole and in order, and no frame is ever lost or in two places.
    #[test]
    fn what_goes_in_comes_out(
        start in prop_oneof![any::<u32>(), u32::MAX - 40..=u32::MAX],
        steps in prop::collection::vec((prop::collection::vec(0_usize..200, 1..5), any::<bool>(), 0_u32..8, any::<bool>()), 1..120),
    ) {
        let (mut receive, mut kernel) = pair(start);
        let began = Clock::monotonic();
        let mut expected: VecDeque<(Vec<u8>, Option<u64>)> = VecDeque::new();
        let mut in_rx = VecDeque::new();
        for (number, (lengths, stamped, take, refill)) in steps.into_iter().enumerate() {
            let pieces: Vec<_> = lengths.iter().map(|len| vec![number as u8; *len]).collect();
            let arrival = stamped.then_some(began + number as u64);
            if kernel.deliver(&mut receive, &pieces, arrival) {
                expected.push_back((pieces.concat(), arrival));
                in_rx.push_back(pieces.len());
            }
            let mut batch = receive.peek(take);
            let mut taken = 0;
            while let Some(packet) = batch.next_packet() {
                let (bytes, arrival) = expected.pop_front().unwrap();
                prop_assert_eq!(packet.bytes(), bytes);
                prop_assert_eq!(packet.meta.map(|(stamp, _)| stamp.arrival), arrival);
                in_rx.pop_front();
                taken += 1;
            }
            batch.release();
            prop_assert!(taken == take || expected.is_empty());
            if refill {
                receive.refill();
            }
            let frames = kernel.frames() + in_rx.iter().sum::<usize>() + receive.free.len();
            prop_assert_eq!(frames, FRAMES as usize);
        }
    }
}
