//! Tools that tell what they counted when they end, or not at all: dumpcap, netsniff-ng and sngrep. So they are ended
//! once nothing moves any more, and stay as zombies until their CPU time has been read.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use xtask::lab::mirror::TAP;
use xtask::lab::process::wait_for;
use xtask::lab::{Process, Scratch};

use super::{Counts, Receiver};
use crate::account::{Passage, Stage};
use crate::cpu::{self, CpuTime};
use crate::wire::Wire;

/// How long a tool may take to come up, and to end: what lies in buffers is written then.
const LIMIT: Duration = Duration::from_secs(30);

/// Between two looks at whether a tool still works.
const LOOK: Duration = Duration::from_millis(250);

/// Looks in a row that find nothing moved.
const STILL: u32 = 2;

/// CPU seconds in such a time that are no work: waking up to find nothing.
const IDLE: f64 = 0.021;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    Dumpcap,
    Netsniff,
    Sngrep,
}

impl Tool {
    /// Its program's name.
    pub(super) const fn program(self) -> &'static str {
        match self {
            Self::Dumpcap => "dumpcap",
            Self::Netsniff => "netsniff-ng",
            Self::Sngrep => "sngrep",
        }
    }

    /// What it is given besides the file, which comes last: everywhere a buffer of 256 MiB, as tcpdump has.
    const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Dumpcap => &["-q", "-i", TAP, "-B", "256", "-P", "-w"],
            Self::Netsniff => &[
                "--in",
                TAP,
                "--silent",
                "--no-sock-mem",
                "--ring-size",
                "256MiB",
                "--out",
            ],
            // With RTP: what is not in its file is lost.
            Self::Sngrep => &["-N", "-q", "-r", "-d", TAP, "-B", "256", "-l", "100000", "-O"],
        }
    }

    /// The command as the tables show it.
    pub(super) const fn command(self) -> &'static str {
        match self {
            Self::Dumpcap => "dumpcap -q -i tap -B 256 -P -w FILE",
            Self::Netsniff => "netsniff-ng --in tap --silent --no-sock-mem --ring-size 256MiB --out FILE",
            Self::Sngrep => "sngrep -N -q -r -d tap -B 256 -l 100000 -O FILE",
        }
    }

    /// What it says, on either output, once it captures.
    const fn ready(self) -> Option<&'static str> {
        match self {
            Self::Dumpcap => Some("File: "),
            Self::Netsniff => Some("Running!"),
            Self::Sngrep => None,
        }
    }
}

/// A running tool, or one that has ended and whose counts are known.
#[derive(Debug)]
pub(super) struct Running {
    tool: Tool,
    process: Process,
    said: PathBuf,
    file: PathBuf,
    counts: Option<Counts>,
}

impl Running {
    pub(super) fn start(tool: Tool, wire: &Wire, scratch: &Scratch) -> Result<Self> {
        let said = scratch.path().join("tool.log");
        let file = scratch.path().join("tool.pcap");
        let log = File::create(&said).with_context(|| format!("make {}", said.display()))?;
        let mut command = wire.sensor.command(tool.program());
        command
            .args(tool.arguments())
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let mut running = Self {
            tool,
            process: Process::spawn(&mut command)?,
            said,
            file,
            counts: None,
        };
        wait_for(&format!("{} to capture", tool.program()), LIMIT, || {
            let text = running.text()?;
            if !running.process.is_running()? {
                bail!("{} has ended: {text}", tool.program());
            }
            let is_ready = match tool.ready() {
                Some(words) => text.contains(words),
                // It opens its file when it has opened the interface.
                None => running.file.exists(),
            };
            Ok(is_ready.then_some(()))
        })?;
        Ok(running)
    }

    fn text(&self) -> Result<String> {
        fs::read_to_string(&self.said).with_context(|| format!("read {}", self.said.display()))
    }

    /// What moves while it works: its CPU time, and the length of its file.
    fn position(&self) -> Result<(f64, u64)> {
        let length = fs::metadata(&self.file).map_or(0, |metadata| metadata.len());
        Ok((CpuTime::of(self.pid())?.total(), length))
    }

    fn wait_until_still(&self) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        let mut still = 0;
        let mut before = self.position()?;
        while still < STILL && Instant::now() < deadline {
            thread::sleep(LOOK);
            let now = self.position()?;
            let is_still = now.1 == before.1 && now.0 - before.0 <= IDLE;
            still = if is_still { still + 1 } else { 0 };
            before = now;
        }
        Ok(())
    }

    fn read_counts(&self) -> Result<Counts> {
        let text = self.text()?;
        let (received, dropped, captured) = match self.tool {
            Tool::Dumpcap => parse_dumpcap(&text).with_context(|| format!("dumpcap says: {text}"))?,
            Tool::Netsniff => parse_netsniff(&text).with_context(|| format!("netsniff-ng says: {text}"))?,
            // It counts nothing.
            Tool::Sngrep => {
                let captured = records(&self.file)?;
                return Ok(Counts {
                    passages: Vec::new(),
                    captured,
                });
            }
        };
        Ok(Counts {
            passages: vec![Passage::new(Stage::Sockets, received, dropped)],
            captured,
        })
    }
}

impl Receiver for Running {
    fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn wait_for_frames(&mut self, _frames: u64) -> Result<()> {
        self.wait_until_still()
    }

    fn counts(&mut self) -> Result<Counts> {
        if let Some(counts) = &self.counts {
            return Ok(counts.clone());
        }
        self.wait_until_still()?;
        self.process.signal(Signal::INT)?;
        let pid = self.pid();
        wait_for(&format!("{} to end", self.tool.program()), LIMIT, || {
            Ok(cpu::is_zombie(pid)?.then_some(()))
        })?;
        let counts = self.read_counts()?;
        self.counts = Some(counts.clone());
        Ok(counts)
    }

    fn is_in_the_stack(&self) -> bool {
        true
    }

    fn counts_losses(&self) -> bool {
        self.tool != Tool::Sngrep
    }

    fn stop(mut self: Box<Self>) -> Result<()> {
        let status = self.process.wait(LIMIT)?;
        // sngrep ends by the signal's default.
        ensure!(
            status.success() || self.tool == Tool::Sngrep,
            "{}: {status}: {}",
            self.tool.program(),
            self.text()?
        );
        Ok(())
    }
}

/// Frames received, dropped and captured.
fn parse_dumpcap(text: &str) -> Option<(u64, u64, u64)> {
    let lines = || text.lines().map(|line| line.trim_start_matches('\r'));
    let captured = lines().find_map(|line| line.strip_prefix("Packets captured: "))?;
    let line = lines().find(|line| line.starts_with("Packets received/dropped on interface"))?;
    let (_, counts) = line.split_once("': ")?;
    let (received, rest) = counts.split_once('/')?;
    let dropped = rest.split_whitespace().next()?;
    let (received, dropped): (u64, u64) = (received.parse().ok()?, dropped.parse().ok()?);
    // What it received it has already taken the dropped ones from (report_counts, dumpcap.c).
    Some((received + dropped, dropped, captured.trim().parse().ok()?))
}

fn parse_netsniff(text: &str) -> Option<(u64, u64, u64)> {
    let count = |what: &str| {
        let line = text
            .lines()
            .map(|line| line.trim_start_matches('\r'))
            .find(|line| line.contains(what))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let dropped = count("packets failed filter (out of space)")?;
    let captured = count("packets passed filter")?;
    // Those it calls incoming are, with TPACKET_V3, only those it has read (dump_rx_stats, netsniff-ng.c).
    Some((captured + dropped, dropped, captured))
}

/// Records of a pcap file in this machine's byte order.
fn records(file: &std::path::Path) -> Result<u64> {
    let file = File::open(file).with_context(|| format!("open {}", file.display()))?;
    let mut reader = std::io::BufReader::with_capacity(1 << 20, file);
    let mut header = [0; 24];
    reader.read_exact(&mut header).context("the header of a capture file")?;
    let mut records = 0;
    let mut record = [0; 16];
    while reader.read_exact(&mut record).is_ok() {
        let [_, _, _, _, _, _, _, _, a, b, c, d, ..] = record;
        reader.seek_relative(u32::from_ne_bytes([a, b, c, d]).into())?;
        records += 1;
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_as_the_tools_print_them() {
        let dumpcap = "Capturing on 'tap'\nFile: /x\n\rPackets captured: 5000\n\
                       Packets received/dropped on interface 'tap': 5000/17 (pcap:17/dumpcap:0/flushed:0/ps_ifdrop:0) (99.7%)\n";
        assert_eq!(parse_dumpcap(dumpcap), Some((5017, 17, 5000)));
        assert_eq!(parse_dumpcap("Capturing on 'tap'\n"), None);
        let netsniff = "Running! Hang up with ^C!\n\n        5010  packets incoming (0 unread on exit)\n        \
                        5000  packets passed filter\n          10  packets failed filter (out of space)\n      \
                        0.2000% packet droprate\n";
        assert_eq!(parse_netsniff(netsniff), Some((5010, 10, 5000)));
        let behind = netsniff.replace("5010  packets incoming (0 unread", "5000  packets incoming (10 unread");
        assert_eq!(parse_netsniff(&behind), Some((5010, 10, 5000)));
        assert_eq!(parse_netsniff("Running!"), None);
    }

    #[test]
    fn records_are_counted() {
        let scratch = Scratch::new("tool").unwrap();
        let file = scratch.write("a.pcap", xtask::lab::tone::pcap(7, 1)).unwrap();
        assert_eq!(records(&file).unwrap(), 7);
    }
}
