//! The whole answer, put together from the parts that lanes and tables hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{EngineCounters, Shared, joined};
use crate::media::rtcp::{BlockType, Feedback, PacketType, RtcpCounters};
use crate::media::{converse, rtcp};
use crate::outcome::{Loss, Outcome};
use crate::report::{Bucket, Distribution, Document, RtcpCounts, SipCounts, Stream, Turn, TurnFigures};
use crate::sip::{Malformed, Method};
use crate::time::Timestamp;
use crate::turn::stun;

/// What siphon says of everything that `lanes` took in, as it stands at `now`. `streams` are those of all lanes, in any
/// order.
pub fn document(shared: &Shared, lanes: &[Arc<EngineCounters>], mut streams: Vec<Stream>, now: Timestamp) -> Document {
    streams.sort_by(|a, b| (a.start, &a.ssrc, &a.src, &a.dst).cmp(&(b.start, &b.ssrc, &b.src, &b.dst)));
    join(shared, &mut streams);
    let spans = || lanes.iter().filter_map(|lane| lane.span());
    Document {
        frames: lanes.iter().map(|lane| lane.frames.get()).sum(),
        bytes: lanes.iter().map(|lane| lane.bytes.get()).sum(),
        first_ts: spans().map(|(first, _)| first).min(),
        last_ts: spans().map(|(_, last)| last).max(),
        sip: sip_counts(lanes),
        calls: joined::with_streams(shared, shared.calls.report_with_ladders(now), &streams, now),
        registrations: shared.registrations.report(now),
        signaling: shared.signaling(now),
        drops: drops(lanes),
        rtcp: rtcp_counts(lanes),
        streams,
        turn: Turn {
            figures: turn_figures(shared, lanes, now),
            allocations: shared.turn.report(now),
        },
    }
}

/// Puts to the streams of all lanes what the tables know of them.
pub fn join(shared: &Shared, streams: &mut [Stream]) {
    shared.rtcp.join(&shared.endpoints, streams);
    streams.iter_mut().for_each(converse);
}

/// RTCP packets of all lanes by kind.
pub fn rtcp_counts(lanes: &[Arc<EngineCounters>]) -> RtcpCounts {
    let sum = |of: &dyn Fn(&RtcpCounters) -> u64| lanes.iter().map(|lane| of(&lane.rtcp)).sum::<u64>();
    fn those_that_occurred<T: Copy>(
        all: &[T],
        label: impl Fn(T) -> &'static str,
        count: impl Fn(T) -> u64,
    ) -> BTreeMap<String, u64> {
        let counted = all.iter().map(|one| (label(*one).to_owned(), count(*one)));
        counted.filter(|(_, count)| *count > 0).collect()
    }
    RtcpCounts {
        packets: those_that_occurred(PacketType::ALL, PacketType::label, |of| sum(&|lane| lane.packets(of))),
        feedback: those_that_occurred(Feedback::ALL, Feedback::label, |of| sum(&|lane| lane.feedback_of(of))),
        xr_blocks: those_that_occurred(BlockType::ALL, BlockType::label, |of| sum(&|lane| lane.blocks(of))),
        encrypted: sum(&|lane| lane.encrypted.get()),
        malformed: those_that_occurred(rtcp::Malformed::ALL, rtcp::Malformed::label, |of| {
            sum(&|lane| lane.malformed_for(of))
        }),
        round_trips: distribution(
            lanes.iter().map(|lane| lane.rtcp.round_trips()),
            rtcp::ROUND_TRIPS_MS.iter().map(|ms| *ms as f64 / 1e3),
            sum(&|lane| lane.round_trips_sum.get()) as f64 / 1e9,
        ),
        shares_lost: distribution(
            lanes.iter().map(|lane| lane.rtcp.shares_lost()),
            rtcp::SHARES_LOST.iter().map(|share| f64::from(*share) / 256.0),
            sum(&|lane| lane.shares_lost_sum.get()) as f64 / 256.0,
        ),
    }
}

/// The buckets of all lanes together, each with those below it; what is above the last end is in the count alone.
fn distribution<I: Iterator<Item = u64>>(
    lanes: impl Iterator<Item = I>,
    ends: impl ExactSizeIterator<Item = f64>,
    sum: f64,
) -> Distribution {
    let mut counts = vec![0; ends.len() + 1];
    for lane in lanes {
        for (count, more) in counts.iter_mut().zip(lane) {
            *count += more;
        }
    }
    let mut below = 0;
    let buckets = ends.zip(&counts).map(|(le, count)| {
        below += count;
        Bucket { le, count: below }
    });
    Distribution {
        buckets: buckets.collect(),
        count: counts.iter().sum(),
        sum,
    }
}

/// SIP messages of all lanes by kind.
pub fn sip_counts(lanes: &[Arc<EngineCounters>]) -> SipCounts {
    let mut counts = SipCounts::default();
    for lane in lanes {
        for method in Method::ALL {
            let count = lane.requests(*method);
            if count > 0 {
                *counts.requests.entry(method.label().to_owned()).or_default() += count;
            }
        }
        for (code, count) in lane.responses() {
            *counts.responses.entry(code).or_default() += count;
        }
        counts.malformed += Malformed::ALL.iter().map(|why| lane.malformed_for(*why)).sum::<u64>();
    }
    counts.messages = counts.requests.values().chain(counts.responses.values()).sum();
    counts
}

/// Figures of STUN and TURN, of all lanes, as they stand at `now`.
pub fn turn_figures(shared: &Shared, lanes: &[Arc<EngineCounters>], now: Timestamp) -> TurnFigures {
    let mut figures = shared.turn.figures(now);
    for lane in lanes {
        for method in stun::Method::ALL {
            let of_class = [
                (stun::Class::Request, &mut figures.requests),
                (stun::Class::Indication, &mut figures.indications),
                (stun::Class::Success, &mut figures.successes),
                (stun::Class::Error, &mut figures.errors),
            ];
            for (class, counts) in of_class {
                let count = lane.stun_messages(*method, class);
                if count > 0 {
                    *counts.entry(method.label().to_owned()).or_default() += count;
                    figures.messages += count;
                }
            }
        }
        figures.relayed_messages += lane.stun_relayed.get();
        let malformed = stun::Malformed::ALL.iter().map(|why| lane.stun_malformed_for(*why));
        figures.malformed += malformed.sum::<u64>();
    }
    figures
}

fn drops(lanes: &[Arc<EngineCounters>]) -> BTreeMap<String, u64> {
    let mut drops = BTreeMap::new();
    let mut add = |label: &str, count: u64| {
        if count > 0 {
            *drops.entry(label.to_owned()).or_default() += count;
        }
    };
    for lane in lanes {
        for outcome in Outcome::ALL.iter().filter(|outcome| outcome.is_drop()) {
            add(outcome.label(), lane.outcomes.get(*outcome));
        }
        for loss in Loss::ALL {
            add(loss.label(), lane.losses.get(*loss));
        }
    }
    drops
}
