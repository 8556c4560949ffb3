//! Every key of the configuration file, once: its section, its kind and what it says. Reading, the default file, the
//! reference in the documentation and the suggestion for a misspelt key all come from this table.

use toml::de::DeValue;

use super::Config;
use super::lists::{Choices, Cpus, Headers, PortRanges, Ports, Tunnels};
use super::value::{Address, Choice, Count, Flag, Kind, Octal, Path, Size, Span, Text};

/// One key.
pub(super) struct Key {
    /// The section it stands in.
    pub section: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// What it does: the comment in the default file.
    pub doc: &'static str,
    /// Takes the value over, or says what would have been right.
    pub read: fn(&mut Config, &DeValue<'_>) -> Result<(), String>,
    /// The value as TOML.
    pub write: fn(&Config) -> String,
}

macro_rules! keys {
    ($($section:ident . $name:ident : $kind:ident, $doc:literal;)+) => {
        &[$(Key {
            section: stringify!($section),
            name: stringify!($name),
            doc: $doc,
            read: |config, value| {
                config.$section.$name = $kind::read(value)?;
                Ok(())
            },
            write: |config| $kind::write(&config.$section.$name),
        },)+]
    };
}

/// The sections, in the order of the file, with what each is for.
pub(super) const SECTIONS: &[(&str, &str)] = &[
    ("capture", "Where frames come from and which are wanted."),
    (
        "follow",
        "How much is remembered: memory is bounded by these figures, not by the traffic.",
    ),
    ("spool", "Where packets are kept."),
    ("control", "The Unix socket that answers the operator."),
    ("metrics", "Prometheus."),
    ("privacy", "What is kept out of every answer."),
    ("log", "What the daemon says on standard error."),
];

/// The keys, in the order of the file.
pub(super) const KEYS: &[Key] = keys! {
    capture.interface: Text, "Network interface to capture on; `--interface` overrides it.";
    capture.mode: Choice, "\"mirror\": wanted frames go to siphon, all others are dropped; for a mirror port. \"host\": wanted frames of both directions are copied to siphon, and the host has all of them; for the SIP server itself. \"packet\": the same by packet sockets, where neither XDP nor tc is to be had; it costs the most.";
    capture.steal_traffic: Flag, "Capture even though the interface carries the host's own addresses. Cuts the host off that network.";
    capture.sip_ports: Ports, "Ports of SIP over UDP and TCP.";
    capture.websocket_ports: Ports, "Ports of SIP in WebSocket (RFC 7118) over TCP; those of FreeSWITCH, Kamailio and Asterisk. Other HTTP on them is captured too, and not read.";
    capture.turn_ports: Ports, "Ports of STUN and TURN over UDP and TCP; their relayed ports are among media_ports.";
    capture.media_ports: PortRanges, "Ports and ranges of ports of RTP and RTCP.";
    capture.tunnels: Tunnels, "Tunnels in which the kernel program looks for these ports: \"mpls\", \"pppoe\", \"ipip\", \"gre\", \"erspan\", \"vxlan\", \"geneve\", \"gtp_u\", \"tzsp\", \"l2tp\". Of the others, only frames whose outer ports are wanted are captured.";
    capture.media: Choice, "Which RTP crosses from the kernel: \"range\" (of media_ports), \"learned\" (of endpoints that SDP named or a call was seen to use), \"off\" (none), \"measured\" (none but that of calls a rule has kept: the kernel program keeps the account of every stream). RTCP, STUN and SIP on media_ports always cross. Packet mode has \"range\" and \"off\".";
    capture.level: Choice, "How much of a call is kept: \"signaling\" (SIP and RTCP), \"headers\" (RTP without its payload, cut in the kernel), \"full\". In host mode and packet mode \"headers\" where the file does not say.";
    capture.early_packets: Count, "With media = \"learned\", packets of RTP to one endpoint that cross before any SDP names it; over again when it has been quiet for 10 s.";
    capture.attach: Choice, "How the kernel program is attached. In mirror mode by XDP: \"native\" (in the driver), \"generic\" (in the stack), or \"auto\": native, else generic. In host mode \"auto\" and \"tcx\": in the stack, both ways; \"native\": what comes in by XDP, which some drivers set up with a short break of the link. In packet mode \"auto\": nothing is attached.";
    capture.bind: Choice, "How AF_XDP sockets are bound: \"zero-copy\", \"copy\", or \"auto\": zero-copy, else copy.";
    capture.cpus: Cpus, "CPUs the workers are pinned to, in order of the queues, over again when there are fewer. Empty: all the process may run on, of the NIC's NUMA node where that is known. In packet mode there is a worker for each of them; empty: one. In host mode there is one worker, on the first of them.";
    capture.raise_priority: Flag, "Run the workers before what else their CPUs have to do (at niceness -10, with the shortest slice). In host mode and packet mode false where the file does not say.";
    capture.ring_entries: Count, "Entries of each rx and fill ring, a power of two: what may come while a worker is kept from its CPU. With more than a million frames a second, 131072.";
    capture.umem_frames: Count, "Frames of each queue's umem, not fewer than ring_entries. 131072 take 256 MiB.";
    capture.frame_size: Size, "Bytes of a umem frame: 2048 or 4096. Longer frames span several.";
    capture.huge_pages: Flag, "Ask for huge pages for the umem; `siphon status` says whether they were obtained.";
    capture.ring_size: Size, "Bytes of the rings of all CPUs in host mode, of each worker's in packet mode; a power of two.";
    capture.promiscuous: Flag, "Have the interface receive frames that are not addressed to it; never in host mode.";
    capture.kernel_log: Flag, "Log from inside the kernel program. Slow; for finding faults.";

    follow.max_calls: Count, "Calls remembered at once, over all lanes.";
    follow.max_registrations: Count, "Registrations remembered at once.";
    follow.max_transactions: Count, "Requests and their answers remembered at once; those that are over leave first.";
    follow.max_streams: Count, "RTP streams remembered at once, per lane.";
    follow.waiting_room: Count, "RTP streams that wait for their SDP at once, per lane: each for 10 s after its last packet.";
    follow.max_endpoints: Count, "Media endpoints learned from SDP, remembered at once; one counts once for each call that names it.";
    follow.max_faxes: Count, "Directions of fax (T.38 over UDPTL) remembered at once, over all lanes.";
    follow.sdp_memory: Size, "Bytes that the session descriptions kept with calls may take up together.";
    follow.nat: Choices, "How media is looked for that is not where SDP says; where both ways fit, the first decides: \"signaling_address\" (a private address in SDP stands for the one its SIP came from), \"symmetric\" (where packets for an announced endpoint come from is where that endpoint sends to). Empty: not at all.";
    follow.rtp_without_sip: Flag, "Tell of what behaves like RTP though no SDP announced it.";
    follow.max_rtcp_sources: Count, "Sources that RTCP reports on, remembered at once, over all lanes; a call has two.";
    follow.max_fragments: Count, "Incomplete datagrams, of IP fragments, remembered at once, over all lanes.";
    follow.fragment_buffer: Size, "Bytes they may take up together.";
    follow.max_tcp_streams: Count, "TCP directions followed at once, per lane.";
    follow.tcp_buffer: Size, "Bytes one TCP direction may hold back while a message is incomplete or segments are missing.";
    follow.tcp_memory: Size, "Bytes all TCP directions of a lane may hold back together.";
    follow.max_allocations: Count, "TURN allocations remembered at once, over all lanes.";
    follow.max_stun_transactions: Count, "STUN requests with their answers remembered at once, over all lanes.";
    follow.linger: Span, "How long an ended call or an idle stream stays in the answers.";
    follow.invite_timeout: Span, "An INVITE without a final response for this long has timed out (timer C, RFC 3261 section 16.6).";
    follow.request_timeout: Span, "Any other request without a final response for this long has timed out (timer F, RFC 3261 section 17.1.2.2).";
    follow.answered_timeout: Span, "An answered call that has had no SIP message for this long has ended without a BYE. A session timer (RFC 4028) that the call agreed on goes first.";
    follow.max_messages: Count, "Messages of each call kept for its ladder, 32 bytes each; of more, the first half and the last half. At most 1000; 0: none.";
    follow.headers: Headers, "Headers of requests kept with the call, by their long names; at most 16.";
    follow.correlate: Headers, "Headers that connect calls: the same value in both, or in one the other's Call-ID; at most 16. Session-ID (RFC 7989) always does.";

    spool.enabled: Flag, "Keep packets at all.";
    spool.directory: Path, "Folder of the files; made if it is not there.";
    spool.format: Choice, "Format of the files: \"pcap\" (with nanoseconds) or \"pcapng\".";
    spool.template: Text, "File name. {time} (UTC, of the first frame) and {lane} must be in it; {interface} and {extension} may.";
    spool.rotate_size: Size, "A file that would grow beyond this is closed and the next begun.";
    spool.rotate_interval: Span, "A file is closed when a multiple of this since midnight UTC passes; at most a day.";
    spool.max_total: Size, "Oldest files are removed when all together exceed this; 0: no limit.";
    spool.max_age: Span, "Files whose last frame is older are removed; 0: no limit.";
    spool.flush_interval: Span, "At most this much of the latest traffic is lost when the daemon is killed.";
    spool.chunk_size: Size, "Bytes of a chunk, the unit a worker hands to the writer.";
    spool.chunks: Count, "Chunks each lane owns; when all are with the writer, frames are not written and counted.";

    control.socket: Path, "Path of the socket; its folder is made if it is not there.";
    control.mode: Octal, "Permission bits of the socket. Whoever can write to it can stop the capture.";
    control.max_clients: Count, "Clients served at once; a further one is told `busy` and closed.";
    control.max_request: Size, "Longest request line, its newline included.";
    control.request_timeout: Span, "A request must be whole this long after its first byte.";
    control.idle_timeout: Span, "A client that asks nothing for this long is closed.";
    control.write_timeout: Span, "A client that takes less than 64 KiB of a waiting answer in this time is closed.";

    metrics.enabled: Flag, "Serve `/metrics` at all.";
    metrics.listen: Address, "Address and port to serve it on.";

    privacy.dtmf: Choice, "Keys pressed during calls: \"masked\" (when and how many, each as *) or \"shown\". Files have the packets in either case.";

    log.filter: Text, "Which messages are written: error, warn, info, debug or trace, also per module (\"info,capture_daemon::xsk=debug\").";
};
