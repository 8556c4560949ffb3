//! Frames sent as they are out of an interface, through an AF_PACKET socket: slower than the generator, but any frames.

use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytemuck::{Pod, Zeroable};
use capture_daemon::xsk::sys;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use rustix::thread::{CpuSet, sched_setaffinity};
use xtask::lab::Netns;

use crate::cpu::CpuTime;
use crate::generator::Made;

/// AF_PACKET (include/linux/socket.h).
const AF_PACKET: i32 = 17;

/// Frames of so long go out together; longer bursts are not the rate that is asked for.
const AT_ONCE: Duration = Duration::from_micros(100);

/// And not more than these: fewer than a veth's ring holds.
const BURST: u64 = 32;

/// `struct sockaddr_ll` of include/uapi/linux/if_packet.h.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct SockaddrLl {
    family: u16,
    protocol: u16,
    ifindex: i32,
    hatype: u16,
    pkttype: u8,
    halen: u8,
    addr: [u8; 8],
}

/// An open socket.
#[derive(Debug)]
pub struct Sender(OwnedFd);

impl Sender {
    /// Opens one in `netns` for `interface`.
    ///
    /// # Errors
    /// When the interface is not there, or without root.
    pub fn open(netns: &Netns, interface: &str) -> Result<Self> {
        netns.enter(|| {
            let any = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
            let ifindex = rustix::net::netdevice::name_to_index(&any, interface)
                .with_context(|| format!("index of the interface {interface}"))?;
            // Of no protocol: it receives nothing.
            let socket = sys::socket(AF_PACKET).context("open an AF_PACKET socket")?;
            let address = SockaddrLl {
                family: AF_PACKET as u16,
                ifindex: i32::try_from(ifindex)?,
                ..SockaddrLl::zeroed()
            };
            sys::bind(&socket, &address).with_context(|| format!("bind an AF_PACKET socket to {interface}"))?;
            Ok(Self(socket))
        })?
    }

    /// Sends frames at `rate` a second, from CPU `cpu`, to the last of them.
    ///
    /// # Errors
    /// When the kernel does not take one.
    pub fn send(&self, cpu: usize, rate: u32, frames: impl Iterator<Item = Vec<u8>> + Send) -> Result<Made> {
        // A thread of its own: the affinity ends with it.
        thread::scope(|scope| {
            let sending = scope.spawn(|| self.send_here(cpu, rate, frames));
            sending.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn send_here(&self, cpu: usize, rate: u32, frames: impl Iterator<Item = Vec<u8>>) -> Result<Made> {
        let mut cpus = CpuSet::new();
        cpus.set(cpu);
        sched_setaffinity(None, &cpus).with_context(|| format!("pin the sender to CPU {cpu}"))?;
        let (begun, before) = (Instant::now(), CpuTime::of_this_thread()?);
        let burst = (u64::from(rate) * AT_ONCE.as_micros() as u64 / 1_000_000).clamp(1, BURST);
        let mut sent = 0;
        for frame in frames {
            if sent % burst == 0 {
                let due = Duration::from_nanos(sent * 1_000_000_000 / u64::from(rate.max(1)));
                while begun.elapsed() < due {
                    std::hint::spin_loop();
                }
            }
            self.give(&frame)?;
            sent += 1;
        }
        ensure!(sent > 0, "there was nothing to send");
        Ok(Made {
            frames: sent,
            seconds: begun.elapsed().as_secs_f64(),
            cpu: (CpuTime::of_this_thread()? - before).total(),
        })
    }

    fn give(&self, frame: &[u8]) -> Result<()> {
        loop {
            match rustix::io::write(&self.0, frame) {
                Ok(length) if length == frame.len() => return Ok(()),
                Ok(length) => anyhow::bail!("{length} of a frame's {} bytes were sent", frame.len()),
                // The device's queue is full; it is emptied on this very CPU.
                Err(Errno::NOBUFS | Errno::AGAIN) => thread::yield_now(),
                Err(errno) => return Err(errno).context("send a frame"),
            }
        }
    }
}
