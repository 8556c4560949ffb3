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
        jitter,
        share_lost,
        mos_lq,
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
    histograms.set_distribution(&m::RTP_JITTER, &[], jitter);
    histograms.set_distribution(&m::RTP_SHARE_LOST, &[], share_lost);
    for (model, buffers) in mos_lq {
        for (buffer, opinions) in buffers {
            histograms.set_distribution(&m::RTP_MOS_LQ, &[model, buffer], opinions);
        }
    }
}
