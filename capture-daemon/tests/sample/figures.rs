//! What a daemon has summed up: TURN, SIP transactions, RTP.

use capture_daemon::report::{
    BUCKETS_MS, Bucket, Distribution, Events, Latency, Ratio, RegistrationFigures, Relayed, RtpFigures, SessionFigures,
    Signaling, StunTransactions, Transactions, TurnFigures,
};

use super::tally;

pub fn turn() -> TurnFigures {
    let of = |requests: u64, errors: &[(u16, u64)]| StunTransactions {
        requests,
        retransmissions: 2,
        successes: requests - errors.iter().map(|(_, n)| n).sum::<u64>() - 1,
        errors: errors.iter().copied().collect(),
        unanswered: 1,
        round_trip: Some(latency(requests - 1, 12.5)),
    };
    TurnFigures {
        messages: 5_000,
        relayed_messages: 40,
        malformed: 3,
        requests: tally([("allocate", 402), ("binding", 902)]),
        indications: tally([("send", 700)]),
        successes: tally([("allocate", 180), ("binding", 900)]),
        errors: tally([("allocate", 219)]),
        transactions: [
            ("allocate".to_owned(), of(400, &[(401, 210), (486, 9)])),
            ("ice_check".to_owned(), of(900, &[])),
        ]
        .into(),
        challenges: 200,
        authentication_failures: [(401, 10), (438, 4)].into(),
        allocations: tally([("active", 120), ("deleted", 55), ("expired", 5)]),
        permissions: 130,
        channels: 110,
        channel_data: Relayed {
            packets: 1_000_000,
            bytes: 172_000_000,
        },
        data_indications: Relayed {
            packets: 350,
            bytes: 60_200,
        },
    }
}

/// `count` cases between 0.8 ms and `most` milliseconds, as far as a page shows them.
pub fn latency(count: u64, most: f64) -> Latency {
    Latency {
        count,
        mean_ms: most / 2.0,
        min_ms: 0.8,
        p50_ms: most / 2.0,
        p90_ms: most * 0.9,
        p99_ms: most * 0.99,
        max_ms: most,
        sum_s: most * count as f64 / 2_000.0,
        buckets: BUCKETS_MS
            .iter()
            .map(|bound| if *bound as f64 >= most { count } else { count / 2 })
            .collect(),
    }
}

pub fn signaling() -> Signaling {
    let transactions = |count: u64, most: f64| Transactions {
        transactions: count,
        retransmissions: 3,
        responses: [(200, count - 20), (401, 12), (404, 5), (503, 1)].into(),
        timed_out: 1,
        open: 1,
        response_time: Some(latency(count - 2, most)),
    };
    Signaling {
        transactions: [
            ("INVITE".to_owned(), transactions(410, 12_400.0)),
            ("REGISTER".to_owned(), transactions(1_200, 260.0)),
            (
                "BYE".to_owned(),
                Transactions {
                    transactions: 2,
                    open: 2,
                    ..Transactions::default()
                },
            ),
        ]
        .into(),
        events: [(
            "presence".to_owned(),
            Events {
                subscribe: 8,
                subscriptions: 6,
                notify: 70,
                publish: 9,
                failed: 2,
            },
        )]
        .into(),
        registrations: RegistrationFigures {
            attempts: 1_188,
            successful: 1_180,
            abandoned: 1,
            challenges: 12,
            failures: [(404, 5), (503, 1)].into(),
            timed_out: 1,
            registration_request_delay: Some(latency(1_180, 410.0)),
            ineffective_registration_attempts: Ratio::of(7, 1_188),
        },
        sessions: SessionFigures {
            requests: 400,
            open: 2,
            established: 388,
            redirected: 1,
            cancelled: 1,
            timed_out: 1,
            challenges: 12,
            failures: [(302, 1), (486, 6), (487, 1), (503, 1)].into(),
            session_request_delay: Some(latency(388, 1_900.0)),
            failed_session_request_delay: Some(latency(8, 2_100.0)),
            session_disconnect_delay: Some(latency(380, 40.0)),
            failed_session_disconnect_delay: Some(latency(1, 32_000.0)),
            session_duration_time: Some(latency(380, 3_700_000.0)),
            failed_session_duration_time: Some(latency(1, 65_000.0)),
            ring_time: Some(latency(380, 24_000.0)),
            post_dial_delay: Some(latency(390, 3_000.0)),
            session_establishment_ratio: Ratio::of(388, 397),
            session_establishment_effectiveness_ratio: Ratio::of(394, 397),
            ineffective_session_attempts: Ratio::of(2, 398),
            session_completion_ratio: Ratio::of(380, 390),
            answer_seizure_ratio: Ratio::of(388, 398),
            noted: tally([("forked", 3), ("transfer", 5)]),
            info_digits: 4,
        },
    }
}

pub fn rtp() -> RtpFigures {
    let of = |le: f64, sum: f64| Distribution {
        buckets: vec![
            Bucket { le, count: 760 },
            Bucket {
                le: le * 2.0,
                count: 770,
            },
        ],
        count: 776,
        sum,
    };
    let opinion = |of| [("G.107".to_owned(), [("fixed_50".to_owned(), of)].into())].into();
    RtpFigures {
        streams_ended: 776,
        packets: 898_000,
        lost: 1_200,
        reordered: 40,
        duplicates: 7,
        discarded: tally([("fixed_50", 300), ("fixed_200", 2), ("adaptive", 20)]),
        dtmf_digits: 16,
        t38_packets: 500,
        events: tally([("restart", 2), ("codec_change", 9), ("burst", 11)]),
        streams: tally([("encrypted", 12), ("clock_mismatch", 1)]),
        linked_by: tally([("destination", 770), ("symmetric", 4), ("none", 2)]),
        jitter: of(0.01, 2.5),
        delta_max: of(0.06, 31.5),
        skew_max: of(0.02, 9.5),
        share_lost: of(0.005, 1.25),
        burst_density: of(0.2, 4.5),
        gap_density: of(0.01, 0.5),
        r_lq: opinion(of(80.0, 72_000.5)),
        r_cq: opinion(of(60.0, 60_000.5)),
        mos_lq: opinion(of(2.0, 3_320.5)),
        mos_cq: opinion(of(1.75, 3_120.5)),
    }
}
