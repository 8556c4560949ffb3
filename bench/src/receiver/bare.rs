//! The bare AF_XDP receive loop: siphon's own rings with the smallest program before them and nothing behind them. What
//! siphon is slower by than this is what following calls costs. And less than that: a program that drops every frame.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{io, thread};

use anyhow::{Context, Result, bail, ensure};
use aya::Ebpf;
use aya::maps::{PerCpuArray, XskMap};
use aya::programs::{Xdp, XdpMode};
use capture_daemon::config::Capture;
use capture_daemon::worker::{NICENESS, WORKER_SLICE};
use capture_daemon::xsk::lane::Port;
use capture_daemon::xsk::{Lane, LaneCounters, stats, sys};
use rustix::net::{AddressFamily, SocketType};
use serde::{Deserialize, Serialize};
use xtask::lab::Process;
use xtask::lab::mirror::TAP;

use super::{Counts, FRAMES, Receiver};
use crate::account::{Passage, Stage};
use crate::wire::{MTU, Wire};

/// What the tables say it is.
pub(super) const COMMAND: &str = "bench --receive tap";
/// And the program that drops everything.
pub(super) const COMMAND_DISCARD: &str = "bench --discard tap";

/// Packets at once, empty looks before poll(2), and the nap between them, all as siphon's worker has them.
const BATCH: u32 = 64;
const NAPS_BEFORE_QUIET: u32 = 40;
const NAP: Duration = Duration::from_micros(250);
const QUIET: Duration = Duration::from_millis(50);

/// How long it may take to end.
const END: Duration = Duration::from_secs(5);

/// The program `receive` on an interface, and the socket of queue 0 behind it.
#[derive(Debug)]
pub struct Bare {
    ebpf: Ebpf,
    /// The socket's rings.
    pub lane: Lane,
}

/// What it counts, as it says so on stdout.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Answer {
    /// Frames the program saw.
    seen: u64,
    /// Frames it sent to the socket.
    redirected: u64,
    /// Frames lost in the socket's rings.
    lost: u64,
    /// Frames the loop took.
    taken: u64,
}

impl Bare {
    /// Attaches the program natively to an interface of this network namespace and binds the socket, with rings as large as siphon has
    /// beside it.
    ///
    /// # Errors
    /// When the object is not built or the kernel refuses a step.
    pub fn open(interface: &str) -> Result<Self> {
        let (mut ebpf, ifindex) = attach("receive", interface)?;
        let port = Port {
            name: interface.to_owned(),
            ifindex,
            mtu: MTU,
        };
        let capture = Capture {
            ring_entries: FRAMES,
            umem_frames: FRAMES,
            ..Capture::default()
        };
        // Its program writes nothing in front of a frame.
        let lane = Lane::open(&port, 0, &capture, 0)?;
        let mut sockets: XskMap<_> = ebpf.map_mut("SOCKETS").context("no map SOCKETS")?.try_into()?;
        sockets.set(0, lane.as_fd().as_raw_fd(), 0)?;
        Ok(Self { ebpf, lane })
    }

    /// Frames the program has seen, and those of them it sent to the socket.
    ///
    /// # Errors
    /// The errno of bpf(2).
    pub fn seen(&self) -> Result<(u64, u64)> {
        Ok((sum(&self.ebpf, "SEEN")?, sum(&self.ebpf, "REDIRECTED")?))
    }
}

/// Loads the bench's programs and attaches one of them natively to an interface of this network namespace, whose index is
/// returned too.
fn attach(name: &str, interface: &str) -> Result<(Ebpf, u32)> {
    let object = xtask::ebpf::object("load")?;
    let bytes =
        fs::read(&object).with_context(|| format!("read {}: `cargo xtask build-ebpf` builds it", object.display()))?;
    let mut ebpf = Ebpf::load(&bytes).with_context(|| format!("load {}", object.display()))?;
    let any = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    let ifindex = rustix::net::netdevice::name_to_index(&any, interface)
        .with_context(|| format!("index of the interface {interface}"))?;
    let program = ebpf.program_mut(name).with_context(|| format!("no program `{name}`"))?;
    let program: &mut Xdp = program.try_into()?;
    program.load().with_context(|| format!("load the program `{name}`"))?;
    program
        .attach_to_if_index(ifindex, XdpMode::Driver)
        .with_context(|| format!("attach to {interface}"))?;
    Ok((ebpf, ifindex))
}

/// The sum of a per-CPU counter.
fn sum(ebpf: &Ebpf, name: &str) -> Result<u64> {
    let map = ebpf.map(name).with_context(|| format!("no map {name}"))?;
    let map: PerCpuArray<_, u64> = map.try_into()?;
    Ok(map.get(&0, 0)?.iter().sum())
}

/// Receives on `interface`, and prints its counts for each line on stdin, until stdin ends.
///
/// # Errors
/// When [`Bare::open`] fails, or a counter cannot be read.
pub fn serve(interface: &str) -> Result<()> {
    let bare = Bare::open(interface)?;
    let Bare { ebpf, lane } = bare;
    let socket = lane.as_fd().try_clone_to_owned()?;
    let counters = lane.counters();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // As siphon's worker on a mirror port, which goes without too where it is not allowed.
            let _ = sys::go_before_others(NICENESS, WORKER_SLICE);
            receive(lane, &stop);
        });
        let answered = answer_all(&ebpf, &counters, socket.as_fd());
        stop.store(true, Ordering::Release);
        answered
    })
}

fn answer_all(ebpf: &Ebpf, counters: &Arc<LaneCounters>, socket: impl AsFd + Copy) -> Result<()> {
    answer(|| {
        counters.set_statistics(&stats::read(socket)?);
        Ok(Answer {
            taken: counters.frames.get(),
            lost: counters.lost(),
            redirected: sum(ebpf, "REDIRECTED")?,
            seen: sum(ebpf, "SEEN")?,
        })
    })
}

/// Drops everything on `interface`, and prints its counts for each line on stdin, until stdin ends.
///
/// # Errors
/// When the program cannot be attached, or a counter cannot be read.
pub fn discard(interface: &str) -> Result<()> {
    let (ebpf, _) = attach("discard", interface)?;
    answer(|| {
        let seen = sum(&ebpf, "SEEN")?;
        Ok(Answer {
            seen,
            redirected: seen,
            lost: 0,
            taken: seen,
        })
    })
}

/// Prints the counts for each line on stdin, until stdin ends.
fn answer(counts: impl Fn() -> Result<Answer>) -> Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "ready")?;
    for line in io::stdin().lock().lines() {
        line?;
        writeln!(stdout, "{}", serde_json::to_string(&counts()?)?)?;
    }
    Ok(())
}

/// The loop itself: what siphon's worker does, without the work.
fn receive(mut lane: Lane, stop: &AtomicBool) {
    let mut empty_looks = 0_u32;
    while !stop.load(Ordering::Acquire) {
        let mut taken = 0;
        let mut batch = lane.peek(BATCH);
        while let Some(packet) = batch.next_packet() {
            packet.release();
            taken += 1;
        }
        batch.release();
        lane.refill();
        let woken = lane.wake_if_needed();
        if taken > 0 {
            empty_looks = 0;
        }
        if taken == BATCH {
            continue;
        }
        empty_looks = empty_looks.saturating_add(1);
        if woken.is_ok() && empty_looks <= NAPS_BEFORE_QUIET {
            thread::sleep(NAP);
        } else if woken.and_then(|()| lane.poll(QUIET)).is_err() {
            // The interface is gone; whoever asks for the counts will see.
            thread::sleep(QUIET);
        }
    }
}

/// A `bench --receive` or `bench --discard` in the sensor's namespace.
#[derive(Debug)]
pub(super) struct Running {
    process: Process,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    /// One that receives, or one that only drops.
    pub(super) fn start(wire: &Wire, bench: &Path, discards: bool) -> Result<Self> {
        let mut command = wire.sensor.command(bench);
        command
            .args([if discards { "--discard" } else { "--receive" }, TAP])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Process::spawn(&mut command)?;
        let stdin = process.child().stdin.take();
        let stdout = process.child().stdout.take().context("the bare loop has no stdout")?;
        let mut running = Self {
            process,
            stdin,
            stdout: BufReader::new(stdout),
        };
        let line = running.line()?;
        ensure!(line == "ready", "the bare loop says {line:?}");
        Ok(running)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stdout.read_line(&mut line)? == 0 {
            bail!("the bare loop has ended");
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Receiver for Running {
    fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn counts(&mut self) -> Result<Counts> {
        let stdin = self.stdin.as_mut().context("the bare loop has no stdin")?;
        writeln!(stdin).context("ask the bare loop")?;
        let line = self.line()?;
        let Answer {
            seen,
            redirected,
            lost,
            taken,
        } = serde_json::from_str(&line).with_context(|| format!("the bare loop says {line:?}"))?;
        Ok(Counts {
            passages: vec![
                Passage::new(Stage::Program, seen, seen.saturating_sub(redirected)),
                Passage::new(Stage::Sockets, redirected, lost),
            ],
            captured: taken,
        })
    }

    fn is_in_the_stack(&self) -> bool {
        false
    }

    fn stop(mut self: Box<Self>) -> Result<()> {
        // Its end of input is its order to end.
        self.stdin = None;
        let status = self.process.wait(END)?;
        ensure!(status.success(), "the bare loop: {status}");
        Ok(())
    }
}
