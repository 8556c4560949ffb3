//! `siphon replay`: capture files through the same engine that live frames go through.

mod dealer;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam::channel::{self, Receiver, Sender};

use self::dealer::Dealer;
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

/// Batches on their way to one engine.
const ON_THE_WAY: usize = 8;

/// Reads `files` in order of time through one engine. Nothing is forgotten for its age: the question is what is in the
/// files, however much time they span. The caps of `[follow]` hold.
pub fn replay(files: &[PathBuf], config: &Config) -> Replayed {
    replay_by(files, config, 1)
}

/// The same through `jobs` engines (at least one), each with a thread of its own, for the same answer: frames between the same
/// two addresses go to the same engine, as a NIC with so many queues would deal them out. The caps of `[follow]` that are
/// those of a lane hold for each.
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

/// The way to one engine and back.
struct Lane<'a> {
    batch: Vec<Frame<'a>>,
    full: Sender<Vec<Frame<'a>>>,
    empty: Receiver<Vec<Frame<'a>>>,
    on_the_way: usize,
    /// Batches that came back.
    spare: Vec<Vec<Frame<'a>>>,
}

impl<'a> Lane<'a> {
    /// Hands over what there is. A thread that is gone has panicked, which is told where it is waited for.
    fn hand_over(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        if self.on_the_way == ON_THE_WAY {
            self.take_back();
        }
        let next = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(BATCH));
        let full = std::mem::replace(&mut self.batch, next);
        self.on_the_way += usize::from(self.full.send(full).is_ok());
    }

    /// Waits until the engine has taken in all it was given.
    fn wait(&mut self) {
        while self.on_the_way > 0 {
            self.take_back();
        }
    }

    fn take_back(&mut self) {
        self.on_the_way -= 1;
        // Where the thread is gone, so is what it was given.
        self.spare.extend(self.empty.recv());
    }
}

/// The frames dealt out to several engines.
fn dealt<'a>(engines: Vec<Engine>, frames: impl Iterator<Item = Frame<'a>>) -> Vec<Engine> {
    thread::scope(|scope| {
        let (mut lanes, threads): (Vec<_>, Vec<_>) = engines
            .into_iter()
            .map(|mut engine| {
                let (full, given) = channel::bounded::<Vec<Frame<'a>>>(ON_THE_WAY);
                let (back, empty) = channel::bounded(ON_THE_WAY + 1);
                let thread = scope.spawn(move || {
                    for mut batch in given {
                        take(&mut engine, &batch);
                        batch.clear();
                        // Nobody waits for the last ones.
                        let _ = back.send(batch);
                    }
                    engine
                });
                let lane = Lane {
                    batch: Vec::with_capacity(BATCH),
                    full,
                    empty,
                    on_the_way: 0,
                    spare: Vec::new(),
                };
                (lane, thread)
            })
            .unzip();
        let mut begun = Timestamp::ZERO;
        let mut dealer = Dealer::default();
        for frame in frames {
            // Also where time goes back.
            if frame.ts.since(begun) >= WINDOW || frame.ts < begun {
                lanes.iter_mut().for_each(Lane::hand_over);
                lanes.iter_mut().for_each(Lane::wait);
                begun = frame.ts;
            }
            let (lane, others_first) = dealer.deal(&frame, lanes.len());
            if others_first {
                lanes.iter_mut().for_each(Lane::hand_over);
                lanes.iter_mut().for_each(Lane::wait);
            }
            if let Some(lane) = lanes.get_mut(lane) {
                lane.batch.push(frame);
                if lane.batch.len() == BATCH {
                    lane.hand_over();
                }
            }
        }
        lanes.iter_mut().for_each(Lane::hand_over);
        drop(lanes);
        let ended = threads.into_iter().map(|thread| {
            let engine = thread.join();
            engine.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        ended.collect()
    })
}
