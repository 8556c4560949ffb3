//! What is said of one call by itself: everything under its Call-ID.

use serde::{Deserialize, Serialize};

use super::{Call, Document, Stream};

/// The calls under one Call-ID with their ladders, and their streams in full. Nothing in it where nobody knows the Call-ID.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CallFlow {
    /// Call-ID as it was asked for.
    pub call_id: String,
    /// The calls in order of their start: several where the Call-ID was used again (RFC 3261 section 8.1.1.4 forbids it).
    pub calls: Vec<Call>,
    /// Their streams, of all lanes, in order of first packet, then SSRC and addresses.
    pub streams: Vec<Stream>,
    /// Call-IDs of the calls they belong with, each once.
    pub related: Vec<String>,
    /// Whose streams are missing, as they did not answer in time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

impl CallFlow {
    /// Puts together the `calls` under a Call-ID and those of `streams` that are theirs.
    pub fn new(call_id: &str, mut calls: Vec<Call>, mut streams: Vec<Stream>) -> Self {
        streams.retain(|stream| stream.call_id.as_deref() == Some(call_id));
        calls.sort_by_key(|call| call.start);
        streams.sort_by(|a, b| (a.start, &a.ssrc, &a.src, &a.dst).cmp(&(b.start, &b.ssrc, &b.src, &b.dst)));
        let mut related: Vec<String> = Vec::new();
        for id in calls.iter().flat_map(|call| &call.related) {
            if id != call_id && !related.contains(id) {
                related.push(id.clone());
            }
        }
        Self {
            call_id: call_id.to_owned(),
            calls,
            streams,
            related,
            left_out: Vec::new(),
        }
    }

    /// What a document says of one Call-ID.
    pub fn of(document: &Document, call_id: &str) -> Self {
        let calls = document.calls.iter().filter(|call| call.call_id == call_id);
        let streams = document.streams.iter();
        let streams = streams.filter(|stream| stream.call_id.as_deref() == Some(call_id));
        Self::new(call_id, calls.cloned().collect(), streams.cloned().collect())
    }

    /// Takes in a related flow; the Call-ID stays the one that was asked for.
    pub fn join(&mut self, other: Self) {
        self.calls.extend(other.calls);
        self.calls
            .sort_by(|a, b| (a.start, &a.call_id).cmp(&(b.start, &b.call_id)));
        self.streams.extend(other.streams);
        self.streams
            .sort_by(|a, b| (a.start, &a.ssrc, &a.src, &a.dst).cmp(&(b.start, &b.ssrc, &b.src, &b.dst)));
        for id in other.related {
            if id != self.call_id && !self.related.contains(&id) {
                self.related.push(id);
            }
        }
        for whose in other.left_out {
            if !self.left_out.contains(&whose) {
                self.left_out.push(whose);
            }
        }
    }

    /// The streams of the call at this place in `calls`. Of several calls with one Call-ID, a stream belongs to the one that had
    /// begun last.
    pub fn streams_of(&self, at: usize) -> Vec<&Stream> {
        let owner = |stream: &Stream| {
            let mut same = self
                .calls
                .iter()
                .enumerate()
                .filter(|(_, call)| stream.call_id.as_deref() == Some(&call.call_id));
            let first = same.clone().next();
            same.rfind(|(_, call)| call.start <= stream.start)
                .or(first)
                .map(|(at, _)| at)
        };
        self.streams.iter().filter(|stream| owner(stream) == Some(at)).collect()
    }
}
