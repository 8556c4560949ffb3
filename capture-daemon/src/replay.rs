//! `siphon replay`: capture files through the same engine that live frames go through.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, Follow};
use crate::engine::{self, Engine, Shared};
use crate::report::Document;
use crate::source::{self, CaptureFile, SourceError};

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

/// Reads `files` in order of time through one engine. Nothing is forgotten for its age: the question is what is in the
/// files, however much time they span. The caps of `[follow]` hold.
pub fn replay(files: &[PathBuf], config: &Config) -> Replayed {
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
    let mut engine = Engine::new(&follow, &config.capture, Arc::clone(&shared));
    let mut frames = source::merge(&readable);
    for frame in frames.by_ref() {
        engine.frame(&frame);
        engine.tick(frame.ts);
    }
    engine.finish();
    let counters = engine.counters();
    let end = counters.span().map(|(_, last)| last).unwrap_or_default();
    let mut document = engine::document(&shared, &[counters], engine.streams(), end);
    let skipped: u64 = frames.skipped().values().sum();
    if skipped > 0 {
        document.drops.insert(LINK_TYPE.to_owned(), skipped);
    }
    errors.extend(frames.into_errors());
    Replayed { document, errors }
}
