//! `siphon health`: the exit status is that of a monitoring plugin.

use std::process::ExitCode;

use clap::Args;

use super::text::{count, duration, moment, printable};
use super::{Daemon, Style};
use crate::control::{self, Ask, Light};

/// Exit status for no answer, as UNKNOWN of the Monitoring Plugins' guidelines.
pub(super) const NO_ANSWER: u8 = 3;

#[derive(Debug, Args)]
pub(super) struct Health {
    #[command(flatten)]
    daemon: Daemon,
}

impl Health {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let health: control::Health = self.daemon.show(&Ask::Health, text)?;
        // OK, WARNING and CRITICAL of the same guidelines.
        Ok(ExitCode::from(match health.status {
            Light::Green => 0,
            Light::Yellow => 1,
            Light::Red => 2,
        }))
    }
}

/// A traffic light's word in its colour.
fn light(light: Light, style: Style) -> String {
    let code = match light {
        Light::Green => 32,
        Light::Yellow => 33,
        Light::Red => 31,
    };
    if style.colour {
        format!("\u{1b}[{code}m{}\u{1b}[0m", light.label())
    } else {
        light.label().to_owned()
    }
}

/// Health for people: a line, and two for each reason.
fn text(health: &control::Health, style: Style) -> String {
    let mut text = format!(
        "{}: siphon {} on {}, up {}: {} active calls, {} streams, {} frames seen, {} dropped\n",
        light(health.status, style),
        health.version,
        health.interface,
        duration(health.uptime_s * 1000.0),
        count(health.active_calls),
        count(health.streams),
        count(health.seen),
        count(health.dropped),
    );
    for reason in &health.reasons {
        text.push_str(&format!(
            "{}: {} since {} UTC\n    {}\n",
            light(reason.status, style),
            printable(&reason.what),
            moment(reason.since),
            printable(&reason.detail)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Reason;
    use crate::time::Timestamp;

    #[test]
    fn says_why() {
        let health = control::Health {
            status: Light::Yellow,
            reasons: vec![Reason {
                what: "ring_drops".to_owned(),
                status: Light::Yellow,
                since: Timestamp::from_nanos(1_795_251_600_000_000_000),
                detail: "7 frames found the rx ring of queue 1 full".to_owned(),
            }],
            uptime_s: 3_725.5,
            version: "0.1.0".to_owned(),
            interface: "mirror0".to_owned(),
            active_calls: 1_200,
            streams: 2_400,
            seen: 1_000_000,
            dropped: 7,
        };
        assert_eq!(
            text(&health, Style::PLAIN),
            "yellow: siphon 0.1.0 on mirror0, up 1h 02m: 1,200 active calls, 2,400 streams, 1,000,000 frames seen, 7 dropped\n\
             yellow: ring_drops since 2026-11-21 09:00:00 UTC\n    \
             7 frames found the rx ring of queue 1 full\n"
        );
        let coloured = Style {
            colour: true,
            ..Style::PLAIN
        };
        assert!(text(&health, coloured).starts_with("\u{1b}[33myellow\u{1b}[0m: siphon"));
    }
}
