//! The whole answer, put together from the parts that lanes and tables hold.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{EngineCounters, Shared, one_way};
use crate::outcome::{Loss, Outcome};
use crate::report::{Call, Document, SipCounts, Stream, Turn, TurnFigures};
use crate::sip::{Malformed, Method};
use crate::time::Timestamp;
use crate::turn::stun;

/// What siphon says of everything that `lanes` took in, as it stands at `now`. `streams` are those of all lanes, in any
/// order.
pub fn document(shared: &Shared, lanes: &[Arc<EngineCounters>], mut streams: Vec<Stream>, now: Timestamp) -> Document {
    streams.sort_by(|a, b| (a.start, &a.ssrc, &a.src, &a.dst).cmp(&(b.start, &b.ssrc, &b.src, &b.dst)));
    let spans = || lanes.iter().filter_map(|lane| lane.span());
    Document {
        frames: lanes.iter().map(|lane| lane.frames.get()).sum(),
        bytes: lanes.iter().map(|lane| lane.bytes.get()).sum(),
        first_ts: spans().map(|(first, _)| first).min(),
        last_ts: spans().map(|(_, last)| last).max(),
        sip: sip_counts(lanes),
        calls: calls(shared, &streams, now),
        registrations: shared.registrations.report(now),
        signaling: shared.signaling(now),
        drops: drops(lanes),
        streams,
        turn: Turn {
            figures: turn_figures(shared, lanes, now),
            allocations: shared.turn.report(now),
        },
    }
}

/// Calls in order of their start, each with the SSRCs of its streams in the order `streams` has them.
pub fn calls(shared: &Shared, streams: &[Stream], now: Timestamp) -> Vec<Call> {
    let mut by_call: HashMap<&str, Vec<&Stream>> = HashMap::new();
    for stream in streams {
        if let Some(call_id) = &stream.call_id {
            by_call.entry(call_id).or_default().push(stream);
        }
    }
    let mut faxes = shared.faxes.report(&shared.endpoints);
    let mut calls = shared.calls.report(now);
    for call in &mut calls {
        call.t38 = faxes.remove(&call.call_id).unwrap_or_default();
        let streams = by_call.remove(call.call_id.as_str()).unwrap_or_default();
        one_way::judge(call, &streams, now);
        call.streams = streams.into_iter().map(|stream| stream.ssrc.clone()).collect();
    }
    calls
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
