//! The policy where there is no kernel program to have it: the same functions (`capture_common::find`, `decide`, `settle`) over
//! tables of a lane's own, so that a frame has the verdict it would have in the other modes.

use std::cell::RefCell;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use capture_common::{
    Decision, EndpointEntry, EndpointKey, FragmentKey, Level, Media, MediaSettings, MediaTables, PortFlags, PortTable,
    Tables, Tunnels, Verdict, find, media, settle,
};
use foldhash::fast::RandomState;

use crate::config::Capture;
use crate::media::{Format, Learn};
use crate::net::Endpoint;
use crate::time::Timestamp;

/// First fragments that are remembered at once, as many as the kernel program does.
const FRAGMENTS: usize = 16_384;

/// How long the decision on a first fragment is believed, in nanoseconds, as by the kernel program: IPv4's identification comes
/// round again in seconds.
const LIFE_NS: u64 = 3_000_000_000;

/// Whether some call has a level of its own. The lanes then leave it to the engine how much is kept of RTP, as only that
/// knows whose it is.
#[derive(Debug)]
pub struct Levels {
    default: Level,
    are_told: AtomicBool,
}

impl Levels {
    /// None so far; of other calls `default` is kept.
    pub fn new(default: Level) -> Self {
        Self {
            default,
            are_told: AtomicBool::new(false),
        }
    }

    #[inline]
    fn are_told(&self) -> bool {
        self.are_told.load(Ordering::Relaxed)
    }
}

impl Learn for Levels {
    fn learn(&self, _: Endpoint, _: &[Format], level: Option<Level>, _: Option<Timestamp>) {
        if level.is_some() {
            self.are_told.store(true, Ordering::Relaxed);
        }
    }

    fn forget(&self, _: Endpoint) {}

    fn default_level(&self) -> Level {
        self.default
    }
}

/// What a lane decides by.
#[derive(Debug)]
pub(super) struct Policy {
    lookups: Lookups,
    settings: MediaSettings,
    levels: Arc<Levels>,
}

impl Policy {
    /// That of a configuration.
    pub fn new(capture: &Capture, levels: Arc<Levels>) -> Self {
        Self {
            lookups: Lookups {
                ports: capture.port_table(),
                tunnels: capture.tunnels.iter().copied().collect(),
                fragments: RefCell::new(Fragments::new()),
            },
            settings: MediaSettings::new(capture.media, capture.level, false, capture.early_packets),
            levels,
        }
    }

    /// Decides on a frame that came at `now`.
    #[inline]
    pub fn decide(&self, frame: &[u8], now: Timestamp) -> Decision {
        let finding = find(frame, &self.lookups);
        let mut decision = Decision {
            verdict: finding.verdict,
            cut_to: 0,
        };
        if finding.verdict == Verdict::Media {
            let settings = self.settings();
            if !settings.take_all() {
                decision = media::decide(frame, &finding.place, finding.is_fragment(), &settings, &self.lookups);
            }
        }
        if finding.is_fragment() {
            self.lookups.fragments.borrow_mut().now = now.as_nanos();
            decision.verdict = settle(frame, &finding, decision.verdict, &self.lookups);
        }
        decision
    }

    fn settings(&self) -> MediaSettings {
        if self.levels.are_told() && !self.settings.is(Media::Off) {
            MediaSettings::new(Media::Range, Level::Full, false, 0)
        } else {
            self.settings
        }
    }
}

/// What the policy looks up.
struct Lookups {
    ports: Box<PortTable>,
    tunnels: Tunnels,
    fragments: RefCell<Fragments>,
}

impl fmt::Debug for Lookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookups")
            .field("tunnels", &self.tunnels)
            .finish_non_exhaustive()
    }
}

impl Tables for Lookups {
    fn tunnels(&self) -> Tunnels {
        self.tunnels
    }

    #[inline]
    fn port(&self, port: u16) -> PortFlags {
        self.ports.flags(port)
    }

    fn recall(&self, key: &FragmentKey) -> Option<bool> {
        self.fragments.borrow().recall(key)
    }

    fn remember(&self, key: &FragmentKey, wanted: bool) {
        self.fragments.borrow_mut().remember(key, wanted);
    }
}

/// Nothing is known of endpoints: the configuration refuses what would ask for them.
impl MediaTables for Lookups {
    fn endpoint(&self, _: &EndpointKey) -> Option<&EndpointEntry> {
        None
    }

    fn is_early(&self, _: &EndpointKey, _: u32) -> bool {
        false
    }
}

/// The decisions on first fragments. A place for each hash: what comes to a place that is taken has it, and the later fragments
/// of the datagram that had it are captured as unknown.
#[derive(Debug)]
struct Fragments {
    places: Box<[Option<First>]>,
    /// Seeded: who sends fragments chooses the keys.
    hasher: RandomState,
    /// When the frame at hand came, in nanoseconds.
    now: u64,
}

/// What was decided on a first fragment.
#[derive(Clone, Copy, Debug)]
struct First {
    key: FragmentKey,
    at: u64,
    wanted: bool,
}

impl Fragments {
    fn new() -> Self {
        Self {
            places: vec![None; FRAGMENTS].into_boxed_slice(),
            hasher: RandomState::default(),
            now: 0,
        }
    }

    fn place(&self, key: &FragmentKey) -> usize {
        self.hasher.hash_one(key) as usize % FRAGMENTS
    }

    fn recall(&self, key: &FragmentKey) -> Option<bool> {
        let first = self.places.get(self.place(key))?.as_ref()?;
        (first.key == *key && self.now.abs_diff(first.at) < LIFE_NS).then_some(first.wanted)
    }

    fn remember(&mut self, key: &FragmentKey, wanted: bool) {
        let (place, at) = (self.place(key), self.now);
        if let Some(place) = self.places.get_mut(place) {
            *place = Some(First { key: *key, at, wanted });
        }
    }
}

#[cfg(test)]
mod tests {
    use capture_common::Tunnel;

    use super::*;
    use crate::config::PortRange;

    fn capture() -> Capture {
        Capture {
            media_ports: vec![PortRange {
                first: 20_000,
                last: 20_999,
            }],
            ..Capture::default()
        }
    }

    fn policy(capture: &Capture) -> (Policy, Arc<Levels>) {
        let levels = Arc::new(Levels::new(capture.level));
        (Policy::new(capture, Arc::clone(&levels)), levels)
    }

    /// UDP in IPv4 in Ethernet; `fragment` is the field of flags and offset.
    fn datagram(port: u16, id: u16, fragment: u16, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
        frame.extend((28 + payload.len() as u16).to_be_bytes());
        frame.extend(id.to_be_bytes());
        frame.extend(fragment.to_be_bytes());
        frame.extend([64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend(port.to_be_bytes());
        frame.extend(port.to_be_bytes());
        frame.extend((8 + payload.len() as u16).to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(payload);
        frame
    }

    fn rtp() -> Vec<u8> {
        datagram(
            20_000,
            0,
            0,
            &[&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7][..], &[9; 160]].concat(),
        )
    }

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::from_nanos(milliseconds * 1_000_000)
    }

    #[test]
    fn ports_and_levels_decide_as_in_the_kernel() {
        let plain = capture();
        let level = |level| Capture { level, ..plain.clone() };
        let off = Capture {
            media: Media::Off,
            ..plain.clone()
        };
        let (rtp, sip) = (rtp(), datagram(5060, 0, 0, b"OPTIONS sip:a SIP/2.0\r\n\r\n"));
        let rtcp = datagram(20_001, 0, 0, &[0x80, 200, 0, 6, 0, 0, 0, 7]);
        let cases = [
            (&plain, Verdict::Media, 0, Verdict::Media),
            (
                &level(Level::Headers),
                Verdict::MediaHeaders,
                14 + 20 + 8 + 12,
                Verdict::MediaControl,
            ),
            (
                &level(Level::Signaling),
                Verdict::MediaByLevel,
                0,
                Verdict::MediaControl,
            ),
            (&off, Verdict::MediaOff, 0, Verdict::MediaControl),
        ];
        for (capture, verdict, cut_to, of_rtcp) in cases {
            let (policy, _) = policy(capture);
            assert_eq!(policy.decide(&rtp, at(0)), Decision { verdict, cut_to });
            assert_eq!(policy.decide(&rtcp, at(0)).verdict, of_rtcp);
            assert_eq!(policy.decide(&sip, at(0)).verdict, Verdict::Sip);
            let other = datagram(53, 0, 0, b"a question");
            assert_eq!(policy.decide(&other, at(0)).verdict, Verdict::OtherPorts);
        }
    }

    #[test]
    fn once_a_call_has_its_own_level_the_engine_decides() {
        let endpoint = Endpoint::new([10, 0, 0, 2].into(), 20_000);
        for (media, verdict) in [(Media::Range, Verdict::Media), (Media::Off, Verdict::MediaOff)] {
            let (policy, levels) = policy(&Capture {
                media,
                level: Level::Signaling,
                ..capture()
            });
            assert_eq!(levels.default_level(), Level::Signaling);
            levels.learn(endpoint, &[], None, None);
            assert_ne!(policy.decide(&rtp(), at(0)).verdict, Verdict::Media);
            levels.learn(endpoint, &[], Some(Level::Full), None);
            levels.forget(endpoint);
            assert_eq!(policy.decide(&rtp(), at(0)), Decision { verdict, cut_to: 0 });
        }
    }

    #[test]
    fn fragments_of_a_datagram_share_a_fate_for_a_while() {
        let (policy, _) = policy(&capture());
        let first = |port, id| datagram(port, id, 0x2000, &[7; 8]);
        let later = |id| datagram(0, id, 2, &[7; 8]);
        assert_eq!(policy.decide(&later(1), at(0)).verdict, Verdict::FragmentUnknown);
        assert_eq!(policy.decide(&first(5060, 1), at(0)).verdict, Verdict::FragmentFirst);
        assert_eq!(policy.decide(&first(53, 2), at(0)).verdict, Verdict::OtherPorts);
        assert_eq!(policy.decide(&later(1), at(2_999)).verdict, Verdict::FragmentLater);
        assert_eq!(policy.decide(&later(2), at(2_999)).verdict, Verdict::FragmentUnwanted);
        assert_eq!(policy.decide(&later(1), at(3_000)).verdict, Verdict::FragmentUnknown);
    }

    #[test]
    fn a_flood_of_fragments_takes_no_more_room() {
        let (policy, _) = policy(&capture());
        for id in 0..=u16::MAX {
            policy.decide(&datagram(5060, id, 0x2000, &[7; 8]), at(0));
        }
        assert_eq!(policy.lookups.fragments.borrow().places.len(), FRAGMENTS);
        assert_eq!(
            policy.decide(&datagram(0, u16::MAX, 2, &[]), at(0)).verdict,
            Verdict::FragmentLater,
            "the latest is known"
        );
    }

    #[test]
    fn tunnels_of_the_configuration_are_looked_into() {
        let inner = &datagram(5060, 0, 0, b"OPTIONS sip:a SIP/2.0\r\n\r\n");
        let vxlan = datagram(4789, 0, 0, &[&[8, 0, 0, 0, 0, 0, 1, 0], &inner[..]].concat());
        let (named, _) = policy(&Capture {
            tunnels: vec![Tunnel::Vxlan],
            ..capture()
        });
        assert_eq!(named.decide(&vxlan, at(0)).verdict, Verdict::Sip);
        let (other, _) = policy(&capture());
        assert_eq!(other.decide(&vxlan, at(0)).verdict, Verdict::OtherPorts);
    }
}
