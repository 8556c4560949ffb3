//! The spool without its thread: a lane and a writer driven by hand, with the clock in the test's hand too.

mod files;
mod lane;
mod leftovers;
mod name;
mod record;
mod retention;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::counters::SpoolCounters;
use super::lane::{Exchange, SpoolLane};
use super::name::Names;
use super::retention::Limits;
use super::series::Rules;
use super::writer::Writer;
use crate::config::{self, Format};
use crate::frame::{Frame, Keep, LinkType};
use crate::source::CaptureFile;
use crate::time::Timestamp;

/// 2026-11-21T09:00:00Z.
const NINE: Timestamp = Timestamp::from_nanos(1_795_251_600_000_000_000);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn frame(ts: Timestamp, bytes: &[u8]) -> Frame<'_> {
    Frame {
        ts,
        link: LinkType::Ethernet,
        wire_len: bytes.len() as u32,
        bytes,
    }
}

fn config(directory: &Path, format: Format) -> config::Spool {
    config::Spool {
        directory: directory.to_owned(),
        format,
        chunk_size: 2_048,
        chunks: 4,
        ..config::Spool::default()
    }
}

/// One lane and the writer behind it.
struct Bench {
    lane: SpoolLane,
    writer: Writer,
    counters: Arc<SpoolCounters>,
    directory: PathBuf,
}

impl Bench {
    fn new(config: &config::Spool) -> Self {
        let counters = Arc::new(SpoolCounters::new(1, NINE));
        let exchange = Arc::new(Exchange::new(config.chunks, config.chunk_size));
        let lane = SpoolLane::new(
            Arc::clone(&exchange),
            Arc::clone(&counters.lanes[0]),
            config.format,
            config.chunk_size,
            config.flush_interval,
        );
        let rules = Rules {
            directory: config.directory.clone(),
            names: Names::new(&config.template, "eth0").unwrap(),
            format: config.format,
            header: super::record::file_header(config.format, "eth0").unwrap(),
            rotate_size: config.rotate_size,
            rotate_interval: config.rotate_interval,
            flush_interval: config.flush_interval,
        };
        let limits = Limits {
            max_total: config.max_total,
            max_age: config.max_age,
        };
        Self {
            lane,
            writer: Writer::new(rules, limits, vec![exchange], Arc::clone(&counters)),
            counters,
            directory: config.directory.clone(),
        }
    }

    /// Keeps a frame and has it written at once, at the time of the frame.
    fn write(&mut self, ts: Timestamp, bytes: &[u8]) {
        self.lane.keep(&frame(ts, bytes), Keep::All);
        self.flush(ts);
    }

    /// Hands over what the lane holds and has it written.
    fn flush(&mut self, now: Timestamp) {
        self.lane.tick(now.plus(seconds(3600)));
        self.writer.drain(now);
    }

    /// Ends lane and writer as a stop does.
    fn stop(self) {
        self.lane.finish();
        self.writer.run();
    }
}

/// Names of the files in a folder, in order.
fn listed(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// The frames of a file: time and bytes.
fn frames(file: &Path) -> Vec<(Timestamp, Vec<u8>)> {
    let file = CaptureFile::open(file).unwrap();
    let frames = file.frames().map(|frame| frame.unwrap());
    frames.map(|frame| (frame.ts, frame.bytes.to_vec())).collect()
}
