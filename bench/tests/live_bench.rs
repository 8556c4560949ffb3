//! The bench in short: every receiver on a real wire with every frame accounted for, and the whole of it around the table that
//! takes least. What is not asked is how fast anything is.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line that was wrong"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bench::generator::{Generator, Load};
use bench::receiver::{Kind, Programs};
use bench::run::measure;
use bench::tables::{Concurrent, flood, flood_live, learned, memory};
use capture_daemon::config::Follow;
use serde_json::Value;
use xtask::lab::process::run;
use xtask::lab::{Need, Scratch, require};

fn own() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_bench"))
}

fn siphon() -> PathBuf {
    own().with_file_name("siphon")
}

fn can_run(test: &str) -> bool {
    let object = xtask::ebpf::object("load").unwrap();
    let needs = [
        Need::Root,
        Need::Program("ip"),
        Need::Program("ethtool"),
        Need::Program("tcpdump"),
        Need::Program("dumpcap"),
        Need::Program("netsniff-ng"),
        Need::Program("sngrep"),
        Need::Fact(object.is_file(), "the generator is not built: `cargo xtask build-ebpf`"),
        Need::Fact(siphon().is_file(), "siphon is not built: `cargo build`"),
    ];
    require(test, &needs)
}

#[test]
fn every_receiver_accounts_for_every_frame() {
    if !can_run("every_receiver_accounts_for_every_frame") {
        return;
    }
    let siphon = siphon();
    let programs = Programs {
        siphon: &siphon,
        bench: own(),
    };
    let mut generator = Generator::load(&xtask::ebpf::object("load").unwrap()).unwrap();
    let load = Load {
        streams: 7,
        rate: Some(20_000),
        frames: 4_000,
    };
    let kinds = [
        Kind::Siphon,
        Kind::SiphonSpool,
        Kind::SiphonMeasured,
        Kind::SiphonHost,
        Kind::SiphonHostMeasured,
        Kind::Bare,
        Kind::Discard,
        Kind::Tcpdump,
        Kind::TcpdumpFile,
        Kind::Dumpcap,
        Kind::Netsniff,
        Kind::Sngrep,
    ];
    let mut measured = 0;
    for kind in kinds.into_iter().filter(|kind| kind.missing().is_none()) {
        // Without that there is no run: `measure` checks the account.
        let run = measure(&mut generator, kind, &programs, load).unwrap_or_else(|error| panic!("{kind:?}: {error:#}"));
        // Four calls of three messages announce the seven streams, and a packet begins each.
        assert_eq!(run.announced, 19, "{kind:?}");
        assert_eq!(run.account.made(), 4_019, "{kind:?}");
        assert_eq!(run.account.captured() + run.lost(), 4_019, "{kind:?}");
        assert!(run.account.captured() > 0, "{kind:?}: {run:?}");
        assert!(run.seconds > 0.0, "{kind:?}");
        measured += 1;
    }
    assert!(measured >= 9, "only {measured} receivers could be measured");
}

#[test]
fn a_table_with_its_goals_is_written() {
    if !can_run("a_table_with_its_goals_is_written") {
        return;
    }
    let scratch = Scratch::new("bench").unwrap();
    let file = scratch.path().join("figures.json");
    let text = run(Command::new(own()).args(["--quick", "program", "--json"]).arg(&file)).unwrap();
    assert!(text.contains("siphon, drop") && text.contains("GOAL"), "{text}");
    let json: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert!(json["machine"]["kernel"].is_string(), "{json}");
    let rows = json["tables"]["program"]["rows"].as_array().unwrap();
    let of = |name: &str| rows.iter().find(|row| row["program"] == name).unwrap();
    for name in [
        "empty XDP_PASS",
        "siphon, drop",
        "siphon, redirect",
        "siphon on a host, pass",
    ] {
        let figure = &of(name)["figures"]["ns_per_frame"];
        assert!(figure["median"].as_f64().unwrap() > 0.0, "{name}: {figure}");
        assert!(!of(name)["command"].as_str().unwrap().is_empty());
    }
    let goals = json["goals"].as_array().unwrap();
    let goal = |name: &str| goals.iter().find(|goal| goal["name"] == name).unwrap();
    let drop = goal("program_drop_of_empty");
    let value = drop["value"].as_f64().unwrap();
    assert_eq!(
        drop["met"].as_bool(),
        Some(value <= drop["goal"].as_f64().unwrap()),
        "{drop}"
    );
    let engine = goal("engine_of_floor");
    assert!(engine["value"].is_null() && engine["met"] == false, "{engine}");
    assert!(engine["reason"].is_string(), "{engine}");
}

#[test]
fn a_flood_is_counted_whole() {
    let follow = Follow {
        max_calls: 50,
        ..Follow::default()
    };
    let flooded = flood(&follow, 100, 300).unwrap();
    assert!(
        flooded.invites_per_second > 0.0 && flooded.full_bytes > 0,
        "{flooded:?}"
    );
}

#[test]
fn calls_on_the_wire_are_followed_and_their_memory_is_read() {
    if !can_run("calls_on_the_wire_are_followed_and_their_memory_is_read") {
        return;
    }
    let siphon = siphon();
    let programs = Programs {
        siphon: &siphon,
        bench: own(),
    };
    let concurrent = Concurrent {
        calls: 50,
        packets: 5,
        sip_rate: 2_000,
        rtp_rate: 2_000,
    };
    let mut generator = Generator::load(&xtask::ebpf::object("load").unwrap()).unwrap();
    let [most, end, without, each] = memory(&mut generator, programs, concurrent).unwrap();
    assert!(
        most >= end && end >= without && without > Some(1e6),
        "{most:?} {end:?} {without:?}"
    );
    assert!(each.is_some());
    let [rate, lost, percent, before, after] = flood_live(programs, 2_000, 1).unwrap();
    assert!(rate > Some(0.0) && before > Some(0.0) && after > Some(0.0));
    let [median, p99, longest] = learned(programs, 100, 1).unwrap();
    assert!(
        Some(0.0) < median && median <= p99 && p99 <= longest,
        "{median:?} {p99:?} {longest:?}"
    );
    // 285 calls of seven messages.
    assert_eq!(lost.map(|lost| lost * 100.0 / (285.0 * 7.0)), percent);
}
