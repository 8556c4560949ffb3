//! The ring beside a kernel that reads when it likes and says so later: step by step against a count of all frames, and as a thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;

use super::super::receive::Receive;
use super::super::ring::Consumer;
use super::super::ring::testing::{Memory, ring};
use super::super::types::Desc;
use super::super::umem::{Claim, HEADROOM, STAMP_ROOM};
use super::*;

const FRAMES: u32 = 64;

/// So near that the kernel may have read an entry that is changed.
const NEAR: Distances = Distances {
    nearest: 4,
    farthest: 24,
    unsaid: 6,
};

struct Bench {
    fill: Fill,
    umem: Umem,
    free: Vec<Token>,
    kernel: Consumer<u64>,
    /// Frames that the kernel has read.
    read: VecDeque<u64>,
    unsaid: u32,
    _memory: Memory,
}

#[derive(Clone, Debug)]
enum Step {
    /// The kernel reads this many entries, if it may before it has to say so.
    Read(u32),
    Say,
    /// This many frames come back.
    Return(usize),
    Refill,
}

impl Bench {
    fn new(start: u32) -> Self {
        let (ring, kernel, memory) = ring(FRAMES, start);
        let (umem, free) = Umem::new(FRAMES, 2048, false).unwrap();
        let mut bench = Self {
            fill: Fill::new(ring),
            umem,
            free,
            kernel,
            read: VecDeque::new(),
            unsaid: 0,
            _memory: memory,
        };
        bench.fill.keep_warm(NEAR);
        bench.fill.refill(&mut bench.umem, &mut bench.free);
        bench
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Read(most) => {
                for _ in 0..most {
                    if self.unsaid == NEAR.unsaid {
                        self.step(&Step::Say);
                    }
                    if self.kernel.available(1) == 0 {
                        break;
                    }
                    self.read.push_back(self.kernel.get(0).unwrap());
                    self.kernel.advance(1);
                    self.unsaid += 1;
                }
            }
            Step::Say => {
                self.kernel.publish();
                self.unsaid = 0;
            }
            Step::Return(most) => {
                for address in self.read.drain(..most.min(self.read.len())) {
                    let came = self.umem.claim(address, 0);
                    let Claim::Whole(piece) = came else {
                        panic!("{address:#x} comes back twice");
                    };
                    self.free.push(piece.into_token());
                    if let Some(never_read) = self.fill.settle(|| address) {
                        let Claim::Whole(piece) = self.umem.claim(never_read, 0) else {
                            panic!("{never_read:#x} is ours already");
                        };
                        self.free.push(piece.into_token());
                    }
                }
            }
            Step::Refill => self.fill.refill(&mut self.umem, &mut self.free),
        }
    }

    fn doubts(&self) -> &[Doubt] {
        &self.fill.warm.as_ref().unwrap().doubts
    }

    /// No frame is in two places, and one that is nowhere waits for a doubt to be settled.
    fn assert_whole(&mut self) {
        let unread = self.kernel.available(u32::MAX);
        let mut places: Vec<u64> = (0..unread).map(|ahead| self.kernel.get(ahead).unwrap()).collect();
        places.extend(&self.read);
        places.extend(self.free.iter().map(|token| self.umem.place_of(token)));
        places.sort_unstable();
        assert!(places.is_sorted_by(|one, next| one < next), "{places:?}");
        let is_nowhere = |address: &u64| places.binary_search(address).is_err();
        let nowhere: Vec<u64> = (0..u64::from(FRAMES))
            .map(|frame| frame * 2048)
            .filter(is_nowhere)
            .collect();
        assert_eq!(nowhere.len(), self.doubts().len());
        for Doubt { stood, put } in self.doubts() {
            assert!(nowhere.contains(stood) || nowhere.contains(put), "{stood:#x}, {put:#x}");
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..12_u32).prop_map(Step::Read),
        1 => Just(Step::Say),
        3 => (1..12_usize).prop_map(Step::Return),
        3 => Just(Step::Refill),
    ]
}

proptest! {
    /// Whenever the kernel reads and says so, no frame is lost, none is in two places, and none of a doubt stays there.
    #[test]
    fn every_frame_is_in_one_place(start in any::<u32>(), steps in prop::collection::vec(step(), 0..200)) {
        let mut bench = Bench::new(start);
        for step in steps {
            bench.step(&step);
            bench.assert_whole();
        }
        for _ in 0..8 {
            for step in [Step::Read(FRAMES), Step::Say, Step::Return(usize::MAX), Step::Refill] {
                bench.step(&step);
                bench.assert_whole();
            }
        }
        prop_assert!(bench.doubts().is_empty(), "{:?}", bench.doubts());
    }
}

#[test]
fn what_comes_back_is_read_again_soon() {
    const WARM: Distances = Distances { unsaid: 2, ..NEAR };
    let mut bench = Bench::new(7);
    bench.fill.keep_warm(WARM);
    let mut read = Vec::new();
    for _ in 0..100 {
        for step in [Step::Read(2), Step::Say] {
            bench.step(&step);
        }
        read.extend(bench.read.iter().copied());
        for step in [Step::Return(2), Step::Refill] {
            bench.step(&step);
        }
    }
    assert!(bench.doubts().is_empty(), "{:?}", bench.doubts());
    read.sort_unstable();
    read.dedup();
    assert!(read.len() <= 8, "{} of {FRAMES} frames for two at a time", read.len());
}

#[test]
fn one_of_two_that_comes_back_frees_the_other() {
    let mut bench = Bench::new(0);
    for step in [Step::Read(2), Step::Say, Step::Return(2), Step::Read(6)] {
        bench.step(&step);
    }
    // The kernel has read the places 6 and 7, has not said so, and keeps what stood there.
    bench.step(&Step::Refill);
    assert_eq!(bench.doubts().len(), 2, "{:?}", bench.doubts());
    bench.assert_whole();
    bench.step(&Step::Return(usize::MAX));
    assert!(bench.doubts().is_empty(), "{:?}", bench.doubts());
    assert_eq!(bench.free.len(), 6 + 2);
    bench.assert_whole();
}

#[test]
fn a_place_that_was_read_and_came_back_is_no_doubt() {
    let mut bench = Bench::new(0);
    for step in [Step::Read(2), Step::Say, Step::Read(6), Step::Return(8), Step::Refill] {
        bench.step(&step);
    }
    assert_eq!(bench.free.len(), 6, "there is room for two");
    assert!(bench.doubts().is_empty(), "{:?}", bench.doubts());
    bench.assert_whole();
}

/// A kernel in a thread of its own, which reads on while entries are changed.
#[test]
fn no_frame_is_lost_while_the_kernel_reads_on() {
    const PACKETS: u32 = 200_000;
    let (fill, mut kernel_fill, _fill_memory) = ring(FRAMES, 0);
    let (mut kernel_rx, rx, _rx_memory) = ring::<Desc>(FRAMES, 0);
    let (umem, tokens) = Umem::new(FRAMES, 2048, false).unwrap();
    let mut receive = Receive::new(rx, fill, umem, tokens);
    receive.keep_warm(NEAR);
    let is_done = AtomicBool::new(false);
    let mut taken = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut unsaid = 0;
            while !is_done.load(Ordering::Acquire) {
                // It says what it has read before it looks for more.
                kernel_fill.publish();
                if unsaid == 0 && kernel_fill.available(1) == 0 {
                    thread::yield_now();
                }
                unsaid = 0;
                while unsaid < NEAR.unsaid && kernel_fill.available(1) > 0 && kernel_rx.free(1) > 0 {
                    let addr = kernel_fill.get(0).unwrap();
                    kernel_fill.advance(1);
                    unsaid += 1;
                    let packet = Desc {
                        addr: addr + u64::from(HEADROOM + STAMP_ROOM),
                        len: 60,
                        options: 0,
                    };
                    kernel_rx.push(packet).unwrap();
                }
                kernel_rx.publish();
            }
        });
        let mut empty = Duration::ZERO;
        while taken < PACKETS && empty < Duration::from_secs(10) {
            let mut batch = receive.peek(16);
            let mut came = 0;
            while let Some(packet) = batch.next_packet() {
                packet.release();
                came += 1;
            }
            batch.release();
            receive.refill();
            taken += came;
            if came == 0 {
                thread::sleep(Duration::from_micros(10));
                empty += Duration::from_micros(10);
            } else {
                empty = Duration::ZERO;
            }
        }
        is_done.store(true, Ordering::Release);
    });
    assert!(taken >= PACKETS, "{taken}: frames have gone");
    assert_eq!(
        receive.counters().bad_descriptors.get(),
        0,
        "a frame that was not the kernel's"
    );
}
