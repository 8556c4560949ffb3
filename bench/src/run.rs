//! One measured run: a fresh wire, one receiver, one load.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use xtask::lab::Scratch;

use crate::account::Conserved;
use crate::cpu::{self, CpuTime};
use crate::generator::{Generator, Load, Made};
use crate::receiver::{self, Kind, Programs};
use crate::wire::{LOAD, Wire};

/// The CPU that makes the frames and does the receiving veth's softirq work.
pub const GENERATOR_CPU: usize = 0;

/// The CPU the receiver has for all its threads.
pub const RECEIVER_CPU: usize = 1;

/// A run in which every frame is accounted for.
#[derive(Clone, Debug)]
pub struct Run {
    /// Where the frames went.
    pub account: Conserved,
    /// Seconds from the first frame made to the last.
    pub seconds: f64,
    /// What the receiver used, from before the first frame until its counters stood still.
    pub cpu: CpuTime,
    /// The part of the machine, 0 to 1, that neither generator nor receiver used while the load ran: other processes, and
    /// the kernel's own threads, which write files back.
    pub others: f64,
}

impl Run {
    /// Frames made per second.
    pub fn offered(&self) -> f64 {
        self.account.made() as f64 / self.seconds
    }

    /// Frames captured, per second of the load.
    pub fn captured(&self) -> f64 {
        self.account.captured() as f64 / self.seconds
    }

    /// Nanoseconds of user time per captured frame; `None` where nothing was captured.
    pub fn user_ns(&self) -> Option<f64> {
        self.per_frame(self.cpu.user)
    }

    /// Nanoseconds of the receiver's own system time per captured frame.
    pub fn system_ns(&self) -> Option<f64> {
        self.per_frame(self.cpu.system)
    }

    fn per_frame(&self, seconds: f64) -> Option<f64> {
        let captured = self.account.captured();
        (captured > 0).then(|| seconds * 1e9 / captured as f64)
    }
}

/// A run in which others had more of the machine than this is disturbed.
const DISTURBED: f64 = 0.05;

/// The machine is watched this long to see whether it is at rest.
const LOOK: Duration = Duration::from_millis(500);

/// Measures as [`measure`] does, with the machine at rest as far as that can be had: rest is waited for, and a run that
/// others disturb is made again, until `patience` is used up. What decides is their CPU time alone, never the figures.
/// Also returns how many runs were made again.
///
/// # Errors
/// As [`measure`].
pub fn measure_at_rest(
    generator: &mut Generator,
    kind: Kind,
    programs: &Programs<'_>,
    load: Load,
    patience: &mut Duration,
) -> Result<(Run, u32)> {
    let mut made_again = 0;
    loop {
        let begun = Instant::now();
        wait_for_rest(*patience)?;
        *patience = patience.saturating_sub(begun.elapsed());
        let begun = Instant::now();
        let run = measure(generator, kind, programs, load)?;
        if run.others <= DISTURBED || patience.is_zero() {
            return Ok((run, made_again));
        }
        *patience = patience.saturating_sub(begun.elapsed());
        made_again += 1;
    }
}

/// Waits until the machine does nothing, or patience is at its end.
fn wait_for_rest(patience: Duration) -> Result<()> {
    let waiting = Instant::now();
    while waiting.elapsed() < patience {
        let (begun, before) = (Instant::now(), cpu::busy()?);
        thread::sleep(LOOK);
        let all = begun.elapsed().as_secs_f64() * thread::available_parallelism()?.get() as f64;
        if cpu::busy()? - before <= all * DISTURBED {
            break;
        }
    }
    Ok(())
}

/// Measures `kind` under `load`.
///
/// # Errors
/// When something cannot be started, or a frame is not accounted for: then there is no figure.
pub fn measure(generator: &mut Generator, kind: Kind, programs: &Programs<'_>, load: Load) -> Result<Run> {
    let wire = Wire::new()?;
    let scratch = Scratch::new("bench")?;
    let mut receiver = kind.start(&wire, programs, &scratch, RECEIVER_CPU)?;
    let before = CpuTime::of(receiver.pid())?;
    let watch = Watch::start(receiver.pid())?;
    let made = generator.send(&wire.source, LOAD, GENERATOR_CPU, load)?;
    let others = watch.others(made.cpu)?;
    let Made { frames, seconds, .. } = made;
    let account = receiver::settle(&wire, receiver.as_mut(), frames)?;
    let cpu = CpuTime::of(receiver.pid())? - before;
    let account = account.check()?;
    receiver.stop()?;
    ensure!(seconds > 0.0, "a load of no duration has no rate: {load:?}");
    // What was written is not to be written back during the next run.
    clear(scratch)?;
    Ok(Run {
        account,
        seconds,
        cpu,
        others,
    })
}

/// Watches what the machine does beside generator and receiver.
#[derive(Debug)]
struct Watch {
    receiver: u32,
    begun: Instant,
    busy: f64,
    cpu: CpuTime,
}

impl Watch {
    fn start(receiver: u32) -> Result<Self> {
        Ok(Self {
            receiver,
            begun: Instant::now(),
            busy: cpu::busy()?,
            cpu: CpuTime::of(receiver)?,
        })
    }

    /// The part of all CPUs' time since the start that went to others than the receiver and the generator, which used
    /// `generator` seconds. The kernel counts in ticks, so that it may come out a little below nothing.
    fn others(self, generator: f64) -> Result<f64> {
        let receiver = CpuTime::of(self.receiver)? - self.cpu;
        let others = cpu::busy()? - self.busy - receiver.total() - generator;
        let all = self.begun.elapsed().as_secs_f64() * thread::available_parallelism()?.get() as f64;
        Ok((others / all).max(0.0))
    }
}

/// Removes the files, and waits until the disk is at rest.
fn clear(scratch: Scratch) -> Result<()> {
    let disk = scratch.path().parent().unwrap_or(Path::new("/")).to_owned();
    drop(scratch);
    let directory = std::fs::File::open(&disk).with_context(|| format!("open {}", disk.display()))?;
    rustix::fs::syncfs(directory).with_context(|| format!("syncfs {}", disk.display()))
}
