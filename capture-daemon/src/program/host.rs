//! Host mode: the programs at both directions of an interface the host lives on, and the ring buffers they copy into.
//!
//! Nothing is taken from the host. Links are descriptors of this process: the kernel takes the programs off when they are
//! closed, however the process ends.

use std::sync::Arc;

use aya::Ebpf;
use aya::maps::{ArrayOfMaps, MapData};
use aya::programs::links::LinkOrder;
use aya::programs::tc::TcAttachOptions;
use aya::programs::{ProgramError, SchedClassifier, TcAttachType, XdpMode};
use capture_common::{Media, Mode};

use super::error::OpenError;
use super::interface::Interface;
use super::object::Room;
use super::{
    AttachMode, EMBEDDED, KernelLog, LearnedEndpoints, Link, MeasuredMap, Obtained, Program, object, settings,
    write_ports, xdp,
};
use crate::config::{Attach, Capture, Follow};
use crate::intake::RingLane;

/// Type number of a ring buffer (enum bpf_map_type, include/uapi/linux/bpf.h).
const RING_BUFFER: u32 = 27;

/// Attaches the programs to both directions of the interface, idle, and makes the ring buffers, with their lane. There is room for
/// what is followed.
///
/// # Errors
/// What is missing or refused, with the interface, the direction, the call and its errno. Nothing stays attached then.
pub fn prepare(capture: &Capture, follow: &Follow) -> Result<(Program, RingLane), OpenError> {
    if !EMBEDDED {
        return Err(OpenError::NotBuilt);
    }
    let interface = Interface::find(&capture.interface)?;
    let points = points(capture.attach, &interface)?;
    let programs: Vec<_> = points.iter().map(Point::program).collect();
    let cpus = cpus()?;
    let room = Room {
        rings: cpus,
        ..Room::new(capture, follow)
    };
    let mut ebpf = object::load(room, &programs)?;
    write_ports(&mut ebpf, capture)?;
    let kernel_log = capture.kernel_log.then(|| KernelLog::new(&mut ebpf)).transpose()?;
    let lane = ring_lane(&mut ebpf, capture, cpus)?;
    let mut links = Vec::new();
    for point in &points {
        links.push(point.attach(&mut ebpf, &interface)?);
    }
    let learned = LearnedEndpoints::new(&mut ebpf, settings(capture), room.endpoints)?;
    let measured = (capture.media == Media::Measured)
        .then(|| MeasuredMap::new(&mut ebpf, room.streams))
        .transpose()?;
    let attach = match points.first() {
        Some(Point::Driver) => AttachMode::Native,
        _ => AttachMode::Tcx,
    };
    let obtained = Obtained {
        attach,
        why_not_native: None,
        verified_instructions: super::verified_instructions(&mut ebpf, &programs),
        queues: Vec::new(),
        rings: Some(cpus.saturating_mul(RingLane::share(capture.ring_size, cpus as usize))),
    };
    let program = Program {
        ebpf,
        links,
        interface,
        mode: Mode::Host,
        obtained,
        kernel_log,
        learned: Arc::new(learned),
        measured,
        _promiscuous: None,
    };
    Ok((program, lane))
}

/// Where a program is attached.
#[derive(Clone, Copy, Debug)]
enum Point {
    /// What comes in, in the driver.
    Driver,
    /// What comes in, in the stack.
    In,
    /// What goes out, in the stack.
    Out,
}

/// Where the programs are attached. On the loopback interface everything that goes out comes in again, and is looked at
/// once.
fn points(attach: Attach, interface: &Interface) -> Result<Vec<Point>, OpenError> {
    let inward = match attach {
        Attach::Native => Point::Driver,
        Attach::Auto | Attach::Tcx | Attach::Generic => Point::In,
    };
    Ok(match interface.is_loopback()? {
        true => vec![inward],
        false => vec![inward, Point::Out],
    })
}

impl Point {
    fn program(&self) -> &'static str {
        match self {
            Self::Driver => object::IN_XDP,
            Self::In => object::IN,
            Self::Out => object::OUT,
        }
    }

    fn attach(self, ebpf: &mut Ebpf, interface: &Interface) -> Result<Link, OpenError> {
        let name = &interface.port().name;
        let program = self.program();
        match self {
            Self::Driver => xdp(ebpf, program)
                .and_then(|xdp| xdp.attach_to_if_index(interface.port().ifindex, XdpMode::Driver))
                .map(|link| Link::Xdp(program, link)),
            // In front of other programs, which may drop what came in.
            Self::In => tcx(ebpf, program)
                .and_then(|tcx| {
                    let order = TcAttachOptions::TcxOrder(LinkOrder::first());
                    tcx.attach_with_options(name, TcAttachType::Ingress, order)
                })
                .map(|link| Link::Tcx(program, link)),
            // In front as well: a program that does not say NEXT ends the chain, and most do not.
            Self::Out => tcx(ebpf, program)
                .and_then(|tcx| {
                    let order = TcAttachOptions::TcxOrder(LinkOrder::first());
                    tcx.attach_with_options(name, TcAttachType::Egress, order)
                })
                .map(|link| Link::Tcx(program, link)),
        }
        .map_err(|source| OpenError::AttachHost {
            interface: name.clone(),
            point: match self {
                Self::Driver => "natively (XDP) to what comes in on",
                Self::In => "by tcx to what comes in on",
                Self::Out => "by tcx to what goes out of",
            },
            source: Box::new(source),
        })
    }
}

/// CPUs there are, up to the one with the highest number.
fn cpus() -> Result<u32, OpenError> {
    let online = aya::util::online_cpus().map_err(|(_, source)| OpenError::Cpus { source })?;
    Ok(online.into_iter().max().unwrap_or_default() + 1)
}

/// Makes a ring buffer for each CPU, and shows them to the programs.
fn ring_lane(ebpf: &mut Ebpf, capture: &Capture, cpus: u32) -> Result<RingLane, OpenError> {
    let bytes = RingLane::share(capture.ring_size, cpus as usize);
    let make = || {
        let shape = aya_obj::Map::new_from_params(RING_BUFFER, 0, 0, bytes, 0);
        MapData::create(shape, "siphon_ring", None).map_err(|source| OpenError::Ring {
            bytes,
            source: Box::new(source),
        })
    };
    let maps: Vec<MapData> = (0..cpus).map(|_| make()).collect::<Result<_, _>>()?;
    let lane = RingLane::open(&capture.interface, 0, maps.iter().map(MapData::fd), bytes)?;
    let mut rings: ArrayOfMaps<_, MapData> = object::map(ebpf, object::RINGS)?;
    for (cpu, map) in (0..cpus).zip(&maps) {
        rings
            .set(cpu, map, 0)
            .map_err(|source| OpenError::map(object::RINGS, source))?;
    }
    Ok(lane)
}

fn tcx<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut SchedClassifier, ProgramError> {
    ebpf.program_mut(name)
        .ok_or(ProgramError::UnexpectedProgramType)?
        .try_into()
}
