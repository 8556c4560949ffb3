//! siphon as an operator runs it, asked through its control socket.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use capture_daemon::config;
use capture_daemon::control::{Identity, Stage as Counted, Status, Tally};
use rustix::process::Signal;
use xtask::lab::Scratch;
use xtask::lab::mirror::TAP;
use xtask::lab::siphon::Siphon;

use super::{Counts, FRAMES, Receiver};
use crate::account::{Passage, Stage};
use crate::wire::Wire;

/// What it is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Follow every stream, keep nothing.
    Default,
    /// The same with a buffer as large as the others have.
    Tracking,
    /// Write every frame, with such a buffer.
    Writing,
    /// Measure RTP in the kernel.
    Measured,
    /// Have the kernel learn the endpoints of calls.
    Learned,
    /// Look on while the host gets every frame, and copy the headers of RTP.
    Host,
    /// Look on while the host gets every frame, and measure RTP in the kernel.
    HostMeasured,
}

impl Way {
    /// What the tables say it is.
    pub(super) const fn command(self) -> &'static str {
        match self {
            Self::Default => "siphon run --interface tap --no-spool",
            Self::Tracking => {
                "siphon run --interface tap --no-spool, with ring_entries = 131072 and umem_frames = 131072"
            }
            Self::Writing => {
                "siphon run --interface tap --spool DIRECTORY, with ring_entries = 131072 and umem_frames = 131072"
            }
            Self::Measured => "siphon run --interface tap --no-spool, with media = \"measured\"",
            Self::Learned => "siphon run --interface tap --no-spool, with media = \"learned\"",
            Self::Host => "siphon run --interface tap --no-spool, with mode = \"host\"",
            Self::HostMeasured => {
                "siphon run --interface tap --no-spool, with mode = \"host\" and media = \"measured\""
            }
        }
    }

    /// Whether the host has every frame too.
    const fn is_beside_the_host(self) -> bool {
        matches!(self, Self::Host | Self::HostMeasured)
    }

    /// Whether RTP is measured in the kernel.
    const fn measures_in_the_kernel(self) -> bool {
        matches!(self, Self::Measured | Self::HostMeasured)
    }

    /// Why this siphon cannot do it, or `None` where it can.
    pub(super) fn missing(self) -> Option<String> {
        let problems = config::parse(&self.configuration("/")).err()?;
        problems
            .first()
            .map(|problem| format!("not with this siphon: {problem}"))
    }

    /// The whole configuration file; `directory` is siphon's own.
    fn configuration(self, directory: &str) -> String {
        let capture = match self {
            Self::Default => String::new(),
            Self::Tracking | Self::Writing => format!("ring_entries = {FRAMES}\numem_frames = {FRAMES}\n"),
            Self::Measured => "media = \"measured\"\n".to_owned(),
            Self::Learned => "media = \"learned\"\n".to_owned(),
            Self::Host => "mode = \"host\"\n".to_owned(),
            Self::HostMeasured => "mode = \"host\"\nmedia = \"measured\"\n".to_owned(),
        };
        let enabled = self == Self::Writing;
        format!(
            "[capture]\ninterface = \"{TAP}\"\n{capture}[control]\nsocket = \"{directory}/siphon.sock\"\n\
             [metrics]\nenabled = false\n[spool]\ndirectory = \"{directory}/spool\"\nenabled = {enabled}\n"
        )
    }
}

/// The verdict of what was measured in the kernel.
const MEASURED: &str = "measured";

/// The outcome of RTP in the engine.
const RTP: &str = "rtp";

/// How long it may take to end.
const END: Duration = Duration::from_secs(10);

/// A running siphon.
#[derive(Debug)]
pub(super) struct Running {
    siphon: Siphon,
    pid: u32,
    way: Way,
}

impl Running {
    pub(super) fn start(wire: &Wire, program: &Path, scratch: &Scratch, way: Way) -> Result<Self> {
        let directory = scratch.path();
        let text = way.configuration(&directory.display().to_string());
        let siphon = Siphon::start_with(&wire.sensor, program, directory, &text, &[])?;
        let status = status(&siphon)?;
        let got = &status.attach;
        let best = if way.is_beside_the_host() { "tcx" } else { "native" };
        ensure!(got.got == best, "siphon was attached {}: {:?}", got.got, got.why);
        Ok(Self {
            siphon,
            pid: status.pid,
            way,
        })
    }
}

fn status(siphon: &Siphon) -> Result<Status> {
    let json = siphon.json(["status"])?;
    serde_json::from_value(json).context("the answer to `siphon status`")
}

impl Receiver for Running {
    fn pid(&self) -> u32 {
        self.pid
    }

    fn counts(&mut self) -> Result<Counts> {
        let Status {
            identity:
                Identity {
                    program,
                    sockets,
                    engine,
                    spool,
                },
            verdicts,
            ..
        } = status(&self.siphon)?;
        // What was measured in the kernel goes past all that comes behind it.
        let measured = count(&verdicts, MEASURED);
        let filtered = count(&program.passed, "filtered").saturating_sub(measured);
        let mut passages = vec![
            // What it filters is none of it captured, and the load holds nothing that it should filter.
            Passage::new(Stage::Program, program.seen, lost(&program) + filtered),
            Passage::new(Stage::Sockets, sockets.seen + measured, lost(&sockets)),
            Passage::new(Stage::Engine, engine.seen + measured, lost(&engine)),
        ];
        // Every outcome: the first packets of a stream that no SDP announced are not yet called RTP.
        let mut captured = engine.passed.values().sum::<u64>() + measured;
        if self.way == Way::Writing {
            passages.push(Passage::new(Stage::Spool, spool.seen, lost(&spool)));
            captured = count(&spool.passed, "written");
        }
        Ok(Counts { passages, captured })
    }

    fn is_in_the_stack(&self) -> bool {
        false
    }

    fn stop(mut self: Box<Self>) -> Result<()> {
        if self.way.measures_in_the_kernel() {
            let Status { identity, verdicts, .. } = status(&self.siphon)?;
            let (measured, crossed) = (count(&verdicts, MEASURED), count(&identity.engine.passed, RTP));
            ensure!(
                crossed <= measured / 100,
                "{crossed} packets of RTP crossed, and only {measured} were measured in the kernel"
            );
        }
        let status = self.siphon.stop(Signal::TERM, END)?;
        ensure!(status.success(), "siphon: {status}: {}", self.siphon.log());
        Ok(())
    }
}

/// Frames that a stage counts as lost. What is still inside it is neither lost nor behind it, so the account waits for it.
fn lost(stage: &Counted) -> u64 {
    stage.dropped.values().sum()
}

fn count(tally: &Tally, label: &str) -> u64 {
    tally.get(label).copied().unwrap_or_default()
}
