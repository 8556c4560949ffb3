//! The load: XDP frames made by the kernel itself (BPF_PROG_TEST_RUN with live frames, Documentation/bpf/bpf_prog_run.rst),
//! paced inside the program, sent into one end of a veth pair. No module, no socket, and fast enough to be the faster side.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use aya::Ebpf;
use aya::maps::{Array, PerCpuArray, PerCpuValues};
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp};
use capture_common::load;
use rustix::net::{AddressFamily, SocketType};
use rustix::thread::{CpuSet, sched_setaffinity};
use xtask::lab::Netns;

use crate::cpu::CpuTime;
use crate::frame;

/// Frames the kernel makes before it gives them to the device: one NAPI round.
const BATCH: u32 = 64;

/// Streams that begin in a second, before a load: a link whose streams all begin within a fortieth of a second is none.
pub const BEGUN: u32 = 50_000;

/// Frames a second when all have begun and the load has no pace.
const UNPACED: u32 = 1_000_000;

/// Hertz of G.711's timestamps.
const CLOCK: u64 = 8000;

/// Nanoseconds from which a whole number of the clock's periods is within a hundredth of them.
const EVEN: u64 = 10_000_000;

/// What to send.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// RTP streams the frames belong to, in turn.
    pub streams: u32,
    /// Frames a second; `None`: as fast as it goes.
    pub rate: Option<u32>,
    /// Frames in all.
    pub frames: u32,
}

/// Nanoseconds in which each of so many streams sends a packet, at `rate` frames a second in all: whole periods of the 8 kHz clock that SDP
/// announces where that is nearly the same, so that a stream's timestamps go on evenly, as those of G.711 do.
fn period(streams: u32, rate: u32) -> u64 {
    const { assert!(1_000_000_000 % CLOCK == 0) };
    let nanos = u64::from(streams) * 1_000_000_000 / u64::from(rate.max(1));
    if nanos < EVEN {
        return nanos.max(1);
    }
    let tick = 1_000_000_000 / CLOCK;
    (nanos + tick / 2) / tick * tick
}

/// How the streams of a load begin.
#[derive(Clone, Copy, Debug)]
struct Ramp {
    /// Packets that the first of them have before the load.
    turns: u32,
    /// Frames a second when all have begun.
    rate: u32,
}

impl Load {
    const fn ramp(&self) -> Ramp {
        let rate = match self.rate {
            Some(rate) => rate,
            None => UNPACED,
        };
        let turns = rate / BEGUN;
        Ramp {
            turns: if turns == 0 { 1 } else { turns },
            rate,
        }
    }

    /// What the program is told, but for interface and frames.
    fn told(&self, rate: Option<u32>, turn: u32, ramp: u32) -> load::Load {
        load::Load {
            ifindex: 0,
            streams: self.streams.into(),
            period: rate.map_or(0, |rate| period(self.streams, rate)),
            frames: 0,
            length: frame::LENGTH as u64,
            turn: turn.into(),
            ramp: ramp.into(),
        }
    }
}

/// What was sent.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// Frames the program made.
    pub frames: u64,
    /// Seconds from the first to the last.
    pub seconds: f64,
    /// Seconds of CPU time that making and delivering them took, with the call's own preparations.
    pub cpu: f64,
}

/// The loaded generator program.
#[derive(Debug)]
pub struct Generator {
    ebpf: Ebpf,
}

impl Generator {
    /// Loads the program `generate` out of the object at `object`.
    ///
    /// # Errors
    /// When the file cannot be read or the kernel refuses the program.
    pub fn load(object: &Path) -> Result<Self> {
        let bytes = fs::read(object)
            .with_context(|| format!("read {}: `cargo xtask build-ebpf` builds it", object.display()))?;
        let mut ebpf = Ebpf::load(&bytes).with_context(|| format!("load {}", object.display()))?;
        program(&mut ebpf)?.load().context("load the program `generate`")?;
        Ok(Self { ebpf })
    }

    /// Sends `load` out of interface `interface` of `netns` from CPU `cpu`, in numbers that go on from what [`begin`](Self::begin)
    /// sends. The softirq work of a receiving veth is done on that CPU too.
    ///
    /// # Errors
    /// When the kernel refuses the run, or the program made fewer frames than it was told to.
    pub fn send(&mut self, netns: &Netns, interface: &str, cpu: usize, load: Load) -> Result<Made> {
        let Ramp { turns, .. } = load.ramp();
        netns.enter(|| {
            let told = load.told(load.rate, turns, 0);
            self.send_here(
                interface,
                cpu,
                load::Load {
                    frames: load.frames.into(),
                    ..told
                },
            )
        })?
    }

    /// Sends what the streams of `load` begin with, likewise: so many new ones a second that its rate is reached when all have begun, and
    /// each goes on as it will in the load.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn begin(&mut self, netns: &Netns, interface: &str, cpu: usize, load: Load) -> Result<Made> {
        let Ramp { turns, rate } = load.ramp();
        netns.enter(|| {
            let told = load.told(Some(rate), 0, turns);
            let frames = told.beginning();
            self.send_here(interface, cpu, load::Load { frames, ..told })
        })?
    }

    fn send_here(&mut self, interface: &str, cpu: usize, load: load::Load) -> Result<Made> {
        ensure!(
            load.frames > 0 && load.streams > 0,
            "a load of no frames or no streams: {load:?}"
        );
        let frames = u32::try_from(load.frames)?;
        self.tell(interface, load)?;
        let mut cpus = CpuSet::new();
        cpus.set(cpu);
        sched_setaffinity(None, &cpus).with_context(|| format!("pin the generator to CPU {cpu}"))?;
        let before = CpuTime::of_this_thread()?;
        let template = frame::template();
        program(&mut self.ebpf)?
            .test_run(TestRunOptions {
                data_in: Some(&template),
                repeat: frames,
                attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
                ..TestRunOptions::new()
            })
            .context("BPF_PROG_TEST_RUN with live frames")?;
        let used = CpuTime::of_this_thread()? - before;
        let made = self.made(cpu, load.frames)?;
        Ok(Made {
            frames: made.frames,
            seconds: (made.ended - made.begun) as f64 / 1e9,
            cpu: used.total(),
        })
    }

    /// Writes what to send, and that nothing is sent yet.
    fn tell(&mut self, interface: &str, load: load::Load) -> Result<()> {
        let any = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
        let ifindex = rustix::net::netdevice::name_to_index(&any, interface)
            .with_context(|| format!("index of the interface {interface}"))?;
        let told = load::Load {
            ifindex: ifindex.into(),
            ..load
        };
        let map = self.ebpf.map_mut("LOAD").context("no map LOAD")?;
        let mut map: Array<_, [u64; 7]> = map.try_into()?;
        map.set(0, bytemuck::cast::<load::Load, [u64; 7]>(told), 0)?;
        let cpus = aya::util::nr_cpus().map_err(|(file, error)| anyhow::Error::new(error).context(file))?;
        let map = self.ebpf.map_mut("MADE").context("no map MADE")?;
        let mut map: PerCpuArray<_, [u64; 8]> = map.try_into()?;
        map.set(0, PerCpuValues::try_from(vec![[0; 8]; cpus])?, 0)?;
        Ok(())
    }

    /// What the program says it has done, which must be what it was told.
    fn made(&self, cpu: usize, frames: u64) -> Result<load::Made> {
        let map = self.ebpf.map("MADE").context("no map MADE")?;
        let map: PerCpuArray<_, [u64; 8]> = map.try_into()?;
        let of_cpus = map.get(&0, 0)?;
        let made: load::Made = bytemuck::cast(*of_cpus.get(cpu).with_context(|| format!("no CPU {cpu}"))?);
        ensure!(
            made.frames == frames && made.ended >= made.begun,
            "the generator was to make {frames} frames: {made:?}"
        );
        Ok(made)
    }
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp> {
    let program = ebpf.program_mut("generate").context("no program `generate`")?;
    Ok(program.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_whole_periods_of_the_clock_where_it_is_long() {
        assert_eq!(period(105_000, 5_250_000), 20_000_000);
        // 43.75 ms, and 36.2 of which 36.25 is the nearest.
        assert_eq!(period(105_000, 2_400_000), 43_750_000);
        assert_eq!(period(105_000, 2_900_000), 36_250_000);
        assert_eq!(period(1, 3_000_000), 333);
    }
}
