//! What a daemon that runs says of itself when something is wrong that no traffic shows; and that it is at rest when nothing comes.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line that was wrong"
)]

use std::fs;
use std::iter::repeat_n;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use aya::maps::{Map, MapData, PerCpuArray, PerCpuValues};
use capture_common::{Counters, Verdict};
use rustix::process::Signal;
use serde_json::Value;
use xtask::lab::mirror::TAP;
use xtask::lab::process::{run, wait_for};
use xtask::lab::siphon::Siphon;
use xtask::lab::{Need, Network, Scratch, require};

const NEEDS: [Need<'_>; 6] = [
    Need::Root,
    Need::Program("ip"),
    Need::Program("tc"),
    Need::Program("ethtool"),
    Need::Program("bpftool"),
    Need::Fact(
        capture_daemon::program::EMBEDDED,
        "the kernel program is not built: `cargo xtask build-ebpf`",
    ),
];

/// Guards against a hang; nothing is measured with it.
const LIMIT: Duration = Duration::from_secs(30);

fn siphon() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_siphon"))
}

/// Times that each thread of the daemon went to sleep so far (proc_pid_status(5)), by the thread's folder.
fn sleeps(pid: u32) -> Vec<(PathBuf, u64)> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of = |thread: PathBuf| {
        let status = fs::read_to_string(thread.join("status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        Some((thread, line.trim().parse().ok()?))
    };
    threads.flatten().filter_map(|thread| of(thread.path())).collect()
}

/// A worker naps every quarter of a millisecond while traffic may come back soon, and sleeps in poll(2) when it does not: some
/// twenty times a second, for its clock and its inbox. A loaded machine only makes it fewer.
#[test]
fn a_core_is_at_rest_when_its_link_is() {
    if !require("a_core_is_at_rest_when_its_link_is", &NEEDS) {
        return;
    }
    let network = Network::new(1).unwrap();
    let scratch = Scratch::new("live-rest").unwrap();
    let mut run_siphon = Siphon::start(&network.sensor, siphon(), scratch.path(), "").unwrap();
    network.send(2_000, 20_000, repeat_n(vec![0; 160], 1_000)).unwrap();
    run_siphon.wait_seen(1_000).unwrap();
    // The worker has seen that there is no more.
    sleep(Duration::from_secs(1));
    let (begun, before) = (Instant::now(), sleeps(run_siphon.pid()));
    sleep(Duration::from_secs(3));
    let after = sleeps(run_siphon.pid());
    let most = (begun.elapsed().as_secs_f64() * 100.0) as u64;
    assert_eq!(before.len(), after.len(), "{after:?}");
    for ((thread, before), (_, after)) in before.iter().zip(&after) {
        let name = fs::read_to_string(thread.join("comm")).unwrap_or_default();
        assert!(after - before <= most, "{}: {} times", name.trim(), after - before);
    }
    assert!(run_siphon.stop(Signal::TERM, LIMIT).unwrap().success());
}

fn json(command: &mut Command) -> Value {
    serde_json::from_str(&run(command).unwrap()).unwrap()
}

/// The number of the XDP program on the interface.
fn program(network: &Network) -> Value {
    let interface = json(network.sensor.command("ip").args(["-json", "link", "show", "dev", TAP]));
    let program = &interface[0]["xdp"]["prog"]["id"];
    assert!(program.is_u64(), "{interface}");
    program.clone()
}

/// Adds to what the kernel program has counted on the first CPU: frames that came, and of SIP.
fn miscount(network: &Network, seen: i64, sip: i64) {
    let program = json(Command::new("bpftool").args(["prog", "show", "id", &program(network).to_string(), "--json"]));
    let ids = program["map_ids"].as_array().unwrap().iter();
    let maps = ids.map(|id| MapData::from_id(id.as_u64().unwrap() as u32).unwrap());
    let mut counters = maps.filter(|map| map.info().unwrap().name_as_str() == Some("COUNTERS"));
    let map = Map::PerCpuArray(counters.next().unwrap());
    let mut map: PerCpuArray<_, [u64; size_of::<Counters>() / 8]> = map.try_into().unwrap();
    let mut of_cpus = map.get(&0, 0).unwrap().to_vec();
    let mut first: Counters = bytemuck::cast(of_cpus[0]);
    first.seen = first.seen.wrapping_add_signed(seen);
    let count = &mut first.verdicts[Verdict::Sip as usize];
    count.frames = count.frames.wrapping_add_signed(sip);
    of_cpus[0] = bytemuck::cast(first);
    map.set(0, PerCpuValues::try_from(of_cpus).unwrap(), 0).unwrap();
}

/// Frames that were captured and never came, frames that came and were never captured, and frames without a verdict: nothing of siphon does
/// either, so the kernel program's counters are made to say so.
#[test]
fn frames_without_a_place_are_told() {
    if !require("frames_without_a_place_are_told", &NEEDS) {
        return;
    }
    // Of what is missing, as much as may be in between is told when nothing moves any more.
    for (seen, sip, boundary, what) in [
        (10_000_000, 10_000_000, "sockets", "too few came"),
        (1, 1, "sockets", "one did not come"),
        (-100, -100, "sockets", "too many came"),
        (1, 0, "program", "a frame has no verdict"),
        (-1, 0, "program", "a verdict has no frame"),
    ] {
        let network = Network::new(1).unwrap();
        let scratch = Scratch::new("live-audit").unwrap();
        let mut run_siphon = Siphon::start(&network.sensor, siphon(), scratch.path(), "").unwrap();
        network.send(2_000, 5060, repeat_n(vec![0; 160], 100)).unwrap();
        let status = run_siphon.wait_seen(100).unwrap();
        assert_eq!(status["audit"]["violations"][boundary], 0, "{status}");
        miscount(&network, seen, sip);
        let reason = wait_for(what, LIMIT, || {
            let complaints = run_siphon.complaints()?;
            Ok(complaints
                .into_iter()
                .find(|reason| reason["what"] == "identity_violated"))
        })
        .unwrap();
        assert_eq!(reason["status"], "red", "{what}: {reason}");
        assert!(
            reason["detail"].as_str().unwrap().contains(boundary),
            "{what}: {reason}"
        );
        let audit = run_siphon.json(["status"]).unwrap()["audit"].clone();
        let violations = audit["violations"].as_object().unwrap();
        assert_eq!(violations.len(), 5, "{what}: {audit}");
        for (stage, times) in violations {
            assert_eq!(times.as_u64().unwrap() > 0, stage == boundary, "{what}: {audit}");
        }
        assert!(run_siphon.log().contains(boundary), "{what}: {}", run_siphon.log());
        assert!(run_siphon.stop(Signal::TERM, LIMIT).is_ok());
    }
}

/// Takes the XDP program off the interface, as no other program of the host could: siphon's link is its own.
fn take_off(network: &Network) {
    let program = program(network);
    let links = json(Command::new("bpftool").args(["link", "list", "--json"]));
    let is_ours = |link: &&Value| link["type"] == "xdp" && link["prog_id"] == program;
    let link = links.as_array().unwrap().iter().find(is_ours);
    let id = link.unwrap_or_else(|| panic!("no link of program {program}: {links}"))["id"].to_string();
    run(Command::new("bpftool").args(["link", "detach", "id", &id])).unwrap();
}

#[test]
fn a_program_that_sees_nothing_is_noticed() {
    if !require("a_program_that_sees_nothing_is_noticed", &NEEDS) {
        return;
    }
    let network = Network::new(1).unwrap();
    let scratch = Scratch::new("live-blind").unwrap();
    network.send(2_000, 20_000, repeat_n(vec![0; 160], 10)).unwrap();
    let mut run_siphon = Siphon::start(&network.sensor, siphon(), scratch.path(), "").unwrap();
    assert_eq!(run_siphon.complaints().unwrap(), Vec::<Value>::new());
    take_off(&network);
    // What it saw before may count for the minute over which the daemon looks.
    let reason = wait_for("blindness to be told", 4 * LIMIT, || {
        network.send(2_000, 20_000, repeat_n(vec![0; 160], 600))?;
        let complaints = run_siphon.complaints()?;
        Ok(complaints.into_iter().find(|reason| reason["what"] == "program_blind"))
    })
    .unwrap();
    assert_eq!(reason["status"], "red", "{reason}");
    assert!(run_siphon.stop(Signal::TERM, LIMIT).is_ok());
}
