//! When media of a call was heard, and which way: what lanes tell of its streams now and then.

use crate::report::{Party, Way};
use crate::time::Timestamp;

/// A time in which media of a call came, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// From the first packet.
    pub start: Timestamp,
    /// To the latest one.
    pub end: Timestamp,
    /// Which way it went; absent where nobody knows.
    pub way: Option<Way>,
}

/// All that was heard of a call: for each way from the first packet of any stream to the last.
#[derive(Clone, Debug, Default)]
pub struct Hearing([Option<Heard>; 3]);

impl Hearing {
    /// Takes in what is known of a stream by now.
    pub fn note(&mut self, sender: Option<Party>, start: Timestamp, end: Timestamp) {
        let place = match sender {
            Some(Party::Caller) => 0,
            Some(Party::Callee) => 1,
            None => 2,
        };
        if let Some(slot) = self.0.get_mut(place) {
            let known = slot.get_or_insert(Heard {
                start,
                end,
                way: sender.map(Way::from),
            });
            known.start = known.start.min(start);
            known.end = known.end.max(end);
        }
    }

    /// Takes in what was heard of another part of the call.
    pub fn join(&mut self, other: &Self) {
        for (known, other) in self.0.iter_mut().zip(other.0) {
            match (known.as_mut(), other) {
                (Some(known), Some(other)) => {
                    known.start = known.start.min(other.start);
                    known.end = known.end.max(other.end);
                }
                (None, other) => *known = other,
                (Some(_), None) => {}
            }
        }
    }

    /// What was heard.
    pub fn spans(&self) -> Vec<Heard> {
        self.0.iter().flatten().copied().collect()
    }
}
