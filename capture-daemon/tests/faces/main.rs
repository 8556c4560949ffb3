//! What is measured has three faces: `siphon replay --json`, the text for people, and `/metrics`. Traffic in which everything happens
//! is played, and whatever it was must be seen in all three.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line that was wrong"
)]

#[path = "../sample/mod.rs"]
mod sample;
mod traffic;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use capture_daemon::cli::{Form, Style, call, summary};
use capture_daemon::config::{Capture, Follow};
use capture_daemon::control::{CallCounts, Status};
use capture_daemon::engine::{Engine, Shared, document};
use capture_daemon::frame::{Frame, LinkType};
use capture_daemon::metrics::Exporter;
use capture_daemon::report::{CallFlow, Document};
use capture_daemon::time::Timestamp;
use serde_json::{Value, json};

/// What is told, where in JSON, with which words in the text, and in which metric.
const NAMES: &str = r#"
packets|/one/streams/0/packets|PACKETS|siphon_rtp_packets_total
loss|/one/streams/0/lost|LOST|siphon_rtp_lost_packets_total
reordering|/one/streams/0/reordered|REORDERED|siphon_rtp_reordered_packets_total
copies|/one/streams/0/duplicates|COPIES|siphon_rtp_duplicate_packets_total
late packets|/one/streams/0/playout/fixed_50/discarded|50 ms: 1 late|siphon_rtp_discarded_packets_total{buffer="fixed_50"}
restarts|/one/streams/0/restarts|1 restart|siphon_rtp_events_total{event="restart"}
jitter|/one/streams/0/jitter_mean_ms|JITTER|siphon_rtp_jitter_seconds_sum
a wrong clock|/one/streams/1/clock/mismatch|clock 16000 Hz for 20 ms (another is signalled)|siphon_rtp_streams_noted_total{what="clock_mismatch"}
bursts|/one/streams/0/burst/bursts|lost in 1 burst of|siphon_rtp_events_total{event="burst"}
density in bursts|/one/streams/0/burst/burst_density|lost in 1 burst of|siphon_rtp_burst_density_ratio_sum
density in gaps|/one/streams/0/burst/gap_density|lost in gaps of|siphon_rtp_gap_density_ratio_sum
delta|/one/streams/0/delta/max_ms|apart (|siphon_rtp_delta_max_seconds_sum
skew|/one/streams/0/clock/skew_max_ms|at most|siphon_rtp_skew_max_seconds_sum
codec changes|/one/streams/0/codec_changes|codec changes|siphon_rtp_events_total{event="codec_change"}
comfort noise|/one/streams/0/comfort_noise|1 comfort noise packet|siphon_rtp_events_total{event="comfort_noise"}
announced silence|/one/streams/0/silence/dtx|announced silence|siphon_rtp_events_total{event="dtx"}
silence|/one/streams/0/silence/gaps|1 silence of up to|siphon_rtp_events_total{event="silence_gap"}
an unannounced type|/one/streams/0/payload_types/2/packets|that nobody announced|siphon_rtp_streams_noted_total{what="payload_type_unannounced"}
who joined it|/one/streams/0/linked_by|destination|siphon_rtp_streams_linked_total{by="destination"}
encryption|/two/streams/0/encrypted|srtp|siphon_rtp_streams_noted_total{what="encrypted"}
sender reports|/one/streams/0/rtcp/sender/reports|1 sender report|siphon_rtcp_packets_total
report blocks|/one/streams/0/rtcp/receiver/cumulative_lost|the receiver lost 4|siphon_rtcp_packets_total
a name|/one/streams/0/rtcp/cname|CNAME a@x|siphon_rtcp_packets_total
VoIP metrics|/one/streams/0/rtcp/voip_metrics/r_factor|R 88 MOS-LQ 4.2 MOS-CQ 4.1|siphon_rtcp_xr_blocks_total
round trip|/one/streams/0/rtcp/round_trip/path_ms|round trip 80 ms|siphon_rtp_mos_cq_sum
R|/one/streams/0/quality/fixed_50/r_lq|R-LQ|siphon_rtp_r_lq_sum
R-CQ|/one/streams/0/quality/fixed_50/r_cq|R-CQ|siphon_rtp_r_cq_sum
MOS-LQ|/one/streams/0/quality/adaptive/mos_lq|MOS-LQ|siphon_rtp_mos_lq_sum
MOS-CQ|/one/streams/0/quality/fixed_200/mos_cq|MOS-CQ|siphon_rtp_mos_cq_sum
keys in RTP|/one/streams/0/dtmf/digits/0/digit|(rtp)|siphon_rtp_dtmf_digits_total
keys in INFO|/one/calls/0/dtmf/digits/0/digit|(info)|siphon_sip_info_digits_total
forks|/one/calls/0/dialogs/1/early_code|forks|siphon_sip_calls_noted_total{what="forked"}
transfers|/one/calls/0/transfers/0/status_code|transfer|siphon_sip_calls_noted_total{what="transfer"}
SRD|/one/calls/0/session_request_delay_ms|SRD|siphon_sip_session_request_delay_seconds_sum
SDD|/one/calls/0/session_disconnect_delay_ms|SDD|siphon_sip_session_disconnect_delay_seconds_sum
SDT|/all/signaling/sessions/session_duration_time|(SDT)|siphon_sip_session_duration_seconds_sum
ring time|/one/calls/0/ring_time_ms|ring|siphon_sip_ring_seconds_sum
post-dial delay|/one/calls/0/post_dial_delay_ms|post-dial delay|siphon_sip_post_dial_delay_seconds_sum
SER|/all/signaling/sessions/session_establishment_ratio|(SER)|siphon_sip_session_establishment_ratio
SEER|/all/signaling/sessions/session_establishment_effectiveness_ratio|(SEER)|siphon_sip_session_establishment_effectiveness_ratio
SCR|/all/signaling/sessions/session_completion_ratio|(SCR)|siphon_sip_session_completion_ratio
ASR|/all/signaling/sessions/answer_seizure_ratio|(ASR)|siphon_sip_answer_seizure_ratio
ISA|/all/signaling/sessions/ineffective_session_attempts/percent|(ISA)|siphon_sip_ineffective_session_attempts_ratio
SRD of what failed|/all/signaling/sessions/failed_session_request_delay/mean_ms|failed|siphon_sip_session_request_delay_seconds_sum{result="failed"}
refusals|/all/signaling/sessions/failures/503|503|siphon_sip_session_failures_total{code="503"}
one-way audio|/three/calls/0/one_way|one-way audio: nothing comes from the callee|siphon_one_way_calls_total
T.38|/four/calls/0/t38/0/packets|Fax (T.38)|siphon_t38_packets_total
T.38 that was lost|/four/calls/0/t38/0/lost|LOST|siphon_t38_packets_total
registrations|/all/registrations/0/contact|registered|siphon_registrations{state="registered"}
their expiry|/all/registrations/0/expires_s|EXPIRES|siphon_registrations{state="registered"}
registrations that failed|/all/signaling/registrations/failures/403|403|siphon_sip_registration_failures_total{code="403"}
challenges|/all/signaling/registrations/challenges|401/407|siphon_sip_registration_challenges_total
RRD|/all/signaling/registrations/registration_request_delay/mean_ms|RRD|siphon_sip_registration_request_delay_seconds_sum
IRA|/all/signaling/registrations/ineffective_registration_attempts/percent|IRA|siphon_sip_ineffective_registration_attempts_ratio
OPTIONS|/all/signaling/transactions/OPTIONS/response_time/mean_ms|OPTIONS|siphon_sip_transaction_seconds_sum{method="OPTIONS"}
MESSAGE|/all/signaling/transactions/MESSAGE/response_time/mean_ms|MESSAGE|siphon_sip_transaction_seconds_sum{method="MESSAGE"}
SUBSCRIBE|/all/signaling/events/presence/subscribe|SUBSCRIBE|siphon_sip_events_total{package="presence",what="subscribe"}
NOTIFY|/all/signaling/events/presence/notify|NOTIFY|siphon_sip_events_total{package="presence",what="notify"}
PUBLISH|/all/signaling/events/presence/publish|PUBLISH|siphon_sip_events_total{package="presence",what="publish"}
allocations|/all/turn/allocations/0/relayed|TURN allocations|siphon_turn_allocations{state="active"}
their lifetime|/all/turn/allocations/0/lifetime_s|LIFETIME|siphon_turn_allocations{state="active"}
allocation success|/all/turn/figures/transactions/allocate/successes|allocate|siphon_stun_successes_total{method="allocate"}
allocation failure|/all/turn/figures/transactions/allocate/errors/401|401|siphon_stun_errors_total{method="allocate",code="401"}
authentication failures|/all/turn/figures/authentication_failures/401|401|siphon_turn_authentication_failures_total{code="401"}
round trips of requests|/all/turn/figures/transactions/allocate/round_trip/mean_ms|allocate|siphon_stun_round_trip_seconds_sum{method="allocate"}
permissions|/all/turn/figures/permissions|permission|siphon_turn_permissions
channels|/all/turn/figures/channels|channel|siphon_turn_channels
relayed bytes|/all/turn/figures/channel_data/bytes|in channels|siphon_turn_relayed_bytes_total{by="channel"}
the same in indications|/all/turn/figures/data_indications/bytes|indications|siphon_turn_relayed_bytes_total{by="indication"}
relayed RTP|/relayed/packets|0000eeee|siphon_rtp_streams_noted_total{what="in_turn"}
"#;

/// What siphon says after the last frame, and of calls that went one way: those are counted when they are forgotten.
fn played() -> (Document, u64) {
    let follow = Follow::default();
    let shared = Arc::new(Shared::new(&follow));
    let mut engine = Engine::new(&follow, &Capture::default(), Arc::clone(&shared));
    let mut now = Timestamp::from_nanos(sample::START);
    for (ts, bytes) in &traffic::frames() {
        now = Timestamp::from_nanos(sample::START + ts);
        engine.frame(&Frame {
            ts: now,
            link: LinkType::Ethernet,
            wire_len: bytes.len() as u32,
            bytes,
        });
        engine.tick(now);
    }
    engine.finish();
    let document = document(&shared, &[engine.counters()], engine.streams(), now);
    let mut later = now.plus(follow.linger);
    while !shared.calls.is_empty() && later.since(now) < 2 * follow.answered_timeout {
        later = later.plus(Duration::from_secs(1));
        engine.tick(later);
    }
    (document, shared.calls.count(later).one_way)
}

/// The lines of a page that are figures of `metric`, and not 0.
fn exposes(page: &str, metric: &str) -> bool {
    page.lines().any(|line| {
        let figure = line.strip_prefix(metric).and_then(|rest| rest.rsplit_once(' '));
        figure.is_some_and(|(_, figure)| figure.parse::<f64>().is_ok_and(|figure| figure != 0.0))
    })
}

#[test]
fn what_happened_is_in_json_in_the_text_and_in_the_metrics() {
    let (document, one_way) = played();
    let style = Style {
        width: 160,
        ..Style::PLAIN
    };
    let names = ["one", "two", "three", "four"];
    let flows = names.map(|name| (name, CallFlow::of(&document, name)));
    let calls = flows
        .each_ref()
        .map(|(_, flow)| call(flow, Form::default(), style))
        .concat();
    let all = summary(&document, style);
    let mut json: BTreeMap<_, _> = flows.map(|(name, flow)| (name, json!(flow))).into();
    json.insert(
        "relayed",
        json!(document.streams.iter().find(|stream| stream.ssrc == "0x0000eeee")),
    );
    json.insert("all", json!(document));
    let json = json!(json);
    let status = Status {
        rtp: document.rtp.clone(),
        rtcp: document.rtcp.clone(),
        calls: CallCounts {
            one_way,
            ..CallCounts::default()
        },
        registrations: [("registered".to_owned(), document.registrations.len() as u64)].into(),
        ..sample::status()
    };
    let page = Exporter::default().render(&sample::health(), &status, &document.signaling, &document.turn.figures);
    let mut missing = Vec::new();
    for row in NAMES.trim().lines() {
        let [what, pointer, words, metric] = row.split('|').collect::<Vec<_>>()[..] else {
            panic!("{row}")
        };
        let nothing = [&Value::Null, &json!(0), &json!(0.0), &json!(false), &json!("")];
        let value = json.pointer(pointer).unwrap_or(&Value::Null);
        if nothing.contains(&value) {
            missing.push(format!("{what} in JSON: {pointer} is {value}"));
        }
        let of_call = names.iter().any(|name| pointer.split('/').nth(1) == Some(name));
        let text = if of_call { &calls } else { &all };
        if !text.contains(words) {
            missing.push(format!("{what} in the text: {words:?}"));
        }
        if !exposes(&page, metric) {
            missing.push(format!("{what} in the metrics: {metric}"));
        }
    }
    assert!(missing.is_empty(), "{missing:#?}\n{calls}\n{all}");
}
