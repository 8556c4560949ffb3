//! Host mode: the programs at both directions of an interface the host lives on, and the ring buffers they copy into.
//!
//! Nothing is taken from the host. Links are descriptors of this process: the kernel takes the programs off when they are
//! closed, however the process ends.

use aya::Ebpf;
use capture_common::{Media, Mode};
use std::sync::Arc;

use aya::maps::{ArrayOfMaps, MapData};
use aya::programs::links::LinkOrder;
use aya::programs::tc::TcAttachOptions;
use aya::programs::{ProgramError, SchedClassifier, TcAttachType, Xdp, XdpMode};
use aya::util::nr_cpus;

use super::error::OpenError;
use super::interface::Interface;
use super::object::Room;
use super::{
    AttachMode, EMBEDDED, KernelLog, LearnedEndpoints, Link, MeasuredMap, Obtained, Program, arm, object, write_ports,
};
use crate::config::{Attach, Capture, Follow};
use crate::intake::RingLane;

/// Type number of a ring buffer (enum bpf_map_type, include/uapi/linux/bpf.h).
const RING_BUFFER: u32 = 27;

/// Attaches the programs to both directions of the interface, and makes `rings` ring buffers, among which the CPUs are
/// dealt out; a lane for each. There is room for what is followed.
///
/// # Errors
/// What is missing or refused, with the interface, the direction, the call and its errno. Nothing stays attached then.
pub fn open(capture: &Capture, rings: usize, follow: &Follow) -> Result<(Program, Vec<RingLane>), OpenError> {
    if !EMBEDDED {
        return Err(OpenError::NotBuilt);
    }
    let interface = Interface::find(&capture.interface)?;
    let cpus = nr_cpus().map_err(|(path, source)| OpenError::Cpus { path, source })?;
    let lanes = rings.clamp(1, cpus);
    let points = points(capture.attach, &interface)?;
    let programs: Vec<_> = points.iter().map(Point::program).collect();
    let room = Room {
        cpus: cpus as u32,
        ..Room::new(capture, follow)
    };
    let mut ebpf = object::load(room, &programs)?;
    write_ports(&mut ebpf, capture)?;
    let kernel_log = capture.kernel_log.then(|| KernelLog::new(&mut ebpf)).transpose()?;
    let lanes = ring_lanes(&mut ebpf, capture, lanes, cpus)?;
    let mut links = Vec::new();
    for point in &points {
        links.push(point.attach(&mut ebpf, &interface)?);
    }
    let settings = arm(&mut ebpf, capture, Mode::Host)?;
    let learned = LearnedEndpoints::new(&mut ebpf, settings, room.endpoints)?;
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
        rings: Some(capture.ring_size),
    };
    let program = Program {
        ebpf,
        links,
        interface,
        obtained,
        kernel_log,
        learned: Arc::new(learned),
        measured,
        _promiscuous: None,
    };
    Ok((program, lanes))
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
            // Behind other programs: what they drop does not go out.
            Self::Out => tcx(ebpf, program)
                .and_then(|tcx| {
                    let order = TcAttachOptions::TcxOrder(LinkOrder::last());
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

/// Makes the ring buffers, and shows each CPU's to the programs.
fn ring_lanes(ebpf: &mut Ebpf, capture: &Capture, rings: usize, cpus: usize) -> Result<Vec<RingLane>, OpenError> {
    let mut lanes = Vec::new();
    let mut maps = Vec::new();
    for lane in 0..rings {
        let shape = aya_obj::Map::new_from_params(RING_BUFFER, 0, 0, capture.ring_size, 0);
        let map = MapData::create(shape, "siphon_ring", None).map_err(|source| OpenError::Ring {
            bytes: capture.ring_size,
            source: Box::new(source),
        })?;
        lanes.push(RingLane::open(
            &capture.interface,
            lane as u32,
            map.fd(),
            capture.ring_size,
        )?);
        maps.push(map);
    }
    let mut of_cpus: ArrayOfMaps<_, MapData> = object::map(ebpf, object::RINGS)?;
    for (cpu, map) in (0..cpus as u32).zip(maps.iter().cycle()) {
        of_cpus
            .set(cpu, map, 0)
            .map_err(|source| OpenError::map(object::RINGS, source))?;
    }
    Ok(lanes)
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp, ProgramError> {
    ebpf.program_mut(name)
        .ok_or(ProgramError::UnexpectedProgramType)?
        .try_into()
}

fn tcx<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut SchedClassifier, ProgramError> {
    ebpf.program_mut(name)
        .ok_or(ProgramError::UnexpectedProgramType)?
        .try_into()
}
