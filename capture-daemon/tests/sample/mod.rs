//! A daemon made by hand, for tests of what talks to one.

// Each test binary uses its part.
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "shared by test binaries, none of which uses all of it"
)]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use capture_common::Level;
use capture_daemon::control::{
    Audit, CallCounts, ControlCounts, Health, Identity, InterfaceCounters, Lane, LaneSpool, Light, Measured, Obtained,
    Reason, RingCounts, SocketCounts, SpoolStatus, Stage, Status, TableSize, Tally,
};
use capture_daemon::report::{
    Allocation, AllocationState, Bucket, Call, CallState, Channel, Distribution, LearnedFigures, LearningLatency,
    LinkedBy, Message, Permission, Registration, RegistrationState, Relayed, RtcpCounts, SipCounts, Stream, Way,
};
use capture_daemon::rules::Rules;
use capture_daemon::time::Timestamp;

use fake::{book, rules};
use figures::rtp;

pub mod daemon;
pub mod fake;
pub mod figures;

/// 2026-11-21T09:00:00Z.
pub const START: u64 = 1_795_251_600_000_000_000;

pub fn at(seconds: u64) -> Timestamp {
    Timestamp::from_nanos(START + seconds * 1_000_000_000)
}

fn tally<const N: usize>(counts: [(&str, u64); N]) -> Tally {
    counts.map(|(name, count)| (name.to_owned(), count)).into()
}

fn obtained(got: &str, why: Option<&str>) -> Obtained {
    Obtained {
        got: got.to_owned(),
        why: why.map(str::to_owned),
    }
}

pub fn call(number: u64, state: CallState) -> Call {
    let answered = matches!(state, CallState::Answered | CallState::Ended);
    Call {
        call_id: format!("{number}-4711@192.0.2.10"),
        from_uri: format!("sip:{}@example.org", 1000 + number),
        to_uri: "sip:+492115551234@gw.example.net;user=phone".to_owned(),
        state,
        status_code: match state {
            CallState::Trying => None,
            CallState::Ringing => Some(180),
            CallState::Failed => Some(486),
            CallState::Cancelled => Some(487),
            _ => Some(200),
        },
        setup_ms: answered.then_some(812.4),
        duration_ms: answered.then_some(63_250.0),
        start: at(number),
        src: "192.0.2.10:5060".to_owned(),
        dst: "[2001:db8::5]:5060".to_owned(),
        messages: 7,
        streams: if answered {
            vec!["0x0000beef".to_owned(), "0x0000cafe".to_owned()]
        } else {
            Vec::new()
        },
        one_way: (number == 1).then_some(Way::CallerToCallee),
        retransmissions: u64::from(number == 3) * 2,
        ..Call::default()
    }
}

/// Both sides of a call through a back-to-back user agent, with ladders.
pub fn related_calls() -> [Call; 2] {
    let message = |millis: u64, src: &str, dst: &str, status_code: Option<u16>| Message {
        ts: Timestamp::from_nanos(START + millis * 1_000_000),
        src: src.to_owned(),
        dst: dst.to_owned(),
        method: "INVITE".to_owned(),
        status_code,
        cseq: 1,
        sdp: status_code.is_none_or(|code| code == 200),
        retransmission: false,
        from_tag: Some(0),
        to_tag: status_code.map(|_| 1),
    };
    let (caller, between, callee) = ("192.0.2.10:5060", "192.0.2.1:5060", "192.0.2.20:5060");
    let call = |id: &str, other: &str, ladder: Vec<Message>| Call {
        call_id: id.to_owned(),
        start: ladder.first().map_or(at(0), |message| message.ts),
        related: vec![other.to_owned()],
        ladder,
        ..self::call(2, CallState::Ringing)
    };
    [
        call(
            "one@192.0.2.10",
            "other@192.0.2.1",
            vec![
                message(0, caller, between, None),
                message(1, between, caller, Some(100)),
                message(140, between, caller, Some(180)),
            ],
        ),
        call(
            "other@192.0.2.1",
            "one@192.0.2.10",
            vec![
                message(12, between, callee, None),
                message(139, callee, between, Some(180)),
            ],
        ),
    ]
}

pub fn registration(number: u64, state: RegistrationState) -> Registration {
    Registration {
        aor: format!("sip:{}@example.org", 1000 + number),
        contact: format!("sip:{}@192.0.2.{number}:5062;transport=udp", 1000 + number),
        state,
        status_code: Some(if state == RegistrationState::Registered {
            200
        } else {
            403
        }),
        expires_s: Some(3600),
        start: at(number),
        call_id: format!("reg-{number}"),
        src: format!("192.0.2.{number}:5062"),
        dst: "192.0.2.1:5060".to_owned(),
        messages: 4,
        attempts: 2,
        ineffective: u64::from(state == RegistrationState::Failed),
        challenges: 1,
        failures: match state {
            RegistrationState::Failed => [(403, 1)].into(),
            _ => BTreeMap::new(),
        },
        registration_request_delay_ms: (state == RegistrationState::Registered).then_some(84.5),
    }
}

pub fn allocation(number: u64, state: AllocationState) -> Allocation {
    let relayed = |packets: u64| Relayed {
        packets,
        bytes: packets * 172,
    };
    Allocation {
        client: format!("192.0.2.1:4000{number}"),
        server: "192.0.2.9:3478".to_owned(),
        transport: "udp".to_owned(),
        state,
        username: Some("1795251600:alice".to_owned()),
        realm: Some("example.org".to_owned()),
        software: Some("Coturn-4.6.1".to_owned()),
        relayed: Some(format!("192.0.2.9:5000{number}")),
        mapped: Some("192.0.2.1:40001".to_owned()),
        requested_lifetime_s: Some(3_600),
        lifetime_s: Some(600),
        start: at(number),
        end: at(number + 60),
        created: Some(at(number)),
        expires: Some(at(number + 600)),
        deleted: None,
        grants: 1,
        refreshes: 1,
        failures: [(403, 1)].into(),
        permissions: vec![Permission {
            peer: "192.0.2.2".to_owned(),
            expires: at(number + 300),
        }],
        channels: vec![Channel {
            number: "0x4000".to_owned(),
            peer: "192.0.2.2:30000".to_owned(),
            expires: None,
        }],
        to_peers: relayed(3_000),
        from_peers: relayed(2_990),
    }
}

pub fn stream(number: u64, call: Option<&str>) -> Stream {
    Stream {
        ssrc: format!("0x{number:08x}"),
        src: "192.0.2.10:16384".to_owned(),
        dst: "[2001:db8::5]:20002".to_owned(),
        payload_type: 8,
        codec: Some("PCMA".to_owned()),
        clock_rate: Some(8000),
        packets: 2990,
        expected: 3000,
        lost: 12,
        reordered: 3,
        duplicates: 2,
        jitter_mean_ms: Some(1.25),
        jitter_max_ms: Some(7.5),
        start: at(number),
        end: at(number + 60),
        call_id: call.map(str::to_owned),
        linked_by: call.map(|_| LinkedBy::Destination),
        ..Stream::default()
    }
}

pub fn health() -> Health {
    Health {
        status: Light::Red,
        reasons: vec![
            Reason {
                what: "disk_full".to_owned(),
                status: Light::Red,
                since: at(60),
                detail: "no room in /var/spool/siphon (0 bytes free); 120 frames were not written".to_owned(),
            },
            Reason {
                what: "generic_attach".to_owned(),
                status: Light::Yellow,
                since: at(0),
                detail: "the driver has no native XDP".to_owned(),
            },
        ],
        uptime_s: 3_725.5,
        version: "0.1.0".to_owned(),
        interface: "mirror0".to_owned(),
        active_calls: 2,
        streams: 4,
        seen: 1_000_000,
        dropped: 120,
    }
}

pub fn status() -> Status {
    let lane = |queue: u32| Lane {
        queue,
        cpu: (queue == 0).then_some(1),
        bind: obtained("copy", Some("zero-copy: bind: EOPNOTSUPP")),
        pages: obtained("huge pages", None),
        frames: 450_000,
        bytes: 96_300_000,
        multi_buffer: 5,
        no_timestamp: 6,
        clock_steps: 1,
        wakeups: 9,
        socket: SocketCounts {
            rx_dropped: 3,
            rx_ring_full: 7,
            rx_fill_ring_empty_descs: 3,
            ..SocketCounts::default()
        },
        ring: (queue == 1).then_some(RingCounts {
            size: 16 << 20,
            used: 4096,
            full: 5,
            outgoing: 200_000,
            super_frames: 10,
            packets: 450_090,
        }),
        outcomes: tally([("rtp", 449_000), ("sip_udp", 990), ("sip_malformed", 10)]),
        losses: tally([("sdp_malformed", 2)]),
        streams: 2,
        tcp_streams: 1,
        spool: LaneSpool {
            offered: 450_000,
            not_kept: 0,
            cut: 12_000,
            written: 449_900,
            bytes: 103_000_000,
            queued: 40,
            dropped: tally([("disk_full", 60)]),
        },
    };
    Status {
        version: "0.1.0".to_owned(),
        pid: 4242,
        started: at(0),
        uptime_s: 3_725.5,
        interface: "mirror0".to_owned(),
        mode: "mirror".to_owned(),
        attach: obtained("generic", Some("native: attach: EOPNOTSUPP")),
        lanes: vec![lane(0), lane(1)],
        identity: Identity {
            program: Stage::new(
                1_000_000,
                tally([("captured", 900_020), ("filtered", 99_970)]),
                0,
                tally([("short", 10)]),
            ),
            sockets: Stage::new(
                900_020,
                tally([("received", 900_000)]),
                0,
                tally([("rx_dropped", 6), ("rx_ring_full", 14)]),
            ),
            engine: Stage::new(
                900_000,
                tally([("rtp", 898_000), ("sip_udp", 1_980)]),
                0,
                tally([("sip_malformed", 20)]),
            ),
            spool: Stage::new(900_000, tally([("written", 899_800)]), 80, tally([("disk_full", 120)])),
        },
        verdicts: tally([
            ("captured_sip", 2_000),
            ("captured_media", 898_020),
            ("filtered_port", 99_970),
        ]),
        interface_counters: InterfaceCounters {
            rx_packets: 1_000_000,
            rx_bytes: 214_000_000,
            rx_dropped: 5,
            ..InterfaceCounters::default()
        },
        driver_counters: tally([("rx_queue_0_drops", 5), ("rx_queue_1_drops", 0)]),
        audit: Audit {
            looks: 3_725,
            violations: tally([
                ("engine", 0),
                ("program", 0),
                ("sockets", 0),
                ("spool", 0),
                ("writer", 0),
            ]),
        },
        sip: SipCounts {
            messages: 1_980,
            requests: [("INVITE".to_owned(), 400), ("BYE".to_owned(), 390)].into(),
            responses: [(180, 400), (200, 790)].into(),
            malformed: 20,
        },
        rtp: rtp(),
        rtcp: RtcpCounts {
            packets: tally([("sr", 900), ("sdes", 900)]),
            malformed: tally([("length", 3)]),
            round_trips: Distribution {
                buckets: vec![Bucket { le: 0.05, count: 70 }, Bucket { le: 0.8, count: 90 }],
                count: 91,
                sum: 4.2,
            },
            ..RtcpCounts::default()
        },
        calls: CallCounts {
            states: tally([("answered", 2), ("ended", 388)]),
            results: tally([("ended", 388), ("failed", 10)]),
            ended_by: tally([("bye", 380), ("no_bye", 8)]),
            one_way: 3,
            no_media: 1,
            levels: tally([("signaling", 300), ("headers", 68), ("full", 22)]),
        },
        rules: book(&Rules::new(&rules(), Level::Signaling).list()),
        registrations: tally([("registered", 12)]),
        learned: LearnedFigures {
            endpoints: 780,
            capacity: 65_536,
            updates: 1_560,
            removals: 780,
            refused: 2,
            failed: 0,
            latency: Some(LearningLatency {
                p50_ms: 0.125,
                p99_ms: 0.5,
                ..LearningLatency::default()
            }),
        },
        measured: Some(Measured {
            streams: 4,
            losses: tally([("stream_evicted", 1)]),
        }),
        tables: BTreeMap::from([
            (
                "calls".to_owned(),
                TableSize {
                    entries: 390,
                    capacity: 131_072,
                    evicted: 0,
                },
            ),
            (
                "streams".to_owned(),
                TableSize {
                    entries: 4,
                    capacity: 524_288,
                    evicted: 1,
                },
            ),
        ]),
        spool: SpoolStatus {
            enabled: true,
            directory: PathBuf::from("/var/spool/siphon"),
            writing: false,
            error: Some("write: ENOSPC".to_owned()),
            files_open: 2,
            files_closed: 3,
            writes: Obtained {
                got: "cached".to_owned(),
                why: Some("O_DIRECT: Invalid argument (os error 22)".to_owned()),
            },
            files_mended: 1,
            files_removed: 0,
            files_bytes: 206_000_000,
            disk_free_bytes: 0,
            disk_size_bytes: 500_000_000,
        },
        control: ControlCounts {
            clients: 1,
            accepted: 9,
            busy: 1,
            requests: 12,
            refused: 2,
            timed_out: 1,
            not_reading: 1,
        },
    }
}

/// Holds `actual` against a file beside the tests. `SIPHON_BLESS=1` writes the file instead, for review in its diff.
pub fn assert_is_file(name: &str, actual: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    if std::env::var_os("SIPHON_BLESS").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, expected, "{name}; SIPHON_BLESS=1 writes it anew");
}

/// Says that a test cannot run; a failure where SIPHON_REQUIRE=1 demands every test.
pub fn skip(test: &str, reason: &str) {
    assert!(
        std::env::var_os("SIPHON_REQUIRE").is_none_or(|value| value != "1"),
        "{test} is required and cannot run: {reason}"
    );
    // Straight to the stream: libtest captures what eprintln writes.
    std::io::stderr()
        .write_all(format!("SKIPPED {test}: {reason}\n").as_bytes())
        .unwrap();
}
