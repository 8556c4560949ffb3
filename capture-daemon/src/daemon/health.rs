//! The traffic light: what is not as it should be, and since when.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::control::{Health, Light, Reason, Status};
use crate::program::Presence;
use crate::spool::SpoolHealth;
use crate::time::Timestamp;

/// What was lost longer ago than this no longer colours the light.
const WINDOW: Duration = Duration::from_secs(60);

/// Above this part of the frames, in percent, loss is red.
const RED_PERCENT: u64 = 1;

/// So many frames on the interface in a minute of which the program saw none are no accident of reading.
const BLIND: u64 = 1_000;

/// A file system fuller than this, in percent, is worth a look.
const DISK_PERCENT: u64 = 90;

/// The figures the light depends on, cheap enough to take every second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Frames the program captured since the start.
    pub captured: u64,
    /// Frames the interface received, by its own count.
    pub received: u64,
    /// Frames the program saw since the start.
    pub seen: u64,
    /// Frames lost since the start, by what the light calls it.
    pub lost: BTreeMap<&'static str, u64>,
    /// Entries that left full tables since the start.
    pub evicted: u64,
    /// Endpoints of calls that could not be written into the kernel program's map since the start.
    pub unlearned: u64,
    /// Stages whose identity does not hold.
    pub violated: Vec<&'static str>,
    /// Whether frames can come in on the interface.
    pub presence: Presence,
    /// What keeps lanes from capturing.
    pub faults: Vec<String>,
    /// Queues whose worker has ended though nobody told it to.
    pub gone: Vec<u32>,
    /// How the spool does.
    pub spool: Option<SpoolHealth>,
    /// Bytes free and in all on the spool's file system.
    pub disk: Option<(u64, u64)>,
}

/// Time between two samples that are kept; what is asked more often is compared with the same ones.
const PERIOD: Duration = Duration::from_secs(1);

/// Watches the vitals over time.
#[derive(Debug, Default)]
pub struct Watch {
    /// At most one for each period of the window, and the one before: by time since the start, which no step of the wall
    /// clock shakes.
    samples: VecDeque<(Duration, Vitals)>,
    /// Reasons as of the last look.
    reasons: Vec<Reason>,
}

impl Watch {
    /// Takes the figures at `now` of the wall clock, `uptime` after the start.
    pub fn observe(&mut self, now: Timestamp, uptime: Duration, vitals: Vitals) {
        let is_old = |(taken, _): &(Duration, Vitals)| uptime.saturating_sub(*taken) >= WINDOW;
        // The one before the window stays, as what it is compared with.
        while self.samples.get(1).is_some_and(is_old) {
            self.samples.pop_front();
        }
        let before = self
            .samples
            .front()
            .map_or_else(Vitals::default, |(_, before)| before.clone());
        let mut reasons = found(&before, &vitals);
        for reason in &mut reasons {
            let known = self.reasons.iter().find(|known| known.what == reason.what);
            reason.since = match (known, &vitals.spool) {
                (Some(known), _) => known.since,
                (None, Some(SpoolHealth::Red { since, .. })) if reason.what == SPOOL => *since,
                (None, _) => now,
            };
        }
        self.reasons = reasons;
        let latest = self.samples.back().map(|(taken, _)| *taken);
        if latest.is_none_or(|latest| uptime.saturating_sub(latest) >= PERIOD) {
            self.samples.push_back((uptime, vitals));
        }
    }

    /// The answer to `health`.
    pub fn health(&self, status: &Status) -> Health {
        let count = |state: &str| status.calls.states.get(state).copied().unwrap_or_default();
        Health {
            status: self
                .reasons
                .iter()
                .map(|reason| reason.status)
                .max()
                .unwrap_or_default(),
            reasons: self.reasons.clone(),
            uptime_s: status.uptime_s,
            version: status.version.clone(),
            interface: status.interface.clone(),
            active_calls: count("trying") + count("ringing") + count("answered"),
            streams: status.lanes.iter().map(|lane| lane.streams).sum::<u64>()
                + status.measured.as_ref().map_or(0, |measured| measured.streams),
            seen: status.identity.program.seen,
            dropped: status
                .identity
                .stages()
                .iter()
                .flat_map(|(_, stage)| stage.dropped.values())
                .sum(),
        }
    }
}

const SPOOL: &str = "spool_not_writing";

/// What is wrong with `now`, given how it was at the start of the window. `since` is left to the caller.
fn found(before: &Vitals, now: &Vitals) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let mut add = |what: &str, status, detail| {
        let what = what.to_owned();
        reasons.push(Reason {
            what,
            status,
            since: Timestamp::ZERO,
            detail,
        });
    };
    match now.presence {
        Presence::Up => {}
        Presence::NoCarrier => add(
            "interface_no_carrier",
            Light::Red,
            "there is no signal on the line; nothing comes in".to_owned(),
        ),
        Presence::Down => add(
            "interface_down",
            Light::Red,
            "the interface is down; nothing comes in until it is set up".to_owned(),
        ),
        Presence::Gone => add(
            "interface_gone",
            Light::Red,
            "the interface was removed or has another name; restart siphon when it is back".to_owned(),
        ),
    }
    for fault in &now.faults {
        add("interface_fault", Light::Red, fault.clone());
    }
    for queue in &now.gone {
        add(
            "worker_gone",
            Light::Red,
            format!("the worker of queue {queue} has ended; restart siphon"),
        );
    }
    for stage in &now.violated {
        add(
            "identity_violated",
            Light::Red,
            format!(
                "{stage}: frames came out that never went in, or have no place; `siphon status` has the figures, which cannot be \
                 trusted"
            ),
        );
    }
    let received = now.received.saturating_sub(before.received);
    // Before the first look there is nothing to compare with.
    if before.received > 0 && received >= BLIND && now.seen == before.seen {
        add(
            "program_blind",
            Light::Red,
            format!(
                "the interface received {received} frames in the last minute and the kernel program saw none: another program \
                 has taken its place; restart siphon"
            ),
        );
    }
    if let Some(SpoolHealth::Red { error, .. }) = &now.spool {
        add(
            SPOOL,
            Light::Red,
            format!("{error}; frames are captured and counted, but not kept"),
        );
    }
    let captured = now.captured.saturating_sub(before.captured);
    for (what, lost) in &now.lost {
        let lost = lost.saturating_sub(before.lost.get(what).copied().unwrap_or_default());
        if lost > 0 {
            let light = if lost.saturating_mul(100) > captured.saturating_mul(RED_PERCENT) {
                Light::Red
            } else {
                Light::Yellow
            };
            add(
                what,
                light,
                format!(
                    "{lost} frames in the last minute, {captured} captured: {}",
                    advice(what)
                ),
            );
        }
    }
    let evicted = now.evicted.saturating_sub(before.evicted);
    if evicted > 0 {
        add(
            "table_full",
            Light::Yellow,
            format!("{evicted} entries left full tables in the last minute; raise the caps in [follow]"),
        );
    }
    let unlearned = now.unlearned.saturating_sub(before.unlearned);
    if unlearned > 0 {
        add(
            "endpoints_unlearned",
            Light::Yellow,
            format!(
                "{unlearned} endpoints of calls could not be written into the kernel program's map in the last minute, and their media is \
                 missed; the log has the first one's errno"
            ),
        );
    }
    if let Some((free, size)) = now.disk
        && size > 0
        && free.saturating_mul(100) < size.saturating_mul(100 - DISK_PERCENT)
    {
        let percent = 100 - free.saturating_mul(100) / size;
        add(
            "disk_filling",
            Light::Yellow,
            format!("the spool's file system is {percent} % full; see spool.max_total and spool.max_age"),
        );
    }
    reasons
}

/// What an operator may do about a loss.
fn advice(what: &str) -> &'static str {
    match what {
        "ring_drops" => {
            "a worker did not keep up; more rx queues, CPUs of their own (capture.cpus) or larger rings help"
        }
        "spool_drops" => "the disk did not keep up; a faster disk, more spool.chunks or narrower ports help",
        "interface_drops" => "the interface lost them before siphon; larger NIC rings help",
        _ => "see `siphon status`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_nanos(second * 1_000_000_000)
    }

    fn lost(captured: u64, frames: u64) -> Vitals {
        Vitals {
            captured,
            lost: BTreeMap::from([("ring_drops", frames)]),
            ..Vitals::default()
        }
    }

    fn light(watch: &Watch) -> Light {
        watch.health(&Status::default()).status
    }

    fn observe(watch: &mut Watch, second: u64, vitals: Vitals) {
        watch.observe(at(second), Duration::from_secs(second), vitals);
    }

    #[test]
    fn questions_and_steps_of_the_clock_keep_no_samples() {
        let mut watch = Watch::default();
        for millisecond in 0..100_000 {
            // The wall clock is set back by a day in the middle.
            let wall = at(if millisecond < 50_000 { 200_000 } else { 100_000 });
            let lost = lost(millisecond * 1_000, u64::from(millisecond >= 30_000));
            watch.observe(wall, Duration::from_millis(millisecond), lost);
            assert!(watch.samples.len() <= 62, "{}", watch.samples.len());
            let expected = match millisecond {
                30_000..90_000 => Light::Yellow,
                _ => Light::Green,
            };
            assert_eq!(light(&watch), expected, "{millisecond}");
        }
    }

    #[test]
    fn loss_is_yellow_red_beyond_one_percent_and_over_after_a_minute() {
        let mut watch = Watch::default();
        observe(&mut watch, 0, lost(0, 0));
        assert_eq!(light(&watch), Light::Green);
        observe(&mut watch, 1, lost(1000, 10));
        assert_eq!(light(&watch), Light::Yellow);
        observe(&mut watch, 2, lost(1000, 11));
        assert_eq!(light(&watch), Light::Red);
        assert_eq!(watch.reasons[0].since, at(1));
        for second in 3..=63 {
            observe(&mut watch, second, lost(1000, 11));
        }
        assert_eq!(light(&watch), Light::Green, "{:?}", watch.reasons);
    }

    #[test]
    fn a_spool_that_does_not_write_is_red_since_it_stopped() {
        let mut watch = Watch::default();
        let red = SpoolHealth::Red {
            since: at(5),
            reason: "disk_full",
            error: "write x: no space".to_owned(),
        };
        observe(
            &mut watch,
            6,
            Vitals {
                spool: Some(red),
                ..Vitals::default()
            },
        );
        assert_eq!(light(&watch), Light::Red);
        assert_eq!(watch.reasons[0].since, at(5));
        observe(
            &mut watch,
            7,
            Vitals {
                spool: Some(SpoolHealth::Green { since: at(7) }),
                ..Vitals::default()
            },
        );
        assert_eq!(light(&watch), Light::Green);
    }

    #[test]
    fn each_trouble_has_its_light() {
        let cases = [
            (
                Vitals {
                    faults: vec!["eth0 queue 0: poll: Network is down".to_owned()],
                    ..Vitals::default()
                },
                Light::Red,
            ),
            (
                Vitals {
                    presence: Presence::NoCarrier,
                    ..Vitals::default()
                },
                Light::Red,
            ),
            (
                Vitals {
                    presence: Presence::Down,
                    ..Vitals::default()
                },
                Light::Red,
            ),
            (
                Vitals {
                    presence: Presence::Gone,
                    ..Vitals::default()
                },
                Light::Red,
            ),
            (
                Vitals {
                    gone: vec![1],
                    ..Vitals::default()
                },
                Light::Red,
            ),
            (
                Vitals {
                    received: 3_000,
                    ..Vitals::default()
                },
                Light::Red,
            ),
            (
                Vitals {
                    received: 3_000,
                    seen: 1,
                    ..Vitals::default()
                },
                Light::Green,
            ),
            (
                Vitals {
                    received: 1_500,
                    ..Vitals::default()
                },
                Light::Green,
            ),
            (
                Vitals {
                    violated: vec!["engine"],
                    ..Vitals::default()
                },
                Light::Red,
            ),
            (
                Vitals {
                    evicted: 1,
                    ..Vitals::default()
                },
                Light::Yellow,
            ),
            (
                Vitals {
                    disk: Some((9, 100)),
                    ..Vitals::default()
                },
                Light::Yellow,
            ),
            (
                Vitals {
                    disk: Some((10, 100)),
                    ..Vitals::default()
                },
                Light::Green,
            ),
        ];
        for (vitals, expected) in cases {
            let mut watch = Watch::default();
            let first = Vitals {
                received: 1_000,
                ..Vitals::default()
            };
            observe(&mut watch, 0, first);
            observe(&mut watch, 1, vitals.clone());
            assert_eq!(light(&watch), expected, "{vitals:?}");
        }
    }
}
