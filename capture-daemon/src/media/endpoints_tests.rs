//! Which call an endpoint belongs to, in whatever order the lanes came to know.

use std::collections::{HashMap, HashSet};

use capture_common::Level;
use proptest::prelude::*;

use super::super::announcement::{Author, Srtp};
use super::*;
use crate::media::Format;
use crate::net::Endpoint;

fn seconds(s: u64) -> Timestamp {
    Timestamp::from_nanos(s * 1_000_000_000)
}

fn endpoint(port: u16) -> Endpoint {
    Endpoint::v4([192, 0, 2, 1], port)
}

fn format(payload_type: u8, encoding: &str) -> Format {
    Format {
        payload_type,
        encoding: encoding.into(),
        clock_rate: 8000,
    }
}

fn media(formats: &Arc<[Format]>) -> Terms {
    Terms {
        purpose: Purpose::Media,
        basis: Basis::Described,
        author: Author { tag: 1, peer: false },
        formats: Arc::clone(formats),
        srtp: Srtp::No,
    }
}

/// Something a lane learns.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    Announce(&'static str, u64),
    Release(&'static str, u64),
}

fn table(events: &[Event]) -> Endpoints {
    let endpoints = Endpoints::new(100);
    let losses = Losses::default();
    let formats: Arc<[Format]> = [format(96, "iLBC")].into();
    for event in events {
        match *event {
            Event::Announce(call, s) => {
                endpoints.announce(endpoint(1), &call.into(), seconds(s), &media(&formats), &losses);
            }
            Event::Release(call, s) => endpoints.release(&call.into(), seconds(s), &losses),
        }
    }
    endpoints
}

fn owner(endpoints: &Endpoints, s: u64) -> Option<(String, bool)> {
    let claim = endpoints.claim(endpoint(1), Purpose::Media, seconds(s), None)?;
    Some((claim.call_id().to_string(), claim.active))
}

fn some(call: &str, active: bool) -> Option<(String, bool)> {
    Some((call.to_owned(), active))
}

/// Two calls on one port, one after the other, each with a repeated 200 and a repeated BYE.
const TWO_CALLS: [Event; 8] = [
    Event::Announce("a", 100),
    Event::Announce("a", 101),
    Event::Release("a", 120),
    Event::Release("a", 121),
    Event::Announce("b", 140),
    Event::Announce("b", 141),
    Event::Release("b", 160),
    Event::Announce("b", 161),
];

fn is_two_calls(endpoints: &Endpoints) {
    assert_eq!(owner(endpoints, 80), None, "too long before");
    assert_eq!(owner(endpoints, 95), some("a", false));
    assert_eq!(owner(endpoints, 100), some("a", true));
    assert_eq!(owner(endpoints, 119), some("a", true));
    assert_eq!(owner(endpoints, 120), some("a", false));
    assert_eq!(owner(endpoints, 129), some("a", false), "nearer to the end of a");
    assert_eq!(owner(endpoints, 139), some("b", false), "nearer to the beginning of b");
    assert_eq!(owner(endpoints, 150), some("b", true));
    assert_eq!(owner(endpoints, 170), some("b", false));
}

#[test]
fn a_port_belongs_to_one_call_after_the_other() {
    is_two_calls(&table(&TWO_CALLS));
}

proptest! {
    #[test]
    fn the_order_of_learning_does_not_matter(events in Just(TWO_CALLS.to_vec()).prop_shuffle()) {
        is_two_calls(&table(&events));
    }
}

#[test]
fn of_two_calls_under_way_the_holder_keeps_and_the_later_gets() {
    let endpoints = table(&[Event::Announce("a", 100), Event::Announce("b", 110)]);
    assert_eq!(owner(&endpoints, 105), some("a", true));
    assert_eq!(owner(&endpoints, 115), some("b", true));
    let held = endpoints
        .claim(endpoint(1), Purpose::Media, seconds(115), Some("a"))
        .unwrap();
    assert_eq!(&**held.call_id(), "a");
    endpoints.release(&"a".into(), seconds(112), &Losses::default());
    let held = endpoints
        .claim(endpoint(1), Purpose::Media, seconds(115), Some("a"))
        .unwrap();
    assert_eq!(&**held.call_id(), "b");
}

#[test]
fn a_call_id_used_again_is_another_call() {
    let endpoints = table(&[
        Event::Announce("a", 100),
        Event::Release("a", 120),
        Event::Announce("a", 200),
    ]);
    assert_eq!(owner(&endpoints, 119), some("a", true));
    assert_eq!(owner(&endpoints, 180), some("a", false));
    assert_eq!(owner(&endpoints, 210), some("a", true));
}

#[test]
fn what_an_earlier_sdp_said_of_other_types_is_kept() {
    let call: Arc<str> = "a".into();
    let older: Arc<[Format]> = [format(96, "old"), format(97, "only")].into();
    let newer: Arc<[Format]> = [format(96, "new")].into();
    for newer_first in [false, true] {
        let endpoints = Endpoints::new(10);
        let losses = Losses::default();
        let mut sdps = [(1, &older), (2, &newer)];
        if newer_first {
            sdps.reverse();
        }
        for (s, formats) in sdps {
            endpoints.announce(endpoint(1), &call, seconds(s), &media(formats), &losses);
        }
        let claim = endpoints.claim(endpoint(1), Purpose::Media, seconds(3), None).unwrap();
        assert_eq!(*claim.formats, [format(96, "new"), format(97, "only")]);
        assert_eq!(claim.since, seconds(1));
    }
}

#[test]
fn the_cap_holds_and_evictions_are_counted() {
    let endpoints = Endpoints::new(8);
    let losses = Losses::default();
    let formats: Arc<[Format]> = [].into();
    for n in 0..20u16 {
        let call: Arc<str> = n.to_string().into();
        endpoints.announce(endpoint(n), &call, seconds(u64::from(n)), &media(&formats), &losses);
    }
    assert_eq!(endpoints.len(), 8);
    assert_eq!(losses.get(Loss::EndpointEvicted), 12);
    let left = (0..20).filter(|&n| {
        endpoints
            .claim(endpoint(n), Purpose::Media, seconds(20), None)
            .is_some()
    });
    assert_eq!(left.count(), 8);
}

#[test]
fn an_endpoint_keeps_few_claims_and_those_under_way_longest() {
    let endpoints = Endpoints::new(8);
    let losses = Losses::default();
    let formats: Arc<[Format]> = [].into();
    let announce = |call: &str, s| endpoints.announce(endpoint(1), &call.into(), seconds(s), &media(&formats), &losses);
    announce("lasting", 1);
    for n in 2..10u64 {
        let call = n.to_string();
        announce(&call, n * 10);
        endpoints.release(&call.as_str().into(), seconds(n * 10 + 5), &losses);
    }
    assert_eq!(owner(&endpoints, 500), some("lasting", true));
    assert_eq!(losses.get(Loss::EndpointEvicted), 0, "calls that are over");
    for call in ["p", "q", "r", "s"] {
        announce(call, 600);
    }
    assert_eq!(losses.get(Loss::EndpointEvicted), 1, "a call under way");
    assert_eq!(endpoints.len(), CLAIMS);
}

/// What a table holds: announcements, and calls that places and [`Endpoints::lease`] know.
fn held(endpoints: &Endpoints) -> (usize, usize) {
    let (mut announcements, mut leases) = (0, HashSet::new());
    for at in 0..SHARDS {
        for (_, known) in endpoints.read(at).iter() {
            announcements += known.len();
            leases.extend(known.iter().map(|a| Arc::as_ptr(&a.lease)));
        }
        leases.extend(endpoints.lock_leases(at).iter().map(|(_, lease)| Arc::as_ptr(lease)));
    }
    (announcements, leases.len())
}

/// A flood of offers, each with a place for RTP and one for RTCP; after `ports` of them they are the same again.
fn flooded(endpoints: &Endpoints, calls: std::ops::Range<u32>, ports: u32) {
    let losses = Losses::default();
    let formats: Arc<[Format]> = [].into();
    for n in calls {
        let (call, ts) = (n.to_string().into(), Timestamp::from_nanos(u64::from(n)));
        endpoints.begun_by(1, &call, ts, &losses);
        let [_, a, b, c] = (n % ports).to_be_bytes();
        for port in [1, 2] {
            let place = Endpoint::v4([a, b, c, 1], port);
            endpoints.announce(place, &call, ts, &media(&formats), &losses);
        }
    }
}

#[test]
fn a_flood_leaves_no_more_behind_the_longer_it_lasts() {
    let max = 64 * SHARDS;
    let endpoints = Endpoints::new(max);
    for full in 0..10 {
        flooded(&endpoints, full * 5_000..(full + 1) * 5_000, u32::MAX);
        let (announcements, leases) = held(&endpoints);
        assert_eq!((announcements, endpoints.len()), (max, max));
        // Of calls that are under way places keep the latest, which are the latest calls too.
        assert!(leases < max * 5 / 4, "{leases} calls after {} times as many", full + 1);
    }
}

#[test]
fn calls_that_take_places_over_share_the_cap() {
    let max = 64 * SHARDS;
    for ports in [max as u32 / 8, max as u32 / 2, max as u32 * 2] {
        let endpoints = Endpoints::new(max);
        flooded(&endpoints, 0..30_000, ports);
        let (announcements, leases) = held(&endpoints);
        assert_eq!((announcements, endpoints.len()), (max, max), "{ports} ports");
        assert!(leases <= max * 5 / 4, "{leases} calls on {ports} ports");
        // Whoever was there last has the place.
        let [_, a, b, c] = (29_999 % ports).to_be_bytes();
        let (place, now) = (Endpoint::v4([a, b, c, 1], 1), Timestamp::from_nanos(30_000));
        let claim = endpoints.claim(place, Purpose::Media, now, None).unwrap();
        assert_eq!(&**claim.call_id(), "29999");
    }
}

#[test]
fn calls_without_media_do_not_pile_up() {
    let endpoints = Endpoints::new(SHARDS * SAMPLE);
    let losses = Losses::default();
    for n in 0..100_000u64 {
        endpoints.release(&n.to_string().into(), seconds(n), &losses);
    }
    let held: usize = (0..SHARDS).map(|at| endpoints.lock_leases(at).len()).sum();
    assert!(held <= SHARDS * SAMPLE, "{held}");
    assert_eq!(held as u64 + losses.get(Loss::EndpointEvicted), 100_000);
}

#[test]
fn what_ended_long_ago_is_forgotten() {
    let endpoints = table(&TWO_CALLS);
    let generation = || endpoints.generation([endpoint(2).into()].into_iter());
    let before = generation();
    let losses = Losses::default();
    let formats: Arc<[Format]> = [].into();
    endpoints.announce(endpoint(2), &"lasting".into(), seconds(1), &media(&formats), &losses);
    assert_ne!(generation(), before);
    for _ in 0..SHARDS {
        endpoints.tick(seconds(160 + 30), Duration::from_secs(30));
    }
    assert_eq!(endpoints.len(), 2);
    for _ in 0..SHARDS {
        endpoints.tick(seconds(200), Duration::from_secs(30));
    }
    assert_eq!(endpoints.len(), 1);
    assert!(
        endpoints
            .claim(endpoint(2), Purpose::Media, seconds(1000), None)
            .is_some_and(|claim| claim.active)
    );
    let leases: usize = (0..SHARDS).map(|at| endpoints.lock_leases(at).len()).sum();
    assert_eq!(leases, 1);
}

/// An INVITE without SDP comes long before the answer that has some.
#[test]
fn who_began_a_call_is_known_when_its_first_description_comes() {
    let endpoints = Endpoints::new(100);
    let losses = Losses::default();
    let call: Arc<str> = "a".into();
    endpoints.begun_by(1, &call, seconds(10), &losses);
    let ticks = |s| (0..SHARDS).for_each(|_| endpoints.tick(seconds(s), Duration::from_secs(300)));
    ticks(100);
    endpoints.announce(endpoint(1), &call, seconds(100), &media(&[].into()), &losses);
    let claim = endpoints
        .claim(endpoint(1), Purpose::Media, seconds(101), None)
        .unwrap();
    assert_eq!(claim.side, Some(crate::report::Party::Caller));
    // One that never describes anything does not stay.
    endpoints.begun_by(1, &"b".into(), seconds(110), &losses);
    ticks(500);
    let leases: usize = (0..SHARDS).map(|at| endpoints.lock_leases(at).len()).sum();
    assert_eq!(leases, 1);
}

/// What a listener was told, as a map would hold it.
#[derive(Debug, Default)]
struct Told {
    map: Mutex<HashMap<Endpoint, Vec<u8>>>,
    /// Times of SDP.
    seen: Mutex<Vec<Option<Timestamp>>>,
}

impl Learn for Told {
    fn learn(&self, endpoint: Endpoint, formats: &[Format], level: Option<Level>, seen: Option<Timestamp>) {
        assert_eq!(level, None);
        let types = formats.iter().map(|format| format.payload_type).collect();
        self.map.lock().unwrap().insert(endpoint, types);
        self.seen.lock().unwrap().push(seen);
    }

    fn forget(&self, endpoint: Endpoint) {
        assert!(
            self.map.lock().unwrap().remove(&endpoint).is_some(),
            "{endpoint} was never told"
        );
    }

    fn default_level(&self) -> Level {
        Level::Full
    }
}

impl Told {
    fn ports(&self) -> Vec<u16> {
        let mut ports: Vec<u16> = self.map.lock().unwrap().keys().map(Endpoint::port).collect();
        ports.sort_unstable();
        ports
    }
}

#[test]
fn whoever_listens_is_told_of_every_endpoint_and_of_its_end() {
    let told = Arc::new(Told::default());
    let endpoints = Endpoints::new(100).told_to(Arc::clone(&told) as Arc<dyn Learn>);
    let losses = Losses::default();
    let [first, second] = [format(96, "iLBC"), format(97, "opus")].map(|format| Arc::from([format]));
    let announce = |port, call: &str, s, terms: &Terms| {
        endpoints.announce(endpoint(port), &call.into(), seconds(s), terms, &losses);
    };
    announce(1, "a", 10, &media(&first));
    announce(1, "b", 20, &media(&second));
    let guess = Terms {
        basis: Basis::Symmetric,
        ..media(&first)
    };
    announce(3, "a", 11, &guess);
    let rtcp = Terms {
        purpose: Purpose::Rtcp,
        ..media(&first)
    };
    announce(2, "a", 10, &rtcp);
    endpoints.announce(Place::Ssrc(7), &"a".into(), seconds(10), &media(&first), &losses);
    assert_eq!(
        told.ports(),
        [1, 3],
        "RTCP crosses in any case, and an SSRC is no endpoint"
    );
    assert_eq!(told.map.lock().unwrap()[&endpoint(1)], [97], "the later call's");
    assert_eq!(
        *told.seen.lock().unwrap(),
        [Some(seconds(10)), Some(seconds(20)), None],
        "a guess comes from no SDP"
    );
    endpoints.release(&"b".into(), seconds(30), &losses);
    let sweep = |s| (0..SHARDS).for_each(|_| endpoints.tick(seconds(s), Duration::from_secs(5)));
    sweep(40);
    assert_eq!(told.map.lock().unwrap()[&endpoint(1)], [96], "the call that is left");
    endpoints.release(&"a".into(), seconds(50), &losses);
    sweep(54);
    assert_eq!(told.ports(), [1, 3], "packets may still come");
    sweep(60);
    assert_eq!(told.ports(), [0_u16; 0]);
}

#[test]
fn whoever_listens_never_has_more_than_the_table() {
    let told = Arc::new(Told::default());
    let endpoints = Endpoints::new(10).told_to(Arc::clone(&told) as Arc<dyn Learn>);
    let losses = Losses::default();
    let formats: Arc<[Format]> = [].into();
    for port in 1..=100 {
        let call = format!("call {port}").into();
        endpoints.announce(
            endpoint(port),
            &call,
            seconds(u64::from(port)),
            &media(&formats),
            &losses,
        );
        assert_eq!(told.ports().len(), endpoints.len());
    }
    assert!(endpoints.len() <= 10 && losses.get(Loss::EndpointEvicted) > 0);
}

/// Levels as a map would hold them.
#[derive(Debug, Default)]
struct Levels(Mutex<HashMap<u16, Option<Level>>>);

impl Learn for Levels {
    fn learn(&self, endpoint: Endpoint, _: &[Format], level: Option<Level>, _: Option<Timestamp>) {
        self.0.lock().unwrap().insert(endpoint.port(), level);
    }

    fn forget(&self, endpoint: Endpoint) {
        self.0.lock().unwrap().remove(&endpoint.port());
    }

    fn default_level(&self) -> Level {
        Level::Signaling
    }
}

/// A call that is moved again and again, or offers many candidates.
#[test]
fn places_that_are_not_told_again_cross_at_any_level() {
    let levels = Arc::new(Levels::default());
    let endpoints = Endpoints::new(1_000).told_to(Arc::clone(&levels) as Arc<dyn Learn>);
    let losses = Losses::default();
    let call: Arc<str> = "a".into();
    for round in 1..3 {
        for port in 1..=100 {
            endpoints.announce(endpoint(port), &call, seconds(round), &media(&[].into()), &losses);
        }
    }
    let ruling = Arc::new(crate::rules::Ruling {
        name: "one".to_owned(),
        level: Level::Headers,
        tally: Arc::default(),
        asks: 1,
    });
    endpoints.change_rule("a", 1, Some(&ruling));
    let told = levels.0.lock().unwrap();
    let of = |level| told.values().filter(|told| **told == Some(level)).count();
    assert_eq!((of(Level::Headers), of(Level::Full), told.len()), (64, 36, 100));
}
