//! RTP streams of all lanes in figures.

use std::sync::Arc;

use super::EngineCounters;
use super::document::distribution;
use crate::media::{
    BUFFER_NAMES, Buckets, DELTA_MS, DENSITY, Event, JITTER_MS, MOS, Nature, Opinions, RATING, SHARE_LOST, SKEW_MS,
    Scale, StreamTotals, Sum,
};
use crate::outcome::Outcome;
use crate::report::{self, Distribution, LinkedBy, RtpFigures};

/// The figures of all lanes.
pub fn rtp_figures(lanes: &[Arc<EngineCounters>]) -> RtpFigures {
    let all = || lanes.iter().map(|lane| &*lane.rtp);
    let sum = |of: Sum| all().map(|lane| lane.sum(of)).sum::<u64>();
    let discarded = [Sum::DiscardedFixed50, Sum::DiscardedFixed200, Sum::DiscardedAdaptive];
    let linked = LinkedBy::ALL.into_iter().map(Some).chain([None]);
    RtpFigures {
        streams_ended: all().map(|lane| lane.ended.get()).sum(),
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
        events: Event::ALL
            .iter()
            .map(|of| (of.label().to_owned(), all().map(|lane| lane.event(*of)).sum()))
            .collect(),
        streams: Nature::ALL
            .iter()
            .map(|of| (of.label().to_owned(), all().map(|lane| lane.nature(*of)).sum()))
            .collect(),
        linked_by: linked
            .map(|by| {
                let label = by.map_or("none", LinkedBy::label).to_owned();
                (label, all().map(|lane| lane.linked(by)).sum())
            })
            .collect(),
        jitter: distributed(all().map(|lane| &lane.jitter), &JITTER_MS, 1e3, 1e6),
        delta_max: distributed(all().map(|lane| &lane.delta), &DELTA_MS, 1e3, 1e6),
        skew_max: distributed(all().map(|lane| &lane.skew), &SKEW_MS, 1e3, 1e6),
        share_lost: distributed(all().map(|lane| &lane.share_lost), &SHARE_LOST, 1e3, 1e6),
        burst_density: distributed(all().map(|lane| &lane.burst_density), &DENSITY, 1e3, 1e6),
        gap_density: distributed(all().map(|lane| &lane.gap_density), &DENSITY, 1e3, 1e6),
        r_lq: opinions(&all(), |of| &of.r_lq, &RATING, 1.0),
        r_cq: opinions(&all(), |of| &of.r_cq, &RATING, 1.0),
        mos_lq: opinions(&all(), |of| &of.mos_lq, &MOS, 1e2),
        mos_cq: opinions(&all(), |of| &of.mos_cq, &MOS, 1e2),
    }
}

/// Buckets of all lanes as one distribution. So many of the unit of `ends` are one, and so many of the sum's.
fn distributed<'a, const N: usize>(
    lanes: impl Iterator<Item = &'a Buckets<N>> + Clone,
    ends: &[u64],
    one: f64,
    one_of_sum: f64,
) -> Distribution {
    distribution(
        lanes.clone().map(Buckets::counts),
        ends.iter().map(|end| *end as f64 / one),
        lanes.map(Buckets::sum).sum::<u64>() as f64 / one_of_sum,
    )
}

/// One kind of opinion by model and buffer.
fn opinions<'a, const N: usize>(
    lanes: &(impl Iterator<Item = &'a StreamTotals> + Clone),
    kind: impl Fn(&'a Opinions) -> &'a Buckets<N>,
    ends: &[u64],
    one: f64,
) -> report::Opinions {
    let of = |scale: Scale, buffer: usize| {
        let of_lane = |lane: &'a StreamTotals| lane.opinions(scale, buffer);
        let kinds: Vec<_> = lanes.clone().filter_map(of_lane).map(&kind).collect();
        distributed(kinds.into_iter(), ends, one, 1e3)
    };
    let by_buffer = |scale| {
        (0..)
            .zip(BUFFER_NAMES)
            .map(move |(buffer, name)| (name.to_owned(), (scale, buffer)))
    };
    Scale::ALL
        .into_iter()
        .map(|scale| {
            let buffers = by_buffer(scale).map(|(name, (scale, buffer))| (name, of(scale, buffer)));
            (scale.label().to_owned(), buffers.collect())
        })
        .collect()
}
