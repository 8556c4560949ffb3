//! Memory made ready ahead of need. A page is zeroed when it is first touched, with huge pages two mebibytes at a time, and where a
//! hypervisor has to find them first that takes milliseconds: a worker whose calls grow in number is kept from its ring for so long.
//! So a thread of its own touches what the allocator will hand out next, and the next slots of the lanes' streams. All threads share
//! one arena for that, and what is given back is handed out before anything new (`.cargo/config.toml`).

use std::hint::black_box;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender};
use rustix::process::setpriority_process;

use super::placement::{self, Beside};
use crate::frontier::{Frontier, HUGE_PAGE};
use crate::xsk::sys;

/// Time to the next look where there was something to make ready. Where there was not it doubles, up to the longer: a core at rest is
/// not to notice.
const SOON: Duration = Duration::from_millis(10);
const LATER: Duration = Duration::from_millis(200);

/// A look that takes longer has made something ready.
const NOTHING: Duration = Duration::from_micros(200);

/// Niceness of a thread that runs when nobody else wants to.
const BEHIND: i32 = 19;

/// The thread. Dropped, it ends.
#[derive(Debug)]
pub struct Reserve {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Reserve {
    /// Bytes ready: what two and a half thousand calls take, or what a hiccup of the network adds to 35,000 streams at once.
    pub const AHEAD: usize = 16 << 20;

    /// Starts it, for the allocator's memory and that of these tables, on these CPUs, whose memory it becomes. Where it shares them with
    /// workers it goes behind everybody, and works while they nap: a worker that is at work would wait for it to the end of a tick.
    ///
    /// # Errors
    /// The errno of clone(2).
    pub fn start(frontiers: Vec<Arc<Frontier>>, Beside { cpus, shared }: Beside) -> io::Result<Self> {
        let (stop, stopped) = channel::bounded(1);
        let thread = thread::Builder::new().name("siphon-memory".to_owned()).spawn(move || {
            if let Err(errno) = placement::run_on(&cpus) {
                tracing::warn!("pin the thread that makes memory ready to CPUs {cpus:?}: {errno}");
            }
            // PRIO_PROCESS is the calling thread alone (setpriority(2), "C library/kernel differences").
            if shared && let Err(errno) = setpriority_process(None, BEHIND) {
                tracing::warn!("put the thread that makes memory ready behind others: {errno}");
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
    let mut pause = SOON;
    while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        let begun = Instant::now();
        make_ready();
        // Where this cannot be done, the worker touches the pages itself.
        tables.retain_mut(|table| match table.go_on() {
            Ok(()) => true,
            Err(error) => {
                tracing::info!("make the next streams' memory ready (MADV_POPULATE_WRITE): {error}");
                false
            }
        });
        pause = if begun.elapsed() > NOTHING {
            SOON
        } else {
            LATER.min(pause * 2)
        };
    }
}

impl Ahead {
    fn go_on(&mut self) -> io::Result<()> {
        let next = self.frontier.next(self.ready);
        populate(next.clone())?;
        self.ready = next.end;
        Ok(())
    }
}

/// A huge page at a time: whoever maps memory waits for each.
fn populate(pages: Range<usize>) -> io::Result<()> {
    for start in pages.clone().step_by(HUGE_PAGE) {
        sys::populate(start..pages.end.min(start + HUGE_PAGE))?;
    }
    Ok(())
}

/// Takes what comes next, has its pages there, and gives it back. Those that are there still cost next to nothing.
fn make_ready() {
    let next: Vec<u8> = Vec::with_capacity(Reserve::AHEAD);
    // A kernel that cannot leaves it to the workers.
    let _ = populate(Frontier::of(&next).all());
    black_box(&next);
}
