//! What is told of a stream beyond loss and jitter.

use std::time::Duration;

use proptest::prelude::*;

use super::summary;
use super::tests::{Sent, press, run, voice};
use crate::media::quality::{Scale, conversation};
use crate::report::{self, RoundTrip, Rtcp};

fn told(packets: &[Sent], joined_at: Option<usize>) -> report::Stream {
    run(packets, joined_at).report()
}

fn row(payload_type: u8, samples_per_ms: u32, len: u16) -> Vec<Sent> {
    (0..len).map(|n| voice(payload_type, samples_per_ms, n, 0)).collect()
}

/// SDP says 11025 Hz and the timestamps run at 8000: arithmetic at the signalled clock has 8 ms of jitter that is not there.
#[test]
fn a_wrong_rtpmap_is_found_and_not_believed() {
    for joined_at in [1, 40, 130] {
        let report = told(&row(97, 8, 130), Some(joined_at));
        let clock = report.clock.unwrap();
        assert_eq!(
            (report.clock_rate, clock.rate),
            (Some(11_025), 8000),
            "joined at {joined_at}"
        );
        assert_eq!((clock.clock_rate_measured, clock.mismatch), (Some(8000), true));
        assert_eq!((report.jitter_mean_ms, report.jitter_max_ms), (Some(0.0), Some(0.0)));
        assert_eq!((clock.skew_ms, clock.skew_max_ms), (0.0, 0.0));
        assert_eq!(report.playout.unwrap().fixed_50.discarded, 0);
    }
    // Less than two seconds are not enough to contradict SDP.
    let clock = told(&row(97, 8, 100), Some(1)).clock.unwrap();
    assert_eq!((clock.rate, clock.mismatch), (11_025, false));
}

/// G722 runs at 8000 by RFC 3551; some senders' does not.
#[test]
fn a_static_type_at_another_clock_is_found() {
    let clock = told(&row(9, 16, 130), None).clock.unwrap();
    assert_eq!((clock.rate, clock.mismatch), (16_000, true));
}

#[test]
fn without_sdp_the_clock_is_measured() {
    let report = told(&row(96, 48, 100), None);
    let clock = report.clock.unwrap();
    assert_eq!((report.clock_rate, report.jitter_max_ms), (None, Some(0.0)));
    assert_eq!(
        (clock.rate, clock.clock_rate_measured, clock.mismatch),
        (48_000, Some(48_000), false)
    );
    // The name of the codec is still nobody's knowledge.
    assert_eq!((report.codec, report.quality), (None, None));
}

#[test]
fn silence_is_announced_or_it_is_a_gap() {
    let mut packets = row(0, 8, 30);
    packets[10].marker = true;
    for (n, packet) in packets.iter_mut().enumerate() {
        packet.at_ms += [0, 400, 1000][usize::from(n >= 10) + usize::from(n >= 20)];
        packet.timestamp += [0, 3200, 8000][usize::from(n >= 10) + usize::from(n >= 20)];
    }
    let report = told(&packets, None);
    let silence = report.silence.unwrap();
    assert_eq!((silence.dtx, silence.gaps), (1, 1));
    assert_eq!((silence.longest_ms, silence.total_ms), (620.0, 620));
    let delta = report.delta.unwrap();
    assert_eq!((delta.min_ms, delta.max_ms), (20.0, 620.0));
    assert_eq!(delta.mean_ms, (29.0 * 20.0 + 1000.0) / 29.0);
    assert_eq!(report.jitter_max_ms, Some(0.0));

    // A path that is down loses packets; the sender was not silent.
    packets.drain(15..18);
    packets.remove(9);
    assert_eq!(told(&packets, None).silence.unwrap().gaps, 1);
    assert_eq!(told(&row(0, 8, 30), None).silence, None);
}

#[test]
fn comfort_noise_announces_silence() {
    let mut packets = row(0, 8, 20);
    packets[9] = Sent {
        len: 1,
        ..voice(13, 8, 9, 0)
    };
    for packet in &mut packets[10..] {
        packet.at_ms += 500;
        packet.timestamp += 4000;
    }
    let report = told(&packets, None);
    let silence = report.silence.unwrap();
    assert_eq!((report.comfort_noise, silence.dtx, silence.gaps), (1, 1, 0));
}

#[test]
fn payload_types_are_counted_and_held_against_sdp() {
    let mut packets: Vec<Sent> = (0..10).map(|n| voice(0, 8, n, 0)).collect();
    packets.extend((10..20).map(|n| voice(8, 8, n, 0)));
    packets.extend(press(20, 101));
    packets.extend((23..30).map(|n| voice(120, 8, n, 0)));
    let report = told(&packets, Some(1));
    let types: Vec<_> = report
        .payload_types
        .iter()
        .map(|of| (of.payload_type, of.codec.as_deref(), of.packets, of.announced))
        .collect();
    assert_eq!(
        types,
        [
            (0, Some("PCMU"), 10, Some(true)),
            (8, Some("PCMA"), 10, Some(false)),
            (101, Some("telephone-event"), 3, Some(true)),
            (120, None, 7, Some(false)),
        ]
    );
    assert_eq!(report.codec_changes, 2);
}

#[test]
fn an_opinion_has_a_basis_or_is_none() {
    let clean = told(&row(0, 8, 200), None).quality.unwrap();
    assert_eq!((clean.model.as_str(), clean.ie, clean.bpl), ("G.107", 0.0, Some(25.1)));
    let opinion = clean.fixed_50.unwrap();
    assert!(
        (opinion.mos_lq - 4.41).abs() < 0.005 && opinion.mos_cq.is_none(),
        "{opinion:?}"
    );

    let mut lossy = row(0, 8, 200);
    lossy.retain(|packet| packet.seq % 20 != 10);
    let report = told(&lossy, None);
    let opinion = report.quality.unwrap().fixed_200.unwrap();
    // 5 % at random: Ie,eff is 95 * 5 / 30.1.
    assert!((opinion.r_lq - (93.2 - 15.78)).abs() < 0.05, "{opinion:?}");
    let burst = report.burst.unwrap();
    assert_eq!((burst.rows, burst.longest, burst.bursts), (10, 1, 0));
    assert_eq!((burst.gap_density, burst.burst_density), (Some(0.05), None));
    assert_eq!(burst.burst_ratio, Some(0.95));

    // G.722 has no robustness factor: its opinion is gone with the first packet that is.
    let quality = |packets: &[Sent]| told(packets, None).quality;
    let mut wide = row(9, 8, 200);
    assert!(quality(&wide).unwrap().adaptive.is_some());
    wide.remove(100);
    assert!(quality(&wide).unwrap().adaptive.is_none());

    assert_eq!(quality(&row(0, 8, 49)), None, "too few");
    assert_eq!(told(&row(96, 48, 200), Some(1)).quality, None, "opus");
    let video = told(&row(34, 90, 200), None);
    assert_eq!((video.quality, video.playout), (None, None));
}

/// Ten packets 60 ms late: a buffer of 50 ms discards what one of 200 ms plays, and both say so.
#[test]
fn late_packets_cost_the_short_buffer_only() {
    let mut packets = row(8, 8, 300);
    for n in (20..300).step_by(40) {
        packets[n].at_ms += 60;
    }
    packets.sort_by_key(|packet| packet.at_ms);
    let report = told(&packets, None);
    assert_eq!((report.lost, report.burst), (0, None));
    let playout = report.playout.unwrap();
    assert_eq!((playout.fixed_50.discarded, playout.fixed_200.discarded), (7, 0));
    assert_eq!(playout.fixed_50.loss, 7.0 / 300.0);
    let quality = report.quality.unwrap();
    assert!(quality.fixed_50.unwrap().r_lq < quality.fixed_200.unwrap().r_lq);
}

#[test]
fn restarts_are_counted() {
    let mut packets = row(0, 8, 10);
    packets.extend((10..20).map(|n| Sent {
        seq: n + 30_000,
        timestamp: 0x8000_0000 + u32::from(n) * 160,
        ..voice(0, 8, n, 0)
    }));
    let report = told(&packets, None);
    assert_eq!(
        (report.restarts, report.lost, report.payload_types[0].packets),
        (1, 0, 20)
    );
}

proptest! {
    /// The wrong clock leaves no trace: what is told is what the right one would have told from the start.
    #[test]
    fn a_wrong_clock_leaves_no_trace(
        delays in proptest::collection::vec(0u64..20, 130..300),
        joined_at in 1usize..300,
    ) {
        let sent = |payload_type| -> Vec<Sent> {
            (0u16..).zip(&delays).map(|(n, &delay)| voice(payload_type, 8, n, delay)).collect()
        };
        let wrong = told(&sent(97), Some(joined_at.min(delays.len())));
        let right = told(&sent(0), Some(1));
        prop_assert_eq!(wrong.clock.as_ref().map(|clock| clock.rate), Some(8000));
        prop_assert_eq!(wrong.jitter_max_ms, right.jitter_max_ms);
        prop_assert_eq!(wrong.jitter_mean_ms, right.jitter_mean_ms);
        prop_assert_eq!(wrong.playout, right.playout);
        prop_assert_eq!(wrong.clock.map(|clock| clock.skew_ms), right.clock.map(|clock| clock.skew_ms));
    }

    /// Every packet has a type, whatever comes.
    #[test]
    fn types_sum_up_to_packets(
        packets in proptest::collection::vec((0u64..500, 0u8..5, any::<u16>(), any::<u32>(), any::<bool>()), 1..400),
    ) {
        let packets: Vec<Sent> = packets.into_iter().map(|(at_ms, of, seq, timestamp, marker)| Sent {
            at_ms,
            payload_type: [0, 8, 13, 96, 101][usize::from(of)],
            seq: if marker { seq } else { seq % 300 },
            timestamp,
            marker,
            len: 4 + usize::from(of),
        }).collect();
        let report = told(&packets, Some(packets.len() / 2));
        prop_assert_eq!(report.packets, packets.len() as u64);
        prop_assert_eq!(report.payload_types.iter().map(|of| of.packets).sum::<u64>(), report.packets);
        let rows = report.burst.unwrap_or_default();
        prop_assert_eq!(rows.rows > 0, report.lost > 0);
    }
}

/// MOS-CQ needs the delay of the network, and counts the buffer's and the packet's on top of it.
#[test]
fn a_conversation_minds_the_delay() {
    let told = |path_ms| {
        let mut told = told(&row(0, 8, 200), None);
        told.rtcp = Some(Box::new(Rtcp {
            round_trip: Some(RoundTrip {
                path_ms,
                ..RoundTrip::default()
            }),
            ..Rtcp::default()
        }));
        summary::converse(&mut told);
        told.quality.unwrap()
    };
    let near = told(Some(20.0));
    let (short, long) = (near.fixed_50.unwrap(), near.fixed_200.unwrap());
    assert_eq!(short.r_lq, long.r_lq);
    assert!(short.r_cq.unwrap() > long.r_cq.unwrap() && short.r_cq.unwrap() < short.r_lq);
    // Half of the round trip, 50 ms of buffer, 20 of the packet.
    let by_hand = conversation(Scale::Narrow, short.r_lq, Duration::from_millis(80));
    assert!((short.r_cq.unwrap() - by_hand).abs() < 1e-9);
    let far = told(Some(800.0)).fixed_50.unwrap();
    assert!(far.mos_cq.unwrap() < 3.6 && far.mos_lq == short.mos_lq, "{far:?}");
    assert_eq!(told(None).fixed_50.unwrap().mos_cq, None);
}
