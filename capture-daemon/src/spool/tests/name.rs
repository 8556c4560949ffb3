//! Names of files: written, recognised, refused; and the ends of intervals.

use std::time::Duration;

use proptest::prelude::*;

use super::{NINE, seconds};
use crate::config;
use crate::spool::name::{Names, Parts, TemplateError, interval_end, time_text};
use crate::time::Timestamp;

fn parts<'n>(lane: usize, number: u32, extension: &'n str) -> Parts<'n> {
    Parts {
        lane,
        time: "20261121T090000Z",
        number,
        extension,
    }
}

#[test]
fn the_default_template_says_interface_lane_time_and_format() {
    let names = Names::new(&config::Spool::default().template, "eth0.7").unwrap();
    assert_eq!(time_text(NINE), "20261121T090000Z");
    assert_eq!(
        names.name(&parts(3, 0, "pcap")),
        "siphon-eth0.7-q3-20261121T090000Z.pcap"
    );
    assert_eq!(
        names.name(&parts(3, 2, "pcapng")),
        "siphon-eth0.7-q3-20261121T090000Z-2.pcapng"
    );
}

#[test]
fn foreign_names_are_not_ours() {
    let names = Names::new("siphon-{interface}-q{lane}-{time}.{extension}", "eth0").unwrap();
    let ours = "siphon-eth0-q0-20261121T090000Z.pcap";
    assert!(names.parts(ours).is_some());
    for foreign in [
        "",
        "siphon-eth1-q0-20261121T090000Z.pcap",
        "siphon-eth0-q-20261121T090000Z.pcap",
        "siphon-eth0-qa-20261121T090000Z.pcap",
        "siphon-eth0-q0-20261121T09000Z.pcap",
        "siphon-eth0-q0-20261121T090000Z.pcap.part",
        "siphon-eth0-q0-20261121T090000Z-.pcap",
        "siphon-eth0-q0-20261121T090000Z-x.pcap",
        "siphon-eth0-q0-20261121T090000Z.pcap.gz",
        "my-siphon-eth0-q0-20261121T090000Z.pcap",
        "siphon-eth0-q0-20261121t090000Z.pcap",
        "siphon-eth0-q0-2026112\u{e9}090000Z.pcap",
    ] {
        assert_eq!(names.parts(foreign), None, "{foreign}");
    }
}

#[test]
fn templates_that_cannot_work_are_refused() {
    let refused = |template| Names::new(template, "eth0").unwrap_err();
    assert_eq!(refused("{lane}"), TemplateError::Missing("time"));
    assert_eq!(refused("{time}"), TemplateError::Missing("lane"));
    assert_eq!(refused("{lane}{time}{lane}"), TemplateError::Twice("lane"));
    assert_eq!(refused("{time}{lane}"), TemplateError::Adjacent);
    assert_eq!(refused("{lane}-{date}"), TemplateError::Unknown("date".to_owned()));
    assert_eq!(refused("{lane}-{time"), TemplateError::Brace);
    assert_eq!(refused("lane}-{time}"), TemplateError::Brace);
    assert_eq!(refused("a/{lane}-{time}"), TemplateError::Slash);
    assert_eq!(refused("{lane}-{time}.part"), TemplateError::Part);
    assert_eq!(Names::new("{interface}{lane}{time}", "../x"), Err(TemplateError::Slash));
}

#[test]
fn intervals_end_at_multiples_since_midnight_utc() {
    let at = |ts: Timestamp, interval| interval_end(ts, seconds(interval));
    assert_eq!(at(NINE, 3_600), NINE.plus(seconds(3_600)));
    assert_eq!(at(NINE.minus(Duration::from_nanos(1)), 3_600), NINE);
    // Seven hours do not divide the day: 7, 14, 21, midnight.
    assert_eq!(at(NINE, 7 * 3_600), NINE.plus(seconds(5 * 3_600)));
    assert_eq!(
        at(NINE.plus(seconds(13 * 3_600)), 7 * 3_600),
        NINE.plus(seconds(15 * 3_600))
    );
    assert_eq!(at(NINE, 86_400), NINE.plus(seconds(15 * 3_600)));
    assert_eq!(at(NINE, 0), Timestamp::from_nanos(u64::MAX));
    assert_eq!(
        at(Timestamp::from_nanos(u64::MAX), 3_600),
        Timestamp::from_nanos(u64::MAX)
    );
    // Two days since the epoch: the 20,778th day has begun, and is an even one.
    assert_eq!(at(NINE, 2 * 86_400), NINE.plus(seconds(39 * 3_600)));
}

proptest! {
    #[test]
    fn what_is_written_is_recognised(
        lane in 0..999_999_usize, number in 0..999_999_u32, ng: bool, template in 0..4_usize,
    ) {
        let templates = ["siphon-{interface}-q{lane}-{time}.{extension}", "{lane}{time}", "{time}.{lane}.x", "{time}-{lane}{extension}"];
        let names = Names::new(templates[template], "eth0").unwrap();
        let extension = if ng { "pcapng" } else { "pcap" };
        let name = names.name(&parts(lane, number, extension));
        let read = names.parts(&name);
        let extension = if templates[template].contains("{extension}") { extension } else { "" };
        prop_assert_eq!(read, Some(parts(lane, number, extension)), "{}", name);
    }

    #[test]
    fn an_interval_ends_after_the_moment_and_within_its_length(nanos in 0..u64::MAX / 2, interval in 1..400_000_u64) {
        let (ts, interval) = (Timestamp::from_nanos(nanos), seconds(interval));
        let end = interval_end(ts, interval);
        prop_assert!(end > ts && end.since(ts) <= interval);
        prop_assert!(interval_end(end, interval) > end);
    }

    #[test]
    fn no_name_makes_the_matching_panic(name in "\\PC{0,60}") {
        let names = Names::new("{lane}-{time}", "eth0").unwrap();
        prop_assert!(names.parts(&name).is_none_or(|parts| parts.time.len() == 16));
    }
}
