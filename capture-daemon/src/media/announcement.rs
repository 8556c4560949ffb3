//! What one call says of one place: that media, RTCP or fax is expected there, in which formats, and on what grounds.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use capture_common::Level;

use super::codec::Format;
use crate::config::Nat;
use crate::net::Endpoint;
use crate::report::Party;
use crate::rules::Ruling;
use crate::time::Timestamp;

/// RTP may come this long before the SDP that announces it: early media, a lost or slow answer.
pub const LEAD: Duration = Duration::from_secs(10);

/// Stands for an end that has not come.
pub const NEVER: Timestamp = Timestamp::from_nanos(u64::MAX);

/// Descriptions of one place that differ in their formats and are remembered; the latest.
const VERSIONS: usize = 4;

/// Parties of a call that began it, each with a tag of its own: a proxy that asks again has the first one's, a B2BUA that keeps the
/// Call-ID has another.
const CALLERS: usize = 4;

/// Places of a call that are remembered with it: a call has two, one that was moved or has video some more.
const PLACES: usize = 64;

/// What SDP names as a mark of media to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// An address and port that packets go to.
    At(Endpoint),
    /// The synchronisation source they have (RFC 5576).
    Ssrc(u32),
}

impl From<Endpoint> for Place {
    fn from(endpoint: Endpoint) -> Self {
        Self::At(endpoint)
    }
}

/// What is expected at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// RTP, and RTCP where both share a port (RFC 5761).
    Media,
    /// RTCP alone (RFC 3605, or the port after RTP's).
    Rtcp,
    /// Fax over UDPTL (T.38).
    Udptl,
}

impl Purpose {
    /// Whether a packet of this kind may go to what was announced for `announced`.
    fn may_use(self, announced: Self) -> bool {
        self == announced || (self == Self::Rtcp && announced == Self::Media)
    }
}

/// On what grounds a place is a call's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// A guess: packets for an announced endpoint came from here, so its own go back to here (RFC 4961).
    Symmetric,
    /// A guess: SDP names a private address, and its SIP came from this one.
    SignalingAddress,
    /// An ICE candidate, one of several.
    Candidate,
    /// The media line.
    Described,
}

/// What each basis is worth against the others: guesses in the order of the configuration.
#[derive(Clone, Debug)]
pub struct Grounds(Vec<Nat>);

impl Grounds {
    /// The media line's word is the best.
    pub const BEST: u8 = 5;

    /// With guesses in this order, the first before the second.
    pub fn new(nat: &[Nat]) -> Self {
        Self(nat.to_vec())
    }

    /// The higher is the better; `None` for a guess that is not wanted.
    pub fn worth(&self, basis: Basis) -> Option<u8> {
        let guess = |nat: Nat| {
            let at = self.0.iter().rev().position(|wanted| *wanted == nat)?;
            u8::try_from(at).ok()
        };
        match basis {
            Basis::Described => Some(Self::BEST),
            Basis::Candidate => Some(Self::BEST - 1),
            Basis::SignalingAddress => guess(Nat::SignalingAddress),
            Basis::Symmetric => guess(Nat::Symmetric),
        }
    }
}

/// Whether media is SRTP, as far as one side says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Srtp {
    /// It is not.
    #[default]
    No,
    /// Keys are offered with a profile of plain RTP (RFC 8643): it is, if the other side has keys too.
    Offered,
    /// The profile says so.
    Yes,
}

impl Srtp {
    /// Whether packets between this side and `other` are encrypted; `None` while the other has said nothing.
    pub fn with(self, other: Option<Self>) -> Option<bool> {
        match (self, other) {
            (Self::Yes, _) | (Self::Offered, Some(Self::Offered | Self::Yes)) => Some(true),
            (Self::No, _) | (Self::Offered, Some(Self::No)) => Some(false),
            (Self::Offered, None) => None,
        }
    }
}

/// The party that said it, by its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Author {
    /// Hash of its tag (RFC 3261 section 19.3), never 0.
    pub tag: u64,
    /// It is not the party with this tag but the one at the other end.
    pub peer: bool,
}

/// What is said of a place.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What is expected there.
    pub purpose: Purpose,
    /// On what grounds.
    pub basis: Basis,
    /// Whose place it is.
    pub author: Author,
    /// What payload types mean.
    pub formats: Arc<[Format]>,
    /// Whether it is SRTP.
    pub srtp: Srtp,
}

/// A call that announces places. Shared by its announcements and its streams, so that its end is one store, and its level another.
#[derive(Debug)]
pub struct Lease {
    pub(super) call_id: Arc<str>,
    /// Packet time of the end in nanoseconds; that of the farthest time there is while it lasts.
    released: AtomicU64,
    /// Tags of those who began it; 0 where there is none yet.
    callers: [AtomicU64; CALLERS],
    /// Time of the latest message that says so.
    begun: AtomicU64,
    /// The call's level; 0 where no rule gives it one.
    level: AtomicU8,
    standing: Mutex<Standing>,
}

/// Which rule a call is under.
#[derive(Debug, Default)]
struct Standing {
    /// Of the decision: lanes may tell of two in another order than they were made in.
    ticket: u64,
    rule: Option<Arc<Ruling>>,
    /// Where its media comes and goes, for those whom a change of the call concerns.
    places: Vec<Endpoint>,
    /// It has media elsewhere too.
    has_more_places: bool,
}

// One value each with nothing behind it: no ordering is needed.
impl Lease {
    /// Of a call of which nothing else is known.
    pub fn new(call_id: &Arc<str>) -> Self {
        Self {
            call_id: Arc::clone(call_id),
            released: AtomicU64::new(NEVER.as_nanos()),
            callers: Default::default(),
            begun: AtomicU64::new(0),
            level: AtomicU8::new(0),
            standing: Mutex::default(),
        }
    }

    /// Call-ID.
    pub const fn call_id(&self) -> &Arc<str> {
        &self.call_id
    }

    /// The level that a rule gives the call; `None` where it is under none.
    pub fn level(&self) -> Option<Level> {
        Level::from_number(self.level.load(Ordering::Relaxed))
    }

    /// The rule the call is under.
    pub fn rule(&self) -> Option<Arc<Ruling>> {
        self.standing().rule.clone()
    }

    /// The rule the call is under, where that was decided before `ticket`.
    pub(super) fn rule_before(&self, ticket: u64) -> Option<Arc<Ruling>> {
        let standing = self.standing();
        standing.rule.clone().filter(|_| standing.ticket < ticket)
    }

    /// The call is under this rule, as was decided with this ticket. Returns whether its level is another now.
    pub fn stand(&self, ticket: u64, rule: Option<&Arc<Ruling>>) -> bool {
        let mut standing = self.standing();
        if standing.ticket >= ticket {
            return false;
        }
        standing.ticket = ticket;
        standing.rule = rule.cloned();
        let level = rule.map_or(0, |rule| rule.level as u8);
        self.level.swap(level, Ordering::Relaxed) != level
    }

    /// Its media is marked by this too. Whether that is remembered: beyond [`PLACES`] it is not, nor where it is no endpoint.
    pub(super) fn note_place(&self, place: Place) -> bool {
        let mut standing = self.standing();
        let Place::At(endpoint) = place else {
            standing.has_more_places = true;
            return false;
        };
        if standing.places.contains(&endpoint) {
            return true;
        }
        let has_room = standing.places.len() < PLACES;
        if has_room {
            if standing.places.len() == standing.places.capacity() {
                // Both parties' are two.
                standing.places.reserve_exact(2);
            }
            standing.places.push(endpoint);
        } else {
            standing.has_more_places = true;
        }
        has_room
    }

    /// Where its media comes and goes, and whether that is all that marks it.
    pub(super) fn places(&self) -> (Vec<Endpoint>, bool) {
        let standing = self.standing();
        (standing.places.clone(), !standing.has_more_places)
    }

    /// Nothing panics under this lock.
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Packet time of the end; the farthest time there is while it lasts.
    pub fn released(&self) -> Timestamp {
        Timestamp::from_nanos(self.released.load(Ordering::Relaxed))
    }

    /// It ended at `ts`, if not before.
    pub fn release(&self, ts: Timestamp) {
        self.released.fetch_min(ts.as_nanos(), Ordering::Relaxed);
    }

    /// Time of the latest message that says who began the call.
    pub fn begun(&self) -> Timestamp {
        Timestamp::from_nanos(self.begun.load(Ordering::Relaxed))
    }

    /// The party with this tag began the call, as a message of time `ts` says. Returns whether that is new.
    pub fn begun_by(&self, tag: u64, ts: Timestamp) -> bool {
        self.begun.fetch_max(ts.as_nanos(), Ordering::Relaxed);
        for caller in &self.callers {
            match caller.compare_exchange(0, tag, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(known) if known == tag => return false,
                Err(_) => {}
            }
        }
        false
    }

    /// Which party an author is; `None` while nobody knows who began the call.
    fn side(&self, author: Author) -> Option<Party> {
        let mut callers = self.callers.iter().map(|caller| caller.load(Ordering::Relaxed));
        let first = callers.next().filter(|tag| *tag != 0)?;
        let is_caller = first == author.tag || callers.any(|tag| tag == author.tag);
        Some(if is_caller == author.peer {
            Party::Callee
        } else {
            Party::Caller
        })
    }
}

/// One call's announcement of one place on one ground.
#[derive(Debug)]
pub(super) struct Announcement {
    pub lease: Arc<Lease>,
    pub purpose: Purpose,
    pub basis: Basis,
    /// Who is told of endpoints is told again when the call's level changes.
    pub is_told_again: bool,
    /// Time of the first SDP that names the place, and whose it was.
    first: (Timestamp, Author),
    srtp: Srtp,
    /// The latest time that `formats` were said, while there are no versions of them.
    said: Timestamp,
    /// What descriptions said of payload types, each with the latest time it was said; the latest first. Empty while all said the
    /// same, as nearly all do.
    versions: Vec<(Timestamp, Arc<[Format]>)>,
    /// All of these, the later before the earlier: packets of earlier ones were measured.
    formats: Arc<[Format]>,
    /// What the table does when the announcement goes.
    _mark: Option<super::udptl_ports::Mark>,
}

impl Announcement {
    pub fn new(lease: Arc<Lease>, ts: Timestamp, terms: &Terms, mark: Option<super::udptl_ports::Mark>) -> Self {
        Self {
            lease,
            is_told_again: true,
            purpose: terms.purpose,
            basis: terms.basis,
            first: (ts, terms.author),
            srtp: terms.srtp,
            said: ts,
            versions: Vec::new(),
            formats: Arc::clone(&terms.formats),
            _mark: mark,
        }
    }

    /// Whether this is what `terms` of the call with this lease are about.
    pub fn is(&self, lease: &Arc<Lease>, terms: &Terms) -> bool {
        Arc::ptr_eq(&self.lease, lease) && self.purpose == terms.purpose && self.basis == terms.basis
    }

    /// The same was said at `ts` too. Minimum, maximum and a bounded set: no order matters.
    pub fn again(&mut self, ts: Timestamp, terms: &Terms) {
        self.first = self.first.min((ts, terms.author));
        self.srtp = self.srtp.max(terms.srtp);
        if self.versions.is_empty() {
            if self.formats == terms.formats {
                self.said = self.said.max(ts);
                return;
            }
            self.versions.push((self.said, Arc::clone(&self.formats)));
        }
        match self.versions.iter_mut().find(|(_, formats)| *formats == terms.formats) {
            Some((known, _)) if *known >= ts => return,
            Some((known, _)) => *known = ts,
            None => self.versions.push((ts, Arc::clone(&terms.formats))),
        }
        self.versions.sort_by_key(|(ts, _)| std::cmp::Reverse(*ts));
        self.versions.truncate(VERSIONS);
        let mut formats = self.versions.iter().map(|(_, formats)| formats);
        if let Some(latest) = formats.next() {
            self.formats = formats.fold(Arc::clone(latest), |newer, older| merged(&newer, older));
        }
    }

    pub fn since(&self) -> Timestamp {
        self.first.0
    }

    /// What is said of payload types.
    pub fn formats(&self) -> &[Format] {
        &self.formats
    }

    /// Whether time alone will make something else of what is known of it at `ts`: the call has yet to begin, or to end, as is known
    /// already.
    pub fn is_pending(&self, ts: Timestamp) -> bool {
        let released = self.lease.released();
        ts < self.since() || (ts < released && released != NEVER)
    }

    /// Whether the call had announced the place and had not ended at `ts`.
    pub fn contains(&self, ts: Timestamp) -> bool {
        self.since() <= ts && ts < self.lease.released()
    }

    /// How far `ts` is from the time of this announcement; `None` where it is too long before.
    fn distance(&self, ts: Timestamp) -> Option<Duration> {
        if ts < self.since() {
            Some(self.since().since(ts)).filter(|&ahead| ahead <= LEAD)
        } else {
            Some(ts.since(self.lease.released()))
        }
    }
}

/// The formats of one SDP, and those of an older one for the payload types it does not name.
fn merged(newer: &Arc<[Format]>, older: &Arc<[Format]>) -> Arc<[Format]> {
    let named = |format: &&Format| newer.iter().any(|f| f.payload_type == format.payload_type);
    if Arc::ptr_eq(newer, older) || older.iter().all(|format| named(&format)) {
        return Arc::clone(newer);
    }
    let unnamed = older.iter().filter(|format| !named(format));
    newer.iter().chain(unnamed).cloned().collect()
}

/// The call a place belongs to at some time.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The call.
    pub lease: Arc<Lease>,
    /// What SDP says of payload types.
    pub formats: Arc<[Format]>,
    /// Time of the first SDP that names the place.
    pub since: Timestamp,
    /// Whether the call had announced the place and had not ended at the time asked for.
    pub active: bool,
    /// On what grounds.
    pub basis: Basis,
    /// Whose place it is.
    pub author: Author,
    /// Which party that is, where it is known who began the call.
    pub side: Option<Party>,
    /// Whether that party wants SRTP.
    pub srtp: Srtp,
}

impl Claim {
    /// Call-ID.
    pub fn call_id(&self) -> &Arc<str> {
        &self.lease.call_id
    }
}

/// The claim of a packet of time `ts` and this purpose. Of calls under way the one with the best grounds, then `holder`, else
/// the one that announced the place last; with none under way, the one nearest in time.
pub(super) fn claim(
    announcements: &[Announcement],
    purpose: Purpose,
    ts: Timestamp,
    holder: Option<&str>,
    grounds: &Grounds,
) -> Option<Claim> {
    let usable = || announcements.iter().filter(|a| purpose.may_use(a.purpose));
    let active = usable()
        .filter(|a| a.contains(ts))
        // The Call-ID settles a tie, so that the answer does not depend on who came first.
        .max_by_key(|a| {
            let exact = a.purpose == purpose;
            let held = holder == Some(&*a.lease.call_id);
            (exact, grounds.worth(a.basis), held, a.since(), &a.lease.call_id)
        });
    let chosen = active.or_else(|| {
        let near = usable().filter_map(|a| Some((a.distance(ts)?, a)));
        near.min_by_key(|(distance, a)| (*distance, std::cmp::Reverse(grounds.worth(a.basis)), &a.lease.call_id))
            .map(|(_, a)| a)
    })?;
    let (since, author) = chosen.first;
    Some(Claim {
        lease: Arc::clone(&chosen.lease),
        formats: Arc::clone(&chosen.formats),
        since,
        active: active.is_some(),
        basis: chosen.basis,
        author,
        side: chosen.lease.side(author),
        srtp: chosen.srtp,
    })
}
