//! The object file of the kernel program: embedded by the build script, loaded with aya.

use aya::maps::{Map, MapError};
use aya::programs::Program;
use aya::{Ebpf, EbpfLoader};
use capture_common::rtp::slot;

use super::error::OpenError;

/// The program of mirror mode.
pub const PROGRAM: &str = "siphon";
/// That of host mode for what comes in, in the driver.
pub const IN_XDP: &str = "siphon_in_xdp";
/// The same in the stack.
pub const IN: &str = "siphon_in";
/// That of host mode for what goes out.
pub const OUT: &str = "siphon_out";
/// The object's memory of one [`capture_common::PortTable`], a map of one entry.
pub const PORTS: &str = ".bss.ports";
/// The same of one [`capture_common::Settings`].
pub const SETTINGS: &str = ".bss.settings";
/// XSKMAP: the socket of each rx queue.
pub const SOCKETS: &str = "SOCKETS";
/// Array of a ring buffer for each CPU.
pub const RINGS: &str = "RINGS";
/// Per-CPU array of one [`capture_common::Counters`].
pub const COUNTERS: &str = "COUNTERS";

/// The object, aligned as the ELF reader wants it; empty where the daemon was built without.
#[cfg(siphon_ebpf)]
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("SIPHON_EBPF"));
#[cfg(not(siphon_ebpf))]
static OBJECT: &[u8] = &[];

/// Whether the kernel program is in this binary.
pub const EMBEDDED: bool = cfg!(siphon_ebpf);

/// Hash of [`capture_common::EndpointEntry`] by [`capture_common::EndpointKey`].
pub const ENDPOINTS: &str = "ENDPOINTS";
/// LRU hash of what came to endpoints that no call has named.
const EARLY: &str = "EARLY";

/// Hash of the number of its slot by [`capture_common::rtp::StreamKey`].
pub const STREAMS: &str = "STREAMS";
/// Array of [`capture_common::rtp::Slot`].
pub const SLOTS: &str = "SLOTS";
/// Array of [`capture_common::rtp::Cold`], by the same numbers.
pub const REST: &str = "REST";
/// Array of [`capture_common::rtp::slot::Line`].
pub const INDEX: &str = "INDEX";
/// Stack of numbers of slots that were given back.
pub const FREED: &str = "FREED";
/// One less than the lines of the index, in the object's data.
const INDEX_MASK: &str = "INDEX_MASK";

/// Room in the program's maps.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Sockets.
    pub queues: u32,
    /// Ring buffers.
    pub rings: u32,
    /// Endpoints of calls.
    pub endpoints: u32,
    /// Endpoints that no call has named, for which packets are counted.
    pub early: u32,
    /// Streams that are measured in the kernel.
    pub streams: u32,
}

/// Loads the maps and some of the programs into the kernel.
///
/// # Errors
/// The errno and the end of the verifier's log where the kernel refuses it.
pub fn load(room: Room, programs: &[&'static str]) -> Result<Ebpf, OpenError> {
    let lines = slot::lines(room.streams);
    let mut ebpf = EbpfLoader::new()
        .map_max_entries(SOCKETS, room.queues)
        .map_max_entries(RINGS, room.rings)
        .map_max_entries(ENDPOINTS, room.endpoints)
        .map_max_entries(EARLY, room.early)
        .map_max_entries(STREAMS, room.streams)
        .map_max_entries(SLOTS, room.streams)
        .map_max_entries(REST, room.streams)
        .map_max_entries(FREED, room.streams)
        .map_max_entries(INDEX, lines)
        .override_global(INDEX_MASK, &(lines - 1), true)
        .load(OBJECT)
        .map_err(|source| OpenError::Object(Box::new(source)))?;
    for name in programs {
        let loaded = match ebpf.program_mut(name) {
            Some(Program::Xdp(program)) => program.load(),
            Some(Program::SchedClassifier(program)) => program.load(),
            _ => return Err(OpenError::NoProgram(name)),
        };
        loaded.map_err(|source| OpenError::Load(Box::new(source)))?;
    }
    Ok(ebpf)
}

/// A map of the object, as its type.
///
/// # Errors
/// When the object has no map of this name or it is of another type: object and daemon do not fit.
pub fn map<'a, M>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<M, OpenError>
where
    M: TryFrom<&'a mut Map, Error = MapError>,
{
    ebpf.map_mut(name)
        .ok_or(OpenError::NoMap(name))?
        .try_into()
        .map_err(|source| OpenError::map(name, source))
}
