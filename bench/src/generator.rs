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

/// Hertz of G.711's timestamps.
const CLOCK: f64 = 8000.0;

/// What to send.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// RTP streams the frames belong to, in turn.
    pub streams: u32,
    /// Packets that each stream has had.
    pub turn: u32,
    /// Frames a second; `None`: as fast as it goes.
    pub rate: Option<u32>,
    /// Frames in all.
    pub frames: u32,
}

/// Timestamp units from one packet of a stream to the next, where so many streams take turns at `rate` frames a second: as many as
/// pass meanwhile by the 8 kHz clock that SDP announces, at least one.
pub fn units(streams: u32, rate: u32) -> u32 {
    let seconds = f64::from(streams) / f64::from(rate.max(1));
    (seconds * CLOCK).round().max(1.0) as u32
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

    /// Sends `load` out of interface `interface` of `netns` from CPU `cpu`. The softirq work of a receiving veth is done on
    /// that CPU too.
    ///
    /// # Errors
    /// When the kernel refuses the run, or the program made fewer frames than it was told to.
    pub fn send(&mut self, netns: &Netns, interface: &str, cpu: usize, load: Load) -> Result<Made> {
        netns.enter(|| self.send_here(interface, cpu, load))?
    }

    fn send_here(&mut self, interface: &str, cpu: usize, load: Load) -> Result<Made> {
        ensure!(
            load.frames > 0 && load.streams > 0,
            "a load of no frames or no streams: {load:?}"
        );
        self.tell(interface, load)?;
        let mut cpus = CpuSet::new();
        cpus.set(cpu);
        sched_setaffinity(None, &cpus).with_context(|| format!("pin the generator to CPU {cpu}"))?;
        let before = CpuTime::of_this_thread()?;
        let template = frame::template();
        program(&mut self.ebpf)?
            .test_run(TestRunOptions {
                data_in: Some(&template),
                repeat: load.frames,
                attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
                ..TestRunOptions::new()
            })
            .context("BPF_PROG_TEST_RUN with live frames")?;
        let used = CpuTime::of_this_thread()? - before;
        let made = self.made(cpu, load)?;
        Ok(Made {
            frames: made.frames,
            seconds: (made.ended - made.begun) as f64 / 1e9,
            cpu: used.total(),
        })
    }

    /// Writes what to send, and that nothing is sent yet.
    fn tell(&mut self, interface: &str, load: Load) -> Result<()> {
        let any = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
        let ifindex = rustix::net::netdevice::name_to_index(&any, interface)
            .with_context(|| format!("index of the interface {interface}"))?;
        let told = load::Load {
            ifindex: ifindex.into(),
            streams: load.streams.into(),
            gap: load.rate.map_or(0, |rate| 1_000_000_000 / u64::from(rate.max(1))),
            frames: load.frames.into(),
            length: frame::LENGTH as u64,
            turn: load.turn.into(),
            units: load.rate.map_or(load::UNITS, |rate| units(load.streams, rate)).into(),
        };
        let map = self.ebpf.map_mut("LOAD").context("no map LOAD")?;
        let mut map: Array<_, [u64; 7]> = map.try_into()?;
        map.set(0, bytemuck::cast::<load::Load, [u64; 7]>(told), 0)?;
        let cpus = aya::util::nr_cpus().map_err(|(file, error)| anyhow::Error::new(error).context(file))?;
        let map = self.ebpf.map_mut("MADE").context("no map MADE")?;
        let mut map: PerCpuArray<_, [u64; 4]> = map.try_into()?;
        map.set(0, PerCpuValues::try_from(vec![[0; 4]; cpus])?, 0)?;
        Ok(())
    }

    /// What the program says it has done, which must be what it was told.
    fn made(&self, cpu: usize, load: Load) -> Result<load::Made> {
        let map = self.ebpf.map("MADE").context("no map MADE")?;
        let map: PerCpuArray<_, [u64; 4]> = map.try_into()?;
        let of_cpus = map.get(&0, 0)?;
        let made: load::Made = bytemuck::cast(*of_cpus.get(cpu).with_context(|| format!("no CPU {cpu}"))?);
        ensure!(
            made.frames == u64::from(load.frames) && made.ended >= made.begun,
            "the generator was to make {} frames: {made:?}",
            load.frames
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
    fn timestamps_go_with_the_pace() {
        assert_eq!(units(105_000, 5_250_000), 160);
        assert_eq!(units(105_000, 2_100_000), 400);
        assert_eq!(units(1, 1_000_000), 1);
    }
}
