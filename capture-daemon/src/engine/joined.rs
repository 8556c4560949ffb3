//! Calls together with their streams: what only both say.

use std::collections::{HashMap, HashSet};

use super::Shared;
use crate::calls::{Heard, judge};
use crate::report::{Call, CallFlow, Digit, Fax, Stream};
use crate::time::Timestamp;

/// Calls in order of their start, without their ladders, each with the SSRCs of its streams in the order `streams` has them.
pub fn calls(shared: &Shared, streams: &[Stream], now: Timestamp) -> Vec<Call> {
    with_streams(shared, shared.calls.report(now), streams, now)
}

/// The calls under one Call-ID, with their ladders and their streams. `streams` come in order of their first packet.
pub fn one_call(shared: &Shared, streams: Vec<Stream>, call_id: &str, now: Timestamp) -> CallFlow {
    let calls = with_streams(shared, shared.calls.one(call_id, now), &streams, now);
    CallFlow::new(call_id, calls, streams)
}

/// Joins calls as they stand at `now`, which come in order of their start, with their streams and faxes. Of several calls with
/// one Call-ID, a stream belongs to the one that had begun last.
pub fn with_streams(shared: &Shared, mut calls: Vec<Call>, streams: &[Stream], now: Timestamp) -> Vec<Call> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, call) in calls.iter().enumerate() {
        places.entry(&call.call_id).or_default().push(at);
    }
    let owner = |call_id: &str, start: Timestamp| {
        let places = places.get(call_id)?;
        let begun = |at: &&usize| calls.get(**at).is_some_and(|call| call.start <= start);
        places.iter().rev().find(begun).or(places.first()).copied()
    };
    let mut of_call: Vec<(Vec<&Stream>, Vec<Fax>)> = vec![Default::default(); calls.len()];
    for stream in streams {
        let owner = stream.call_id.as_ref().and_then(|call_id| owner(call_id, stream.start));
        if let Some((owned, _)) = owner.and_then(|at| of_call.get_mut(at)) {
            owned.push(stream);
        }
    }
    for (call_id, fax) in shared.faxes.report(&shared.endpoints) {
        if let Some((_, owned)) = owner(&call_id, fax.start).and_then(|at| of_call.get_mut(at)) {
            owned.push(fax);
        }
    }
    for (call, (streams, faxes)) in calls.iter_mut().zip(of_call) {
        call.t38 = faxes;
        let heard = |stream: &&Stream| Heard {
            start: stream.start,
            end: stream.end,
            way: stream.direction,
        };
        if call.rule.is_none() {
            shared.rules.default_level().label().clone_into(&mut call.level);
        }
        judge(call, &streams.iter().map(heard).collect::<Vec<_>>(), now);
        call.streams = streams.iter().map(|stream| stream.ssrc.clone()).collect();
        shared.disclose(call.dtmf.as_mut());
        dtmf(call, &streams);
    }
    calls
}

/// Adds the keys of a call's streams to those of its INFO requests. A relay hands events on with SSRC and timestamp as they
/// are: the same key in two streams was pressed once.
fn dtmf(call: &mut Call, streams: &[&Stream]) {
    for told in streams.iter().filter_map(|stream| stream.dtmf.as_ref()) {
        let dtmf = call.dtmf.get_or_insert_default();
        dtmf.masked |= told.masked;
        dtmf.beyond += told.beyond;
        dtmf.digits.extend(told.digits.iter().cloned());
    }
    if let Some(dtmf) = &mut call.dtmf {
        dtmf.digits.sort_by(|a, b| {
            let key = |digit: &Digit| (digit.at, digit.source, digit.timestamp);
            (key(a), &a.ssrc, &a.src).cmp(&(key(b), &b.ssrc, &b.src))
        });
        let mut seen = HashSet::new();
        dtmf.digits.retain(|digit| match (&digit.ssrc, digit.timestamp) {
            (Some(ssrc), Some(timestamp)) => seen.insert((ssrc.clone(), timestamp)),
            _ => true,
        });
    }
}
