//! Fills the metrics from the daemon's state, at each scrape.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use capture_common::Level;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use super::histogram::Histograms;
use super::{glossary as m, rtp, rules, signaling, turn};
use crate::control::{
    Health, InterfaceCounters, Lane, LaneSpool, Light, Measured, RingCounts, SocketCounts, SpoolStatus, Status, Tally,
};
use crate::media::rtcp::{BlockType, Feedback, Malformed, PacketType};
use crate::report::{CallState, EndedBy, LearnedFigures, RegistrationState, RtcpCounts, Signaling, TurnFigures};

/// Turns the daemon's state into the exposition format. Keeps the counters between scrapes, so that none goes back.
pub struct Exporter {
    recorder: PrometheusRecorder,
    /// Reasons that were ever given, which read 0 afterwards.
    reasons: Mutex<BTreeSet<String>>,
    histograms: Mutex<Histograms>,
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").finish_non_exhaustive()
    }
}

impl Default for Exporter {
    fn default() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || m::GLOSSARY.iter().for_each(|metric| metric.describe()));
        Self {
            recorder,
            reasons: Mutex::default(),
            histograms: Mutex::default(),
        }
    }
}

impl Exporter {
    /// The text of `/metrics`.
    pub fn render(&self, health: &Health, status: &Status, signaling: &Signaling, turn: &TurnFigures) -> String {
        let mut histograms = self.histograms.lock().unwrap_or_else(PoisonError::into_inner);
        metrics::with_local_recorder(&self.recorder, || {
            self.health(health);
            daemon(status);
            if let Some(measured) = &status.measured {
                self::measured(measured);
            }
            for lane in &status.lanes {
                self::lane(lane);
            }
            stages(status);
            learned(&status.learned, &mut histograms);
            rtp::record(&status.rtp, &mut histograms);
            rtcp(&status.rtcp, &mut histograms);
            calls(status);
            spool(&status.spool);
            control(status);
            signaling::record(signaling, &mut histograms);
            turn::record(turn, &mut histograms);
        });
        let mut page = self.recorder.handle().render();
        histograms.render(&mut page);
        rules::render(&status.rules, &mut page);
        page
    }

    fn health(&self, health: &Health) {
        for light in [Light::Green, Light::Yellow, Light::Red] {
            m::HEALTH.set(&[light.label()], u64::from(light == health.status));
        }
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        reasons.extend(health.reasons.iter().map(|reason| reason.what.clone()));
        for what in reasons.iter() {
            let holds = health.reasons.iter().any(|reason| reason.what == *what);
            m::HEALTH_REASON.set(&[what], u64::from(holds));
        }
        m::CALLS_ACTIVE.set(&[], health.active_calls);
    }
}

fn daemon(status: &Status) {
    m::BUILD_INFO.set(&[&status.version], 1);
    m::START_TIME.set_gauge(&[], status.started.as_nanos() as f64 / 1e9);
    m::UPTIME.set_gauge(&[], status.uptime_s);
    m::CAPTURE_INFO.set(&[&status.interface, &status.mode, &status.attach.got], 1);
    let InterfaceCounters {
        rx_packets,
        rx_bytes,
        rx_errors,
        rx_dropped,
        rx_missed_errors,
    } = status.interface_counters;
    m::INTERFACE_FRAMES.set(&[], rx_packets);
    m::INTERFACE_BYTES.set(&[], rx_bytes);
    m::INTERFACE_ERRORS.set(&[], rx_errors);
    m::INTERFACE_DROPPED.set(&[], rx_dropped);
    m::INTERFACE_MISSED.set(&[], rx_missed_errors);
    for (counter, events) in &status.driver_counters {
        m::DRIVER_COUNTERS.set(&[counter], *events);
    }
}

/// What lanes have by their queues, the kernel program has under its own name.
fn measured(Measured { streams, losses }: &Measured) {
    m::STREAMS.set(&["kernel"], *streams);
    for (loss, events) in losses {
        m::LOSSES.set(&["kernel", loss], *events);
    }
}

fn lane(lane: &Lane) {
    let queue = lane.queue.to_string();
    let queue = queue.as_str();
    m::LANE_INFO.set(&[queue, &lane.bind.got, &lane.pages.got], 1);
    m::LANE_FRAMES.set(&[queue], lane.frames);
    m::LANE_BYTES.set(&[queue], lane.bytes);
    m::LANE_MULTI_BUFFER.set(&[queue], lane.multi_buffer);
    m::LANE_UNSTAMPED.set(&[queue], lane.no_timestamp);
    m::LANE_CLOCK_STEPS.set(&[queue], lane.clock_steps);
    m::LANE_WAKEUPS.set(&[queue], lane.wakeups);
    m::STREAMS.set(&[queue], lane.streams);
    m::TCP_STREAMS.set(&[queue], lane.tcp_streams);
    let SocketCounts {
        rx_dropped,
        rx_invalid_descs,
        tx_invalid_descs,
        rx_ring_full,
        rx_fill_ring_empty_descs,
        tx_ring_empty_descs,
    } = lane.socket;
    m::SOCKET_DROPPED.set(&[queue], rx_dropped);
    m::SOCKET_RX_INVALID.set(&[queue], rx_invalid_descs);
    m::SOCKET_TX_INVALID.set(&[queue], tx_invalid_descs);
    m::SOCKET_RING_FULL.set(&[queue], rx_ring_full);
    m::SOCKET_FILL_EMPTY.set(&[queue], rx_fill_ring_empty_descs);
    m::SOCKET_TX_EMPTY.set(&[queue], tx_ring_empty_descs);
    if let Some(RingCounts {
        size,
        used,
        full,
        outgoing,
        super_frames,
        packets,
    }) = lane.ring
    {
        m::RING_SIZE.set(&[queue], size);
        m::RING_USED.set(&[queue], used);
        m::RING_FULL.set(&[queue], full);
        m::LANE_OUTGOING.set(&[queue], outgoing);
        m::LANE_SUPER_FRAMES.set(&[queue], super_frames);
        m::LANE_PACKETS.set(&[queue], packets);
    }
    for (outcome, frames) in &lane.outcomes {
        m::OUTCOMES.set(&[queue, outcome], *frames);
    }
    for (loss, events) in &lane.losses {
        m::LOSSES.set(&[queue, loss], *events);
    }
    let LaneSpool {
        offered,
        not_kept,
        cut,
        written,
        bytes,
        queued,
        dropped,
    } = &lane.spool;
    m::SPOOL_NOT_KEPT.set(&[queue], *not_kept);
    m::SPOOL_CUT.set(&[queue], *cut);
    m::SPOOL_OFFERED.set(&[queue], *offered);
    m::SPOOL_WRITTEN.set(&[queue], *written);
    m::SPOOL_BYTES.set(&[queue], *bytes);
    m::SPOOL_QUEUED.set(&[queue], *queued);
    for (reason, frames) in dropped {
        m::SPOOL_DROPPED.set(&[queue, reason], *frames);
    }
}

fn stages(status: &Status) {
    m::AUDIT_LOOKS.set(&[], status.audit.looks);
    for (stage, violations) in &status.audit.violations {
        m::AUDIT_VIOLATIONS.set(&[stage], *violations);
    }
    for (verdict, frames) in &status.verdicts {
        m::VERDICTS.set(&[verdict], *frames);
    }
    for (name, stage) in status.identity.stages() {
        m::STAGE_SEEN.set(&[name], stage.seen);
        for (to, frames) in &stage.passed {
            m::STAGE_PASSED.set(&[name, to], *frames);
        }
        m::STAGE_QUEUED.set(&[name], stage.queued);
        for (reason, frames) in &stage.dropped {
            m::STAGE_DROPPED.set(&[name, reason], *frames);
        }
        m::STAGE_HOLDS.set(&[name], u64::from(stage.holds));
    }
}

fn learned(figures: &LearnedFigures, histograms: &mut Histograms) {
    m::LEARNED_ENDPOINTS.set(&[], figures.endpoints);
    m::LEARNED_CAPACITY.set(&[], figures.capacity);
    m::LEARNED_UPDATES.set(&["written"], figures.updates);
    m::LEARNED_UPDATES.set(&["removed"], figures.removals);
    m::LEARNED_UPDATES.set(&["refused"], figures.refused);
    m::LEARNED_UPDATES.set(&["failed"], figures.failed);
    if let Some(latency) = &figures.latency {
        histograms.set_distribution(&m::LEARNED_SECONDS, &[], &latency.seconds);
    }
}

/// Sets every state, so that one nobody is in any more reads 0.
fn by_state(metric: &m::Metric, states: &[&str], counts: &Tally) {
    for state in states {
        metric.set(&[state], counts.get(*state).copied().unwrap_or(0));
    }
}

fn rtcp(counts: &RtcpCounts, histograms: &mut Histograms) {
    let packets: Vec<_> = PacketType::ALL.iter().map(|of| of.label()).collect();
    by_state(&m::RTCP_PACKETS, &packets, &counts.packets);
    let feedback: Vec<_> = Feedback::ALL.iter().map(|of| of.label()).collect();
    by_state(&m::RTCP_FEEDBACK, &feedback, &counts.feedback);
    let blocks: Vec<_> = BlockType::ALL.iter().map(|of| of.label()).collect();
    by_state(&m::RTCP_XR_BLOCKS, &blocks, &counts.xr_blocks);
    m::RTCP_ENCRYPTED.set(&[], counts.encrypted);
    let malformed: Vec<_> = Malformed::ALL.iter().map(|of| of.label()).collect();
    by_state(&m::RTCP_MALFORMED, &malformed, &counts.malformed);
    histograms.set_distribution(&m::RTCP_ROUND_TRIP, &[], &counts.round_trips);
    histograms.set_distribution(&m::RTCP_FRACTION_LOST, &[], &counts.shares_lost);
}

fn calls(status: &Status) {
    m::SIP_MESSAGES.set(&[], status.sip.messages);
    for (method, requests) in &status.sip.requests {
        m::SIP_REQUESTS.set(&[method], *requests);
    }
    for (code, responses) in &status.sip.responses {
        m::SIP_RESPONSES.set(&[&code.to_string()], *responses);
    }
    m::SIP_MALFORMED.set(&[], status.sip.malformed);
    by_state(&m::CALLS, &CallState::ALL.map(CallState::label), &status.calls.states);
    for (result, calls) in &status.calls.results {
        m::CALL_RESULTS.set(&[result], *calls);
    }
    let ended_by = [EndedBy::Bye, EndedBy::NoBye].map(EndedBy::label);
    by_state(&m::CALLS_ENDED, &ended_by, &status.calls.ended_by);
    m::CALLS_ONE_WAY.set(&[], status.calls.one_way);
    m::CALLS_NO_MEDIA.set(&[], status.calls.no_media);
    let levels: Vec<_> = Level::ALL.iter().map(|level| level.label()).collect();
    by_state(&m::CALLS_BY_LEVEL, &levels, &status.calls.levels);
    by_state(
        &m::REGISTRATIONS,
        &RegistrationState::ALL.map(RegistrationState::label),
        &status.registrations,
    );
    for (table, size) in &status.tables {
        m::TABLE_ENTRIES.set(&[table], size.entries);
        m::TABLE_CAPACITY.set(&[table], size.capacity);
        m::TABLE_EVICTED.set(&[table], size.evicted);
    }
}

fn spool(spool: &SpoolStatus) {
    m::SPOOL_WRITING.set(&[], u64::from(spool.writing));
    m::FILES_OPEN.set(&[], spool.files_open);
    m::FILES_CLOSED.set(&[], spool.files_closed);
    m::FILES_MENDED.set(&[], spool.files_mended);
    m::FILES_REMOVED.set(&[], spool.files_removed);
    m::FILES_BYTES.set(&[], spool.files_bytes);
    m::DISK_FREE.set(&[], spool.disk_free_bytes);
    m::DISK_SIZE.set(&[], spool.disk_size_bytes);
}

fn control(status: &Status) {
    let control = &status.control;
    m::CONTROL_CLIENTS.set(&[], control.clients);
    m::CONTROL_ACCEPTED.set(&[], control.accepted);
    m::CONTROL_BUSY.set(&[], control.busy);
    m::CONTROL_REQUESTS.set(&[], control.requests);
    m::CONTROL_REFUSED.set(&[], control.refused);
    m::CONTROL_TIMED_OUT.set(&[], control.timed_out);
    m::CONTROL_NOT_READING.set(&[], control.not_reading);
}
