//! What can go wrong with the program, in the operator's words.

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;

use crate::xsk::LaneError;

/// Why capture could not begin.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The object is not in this binary.
    #[error(
        "this siphon was built without its kernel program, so it can replay files and capture in packet mode only: \
         run `cargo xtask build-ebpf` and build it again"
    )]
    NotBuilt,
    /// No such interface in this network namespace.
    #[error("no interface {interface}: {source}")]
    NoInterface {
        /// As configured.
        interface: String,
        /// The errno.
        source: io::Error,
    },
    /// A file under /sys/class/net.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Frames there are none that siphon reads.
    #[error(
        "{interface} carries no Ethernet frames (type {kind} in /sys/class/net/{interface}/type); capture on the interface \
         below it, or where its packets leave the tunnel"
    )]
    NotEthernet {
        /// As configured.
        interface: String,
        /// ARPHRD number.
        kind: u64,
    },
    /// The addresses of the interfaces could not be asked.
    #[error("list the addresses of the interfaces (getifaddrs): {0}")]
    Addresses(#[source] io::Error),
    /// Mirror mode on an interface the host uses.
    #[error(
        "{interface} is in use by this host: {carrier} has the address {address}. In mirror mode every frame that comes in \
         on {interface} is taken from the host, kept by siphon or dropped, so this host could no longer be reached \
         through it. Capture on the mirror port, which needs no address; or, to cut the host off on purpose, \
         give --steal-traffic (capture.steal_traffic = true)"
    )]
    OwnAddress {
        /// The interface to capture on.
        interface: String,
        /// The interface with the address: itself, or one on top of it.
        carrier: String,
        /// The address.
        address: IpAddr,
    },
    /// The object or its maps were refused, or the process may not make them.
    #[error("load the kernel program's maps (needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN): {}", with_causes(.0))]
    Object(Box<EbpfError>),
    /// The program was refused by the verifier, or the process may not load it.
    #[error("load the kernel program (needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN): {}", with_causes(.0))]
    Load(Box<ProgramError>),
    /// Object and daemon do not fit.
    #[error("the kernel program's object has no program {0}")]
    NoProgram(&'static str),
    /// Object and daemon do not fit.
    #[error("the kernel program's object has no map {0}")]
    NoMap(&'static str),
    /// A map could not be written.
    #[error("map {map}: {}", with_causes(.source))]
    Map {
        /// Its name.
        map: &'static str,
        /// aya's error, with the errno.
        source: Box<MapError>,
    },
    /// Neither way of attaching was accepted.
    #[error(
        "attach the kernel program to {interface}: {refused}; busy or existing means that an XDP program is attached \
         already, perhaps another siphon's: `ip link show {interface}`"
    )]
    Attach {
        /// The interface.
        interface: String,
        /// What was tried, and the answers.
        refused: String,
    },
    /// A program of host mode was not accepted.
    #[error(
        "attach the kernel program {point} {interface} (tcx needs Linux 6.6, native XDP a driver that has it): {}",
        with_causes(.source)
    )]
    AttachHost {
        /// The interface.
        interface: String,
        /// Way and direction.
        point: &'static str,
        /// aya's error, with the errno.
        source: Box<ProgramError>,
    },
    /// The kernel does not say which CPUs there are.
    #[error("read which CPUs are online: {source}")]
    Cpus {
        /// Why.
        source: std::io::Error,
    },
    /// A ring buffer could not be made.
    #[error("make a ring buffer of {bytes} bytes (capture.ring_size): {}", with_causes(.source))]
    Ring {
        /// Its size.
        bytes: u32,
        /// aya's error, with the errno.
        source: Box<MapError>,
    },
    /// `bind = "zero-copy"` where only the generic way was to be had.
    #[error("{interface}: zero-copy needs the program in the driver, and it could only be attached generically")]
    ZeroCopyGeneric {
        /// The interface.
        interface: String,
    },
    /// A socket.
    #[error(transparent)]
    Lane(#[from] LaneError),
    /// The interface could not be made promiscuous.
    #[error("make {interface} promiscuous (PACKET_ADD_MEMBERSHIP): {source}")]
    Promiscuous {
        /// The interface.
        interface: String,
        /// The errno.
        source: io::Error,
    },
    /// The log of the program could not be opened.
    #[error("open the kernel program's log: {}", with_causes(.0))]
    KernelLog(Box<aya_log::Error>),
}

impl OpenError {
    /// An error of a map.
    pub(super) fn map(map: &'static str, source: MapError) -> Self {
        Self::Map {
            map,
            source: Box::new(source),
        }
    }
}

/// Why a figure could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Object and daemon do not fit.
    #[error("the kernel program's object has no map {0}")]
    NoMap(&'static str),
    /// A map could not be read.
    #[error("read a map: {}", with_causes(.0))]
    Map(#[from] MapError),
    /// The map of streams.
    #[error("read the map of streams: {0}")]
    Streams(#[source] io::Error),
    /// A file of the interface.
    #[error("{}: {source}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// The errno; `InvalidData` where it holds no number.
        source: io::Error,
    },
}

/// The program could not be detached.
#[derive(Debug, thiserror::Error)]
#[error("detach the kernel program from {interface}: {}", with_causes(.source))]
pub struct DetachError {
    /// The interface.
    pub interface: String,
    /// aya's error, with the errno.
    pub source: ProgramError,
}

/// An error with its causes in one line: aya keeps the errno in the innermost. The verifier's log, of which aya's message
/// has all, is cut to its end, where the reason stands.
pub(super) fn with_causes(error: &dyn Error) -> String {
    const KEPT: usize = 600;
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    let cut = text.len().saturating_sub(KEPT);
    match (cut..text.len()).find(|at| text.is_char_boundary(*at)) {
        Some(from) if cut > 0 => format!("…{}", text.get(from..).unwrap_or_default()),
        _ => text,
    }
}
