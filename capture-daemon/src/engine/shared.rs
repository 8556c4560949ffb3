//! What all lanes share.

use crate::calls::{Calls, Registrations};
use crate::config::{Digits, Follow, Privacy};
use crate::media::Endpoints;
use crate::media::rtcp::Sources;
use crate::net::Fragments;
use crate::outcome::Losses;
use crate::report::Dtmf;
use crate::time::Timestamp;

use std::time::Duration;

/// Calls, registrations, media endpoints, RTCP's sources and incomplete datagrams: one table of each in the process. SIP and
/// RTCP are rare, so locks are; RTP only reads.
#[derive(Debug)]
pub struct Shared {
    /// INVITE dialogs by Call-ID.
    pub calls: Calls,
    /// Registrations by Call-ID and address of record.
    pub registrations: Registrations,
    /// Where SDP says that media goes.
    pub endpoints: Endpoints,
    /// What RTCP says of streams.
    pub rtcp: Sources,
    /// Datagrams of which fragments are missing.
    pub fragments: Fragments,
    /// Whether keys pressed are told.
    digits: Digits,
    linger: Duration,
}

impl Shared {
    /// Empty, and never more than `follow` says.
    pub fn new(follow: &Follow) -> Self {
        Self {
            calls: Calls::new(follow),
            registrations: Registrations::new(follow),
            endpoints: Endpoints::new(follow.max_endpoints),
            rtcp: Sources::new(follow.max_rtcp_sources),
            fragments: Fragments::new(follow.max_fragments, follow.fragment_buffer),
            digits: Digits::Masked,
            linger: follow.linger,
        }
    }

    /// The same, and keys pressed are told as `privacy` says; without this they are masked.
    #[must_use]
    pub fn with_privacy(self, privacy: &Privacy) -> Self {
        Self {
            digits: privacy.dtmf,
            ..self
        }
    }

    /// Masks keys, unless the configuration wants them told. Whatever has keys in it passes here on its way out.
    pub(super) fn disclose(&self, dtmf: Option<&mut Dtmf>) {
        if let Some(dtmf) = dtmf
            && self.digits == Digits::Masked
        {
            dtmf.mask();
        }
    }

    /// Looks at a part of what is kept, and forgets what has been over for long at `now`. What is lost by it is counted
    /// in the caller's `losses`.
    pub fn tick(&self, now: Timestamp, losses: &Losses) {
        for call_id in self.calls.sweep(now) {
            self.endpoints.release(&call_id, now, losses);
        }
        self.registrations.sweep(now);
        self.endpoints.tick(now, self.linger);
        self.rtcp.tick(now, self.linger);
        self.fragments.tick(now, losses);
    }
}
