//! `cargo xtask demo`: real calls on a mirror port, siphon on it, and tshark's opinion of the files it wrote.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::Value;
use xtask::lab::compare::{Answers, Row, side_by_side, table};
use xtask::lab::mirror::TAP;
use xtask::lab::siphon::{METRICS, Siphon, sum};
use xtask::lab::sipp::{Caller, Calls, Kind, Telephones, Transport};
use xtask::lab::{Need, Network, Scratch, http, interrupt, tshark};

use crate::step::step;
use crate::{build, setup};

/// How long each side of a call talks.
const TALK: Duration = Duration::from_secs(4);

/// Rx queues of the mirror port.
const QUEUES: u32 = 2;

/// What is placed, all at once: kind, transport, count.
const PLACED: &[(Kind, Transport, u32)] = &[
    (Kind::Answered, Transport::Udp, 20),
    (Kind::Answered, Transport::Tcp, 5),
    (Kind::Busy, Transport::Udp, 2),
    (Kind::Cancelled, Transport::Udp, 1),
    (Kind::Forbidden, Transport::Udp, 1),
    (Kind::Registration, Transport::Udp, 3),
];

/// Calls begun in a second, of each kind.
const RATE: u32 = 5;

/// Metrics shown, by the beginning of their lines.
const EXCERPT: &[&str] = &[
    "siphon_health{",
    "siphon_stage_identity_holds",
    "siphon_program_verdicts_total{verdict=\"media\"}",
    "siphon_program_verdicts_total{verdict=\"sip\"}",
    "siphon_lane_frames_total",
    "siphon_call_results_total",
    "siphon_sip_requests_total{method=\"INVITE\"}",
    "siphon_sip_responses_total{code=\"200\"}",
    "siphon_spool_written_frames_total",
];

/// How long siphon may take to stop.
const STOP: Duration = Duration::from_secs(10);

/// Installs, builds, captures, shows.
///
/// # Errors
/// Without root, when a step fails, or when siphon and tshark do not agree.
pub fn run() -> Result<()> {
    if let Some(reason) = Need::Root.missing() {
        bail!("the demo makes network namespaces: {reason}");
    }
    step("setup", || setup::run(setup::Purpose::Build))?;
    let program = step("build", build::siphon)?;
    interrupt::clean_up_on_signals()?;

    let network = Network::new(QUEUES)?;
    let scratch = Scratch::new("demo")?;
    println!(
        "two hosts on a switch; its mirror port is {TAP} in {}",
        network.sensor.name()
    );
    let mut siphon = Siphon::start(&network.sensor, &program, scratch.path(), "")?;
    let mut telephones = Telephones::start(&network, TALK)?;
    let mut callers = Vec::new();
    for (kind, transport, count) in PLACED.iter().copied() {
        println!("{count:3} {}", placed(kind, transport));
        callers.push(telephones.call(Calls {
            kind,
            transport,
            count,
            rate: RATE,
        })?);
    }
    watch(&siphon, &mut callers)?;
    for caller in callers {
        caller.finish()?;
    }
    drop(telephones);

    let sent = network.mirrored()?;
    let status = siphon.wait_seen(sent.frames)?;
    title("siphon calls");
    siphon.show("calls")?;
    title("siphon health");
    siphon.show("health")?;
    title("/metrics, some of it");
    metrics(&http::get(&network.sensor, METRICS, "/metrics")?);

    let answers = siphon.answers()?;
    let ended = siphon.stop(Signal::TERM, STOP)?;
    if !ended.success() {
        bail!("siphon stopped with {ended}: {}", siphon.log());
    }
    let files = siphon.files()?;
    title("capture files");
    for file in &files {
        println!("{:>10} bytes  {}", fs::metadata(file)?.len(), name(file));
    }
    let rows = compare(sent.frames, &status, &answers, &files)?;
    title("siphon, and tshark in those files");
    print!("{}", table(&rows));
    let differ = rows.iter().filter(|row| !row.equal).count();
    if differ > 0 {
        bail!("siphon and tshark differ in {differ} places");
    }
    println!("\nno difference; everything the demo made is gone again");
    Ok(())
}

/// Shows once a second what siphon makes of it, until the last call has ended.
fn watch(siphon: &Siphon, callers: &mut [Caller]) -> Result<()> {
    loop {
        let mut under_way = 0;
        for caller in callers.iter_mut() {
            under_way += usize::from(caller.is_running()?);
        }
        let status = siphon.json(["status"])?;
        println!("{}", progress(&status));
        if under_way == 0 {
            return Ok(());
        }
        sleep(Duration::from_secs(1));
    }
}

/// One line out of a status.
fn progress(status: &Value) -> String {
    let states = status["calls"]["states"].as_object();
    let states: Vec<String> = states
        .into_iter()
        .flatten()
        .filter(|(_, count)| count.as_u64() != Some(0))
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    let lanes = status["lanes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let frames: Vec<String> = lanes.iter().map(|lane| lane["frames"].to_string()).collect();
    let lost: u64 = ["program", "sockets", "spool"]
        .iter()
        .map(|stage| sum(&status["identity"][stage]["dropped"]))
        .sum();
    format!(
        "frames by lane {}, lost {lost}; calls: {}",
        frames.join(" + "),
        states.join(", ")
    )
}

fn metrics(text: &str) {
    let mut shown: Vec<&str> = text
        .lines()
        .filter(|line| EXCERPT.iter().any(|prefix| line.starts_with(prefix)))
        .collect();
    shown.sort_unstable();
    for line in shown {
        println!("{line}");
    }
}

fn placed(kind: Kind, transport: Transport) -> String {
    let what = match kind {
        Kind::Answered => "answered calls with RTP both ways",
        Kind::Busy => "calls refused as busy",
        Kind::Cancelled => "calls given up while ringing",
        Kind::Forbidden => "calls challenged, then refused",
        Kind::Registration => "registrations",
    };
    let over = match transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
    };
    format!("{what}, over {over}")
}

/// siphon's figures against those of the switch and of tshark.
fn compare(sent: u64, status: &Value, answers: &Answers, files: &[PathBuf]) -> Result<Vec<Row>> {
    let count = |pointer: &str| {
        status
            .pointer(pointer)
            .and_then(Value::as_u64)
            .with_context(|| format!("no {pointer} in siphon's status"))
    };
    let reading = tshark::read(files)?;
    let seen = count("/identity/program/seen")?;
    let captured = count("/identity/program/passed/captured")?;
    let mut rows = vec![
        Row::new("frames (here: sent on the mirror port)", seen, sent),
        Row::new("frames captured", captured, reading.frames),
    ];
    rows.extend(side_by_side(answers, &reading));
    Ok(rows)
}

fn title(text: &str) {
    println!("\n-- {text}");
}

fn name(file: &std::path::Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn progress_is_one_line() {
        let status = json!({
            "lanes": [{"frames": 10}, {"frames": 20}],
            "calls": {"states": {"answered": 3, "failed": 0, "ended": 1}},
            "identity": {"program": {"dropped": {"malformed": 1}}, "sockets": {"dropped": {"rx_ring_full": 2}}},
        });
        assert_eq!(
            progress(&status),
            "frames by lane 10 + 20, lost 3; calls: 3 answered, 1 ended"
        );
    }
}
