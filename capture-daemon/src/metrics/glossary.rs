//! Every metric: name, kind, labels and meaning. Names end in their unit, counters in `_total`
//! (prometheus.io/docs/practices/naming).

use metrics::Label;

/// What a metric's figure does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the daemon starts anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts of times by buckets, in seconds.
    Histogram,
}

impl Kind {
    /// The name in the exposition format.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What its figure does.
    pub kind: Kind,
    /// Its labels, each with a bounded number of values.
    pub labels: &'static [&'static str],
    /// What it says: the HELP line.
    pub help: &'static str,
}

impl Metric {
    /// Registers the HELP line with the current recorder, which has no part in histograms.
    pub(super) fn describe(&self) {
        match self.kind {
            Kind::Counter => metrics::describe_counter!(self.name, self.help),
            Kind::Gauge => metrics::describe_gauge!(self.name, self.help),
            Kind::Histogram => {}
        }
    }

    /// Sets the figure for these values of the labels. A counter takes the higher of this and what it had.
    pub(super) fn set(&self, values: &[&str], figure: u64) {
        match self.kind {
            Kind::Counter => metrics::counter!(self.name, self.labelled(values)).absolute(figure),
            Kind::Gauge => self.set_gauge(values, figure as f64),
            Kind::Histogram => debug_assert!(false, "{} has no single figure", self.name),
        }
    }

    /// Sets a gauge that may have a fraction.
    pub(super) fn set_gauge(&self, values: &[&str], figure: f64) {
        metrics::gauge!(self.name, self.labelled(values)).set(figure);
    }

    fn labelled(&self, values: &[&str]) -> Vec<Label> {
        debug_assert_eq!(self.labels.len(), values.len(), "{}", self.name);
        self.labels
            .iter()
            .zip(values)
            .map(|(name, value)| Label::new(*name, (*value).to_owned()))
            .collect()
    }
}

macro_rules! glossary {
    ($($id:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(pub(super) static $id: Metric = Metric {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        };)+

        /// Every metric, in the order of the documentation.
        pub static GLOSSARY: &[&Metric] = &[$(&$id,)+];
    };
}

glossary! {
    BUILD_INFO: Gauge "siphon_build_info" ["version"] "Always 1; the label is the version of the daemon.";
    START_TIME: Gauge "siphon_start_time_seconds" [] "Start of the daemon in seconds since the Unix epoch.";
    UPTIME: Gauge "siphon_uptime_seconds" [] "Seconds since the start of the daemon.";
    HEALTH: Gauge "siphon_health" ["status"] "1 for the status that holds (green, yellow or red), 0 for the others.";
    HEALTH_REASON: Gauge "siphon_health_reason" ["reason"] "1 while this reason keeps the health from being green, 0 after it.";
    CAPTURE_INFO: Gauge "siphon_capture_info" ["interface", "mode", "attach"] "Always 1; the labels are the interface, the capture mode and how the kernel program is attached.";
    LANE_INFO: Gauge "siphon_lane_info" ["queue", "bind", "pages"] "Always 1; the labels are how the socket of this rx queue is bound and the pages of its umem.";

    INTERFACE_FRAMES: Counter "siphon_interface_received_frames_total" [] "Frames the interface received, by its own count.";
    INTERFACE_BYTES: Counter "siphon_interface_received_bytes_total" [] "Bytes the interface received, by its own count.";
    INTERFACE_ERRORS: Counter "siphon_interface_receive_errors_total" [] "Frames the interface received with an error.";
    INTERFACE_DROPPED: Counter "siphon_interface_dropped_frames_total" [] "Frames the interface dropped after reception.";
    INTERFACE_MISSED: Counter "siphon_interface_missed_frames_total" [] "Frames the NIC had no buffer for.";

    DRIVER_COUNTERS: Counter "siphon_interface_driver_events_total" ["counter"] "Counters of loss of the interface's driver (ethtool -S), under its own names.";

    VERDICTS: Counter "siphon_program_verdicts_total" ["verdict"] "Frames by verdict of the kernel program; in packet mode, of the workers in its place.";
    STAGE_SEEN: Counter "siphon_stage_seen_frames_total" ["stage"] "Frames that came into a stage (program, sockets, engine, spool).";
    STAGE_PASSED: Counter "siphon_stage_passed_frames_total" ["stage", "to"] "Frames that went on from a stage or were done with, by where.";
    STAGE_QUEUED: Gauge "siphon_stage_queued_frames" ["stage"] "Frames inside a stage.";
    STAGE_DROPPED: Counter "siphon_stage_dropped_frames_total" ["stage", "reason"] "Frames lost at a stage, by reason.";
    STAGE_HOLDS: Gauge "siphon_stage_identity_holds" ["stage"] "1 if the frames seen by a stage equal those passed, queued and dropped, else 0.";
    AUDIT_LOOKS: Counter "siphon_audit_looks_total" [] "Looks at whether what one stage passed on came in at the next, about one a second.";
    AUDIT_VIOLATIONS: Counter "siphon_audit_violations_total" ["stage"] "Looks that found frames which had no place before this stage, in the kernel program no verdict, or which the spool's writer neither wrote nor dropped.";

    SOCKET_DROPPED: Counter "siphon_socket_rx_dropped_frames_total" ["queue"] "AF_XDP rx_dropped: frames dropped for other reasons than a full rx ring.";
    SOCKET_RX_INVALID: Counter "siphon_socket_rx_invalid_descriptors_total" ["queue"] "AF_XDP rx_invalid_descs: invalid descriptors in the fill ring.";
    SOCKET_TX_INVALID: Counter "siphon_socket_tx_invalid_descriptors_total" ["queue"] "AF_XDP tx_invalid_descs: invalid descriptors in the tx ring.";
    SOCKET_RING_FULL: Counter "siphon_socket_rx_ring_full_frames_total" ["queue"] "AF_XDP rx_ring_full: frames dropped because the worker was behind.";
    SOCKET_FILL_EMPTY: Counter "siphon_socket_fill_ring_empty_frames_total" ["queue"] "AF_XDP rx_fill_ring_empty_descs: frames that found no buffer; they are in rx_dropped too. In packet mode: times that the ring was found full.";
    SOCKET_TX_EMPTY: Counter "siphon_socket_tx_ring_empty_total" ["queue"] "AF_XDP tx_ring_empty_descs: times the tx ring was found empty.";

    LANE_FRAMES: Counter "siphon_lane_frames_total" ["queue"] "Frames a worker took from its ring.";
    LANE_BYTES: Counter "siphon_lane_bytes_total" ["queue"] "Bytes on the wire of the frames a worker took from its ring.";
    LANE_MULTI_BUFFER: Counter "siphon_lane_multi_buffer_frames_total" ["queue"] "Frames a worker took from its ring that came in several buffers.";
    LANE_UNSTAMPED: Counter "siphon_lane_unstamped_frames_total" ["queue"] "Frames a worker took from its ring that the kernel program could not stamp: their time is that of reading, and so is the jitter.";
    LANE_CLOCK_STEPS: Counter "siphon_lane_clock_steps_total" ["queue"] "Times a worker found the wall clock set: packet times jump as it did.";
    LANE_WAKEUPS: Counter "siphon_lane_wakeups_total" ["queue"] "Times a worker woke the kernel to look at the fill ring.";
    LANE_OUTGOING: Counter "siphon_lane_outgoing_frames_total" ["queue"] "Host and packet mode: frames a worker took from its ring buffers that went out from the host; the others came in.";
    LANE_SUPER_FRAMES: Counter "siphon_lane_super_frames_total" ["queue"] "Host and packet mode: frames a worker took from its ring buffers that stood for several packets (GSO, GRO).";
    LANE_PACKETS: Counter "siphon_lane_packets_total" ["queue"] "Host and packet mode: packets handed to the engine: each frame is one, a super-frame as many as it stood for.";
    RING_SIZE: Gauge "siphon_ring_buffer_size_bytes" ["queue"] "Host and packet mode: bytes of this lane's ring buffers.";
    RING_USED: Gauge "siphon_ring_buffer_used_bytes" ["queue"] "Host and packet mode: bytes that waited in the ring buffers when the worker last looked.";
    RING_FULL: Counter "siphon_ring_buffer_full_frames_total" ["queue"] "Host and packet mode: frames that found their ring buffer full; they have the verdict ring_full.";
    OUTCOMES: Counter "siphon_engine_outcomes_total" ["queue", "outcome"] "Frames by outcome in the engine: each frame has one.";
    LOSSES: Counter "siphon_engine_losses_total" ["queue", "loss"] "What the engine could not follow, by reason.";
    STREAMS: Gauge "siphon_rtp_streams" ["queue"] "RTP streams a worker remembers; with the queue `kernel`, those measured in the kernel.";
    TCP_STREAMS: Gauge "siphon_tcp_streams" ["queue"] "TCP directions a worker follows.";

    SIP_MESSAGES: Counter "siphon_sip_messages_total" [] "SIP messages, requests and responses.";
    SIP_REQUESTS: Counter "siphon_sip_requests_total" ["method"] "SIP requests by method.";
    SIP_RESPONSES: Counter "siphon_sip_responses_total" ["code"] "SIP responses by status code.";
    SIP_MALFORMED: Counter "siphon_sip_malformed_total" [] "What stood on a SIP port and is no SIP message.";
    RTP_PACKETS: Counter "siphon_rtp_packets_total" [] "RTP packets of streams that are told of, copies included; each leg of a relayed call counts for itself.";
    RTP_LOST: Counter "siphon_rtp_lost_packets_total" [] "Sequence numbers of RTP streams that never arrived.";
    RTP_REORDERED: Counter "siphon_rtp_reordered_packets_total" [] "RTP packets that arrived below the highest sequence number and were no copies.";
    RTP_DUPLICATES: Counter "siphon_rtp_duplicate_packets_total" [] "Copies of RTP packets that had come.";
    RTP_DISCARDED: Counter "siphon_rtp_discarded_packets_total" ["buffer"] "RTP packets that came too late for a simulated jitter buffer: fixed_50, fixed_200 (milliseconds) or adaptive.";
    RTP_STREAMS_ENDED: Counter "siphon_rtp_streams_ended_total" [] "RTP streams that had no packet for follow.linger, or were evicted.";
    RTP_STREAMS_LINKED: Counter "siphon_rtp_streams_linked_total" ["by"] "RTP streams that ended, by what joined them with their call: destination, source, ice, ssrc, or a guess: signaling_address, symmetric; none.";
    RTP_STREAMS_NOTED: Counter "siphon_rtp_streams_noted_total" ["what"] "RTP streams that ended and were encrypted, had another clock than was signalled (clock_mismatch), a payload type that nobody announced, or came in_turn.";
    RTP_EVENTS: Counter "siphon_rtp_events_total" ["event"] "What happened in RTP streams that ended: restart of the numbers, codec_change, comfort_noise packet, silence_gap, dtx (a gap that was announced), burst of losses.";
    RTP_JITTER: Histogram "siphon_rtp_jitter_seconds" [] "Mean interarrival jitter (RFC 3550) of each RTP stream that ended.";
    RTP_DELTA: Histogram "siphon_rtp_delta_max_seconds" [] "Longest time between two packets of each RTP stream that ended.";
    RTP_SKEW: Histogram "siphon_rtp_skew_max_seconds" [] "How far the sender's clock was off at most, to either side, of each RTP stream that ended.";
    RTP_SHARE_LOST: Histogram "siphon_rtp_lost_ratio" [] "Share of packets lost of each RTP stream that ended.";
    RTP_BURST_DENSITY: Histogram "siphon_rtp_burst_density_ratio" [] "Share of packets lost within bursts (RFC 3611 section 4.7.2) of each RTP stream that ended and had any.";
    RTP_GAP_DENSITY: Histogram "siphon_rtp_gap_density_ratio" [] "Share of packets lost outside of bursts of each RTP stream that ended and lost any.";
    RTP_R_LQ: Histogram "siphon_rtp_r_lq" ["model", "buffer"] "Rating R for listening of each RTP stream that ended and has a basis for one, by E-model and simulated jitter buffer, as with MOS-LQ.";
    RTP_R_CQ: Histogram "siphon_rtp_r_cq" ["model", "buffer"] "Rating R for a conversation, likewise, of those of which RTCP tells the round trip.";
    RTP_MOS_LQ: Histogram "siphon_rtp_mos_lq" ["model", "buffer"] "MOS-LQ of each RTP stream that ended and has a basis for one, by E-model (G.107 or G.107.1: not comparable) and simulated jitter buffer.";
    RTP_MOS_CQ: Histogram "siphon_rtp_mos_cq" ["model", "buffer"] "MOS-CQ, likewise, of those of which RTCP tells the round trip.";
    RTP_DTMF: Counter "siphon_rtp_dtmf_digits_total" [] "Keys pressed in RTP streams (RFC 4733), in each leg.";
    T38_PACKETS: Counter "siphon_t38_packets_total" [] "T.38 packets over UDPTL.";
    RTCP_PACKETS: Counter "siphon_rtcp_packets_total" ["type"] "RTCP packets by type, each packet of a compound one.";
    RTCP_FEEDBACK: Counter "siphon_rtcp_feedback_total" ["kind"] "RTCP feedback packets (RFC 4585) by kind.";
    RTCP_XR_BLOCKS: Counter "siphon_rtcp_xr_blocks_total" ["block"] "Blocks of RTCP extended reports (RFC 3611) by type.";
    RTCP_ENCRYPTED: Counter "siphon_rtcp_encrypted_total" [] "Datagrams of SRTCP, which cannot be read.";
    RTCP_MALFORMED: Counter "siphon_rtcp_malformed_total" ["reason"] "RTCP datagrams and packets that could not be read, by reason.";
    RTCP_ROUND_TRIP: Histogram "siphon_rtcp_round_trip_seconds" [] "Round trips measured between here and either end of a stream.";
    RTCP_FRACTION_LOST: Histogram "siphon_rtcp_fraction_lost_ratio" [] "Share of packets lost since the report before, in each report block.";
    CALLS: Gauge "siphon_calls" ["state"] "Calls remembered, by state.";
    CALLS_ACTIVE: Gauge "siphon_active_calls" [] "Calls that are trying, ringing or answered.";
    CALL_RESULTS: Counter "siphon_call_results_total" ["result"] "Calls that are over, by result.";
    CALLS_ENDED: Counter "siphon_calls_ended_total" ["by"] "Answered calls that are over, by what ended them: bye, or no_bye where only time did.";
    CALLS_ONE_WAY: Counter "siphon_one_way_calls_total" [] "Calls with RTP one way only though both ways were wanted for 5 s or more; counted when the call is forgotten, follow.linger after its end.";
    CALLS_NO_MEDIA: Counter "siphon_no_media_calls_total" [] "Calls with no RTP though it was wanted both ways for 5 s or more; counted likewise.";
    CALLS_BY_LEVEL: Gauge "siphon_calls_by_level" ["level"] "Calls remembered, by how much of them is kept: signaling, headers, full.";
    RULE_CALLS: Counter "siphon_rule_calls_total" ["rule"] "Calls that came under a rule since it was made; some may be under an earlier one by now.";
    RULE_CALLS_NOW: Gauge "siphon_rule_calls" ["rule"] "Calls remembered that are under a rule.";
    RULE_PACKETS: Counter "siphon_rule_rtp_packets_total" ["rule"] "RTP packets of a rule's calls that crossed from the kernel, kept or not.";
    RULE_NEVER: Gauge "siphon_rule_can_never_match" ["rule"] "1 for a rule that no call will ever come under, as `siphon rules` says why, else 0.";
    REGISTRATIONS: Gauge "siphon_registrations" ["state"] "Registrations remembered, by state.";
    TRANSACTIONS: Counter "siphon_sip_transactions_total" ["method", "result"] "SIP transactions that are over, each hop for itself, by method and class of the final response; challenged: 401 and 407, timed_out: none in time.";
    TRANSACTIONS_OPEN: Gauge "siphon_sip_open_transactions" ["method"] "SIP transactions whose final response may still come, whose request was not seen, or that were evicted.";
    RETRANSMISSIONS: Counter "siphon_sip_retransmissions_total" ["method"] "SIP requests that were seen again at the same hop.";
    TRANSACTION_TIME: Histogram "siphon_sip_transaction_seconds" ["method"] "Request to final response at a hop.";
    EVENTS: Counter "siphon_sip_events_total" ["package", "what"] "SUBSCRIBE, NOTIFY and PUBLISH transactions by event package; subscription: subscriptions begun, failed: refused or not answered.";
    REGISTRATION_ATTEMPTS: Counter "siphon_sip_registration_attempts_total" ["result"] "Attempts to register, refresh or remove that are over; abandoned: challenged and not gone on with.";
    REGISTRATION_FAILURES: Counter "siphon_sip_registration_failures_total" ["code"] "Attempts to register that ended with this code of 300 or above.";
    REGISTRATION_CHALLENGES: Counter "siphon_sip_registration_challenges_total" [] "REGISTERs answered with 401 or 407.";
    REGISTRATION_DELAY: Histogram "siphon_sip_registration_request_delay_seconds" [] "RRD of successful attempts, challenges included (RFC 6076 section 4.1).";
    IRA: Gauge "siphon_sip_ineffective_registration_attempts_ratio" [] "IRA since the start, 0 to 1 (RFC 6076 section 4.2).";
    SESSION_REQUESTS: Counter "siphon_sip_session_requests_total" [] "Session requests: INVITEs outside a dialog, those of one call as one.";
    SESSIONS_ESTABLISHED: Counter "siphon_sip_sessions_established_total" [] "Session requests that a 2xx answered.";
    SESSION_FAILURES: Counter "siphon_sip_session_failures_total" ["code"] "Session requests that ended with this code of 300 or above.";
    SESSION_CHALLENGES: Counter "siphon_sip_session_challenges_total" [] "INVITEs answered with 401 or 407.";
    CALLS_NOTED: Counter "siphon_sip_calls_noted_total" ["what"] "Calls, those under way too, that forked, went into a loop or a spiral, were transferred (REFER), asked for PRACK, began before the capture (joined_late) or whose BYE was not answered.";
    INFO_DIGITS: Counter "siphon_sip_info_digits_total" [] "Keys that INFO requests told of.";
    SESSION_REQUEST_DELAY: Histogram "siphon_sip_session_request_delay_seconds" ["result"] "SRD (RFC 6076 section 4.3).";
    SESSION_DISCONNECT_DELAY: Histogram "siphon_sip_session_disconnect_delay_seconds" ["result"] "SDD (RFC 6076 section 4.4).";
    SESSION_DURATION: Histogram "siphon_sip_session_duration_seconds" ["result"] "SDT (RFC 6076 section 4.5).";
    RING_TIME: Histogram "siphon_sip_ring_seconds" [] "First 180 to first 2xx.";
    POST_DIAL_DELAY: Histogram "siphon_sip_post_dial_delay_seconds" [] "First INVITE to first 180 or 183, challenges included.";
    SER: Gauge "siphon_sip_session_establishment_ratio" [] "SER since the start, 0 to 1 (RFC 6076 section 4.6).";
    SEER: Gauge "siphon_sip_session_establishment_effectiveness_ratio" [] "SEER since the start, 0 to 1 (RFC 6076 section 4.7).";
    ISA: Gauge "siphon_sip_ineffective_session_attempts_ratio" [] "ISA since the start, 0 to 1 (RFC 6076 section 4.8).";
    SCR: Gauge "siphon_sip_session_completion_ratio" [] "SCR since the start, 0 to 1 (RFC 6076 section 4.9).";
    ASR: Gauge "siphon_sip_answer_seizure_ratio" [] "Session requests that a 2xx answered, of all that are decided, since the start, 0 to 1 (ITU-T E.411).";
    STUN_MESSAGES: Counter "siphon_stun_messages_total" ["method", "class"] "STUN messages by method and class (request, indication, success, error), those of TURN included.";
    STUN_MALFORMED: Counter "siphon_stun_malformed_total" [] "What has the cookie of STUN and is no message, or has a wrong FINGERPRINT.";
    STUN_RETRANSMISSIONS: Counter "siphon_stun_retransmissions_total" ["method"] "STUN requests that were sent again; the method of connectivity checks is ice_check.";
    STUN_SUCCESSES: Counter "siphon_stun_successes_total" ["method"] "STUN requests that were granted, repeated ones as one.";
    STUN_ERRORS: Counter "siphon_stun_errors_total" ["method", "code"] "STUN requests that were refused, by ERROR-CODE, repeated ones as one.";
    STUN_UNANSWERED: Counter "siphon_stun_unanswered_total" ["method"] "STUN requests without an answer for 39.5 s.";
    STUN_ROUND_TRIP: Histogram "siphon_stun_round_trip_seconds" ["method"] "First STUN request to first answer.";
    TURN_CHALLENGES: Counter "siphon_turn_challenges_total" [] "401 to a request without credentials: how every client begins.";
    TURN_AUTH_FAILURES: Counter "siphon_turn_authentication_failures_total" ["code"] "Requests refused for their credentials: 401 though they were sent, 438, 441.";
    TURN_ALLOCATIONS: Gauge "siphon_turn_allocations" ["state"] "TURN allocations that are not over, by state.";
    TURN_ALLOCATIONS_OVER: Counter "siphon_turn_allocations_over_total" ["result"] "TURN allocations that are over, by how: expired, deleted, failed, timed_out.";
    TURN_PERMISSIONS: Gauge "siphon_turn_permissions" [] "TURN permissions that last.";
    TURN_CHANNELS: Gauge "siphon_turn_channels" [] "TURN channels that are bound.";
    TURN_RELAYED_PACKETS: Counter "siphon_turn_relayed_packets_total" ["by"] "Messages with relayed data between clients and servers, by channel or indication.";
    TURN_RELAYED_BYTES: Counter "siphon_turn_relayed_bytes_total" ["by"] "Bytes of relayed data between clients and servers, without the headers of TURN.";
    LEARNED_ENDPOINTS: Gauge "siphon_learned_endpoints" [] "Endpoints of calls in the kernel program's map.";
    LEARNED_CAPACITY: Gauge "siphon_learned_endpoints_capacity" [] "Endpoints of calls that the kernel program's map has room for.";
    LEARNED_UPDATES: Counter "siphon_learned_endpoint_updates_total" ["what"] "Endpoints of calls told to the kernel program: written, removed, refused (no room) or failed.";
    LEARNED_SECONDS: Histogram "siphon_learned_endpoint_seconds" [] "From the packet time of an SDP to its endpoint in the kernel program's map.";
    TABLE_ENTRIES: Gauge "siphon_table_entries" ["table"] "Entries of a bounded table.";
    TABLE_CAPACITY: Gauge "siphon_table_capacity_entries" ["table"] "Entries a bounded table may have.";
    TABLE_EVICTED: Counter "siphon_table_evictions_total" ["table"] "Entries that left a bounded table before their time.";

    SPOOL_OFFERED: Counter "siphon_spool_offered_frames_total" ["queue"] "Frames that were to be written to files.";
    SPOOL_NOT_KEPT: Counter "siphon_spool_not_kept_frames_total" ["queue"] "Frames of which the level of their call wants nothing: filtered, not lost.";
    SPOOL_CUT: Counter "siphon_spool_cut_frames_total" ["queue"] "Frames of which the level of their call wants only the headers.";
    SPOOL_WRITTEN: Counter "siphon_spool_written_frames_total" ["queue"] "Frames written to files.";
    SPOOL_BYTES: Counter "siphon_spool_written_bytes_total" ["queue"] "Bytes written to files.";
    SPOOL_QUEUED: Gauge "siphon_spool_queued_frames" ["queue"] "Frames in chunks, not yet written.";
    SPOOL_DROPPED: Counter "siphon_spool_dropped_frames_total" ["queue", "reason"] "Frames that were not written, by reason.";
    SPOOL_WRITING: Gauge "siphon_spool_writing" [] "1 while frames are being written, 0 while the disk is full or failing.";
    FILES_OPEN: Gauge "siphon_spool_open_files" [] "Files open for writing.";
    FILES_CLOSED: Counter "siphon_spool_closed_files_total" [] "Files closed.";
    FILES_MENDED: Counter "siphon_spool_mended_files_total" [] "Files an earlier daemon left open, mended at the start.";
    FILES_REMOVED: Counter "siphon_spool_removed_files_total" [] "Files removed by retention.";
    FILES_BYTES: Gauge "siphon_spool_files_bytes" [] "Bytes of all files in the spool's folder.";
    DISK_FREE: Gauge "siphon_spool_disk_free_bytes" [] "Bytes free on the spool's file system.";
    DISK_SIZE: Gauge "siphon_spool_disk_size_bytes" [] "Bytes of the spool's file system, without those kept back for root.";

    CONTROL_CLIENTS: Gauge "siphon_control_clients" [] "Clients connected to the control socket.";
    CONTROL_ACCEPTED: Counter "siphon_control_accepted_clients_total" [] "Clients of the control socket that were accepted.";
    CONTROL_BUSY: Counter "siphon_control_rejected_clients_total" [] "Clients of the control socket that were turned away because there were too many.";
    CONTROL_REQUESTS: Counter "siphon_control_requests_total" [] "Requests on the control socket.";
    CONTROL_REFUSED: Counter "siphon_control_refused_requests_total" [] "Error replies on the control socket.";
    CONTROL_TIMED_OUT: Counter "siphon_control_timed_out_clients_total" [] "Clients of the control socket closed for a request that did not become whole.";
    CONTROL_NOT_READING: Counter "siphon_control_not_reading_clients_total" [] "Clients of the control socket closed because they did not read.";
}
