//! A program that runs to its end, timed.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use xtask::lab::Process;

use crate::cpu::{self, CpuTime};

/// Between two looks at its memory.
const LOOK: Duration = Duration::from_millis(5);

/// What a program took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timed {
    /// Seconds from start to end.
    pub wall: f64,
    /// Its CPU time.
    pub cpu: CpuTime,
    /// Most bytes of memory that were seen resident.
    pub peak: u64,
}

/// Runs `command`, its output into `stdout`.
///
/// # Errors
/// When it cannot be started or fails; the error has the end of what it says.
pub fn timed(command: &mut Command, stdout: &Path) -> Result<Timed> {
    let stderr = stdout.with_extension("stderr");
    command
        .stdin(Stdio::null())
        .stdout(File::create(stdout).with_context(|| format!("make {}", stdout.display()))?)
        .stderr(File::create(&stderr).with_context(|| format!("make {}", stderr.display()))?);
    let begun = Instant::now();
    let mut process = Process::spawn(command)?;
    let pid = process.pid();
    let (shown, has_ended) = (pid.to_string(), AtomicBool::new(false));
    let (wall, peak) = thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut peak = 0;
            while !has_ended.load(Ordering::Acquire) {
                // Once it has ended there is nothing to see.
                peak = peak.max(cpu::peak(&shown).unwrap_or_default());
                thread::sleep(LOOK);
            }
            peak
        });
        // It stays a zombie, whose CPU time can be read.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let ended = Pid::from_raw(pid.cast_signed()).map(|pid| waitid(WaitId::Pid(pid), options));
        let wall = begun.elapsed().as_secs_f64();
        has_ended.store(true, Ordering::Release);
        let peak = looking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        ended.transpose().map(|_| (wall, peak))
    })
    .context("wait for the program's end")?;
    let cpu = CpuTime::of(pid)?;
    let status = process.wait(LOOK)?;
    let said = fs::read(&stderr)?;
    let end = said.get(said.len().saturating_sub(500)..).unwrap_or_default();
    ensure!(
        status.success(),
        "{command:?}: {status}: {}",
        String::from_utf8_lossy(end)
    );
    Ok(Timed { wall, cpu, peak })
}

#[cfg(test)]
mod tests {
    use xtask::lab::Scratch;

    use super::*;

    #[test]
    fn a_program_is_timed_and_its_output_kept() {
        let scratch = Scratch::new("timed").unwrap();
        let out = scratch.path().join("out");
        let took = timed(Command::new("sh").args(["-c", "echo said; sleep 0.2"]), &out).unwrap();
        assert!(took.wall >= 0.2 && took.cpu.total() < took.wall, "{took:?}");
        assert!(took.peak > 0);
        assert_eq!(fs::read_to_string(&out).unwrap(), "said\n");
    }

    #[test]
    fn one_that_fails_says_why() {
        let scratch = Scratch::new("timed").unwrap();
        let out = scratch.path().join("out");
        let error = timed(Command::new("sh").args(["-c", "echo broken >&2; exit 3"]), &out).unwrap_err();
        assert!(error.to_string().contains("broken"), "{error}");
    }
}
