//! What is compared. Each receiver is a process of its own on the wire's tap, with one CPU for all its threads, and is asked
//! for its counters from outside.

mod bare;
mod kind;
mod siphon;
mod tcpdump;
mod tool;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::account::{Account, Passage, Stage};
use crate::wire::{Sent, Wire};

pub use bare::{Bare, discard, serve};
pub use kind::Kind;

/// How long counters are waited for that do not add up yet.
const LIMIT: Duration = Duration::from_secs(30);

/// A receiver that has taken in nothing more for so long has lost what it has not.
const STANDSTILL: Duration = Duration::from_secs(3);

/// Between two looks at the counters. Each look costs siphon a request on its control socket.
const LOOK: Duration = Duration::from_millis(100);

/// Frames of the umem, and entries of its rings, where a receiver is to have a buffer as large as those of the programs that are measured
/// beside it: 256 MiB.
const FRAMES: u32 = 131_072;

/// Our own programs.
#[derive(Clone, Copy, Debug)]
pub struct Programs<'a> {
    /// `siphon`, built in release with the kernel program inside.
    pub siphon: &'a Path,
    /// `bench` itself, which is also the bare loop.
    pub bench: &'a Path,
}

/// What a receiver counts: its own stages behind the interface, and what it captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Its stages, in order.
    pub passages: Vec<Passage>,
    /// Frames captured.
    pub captured: u64,
}

/// A receiver that runs.
pub trait Receiver: Send {
    /// Its process.
    fn pid(&self) -> u32;

    /// What it has counted so far. While frames are on their way the stages need not fit.
    ///
    /// # Errors
    /// When it has ended or does not answer.
    fn counts(&mut self) -> Result<Counts>;

    /// Waits until it has taken in the `frames` frames that were delivered to it, or until it seems that it will not.
    ///
    /// # Errors
    /// When it has ended or does not answer.
    fn wait_for_frames(&mut self, frames: u64) -> Result<()> {
        let (mut moved, mut before) = (Instant::now(), 0);
        loop {
            let captured = self.counts()?.captured;
            if captured >= frames || (captured == before && moved.elapsed() > STANDSTILL) {
                return Ok(());
            }
            if captured != before {
                (moved, before) = (Instant::now(), captured);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Whether it counts what it loses. Of one that does not, what it did not capture is taken as lost at its socket.
    fn counts_losses(&self) -> bool {
        true
    }

    /// Whether the interface's own drops are its loss alone: not so with an XDP program, whose redirects the interface
    /// counts as dropped where the socket refuses them.
    fn is_in_the_stack(&self) -> bool;

    /// Ends it.
    ///
    /// # Errors
    /// When it does not end well.
    fn stop(self: Box<Self>) -> Result<()>;
}

/// What was sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Made {
    /// Frames the generator made.
    pub frames: u64,
    /// Frames sent before that through a socket, such as announce the calls.
    pub announced: u64,
    /// Those of them that went into the other end's ring.
    pub delivered: u64,
}

/// Waits until every frame of the run is in one place, and is still there at the next look; when nothing has moved for 30 seconds
/// gives the account as it is, which will not pass its check.
///
/// # Errors
/// When a counter cannot be read.
pub fn settle(wire: &Wire, receiver: &mut dyn Receiver, made: Made) -> Result<Account> {
    let mut moved = Instant::now();
    let mut before = None;
    loop {
        let account = account(wire, receiver, made)?;
        if before.as_ref() != Some(&account) {
            moved = Instant::now();
            before = Some(account);
        } else if account.clone().check().is_ok() || moved.elapsed() > LIMIT {
            return Ok(account);
        }
        std::thread::sleep(LOOK);
    }
}

/// All counters as they stand.
fn account(wire: &Wire, receiver: &mut dyn Receiver, made: Made) -> Result<Account> {
    let Sent { sent, refused } = wire.sent()?;
    let dropped = if receiver.is_in_the_stack() { wire.dropped()? } else { 0 };
    let Counts { mut passages, captured } = receiver.counts()?;
    let came = sent + made.delivered;
    if !receiver.counts_losses() {
        let left = came.saturating_sub(dropped);
        passages.push(Passage::new(Stage::Sockets, left, left.saturating_sub(captured)));
    }
    let wire = [
        Passage::new(
            Stage::Veth,
            made.frames + made.announced,
            refused + made.announced.saturating_sub(made.delivered),
        ),
        Passage::new(Stage::Interface, came, dropped),
    ];
    Ok(Account {
        passages: wire.into_iter().chain(passages).collect(),
        captured,
    })
}

/// Runs `start` on a thread pinned to `cpu`; processes inherit that (sched_setaffinity(2)).
pub(crate) fn pinned<T: Send>(cpu: usize, start: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let pinned = scope.spawn(|| {
            let mut cpus = CpuSet::new();
            cpus.set(cpu);
            sched_setaffinity(None, &cpus)?;
            start()
        });
        match pinned.join() {
            Ok(started) => started,
            Err(_) => bail!("the pinned thread panicked"),
        }
    })
}
