//! The thread that reads what the kernel program measures: a part of the map ten times a second, and all of it when it is
//! asked.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender};

use crate::config::Follow;
use crate::engine::{EngineCounters, Shared};
use crate::media::{MeasuredStreams, Seen};
use crate::outcome::Loss;
use crate::program::{Chunk, MeasuredMap, ReadError};
use crate::report;
use crate::worker::Question;
use crate::xsk::Clock;

/// Time between two parts.
const PAUSE: Duration = Duration::from_millis(100);

/// Streams of a part: all of 105,000 are seen every two and a half seconds.
const PART: usize = 4096;

/// Questions that may wait.
const INBOX: usize = 16;

/// What is measured in the kernel, as the control thread knows it.
#[derive(Clone, Debug)]
pub struct Account {
    /// What the streams come to; of engine's counters those of streams.
    pub counters: Arc<EngineCounters>,
    /// Streams there is room for.
    pub capacity: u32,
    /// Where it is asked.
    pub inbox: Sender<Question>,
}

/// The thread. Dropped, it ends.
#[derive(Debug)]
pub struct Measuring {
    account: Account,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread works with.
struct Reader {
    map: MeasuredMap,
    streams: MeasuredStreams,
    shared: Arc<Shared>,
    counters: Arc<EngineCounters>,
    /// The map could not be read the last time.
    failed: bool,
    clock: Clock,
    chunk: Chunk,
    /// Where the next part begins.
    cursor: Option<u32>,
}

impl Measuring {
    /// Starts it.
    ///
    /// # Errors
    /// The errno of clone(2).
    pub fn start(map: MeasuredMap, follow: &Follow, shared: &Arc<Shared>) -> io::Result<Self> {
        let streams = MeasuredStreams::new(follow);
        let counters = Arc::new(EngineCounters::of(streams.totals()));
        let (inbox, questions) = channel::bounded(INBOX);
        let (stop, stopped) = channel::bounded(1);
        let account = Account {
            counters: Arc::clone(&counters),
            capacity: map.capacity(),
            inbox,
        };
        let reader = Reader {
            map,
            streams,
            shared: Arc::clone(shared),
            counters,
            failed: false,
            clock: Clock::new(),
            chunk: Chunk::with_room(PART),
            cursor: None,
        };
        let thread = thread::Builder::new()
            .name("siphon-measured".to_owned())
            .spawn(move || reader.run(&questions, &stopped))?;
        Ok(Self {
            account,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// What the control thread is to know.
    pub fn account(&self) -> Account {
        self.account.clone()
    }
}

impl Drop for Measuring {
    fn drop(&mut self) {
        // The other end sees that there is no sender any more.
        self.stop = None;
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the thread that reads the map of streams panicked");
        }
    }
}

impl Reader {
    fn run(mut self, questions: &Receiver<Question>, stopped: &Receiver<()>) {
        loop {
            match stopped.recv_timeout(PAUSE) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
            let asked: Vec<Question> = questions.try_iter().collect();
            if !asked.is_empty() {
                let all = self.all();
                for question in asked {
                    // Who asked may have given up.
                    let _ = question.reply.send(all.clone());
                }
            }
            let read = self.part();
            self.note(&read);
        }
    }

    /// Says that the map cannot be read, once until it can be again.
    fn note(&mut self, read: &Result<(), ReadError>) {
        if let (Err(error), false) = (read, self.failed) {
            tracing::error!("{error}");
        }
        self.failed = read.is_err();
    }

    /// Sees the next part of the map.
    fn part(&mut self) -> Result<(), ReadError> {
        self.map.read(&mut self.cursor, &mut self.chunk)?;
        let Shared { endpoints, .. } = &*self.shared;
        let (losses, now, clock) = (&self.counters.losses, self.clock.now(), &self.clock);
        let wall = |nanos: u64| clock.wall(nanos);
        let mut over = Vec::new();
        for (key, state) in self.chunk.iter() {
            if self.streams.see(key, state, wall, now, endpoints, losses) == Seen::Over {
                over.push((*key, None));
            }
        }
        if self.cursor.is_none() {
            let crowded = self.streams.end_round(now);
            over.extend(crowded.into_iter().map(|key| (key, Some(Loss::StreamEvicted))));
        }
        for (key, loss) in over {
            if let Some(state) = self.map.take(&key)? {
                self.streams.end(&key, &state, wall, losses);
                if let Some(loss) = loss {
                    losses.count(loss);
                }
            }
        }
        for (call_id, sender, start, end) in self.streams.news() {
            self.shared.calls.hear(&call_id, sender, start, end);
        }
        self.counters.streams.set(self.streams.len() as u64);
        if self.cursor.is_none() {
            self.clock.recalibrate();
        }
        Ok(())
    }

    /// All streams, as they stand now.
    fn all(&mut self) -> Vec<report::Stream> {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let read = self.map.read(&mut cursor, &mut self.chunk);
            if read.is_err() {
                self.note(&read);
                return all;
            }
            let Shared { endpoints, .. } = &*self.shared;
            let (losses, clock) = (&self.counters.losses, &self.clock);
            let wall = |nanos: u64| clock.wall(nanos);
            let streams = self.chunk.iter();
            all.extend(streams.filter_map(|(key, state)| self.streams.report(key, state, wall, endpoints, losses)));
            if cursor.is_none() {
                return all;
            }
        }
    }
}
