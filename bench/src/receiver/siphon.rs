//! siphon as an operator runs it, asked through its control socket.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use capture_daemon::control::{Identity, Stage as Counted, Status, Tally};
use rustix::process::Signal;
use xtask::lab::Scratch;
use xtask::lab::siphon::Siphon;

use super::{Counts, Receiver};
use crate::account::{Passage, Stage};
use crate::wire::Wire;

/// What the tables say it is.
pub(super) const COMMAND: &str = "siphon run --interface tap --no-spool";
/// And where it writes.
pub(super) const COMMAND_SPOOL: &str = "siphon run --interface tap --spool DIRECTORY";

/// How long it may take to end.
const END: Duration = Duration::from_secs(10);

/// A running siphon.
#[derive(Debug)]
pub(super) struct Running {
    siphon: Siphon,
    pid: u32,
    writes: bool,
}

impl Running {
    pub(super) fn start(wire: &Wire, program: &Path, scratch: &Scratch, writes: bool) -> Result<Self> {
        let more = if writes { "" } else { "enabled = false" };
        let siphon = Siphon::start(&wire.sensor, program, scratch.path(), more)?;
        let status = status(&siphon)?;
        let got = &status.attach;
        ensure!(got.got == "native", "siphon was attached {}: {:?}", got.got, got.why);
        Ok(Self {
            siphon,
            pid: status.pid,
            writes,
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
        let Identity {
            program,
            sockets,
            engine,
            spool,
        } = status(&self.siphon)?.identity;
        let mut passages = vec![
            // What it filters is none of it captured, and the load holds nothing that it should filter.
            Passage::new(
                Stage::Program,
                program.seen,
                lost(&program) + count(&program.passed, "filtered"),
            ),
            Passage::new(Stage::Socket, sockets.seen, lost(&sockets)),
            Passage::new(Stage::Worker, engine.seen, lost(&engine)),
        ];
        // Every outcome: the first packets of a stream that no SDP announced are not yet called RTP.
        let mut captured = engine.passed.values().sum();
        if self.writes {
            passages.push(Passage::new(Stage::Spool, spool.seen, lost(&spool)));
            captured = count(&spool.passed, "written");
        }
        Ok(Counts { passages, captured })
    }

    fn is_in_the_stack(&self) -> bool {
        false
    }

    fn stop(mut self: Box<Self>) -> Result<()> {
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
