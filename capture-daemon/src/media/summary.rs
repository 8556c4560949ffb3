//! What is told of a stream: its measurements in the words of the report.

use std::time::Duration;

use capture_common::rtp::{StreamState, silence};

use super::burst;
use super::codec::{self, Format, Kind};
use super::jitter;
use super::join::Join;
use super::measurement::Measurement;
use super::playout::{self, BUFFERS};
use super::probation::Traits;
use super::quality::{self, Impairment, Loss, Scale};
use super::stream::Key;
use crate::report::{
    Buffer, Burst, Clock, Delta, Encryption, MeasuredIn, Opinion, PayloadType, Playout, Quality, Silence, Stream, Way,
};
use crate::time::Timestamp;

/// What is to be told about a stream by its packets.
pub fn stream(key: &Key, measurement: &Measurement, join: Option<&Join>, traits: Traits) -> Stream {
    let formats = join.map_or(&[][..], |join| &join.formats);
    let (account, types) = (measurement.account(), measurement.types());
    let payload_type = types.main();
    let codec = encoding(payload_type, formats);
    let clock_rate = clock_rate(payload_type, formats);
    let clock = clock(measurement, payload_type, clock_rate);
    let packet_ms = traits
        .units
        .zip(clock.as_ref())
        .map(|(units, clock)| f64::from(units) * 1e3 / f64::from(clock.rate));
    let clock = clock.map(|clock| Clock { packet_ms, ..clock });
    let jitter = measurement.jitter();
    let (packets, expected) = (measurement.packets(), measurement.expected());
    let bursts = measurement.bursts().map(super::burst::Burst::figures);
    let counts: Vec<_> = types.counts(packets).collect();
    let playout = measurement
        .playout()
        .filter(|_| clock.as_ref().is_some_and(|clock| clock.rate != codec::VIDEO));
    let quality = playout
        .filter(|_| expected - account.lost() >= quality::LEAST)
        .and_then(|_| {
            let impairment = quality::impairment(codec?, traits.len, packet_ms)?;
            Some(opinions(&impairment, &bursts, expected))
        });
    Stream {
        ssrc: format!("0x{:08x}", key.ssrc),
        src: key.src.to_string(),
        dst: key.dst.to_string(),
        payload_type,
        codec: codec.map(str::to_owned),
        clock_rate,
        packets,
        expected,
        lost: account.lost(),
        reordered: account.late(),
        duplicates: account.copies(),
        jitter_mean_ms: jitter.map(|(mean, _)| mean),
        jitter_max_ms: jitter.map(|(_, max)| max),
        start: measurement.start(),
        end: measurement.end(),
        call_id: join.map(|join| join.call_id().to_string()),
        linked_by: join.map(|join| join.link.by),
        direction: join.and_then(|join| join.sender).map(Way::from),
        encrypted: join.filter(|join| join.srtp == Some(true)).map(|_| Encryption::Srtp),
        restarts: account.restarts(),
        delta: delta(measurement.delta(), measurement.span(), packets),
        clock,
        comfort_noise: comfort_noise(&counts, formats),
        payload_types: payload_types(&counts, formats),
        codec_changes: u64::from(types.changes()),
        silence: silence(measurement.silence()),
        burst: burst(&bursts[0], expected, packet_ms),
        playout: playout.map(|buffers| {
            let [fixed_50, fixed_200, adaptive] = std::array::from_fn(|at| {
                let lost = bursts[at + 1].lost;
                buffer(&buffers[at], lost, expected)
            });
            Playout {
                fixed_50,
                fixed_200,
                adaptive,
            }
        }),
        quality,
        ..Stream::default()
    }
}

/// What is to be told about a stream that the kernel program measured, `wall` being its clock's time on the wall.
pub fn measured(key: &Key, state: &StreamState, join: Option<&Join>, wall: impl Fn(u64) -> Timestamp) -> Stream {
    let formats = join.map_or(&[][..], |join| &join.formats);
    let (account, types) = (state.account(), state.types());
    let payload_type = types.main();
    let jitter = state.jitter();
    let (packets, expected) = (state.packets(), state.expected());
    let (start, end) = (wall(state.start()), wall(state.end()));
    let counts: Vec<_> = types.counts(packets).collect();
    Stream {
        ssrc: format!("0x{:08x}", key.ssrc),
        src: key.src.to_string(),
        dst: key.dst.to_string(),
        payload_type,
        codec: encoding(payload_type, formats).map(str::to_owned),
        clock_rate: clock_rate(payload_type, formats),
        packets,
        expected,
        lost: account.lost(),
        reordered: account.late(),
        duplicates: account.copies(),
        jitter_mean_ms: jitter.map(|(meter, regular)| jitter::mean_ms(meter, regular)),
        jitter_max_ms: jitter.map(|(meter, _)| jitter::max_ms(meter)),
        start,
        end,
        call_id: join.map(|join| join.call_id().to_string()),
        linked_by: join.map(|join| join.link.by),
        direction: join.and_then(|join| join.sender).map(Way::from),
        encrypted: join.filter(|join| join.srtp == Some(true)).map(|_| Encryption::Srtp),
        restarts: account.restarts(),
        delta: delta(state.delta(), end.since(start), packets),
        comfort_noise: comfort_noise(&counts, formats),
        payload_types: payload_types(&counts, formats),
        codec_changes: u64::from(types.changes()),
        silence: silence(state.silence()),
        measured_in: Some(MeasuredIn::Kernel),
        octets: Some(state.bytes()),
        ..Stream::default()
    }
}

fn clock_rate(payload_type: u8, formats: &[Format]) -> Option<u32> {
    match codec::kind(payload_type, formats) {
        Kind::Media(rate) | Kind::Noise(rate) => Some(rate),
        Kind::Event => announced(payload_type, formats).map(|format| format.clock_rate),
        Kind::Unknown => None,
    }
}

fn comfort_noise(counts: &[(u8, u64)], formats: &[Format]) -> u64 {
    let is_noise = |&&(of, _): &&(u8, u64)| matches!(codec::kind(of, formats), Kind::Noise(_));
    counts.iter().filter(is_noise).map(|(_, packets)| packets).sum()
}

fn payload_types(counts: &[(u8, u64)], formats: &[Format]) -> Vec<PayloadType> {
    let of = |&(payload_type, packets): &(u8, u64)| PayloadType {
        payload_type,
        codec: encoding(payload_type, formats).map(str::to_owned),
        packets,
        announced: is_announced(payload_type, formats),
    };
    counts.iter().map(of).collect()
}

/// Least, mean and most time between packets, of which least and most are given in microseconds; `None` where there is one
/// packet.
fn delta((min, max): (u32, u32), span: Duration, packets: u64) -> Option<Delta> {
    let steps = packets.checked_sub(1).filter(|&steps| steps > 0)?;
    Some(Delta {
        min_ms: f64::from(min.min(max)) / 1e3,
        mean_ms: span.as_nanos() as f64 / 1e6 / steps as f64,
        max_ms: f64::from(max) / 1e3,
    })
}

fn announced(payload_type: u8, formats: &[Format]) -> Option<&Format> {
    formats.iter().find(|format| format.payload_type == payload_type)
}

fn encoding(payload_type: u8, formats: &[Format]) -> Option<&str> {
    let announced = announced(payload_type, formats).map(|format| &*format.encoding);
    codec::assigned(payload_type).map(|(name, _)| name).or(announced)
}

/// Whether SDP has the type, mapped or, where it is static, in the media line alone. `None` without SDP.
fn is_announced(payload_type: u8, formats: &[Format]) -> Option<bool> {
    (!formats.is_empty()).then(|| announced(payload_type, formats).is_some())
}

fn clock(measurement: &Measurement, payload_type: u8, signalled: Option<u32>) -> Option<Clock> {
    let measured = measurement
        .measured()
        .filter(|&(of, rate)| of == payload_type && signalled != Some(rate))
        .map(|(_, rate)| rate);
    let (lag_ms, lag_max_ms) = measurement.lag()?;
    Some(Clock {
        rate: measured.or(signalled)?,
        clock_rate_measured: measured,
        mismatch: measured.is_some() && signalled.is_some(),
        packet_ms: None,
        skew_ms: -lag_ms,
        skew_max_ms: -lag_max_ms,
    })
}

fn silence(silence: &silence::Silence) -> Option<Silence> {
    (silence.announced > 0 || silence.gaps > 0).then(|| Silence {
        dtx: u64::from(silence.announced),
        gaps: u64::from(silence.gaps),
        longest_ms: f64::from(silence.longest) / 1e3,
        total_ms: u64::from(silence.total),
    })
}

fn share(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

fn burst(losses: &burst::Figures, expected: u64, packet_ms: Option<f64>) -> Option<Burst> {
    let gap_packets = expected.saturating_sub(losses.burst_packets);
    let mean_ms = |packets: u64| Some(share(packets, losses.bursts)? * packet_ms?);
    (losses.lost > 0).then(|| Burst {
        bursts: losses.bursts,
        burst_density: share(losses.burst_lost, losses.burst_packets),
        gap_density: share(losses.lost - losses.burst_lost, gap_packets),
        burst_duration_ms: mean_ms(losses.burst_packets),
        gap_duration_ms: mean_ms(gap_packets),
        burst_ratio: losses.ratio(expected),
        rows: losses.rows,
        longest: losses.longest,
    })
}

fn buffer(buffer: &playout::Figures, lost: u64, expected: u64) -> Buffer {
    Buffer {
        discarded: buffer.discarded,
        loss: share(lost, expected).unwrap_or_default(),
        delay_mean_ms: buffer.mean_ms,
        delay_max_ms: buffer.max_ms,
        resets: buffer.resets,
    }
}

/// Completes the opinions where RTCP has told the round trip of the path: the network's delay is half of it, and the
/// buffer's and a packet's come on top.
pub fn converse(stream: &mut Stream) {
    let rtcp = stream.rtcp.as_deref();
    let path_ms = rtcp.and_then(|rtcp| rtcp.round_trip.as_ref()?.path_ms);
    let packet_ms = stream.clock.as_ref().and_then(|clock| clock.packet_ms);
    let (Some(quality), Some(playout)) = (&mut stream.quality, &stream.playout) else {
        return;
    };
    let (Some(path_ms), Some(packet_ms), Some(scale)) = (path_ms, packet_ms, Scale::named(&quality.model)) else {
        return;
    };
    let opinions = [
        (&mut quality.fixed_50, &playout.fixed_50),
        (&mut quality.fixed_200, &playout.fixed_200),
        (&mut quality.adaptive, &playout.adaptive),
    ];
    for (opinion, buffer) in opinions {
        if let (Some(opinion), Some(wait_ms)) = (opinion, buffer.delay_mean_ms) {
            let delay_ms = path_ms / 2.0 + packet_ms + wait_ms;
            let r = quality::conversation(scale, opinion.r_lq, Duration::from_secs_f64(delay_ms.max(0.0) / 1e3));
            opinion.r_cq = Some(r);
            opinion.mos_cq = Some(quality::mos(scale, r));
        }
    }
}

/// The opinion of listening with each buffer.
fn opinions(impairment: &Impairment, bursts: &[burst::Figures; 1 + BUFFERS], expected: u64) -> Quality {
    let [fixed_50, fixed_200, adaptive] = std::array::from_fn(|at| {
        let losses = &bursts[at + 1];
        let loss = Loss {
            percent: share(losses.lost, expected)? * 100.0,
            burst_ratio: losses.ratio(expected).unwrap_or(1.0),
        };
        let r_lq = quality::listening(impairment, loss)?;
        Some(Opinion {
            r_lq,
            mos_lq: quality::mos(impairment.scale, r_lq),
            r_cq: None,
            mos_cq: None,
        })
    });
    Quality {
        model: impairment.scale.label().to_owned(),
        ie: impairment.ie,
        bpl: impairment.bpl,
        source: impairment.source.to_owned(),
        fixed_50,
        fixed_200,
        adaptive,
    }
}
