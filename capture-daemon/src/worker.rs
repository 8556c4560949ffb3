//! One lane's thread: takes frames from the ring, runs each to completion through engine and spool, gives them back.
//!
//! Pinned to a CPU, it owns everything it touches. What others want to know they read from counters, or ask through the
//! lane's inbox, which is answered in small pieces between two batches, so that no question delays capture.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::Receiver;
use tokio::sync::oneshot;

use crate::engine::Engine;
use crate::intake::Intake;
use crate::report;
use crate::spool::SpoolLane;
use crate::time::Timestamp;
use crate::xsk::prefetch::fetch;
use crate::xsk::{Clock, LaneError};

/// Packets taken from the ring at once: enough to share the cost of the ring's barriers, few enough to stay in L1.
pub const BATCH: u32 = 64;

/// Niceness of a worker that goes before others: it weighs nine times as much as an ordinary thread (sched_prio_to_weight,
/// kernel/sched/core.c), and everything else on its CPU still runs.
pub const NICENESS: i32 = -10;

/// The slice of such a worker, the shortest there is (__setparam_fair, kernel/sched/fair.c).
pub const WORKER_SLICE: Duration = Duration::from_micros(100);

/// Streams copied out for a question between two batches.
const ANSWERED_AT_ONCE: usize = 64;

/// How long a quiet worker sleeps in poll(2) before it looks at its clock and inbox again.
const QUIET: Duration = Duration::from_millis(50);

/// How long a worker naps when the ring is empty but was not so a moment ago: a wake-up for each of the kernel's rounds
/// costs more than it gains, and the ring holds many naps' worth.
const NAP: Duration = Duration::from_micros(250);

/// Empty looks at the ring before a busy worker counts as quiet.
const NAPS_BEFORE_QUIET: u32 = 40;

/// Empty looks at the ring, a nap apart, before a stopped worker believes it: the detach does not wait for the rounds in
/// which other CPUs still run the program (generic_xdp_install, net/core/dev.c).
const LOOKS_BEFORE_DRAINED: u32 = 8;

/// How long a stopped worker waits for the spool's writer, in all: the daemon is to end within two seconds.
const DRAIN_PATIENCE: Duration = Duration::from_millis(1_000);

/// Time between ticks of engine and spool.
const TICK: Duration = Duration::from_millis(100);

/// Ticks between looks at the wall clock and the socket's statistics.
const SLOW_TICKS: u32 = 10;

/// A question to a lane: which streams it follows.
#[derive(Debug)]
pub struct Question {
    /// Where they go, all at once.
    pub reply: oneshot::Sender<Vec<report::Stream>>,
}

/// What keeps a lane from capturing, for the control thread: absent while all is well.
pub type Fault = Arc<Mutex<Option<String>>>;

/// One lane at work.
#[derive(Debug)]
pub struct Worker<L> {
    lane: L,
    clock: Clock,
    engine: Engine,
    spool: Option<SpoolLane>,
    inbox: Receiver<Question>,
    answering: Option<Answering>,
    stop: Arc<AtomicBool>,
    fault: Fault,
    /// What went wrong since the fault was last written.
    trouble: Option<LaneError>,
    empty_looks: u32,
    ticks: u32,
    next_tick: Timestamp,
    /// The engine is at a tick: it does a piece of it between two batches.
    ticking: bool,
}

/// A question half answered.
#[derive(Debug)]
struct Answering {
    question: Question,
    streams: Vec<report::Stream>,
    cursor: usize,
}

impl<L: Intake> Worker<L> {
    /// A worker for `lane`. It ends when `stop` is set and the ring is empty.
    pub fn new(
        lane: L,
        engine: Engine,
        spool: Option<SpoolLane>,
        inbox: Receiver<Question>,
        stop: Arc<AtomicBool>,
        fault: Fault,
    ) -> Self {
        Self {
            lane,
            clock: Clock::new(),
            engine,
            spool,
            inbox,
            answering: None,
            stop,
            fault,
            trouble: None,
            empty_looks: 0,
            ticks: 0,
            next_tick: Timestamp::ZERO,
            ticking: false,
        }
    }

    /// Works until told to stop, and then until the ring is empty. The kernel program is detached before `stop` is set,
    /// so that an empty ring stays empty.
    pub fn run(mut self) {
        while !self.stop.load(Ordering::Acquire) {
            let taken = self.take(BATCH);
            self.lane.refill();
            self.rest(taken);
            self.answer();
            self.tick();
        }
        self.drain();
        self.finish();
    }

    /// Takes what is left in the ring and what the kernel still keeps to itself, at the pace of the spool's writer. No place is
    /// given back to the kernel, so this ends with the ring's last frame even where the program could not be detached.
    #[cold]
    fn drain(&mut self) {
        let until = Instant::now() + DRAIN_PATIENCE;
        let mut empty_looks = 0;
        let unseen = Instant::now() + self.lane.lag();
        while empty_looks < LOOKS_BEFORE_DRAINED || Instant::now() < unseen {
            while self.spool.as_ref().is_some_and(|spool| !spool.has_room()) && Instant::now() < until {
                thread::sleep(NAP);
            }
            if self.take(1) == 0 {
                empty_looks += 1;
                thread::sleep(NAP);
            } else {
                empty_looks = 0;
            }
        }
    }

    /// One batch of at most `max` frames: each through the engine and into the spool, and back.
    #[inline]
    fn take(&mut self, max: u32) -> u32 {
        let Self {
            lane,
            clock,
            engine,
            spool,
            ..
        } = self;
        lane.take_together(max, clock, |frames| {
            // Another core wrote them, and they are copied whole, mostly.
            if spool.is_some() {
                frames.iter().for_each(|frame| fetch(frame.bytes));
            }
            engine.frames(frames, |frame, wanted| {
                if let Some(spool) = spool {
                    spool.keep(frame, wanted);
                }
            });
        })
    }

    /// Goes on at once after a full batch, naps while traffic may come back soon, sleeps in poll(2) when it is quiet.
    #[inline]
    fn rest(&mut self, taken: u32) {
        let woken = self.lane.wake_if_needed();
        if taken > 0 {
            self.empty_looks = 0;
        }
        if taken == BATCH || self.answering.is_some() || self.ticking {
            return;
        }
        self.empty_looks = self.empty_looks.saturating_add(1);
        if woken.is_ok() && self.empty_looks <= NAPS_BEFORE_QUIET && !self.lane.wakes_for_many() {
            thread::sleep(NAP);
        } else {
            self.sleep(woken);
        }
    }

    #[cold]
    fn sleep(&mut self, woken: Result<(), LaneError>) {
        if let Err(error) = woken.and_then(|()| self.lane.poll(QUIET)) {
            // Kept until it is told: the kernel tells it once only (sock_error, include/net/sock.h).
            self.trouble = Some(error);
            // The interface is down or gone, and poll(2) would return at once.
            thread::sleep(QUIET);
        }
    }

    /// Answers a piece of what was asked.
    #[inline]
    fn answer(&mut self) {
        if self.answering.is_none() {
            let Ok(question) = self.inbox.try_recv() else { return };
            self.answering = Some(Answering {
                question,
                streams: Vec::new(),
                cursor: 0,
            });
        }
        self.answer_slice();
    }

    #[cold]
    fn answer_slice(&mut self) {
        let Some(mut answering) = self.answering.take() else {
            return;
        };
        let slice = self.engine.streams_from(answering.cursor, ANSWERED_AT_ONCE);
        answering.streams.extend(slice.streams);
        match slice.next {
            Some(cursor) => self.answering = Some(Answering { cursor, ..answering }),
            // The asker may have gone away.
            None => drop(answering.question.reply.send(answering.streams)),
        }
    }

    /// Time passes for engine and spool; now and then, for the clock and the kernel's statistics.
    #[inline]
    fn tick(&mut self) {
        let now = self.clock.now();
        if self.ticking {
            self.ticking = self.engine.tick_a_little(now);
        }
        if now < self.next_tick && self.next_tick.since(now) <= TICK {
            return;
        }
        self.next_tick = now.plus(TICK);
        self.ticking = self.engine.tick_a_little(now);
        if let Some(spool) = &mut self.spool {
            spool.tick(now);
        }
        self.ticks = (self.ticks + 1) % SLOW_TICKS;
        if self.ticks == 0 {
            self.clock.recalibrate();
            self.lane.counters().clock_steps.set(self.clock.steps());
            let trouble = self.lane.read_statistics().err().or(self.trouble.take());
            *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = trouble.map(|error| error.to_string());
        }
    }

    fn finish(mut self) {
        if let Err(error) = self.lane.read_statistics() {
            tracing::error!("{error}");
        }
        if let Some(spool) = self.spool.take() {
            spool.finish();
        }
    }
}
