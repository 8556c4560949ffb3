//! `siphon replay`: capture files through the same engine that live frames go through.

mod dealer;
mod together;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use self::dealer::Dealer;
use self::together::{Place, Together};
use crate::config::{Config, Follow};
use crate::engine::{self, Engine, Shared};
use crate::frame::Frame;
use crate::report::Document;
use crate::source::{self, CaptureFile, Merge, SourceError};
use crate::time::Timestamp;
use crate::worker;

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

/// Frames given to an engine at once, as many as a worker gives it. What is fetched of the file meanwhile comes while they are taken in.
const BATCH: usize = worker::BATCH as usize;

/// No engine is ahead of another by more packet time than this, so that the answer is the one in order: what frames of one
/// moment that come on several lanes may be apart.
const WINDOW: Duration = Duration::from_millis(50);

/// Reads `files` in order of time through one engine. Nothing is forgotten for its age: the question is what is in the
/// files, however much time they span. The caps of `[follow]` hold.
pub fn replay(files: &[PathBuf], config: &Config) -> Replayed {
    replay_by(files, config, 1)
}

/// The same through `jobs` engines (at least one), each with a thread of its own, for the same answer: frames between the same two
/// addresses go to the same engine, as a NIC with so many queues would deal them out. The caps of `[follow]` that are those of a lane
/// hold for each.
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
    let (mut engines, mut read): (Vec<_>, Vec<_>) = through(engines, &readable).into_iter().unzip();
    engine::finish(&mut engines);
    let counters: Vec<_> = engines.iter().map(Engine::counters).collect();
    let spans = counters.iter().filter_map(|counters| counters.span());
    let end = spans.map(|(_, last)| last).max().unwrap_or_default();
    let streams = engines.iter_mut().flat_map(Engine::streams).collect();
    let mut document = engine::document(&shared, &counters, streams, end);
    // Each has read them all.
    if let Some(frames) = read.pop() {
        let skipped: u64 = frames.skipped().values().sum();
        if skipped > 0 {
            document.drops.insert(LINK_TYPE.to_owned(), skipped);
        }
        errors.extend(frames.into_errors());
    }
    Replayed { document, errors }
}

/// The frames of the files through the engines, each with what it has read.
fn through(engines: Vec<Engine>, files: &[CaptureFile]) -> Vec<(Engine, Merge<'_>)> {
    let count = engines.len();
    let together = &Together::new(count);
    thread::scope(|scope| {
        let read = |(own, engine)| {
            scope.spawn(move || {
                let reader = Reader {
                    engine,
                    own,
                    engines: count,
                    place: together.place(own),
                };
                let mut frames = source::merge(files);
                (reader.read(frames.by_ref()), frames)
            })
        };
        let threads: Vec<_> = engines.into_iter().enumerate().map(read).collect();
        let ended = threads.into_iter().map(ScopedJoinHandle::join);
        let unwound = ended.map(|read| read.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        unwound.collect()
    })
}

/// One of the engines, with a thread of its own. Each reads all the files and takes in its share of the frames: to look at a frame of
/// another's takes less time than to hand it over would.
struct Reader<'a> {
    engine: Engine,
    own: usize,
    engines: usize,
    place: Place<'a>,
}

impl Reader<'_> {
    /// Reads `frames` to their end.
    fn read<'a>(mut self, frames: impl Iterator<Item = Frame<'a>>) -> Engine {
        let mut batch: Vec<Frame<'a>> = Vec::with_capacity(BATCH);
        let mut begun = Timestamp::ZERO;
        let mut dealer = Dealer::default();
        for frame in frames {
            // Also where time goes back.
            if frame.ts.since(begun) >= WINDOW || frame.ts < begun {
                self.gather(&mut batch);
                begun = frame.ts;
            }
            if self.engines > 1 {
                let (whose, others_first) = dealer.deal(&frame, self.engines);
                if others_first {
                    self.gather(&mut batch);
                }
                if whose != self.own {
                    continue;
                }
            }
            batch.push(frame);
            if batch.len() == BATCH {
                self.take(&mut batch);
            }
        }
        self.take(&mut batch);
        self.engine
    }

    /// Takes in a batch.
    fn take(&mut self, batch: &mut Vec<Frame<'_>>) {
        self.engine.frames(batch, |_, _| {});
        if let Some(last) = batch.last() {
            self.engine.tick(last.ts);
        }
        batch.clear();
    }

    /// Takes in what there is, and waits until the others have got as far.
    fn gather(&mut self, batch: &mut Vec<Frame<'_>>) {
        self.take(batch);
        self.place.end();
    }
}
