//! What is compared. Each receiver is a process of its own on the wire's tap, with one CPU for all its threads, and is asked
//! for its counters from outside.

mod bare;
mod siphon;
mod tcpdump;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::thread::{CpuSet, sched_setaffinity};
use xtask::lab::Scratch;

use crate::account::{Account, Passage, Stage};
use crate::wire::{Sent, Wire};

pub use bare::{Bare, serve};

/// How long counters are waited for that do not add up yet.
const LIMIT: Duration = Duration::from_secs(30);

/// Between two looks at the counters. Each look costs siphon a request on its control socket.
const LOOK: Duration = Duration::from_millis(100);

/// A kind of receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `siphon run`, following every stream, spool off.
    Siphon,
    /// `siphon run`, writing every frame.
    SiphonSpool,
    /// siphon's rings and nothing behind them.
    Bare,
    /// tcpdump that throws everything away.
    Tcpdump,
    /// tcpdump writing every frame.
    TcpdumpFile,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Siphon,
        Self::SiphonSpool,
        Self::Bare,
        Self::Tcpdump,
        Self::TcpdumpFile,
    ];

    /// The name in tables.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Siphon => "siphon",
            Self::SiphonSpool => "siphon, to disk",
            Self::Bare => "bare AF_XDP loop",
            Self::Tcpdump => "tcpdump",
            Self::TcpdumpFile => "tcpdump, to disk",
        }
    }

    /// The command it runs, as one would type it.
    pub const fn command(self) -> &'static str {
        match self {
            Self::Siphon => siphon::COMMAND,
            Self::SiphonSpool => siphon::COMMAND_SPOOL,
            Self::Bare => bare::COMMAND,
            Self::Tcpdump => tcpdump::COMMAND,
            Self::TcpdumpFile => tcpdump::COMMAND_FILE,
        }
    }

    /// Starts one on the wire, on CPU `cpu` alone, and returns when it captures. What it writes goes to `scratch`.
    ///
    /// # Errors
    /// When it cannot be started or does not come up.
    pub fn start(
        self,
        wire: &Wire,
        programs: &Programs<'_>,
        scratch: &Scratch,
        cpu: usize,
    ) -> Result<Box<dyn Receiver>> {
        let start = || -> Result<Box<dyn Receiver>> {
            Ok(match self {
                Self::Siphon => Box::new(siphon::Running::start(wire, programs.siphon, scratch, false)?),
                Self::SiphonSpool => Box::new(siphon::Running::start(wire, programs.siphon, scratch, true)?),
                Self::Bare => Box::new(bare::Running::start(wire, programs.bench)?),
                Self::Tcpdump => Box::new(tcpdump::Running::start(wire, scratch, false)?),
                Self::TcpdumpFile => Box::new(tcpdump::Running::start(wire, scratch, true)?),
            })
        };
        pinned(cpu, start)
    }
}

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

    /// Whether the interface's own drops are its loss alone: not so with an XDP program, whose redirects the interface
    /// counts as dropped where the socket refuses them.
    fn is_in_the_stack(&self) -> bool;

    /// Ends it.
    ///
    /// # Errors
    /// When it does not end well.
    fn stop(self: Box<Self>) -> Result<()>;
}

/// Waits until every frame of the run is in one place, and is still there at the next look; after 30 seconds gives the account
/// as it is, which will not pass its check.
///
/// # Errors
/// When a counter cannot be read.
pub fn settle(wire: &Wire, receiver: &mut dyn Receiver, made: u64) -> Result<Account> {
    let deadline = Instant::now() + LIMIT;
    let mut before = None;
    loop {
        let account = account(wire, receiver, made)?;
        let is_whole = account.clone().check().is_ok();
        if (is_whole && before.as_ref() == Some(&account)) || Instant::now() > deadline {
            return Ok(account);
        }
        before = Some(account);
        std::thread::sleep(LOOK);
    }
}

/// All counters as they stand.
fn account(wire: &Wire, receiver: &mut dyn Receiver, made: u64) -> Result<Account> {
    let Sent { sent, refused } = wire.sent()?;
    let dropped = if receiver.is_in_the_stack() { wire.dropped()? } else { 0 };
    let Counts { passages, captured } = receiver.counts()?;
    let wire = [
        Passage::new(Stage::Veth, made, refused),
        Passage::new(Stage::Interface, sent, dropped),
    ];
    Ok(Account {
        passages: wire.into_iter().chain(passages).collect(),
        captured,
    })
}

/// Runs `start` on a thread pinned to `cpu`; processes inherit that (sched_setaffinity(2)).
fn pinned<T: Send>(cpu: usize, start: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let pinned = scope.spawn(|| {
            let mut cpus = CpuSet::new();
            cpus.set(cpu);
            sched_setaffinity(None, &cpus)?;
            start()
        });
        match pinned.join() {
            Ok(started) => started,
            Err(_) => bail!("starting a receiver panicked"),
        }
    })
}
