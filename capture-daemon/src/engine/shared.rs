//! What all lanes share.

use crate::calls::{Calls, Ledger, Registrations, Transactions};
use crate::config::{Digits, Follow, Privacy};
use crate::media::rtcp::Sources;
use crate::media::{Endpoints, Faxes, Learn};
use crate::net::Fragments;
use crate::outcome::Losses;
use crate::report::{self, Dtmf};
use crate::rules::{Rule, Rules};
use crate::table;
use crate::time::Timestamp;
use crate::turn::Turn;

use std::sync::Arc;
use std::time::Duration;

use capture_common::Level;

/// Calls, registrations, transactions, media endpoints, RTCP's sources, STUN, and incomplete datagrams: one table of each in
/// the process. SIP, RTCP and STUN are rare, so locks are; RTP only reads.
#[derive(Debug)]
pub struct Shared {
    /// INVITE dialogs by Call-ID.
    pub calls: Calls,
    /// Registrations by Call-ID and address of record.
    pub registrations: Registrations,
    /// Requests and their answers, hop by hop.
    pub transactions: Transactions,
    /// Where SDP says that media goes.
    pub endpoints: Endpoints,
    /// Fax over UDPTL.
    pub faxes: Faxes,
    /// Memory for the descriptions that calls keep.
    pub descriptions: Arc<Ledger>,
    /// STUN transactions and TURN allocations.
    pub turn: Arc<Turn>,
    /// What RTCP says of streams.
    pub rtcp: Arc<Sources>,
    /// Datagrams of which fragments are missing.
    pub fragments: Fragments,
    /// Which calls are kept at another level than the rest.
    pub rules: Rules,
    /// Whether keys pressed are told.
    digits: Digits,
    linger: Duration,
}

impl Shared {
    /// Empty, and never more than `follow` says.
    pub fn new(follow: &Follow) -> Self {
        let turn = Arc::new(Turn::new(follow));
        Self {
            calls: Calls::new(follow),
            registrations: Registrations::new(follow),
            transactions: Transactions::new(follow),
            endpoints: Endpoints::new(follow.max_endpoints)
                .guessing(&follow.nat)
                .relayed_by(Arc::clone(&turn)),
            faxes: Faxes::new(follow.max_faxes),
            descriptions: Arc::new(Ledger::new(follow.sdp_memory)),
            turn,
            rtcp: Arc::new(Sources::new(follow.max_rtcp_sources)),
            fragments: Fragments::new(follow.max_fragments, follow.fragment_buffer),
            rules: Rules::new(&[], Level::Full),
            digits: Digits::Masked,
            linger: follow.linger,
        }
    }

    /// The figures of signalling by `now`. Looks at everything that is remembered of it, a few at a time.
    pub fn signaling(&self, now: Timestamp) -> report::Signaling {
        let transactions = self.transactions.report(now);
        report::Signaling {
            transactions: transactions.methods,
            events: transactions.events,
            registrations: self.registrations.figures(now),
            sessions: self.calls.figures(now),
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

    /// The same, and calls are kept at the level of the first of `rules` they are under, or at `level`; without this all of
    /// every call is.
    #[must_use]
    pub fn with_rules(self, rules: &[Rule], level: Level) -> Self {
        Self {
            rules: Rules::new(rules, level),
            endpoints: self.endpoints.keeping(level),
            ..self
        }
    }

    /// The same, and `learn` is told of media endpoints.
    #[must_use]
    pub fn told_to(self, learn: Arc<dyn Learn>) -> Self {
        Self {
            endpoints: self.endpoints.told_to(learn),
            ..self
        }
    }

    /// Asks of the calls in one part of the tables which rule they are under, now that there are others; `false` where there is
    /// no such part. Parts are numbered from 0, and asked in this order: calls first, then media whose calls are forgotten.
    pub fn judge_again(&self, part: usize) -> bool {
        if let Some(judged) = self.calls.judge_again(part, &self.rules) {
            for (call_id, (ticket, rule)) in judged {
                self.endpoints.change_rule(&call_id, ticket, rule.as_ref());
            }
            return true;
        }
        self.endpoints.judge_again(part - table::SHARDS, &self.rules)
    }

    /// Masks keys, unless the configuration wants them told. Whatever has keys in it passes here on its way out.
    pub(super) fn disclose(&self, dtmf: Option<&mut Dtmf>) {
        if let Some(dtmf) = dtmf
            && self.digits == Digits::Masked
        {
            dtmf.mask();
        }
    }

    /// Looks at a part of the calls, and forgets those that have been over for long at `now`. What is lost by it is counted in the
    /// caller's `losses`.
    pub fn sweep_calls(&self, now: Timestamp, losses: &Losses) {
        for call_id in self.calls.sweep(now) {
            self.endpoints.release(&call_id, now, losses);
        }
    }

    /// The same of what is asked and answered outside of calls.
    pub fn sweep_requests(&self, now: Timestamp) {
        self.registrations.sweep(now);
        self.turn.sweep(now);
        self.transactions.sweep(now);
    }

    /// The same of what is known of media, and of fragments that wait for others.
    pub fn sweep_media(&self, now: Timestamp, losses: &Losses) {
        self.endpoints.tick(now, self.linger);
        self.faxes.tick(now, self.linger);
        self.rtcp.tick(now, self.linger, &self.endpoints);
        self.fragments.tick(now, losses);
    }
}
