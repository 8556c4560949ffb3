//! `siphon replay`: capture files through the same engine that live frames go through.

mod dealer;
mod together;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam::channel::{self, Receiver, Sender};

use self::dealer::Dealer;
use self::together::{Place, Together};
use crate::config::{Config, Follow};
use crate::engine::{self, Engine, Shared};
use crate::frame::Frame;
use crate::report::Document;
use crate::source::{self, CaptureFile, SourceError};
use crate::time::Timestamp;

/// Key under which a document counts frames whose link type siphon does not read.
const LINK_TYPE: &str = "link_type";

/// What came of some files.
#[derive(Debug)]
pub struct Replayed {
    /// What is in the readable part of them.
    pub document: Document,
    /// Files that could not be read to their end, and where that was.
    pub errors: Vec<SourceError>,
}

/// Frames given to an engine at once.
const BATCH: usize = 256;

/// No engine is ahead of another by more packet time than this, so that the answer is the one in order: what frames of one
/// moment that come on several lanes may be apart.
const WINDOW: Duration = Duration::from_millis(50);

/// Batches on their way to one engine: more than a window of a busy file has, so that who deals out waits at its end and not within.
const ON_THE_WAY: usize = 32;

/// Reads `files` in order of time through one engine. Nothing is forgotten for its age: the question is what is in the
/// files, however much time they span. The caps of `[follow]` hold.
pub fn replay(files: &[PathBuf], config: &Config) -> Replayed {
    replay_by(files, config, 1)
}

/// The same through `jobs` engines (at least one), each with a thread of its own, one of which deals out too, for the same answer:
/// frames between the same two addresses go to the same engine, as a NIC with so many queues would deal them out. The caps of
/// `[follow]` that are those of a lane hold for each.
pub fn replay_by(files: &[PathBuf], config: &Config, jobs: usize) -> Replayed {
    let mut errors = Vec::new();
    let mut readable = Vec::new();
    for file in files {
        match CaptureFile::open(file) {
            Ok(file) => readable.push(file),
            Err(error) => errors.push(error),
        }
    }
    let follow = Follow {
        linger: Duration::MAX,
        ..config.follow.clone()
    };
    let shared = Shared::new(&follow)
        .with_privacy(&config.privacy)
        .with_rules(&config.rules, config.capture.level);
    let shared = Arc::new(shared);
    let engine = || Engine::new(&follow, &config.capture, Arc::clone(&shared));
    let engines: Vec<Engine> = std::iter::repeat_with(engine).take(jobs.max(1)).collect();
    let mut frames = source::merge(&readable);
    let mut engines = match <[Engine; 1]>::try_from(engines) {
        Ok([engine]) => vec![alone(engine, frames.by_ref())],
        Err(engines) => dealt(engines, frames.by_ref()),
    };
    engine::finish(&mut engines);
    let counters: Vec<_> = engines.iter().map(Engine::counters).collect();
    let spans = counters.iter().filter_map(|counters| counters.span());
    let end = spans.map(|(_, last)| last).max().unwrap_or_default();
    let streams = engines.iter_mut().flat_map(Engine::streams).collect();
    let mut document = engine::document(&shared, &counters, streams, end);
    let skipped: u64 = frames.skipped().values().sum();
    if skipped > 0 {
        document.drops.insert(LINK_TYPE.to_owned(), skipped);
    }
    errors.extend(frames.into_errors());
    Replayed { document, errors }
}

/// Takes in a batch.
fn take(engine: &mut Engine, frames: &[Frame<'_>]) {
    engine.frames(frames, |_, _| {});
    if let Some(last) = frames.last() {
        engine.tick(last.ts);
    }
}

/// All frames through one engine.
fn alone<'a>(mut engine: Engine, frames: impl Iterator<Item = Frame<'a>>) -> Engine {
    let mut batch: Vec<Frame<'a>> = Vec::with_capacity(BATCH);
    for frame in frames {
        let is_over = |first: &Frame<'_>| frame.ts.since(first.ts) >= WINDOW || frame.ts < first.ts;
        if batch.len() == BATCH || batch.first().is_some_and(is_over) {
            take(&mut engine, &batch);
            batch.clear();
        }
        batch.push(frame);
    }
    take(&mut engine, &batch);
    engine
}

/// What an engine with a thread of its own is given.
enum Given<'a> {
    Frames(Vec<Frame<'a>>),
    /// What comes behind is taken in when all engines have taken in what came before.
    Together,
}

/// The frames for one engine.
struct Lane<'a> {
    batch: Vec<Frame<'a>>,
    way: Way<'a>,
}

/// The way to an engine and back.
enum Way<'a> {
    /// The engine of the thread that deals: there are as many threads as engines, and no CPU has two to run.
    Own(Box<Engine>),
    Thread {
        given: Sender<Given<'a>>,
        empty: Receiver<Vec<Frame<'a>>>,
        on_the_way: usize,
        /// Batches that came back.
        spare: Vec<Vec<Frame<'a>>>,
    },
}

impl Lane<'_> {
    /// Hands over what there is. A thread that is gone has panicked, which is told where it is waited for.
    fn hand_over(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        match &mut self.way {
            Way::Own(engine) => {
                take(engine, &self.batch);
                self.batch.clear();
            }
            Way::Thread {
                given,
                empty,
                on_the_way,
                spare,
            } => {
                if *on_the_way == ON_THE_WAY {
                    *on_the_way -= 1;
                    // Where the thread is gone, so is what it was given.
                    spare.extend(empty.recv());
                }
                let next = spare.pop().unwrap_or_else(|| Vec::with_capacity(BATCH));
                let full = std::mem::replace(&mut self.batch, next);
                *on_the_way += usize::from(given.send(Given::Frames(full)).is_ok());
            }
        }
    }
}

/// Has all engines take in what they were given so far before anything else.
fn gather(lanes: &mut [Lane<'_>], own: &mut Place<'_>) {
    // Those with threads have theirs on the way while this one takes in its own.
    for lane in lanes.iter_mut().rev() {
        lane.hand_over();
        if let Way::Thread { given, .. } = &lane.way {
            // Nobody waits for a thread that is gone.
            let _ = given.send(Given::Together);
        }
    }
    own.end();
}

/// The frames dealt out to several engines, the first of which is this thread's.
fn dealt<'a>(engines: Vec<Engine>, frames: impl Iterator<Item = Frame<'a>>) -> Vec<Engine> {
    let together = Together::new(engines.len());
    thread::scope(|scope| {
        let mut own = together.place(0);
        let mut threads = Vec::with_capacity(engines.len());
        let mut lanes: Vec<Lane<'a>> = Vec::with_capacity(engines.len());
        for (number, mut engine) in engines.into_iter().enumerate() {
            let way = if number == 0 {
                Way::Own(Box::new(engine))
            } else {
                let (given, to_take) = channel::bounded::<Given<'a>>(ON_THE_WAY);
                let (back, empty) = channel::bounded(ON_THE_WAY + 1);
                let mut place = together.place(number);
                threads.push(scope.spawn(move || {
                    for given in to_take {
                        match given {
                            Given::Frames(mut batch) => {
                                take(&mut engine, &batch);
                                batch.clear();
                                // Nobody waits for the last ones.
                                let _ = back.send(batch);
                            }
                            Given::Together => place.end(),
                        }
                    }
                    engine
                }));
                Way::Thread {
                    given,
                    empty,
                    on_the_way: 0,
                    spare: Vec::new(),
                }
            };
            lanes.push(Lane {
                batch: Vec::with_capacity(BATCH),
                way,
            });
        }
        let mut begun = Timestamp::ZERO;
        let mut dealer = Dealer::default();
        for frame in frames {
            // Also where time goes back.
            if frame.ts.since(begun) >= WINDOW || frame.ts < begun {
                gather(&mut lanes, &mut own);
                begun = frame.ts;
            }
            let (lane, others_first) = dealer.deal(&frame, lanes.len());
            if others_first {
                gather(&mut lanes, &mut own);
            }
            if let Some(lane) = lanes.get_mut(lane) {
                lane.batch.push(frame);
                if lane.batch.len() == BATCH {
                    lane.hand_over();
                }
            }
        }
        lanes.iter_mut().rev().for_each(Lane::hand_over);
        drop(own);
        // Their threads end when their lanes are gone.
        let here = lanes.into_iter().find_map(|lane| match lane.way {
            Way::Own(engine) => Some(*engine),
            Way::Thread { .. } => None,
        });
        let ended = threads.into_iter().map(|thread| {
            let engine = thread.join();
            engine.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        here.into_iter().chain(ended).collect()
    })
}
