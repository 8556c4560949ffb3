//! The figures of media as metrics.

use super::glossary as m;
use super::histogram::Histograms;
use crate::report::RtpFigures;

/// Sets them all.
pub fn record(figures: &RtpFigures, histograms: &mut Histograms) {
    let RtpFigures {
        streams_ended,
        packets,
        lost,
        reordered,
        duplicates,
        discarded,
        dtmf_digits,
        t38_packets,
        events,
        streams,
        linked_by,
        jitter,
        delta_max,
        skew_max,
        share_lost,
        burst_density,
        gap_density,
        r_lq,
        r_cq,
        mos_lq,
        mos_cq,
    } = figures;
    m::RTP_STREAMS_ENDED.set(&[], *streams_ended);
    m::RTP_PACKETS.set(&[], *packets);
    m::RTP_LOST.set(&[], *lost);
    m::RTP_REORDERED.set(&[], *reordered);
    m::RTP_DUPLICATES.set(&[], *duplicates);
    for (buffer, packets) in discarded {
        m::RTP_DISCARDED.set(&[buffer], *packets);
    }
    m::RTP_DTMF.set(&[], *dtmf_digits);
    m::T38_PACKETS.set(&[], *t38_packets);
    for (metric, of) in [
        (&m::RTP_EVENTS, events),
        (&m::RTP_STREAMS_NOTED, streams),
        (&m::RTP_STREAMS_LINKED, linked_by),
    ] {
        for (label, count) in of {
            metric.set(&[label], *count);
        }
    }
    for (metric, distribution) in [
        (&m::RTP_JITTER, jitter),
        (&m::RTP_DELTA, delta_max),
        (&m::RTP_SKEW, skew_max),
        (&m::RTP_SHARE_LOST, share_lost),
        (&m::RTP_BURST_DENSITY, burst_density),
        (&m::RTP_GAP_DENSITY, gap_density),
    ] {
        histograms.set_distribution(metric, &[], distribution);
    }
    for (metric, opinions) in [
        (&m::RTP_R_LQ, r_lq),
        (&m::RTP_R_CQ, r_cq),
        (&m::RTP_MOS_LQ, mos_lq),
        (&m::RTP_MOS_CQ, mos_cq),
    ] {
        for (model, buffers) in opinions {
            for (buffer, distribution) in buffers {
                histograms.set_distribution(metric, &[model, buffer], distribution);
            }
        }
    }
}
