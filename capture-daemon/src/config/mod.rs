//! The configuration: one TOML file, every key with a default, unknown keys refused.
//!
//! The structs are here. What a key is called, says and looks like is in `keys`, how a value is read in `value` and `lists`, what
//! must hold between values in `check`, rules in `rules`, and the file itself in `file`.

mod check;
mod file;
mod keys;
mod lists;
mod rules;
#[cfg(test)]
mod tests;
mod value;

pub use file::{ConfigError, Problem, check, default_file, load, parse};
pub use rules::rule_as_toml;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use capture_common::{Level, Media, PortFlags, PortTable, Tunnel};

use crate::rules::Rule;

/// Everything `siphon run` can be told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Where frames come from and which are wanted.
    pub capture: Capture,
    /// How much the engine remembers.
    pub follow: Follow,
    /// Where packets are kept.
    pub spool: Spool,
    /// The operator's socket.
    pub control: Control,
    /// Prometheus.
    pub metrics: Metrics,
    /// What is not told of what is seen.
    pub privacy: Privacy,
    /// What the daemon says on standard error.
    pub log: Log,
    /// Which calls are kept at another level than `capture.level`, in order.
    pub rules: Vec<Rule>,
}

/// What becomes of the frames the kernel program wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Wanted frames go to siphon and are taken from the host, all others are dropped: for a mirror port.
    #[default]
    Mirror,
    /// Wanted frames of both directions are copied to siphon, and the host has all of them: for the SIP server itself.
    Host,
    /// The same by packet sockets, where neither XDP nor tc is to be had.
    Packet,
}

impl Mode {
    /// The name in the configuration and in answers.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Mirror => "mirror",
            Self::Host => "host",
            Self::Packet => "packet",
        }
    }
}

/// How the kernel program is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attach {
    /// In mirror mode native, else generic; in host mode tcx.
    #[default]
    Auto,
    /// In the driver, or not at all.
    Native,
    /// In the stack, after the skb is made.
    Generic,
    /// In the stack, both ways, beside the host's own programs.
    Tcx,
}

/// How the AF_XDP sockets are bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bind {
    /// Zero-copy, else copy.
    #[default]
    Auto,
    /// The NIC writes into the umem, or not at all.
    ZeroCopy,
    /// The kernel copies each frame into the umem.
    Copy,
}

/// A range of ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// First port.
    pub first: u16,
    /// Last port, not below the first.
    pub last: u16,
}

/// `[capture]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Capture {
    /// Network interface to capture on.
    pub interface: String,
    /// What becomes of wanted frames.
    pub mode: Mode,
    /// Redirect frames even though the interface carries the host's own addresses, and cut the host off.
    pub steal_traffic: bool,
    /// Ports of SIP over UDP and TCP.
    pub sip_ports: Vec<u16>,
    /// Ports of SIP in WebSocket over TCP.
    pub websocket_ports: Vec<u16>,
    /// Ports of STUN and TURN over UDP and TCP.
    pub turn_ports: Vec<u16>,
    /// Ports of RTP and RTCP.
    pub media_ports: Vec<PortRange>,
    /// Tunnels into which the kernel program looks for these ports.
    pub tunnels: Vec<Tunnel>,
    /// Which RTP crosses from the kernel.
    pub media: Media,
    /// How much is kept of a call of which nothing else is said.
    pub level: Level,
    /// Packets of RTP to one endpoint that cross before SDP names it, where only learned endpoints' do.
    pub early_packets: u32,
    /// How the program is attached.
    pub attach: Attach,
    /// How sockets are bound.
    pub bind: Bind,
    /// CPUs the workers are pinned to, in order of the queues, over again when there are fewer; empty: all the
    /// process may run on, of the NIC's NUMA node where that is known.
    pub cpus: Vec<usize>,
    /// Have the workers go before what else their CPUs have to do.
    pub raise_priority: bool,
    /// Entries of each rx and fill ring, a power of two.
    pub ring_entries: u32,
    /// Frames of each queue's umem.
    pub umem_frames: u32,
    /// Bytes of a umem frame: 2048 or 4096.
    pub frame_size: u32,
    /// Ask for huge pages for the umem.
    pub huge_pages: bool,
    /// Bytes of the rings of all CPUs in host mode, of each worker's in packet mode; a power of two.
    pub ring_size: u32,
    /// Have the interface receive frames that are not addressed to it.
    pub promiscuous: bool,
    /// Log from inside the kernel program (slow).
    pub kernel_log: bool,
}

impl Default for Capture {
    fn default() -> Self {
        Self {
            interface: String::new(),
            mode: Mode::default(),
            steal_traffic: false,
            sip_ports: vec![5060, 5061],
            websocket_ports: vec![5066, 8080, 8088],
            // RFC 8656 section 17, and the next one, on which coturn answers too (alt-listening-port).
            turn_ports: vec![3478, 3479],
            media_ports: vec![PortRange {
                first: 10_000,
                last: 65_535,
            }],
            tunnels: Vec::new(),
            media: Media::Range,
            level: Level::Full,
            early_packets: 100,
            attach: Attach::default(),
            bind: Bind::default(),
            cpus: Vec::new(),
            raise_priority: true,
            // More frames outlast longer stalls, but each is another page for whoever copies into it: on a veth pair, without loss to
            // speak of, 3.1 million frames a second go through 16,384 and 2.6 through 32,768.
            ring_entries: 16_384,
            umem_frames: 16_384,
            frame_size: 2_048,
            huge_pages: true,
            ring_size: 64 << 20,
            promiscuous: true,
            kernel_log: false,
        }
    }
}

impl Capture {
    /// Which ports are wanted, and for what.
    pub fn port_table(&self) -> Box<PortTable> {
        let mut table = Box::new(PortTable::EMPTY);
        for port in &self.sip_ports {
            table.want(*port, *port, PortFlags::SIP);
        }
        for port in &self.websocket_ports {
            table.want(*port, *port, PortFlags::WEBSOCKET);
        }
        for port in &self.turn_ports {
            table.want(*port, *port, PortFlags::TURN);
        }
        for range in &self.media_ports {
            table.want(range.first, range.last, PortFlags::MEDIA);
        }
        for port in self.tunnels.iter().copied().filter_map(Tunnel::port) {
            table.want(port, port, PortFlags::TUNNEL);
        }
        table
    }
}

/// How media is found that does not come from or go to where SDP says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// A private address in SDP stands for the one its SIP came from.
    SignalingAddress,
    /// Where packets for an announced endpoint come from is where that endpoint sends to (RFC 4961).
    Symmetric,
}

/// `[follow]`: caps, so that memory is bounded by configuration and not by traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follow {
    /// Calls remembered at once, over all lanes.
    pub max_calls: usize,
    /// Registrations remembered at once.
    pub max_registrations: usize,
    /// Transactions remembered at once.
    pub max_transactions: usize,
    /// RTP streams remembered per lane.
    pub max_streams: usize,
    /// RTP streams per lane that wait for the SDP that announces them.
    pub waiting_room: usize,
    /// Media endpoints learned from SDP, each as often as calls name it.
    pub max_endpoints: usize,
    /// Directions of fax over UDPTL remembered at once, over all lanes.
    pub max_faxes: usize,
    /// Bytes that the session descriptions kept with calls may take up.
    pub sdp_memory: usize,
    /// How media is looked for that is not where SDP says, in this order; empty: not at all.
    pub nat: Vec<Nat>,
    /// Tell of what behaves like RTP though no SDP announced it.
    pub rtp_without_sip: bool,
    /// Sources that RTCP speaks of remembered at once, over all lanes.
    pub max_rtcp_sources: usize,
    /// Datagrams put together from fragments at once, over all lanes.
    pub max_fragments: usize,
    /// Bytes that all of them may take up.
    pub fragment_buffer: usize,
    /// TCP directions followed per lane.
    pub max_tcp_streams: usize,
    /// Bytes one TCP direction may hold back while a message is incomplete or segments are missing.
    pub tcp_buffer: usize,
    /// Bytes that all TCP directions of a lane may hold back.
    pub tcp_memory: usize,
    /// TURN allocations remembered at once, over all lanes.
    pub max_allocations: usize,
    /// STUN transactions remembered at once, over all lanes.
    pub max_stun_transactions: usize,
    /// How long an ended call or an idle stream stays in the answers.
    pub linger: Duration,
    /// An INVITE with no final response for this long has timed out (timer C, RFC 3261 section 16.6: over 3 minutes).
    pub invite_timeout: Duration,
    /// Any other request with no final response for this long has timed out (timer F, RFC 3261 section 17.1.2.2: 32 s).
    pub request_timeout: Duration,
    /// An answered call without a session timer (RFC 4028) that has had no SIP message for this long has ended without a BYE.
    pub answered_timeout: Duration,
    /// Messages of each call that are kept for its ladder.
    pub max_messages: usize,
    /// Headers of requests that are kept with the call.
    pub headers: Vec<String>,
    /// Headers that connect the calls on both sides of a back-to-back user agent.
    pub correlate: Vec<String>,
}

impl Default for Follow {
    fn default() -> Self {
        Self {
            max_calls: 131_072,
            max_registrations: 131_072,
            max_transactions: 131_072,
            max_streams: 262_144,
            waiting_room: 32_768,
            max_endpoints: 524_288,
            max_faxes: 16_384,
            sdp_memory: 512 << 20,
            nat: vec![Nat::SignalingAddress, Nat::Symmetric],
            rtp_without_sip: false,
            max_rtcp_sources: 262_144,
            max_fragments: 16_384,
            fragment_buffer: 64 << 20,
            max_tcp_streams: 16_384,
            tcp_buffer: 128 << 10,
            tcp_memory: 64 << 20,
            max_allocations: 32_768,
            max_stun_transactions: 65_536,
            linger: Duration::from_secs(300),
            invite_timeout: Duration::from_secs(180),
            request_timeout: Duration::from_secs(32),
            answered_timeout: Duration::from_secs(4 * 3600),
            max_messages: 64,
            headers: vec!["User-Agent".to_owned(), "P-Asserted-Identity".to_owned()],
            correlate: vec!["X-Call-ID".to_owned()],
        }
    }
}

/// Format of the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// pcap with nanoseconds.
    #[default]
    Pcap,
    /// pcapng.
    Pcapng,
}

/// `[spool]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Spool {
    /// Keep packets at all.
    pub enabled: bool,
    /// Folder of the files; made if it is not there.
    pub directory: PathBuf,
    /// Format of the files.
    pub format: Format,
    /// File name: `{interface}`, `{lane}`, `{time}` (UTC, of the first frame), `{extension}`.
    pub template: String,
    /// A file that would grow beyond this is closed and the next begun. Bytes.
    pub rotate_size: u64,
    /// A file is closed when a multiple of this since midnight UTC passes.
    pub rotate_interval: Duration,
    /// Oldest files are removed when all together exceed this. Bytes; 0: no limit.
    pub max_total: u64,
    /// Files whose last frame is older are removed; zero: no limit.
    pub max_age: Duration,
    /// At most this much of the latest traffic is lost when the daemon is killed.
    pub flush_interval: Duration,
    /// Bytes of a chunk, the unit a worker hands to the writer.
    pub chunk_size: usize,
    /// Chunks each lane owns; when all are with the writer, frames are dropped and counted.
    pub chunks: usize,
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            enabled: true,
            directory: PathBuf::from("/var/spool/siphon"),
            format: Format::default(),
            template: "siphon-{interface}-q{lane}-{time}.{extension}".to_owned(),
            rotate_size: 1 << 30,
            rotate_interval: Duration::from_secs(3600),
            max_total: 0,
            max_age: Duration::ZERO,
            flush_interval: Duration::from_secs(1),
            chunk_size: 1 << 20,
            chunks: 32,
        }
    }
}

/// `[control]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// Path of the Unix socket.
    pub socket: PathBuf,
    /// Permission bits of the socket.
    pub mode: u32,
    /// Clients served at once; a further one is told `busy` and closed.
    pub max_clients: usize,
    /// Longest request line in bytes, its newline included.
    pub max_request: usize,
    /// A request must be whole this long after its first byte.
    pub request_timeout: Duration,
    /// A client that asks nothing for this long is closed.
    pub idle_timeout: Duration,
    /// A client that takes less than 64 KiB of a waiting answer in this time is closed.
    pub write_timeout: Duration,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            socket: PathBuf::from("/run/siphon/siphon.sock"),
            mode: 0o660,
            max_clients: 64,
            max_request: 64 * 1024,
            request_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(5),
        }
    }
}

/// `[metrics]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Serve `/metrics` at all.
    pub enabled: bool,
    /// Address to serve it on.
    pub listen: SocketAddr,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::from(([127, 0, 0, 1], 9464)),
        }
    }
}

/// Whether the keys that callers press are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Digits {
    /// When, how long and how many, but not which: they may be card numbers and PINs.
    #[default]
    Masked,
    /// Which, too.
    Shown,
}

/// `[privacy]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Privacy {
    /// Keys pressed during a call.
    pub dtmf: Digits,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Which messages are written, in the notation of `tracing_subscriber::EnvFilter`.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
        }
    }
}
