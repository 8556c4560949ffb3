//! RTP streams of all lanes in figures.

use std::sync::Arc;

use super::EngineCounters;
use super::document::distribution;
use crate::media::{BUFFER_NAMES, Buckets, JITTER_MS, MOS, SHARE_LOST, Scale, StreamTotals, Sum};
use crate::outcome::Outcome;
use crate::report::RtpFigures;

/// The figures of all lanes.
pub fn rtp_figures(lanes: &[Arc<EngineCounters>]) -> RtpFigures {
    let totals = || lanes.iter().map(|lane| &*lane.rtp);
    let sum = |of: Sum| totals().map(|lane| lane.sum(of)).sum::<u64>();
    let units = |of: &dyn Fn(&StreamTotals) -> u64| totals().map(of).sum::<u64>() as f64;
    let discarded = [Sum::DiscardedFixed50, Sum::DiscardedFixed200, Sum::DiscardedAdaptive];
    let mut figures = RtpFigures {
        streams_ended: totals().map(|lane| lane.ended.get()).sum(),
        packets: sum(Sum::Packets),
        lost: sum(Sum::Lost),
        reordered: sum(Sum::Reordered),
        duplicates: sum(Sum::Duplicates),
        discarded: BUFFER_NAMES
            .iter()
            .zip(discarded)
            .map(|(name, of)| ((*name).to_owned(), sum(of)))
            .collect(),
        dtmf_digits: sum(Sum::Digits),
        t38_packets: lanes.iter().map(|lane| lane.outcomes.get(Outcome::T38)).sum(),
        jitter: distribution(
            totals().map(|lane| lane.jitter.counts()),
            JITTER_MS.iter().map(|ms| *ms as f64 / 1e3),
            units(&|lane| lane.jitter.sum()) / 1e6,
        ),
        share_lost: distribution(
            totals().map(|lane| lane.share_lost.counts()),
            SHARE_LOST.iter().map(|thousandths| *thousandths as f64 / 1e3),
            units(&|lane| lane.share_lost.sum()) / 1e6,
        ),
        ..RtpFigures::default()
    };
    for scale in Scale::ALL {
        for (buffer, name) in BUFFER_NAMES.iter().enumerate() {
            let buckets = || totals().filter_map(move |lane| lane.mos(scale, buffer));
            let opinions = distribution(
                buckets().map(Buckets::counts),
                MOS.iter().map(|hundredths| *hundredths as f64 / 1e2),
                buckets().map(Buckets::sum).sum::<u64>() as f64 / 1e3,
            );
            let of_model = figures.mos_lq.entry(scale.label().to_owned()).or_default();
            of_model.insert((*name).to_owned(), opinions);
        }
    }
    figures
}
