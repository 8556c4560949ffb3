//! What all lanes share.

use crate::calls::{Calls, Ledger, Registrations};
use crate::config::Follow;
use crate::media::{Endpoints, Faxes};
use crate::net::Fragments;
use crate::outcome::Losses;
use crate::time::Timestamp;

use std::sync::Arc;
use std::time::Duration;

/// Calls, registrations, media endpoints and incomplete datagrams: one table of each in the process. SIP is rare, so locks are; RTP only reads.
#[derive(Debug)]
pub struct Shared {
    /// INVITE dialogs by Call-ID.
    pub calls: Calls,
    /// Registrations by Call-ID and address of record.
    pub registrations: Registrations,
    /// Where SDP says that media goes.
    pub endpoints: Endpoints,
    /// Fax over UDPTL.
    pub faxes: Faxes,
    /// Memory for the descriptions that calls keep.
    pub descriptions: Arc<Ledger>,
    /// Datagrams of which fragments are missing.
    pub fragments: Fragments,
    linger: Duration,
}

impl Shared {
    /// Empty, and never more than `follow` says.
    pub fn new(follow: &Follow) -> Self {
        Self {
            calls: Calls::new(follow),
            registrations: Registrations::new(follow),
            endpoints: Endpoints::new(follow.max_endpoints),
            faxes: Faxes::new(follow.max_faxes),
            descriptions: Arc::new(Ledger::new(follow.sdp_memory)),
            fragments: Fragments::new(follow.max_fragments, follow.fragment_buffer),
            linger: follow.linger,
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
        self.faxes.tick(now, self.linger);
        self.fragments.tick(now, losses);
    }
}
