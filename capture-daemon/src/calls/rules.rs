//! What the configuration says of calls, shared by all of them.

use std::time::Duration;

use super::Timeouts;
use crate::config::Follow;

/// How calls are followed.
#[derive(Debug)]
pub struct Rules {
    /// How long answers may take.
    pub timeouts: Timeouts,
    /// An answered call without a session timer (RFC 4028) has ended when it has had no message for this long.
    pub answered_timeout: Duration,
    /// Calls that are remembered at once.
    pub max_calls: usize,
    /// Messages of a call's ladder.
    pub max_messages: usize,
    /// Headers of requests that are kept.
    pub headers: Vec<Box<str>>,
    /// Headers whose value is the same in two calls, or in one what Call-ID is in the other.
    pub correlate: Vec<Box<str>>,
}

impl From<&Follow> for Rules {
    fn from(follow: &Follow) -> Self {
        let names = |names: &[String]| names.iter().map(|name| name.as_str().into()).collect();
        Self {
            timeouts: Timeouts::from(follow),
            answered_timeout: follow.answered_timeout,
            max_calls: follow.max_calls.max(1),
            max_messages: follow.max_messages,
            headers: names(&follow.headers),
            correlate: names(&follow.correlate),
        }
    }
}
