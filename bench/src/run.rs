//! One measured run: a fresh wire, one receiver, one load.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::account::{Conserved, Stage};
use crate::calls::{self, Message};
use crate::cpu::{self, CpuTime};
use crate::generator::{Generator, Load};
use crate::live::Live;
use crate::receiver::{Kind, Programs};

/// The CPU that makes the frames and does the receiving veth's softirq work.
pub const GENERATOR_CPU: usize = 0;

/// The CPU the receiver has for all its threads.
pub const RECEIVER_CPU: usize = 1;

/// SIP messages a second that announce the calls before a load. Two in three are new to siphon and have SDP, and memory that is
/// touched for the first time may cost more than they do: no buffer is to have trouble with them.
const ANNOUNCED: u32 = 20_000;

/// What announces a call.
const ANNOUNCEMENT: [Message; 3] = [Message::Invite, Message::Answer, Message::Ack];

/// A run in which every frame is accounted for.
#[derive(Clone, Debug)]
pub struct Run {
    /// Where the frames went, those among them that announced the calls and began the streams.
    pub account: Conserved,
    /// How many did.
    pub announced: u64,
    /// Seconds from the first frame made to the last.
    pub seconds: f64,
    /// What the receiver used, from before the first frame until its counters stood still.
    pub cpu: CpuTime,
    /// The part of the machine, 0 to 1, that neither generator nor receiver used while the load ran: other processes, and
    /// the kernel's own threads, which write files back.
    pub others: f64,
}

impl Run {
    /// Frames of the load per second.
    pub fn offered(&self) -> f64 {
        self.account.made().saturating_sub(self.announced) as f64 / self.seconds
    }

    /// Frames of the load captured, per second of it.
    pub fn captured(&self) -> f64 {
        self.loaded() as f64 / self.seconds
    }

    /// Whether every single frame was captured.
    pub fn is_lossless(&self) -> bool {
        self.lost() == 0
    }

    /// Frames lost at any stage.
    pub fn lost(&self) -> u64 {
        Stage::ALL.iter().filter_map(|stage| self.account.lost(*stage)).sum()
    }

    /// Frames of the load that were captured.
    fn loaded(&self) -> u64 {
        self.account.captured().saturating_sub(self.announced)
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
        let captured = self.loaded();
        (captured > 0).then(|| seconds * 1e9 / captured as f64)
    }
}

/// A run in which others had more of the machine than this is disturbed.
const DISTURBED: f64 = 0.05;

/// The machine is watched this long to see whether it is at rest.
const LOOK: Duration = Duration::from_millis(500);

/// Measures as `measure` does, with the machine at rest as far as that can be had: rest is waited for, and a run that
/// others disturb is made again, until `patience` is used up. What decides is their CPU time alone, never the figures; where a
/// run writes files, the kernel's own threads write them back, which disturbs nobody. Also returns how many runs were made
/// again.
///
/// # Errors
/// As `measure`.
pub fn at_rest(patience: &mut Duration, mut measure: impl FnMut() -> Result<Run>) -> Result<(Run, u32)> {
    let mut made_again = 0;
    loop {
        let begun = Instant::now();
        wait_for_rest(*patience)?;
        *patience = patience.saturating_sub(begun.elapsed());
        let begun = Instant::now();
        let run = measure()?;
        if run.others <= DISTURBED || patience.is_zero() {
            return Ok((run, made_again));
        }
        *patience = patience.saturating_sub(begun.elapsed());
        made_again += 1;
    }
}

/// Waits until the machine does nothing, or patience is at its end.
///
/// # Errors
/// When /proc does not say.
pub fn wait_for_rest(patience: Duration) -> Result<()> {
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

/// Measures `kind` under `load`, once its calls have been announced by SIP and its streams have begun.
///
/// # Errors
/// When something cannot be started, or a frame is not accounted for: then there is no figure.
pub fn measure(generator: &mut Generator, kind: Kind, programs: &Programs<'_>, load: Load) -> Result<Run> {
    let mut live = Live::start(kind, *programs)?;
    let calls = load.streams.div_ceil(2);
    let announcements = (0..calls).flat_map(|call| ANNOUNCEMENT.map(|message| calls::frame(call, message)));
    live.send(ANNOUNCED, announcements)?;
    live.begin(generator, load)?;
    let before = live.cpu()?;
    let watch = Watch::start(live.pid())?;
    let made = live.load(generator, load)?;
    let others = watch.others(made.cpu)?;
    let account = live.account()?;
    let cpu = live.cpu()? - before;
    let announced = live.announced();
    live.stop()?;
    ensure!(made.seconds > 0.0, "a load of no duration has no rate: {load:?}");
    Ok(Run {
        account,
        announced,
        seconds: made.seconds,
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
