//! Memory made ready ahead of need. A page is zeroed when it is first touched, with huge pages two mebibytes at a time, and where a
//! hypervisor has to find them first that takes milliseconds: a worker whose calls grow in number is kept from its ring for so long.
//! So a thread of its own touches what the allocator will hand out next, and the next slots of the lanes' streams. All threads share
//! one arena for that, and what is given back is handed out before anything new (`.cargo/config.toml`).

use std::hint::black_box;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender};

use super::placement;
use crate::frontier::{Frontier, HUGE_PAGE};
use crate::xsk::sys;

/// Bytes ready: what some six hundred calls take.
const AHEAD: usize = 4 << 20;

/// Time between two looks: enough for ten thousand new calls a second, and nothing that a core at rest would notice.
const PAUSE: Duration = Duration::from_millis(50);

/// Bytes of the smallest page.
const PAGE: usize = 4096;

/// The thread. Dropped, it ends.
#[derive(Debug)]
pub struct Reserve {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Reserve {
    /// Starts it, for the allocator's memory and that of these tables, on these CPUs, whose memory it becomes.
    ///
    /// # Errors
    /// The errno of clone(2).
    pub fn start(frontiers: Vec<Arc<Frontier>>, cpus: Vec<usize>) -> io::Result<Self> {
        let (stop, stopped) = channel::bounded(1);
        let thread = thread::Builder::new().name("siphon-memory".to_owned()).spawn(move || {
            if let Err(errno) = placement::run_on(&cpus) {
                tracing::warn!("pin the thread that makes memory ready to CPUs {cpus:?}: {errno}");
            }
            keep(&stopped, frontiers);
        })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        // The other end sees that there is no sender any more.
        self.stop = None;
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the thread that makes memory ready panicked");
        }
    }
}

/// A table's frontier, and where what is not ready begins.
struct Ahead {
    frontier: Arc<Frontier>,
    ready: usize,
}

fn keep(stopped: &Receiver<()>, frontiers: Vec<Arc<Frontier>>) {
    let begin = |frontier| Ahead { frontier, ready: 0 };
    let mut tables: Vec<Ahead> = frontiers.into_iter().map(begin).collect();
    while stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
        make_ready();
        // Where this cannot be done, the worker touches the pages itself.
        tables.retain_mut(|table| match table.go_on() {
            Ok(()) => true,
            Err(error) => {
                tracing::info!("make the next streams' memory ready (MADV_POPULATE_WRITE): {error}");
                false
            }
        });
    }
}

impl Ahead {
    fn go_on(&mut self) -> io::Result<()> {
        let next = self.frontier.next(self.ready);
        // A huge page at a time: whoever maps memory waits for each.
        for start in next.clone().step_by(HUGE_PAGE) {
            sys::populate(start..next.end.min(start + HUGE_PAGE))?;
        }
        self.ready = next.end;
        Ok(())
    }
}

/// Takes what comes next, touches each page, and gives it back. What was touched before and is still there costs next to nothing.
fn make_ready() {
    let mut next: Vec<u8> = Vec::with_capacity(AHEAD);
    for page in next.spare_capacity_mut().chunks_mut(PAGE) {
        if let Some(byte) = page.first_mut() {
            byte.write(0);
        }
    }
    black_box(&mut next);
}
