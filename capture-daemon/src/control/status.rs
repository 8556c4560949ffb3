//! What the daemon says of itself: the answers to `health` and `status`. Plain data; fields are added, never renamed or
//! taken away.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::RuleStatus;
use crate::report::{LearnedFigures, RtcpCounts, RtpFigures, SipCounts};
use crate::time::Timestamp;

/// Counts by name.
pub type Tally = BTreeMap<String, u64>;

/// How the daemon does, as a traffic light.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Light {
    /// Everything that should be captured is.
    #[default]
    Green,
    /// Something is worse than it could be, or was lost.
    Yellow,
    /// Something that should be captured or kept is not.
    Red,
}

impl Light {
    /// The name in JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Red => "red",
        }
    }
}

/// The answer to `health`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// The worst of the reasons; green without any.
    pub status: Light,
    /// Why it is not green.
    pub reasons: Vec<Reason>,
    /// Seconds since the daemon started.
    pub uptime_s: f64,
    /// Version of the daemon.
    pub version: String,
    /// Interface captured on.
    pub interface: String,
    /// Calls that are trying, ringing or answered.
    pub active_calls: u64,
    /// RTP streams remembered.
    pub streams: u64,
    /// Frames the kernel program saw.
    pub seen: u64,
    /// Frames dropped at every stage, malformed ones included.
    pub dropped: u64,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What, in one word that does not change: `disk_full`, `ring_drops`, ….
    pub what: String,
    /// How bad.
    pub status: Light,
    /// Since when.
    pub since: Timestamp,
    /// A sentence for the operator: figures, and what to do.
    pub detail: String,
}

/// The answer to `status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// When the daemon started.
    pub started: Timestamp,
    /// Seconds since then.
    pub uptime_s: f64,
    /// Interface captured on.
    pub interface: String,
    /// Capture mode.
    pub mode: String,
    /// How the kernel program is attached.
    pub attach: Obtained,
    /// One for each rx queue, in order.
    pub lanes: Vec<Lane>,
    /// Where every frame went.
    pub identity: Identity,
    /// Frames by verdict of the kernel program, under the verdict's label.
    pub verdicts: Tally,
    /// The interface's own counters.
    pub interface_counters: InterfaceCounters,
    /// What the interface's driver counts of loss (`ethtool -S`), under the driver's own names, from before siphon came too.
    #[serde(default)]
    pub driver_counters: Tally,
    /// The continuous audit of the identity.
    #[serde(default)]
    pub audit: Audit,
    /// SIP messages.
    pub sip: SipCounts,
    /// RTP streams in figures.
    #[serde(default)]
    pub rtp: RtpFigures,
    /// RTCP packets.
    #[serde(default)]
    pub rtcp: RtcpCounts,
    /// Calls by state and by result.
    pub calls: CallCounts,
    /// Rules, and what came of each.
    #[serde(default)]
    pub rules: Vec<RuleStatus>,
    /// Registrations remembered, by state.
    pub registrations: Tally,
    /// The endpoints of calls in the kernel program's map.
    #[serde(default)]
    pub learned: LearnedFigures,
    /// Bounded tables by name.
    pub tables: BTreeMap<String, TableSize>,
    /// Streams measured in the kernel; absent where none are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// The files.
    pub spool: SpoolStatus,
    /// The control socket.
    pub control: ControlCounts,
}

/// What was obtained from the kernel, and why nothing better.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obtained {
    /// `native`, `generic`, `zero-copy`, `copy`, `huge pages`, ….
    pub got: String,
    /// Why not better; absent where there is no better or the configuration asked for this.
    pub why: Option<String>,
}

/// One rx queue with its worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// The rx queue.
    pub queue: u32,
    /// CPU the worker is pinned to; absent where it is not.
    pub cpu: Option<usize>,
    /// How the socket is bound.
    pub bind: Obtained,
    /// The pages of the umem.
    pub pages: Obtained,
    /// Frames the worker took from its ring.
    pub frames: u64,
    /// Bytes of those frames on the wire.
    pub bytes: u64,
    /// Frames among them that came in several buffers.
    #[serde(default)]
    pub multi_buffer: u64,
    /// Frames among them that the kernel program could not stamp: their time is that of reading, and so is the jitter.
    #[serde(default)]
    pub no_timestamp: u64,
    /// Times the wall clock was found set.
    #[serde(default)]
    pub clock_steps: u64,
    /// Times the kernel was woken to look at the fill ring.
    #[serde(default)]
    pub wakeups: u64,
    /// The socket's own statistics.
    pub socket: SocketCounts,
    /// Its ring, in host mode and packet mode.
    #[serde(default)]
    pub ring: Option<RingCounts>,
    /// Frames by outcome in the engine.
    pub outcomes: Tally,
    /// What the engine could not follow, by reason.
    pub losses: Tally,
    /// RTP streams this worker remembers.
    pub streams: u64,
    /// TCP directions this worker follows.
    pub tcp_streams: u64,
    /// What became of the frames that were to be kept.
    pub spool: LaneSpool,
}

/// XDP_STATISTICS of an AF_XDP socket (struct xdp_statistics, include/uapi/linux/if_xdp.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketCounts {
    /// Dropped for other reasons than a full rx ring.
    pub rx_dropped: u64,
    /// Dropped for an invalid descriptor in the fill ring.
    pub rx_invalid_descs: u64,
    /// Dropped for an invalid descriptor in the tx ring.
    pub tx_invalid_descs: u64,
    /// Dropped for a full rx ring.
    pub rx_ring_full: u64,
    /// The fill ring was empty when a frame came; such a frame is in `rx_dropped` too. In packet mode, times that the ring was
    /// found full.
    pub rx_fill_ring_empty_descs: u64,
    /// The tx ring was empty.
    pub tx_ring_empty_descs: u64,
}

/// A lane's BPF ring buffer, or the ring of its packet socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingCounts {
    /// Its bytes.
    pub size: u64,
    /// Bytes that waited for the worker when it last looked, about once a second.
    pub used: u64,
    /// Frames that found it full; they are among the program's verdicts as `ring_full`.
    pub full: u64,
    /// Frames taken from it that went out from the host; the others came in.
    pub outgoing: u64,
    /// Frames taken from it that stood for several packets (GSO, GRO).
    pub super_frames: u64,
    /// Packets that went to the engine: each frame is one, a super-frame as many as it stood for.
    pub packets: u64,
}

/// What became of the frames a lane was to keep.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneSpool {
    /// Frames to keep.
    pub offered: u64,
    /// Frames of which the level of their call wants nothing.
    #[serde(default)]
    pub not_kept: u64,
    /// Frames of which it wants only the headers.
    #[serde(default)]
    pub cut: u64,
    /// Frames in files.
    pub written: u64,
    /// Bytes written to files.
    pub bytes: u64,
    /// Frames in chunks.
    pub queued: u64,
    /// Frames not written, by reason.
    pub dropped: Tally,
}

/// Where every frame went, stage by stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Kernel program: seen = captured + filtered + dropped.
    pub program: Stage,
    /// AF_XDP sockets: captured = received + dropped.
    pub sockets: Stage,
    /// Engine: frames = sum of outcomes.
    pub engine: Stage,
    /// Spool: offered = written + not kept + queued + dropped.
    pub spool: Stage,
}

impl Identity {
    /// The stages by name, in the order of the packet.
    pub fn stages(&self) -> [(&'static str, &Stage); 4] {
        let Self {
            program,
            sockets,
            engine,
            spool,
        } = self;
        [
            ("program", program),
            ("sockets", sockets),
            ("engine", engine),
            ("spool", spool),
        ]
    }
}

/// What the daemon finds when it checks, once a second, that what one stage passed on came in at the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Looks since the start.
    pub looks: u64,
    /// Looks that found frames without a place, by the stage they never came to: none, or a figure cannot be trusted.
    pub violations: Tally,
}

/// One stage: what came in and where it went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Frames that came in.
    pub seen: u64,
    /// Frames that went on or were done with, by where.
    pub passed: Tally,
    /// Frames that are still inside.
    pub queued: u64,
    /// Frames that were lost here, by reason.
    pub dropped: Tally,
    /// Whether `seen = Σ passed + queued + Σ dropped`.
    pub holds: bool,
}

impl Stage {
    /// A stage with its identity checked.
    pub fn new(seen: u64, passed: Tally, queued: u64, dropped: Tally) -> Self {
        let out = passed
            .values()
            .chain(dropped.values())
            .map(|n| u128::from(*n))
            .sum::<u128>()
            + u128::from(queued);
        Self {
            holds: out == u128::from(seen),
            seen,
            passed,
            queued,
            dropped,
        }
    }
}

/// The interface's own counters: /sys/class/net/INTERFACE/statistics, from before siphon came too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceCounters {
    /// Frames received.
    pub rx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Frames received with an error.
    pub rx_errors: u64,
    /// Frames dropped after reception.
    pub rx_dropped: u64,
    /// Frames the NIC had no buffer for.
    pub rx_missed_errors: u64,
}

/// Calls by state and by result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallCounts {
    /// Calls remembered, by state.
    pub states: Tally,
    /// Calls since the start by how they ended: `ended`, `failed`, `cancelled`, `timed_out`.
    pub results: Tally,
    /// Answered calls that are over since the start, by what ended them: `bye`, `no_bye`.
    #[serde(default)]
    pub ended_by: Tally,
    /// Calls since the start with RTP one way only though both were wanted for 5 s or more; counted when they are forgotten.
    #[serde(default)]
    pub one_way: u64,
    /// Calls since the start without RTP, likewise.
    #[serde(default)]
    pub no_media: u64,
    /// Calls remembered, by level.
    #[serde(default)]
    pub levels: Tally,
}

/// How full a bounded table is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSize {
    /// Entries in it.
    pub entries: u64,
    /// Entries it may have.
    pub capacity: u64,
    /// Entries that left before their time since the start.
    pub evicted: u64,
}

/// Streams measured in the kernel program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Streams in its map, when that was read last.
    pub streams: u64,
    /// What could not be followed, by reason.
    pub losses: Tally,
}

/// The spool as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolStatus {
    /// Whether packets are kept at all.
    pub enabled: bool,
    /// Folder of the files.
    pub directory: PathBuf,
    /// Whether frames are being written; false while the disk is full or failing.
    pub writing: bool,
    /// The error that stops writing.
    pub error: Option<String>,
    /// How whole blocks are written: `direct`, past the page cache, or `cached`; empty before the first file.
    #[serde(default)]
    pub writes: Obtained,
    /// Files open now.
    pub files_open: u64,
    /// Files closed since the start.
    pub files_closed: u64,
    /// Files an earlier daemon left open, mended at the start.
    pub files_mended: u64,
    /// Files removed by retention since the start.
    pub files_removed: u64,
    /// Bytes of all files in the folder.
    pub files_bytes: u64,
    /// Bytes free on the file system.
    pub disk_free_bytes: u64,
    /// Bytes of the file system, without those kept back for root.
    pub disk_size_bytes: u64,
}

/// The control socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlCounts {
    /// Clients connected now.
    pub clients: u64,
    /// Clients accepted since the start.
    pub accepted: u64,
    /// Clients turned away because there were too many.
    pub busy: u64,
    /// Requests answered.
    pub requests: u64,
    /// Requests answered with an error.
    pub refused: u64,
    /// Clients closed for a request that did not become whole.
    pub timed_out: u64,
    /// Clients closed because they did not read.
    pub not_reading: u64,
}
