//! The facts of one allocation, and where it stands.
//!
//! As in a call, every field is a minimum, a maximum, a sum or a bounded set over messages: they come on several lanes, in
//! no order.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::Flow;
use super::stun::{Class, Message, Method};
use super::transactions::{Answer, GIVEN_UP, Transaction};
use crate::net::Endpoint;
use crate::report::{self, AllocationState};
use crate::table::{Entry, Worth};
use crate::text::lossy;
use crate::time::Timestamp;

/// RFC 8656 section 9.
const PERMISSION: Duration = Duration::from_secs(300);
/// RFC 8656 section 12.
const CHANNEL: Duration = Duration::from_secs(600);
/// Permissions, channels, and codes of refusals of one allocation that are remembered: those with the lowest addresses and
/// numbers, so that it does not depend on the order of messages which ones these are.
const MAX_BINDINGS: usize = 64;
/// Relayed addresses, and peers of one channel number, that are remembered: the latest, as the 5-tuple may be used again.
const MAX_HISTORY: usize = 4;
/// Octets of a name that are kept. USERNAME and REALM have up to 509 (RFC 8489 section 14.3) and are some tens.
const LONGEST_NAME: usize = 128;

/// What tells allocations apart: the 5-tuple between client and server (RFC 8656 section 2.2), of which a frame of
/// ChannelData does not say who is who. The lower endpoint comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    low: Endpoint,
    high: Endpoint,
    tcp: bool,
}

impl Pair {
    /// The pair of these two.
    pub fn of(src: Endpoint, dst: Endpoint, tcp: bool) -> Self {
        Self {
            low: src.min(dst),
            high: src.max(dst),
            tcp,
        }
    }
}

impl From<&Self> for Pair {
    fn from(pair: &Self) -> Self {
        *pair
    }
}

/// Which endpoint of the pair it is that sends.
fn side(pair: &Pair, src: Endpoint) -> usize {
    usize::from(src != pair.low)
}

/// Values with the time from which they hold: the latest [`MAX_HISTORY`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct History(Vec<(Timestamp, Endpoint)>);

impl History {
    fn add(&mut self, ts: Timestamp, endpoint: Endpoint) {
        if let Err(place) = self.0.binary_search(&(ts, endpoint)) {
            self.0.insert(place, (ts, endpoint));
        }
        if self.0.len() > MAX_HISTORY {
            self.0.remove(0);
        }
    }

    /// What held at `ts`: the latest before it, else the first after it, whose message may be on its way on another lane.
    fn at(&self, ts: Timestamp, wanted: impl Fn(Endpoint) -> bool) -> Option<Endpoint> {
        let wanted = || self.0.iter().filter(|(_, endpoint)| wanted(*endpoint));
        let before = wanted().rev().find(|(since, _)| *since <= ts);
        before.or_else(|| wanted().next()).map(|(_, endpoint)| *endpoint)
    }
}

/// One channel number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Bound {
    /// The peers that requests name.
    peers: History,
    /// The latest grant.
    granted: Option<Timestamp>,
}

/// What is known of one 5-tuple.
#[derive(Clone, Debug)]
pub struct Allocation {
    first: Timestamp,
    last: Timestamp,
    /// Messages that say that the low, or the high endpoint is the client.
    votes: [u64; 2],
    /// The high, or the low endpoint has a port of TURN.
    server_by_port: [bool; 2],
    username: Option<(Timestamp, Box<str>)>,
    realm: Option<(Timestamp, Box<str>)>,
    software: Option<(Timestamp, Box<str>)>,
    /// The latest Allocate request, and LIFETIME in it.
    asked: Option<(Timestamp, Option<u32>)>,
    /// The latest refusal of one, whether it is a challenge.
    refused: Option<(Timestamp, bool)>,
    relayed: History,
    mapped: Option<(Timestamp, Endpoint)>,
    created: Option<Timestamp>,
    /// The latest grant that lasts, with its LIFETIME.
    granted: Option<(Timestamp, Option<u32>)>,
    /// The latest Refresh that deletes.
    deleted: Option<Timestamp>,
    /// The latest end of the TCP connection to the client.
    closed: Option<Timestamp>,
    /// Transactions that were granted: Allocate, Refresh.
    grants: u64,
    refreshes: u64,
    failures: BTreeMap<u16, u64>,
    permissions: BTreeMap<IpAddr, Timestamp>,
    channels: BTreeMap<u16, Bound>,
    /// What the low, and the high endpoint sent in ChannelData.
    channel_data: [report::Relayed; 2],
    /// The same in Send and Data indications.
    data_indications: [report::Relayed; 2],
}

/// The inner ends of what is relayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// The client's relayed address, as far as it is known.
    pub relayed: Option<Endpoint>,
    /// The peer, as far as it is known.
    pub peer: Option<Endpoint>,
    /// The client is the one that sends.
    pub from_client: bool,
}

impl Allocation {
    /// Nothing yet.
    pub fn new(ts: Timestamp) -> Self {
        Self {
            first: ts,
            last: ts,
            votes: [0; 2],
            server_by_port: [false; 2],
            username: None,
            realm: None,
            software: None,
            asked: None,
            refused: None,
            relayed: History::default(),
            mapped: None,
            created: None,
            granted: None,
            deleted: None,
            closed: None,
            grants: 0,
            refreshes: 0,
            failures: BTreeMap::new(),
            permissions: BTreeMap::new(),
            channels: BTreeMap::new(),
            channel_data: Default::default(),
            data_indications: Default::default(),
        }
    }

    fn touch(&mut self, ts: Timestamp) {
        self.first = self.first.min(ts);
        self.last = self.last.max(ts);
    }

    /// Takes in what one message says by itself. Returns how many bindings found no room.
    pub fn message(&mut self, ts: Timestamp, pair: &Pair, src: Endpoint, message: &Message<'_>) -> usize {
        self.touch(ts);
        let sender = side(pair, src);
        let client = match (message.class, message.method) {
            (Class::Request, _) | (Class::Indication, Method::Send) => sender,
            (Class::Success | Class::Error | Class::Indication, _) => 1 - sender,
        };
        self.votes[client] += 1;
        match (message.class, message.method) {
            (Class::Request, Method::Allocate) => {
                self.asked = self.asked.max(Some((ts, message.lifetime)));
            }
            (Class::Success, Method::Allocate) => {
                for relayed in message.relayed().take(2) {
                    self.relayed.add(ts, relayed);
                }
                if let Some(mapped) = message.mapped {
                    self.mapped = self.mapped.max(Some((ts, mapped)));
                }
                self.created = self.created.max(Some(ts));
                self.granted = self.granted.max(Some((ts, message.lifetime)));
            }
            (Class::Success, Method::Refresh) => self.refreshed(ts, message.lifetime),
            _ => {}
        }
        if message.class == Class::Request && message.integrity {
            earliest(&mut self.username, ts, message.username);
        }
        earliest(&mut self.realm, ts, message.realm);
        if matches!(message.class, Class::Success | Class::Error) {
            earliest(&mut self.software, ts, message.software);
        }
        match (message.class, message.method, message.channel) {
            (Class::Request, Method::ChannelBind, Some(number)) => self.bind(ts, number, message.peers().next(), None),
            _ => 0,
        }
    }

    /// Takes in what request and answer say together, whichever came last. `counted` is what the transaction came to
    /// before. Returns how many bindings found no room.
    pub fn transaction(&mut self, transaction: &Transaction, counted: Option<Answer>) -> usize {
        let method = transaction.method;
        let (Some(request), Some(answered)) = (&transaction.request, transaction.answered) else {
            return 0;
        };
        if let Some(counted) = counted {
            self.tally(method, counted, request.credentials, u64::wrapping_sub);
        }
        self.tally(method, answered.first.1, request.credentials, u64::wrapping_add);
        if let (Method::Allocate, (ts, Answer::Error(code))) = (method, answered.first) {
            self.refused = self.refused.max(Some((ts, is_challenge(code, request.credentials))));
        }
        let Some((_, granted)) = answered.granted else {
            return 0;
        };
        match method {
            // A server may leave out the LIFETIME that says 0.
            Method::Refresh if request.lifetime == Some(0) => {
                self.refreshed(granted, Some(0));
                0
            }
            Method::CreatePermission => request.peers.iter().map(|peer| self.permit(granted, peer.ip())).sum(),
            Method::ChannelBind => {
                // Binding a channel installs the permission too (RFC 8656 section 12.2).
                let peer = request.peers.first().copied();
                let over = peer.map_or(0, |peer| self.permit(granted, peer.ip()));
                over + request
                    .channel
                    .map_or(0, |number| self.bind(request.first, number, peer, Some(granted)))
            }
            _ => 0,
        }
    }

    /// A Refresh was granted (RFC 8656 section 7.3).
    fn refreshed(&mut self, ts: Timestamp, lifetime: Option<u32>) {
        if lifetime == Some(0) {
            self.deleted = self.deleted.max(Some(ts));
        } else {
            self.granted = self.granted.max(Some((ts, lifetime)));
        }
    }

    /// Its TCP connection was ended by one of the two: the server has nobody left to relay for.
    pub fn closed(&mut self, ts: Timestamp) {
        self.touch(ts);
        self.closed = self.closed.max(Some(ts));
    }

    /// When it was deleted, by a Refresh or with its connection; `None` where it was granted again, or not at all.
    fn ended(&self) -> Option<Timestamp> {
        let granted = self.granted.map(|(granted, _)| granted);
        let counts = |ended: &Timestamp| granted.is_none_or(|granted| *ended >= granted);
        // One that was joined in the middle was granted before.
        let was_granted = granted.is_some() || (self.asked.is_none() && self.refused.is_none());
        let closed = self.closed.filter(|_| was_granted);
        [self.deleted, closed].into_iter().flatten().filter(counts).min()
    }

    fn tally(&mut self, method: Method, answer: Answer, credentials: bool, by: fn(u64, u64) -> u64) {
        match (answer, method) {
            (Answer::Success, Method::Allocate) => self.grants = by(self.grants, 1),
            (Answer::Success, Method::Refresh) => self.refreshes = by(self.refreshes, 1),
            (Answer::Error(Some(code)), _) if !is_challenge(Some(code), credentials) => {
                let count = self.failures.entry(code).or_default();
                *count = by(*count, 1);
                keep_lowest(&mut self.failures);
            }
            _ => {}
        }
    }

    fn permit(&mut self, ts: Timestamp, peer: IpAddr) -> usize {
        let granted = self.permissions.entry(peer).or_insert(ts);
        *granted = (*granted).max(ts);
        keep_lowest(&mut self.permissions)
    }

    fn bind(&mut self, ts: Timestamp, number: u16, peer: Option<Endpoint>, granted: Option<Timestamp>) -> usize {
        let Some(peer) = peer else { return 0 };
        let bound = self.channels.entry(number).or_default();
        bound.peers.add(ts, peer);
        bound.granted = bound.granted.max(granted);
        keep_lowest(&mut self.channels)
    }

    /// Takes in what a lane saw `src` have relayed.
    pub fn relayed(&mut self, pair: &Pair, src: Endpoint, flow: &Flow) {
        let Flow {
            first,
            last,
            channel_data,
            data_indications,
            from_client,
            from_server,
            on_port: [src_is, dst_is],
        } = *flow;
        self.touch(first);
        self.touch(last);
        let sender = side(pair, src);
        add(&mut self.channel_data[sender], channel_data);
        add(&mut self.data_indications[sender], data_indications);
        self.votes[sender] += from_client;
        self.votes[1 - sender] += from_server;
        // Who sends from a port of TURN is the server, and the other side the client.
        self.server_by_port[1 - sender] |= src_is && !dst_is;
        self.server_by_port[sender] |= dst_is && !src_is;
    }

    /// Which side is the client: what most messages say, else what the ports say.
    fn client(&self) -> Option<usize> {
        match self.votes {
            [0, 0] => match self.server_by_port {
                [true, false] => Some(0),
                [false, true] => Some(1),
                _ => None,
            },
            [low, high] => Some(usize::from(high > low)),
        }
    }

    /// The ends of what `src` sent at `ts` over `channel`, or what a Send or Data indication named as `peer`.
    pub fn ends(
        &self,
        ts: Timestamp,
        pair: &Pair,
        src: Endpoint,
        channel: Option<u16>,
        peer: Option<Endpoint>,
    ) -> Ends {
        let Some(client) = self.client() else {
            return Ends::default();
        };
        let peer = channel
            .and_then(|number| self.channels.get(&number)?.peers.at(ts, |_| true))
            .or(peer);
        // Of two relayed addresses the one of the peer's family relays.
        let family = |relayed: Endpoint| peer.is_none_or(|peer| peer.ip().is_ipv4() == relayed.ip().is_ipv4());
        Ends {
            relayed: self.relayed.at(ts, family),
            peer,
            from_client: side(pair, src) == client,
        }
    }

    /// Whether it is certain that this is TURN.
    fn is_certain(&self) -> bool {
        self.votes != [0, 0] || self.server_by_port != [false, false]
    }

    fn expires(&self) -> Option<Timestamp> {
        let (granted, lifetime) = self.granted?;
        Some(granted.plus(Duration::from_secs(lifetime?.into())))
    }

    /// Where it stands at `now`.
    pub fn state(&self, now: Timestamp) -> AllocationState {
        if self.ended().is_some() {
            return AllocationState::Deleted;
        }
        if self.granted.is_some() {
            return match self.expires() {
                Some(expires) if now > expires => AllocationState::Expired,
                _ => AllocationState::Active,
            };
        }
        match (self.asked, self.refused) {
            (Some((asked, _)), refused) if refused.is_none_or(|(refused, _)| refused < asked) => match refused {
                _ if now > asked.plus(GIVEN_UP) => AllocationState::TimedOut,
                // The second try does not unmake the challenge.
                Some((_, true)) => AllocationState::Challenged,
                _ => AllocationState::Requested,
            },
            (_, Some((_, true))) => AllocationState::Challenged,
            (_, Some((_, false))) => AllocationState::Failed,
            _ => AllocationState::Joined,
        }
    }

    /// Permissions and channels that hold at `now`; none of an allocation that is over.
    pub fn bindings(&self, now: Timestamp) -> (u64, u64) {
        if self.state(now).is_over() {
            return (0, 0);
        }
        let permissions = self.permissions.values().filter(|ts| now <= ts.plus(PERMISSION));
        let bound = |bound: &&Bound| bound.granted.is_some_and(|ts| now <= ts.plus(CHANNEL));
        let channels = self.channels.values().filter(bound);
        (permissions.count() as u64, channels.count() as u64)
    }

    /// Whether it has been over, or silent, for longer than `linger`.
    pub fn is_forgotten(&self, now: Timestamp, linger: Duration) -> bool {
        let lasts = match self.state(now) {
            AllocationState::Active => self.expires().unwrap_or(self.last).max(self.last),
            _ => self.last,
        };
        now > lasts.plus(linger)
    }

    /// What was relayed both ways: in ChannelData, in indications.
    pub fn data(&self) -> (report::Relayed, report::Relayed) {
        let [low, high] = self.channel_data;
        let [low_indications, high_indications] = self.data_indications;
        (sum(low, high), sum(low_indications, high_indications))
    }

    /// The state to count at `now`; `None` where it is not certain that this is TURN.
    pub fn counted(&self, now: Timestamp) -> Option<AllocationState> {
        self.is_certain().then(|| self.state(now))
    }

    /// The allocation as reports give it; `None` where it is not certain that it is one.
    pub fn report(&self, pair: &Pair, now: Timestamp) -> Option<report::Allocation> {
        let client = self.client()?;
        let ends = [pair.low, pair.high];
        let text = |known: &Option<(Timestamp, Box<str>)>| known.as_ref().map(|(_, text)| text.to_string());
        Some(report::Allocation {
            client: ends[client].to_string(),
            server: ends[1 - client].to_string(),
            transport: if pair.tcp { "tcp" } else { "udp" }.to_owned(),
            state: self.state(now),
            username: text(&self.username),
            realm: text(&self.realm),
            software: text(&self.software),
            relayed: self.latest_relayed().map(|relayed| relayed.to_string()),
            mapped: self.mapped.map(|(_, mapped)| mapped.to_string()),
            requested_lifetime_s: self.asked.and_then(|(_, lifetime)| lifetime),
            lifetime_s: self.granted.and_then(|(_, lifetime)| lifetime),
            start: self.first,
            end: self.last,
            created: self.created,
            expires: self.expires(),
            deleted: self.ended().or(self.deleted),
            grants: self.grants,
            refreshes: self.refreshes,
            failures: self
                .failures
                .iter()
                .filter(|(_, count)| **count > 0)
                .map(|(code, count)| (*code, *count))
                .collect(),
            permissions: self
                .permissions
                .iter()
                .map(|(peer, ts)| report::Permission {
                    peer: peer.to_string(),
                    expires: ts.plus(PERMISSION),
                })
                .collect(),
            channels: self
                .channels
                .iter()
                .filter_map(|(number, bound)| channel(*number, bound))
                .collect(),
            to_peers: sum(self.channel_data[client], self.data_indications[client]),
            from_peers: sum(self.channel_data[1 - client], self.data_indications[1 - client]),
        })
    }

    /// The latest address; IPv4 before IPv6, as there are two where both were asked for.
    fn latest_relayed(&self) -> Option<Endpoint> {
        let latest = self.relayed.0.iter();
        latest
            .max_by_key(|(ts, relayed)| (*ts, relayed.ip().is_ipv4()))
            .map(|(_, relayed)| *relayed)
    }
}

impl Entry for Allocation {
    fn last(&self) -> Timestamp {
        self.last
    }

    fn worth(&self, now: Timestamp) -> Worth {
        match self.counted(now) {
            None => Worth::Loose,
            Some(state) if state.is_over() => Worth::Over,
            Some(_) => Worth::Live,
        }
    }
}

/// 401 without credentials is how every client begins, and 438 says that the nonce is to be taken anew (RFC 8489 sections
/// 9.2.4 and 9.2.5): neither is the end of it.
pub(super) const fn is_challenge(code: Option<u16>, credentials: bool) -> bool {
    match code {
        Some(401) => !credentials,
        Some(438) => true,
        _ => false,
    }
}

fn channel(number: u16, bound: &Bound) -> Option<report::Channel> {
    Some(report::Channel {
        number: format!("{number:#06x}"),
        peer: bound.peers.0.last()?.1.to_string(),
        expires: bound.granted.map(|ts| ts.plus(CHANNEL)),
    })
}

/// Keeps the earliest of several texts; of the same time the least.
fn earliest(known: &mut Option<(Timestamp, Box<str>)>, ts: Timestamp, value: Option<&[u8]>) {
    let Some(value) = value else { return };
    if known.as_ref().is_some_and(|(first, _)| *first < ts) {
        return;
    }
    let kept = value.get(..LONGEST_NAME).unwrap_or(value);
    let new = (ts, lossy(kept).into());
    match known {
        Some(known) if *known <= new => {}
        _ => *known = Some(new),
    }
}

/// Adds to a sum.
pub(super) const fn add(to: &mut report::Relayed, more: report::Relayed) {
    to.packets += more.packets;
    to.bytes += more.bytes;
}

const fn sum(mut one: report::Relayed, other: report::Relayed) -> report::Relayed {
    add(&mut one, other);
    one
}

/// Lets the highest keys go where there are too many. Returns how many went.
fn keep_lowest<K: Ord + Copy, V>(map: &mut BTreeMap<K, V>) -> usize {
    let mut gone = 0;
    while map.len() > MAX_BINDINGS {
        map.pop_last();
        gone += 1;
    }
    gone
}
