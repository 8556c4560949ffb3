//! How much of a call's media is kept: what a rule gives the call's lease, and what that comes to where calls share endpoints.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use capture_common::Level;

use super::announcement::{Lease, Place};
use super::endpoints::Endpoints;
use super::learn;
use crate::net::Endpoint;
use crate::outcome::Losses;
use crate::rules::{Rules, Ruling};
use crate::time::Timestamp;

impl Endpoints {
    /// The call is under this rule, as was decided with `ticket` when it had a message of time `ts`.
    pub fn set_rule(&self, call_id: &Arc<str>, ts: Timestamp, ticket: u64, rule: &Arc<Ruling>, losses: &Losses) {
        let lease = self.lease(call_id, ts, losses);
        self.stand(&lease, ticket, Some(rule));
    }

    /// The same of a call of which nothing need be known here, and which may be under no rule.
    pub fn change_rule(&self, call_id: &str, ticket: u64, rule: Option<&Arc<Ruling>>) {
        let lease = self.lock_leases(self.at(call_id)).get(call_id).cloned();
        if let Some(lease) = lease {
            self.stand(&lease, ticket, rule);
        }
    }

    /// Asks of the calls in one part of the table whose rule was decided on before the latest change which one it is now: nobody
    /// knows any more what they said, so that each is under the rule it was under where that asks for the same, else under
    /// none. `false` where there is no such part.
    pub fn judge_again(&self, part: usize, rules: &Rules) -> bool {
        let Some(leases) = self.leases.get(part) else {
            return false;
        };
        let forgotten: Vec<(Arc<Lease>, Arc<Ruling>)> = leases
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .filter_map(|(_, lease)| Some((Arc::clone(lease), lease.rule_before(rules.changed_at())?)))
            .collect();
        for (lease, rule) in forgotten {
            let list = rules.list();
            let rule = list.heir(&rule);
            self.stand(&lease, rules.changed_at(), rule);
        }
        true
    }

    /// Tells a call's level to its streams, and to who is told of endpoints.
    fn stand(&self, lease: &Lease, ticket: u64, rule: Option<&Arc<Ruling>>) {
        if rule.is_some() {
            self.has_levels.store(true, Ordering::Relaxed);
        }
        if !lease.stand(ticket, rule) {
            return;
        }
        self.moved(lease);
        if self.learn.is_none() {
            return;
        }
        // A place that is announced meanwhile is told with the new level there.
        for endpoint in lease.places().0 {
            let place = Place::At(endpoint);
            let shard = self.write(self.at(place));
            if let Some(announcements) = shard.get(&place) {
                self.tell(place, announcements, None);
            }
        }
    }

    /// How much is kept of a stream of the call with this lease at `ts`, which comes and goes at `ends`: the most that is wanted of
    /// any call under way there, as one call's media may go by its neighbour's SDP, through a proxy that makes two calls of
    /// one. `None` where no rule says anything.
    pub fn wanted(&self, lease: &Lease, ends: impl Iterator<Item = Endpoint>, ts: Timestamp) -> Option<Level> {
        if !self.has_levels.load(Ordering::Relaxed) {
            return None;
        }
        let mut wanted = Wanted::default();
        if ts < lease.released() {
            wanted.take(lease.level(), self.default_level);
        }
        self.want(&mut wanted, ends, ts);
        match wanted.most {
            Some(most) => wanted.is_said.then_some(most),
            // None is under way: it is as it was.
            None => lease.level(),
        }
    }

    /// The level that packets from `src` to `dst` have for who is told of endpoints: that of the end they go to, if it is a call's,
    /// else that of the one they come from. `None` where no rule says anything.
    pub fn told_level(&self, src: Endpoint, dst: Endpoint) -> Option<Level> {
        if !self.has_levels.load(Ordering::Relaxed) {
            return None;
        }
        [dst, src].into_iter().find_map(|end| {
            let place = Place::At(end);
            let shard = self.read(self.at(place));
            let announcements = shard.get(&place).filter(|known| learn::has_media(known))?;
            Some(learn::level(announcements, self.default_level))
        })?
    }

    /// How much is kept of what is no RTP between `ends` at `ts`, likewise.
    pub fn wanted_between(&self, ends: [Endpoint; 2], ts: Timestamp) -> Level {
        let mut wanted = Wanted::default();
        if self.has_levels.load(Ordering::Relaxed) {
            self.want(&mut wanted, ends.into_iter(), ts);
        }
        wanted.most.unwrap_or(self.default_level)
    }

    /// Takes in what is wanted of calls under way at `ts` by these ends.
    fn want(&self, wanted: &mut Wanted, ends: impl Iterator<Item = Endpoint>, ts: Timestamp) {
        for end in ends {
            let place = Place::At(end);
            let shard = self.read(self.at(place));
            let announcements = shard.get(&place).into_iter().flatten();
            for level in learn::under_way(announcements, ts) {
                wanted.take(level, self.default_level);
            }
        }
    }

    /// The level of calls of which no rule says anything.
    pub const fn default_level(&self) -> Level {
        self.default_level
    }
}

/// The most that is wanted of several calls.
#[derive(Default)]
struct Wanted {
    most: Option<Level>,
    /// A rule said so of one of them.
    is_said: bool,
}

impl Wanted {
    fn take(&mut self, level: Option<Level>, default: Level) {
        self.is_said |= level.is_some();
        self.most = self.most.max(Some(level.unwrap_or(default)));
    }
}
