//! The kernel program: loaded, told what is wanted, attached, read and detached.
//!
//! The order of opening: checks, load, fill the maps, attach idle (every frame goes on to the host), bind one socket per
//! rx queue in the way the attach mode allows; [`Program::arm`] when somebody reads the lanes. The order of closing: [`Program::detach`], then the lanes are drained
//! until they are empty, then they are dropped.

mod error;
pub mod host;
mod interface;
mod kernel_log;
mod learned;
mod measured;
mod object;
pub mod packet;
mod verdicts;

use std::fmt;
use std::sync::Arc;

use aya::Ebpf;
use aya::maps::{Array, PerCpuArray, XskMap};
use aya::programs::tc::SchedClassifierLinkId;
use aya::programs::xdp::XdpLinkId;
use aya::programs::{self, ProgramError, Xdp, XdpMode};
use capture_common::{Counters, Media, MediaSettings, Mode, PortTable, Settings, Verdict};

use crate::config::{Attach, Bind, Capture, Follow};
use crate::xsk::socket::Bound;
use crate::xsk::umem::STAMP_ROOM;
use crate::xsk::{Lane, Membership};

pub use error::{DetachError, OpenError, ReadError};
pub use interface::{Interface, InterfaceCounters, Presence};
pub use kernel_log::KernelLog;
pub use learned::LearnedEndpoints;
pub use measured::{Chunk, MeasuredMap};
pub use object::EMBEDDED;
use object::Room;
pub use verdicts::Verdicts;

/// Endpoints that no call has named, for which packets are counted; the least recently used are forgotten.
const EARLY_ENDPOINTS: u32 = 65_536;

/// How the program was attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// In the driver, before the kernel makes an skb.
    Native,
    /// In the stack, for drivers without XDP.
    Generic,
    /// In the stack, in both directions, beside the host's own programs (BPF_LINK_TYPE_TCX).
    Tcx,
    /// No program, but packet sockets (AF_PACKET).
    Packet,
}

impl fmt::Display for AttachMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Tcx => "tcx",
            Self::Packet => "packet",
        })
    }
}

/// What was obtained from the kernel, and why not better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obtained {
    /// How the program was attached.
    pub attach: AttachMode,
    /// Why not natively.
    pub why_not_native: Option<String>,
    /// Instructions the kernel's verifier followed, of at most a million (BPF_COMPLEXITY_LIMIT_INSNS,
    /// include/linux/bpf.h); `None` from kernels before 5.16.
    pub verified_instructions: Option<u32>,
    /// The queues with an AF_XDP socket, in order; none in host mode and packet mode.
    pub queues: Vec<ObtainedQueue>,
    /// Bytes of each lane's ring, in host mode and packet mode.
    pub rings: Option<u32>,
}

/// What was obtained for one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObtainedQueue {
    /// The rx queue's number.
    pub queue: u32,
    /// How its socket was bound.
    pub bound: Bound,
    /// Whether its frames lie in huge pages.
    pub huge_pages: bool,
    /// Why not.
    pub why_not_huge_pages: Option<String>,
}

/// Where a program of the object is attached.
#[derive(Debug)]
enum Link {
    Xdp(&'static str, XdpLinkId),
    Tcx(&'static str, SchedClassifierLinkId),
}

impl Room {
    /// Room for what is followed, one socket and one ring buffer.
    fn new(capture: &Capture, follow: &Follow) -> Self {
        // The configuration has at most 2^28 of anything.
        let room = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            queues: 1,
            rings: 1,
            endpoints: room(follow.max_endpoints),
            streams: match capture.media {
                Media::Measured => room(follow.max_streams),
                Media::Off | Media::Range | Media::Learned => 1,
            },
            early: match capture.media {
                Media::Learned => EARLY_ENDPOINTS,
                Media::Off | Media::Range | Media::Measured => 1,
            },
        }
    }
}

/// The attached program, or those of both directions. Dropped, it is detached.
#[derive(Debug)]
pub struct Program {
    ebpf: Ebpf,
    links: Vec<Link>,
    interface: Interface,
    mode: Mode,
    obtained: Obtained,
    kernel_log: Option<KernelLog>,
    learned: Arc<LearnedEndpoints>,
    measured: Option<MeasuredMap>,
    _promiscuous: Option<Membership>,
}

/// [`prepare`] with room for as much as the default configuration follows, and [`Program::arm`].
///
/// # Errors
/// As for [`prepare`].
pub fn open(capture: &Capture) -> Result<(Program, Vec<Lane>), OpenError> {
    let (program, lanes) = prepare(capture, &Follow::default())?;
    program.arm()?;
    Ok((program, lanes))
}

/// Attaches the program to the interface, idle, and binds a socket to each of its rx queues, lane by lane in order of the
/// queues. There is room for as many endpoints of calls, and for as many streams where they are measured in the kernel, as
/// are followed.
///
/// # Errors
/// What is missing or refused, with the interface, the queue, the call and its errno. Nothing stays attached then.
pub fn prepare(capture: &Capture, follow: &Follow) -> Result<(Program, Vec<Lane>), OpenError> {
    if !EMBEDDED {
        return Err(OpenError::NotBuilt);
    }
    let interface = Interface::find(&capture.interface)?;
    refuse_to_steal(&interface, capture)?;
    let room = Room {
        queues: interface.queues(),
        ..Room::new(capture, follow)
    };
    let mut ebpf = object::load(room, &[object::PROGRAM])?;
    write_ports(&mut ebpf, capture)?;
    let kernel_log = capture.kernel_log.then(|| KernelLog::new(&mut ebpf)).transpose()?;
    let (link, attach, why_not_native) = attach(&mut ebpf, &interface, capture.attach)?;
    let lanes = bind(&mut ebpf, &interface, capture, attach)?;
    let promiscuous = capture
        .promiscuous
        .then(|| Membership::promiscuous(interface.port().ifindex))
        .transpose()
        .map_err(|source| OpenError::Promiscuous {
            interface: capture.interface.clone(),
            source,
        })?;
    let learned = LearnedEndpoints::new(&mut ebpf, settings(capture), room.endpoints)?;
    let measured = (capture.media == Media::Measured)
        .then(|| MeasuredMap::new(&mut ebpf, room.streams))
        .transpose()?;
    let obtained = Obtained {
        attach,
        why_not_native,
        verified_instructions: verified_instructions(&mut ebpf, &[object::PROGRAM]),
        queues: lanes.iter().map(obtained_queue).collect(),
        rings: None,
    };
    let program = Program {
        ebpf,
        links: vec![Link::Xdp(object::PROGRAM, link)],
        interface,
        mode: Mode::Mirror,
        obtained,
        kernel_log,
        learned: Arc::new(learned),
        measured,
        _promiscuous: promiscuous,
    };
    Ok((program, lanes))
}

/// A CPU's [`Counters`], as they are read.
type CounterWords = [u64; size_of::<Counters>() / 8];

impl Program {
    /// Has the program decide on frames, from the next one on.
    ///
    /// # Errors
    /// The errno of bpf(2).
    pub fn arm(&self) -> Result<(), OpenError> {
        self.learned.arm(self.mode)
    }

    /// What was obtained from the kernel, and why not better.
    pub fn obtained(&self) -> &Obtained {
        &self.obtained
    }

    /// The endpoints of calls, as the program knows them.
    pub fn learned(&self) -> Arc<LearnedEndpoints> {
        Arc::clone(&self.learned)
    }

    /// The streams that the program measures, where the configuration asks for it; once.
    pub fn take_measured(&mut self) -> Option<MeasuredMap> {
        self.measured.take()
    }

    /// The counters of the program, summed over the CPUs. They can be read after the detach too.
    ///
    /// # Errors
    /// The errno of bpf(2).
    pub fn verdicts(&self) -> Result<Verdicts, ReadError> {
        let map = self
            .ebpf
            .map(object::COUNTERS)
            .ok_or(ReadError::NoMap(object::COUNTERS))?;
        let counters: PerCpuArray<_, CounterWords> = map.try_into()?;
        let mut verdicts = Verdicts::default();
        for of_one_cpu in counters.get(&0, 0)?.iter() {
            verdicts.add_cpu(&bytemuck::cast(*of_one_cpu));
        }
        Ok(verdicts)
    }

    /// Whether frames can come in on the interface now.
    pub fn presence(&self) -> Presence {
        self.interface.presence()
    }

    /// What the interface itself counts, frames among it that never reached the program.
    ///
    /// # Errors
    /// When a file under /sys/class/net cannot be read: the interface is gone.
    pub fn interface_counters(&self) -> Result<InterfaceCounters, ReadError> {
        self.interface.counters()
    }

    /// How many of the frames that the interface counts as lost never reached the program. `in_sockets` is how many the lanes' sockets had no
    /// room for, read before the `counters`.
    pub fn interface_lost(&self, counters: &InterfaceCounters, in_sockets: u64) -> u64 {
        match self.mode {
            // rx_dropped are frames that nobody on the host wanted (__netif_receive_skb_core, net/core/dev.c) as well, which
            // the program has seen.
            Mode::Host => counters.rx_missed_errors,
            Mode::Idle | Mode::Mirror => {
                let by_program = self.interface.counted_of_program();
                let is_counted = self.interface.counts_sockets() && self.obtained.attach == AttachMode::Native;
                let by_sockets = if is_counted { in_sockets } else { 0 };
                counters.rx_missed_errors + counters.rx_dropped.saturating_sub(by_program + by_sockets)
            }
        }
    }

    /// What its driver counts of loss beyond that, under the driver's own names.
    pub fn driver_counters(&self) -> Vec<(String, u64)> {
        self.interface.driver_counters()
    }

    /// The log of the program, where the configuration asks for it; once.
    pub fn take_kernel_log(&mut self) -> Option<KernelLog> {
        self.kernel_log.take()
    }

    /// Frames that found the ring buffer full, lane by lane; mirror mode has none.
    ///
    /// # Errors
    /// The errno of bpf(2).
    pub fn ring_full(&self) -> Result<Vec<u64>, ReadError> {
        Ok(vec![self.verdicts()?.get(Verdict::RingFull).frames])
    }

    /// The XDP program in the kernel, for what runs it by itself (BPF_PROG_TEST_RUN).
    ///
    /// # Errors
    /// When there is none: in host mode it has to be attached natively.
    pub fn in_kernel(&mut self) -> Result<&mut Xdp, ProgramError> {
        let name = match self.mode {
            Mode::Host => object::IN_XDP,
            _ => object::PROGRAM,
        };
        xdp(&mut self.ebpf, name)
    }

    /// Takes the program off the interface: no frame comes into the lanes any more, what is in their rings stays there.
    /// Does nothing the second time.
    ///
    /// # Errors
    /// The errno of bpf(2) or netlink(7).
    pub fn detach(&mut self) -> Result<(), DetachError> {
        let mut first = Ok(());
        for link in self.links.drain(..) {
            let result = match link {
                Link::Xdp(name, link) => match self.ebpf.program_mut(name) {
                    Some(programs::Program::Xdp(program)) => program.detach(link),
                    _ => Err(ProgramError::UnexpectedProgramType),
                },
                Link::Tcx(name, link) => match self.ebpf.program_mut(name) {
                    Some(programs::Program::SchedClassifier(program)) => program.detach(link),
                    _ => Err(ProgramError::UnexpectedProgramType),
                },
            };
            first = first.and(result);
        }
        first.map_err(|source| DetachError {
            interface: self.interface.port().name.clone(),
            source,
        })
    }
}

/// XDP_REDIRECT takes the frame from the host. On an interface the host itself lives on, that cuts its connections.
fn refuse_to_steal(interface: &Interface, capture: &Capture) -> Result<(), OpenError> {
    if capture.steal_traffic {
        return Ok(());
    }
    match interface.own_address()? {
        Some(found) => Err(OpenError::OwnAddress {
            interface: capture.interface.clone(),
            carrier: found.interface,
            address: found.address,
        }),
        None => Ok(()),
    }
}

fn write_ports(ebpf: &mut Ebpf, capture: &Capture) -> Result<(), OpenError> {
    let table = capture.port_table();
    let bytes: &[u8; PortTable::PORTS] = bytemuck::cast_ref(&*table);
    let mut ports: Array<_, [u8; PortTable::PORTS]> = object::map(ebpf, object::PORTS)?;
    ports
        .set(0, bytes, 0)
        .map_err(|source| OpenError::map(object::PORTS, source))
}

/// Attaches in the best way that `wanted` allows, and says why it was not the best of all.
fn attach(
    ebpf: &mut Ebpf,
    interface: &Interface,
    wanted: Attach,
) -> Result<(XdpLinkId, AttachMode, Option<String>), OpenError> {
    let ways: &[AttachMode] = match wanted {
        Attach::Auto => &[AttachMode::Native, AttachMode::Generic],
        Attach::Native => &[AttachMode::Native],
        Attach::Generic => &[AttachMode::Generic],
        // The configuration has it for host mode alone.
        Attach::Tcx => &[],
    };
    let ifindex = interface.port().ifindex;
    let mut refused = Vec::new();
    for way in ways {
        let mode = match way {
            AttachMode::Native => XdpMode::Driver,
            AttachMode::Generic | AttachMode::Tcx | AttachMode::Packet => XdpMode::Skb,
        };
        match xdp(ebpf, object::PROGRAM).and_then(|program| program.attach_to_if_index(ifindex, mode)) {
            Ok(link) => {
                let why_not = match (way, refused.pop()) {
                    (AttachMode::Native, _) => None,
                    (AttachMode::Generic | AttachMode::Tcx | AttachMode::Packet, why) => {
                        Some(why.unwrap_or_else(|| "not asked for".to_owned()))
                    }
                };
                return Ok((link, *way, why_not));
            }
            Err(error) => refused.push(format!("{way}: {}", error::with_causes(&error))),
        }
    }
    Err(OpenError::Attach {
        interface: interface.port().name.clone(),
        refused: refused.join("; "),
    })
}

/// Opens one lane per rx queue and puts its socket where the program finds it.
fn bind(ebpf: &mut Ebpf, interface: &Interface, capture: &Capture, attach: AttachMode) -> Result<Vec<Lane>, OpenError> {
    let mut capture = capture.clone();
    if attach == AttachMode::Generic {
        if capture.bind == Bind::ZeroCopy {
            return Err(OpenError::ZeroCopyGeneric {
                interface: capture.interface,
            });
        }
        // The generic program sees frames the driver has already copied into skbs.
        capture.bind = Bind::Copy;
    }
    let mut sockets: XskMap<_> = object::map(ebpf, object::SOCKETS)?;
    let mut lanes = Vec::new();
    for queue in 0..interface.queues() {
        let lane = Lane::open(interface.port(), queue, &capture, STAMP_ROOM)?;
        sockets
            .set(
                queue,
                std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(&lane)),
                0,
            )
            .map_err(|source| OpenError::map(object::SOCKETS, source))?;
        lanes.push(lane);
    }
    Ok(lanes)
}

/// What the program is told, as long as it is idle.
fn settings(capture: &Capture) -> Settings {
    Settings {
        mode: Mode::Idle as u32,
        log: u32::from(capture.kernel_log),
        tunnels: capture.tunnels.iter().copied().collect(),
        media: MediaSettings::new(capture.media, capture.level, false, capture.early_packets),
    }
}

fn obtained_queue(lane: &Lane) -> ObtainedQueue {
    ObtainedQueue {
        queue: lane.queue(),
        bound: lane.bound().clone(),
        huge_pages: lane.umem().huge_pages(),
        why_not_huge_pages: lane.umem().no_huge_pages().map(str::to_owned),
    }
}

/// Those of the program that took the most.
fn verified_instructions(ebpf: &mut Ebpf, programs: &[&str]) -> Option<u32> {
    programs
        .iter()
        .filter_map(|name| ebpf.program_mut(name)?.info().ok()?.verified_instruction_count())
        .max()
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp, ProgramError> {
    ebpf.program_mut(name)
        .ok_or(ProgramError::UnexpectedProgramType)?
        .try_into()
}

#[cfg(all(test, not(siphon_ebpf)))]
mod tests {
    use super::*;

    #[test]
    fn without_the_object_the_error_says_how_to_build_it() {
        let error = open(&Capture::default()).unwrap_err().to_string();
        assert!(error.contains("cargo xtask build-ebpf"), "{error}");
    }
}
