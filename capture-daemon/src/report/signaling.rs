//! What is said of signalling as a whole: transactions by method, subscriptions, registrations, and the sessions' figures
//! of RFC 6076. Everything counts from the start of the daemon, or of the file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Upper bounds of the buckets under `/metrics`, in milliseconds. Among them what operators set thresholds at: 0.5 s (T1),
/// 1 s, 5 s, 10 s, 32 s (timer F), 3 minutes (timer C), 1 hour.
pub const BUCKETS_MS: [u64; 19] = [
    1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 20_000, 32_000, 60_000, 180_000, 600_000, 1_800_000,
    3_600_000,
];

/// The figures of signalling.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Signaling {
    /// Transactions by method, each hop that was seen for itself; `OTHER` for methods siphon has no word for. ACK has
    /// none.
    pub transactions: BTreeMap<String, Transactions>,
    /// SUBSCRIBE, NOTIFY and PUBLISH by event package (RFC 6665), packages siphon has no word for as `other`.
    pub events: BTreeMap<String, Events>,
    /// Registrations (RFC 6076 sections 4.1 and 4.2).
    pub registrations: RegistrationFigures,
    /// Sessions (RFC 6076 sections 4.3 to 4.9).
    pub sessions: SessionFigures,
}

/// The transactions of one method (RFC 3261 section 17).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Transactions {
    /// Transactions: the sum of `responses`, `timed_out` and `open`.
    pub transactions: u64,
    /// Requests that were seen again at the same hop.
    pub retransmissions: u64,
    /// Transactions by the code of their final response. 401 and 407 ask for credentials and are no failures.
    pub responses: BTreeMap<u16, u64>,
    /// Those with no final response in time: timer F (RFC 3261 section 17.1.2.2), of INVITE timer C (section 16.6).
    pub timed_out: u64,
    /// Those whose final response may still come, whose request was not seen, or that were evicted.
    pub open: u64,
    /// Request first seen at a hop to first final response at that hop; absent where both were seen of none.
    pub response_time: Option<Latency>,
}

/// What went on about one event package (RFC 6665). A request that was challenged and sent again counts twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Events {
    /// SUBSCRIBE transactions.
    pub subscribe: u64,
    /// Those that began a subscription: outside a dialog, with an expiry other than 0, answered with 2xx.
    pub subscriptions: u64,
    /// NOTIFY transactions.
    pub notify: u64,
    /// PUBLISH transactions (RFC 3903).
    pub publish: u64,
    /// Transactions of all three with a final response of 400 or above other than 401 and 407, or none in time.
    pub failed: u64,
}

/// What RFC 6076 measures of registrations. An attempt is a REGISTER and those that follow it with credentials, until an
/// answer that is no challenge; refreshes and removals are attempts too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegistrationFigures {
    /// Attempts.
    pub attempts: u64,
    /// Attempts that ended with 2xx.
    pub successful: u64,
    /// Attempts that were challenged and not gone on with.
    pub abandoned: u64,
    /// Challenges: REGISTERs answered with 401 or 407.
    pub challenges: u64,
    /// Attempts by the code of 300 or above that ended them.
    pub failures: BTreeMap<u16, u64>,
    /// Attempts that nothing answered in time (timer F).
    pub timed_out: u64,
    /// Registration request delay, RRD (RFC 6076 section 4.1): first REGISTER of an attempt to its 2xx, which an expected
    /// challenge is part of. Successful attempts only.
    pub registration_request_delay: Option<Latency>,
    /// Ineffective registration attempts, IRA (RFC 6076 section 4.2): those that ended with 4xx other than 401, 402 and 407,
    /// with 5xx or 6xx, or for want of an answer, of all attempts that are not under way.
    pub ineffective_registration_attempts: Option<Ratio>,
}

/// What RFC 6076 measures of sessions, taken at the hop nearest to the caller that was seen. A session request is an INVITE
/// outside a dialog with those that follow it in the same call, with credentials or to another target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionFigures {
    /// Session requests.
    pub requests: u64,
    /// Those that are still trying or ringing. They are in no ratio.
    pub open: u64,
    /// Those that a 2xx answered.
    pub established: u64,
    /// Those that ended with 3xx.
    pub redirected: u64,
    /// Those that the caller gave up.
    pub cancelled: u64,
    /// Those that nothing answered in time (timer C).
    pub timed_out: u64,
    /// INVITEs answered with 401 or 407.
    pub challenges: u64,
    /// Session requests by the code of 300 or above that ended them.
    pub failures: BTreeMap<u16, u64>,
    /// Session request delay, SRD, of those that were established (RFC 6076 section 4.3.1): INVITE to the first provisional
    /// response other than 100, or to the 2xx.
    pub session_request_delay: Option<Latency>,
    /// The same of those that failed (RFC 6076 section 4.3.2): to the first such response, or to the refusal.
    pub failed_session_request_delay: Option<Latency>,
    /// Session disconnect delay, SDD (RFC 6076 section 4.4): BYE to its 2xx.
    pub session_disconnect_delay: Option<Latency>,
    /// The same of a BYE that no 2xx answered: to its other final response, or to timer F.
    pub failed_session_disconnect_delay: Option<Latency>,
    /// Session duration time, SDT (RFC 6076 section 4.5.1): 2xx to BYE.
    pub session_duration_time: Option<Latency>,
    /// The same where nothing answered the BYE (RFC 6076 section 4.5.2): 2xx to timer F.
    pub failed_session_duration_time: Option<Latency>,
    /// First 180 to first 2xx.
    pub ring_time: Option<Latency>,
    /// Post-dial delay, PDD: first INVITE to the first 180 or 183, challenges included.
    pub post_dial_delay: Option<Latency>,
    /// Session establishment ratio, SER (RFC 6076 section 4.6): 2xx, of all but those redirected.
    pub session_establishment_ratio: Option<Ratio>,
    /// Session establishment effectiveness ratio, SEER (RFC 6076 section 4.7): 2xx, 480, 486, 600 and 603, of all but those
    /// redirected.
    pub session_establishment_effectiveness_ratio: Option<Ratio>,
    /// Ineffective session attempts, ISA (RFC 6076 section 4.8): 408, 500, 503 and 504, of all. No answer in time is a 408
    /// (RFC 3261 section 8.1.3.1).
    pub ineffective_session_attempts: Option<Ratio>,
    /// Session completion ratio, SCR (RFC 6076 section 4.9): established, ended by BYE and its 2xx, of all that are over.
    pub session_completion_ratio: Option<Ratio>,
    /// Answer-seizure ratio, ASR (ITU-T E.411): 2xx, of all.
    pub answer_seizure_ratio: Option<Ratio>,
    /// Calls by what is to be said of them: `forked`, `loop`, `spiral`, `transfer`, `prack`, `joined_late`, `bye_unanswered`.
    pub noted: BTreeMap<String, u64>,
    /// Keys that INFO requests told of.
    pub info_digits: u64,
}

/// A part of a whole. There is none where the whole is 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The part.
    pub numerator: u64,
    /// The whole.
    pub denominator: u64,
    /// The part in percent of the whole, to four decimals.
    pub percent: f64,
}

impl Ratio {
    /// `numerator` of `denominator`; `None` where that is 0.
    pub fn of(numerator: u64, denominator: u64) -> Option<Self> {
        (denominator > 0).then(|| Self {
            numerator,
            denominator,
            percent: (numerator as f64 * 1e6 / denominator as f64).round() / 1e4,
        })
    }
}

/// How long something took, over all cases of it. Times are packet times in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many cases there are; never 0.
    pub count: u64,
    /// Mean, to the nanosecond.
    pub mean_ms: f64,
    /// The shortest.
    pub min_ms: f64,
    /// Half of the cases took no longer. Percentiles are at most 1 % too high.
    pub p50_ms: f64,
    /// Nine of ten cases took no longer.
    pub p90_ms: f64,
    /// 99 of 100 cases took no longer.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// All together, in seconds.
    pub sum_s: f64,
    /// Cases that took no longer than each of [`BUCKETS_MS`]: for `/metrics`, not in JSON.
    #[serde(skip)]
    pub buckets: Vec<u64>,
}
