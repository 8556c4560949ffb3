//! A reference to hold siphon against: what tcpdump sees, and the frames of a pcap file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use super::netns::Netns;
use super::process::{Process, wait_for};

/// How long tcpdump may take to start, to write what it has, and to end.
const LIMIT: Duration = Duration::from_secs(20);

/// Which frames of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Those it sends. A frame is seen here before an XDP program at the other end can take it away.
    Out,
    /// Those it sends and those it receives.
    Both,
}

/// A running tcpdump.
#[derive(Debug)]
pub struct Capture {
    tcpdump: Process,
    file: PathBuf,
    log: PathBuf,
}

impl Capture {
    /// Starts tcpdump on an interface and returns once it listens.
    ///
    /// # Errors
    /// When tcpdump is not there or does not come up.
    pub fn start(netns: &Netns, interface: &str, direction: Direction, file: &Path) -> Result<Self> {
        let log = file.with_extension("log");
        let stderr = fs::File::create(&log).with_context(|| format!("make {}", log.display()))?;
        let direction = match direction {
            Direction::Out => "out",
            Direction::Both => "inout",
        };
        let mut command = netns.command("tcpdump");
        command
            .args(["-i", interface, "-Q", direction])
            // Every frame whole, out of a buffer of 64 MiB, handed over and written at once; and as root, who alone may
            // write where the file goes.
            .args([
                "-n",
                "-s",
                "0",
                "-B",
                "65536",
                "--immediate-mode",
                "-U",
                "-Z",
                "root",
                "-w",
            ])
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        let mut tcpdump = Process::spawn(&mut command)?;
        wait_for(&format!("tcpdump on {interface}"), LIMIT, || {
            let said = fs::read_to_string(&log)?;
            if !tcpdump.is_running()? {
                bail!("tcpdump on {interface} ended: {}", said.trim());
            }
            Ok(said.contains("listening on").then_some(()))
        })?;
        Ok(Self {
            tcpdump,
            file: file.to_owned(),
            log,
        })
    }

    /// Waits until the file holds `frames` frames, ends tcpdump, which on a signal forgets what it has not read yet, and
    /// returns all frames of the file.
    ///
    /// # Errors
    /// When the frames do not come, more have come, or the kernel dropped some on the way to tcpdump.
    pub fn finish(mut self, frames: u64) -> Result<Vec<Vec<u8>>> {
        let wanted = usize::try_from(frames).context("count of frames")?;
        wait_for(&format!("{frames} frames in {}", self.file.display()), LIMIT, || {
            Ok((count(&self.file)? >= wanted).then_some(()))
        })?;
        self.tcpdump.stop(Signal::INT, LIMIT)?;
        let said = fs::read_to_string(&self.log)?;
        if !said.contains("\n0 packets dropped by kernel") {
            bail!("tcpdump lost frames: {}", said.trim());
        }
        let found = self::frames(&self.file)?;
        if found.len() != wanted {
            bail!("{} frames in {}, not {wanted}", found.len(), self.file.display());
        }
        Ok(found)
    }
}

/// The frames of a pcap file (little-endian, micro- or nanoseconds), in order.
///
/// # Errors
/// When the file cannot be read, is no such file, or ends inside a frame.
pub fn frames(file: &Path) -> Result<Vec<Vec<u8>>> {
    let bytes = fs::read(file).with_context(|| format!("read {}", file.display()))?;
    let (frames, rest) = records(&bytes).with_context(|| format!("read {}", file.display()))?;
    if rest != 0 {
        bail!("{} ends with {rest} bytes that are no whole frame", file.display());
    }
    Ok(frames.into_iter().map(<[u8]>::to_vec).collect())
}

/// Whole frames in a file that may still be written to.
fn count(file: &Path) -> Result<usize> {
    let bytes = fs::read(file).with_context(|| format!("read {}", file.display()))?;
    if bytes.is_empty() {
        return Ok(0);
    }
    Ok(records(&bytes)?.0.len())
}

/// The frames, and the bytes left after the last whole one.
fn records(bytes: &[u8]) -> Result<(Vec<&[u8]>, usize)> {
    let (header, mut rest) = bytes.split_first_chunk::<24>().context("shorter than a pcap header")?;
    let [a, b, c, d, ..] = *header;
    let magic = u32::from_le_bytes([a, b, c, d]);
    if ![0xa1b2_c3d4, 0xa1b2_3c4d].contains(&magic) {
        bail!("magic number {magic:#010x} is not that of a little-endian pcap file");
    }
    let mut frames = Vec::new();
    while let Some((record, after)) = rest.split_first_chunk::<16>() {
        let [_, _, _, _, _, _, _, _, a, b, c, d, ..] = *record;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let Some((frame, after)) = after.split_at_checked(length) else {
            break;
        };
        frames.push(frame);
        rest = after;
    }
    Ok((frames, rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::tone;

    #[test]
    fn frames_are_those_of_the_file() {
        let file = tone::pcap(3, 1);
        let (frames, rest) = records(&file).unwrap();
        assert_eq!((frames.len(), rest), (3, 0));
        assert!(frames.iter().all(|frame| frame.len() == 214));
    }

    #[test]
    fn a_file_that_is_being_written_ends_anywhere() {
        let file = tone::pcap(3, 1);
        let (frames, rest) = records(&file[..file.len() - 1]).unwrap();
        assert_eq!((frames.len(), rest), (2, 16 + 213));
        assert!(records(&file[..23]).is_err());
        assert!(records(&[0; 24]).is_err());
    }
}
