//! A network with a mirror port, siphon on it, and tcpdump beside it as the witness of what was there to be seen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::slice;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use xtask::lab::capture::{Capture, Direction};
use xtask::lab::compare::{Answers, side_by_side, table};
use xtask::lab::mirror::MIRROR;
use xtask::lab::process::wait_for;
use xtask::lab::siphon::{Siphon, replay, sum};
use xtask::lab::tshark::Reading;
use xtask::lab::{Need, Network, Scratch, capture, tshark};

/// What every run needs.
pub const NEEDS: [Need<'_>; 8] = [
    Need::Root,
    Need::Program("ip"),
    Need::Program("tc"),
    Need::Program("ss"),
    Need::Program("ethtool"),
    Need::Program("tcpdump"),
    Need::Program("tshark"),
    Need::Fact(
        capture_daemon::program::EMBEDDED,
        "the kernel program is not built: `cargo xtask build-ebpf`",
    ),
];

/// Guards against a hang; nothing is measured with it.
pub const LIMIT: Duration = Duration::from_secs(30);

fn siphon() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_siphon"))
}

/// The needs of a run, and those of the programs in it.
pub fn needs(programs: &[&'static str]) -> Vec<Need<'static>> {
    let programs = programs.iter().map(|name| Need::Program(name));
    NEEDS.into_iter().chain(programs).collect()
}

/// A run, under way.
pub struct Run {
    siphon: Siphon,
    witness: Capture,
    file: PathBuf,
    /// After the programs in it, which its guards end.
    pub network: Network,
    scratch: Scratch,
}

/// What siphon said of it, after all that could be checked in general was.
pub struct Told {
    /// `siphon status --json`, the object `sip`.
    pub sip: Value,
    /// `siphon calls --json`.
    pub calls: Vec<Value>,
    /// `siphon streams --json`.
    pub streams: Vec<Value>,
    /// `siphon registrations --json`.
    pub registrations: Vec<Value>,
    /// tshark's reading of the witness.
    pub tshark: Reading,
    /// What `siphon replay --json` says of the witness, which has times of its own.
    pub replayed: Value,
    /// What tcpdump saw.
    pub witness: PathBuf,
    _scratch: Scratch,
}

impl Run {
    /// Two hosts, a mirror port with two queues, siphon with its defaults.
    pub fn start() -> Self {
        let network = Network::new(2).unwrap();
        let scratch = Scratch::new("live").unwrap();
        let file = scratch.path().join("witness.pcap");
        let witness = Capture::start(&network.switch, MIRROR, Direction::Out, &file).unwrap();
        let siphon = Siphon::start(&network.sensor, siphon(), scratch.path(), "").unwrap();
        Self {
            siphon,
            witness,
            file,
            network,
            scratch,
        }
    }

    /// Waits until the mirror port is silent, and checks what holds of every run: each frame that was sent was seen and is in
    /// a file, byte for byte; nothing was dropped; the files replayed give the live answers; and tshark reads the same in
    /// what tcpdump saw: messages by method and status, calls by outcome, streams packet for packet.
    pub fn finish(mut self) -> Told {
        let sent = self.settled();
        let status = self.siphon.wait_seen(sent).unwrap();
        let identity = &status["identity"];
        for stage in ["program", "sockets", "engine", "spool"] {
            assert_eq!(identity[stage]["holds"], true, "{stage}: {identity}");
            assert_eq!(sum(&identity[stage]["dropped"]), 0, "{stage}: {identity}");
        }
        assert_eq!(identity["program"]["passed"]["captured"], sent, "{identity}");
        let ask = |verb: &str| self.siphon.json([verb]).unwrap();
        let live = [ask("calls"), ask("streams"), ask("registrations")];
        assert!(self.siphon.stop(Signal::TERM, LIMIT).unwrap().success());
        let files = self.siphon.files().unwrap();

        let witnessed = self.witness.finish(sent).unwrap();
        let kept: Vec<_> = files.iter().flat_map(|file| capture::frames(file).unwrap()).collect();
        assert!(
            multiset(&kept) == multiset(&witnessed),
            "{} frames in the files are not the {sent} that were sent",
            kept.len()
        );

        let mut replayed = replay(siphon(), &files).unwrap();
        drop_ladders(&mut replayed["calls"]);
        assert_eq!(replayed["frames"], sent);
        assert_eq!(replayed["sip"], status["sip"]);
        let [calls, streams, registrations]: [Vec<Value>; 3] = ["calls", "streams", "registrations"]
            .into_iter()
            .zip(live)
            .map(|(name, mut live)| {
                let live = live[name].take();
                assert_eq!(replayed[name], live, "{name}: replayed, live");
                live.as_array().unwrap().clone()
            })
            .collect::<Vec<_>>()
            .try_into()
            .unwrap();

        let tshark = tshark::read_one(&self.file).unwrap();
        let mut rows = side_by_side(&answers(&status["sip"], &calls, &streams), &tshark);
        // The kernel program stamps a frame later than tcpdump, by more or less. So the jitter of each stream is compared in what
        // siphon makes of tcpdump's file; of the live answers the counts are.
        rows.retain(|row| !row.what.starts_with("stream"));
        let replayed = replay(siphon(), slice::from_ref(&self.file)).unwrap();
        let list = |name: &str| replayed[name].as_array().unwrap().clone();
        let witnessed = answers(&replayed["sip"], &list("calls"), &list("streams"));
        rows.extend(side_by_side(&witnessed, &tshark));
        assert!(rows.iter().all(|row| row.equal), "\n{}", table(&rows));
        Told {
            sip: status["sip"].clone(),
            calls,
            streams,
            registrations,
            tshark,
            replayed,
            witness: self.file,
            _scratch: self.scratch,
        }
    }

    /// Frames the mirror port has sent, once it is silent.
    fn settled(&self) -> u64 {
        let mut before = None;
        let sent = wait_for("the mirror port to be silent", LIMIT, || {
            std::thread::sleep(Duration::from_millis(500));
            let sent = self.network.mirrored()?;
            Ok((before.replace(sent) == Some(sent)).then_some(sent))
        })
        .unwrap();
        assert_eq!(sent.dropped, 0);
        sent.frames
    }
}

/// A list of calls is told live without their messages.
fn drop_ladders(calls: &mut Value) {
    for call in calls.as_array_mut().unwrap() {
        call.as_object_mut().unwrap().remove("ladder");
    }
}

/// What can be held against tshark, which does not look for RTP in the messages of TURN.
fn answers(sip: &Value, calls: &[Value], streams: &[Value]) -> Answers {
    let streams = streams.iter().filter(|stream| stream.get("via").is_none());
    Answers::new(sip, &calls.into(), &streams.cloned().collect()).unwrap()
}

/// How often each frame occurs.
fn multiset(frames: &[Vec<u8>]) -> BTreeMap<&[u8], u32> {
    let mut counts = BTreeMap::new();
    for frame in frames {
        *counts.entry(frame.as_slice()).or_default() += 1;
    }
    counts
}

/// The objects whose `key` is `value`.
pub fn with<'a>(objects: &'a [Value], key: &str, value: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object[key] == value).collect()
}
