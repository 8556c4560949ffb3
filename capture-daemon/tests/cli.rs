//! The binary as an operator runs it.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line that was wrong"
)]

mod sample;

use std::path::Path;
use std::process::{Command, Output};

use capture_daemon::cli::{Form, Style, call, summary};
use capture_daemon::config::{Config, parse};
use capture_daemon::control::{Health, Light, Status};
use capture_daemon::replay::replay;
use capture_daemon::report::{
    AllocationState, CallFlow, CallState, Document, RegistrationState, Signaling, SipCounts, Turn,
};
use sample::at;
use sample::daemon::Daemon;
use sample::fake::Fake;
use serde_json::{Value, json};

fn siphon(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_siphon"))
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What `siphon VERB …` prints when asking `daemon`.
fn ask(daemon: &Daemon, args: &[&str]) -> Output {
    let socket = daemon.socket.to_str().unwrap();
    siphon(&[args, &["--socket", socket]].concat())
}

#[test]
fn the_version_is_the_packages() {
    let version = format!("siphon {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(stdout(&siphon(&["--version"])), version);
    assert_eq!(stdout(&siphon(&["-V"])), version);
}

#[test]
fn nonsense_is_a_usage_error() {
    for args in [
        &[][..],
        &["cals"],
        &["calls", "--state", "asleep"],
        &["replay"],
        &["run", "--bogus"],
    ] {
        let output = siphon(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let said = stderr(&output);
        assert!(
            said.contains("Usage: siphon") || said.starts_with("error: "),
            "{args:?}: {said}"
        );
    }
}

#[test]
fn health_is_an_exit_status() {
    let daemon = |status, reasons: usize| {
        let mut health = sample::health();
        health.status = status;
        health.reasons.truncate(reasons);
        Daemon::start(
            Fake {
                health,
                ..Fake::default()
            },
            |_| {},
        )
    };
    for (light, code) in [(Light::Green, 0), (Light::Yellow, 1), (Light::Red, 2)] {
        let output = ask(&daemon(light, 0), &["health"]);
        assert_eq!(output.status.code(), Some(code));
        assert_eq!(
            stdout(&output),
            format!(
                "{}: siphon 0.1.0 on mirror0, up 1h 02m: 2 active calls, 4 streams, 1,000,000 frames seen, 120 dropped\n",
                light.label()
            )
        );
    }
    let output = ask(&daemon(Light::Red, 2), &["health", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        serde_json::from_str::<Health>(&stdout(&output)).unwrap(),
        sample::health()
    );
}

#[test]
fn no_daemon_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("none");
    let expected = format!(
        "no siphon answers on {}: No such file or directory (os error 2)\n\
         Is it running? `siphon run` starts it, `--socket PATH` names another socket.\n",
        socket.display()
    );
    for (verb, code) in [("health", 3), ("status", 1), ("calls", 1), ("stop", 1)] {
        let output = siphon(&[verb, "--socket", socket.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(code), "{verb}");
        assert_eq!(stderr(&output), expected);
    }
}

#[test]
fn status_is_a_page() {
    let daemon = Daemon::start(Fake::default(), |_| {});
    sample::assert_is_file("expected/status.txt", &stdout(&ask(&daemon, &["status"])));
    let json = stdout(&ask(&daemon, &["status", "--json"]));
    assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), sample::status());
}

#[test]
fn turn_is_figures_and_allocations() {
    let daemon = Daemon::start(Fake::default(), |_| {});
    sample::assert_is_file("expected/turn.txt", &stdout(&ask(&daemon, &["turn"])));
    let active = sample::allocation(2, AllocationState::Active);
    let json: Value = serde_json::from_str(&stdout(&ask(&daemon, &["turn", "--json", "--state", "active"]))).unwrap();
    assert_eq!(
        json,
        json!({"figures": sample::figures::turn(), "total": 1, "allocations": [active]})
    );
    // The document replay writes is for the same people.
    let document = Document {
        turn: Turn {
            figures: sample::figures::turn(),
            allocations: vec![active],
        },
        ..Document::default()
    };
    let summary = summary(&document, Style::PLAIN);
    for part in [
        "\nSTUN: 5,000 messages",
        "\nallocate refused: ",
        "\nTURN allocations: 1\n",
    ] {
        assert!(summary.contains(part), "{summary}");
    }
}

#[test]
fn signaling_is_tables() {
    let daemon = Daemon::start(Fake::default(), |_| {});
    sample::assert_is_file("expected/signaling.txt", &stdout(&ask(&daemon, &["signaling"])));
    let json: Value = serde_json::from_str(&stdout(&ask(&daemon, &["signaling", "--json"]))).unwrap();
    assert_eq!(json, json!(sample::figures::signaling()));
    // The document replay writes is for the same people.
    let document = Document {
        signaling: sample::figures::signaling(),
        ..Document::default()
    };
    let summary = summary(&document, Style::PLAIN);
    for part in [
        "\nMETHOD ",
        "\nEVENT PACKAGE ",
        "registration request delay (RRD)",
        "session establishment ratio (SER)",
    ] {
        assert!(summary.contains(part), "{part}: {summary}");
    }
}

#[test]
fn lists_are_tables() {
    let daemon = Daemon::start(Fake::default(), |_| {});
    for verb in ["calls", "streams", "registrations"] {
        sample::assert_is_file(&format!("expected/{verb}.txt"), &stdout(&ask(&daemon, &[verb])));
    }
    let limited = stdout(&ask(&daemon, &["calls", "--limit", "1"]));
    assert_eq!(limited.lines().count(), 4, "{limited}");
    assert!(
        limited.ends_with("\nthe latest 1 of 3 calls; --limit 0 shows all\n"),
        "{limited}"
    );
    assert_eq!(
        stdout(&ask(&daemon, &["registrations", "--state", "challenged"])),
        "no registrations\n"
    );
    assert_eq!(
        stdout(&ask(&daemon, &["streams", "--call-id", "nobody"])),
        "no streams\n"
    );
}

/// What `siphon replay --call` prints of a call in one of the project's captures.
fn replayed(capture: &str, call_id: &str, more: &[&str]) -> String {
    let file = format!("{}/tests/captures/{capture}", env!("CARGO_MANIFEST_DIR"));
    stdout(&siphon(&[&["replay", &file, "--call", call_id][..], more].concat()))
}

#[test]
fn a_call_is_a_ladder() {
    for (name, capture, call_id) in [
        ("call-proxy", "kamailio.pcap", "3-22313@192.0.2.1"),
        ("call-relay", "rtpengine.pcap", "1-10153@192.0.2.1"),
        ("call-loss", "baresip-loss.pcap", "3f0f20d6685c1269"),
        ("call-turn", "coturn.pcap", "c509bafde5a34043"),
    ] {
        sample::assert_is_file(&format!("expected/{name}.txt"), &replayed(capture, call_id, &[]));
    }
    let ascii = replayed("kamailio.pcap", "3-22313@192.0.2.1", &["--ascii"]);
    assert!(ascii.is_ascii(), "{ascii}");
}

#[test]
fn a_call_fits_its_line() {
    let files = [
        "kamailio",
        "rtpengine",
        "baresip-loss",
        "coturn",
        "websocket",
        "failures",
    ];
    for file in files {
        let file = format!("{}/tests/captures/{file}.pcap", env!("CARGO_MANIFEST_DIR"));
        let document = replay(&[file.into()], &Config::default()).document;
        for of in &document.calls {
            let flow = CallFlow::of(&document, &of.call_id);
            for width in [80, 120, 160] {
                let style = Style { width, ..Style::PLAIN };
                let text = call(&flow, Form::default(), style);
                let longest = text.lines().map(|line| line.chars().count()).max();
                assert!(longest <= Some(width), "{width}: {longest:?}\n{text}");
            }
        }
    }
}

#[test]
fn a_call_is_the_same_asked_of_a_daemon_and_of_files() {
    let file = format!("{}/tests/captures/kamailio.pcap", env!("CARGO_MANIFEST_DIR"));
    let document = replay(&[file.into()], &Config::default()).document;
    let daemon = Daemon::start(
        Fake {
            calls: document.calls,
            streams: document.streams,
            ..Fake::default()
        },
        |_| {},
    );
    let call_id = "3-22313@192.0.2.1";
    let json = |text: &str| -> CallFlow { serde_json::from_str(text).unwrap() };
    let asked = json(&stdout(&ask(&daemon, &["call", call_id, "--json"])));
    let read = json(&replayed("kamailio.pcap", call_id, &["--json"]));
    assert_eq!((asked.calls.len(), asked.streams.len()), (1, 2));
    assert_eq!(asked.calls, read.calls);
    for more in [&[][..], &["--ascii"], &["--related"]] {
        let asked = stdout(&ask(&daemon, &[&["call", call_id][..], more].concat()));
        assert_eq!(asked, replayed("kamailio.pcap", call_id, more), "{more:?}");
    }
}

#[test]
fn related_calls_share_a_ladder() {
    let daemon = Daemon::start(
        Fake {
            calls: sample::related_calls().into(),
            ..Fake::default()
        },
        |_| {},
    );
    let text = stdout(&ask(&daemon, &["call", "one@192.0.2.10", "--related"]));
    sample::assert_is_file("expected/call-related.txt", &text);
    let alone = stdout(&ask(&daemon, &["call", "one@192.0.2.10"]));
    assert!(!alone.contains("192.0.2.20"), "{alone}");
    let json = stdout(&ask(&daemon, &["call", "other@192.0.2.1", "--related", "--json"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["call_id"], json!("other@192.0.2.1"));
    assert_eq!(json["calls"], json!(sample::related_calls()));
}

#[test]
fn a_call_that_is_not_there_is_no_error() {
    let daemon = Daemon::start(Fake::default(), |_| {});
    for call_id in ["nobody@nowhere", "-dash@host"] {
        let output = ask(&daemon, &["call", call_id]);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(stdout(&output), format!("no call has the Call-ID {call_id}\n"));
        assert_eq!(
            replayed("kamailio.pcap", call_id, &[]),
            format!("no call has the Call-ID {call_id}\n")
        );
    }
    // What belongs to a call needs one.
    let output = siphon(&["replay", "x.pcap", "--related"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn rules_are_listed_and_changed() {
    let daemon = Daemon::start(Fake::default(), |_| {});
    let listed = stdout(&ask(&daemon, &["rules"]));
    let lines: Vec<&str> = listed.lines().map(str::trim_end).collect();
    assert!(lines[0].contains("RULE") && lines[0].contains("CONDITIONS"), "{listed}");
    assert!(
        lines[1].contains("support") && lines[1].contains("from=+49-211-* header=X-Customer:acme*"),
        "{listed}"
    );
    assert!(
        lines[2].contains("one-in-ten") && lines[2].contains("1,234") && lines[2].contains("sample=0.1"),
        "{listed}"
    );
    assert_eq!(lines[4], "calls under none have the level signaling");
    let never = "one-in-100 can never match: every call it is about comes under one-in-ten, which stands before it";
    assert_eq!(lines[5], never);
    let toml = stdout(&ask(&daemon, &["rules", "--toml"]));
    assert_eq!(parse(&toml).unwrap().rules, sample::fake::rules());

    let names = |args: &[&str]| -> Vec<String> {
        let json: Value = serde_json::from_str(&stdout(&ask(&daemon, &[args, &["--json"]].concat()))).unwrap();
        let rules = json["rules"].as_array().unwrap().iter();
        rules
            .map(|rule| rule["rule"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let add = [
        "rules",
        "add",
        "first",
        "--level",
        "full",
        "--to",
        "alice@*",
        "--number",
        "+1(201)*",
        "--address",
        "192.0.2.0/24",
        "--call-id",
        "*@h",
        "--user-agent",
        "Yealink*",
        "--codec",
        "PCM?",
        "--header",
        "X-Customer: acme*",
        "--sample",
        "0.5",
        "--at",
        "1",
    ];
    assert_eq!(names(&add), ["first", "support", "one-in-ten", "one-in-100"]);
    let move_it = [
        "rules",
        "change",
        "first",
        "--level",
        "headers",
        "--without",
        "codec",
        "--without",
        "to",
        "--before",
        "one-in-100",
    ];
    assert_eq!(names(&move_it), ["support", "one-in-ten", "first", "one-in-100"]);
    let toml = stdout(&ask(&daemon, &["rules", "--toml"]));
    let rules = parse(&toml).unwrap().rules;
    assert_eq!(rules[2].level.label(), "headers");
    assert!(rules[2].conditions.codec.is_none() && rules[2].conditions.header.is_some());
    assert_eq!(
        names(&["rules", "remove", "first"]),
        ["support", "one-in-ten", "one-in-100"]
    );

    for (args, code, why) in [
        (
            &["rules", "remove", "nobody"][..],
            1,
            "no rule is called nobody (conflict)",
        ),
        (
            &["rules", "add", "support", "--level", "full"],
            1,
            "a rule called support is there already",
        ),
        (
            &["rules", "add", "two words", "--level", "full"],
            1,
            "letters, digits, -, _ and .",
        ),
        (
            &["rules", "add", "x", "--level", "some"],
            2,
            "\"signaling\", \"headers\" or \"full\"",
        ),
        (&["rules", "add", "x"], 2, "--level"),
        (
            &["rules", "add", "x", "--level", "full", "--address", "192.0.2.1/24"],
            2,
            "192.0.2.0/24",
        ),
        (
            &["rules", "add", "x", "--level", "full", "--sample", "half"],
            2,
            "a number from 0.0 to 1.0",
        ),
        (
            &["rules", "add", "x", "--level", "full", "--at", "1", "--before", "y"],
            2,
            "cannot be used with",
        ),
        (
            &["rules", "change", "support", "--without", "level"],
            2,
            "possible values: from",
        ),
        (&["rules", "--toml", "--json"], 2, "cannot be used with"),
    ] {
        let output = ask(&daemon, args);
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        let said = stderr(&output);
        assert!(said.contains(why), "{args:?}: {said}");
    }
}

#[test]
fn every_table_fits_the_line() {
    let daemon = Daemon::start(Fake::default(), |_| {});
    for verb in [
        "calls",
        "streams",
        "registrations",
        "signaling",
        "turn",
        "status",
        "rules",
    ] {
        let text = stdout(&ask(&daemon, &[verb]));
        let longest = text.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(100), "{verb}: {longest:?}");
    }
}

#[test]
fn json_is_the_answer_as_it_came() {
    let daemon = Daemon::start(Fake::default(), |_| {});
    let json = |args: &[&str]| -> Value { serde_json::from_str(&stdout(&ask(&daemon, args))).unwrap() };
    assert_eq!(
        json(&["calls", "--json", "--state", "ringing"]),
        json!({"total": 1, "calls": [sample::call(2, CallState::Ringing)]})
    );
    assert_eq!(
        json(&["streams", "--json", "--limit", "0"]),
        json!({"total": 2, "streams": [sample::stream(0xbeef, Some("1-4711@192.0.2.10")), sample::stream(0xcafe, None)]})
    );
    assert_eq!(
        json(&["registrations", "--json", "--call-id", "reg-1"]),
        json!({"total": 1, "registrations": [sample::registration(1, RegistrationState::Registered)]})
    );
}

#[test]
fn nothing_from_the_wire_reaches_the_terminal_as_a_command() {
    let mut call = sample::call(1, CallState::Ended);
    call.call_id = "\u{1b}]0;owned\u{7}\u{1b}[2J".to_owned();
    call.from_uri = "sip:\u{9b}31m@evil".to_owned();
    let daemon = Daemon::start(
        Fake {
            calls: vec![call],
            ..Fake::default()
        },
        |_| {},
    );
    let text = stdout(&ask(&daemon, &["calls"]));
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
}

#[test]
fn stop_waits_for_the_end() {
    let mut daemon = Daemon::start(Fake::default(), |_| {});
    let socket = daemon.socket.display().to_string();
    assert_eq!(
        stdout(&ask(&daemon, &["stop"])),
        format!("siphon on {socket} has stopped\n")
    );
    daemon.join();
    assert!(!Path::new(&socket).exists());
}

#[test]
fn config_default_passes_its_own_check() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("siphon.toml");
    let default = stdout(&siphon(&["config", "default"]));
    assert_eq!(parse(&default), Ok(Config::default()));
    std::fs::write(&file, default).unwrap();
    let output = siphon(&["config", "check", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output), format!("{}: ok\n", file.display()));
}

#[test]
fn config_check_says_everything_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("siphon.toml");
    let name = file.to_str().unwrap();
    std::fs::write(
        &file,
        "[capture]\nring_entires = 64\nframe_size = 1000\n\n[spool]\nflush_interval = 0\n",
    )
    .unwrap();
    let output = siphon(&["config", "check", name]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        format!(
            "{name}:2: capture.ring_entires: unknown key; did you mean ring_entries?\n\
             {name}:3: capture.frame_size: 1000 is neither 2048 nor 4096\n\
             {name}:6: spool.flush_interval: must be longer than 0\n"
        )
    );
    std::fs::write(&file, b"[log]\n# caf\xe9\n").unwrap();
    assert_eq!(
        stderr(&siphon(&["config", "check", name])),
        format!("{name}:2: not UTF-8\n")
    );
    std::fs::remove_file(&file).unwrap();
    assert_eq!(
        stderr(&siphon(&["config", "check", name])),
        format!("cannot read the configuration {name}: No such file or directory (os error 2)\n")
    );
}

#[test]
fn run_needs_an_interface_and_checks_its_overrides() {
    let output = siphon(&["run"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        "no interface to capture on: give --interface IF, or set capture.interface in the file of --config\n"
    );
    let output = siphon(&[
        "run",
        "--interface",
        "an-interface-of-too-long-a-name",
        "--log",
        "a=b=c",
    ]);
    assert_eq!(
        stderr(&output),
        "capture.interface: \"an-interface-of-too-long-a-name\" is not the name of an interface (at most 15 bytes, \
         no \"/\", \":\" or space)\n\
         log.filter: \"a=b=c\" is not a filter such as \"info\" or \"info,capture_daemon::xsk=debug\"\n"
    );
}

#[test]
fn each_argument_of_run_overrides_its_key() {
    use capture_daemon::cli::Run;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("siphon.toml");
    std::fs::write(
        &file,
        "[capture]\ninterface = \"a\"\n[spool]\nenabled = false\n[metrics]\nenabled = false\n",
    )
    .unwrap();
    let from_file = || Run {
        config: Some(file.clone()),
        ..Run::default()
    };
    let plain = from_file().configuration().unwrap();
    assert_eq!(plain.capture.interface, "a");
    assert!(!plain.spool.enabled && !plain.metrics.enabled && !plain.capture.steal_traffic);

    let config = Run {
        interface: Some("b".to_owned()),
        steal_traffic: true,
        spool: Some("/data".into()),
        socket: Some("/tmp/s".into()),
        metrics: Some("[::1]:1".parse().unwrap()),
        log: Some("debug".to_owned()),
        ..from_file()
    }
    .configuration()
    .unwrap();
    assert_eq!(config.capture.interface, "b");
    assert!(config.capture.steal_traffic);
    assert_eq!((config.spool.enabled, config.spool.directory), (true, "/data".into()));
    assert_eq!(config.control.socket, Path::new("/tmp/s"));
    assert_eq!(
        (config.metrics.enabled, config.metrics.listen),
        (true, "[::1]:1".parse().unwrap())
    );
    assert_eq!(config.log.filter, "debug");

    let off = Run {
        interface: Some("b".to_owned()),
        no_spool: true,
        no_metrics: true,
        ..Run::default()
    }
    .configuration()
    .unwrap();
    assert!(!off.spool.enabled && !off.metrics.enabled);
}

#[test]
fn a_replay_is_summed_up() {
    let document = Document {
        frames: 12_345,
        bytes: 2_641_830,
        first_ts: Some(at(0)),
        last_ts: Some(at(123)),
        sip: SipCounts {
            messages: 21,
            requests: [("INVITE".to_owned(), 3), ("BYE".to_owned(), 1)].into(),
            responses: [(100, 3), (180, 3), (200, 11)].into(),
            malformed: 1,
        },
        calls: vec![sample::call(1, CallState::Ended), sample::call(2, CallState::Trying)],
        registrations: Vec::new(),
        turn: Turn::default(),
        signaling: Signaling::default(),
        streams: vec![sample::stream(0xbeef, Some("1-4711@192.0.2.10"))],
        drops: [("fragment".to_owned(), 2), ("other_udp".to_owned(), 1_000)].into(),
        ..Document::default()
    };
    sample::assert_is_file("expected/replay.txt", &summary(&document, Style::PLAIN));
    assert_eq!(
        summary(&Document::default(), Style::PLAIN),
        "0 frames, 0 B\nSIP: 0 messages, 0 malformed\n"
    );
}
