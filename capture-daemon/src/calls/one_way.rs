//! Calls in which one side does not hear the other, or neither does: what SDP wanted against what RTP came.

use std::time::Duration;

use super::Heard;
use crate::report::{Call, CallState, Description, MediaLine, Party, Way};
use crate::time::Timestamp;

/// Audio must have been wanted both ways for this long: an answer takes a moment to be followed by media, and by what
/// NAT and ICE need first.
pub(super) const LEAST: Duration = Duration::from_secs(5);

/// A time, both ends included.
type Span = (Timestamp, Timestamp);

/// Flags a call as it stands at `now`, `heard` being its media. Nothing is said where the way of some is not known.
pub fn judge(call: &mut Call, heard: &[Heard], now: Timestamp) {
    let spans = both_ways(call, now);
    let wanted: Duration = spans.iter().map(|(from, until)| until.since(*from)).sum();
    if wanted < LEAST {
        return;
    }
    let within = |heard: &&Heard| {
        spans
            .iter()
            .any(|(from, until)| heard.start <= *until && heard.end >= *from)
    };
    let mut seen = (false, false);
    for heard in heard.iter().filter(within) {
        match heard.way {
            Some(Way::CallerToCallee) => seen.0 = true,
            Some(Way::CalleeToCaller) => seen.1 = true,
            None => return,
        }
    }
    match seen {
        (true, false) => call.one_way = Some(Way::CallerToCallee),
        (false, true) => call.one_way = Some(Way::CalleeToCaller),
        (false, false) => call.no_media = true,
        (true, true) => {}
    }
}

/// When an answered call's audio was to flow both ways.
fn both_ways(call: &Call, now: Timestamp) -> Vec<Span> {
    let Some(media) = &call.media else {
        return Vec::new();
    };
    let Some(answered) = media.answered else {
        return Vec::new();
    };
    let end = match (call.state, call.duration_ms) {
        (CallState::Ended, Some(millis)) => answered.plus(Duration::from_secs_f64(millis / 1000.0)),
        _ => now,
    };
    let (mut caller, mut callee): (Option<&Description>, Option<&Description>) = (None, None);
    let mut spans: Vec<Span> = Vec::new();
    let mut since = None;
    for description in &media.descriptions {
        match description.by {
            Some(Party::Caller) => caller = Some(description),
            Some(Party::Callee) => callee = Some(description),
            None => return Vec::new(),
        }
        let wants = caller.zip(callee).is_some_and(|(one, other)| want_both(one, other));
        match (since, wants) {
            (None, true) => since = Some(description.at),
            (Some(from), false) => {
                spans.push((from, description.at));
                since = None;
            }
            _ => {}
        }
    }
    spans.extend(since.map(|from| (from, end)));
    spans
        .into_iter()
        .map(|(from, until)| (from.max(answered), until.min(end)))
        .filter(|(from, until)| from < until)
        .collect()
}

/// Whether some line of audio is there for both, and both send and receive.
fn want_both(one: &Description, other: &Description) -> bool {
    let open = |line: &MediaLine| line.kind == "audio" && line.port != 0 && line.direction == "sendrecv" && !line.hold;
    one.media
        .iter()
        .zip(&other.media)
        .any(|(one, other)| open(one) && open(other))
}
