//! `media = "measured"` on real calls, on a mirror port and on the called host itself: no RTP crosses, and what is told of
//! the streams is what the engine finds in a tcpdump of the same frames.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line that was wrong"
)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use xtask::lab::capture::{self, Capture, Direction};
use xtask::lab::mirror::{MIRROR, TAP, WIRE};
use xtask::lab::process::{run, wait_for};
use xtask::lab::siphon::{METRICS, Siphon, sum};
use xtask::lab::sipp::{Calls, Kind, Telephones, Transport};
use xtask::lab::{Need, Netns, Network, Scratch, http, require};

const NEEDS: [Need<'_>; 7] = [
    Need::Root,
    Need::Program("ip"),
    Need::Program("tc"),
    Need::Program("ethtool"),
    Need::Program("sipp"),
    Need::Program("tcpdump"),
    Need::Fact(
        capture_daemon::program::EMBEDDED,
        "the kernel program is not built: `cargo xtask build-ebpf`",
    ),
];

/// Guards against a hang; nothing is measured with it.
const LIMIT: Duration = Duration::from_secs(30);

const CALLS: u32 = 40;

/// What kernel and engine say of a stream alike, whenever its packets were stamped.
const SAME: [&str; 16] = [
    "call_id",
    "src",
    "dst",
    "ssrc",
    "direction",
    "codec",
    "clock_rate",
    "payload_type",
    "payload_types",
    "packets",
    "expected",
    "lost",
    "reordered",
    "duplicates",
    "restarts",
    "comfort_noise",
];

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_siphon"))
}

fn config(scratch: &Scratch, interface: &str, mode: &str) -> String {
    let shown = scratch.path().display();
    format!(
        "[capture]\ninterface = \"{interface}\"\nmode = \"{mode}\"\nmedia = \"measured\"\n\n\
         [control]\nsocket = \"{shown}/siphon.sock\"\n\n[metrics]\nlisten = \"{METRICS}\"\n\n\
         [spool]\ndirectory = \"{shown}/spool\"\n"
    )
}

/// Calls over UDP, each to its end; packets of each of their streams.
fn call(network: &Network) -> u64 {
    let mut telephones = Telephones::start(network, Duration::from_secs(1)).unwrap();
    let calls = Calls {
        kind: Kind::Answered,
        transport: Transport::Udp,
        count: CALLS,
        rate: 20,
    };
    telephones.call(calls).unwrap().finish().unwrap();
    telephones.packets_per_stream().into()
}

/// The streams of an answer, in order, each with the fields that must be equal.
fn streams(answer: &Value) -> Vec<Value> {
    let all = answer["streams"].as_array().unwrap().iter();
    let mut streams: Vec<Value> = all
        .map(|stream| {
            SAME.iter()
                .map(|field| ((*field).to_owned(), stream[*field].clone()))
                .collect()
        })
        .collect();
    streams.sort_by_key(Value::to_string);
    streams
}

/// Frames that siphon's program has seen, once there are no more.
fn seen(siphon: &Siphon) -> u64 {
    let mut before = None;
    wait_for("the interface to be silent", LIMIT, || {
        std::thread::sleep(Duration::from_millis(300));
        let seen = siphon.json(["status"])?["identity"]["program"]["seen"].as_u64();
        Ok(seen.filter(|_| before.replace(seen) == Some(seen)))
    })
    .unwrap()
}

/// What is asked of a siphon that measured the calls of [`call`], beside a capture of what it saw.
fn assert_measured(mut siphon: Siphon, host: &Netns, each: u64, capture: Capture, reference: &Path) {
    let count = 2 * u64::from(CALLS);
    let frames = seen(&siphon);
    let status = siphon.wait_seen(frames).unwrap();
    capture.finish(frames).unwrap();
    let told = siphon.json(["streams"]).unwrap();
    let metrics = http::get(host, METRICS, "/metrics").unwrap();
    let table = siphon.ask(["streams"]).unwrap();
    assert!(siphon.stop(Signal::TERM, LIMIT).unwrap().success());

    assert_eq!(status["verdicts"]["measured"], count * each);
    assert_eq!(
        (&status["verdicts"]["media"], &status["verdicts"]["measured_full"]),
        (&json!(0), &json!(0))
    );
    for stage in ["program", "engine", "spool"] {
        let stage = &status["identity"][stage];
        assert_eq!((&stage["holds"], sum(&stage["dropped"])), (&json!(true), 0), "{stage}");
    }
    for stream in told["streams"].as_array().unwrap() {
        assert_eq!((&stream["measured_in"], &stream["lost"]), (&json!("kernel"), &json!(0)));
        assert_eq!(
            (&stream["packets"], &stream["octets"]),
            (&json!(each), &json!(each * 172)),
            "{stream}"
        );
        assert!(
            stream["jitter_mean_ms"].as_f64().is_some_and(|jitter| jitter >= 0.0),
            "{stream}"
        );
    }
    let figure = format!("siphon_rtp_streams{{queue=\"kernel\"}} {count}");
    assert!(metrics.contains(&figure), "{figure}: {metrics}");
    assert!(table.contains(&format!("of {count} streams")), "{table}");

    let mut replay = Command::new(binary());
    let replayed = run(replay.arg("replay").arg(reference).arg("--json")).unwrap();
    let replayed: Value = serde_json::from_str(&replayed).unwrap();
    let (told, replayed) = (streams(&told), streams(&replayed));
    assert_eq!(replayed.len() as u64, count);
    assert_eq!(told, replayed);

    // No RTP has crossed: what is kept is signalling.
    let mut kept = 0;
    for file in siphon.files().unwrap() {
        for frame in capture::frames(&file).unwrap() {
            let ports = frame.get(34..38).unwrap();
            assert!(
                ports[..2] == 5060_u16.to_be_bytes() || ports[2..] == 5060_u16.to_be_bytes(),
                "{frame:02x?}"
            );
            kept += 1;
        }
    }
    assert!(kept >= 6 * CALLS, "{kept}");
}

#[test]
fn streams_on_a_mirror_port_are_measured_where_they_are() {
    if !require("streams_on_a_mirror_port_are_measured_where_they_are", &NEEDS) {
        return;
    }
    let network = Network::new(2).unwrap();
    let scratch = Scratch::new("measured").unwrap();
    let reference = scratch.path().join("reference.pcap");
    let capture = Capture::start(&network.switch, MIRROR, Direction::Out, &reference).unwrap();
    let text = config(&scratch, TAP, "mirror");
    let siphon = Siphon::start_with(&network.sensor, binary(), scratch.path(), &text, &[]).unwrap();
    let each = call(&network);
    assert_measured(siphon, &network.sensor, each, capture, &reference);
}

#[test]
fn streams_of_a_host_are_measured_where_they_are() {
    if !require("streams_of_a_host_are_measured_where_they_are", &NEEDS) {
        return;
    }
    let network = Network::new(1).unwrap();
    let scratch = Scratch::new("measured-host").unwrap();
    let reference = scratch.path().join("reference.pcap");
    let capture = Capture::start(&network.callee, WIRE, Direction::Both, &reference).unwrap();
    let text = config(&scratch, WIRE, "host");
    let siphon = Siphon::start_with(&network.callee, binary(), scratch.path(), &text, &[]).unwrap();
    let each = call(&network);
    assert_measured(siphon, &network.callee, each, capture, &reference);
}

/// A packet of each of these streams.
fn voices(streams: std::ops::Range<u32>) -> impl Iterator<Item = Vec<u8>> {
    streams.map(|ssrc| {
        let header = [0x80, 0, 0, 1, 0, 0, 0, 160];
        [&header[..], &ssrc.to_be_bytes(), &[0xd5; 160]].concat()
    })
}

#[test]
fn streams_that_make_room_in_the_kernels_map_are_counted() {
    if !require("streams_that_make_room_in_the_kernels_map_are_counted", &NEEDS) {
        return;
    }
    const ROOM: u32 = 160;
    let network = Network::new(1).unwrap();
    let scratch = Scratch::new("live-crowded").unwrap();
    let text = config(&scratch, TAP, "mirror") + &format!("[follow]\nmax_streams = {ROOM}\n");
    let mut siphon = Siphon::start_with(&network.sensor, binary(), scratch.path(), &text, &[]).unwrap();
    network.send(20_000, 20_000, voices(0..ROOM)).unwrap();
    // A sixteenth of the room is made when they have been quiet for a while.
    let status = wait_for("room to be made", LIMIT, || {
        let status = siphon.json(["status"])?;
        Ok((status["measured"]["streams"] == 140).then_some(status))
    })
    .unwrap();
    let measured = &status["measured"];
    assert_eq!(
        (&measured["losses"]["stream_evicted"], &measured["streams"]),
        (&json!(20), &json!(140))
    );
    let table = &status["tables"]["measured_streams"];
    assert_eq!(
        (&table["evicted"], &table["entries"]),
        (&json!(20), &json!(140)),
        "{table}"
    );
    let complaints = siphon.complaints().unwrap();
    assert!(
        complaints.iter().any(|reason| reason["what"] == "table_full"),
        "{complaints:?}"
    );
    assert_eq!(status["verdicts"]["measured"], ROOM);
    // There is room for as many others, and the frame of one more is told.
    network.send(20_000, 20_000, voices(1_000..1_021)).unwrap();
    let status = siphon.wait_seen(u64::from(ROOM) + 21).unwrap();
    let verdicts = &status["verdicts"];
    assert_eq!(
        (&verdicts["measured"], &verdicts["measured_full"]),
        (&json!(ROOM + 20), &json!(1)),
        "{verdicts}"
    );
    assert!(siphon.stop(Signal::TERM, LIMIT).unwrap().success());
}
