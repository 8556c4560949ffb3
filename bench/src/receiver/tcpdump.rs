//! tcpdump, which reads an AF_PACKET ring (TPACKET_V3) through libpcap and counts what it read, and what the ring took in
//! and lost.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use xtask::lab::mirror::TAP;
use xtask::lab::process::wait_for;
use xtask::lab::{Process, Scratch};

use super::{Counts, Receiver};
use crate::account::{Passage, Stage};
use crate::wire::Wire;

/// What the tables say it is: a buffer of 256 MiB, no names, nobody else's rights.
pub(super) const COMMAND: &str = "tcpdump -i tap -n -B 262144 -Z root -w /dev/null";
/// And where it writes.
pub(super) const COMMAND_FILE: &str = "tcpdump -i tap -n -B 262144 -Z root -w FILE";

/// How long it may take to come up, to answer, and to end.
const LIMIT: Duration = Duration::from_secs(10);

/// A running tcpdump.
#[derive(Debug)]
pub(super) struct Running {
    process: Process,
    stderr: PathBuf,
}

/// What it prints on SIGUSR1 (tcpdump(8)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Printed {
    captured: u64,
    received: u64,
    dropped: u64,
}

impl Running {
    pub(super) fn start(wire: &Wire, scratch: &Scratch, writes: bool) -> Result<Self> {
        let stderr = scratch.path().join("tcpdump.stderr");
        let file = if writes {
            scratch.path().join("tcpdump.pcap")
        } else {
            PathBuf::from("/dev/null")
        };
        let mut command = wire.sensor.command("tcpdump");
        command
            .args(["-i", TAP, "-n", "-B", "262144", "-Z", "root", "-w"])
            .arg(file)
            .stdin(Stdio::null())
            .stderr(File::create(&stderr).with_context(|| format!("make {}", stderr.display()))?);
        let mut running = Self {
            process: Process::spawn(&mut command)?,
            stderr,
        };
        wait_for("tcpdump to listen", LIMIT, || {
            let text = running.text()?;
            if !running.process.is_running()? {
                bail!("tcpdump has ended: {text}");
            }
            Ok(text.contains("listening on").then_some(()))
        })?;
        Ok(running)
    }

    fn text(&self) -> Result<String> {
        fs::read_to_string(&self.stderr).with_context(|| format!("read {}", self.stderr.display()))
    }
}

impl Receiver for Running {
    fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn counts(&mut self) -> Result<Counts> {
        let before = self.text()?.len();
        self.process.signal(Signal::USR1)?;
        let printed = wait_for("tcpdump to print its counts", LIMIT, || {
            Ok(self.text()?.get(before..).and_then(parse))
        })?;
        // The kernel counts a frame as received whether the ring has room for it or not (packet_getsockopt,
        // net/packet/af_packet.c).
        Ok(Counts {
            passages: vec![Passage::new(Stage::Sockets, printed.received, printed.dropped)],
            captured: printed.captured,
        })
    }

    fn is_in_the_stack(&self) -> bool {
        true
    }

    fn stop(mut self: Box<Self>) -> Result<()> {
        let status = self.process.stop(Signal::INT, LIMIT)?;
        ensure!(status.success(), "tcpdump: {status}: {}", self.text()?);
        Ok(())
    }
}

/// The counts, where all of them have been printed.
fn parse(text: &str) -> Option<Printed> {
    let count = |what: &str| {
        let mut parts = text.split([':', ',', '\n']).map(str::trim);
        let part = parts.find(|part| part.ends_with(what))?;
        part.split_whitespace().next()?.parse().ok()
    };
    Some(Printed {
        captured: count("captured")?,
        received: count("received by filter")?,
        dropped: count("dropped by kernel")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_are_read_once_they_are_whole() {
        let text = "tcpdump: 10 packets captured, 12 packets received by filter, 2 packets dropped by kernel\n";
        let expected = Printed {
            captured: 10,
            received: 12,
            dropped: 2,
        };
        assert_eq!(parse(text), Some(expected));
        assert_eq!(parse(&text[..60]), None);
    }
}
