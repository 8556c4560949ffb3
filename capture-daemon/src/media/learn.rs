//! Where the endpoints of calls are told as they become known and are forgotten: the kernel program's map, so that it lets
//! their media cross.

use std::fmt::Debug;

use capture_common::Level;

use super::announcement::{Announcement, Basis, Purpose, Terms};
use super::codec::Format;
use crate::net::Endpoint;
use crate::time::Timestamp;

/// Is told of endpoints. Called where SIP is understood, by several lanes at once, but never for one endpoint by two.
pub trait Learn: Send + Sync + Debug {
    /// Media from or to `endpoint` is a call's. `level` is how much of it is to be kept, where more is said of that than the default; `seen`
    /// the packet time of the SDP that this comes from, where it comes from one.
    fn learn(&self, endpoint: Endpoint, formats: &[Format], level: Option<Level>, seen: Option<Timestamp>);

    /// No call uses `endpoint` any more. It may never have been told of.
    fn forget(&self, endpoint: Endpoint);

    /// What is kept of a call of which nothing is said.
    fn default_level(&self) -> Level;
}

/// Tells `learn` what the announcements of an endpoint come to.
pub(super) fn tell(learn: &dyn Learn, endpoint: Endpoint, announcements: &[Announcement], seen: Option<Timestamp>) {
    let latest = media(announcements).max_by_key(|a| (a.lease.released(), a.since()));
    match latest {
        Some(latest) => learn.learn(
            endpoint,
            latest.formats(),
            level(announcements, learn.default_level()),
            seen,
        ),
        None => learn.forget(endpoint),
    }
}

/// How much is to be kept of what comes and goes here: the most that is wanted of a call under way, else of the one that ended
/// last; `None` where no rule says anything. What would not be told when the level changes crosses, and is decided on by those it
/// crosses to.
pub(super) fn level(announcements: &[Announcement], default: Level) -> Option<Level> {
    let last = media(announcements).map(|a| a.lease.released()).max()?;
    let wanted = || media(announcements).filter(|a| a.lease.released() == last);
    if !wanted().all(|a| a.is_told_again) {
        return Some(Level::Full);
    }
    wanted().find_map(|a| a.lease.level())?;
    wanted().map(|a| a.lease.level().unwrap_or(default)).max()
}

/// Levels of the calls under way at `ts` whose media comes or goes here.
pub(super) fn under_way<'a>(
    announcements: impl Iterator<Item = &'a Announcement>,
    ts: Timestamp,
) -> impl Iterator<Item = Option<Level>> {
    let is_media = move |a: &&Announcement| a.purpose != Purpose::Rtcp && a.contains(ts);
    announcements.filter(is_media).map(|a| a.lease.level())
}

/// Whether there is anything to tell.
pub(super) fn has_media(announcements: &[Announcement]) -> bool {
    media(announcements).next().is_some()
}

/// RTCP crosses whoever's it is, and is not told of.
fn media(announcements: &[Announcement]) -> impl Iterator<Item = &Announcement> {
    announcements.iter().filter(|a| a.purpose != Purpose::Rtcp)
}

/// The time that an endpoint became known by SDP, if these terms are out of one.
pub(super) fn seen_by_sdp(ts: Timestamp, terms: &Terms) -> Option<Timestamp> {
    (terms.basis != Basis::Symmetric).then_some(ts)
}
