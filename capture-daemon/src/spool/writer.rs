//! The one thread that writes: it takes full chunks from all lanes, writes them, and gives them back empty. It waits for
//! the disk; nobody waits for it.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;

use super::SpoolError;
use super::counters::{SpoolCounters, SpoolDrop, SpoolHealth};
use super::lane::{Chunk, Exchange};
use super::retention::{self, Limits};
use super::series::{Rules, Series};
use crate::time::Timestamp;

/// How often a failed write is tried again, and free space looked at.
const RETRY: Duration = Duration::from_secs(1);
/// How often retention looks at files although none was closed.
const RETENTION: Duration = Duration::from_secs(10);
/// The longest the writer sleeps: at 1.2 GB/s a lane fills some twenty chunks of a megabyte in it.
const LONGEST_NAP: Duration = Duration::from_millis(16);
const SHORTEST_NAP: Duration = Duration::from_millis(1);

/// Everything the writer's thread owns.
#[derive(Debug)]
pub(super) struct Writer {
    rules: Arc<Rules>,
    limits: Limits,
    lanes: Vec<(Arc<Exchange>, Series)>,
    counters: Arc<SpoolCounters>,
    /// The latest write, where it failed.
    failure: Option<Failure>,
    retained: Timestamp,
    measured: Timestamp,
    closed: u64,
}

#[derive(Clone, Copy, Debug)]
struct Failure {
    at: Timestamp,
    reason: SpoolDrop,
    /// Chunks are counted, not written, until it is time to try again.
    pausing: bool,
}

impl Writer {
    pub fn new(rules: Rules, limits: Limits, exchanges: Vec<Arc<Exchange>>, counters: Arc<SpoolCounters>) -> Self {
        let rules = Arc::new(rules);
        let series = |lane| Series::new(Arc::clone(&rules), Arc::clone(&counters), lane);
        let lanes = exchanges.into_iter().enumerate();
        Self {
            lanes: lanes.map(|(lane, exchange)| (exchange, series(lane))).collect(),
            rules,
            limits,
            counters,
            failure: None,
            retained: Timestamp::ZERO,
            measured: Timestamp::ZERO,
            closed: 0,
        }
    }

    /// The thread: until every lane has finished and all they kept is written or counted.
    pub fn run(mut self) {
        let mut nap = SHORTEST_NAP;
        loop {
            // Asked before the queues are emptied: what a lane handed over at its end is then found.
            let finished = self.lanes.iter().all(|(exchange, _)| exchange.is_finished());
            let busy = self.drain(wall_clock());
            self.tick(wall_clock());
            if finished {
                break;
            }
            nap = if busy { SHORTEST_NAP } else { (nap * 2).min(LONGEST_NAP) };
            thread::sleep(nap.min((self.rules.flush_interval / 8).max(SHORTEST_NAP)));
        }
        self.end(wall_clock());
    }

    /// Writes all chunks that wait, one of each lane in turn. Returns whether there were any.
    pub fn drain(&mut self, now: Timestamp) -> bool {
        let mut busy = false;
        loop {
            let mut found = false;
            for lane in 0..self.lanes.len() {
                self.counters.lanes[lane].writer.at_work.set(1);
                if let Some(mut chunk) = self.lanes[lane].0.full.pop() {
                    found = true;
                    self.counters.lanes[lane].writer.taken.add(chunk.frames);
                    self.write(lane, &chunk, now);
                    chunk.clear();
                    // Never full: it has room for every chunk there is.
                    let refused = self.lanes[lane].0.empty.push(chunk);
                    debug_assert!(refused.is_ok());
                }
                self.counters.lanes[lane].writer.at_work.set(0);
            }
            if !found {
                return busy;
            }
            busy = true;
        }
    }

    /// What is to be done also when no frames come.
    pub fn tick(&mut self, now: Timestamp) {
        for lane in 0..self.lanes.len() {
            let closed = self.lanes[lane].1.close_idle(now);
            self.note(closed, now);
        }
        if passed(self.measured, now, RETRY) {
            self.measured = now;
            for lane in 0..self.lanes.len() {
                let kept = self.lanes[lane].1.let_go_if_removed();
                self.note(kept, now);
            }
            if let Ok(space) = rustix::fs::statvfs(&self.rules.directory) {
                self.counters
                    .disk_free
                    .set(space.f_bavail.saturating_mul(space.f_frsize));
            }
        }
        if passed(self.retained, now, RETENTION) || self.counters.files_closed.get() != self.closed {
            self.retain(now);
        }
    }

    /// Ends all files.
    fn end(&mut self, now: Timestamp) {
        for lane in 0..self.lanes.len() {
            let closed = self.lanes[lane].1.close();
            self.note(closed, now);
        }
        self.retain(now);
    }

    fn retain(&mut self, now: Timestamp) {
        self.retained = now;
        self.closed = self.counters.files_closed.get();
        let open = self.lanes.iter().map(|(_, series)| series.open_bytes()).sum();
        match retention::retain(&self.rules.directory, &self.rules.names, self.limits, open, now) {
            Ok(removed) => {
                self.counters.files_removed.add(removed.files);
                self.counters.files_bytes.set(removed.left);
            }
            Err(error) => tracing::warn!(%error, "spool retention"),
        }
    }

    fn write(&mut self, lane: usize, chunk: &Chunk, now: Timestamp) {
        let counters = Arc::clone(&self.counters.lanes[lane]);
        if let Some(failure) = self.failure.filter(|failure| failure.pausing) {
            if !passed(failure.at, now, RETRY) {
                return counters.writer.drop_frames(failure.reason, chunk.frames);
            }
            // Perhaps there is something to make room with.
            self.retain(now);
        }
        let before = counters.writer.written_frames.get();
        let written = self.lanes[lane].1.write(chunk, now);
        let lost = chunk.frames - (counters.writer.written_frames.get() - before);
        match written {
            Ok(()) => {
                self.failure = None;
                if self.counters.set_health(SpoolHealth::Green { since: now }) {
                    tracing::info!("spool writes again");
                }
            }
            Err(error) => {
                let reason = error.reason();
                counters.writer.drop_frames(reason, lost);
                self.red(&error, now);
                if reason == SpoolDrop::WriteError {
                    // A file that cannot be written is ended as it is, and a new one begun at once.
                    let closed = self.lanes[lane].1.close();
                    self.note(closed, now);
                }
                self.failure = Some(Failure {
                    at: now,
                    reason,
                    pausing: reason == SpoolDrop::DiskFull || self.failure.is_some(),
                });
            }
        }
        if let Some(error) = self.lanes[lane].1.take_unclean() {
            self.note(Err(error), now);
        }
    }

    /// Takes note of a file that could not be ended as it should.
    fn note(&self, closed: Result<(), SpoolError>, now: Timestamp) {
        if let Err(error) = closed {
            tracing::warn!(%error, "spool file not closed cleanly");
            self.red(&error, now);
        }
    }

    fn red(&self, error: &SpoolError, now: Timestamp) {
        let reason = error.reason().label();
        let red = SpoolHealth::Red {
            since: now,
            reason,
            error: error.to_string(),
        };
        if self.counters.set_health(red) {
            tracing::error!(%error, reason, "spool cannot write; frames are counted as dropped");
        }
    }
}

impl Drop for Writer {
    /// A spool whose writer is gone must not look well.
    fn drop(&mut self) {
        if thread::panicking() {
            self.red(&SpoolError::Panicked, wall_clock());
        }
    }
}

impl SpoolError {
    /// What frames are counted under that this error keeps from the disk.
    fn reason(&self) -> SpoolDrop {
        let errno = match self {
            Self::Io { error, .. } => Errno::from_io_error(error),
            _ => None,
        };
        match errno {
            Some(Errno::NOSPC | Errno::DQUOT) => SpoolDrop::DiskFull,
            _ => SpoolDrop::WriteError,
        }
    }
}

/// Whether `pause` has passed since `since`; also where the clock was set back, so that nothing waits for it to catch up.
fn passed(since: Timestamp, now: Timestamp, pause: Duration) -> bool {
    now < since || now.since(since) >= pause
}

pub(super) fn wall_clock() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
}
