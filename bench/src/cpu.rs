//! CPU time of a process or a thread, and of the whole machine; and the memory of a process.

use std::fs;
use std::ops::Sub;

use anyhow::{Context, Result};

/// Clock ticks of /proc per second: USER_HZ, 100 on every architecture siphon runs on (include/asm-generic/param.h).
const USER_HZ: f64 = 100.0;

/// CPU time used so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CpuTime {
    /// Seconds in user mode.
    pub user: f64,
    /// Seconds in the kernel on the process's behalf; softirqs are nobody's.
    pub system: f64,
}

impl CpuTime {
    /// CPU time of the process `pid`.
    ///
    /// # Errors
    /// When it is gone.
    pub fn of(pid: u32) -> Result<Self> {
        read(&format!("/proc/{pid}/stat"), parse)
    }

    /// CPU time of the calling thread.
    ///
    /// # Errors
    /// When /proc does not say.
    pub fn of_this_thread() -> Result<Self> {
        read("/proc/thread-self/stat", parse)
    }

    /// Seconds in either mode.
    pub fn total(self) -> f64 {
        self.user + self.system
    }
}

/// Seconds that all CPUs together have been busy since the machine started, with whatever.
///
/// # Errors
/// When /proc does not say.
pub fn busy() -> Result<f64> {
    read("/proc/stat", parse_busy)
}

/// Whether the process `pid` has ended and not been waited for; its CPU time can still be read.
///
/// # Errors
/// When it is gone altogether.
pub fn is_zombie(pid: u32) -> Result<bool> {
    read(&format!("/proc/{pid}/stat"), |text| {
        let (_, behind_name) = text.rsplit_once(')')?;
        Some(behind_name.trim_start().starts_with('Z'))
    })
}

/// Bytes of memory that are resident of the process `pid` (or `self`), huge pages among them, which the kernel counts apart.
///
/// # Errors
/// When it is gone.
pub fn resident(pid: &str) -> Result<u64> {
    read(&format!("/proc/{pid}/status"), |text| {
        Some(kib(text, "VmRSS:")? + kib(text, "HugetlbPages:").unwrap_or_default())
    })
    .map(|kib| kib * 1024)
}

/// Most bytes that have been resident of the process `pid` (or `self`) so far, and the huge pages that the kernel counts apart.
///
/// # Errors
/// When it is gone, or has ended.
pub fn peak(pid: &str) -> Result<u64> {
    read(&format!("/proc/{pid}/status"), |text| {
        Some(kib(text, "VmHWM:")? + kib(text, "HugetlbPages:").unwrap_or_default())
    })
    .map(|kib| kib * 1024)
}

/// A line of proc_pid_status(5).
fn kib(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix(" kB")?.parse().ok()
}

fn read<T>(path: &str, parse: fn(&str) -> Option<T>) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    parse(&text).with_context(|| format!("{path}: {text:?}"))
}

impl Sub for CpuTime {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            user: self.user - before.user,
            system: self.system - before.system,
        }
    }
}

/// Fields 14 and 15 of proc_pid_stat(5). The second, the name, stands in parentheses and may contain anything.
fn parse(text: &str) -> Option<CpuTime> {
    let (_, behind_name) = text.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(11);
    let mut seconds = || fields.next()?.parse::<u64>().ok().map(|ticks| ticks as f64 / USER_HZ);
    Some(CpuTime {
        user: seconds()?,
        system: seconds()?,
    })
}

/// The first line of proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal; guests are in user already.
fn parse_busy(text: &str) -> Option<f64> {
    let mut fields = text.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let (user, nice, system, _idle, _iowait) = (ticks()?, ticks()?, ticks()?, ticks()?, ticks()?);
    let (irq, softirq, steal) = (ticks()?, ticks()?, ticks()?);
    Some((user + nice + system + irq + softirq + steal) as f64 / USER_HZ)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_does_not_shift_the_fields() {
        let text = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 75 0 0 20 0 2 0 100 0 0";
        let time = parse(text).unwrap();
        assert_eq!(
            time,
            CpuTime {
                user: 2.5,
                system: 0.75
            }
        );
        assert_eq!(time - time, CpuTime { user: 0.0, system: 0.0 });
        assert_eq!(parse("7 (a) S 1"), None);
    }

    #[test]
    fn idle_time_is_not_busy() {
        let text = "cpu  100 20 30 4000 500 6 7 37 80 9\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
        assert_eq!(parse_busy(text), Some(2.0));
        assert_eq!(parse_busy("cpu0 1 2 3"), None);
    }

    #[test]
    fn our_own_memory_can_be_read() {
        let block = vec![1_u8; 8 << 20];
        assert!(resident("self").unwrap() > 8 << 20);
        assert!(peak("self").unwrap() >= 8 << 20);
        assert!(block.iter().all(|byte| *byte == 1));
        assert_eq!(kib("VmRSS:\t  12 kB\n", "VmRSS:"), Some(12));
    }

    #[test]
    fn our_own_time_can_be_read() {
        let process = CpuTime::of(std::process::id()).unwrap();
        assert!(CpuTime::of_this_thread().unwrap().total() <= process.total() + 1.0 / USER_HZ);
        assert!(busy().unwrap() > 0.0);
    }
}
