//! The table `program`: what the kernel program itself takes for a frame, by BPF_PROG_TEST_RUN.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use aya::Ebpf;
use aya::maps::{Array, PerCpuArray, PerCpuValues, ProgramArray};
use aya::programs::{TestRun, TestRunOptions, Xdp};
use capture_common::load;
use capture_daemon::config::{self, Mode};
use capture_daemon::program::{self, host};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use xtask::lab::mirror::TAP;
use xtask::lab::process::run;

use super::{Bench, Measurement, figure};
use crate::frame;
use crate::receiver::pinned;
use crate::run::{RECEIVER_CPU, wait_for_rest};
use crate::table::{Figure, Row, Style, Table};
use crate::wire::Wire;

pub(super) const MEASUREMENT: Measurement = Measurement {
    name: "program",
    about: "what the kernel program takes for a frame, beside an empty one",
    measure: measure_table,
};

/// The empty program's row.
pub const EMPTY: &str = "empty XDP_PASS";
/// The row of a frame that is classified and dropped.
pub const DROP: &str = "siphon, drop";

/// The row of RTP where none is wanted: it takes a look into the packet to tell it from RTCP.
pub const DROP_RTP: &str = "siphon, drop RTP";

/// The rows of the same two frames on a host's own interface, where they are looked at and passed on.
pub const PASS: &str = "siphon on a host, pass";
/// The same of RTP.
pub const PASS_RTP: &str = "siphon on a host, pass RTP";

/// The empty program where every frame is another stream's.
const EMPTY_VARIED: &str = "empty XDP_PASS, varied";

/// Streams of a full 10G link.
const STREAMS: u64 = 105_000;

/// Runs of a program in a round, and before it.
const RUNS: u32 = 10_000_000;
const QUICK_RUNS: u32 = 200_000;
const BEFORE: u32 = 500_000;

/// XDP's actions (include/uapi/linux/bpf.h).
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;

const FIGURES: [Figure; 2] = [
    figure("ns_per_frame", "NS", Style::Spread),
    figure("of_empty", "OF EMPTY", Style::Spread),
];

/// A program and what it is given.
struct Case {
    name: &'static str,
    /// Keys of `[capture]`; `None`: the empty program.
    capture: Option<&'static str>,
    /// Whether each frame is the next of [`STREAMS`] streams, or the same over again.
    is_varied: bool,
    /// UDP ports of the frame.
    port: u16,
    /// What is to become of it.
    action: u32,
}

const MEDIA: u16 = 10_000;

const CASES: [Case; 10] = [
    Case {
        name: EMPTY,
        capture: None,
        is_varied: false,
        port: MEDIA,
        action: XDP_PASS,
    },
    Case {
        name: DROP,
        capture: Some(""),
        is_varied: false,
        // Of no port that is wanted, so that the whole walk is done for nothing.
        port: 4_000,
        action: XDP_DROP,
    },
    Case {
        name: DROP_RTP,
        capture: Some("media = \"off\""),
        is_varied: false,
        port: MEDIA,
        action: XDP_DROP,
    },
    Case {
        name: PASS,
        capture: Some("mode = \"host\"\nattach = \"native\""),
        is_varied: false,
        port: 4_000,
        action: XDP_PASS,
    },
    Case {
        name: PASS_RTP,
        capture: Some("mode = \"host\"\nattach = \"native\"\nmedia = \"off\""),
        is_varied: false,
        port: MEDIA,
        action: XDP_PASS,
    },
    Case {
        name: EMPTY_VARIED,
        capture: None,
        is_varied: true,
        port: MEDIA,
        action: XDP_PASS,
    },
    Case {
        name: "siphon, redirect",
        capture: Some(""),
        is_varied: true,
        port: MEDIA,
        action: XDP_REDIRECT,
    },
    Case {
        name: "siphon, header cut",
        capture: Some("level = \"headers\""),
        is_varied: true,
        port: MEDIA,
        action: XDP_REDIRECT,
    },
    Case {
        name: "siphon, measured",
        capture: Some("media = \"measured\""),
        is_varied: true,
        port: MEDIA,
        action: XDP_DROP,
    },
    Case {
        name: "siphon on a host, measured",
        capture: Some("mode = \"host\"\nattach = \"native\"\nmedia = \"measured\""),
        is_varied: true,
        port: MEDIA,
        action: XDP_PASS,
    },
];

/// What a case took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// The case.
    pub name: String,
    /// Nanoseconds for a frame, or why there are none.
    pub ns: Result<f64, String>,
}

fn measure_table(bench: &mut Bench<'_>) -> Result<Table> {
    let (rounds, is_quick) = (bench.effort.rounds, bench.effort.is_quick);
    let runs = if is_quick { QUICK_RUNS } else { RUNS };
    let mut rows = CASES.map(|case| {
        let capture = case.capture.filter(|keys| !keys.is_empty());
        let capture = capture.map_or_else(String::new, |keys| format!(", with {}", keys.replace('\n', ", ")));
        Row::new(&[case.name], format!("BPF_PROG_TEST_RUN, repeat {runs}{capture}"))
    });
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        wait_for_rest(bench.effort.patience.min(Duration::from_secs(30)))?;
        let wire = Wire::new()?;
        let mut command = wire.sensor.command(bench.programs.bench);
        command.args(["--cost", &runs.to_string()]);
        let text = pinned(RECEIVER_CPU, || run(&mut command))?;
        let costs: Vec<Cost> = serde_json::from_str(&text).with_context(|| format!("the bench says {text:?}"))?;
        let of = |name: &str| costs.iter().find(|cost| cost.name == name);
        for (case, row) in CASES.iter().zip(&mut rows) {
            let empty = if case.is_varied { EMPTY_VARIED } else { EMPTY };
            let empty = of(empty).and_then(|cost| cost.ns.clone().ok());
            match of(case.name).map(|cost| cost.ns.clone()) {
                Some(Ok(ns)) => row.rounds.push(vec![Some(ns), empty.map(|empty| ns / empty)]),
                Some(Err(reason)) => row.missing = Some(reason),
                None => bail!("there is no figure of {}", case.name),
            }
        }
    }
    Ok(Table {
        name: MEASUREMENT.name,
        title: MEASUREMENT.about.to_owned(),
        conditions: vec![
            format!(
                "A {}-byte frame on CPU {RECEIVER_CPU}, {runs} times; {rounds} interleaved rounds, medians (least - most). The \
                 kernel's loop around the program is part of every figure.",
                frame::LENGTH
            ),
            format!(
                "varied, and siphon from redirect on: before each run a program makes the frame that of the next of {STREAMS} \
                 streams, and jumps to the one that is measured; what that takes is in the figures, of the empty program too."
            ),
            "On a host: the program of native XDP, which copies nothing of these frames.".to_owned(),
        ],
        keys: vec!["program"],
        figures: FIGURES.to_vec(),
        rows: rows.to_vec(),
    })
}

/// Measures every case on [`TAP`] in the network namespace of this process.
///
/// # Errors
/// When a program does not do with the frames what it should.
pub fn cost(runs: u32) -> Result<Vec<Cost>> {
    let object = xtask::ebpf::object("load")?;
    let bytes =
        fs::read(&object).with_context(|| format!("read {}: `cargo xtask build-ebpf` builds it", object.display()))?;
    let mut ebpf = Ebpf::load(&bytes).with_context(|| format!("load {}", object.display()))?;
    for name in ["pass", "vary"] {
        loaded(&mut ebpf, name)?
            .load()
            .with_context(|| format!("load the program `{name}`"))?;
    }
    CASES
        .iter()
        .map(|case| {
            let ns = match case.capture.map(configuration).transpose() {
                Err(reason) => Err(reason),
                Ok(capture) => Ok(one(&mut ebpf, case, capture, runs).with_context(|| case.name)?),
            };
            Ok(Cost {
                name: case.name.to_owned(),
                ns,
            })
        })
        .collect()
}

fn configuration(keys: &str) -> Result<config::Config, String> {
    config::parse(&format!("[capture]\ninterface = \"{TAP}\"\n{keys}\n"))
        .map_err(|problems| problems.first().map(ToString::to_string).unwrap_or_default())
}

/// Nanoseconds for a frame.
fn one(ebpf: &mut Ebpf, case: &Case, capture: Option<config::Config>, runs: u32) -> Result<f64> {
    let Case {
        name,
        is_varied,
        port,
        action,
        ..
    } = *case;
    let mut frame = frame::template();
    for at in [load::offset::PORTS, load::offset::PORTS + 2] {
        frame[at..at + 2].copy_from_slice(&port.to_be_bytes());
    }
    let Some(config) = capture else {
        let pass = loaded(ebpf, "pass")?.fd()?.try_clone()?;
        return if is_varied {
            vary(ebpf, &pass)?;
            timed(loaded(ebpf, "vary")?, &frame, runs, action)
        } else {
            timed(loaded(ebpf, "pass")?, &frame, runs, action)
        };
    };
    // The lanes hold the sockets that frames are redirected to; nothing is sent there by a run of this kind.
    let (mut siphon, _lanes) = if config.capture.mode == Mode::Host {
        // Nothing that is copied is measured here: nobody would empty the ring.
        let (program, _) = host::prepare(&config.capture, &config.follow)?;
        program.arm()?;
        (program, Vec::new())
    } else {
        program::open(&config.capture)?
    };
    let before = siphon.verdicts()?.seen();
    let ns = if is_varied {
        let tested = siphon.in_kernel()?.fd()?.try_clone()?;
        vary(ebpf, &tested)?;
        timed(loaded(ebpf, "vary")?, &frame, runs, action)?
    } else {
        timed(siphon.in_kernel()?, &frame, runs, action)?
    };
    let counted = siphon.verdicts()?.seen() - before;
    let given = u64::from(runs) + u64::from(BEFORE.min(runs));
    ensure!(counted == given, "{name} counted {counted} of {given} frames");
    Ok(ns)
}

fn loaded<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = ebpf.program_mut(name).with_context(|| format!("no program `{name}`"))?;
    Ok(program.try_into()?)
}

/// Has `vary` begin anew and go on with `tested`.
fn vary(ebpf: &mut Ebpf, tested: &aya::programs::ProgramFd) -> Result<()> {
    let told = load::Load {
        streams: STREAMS,
        length: frame::LENGTH as u64,
        ..load::Load::default()
    };
    let mut map: Array<_, [u64; 7]> = ebpf.map_mut("LOAD").context("no map LOAD")?.try_into()?;
    map.set(0, bytemuck::cast::<load::Load, [u64; 7]>(told), 0)?;
    let cpus = aya::util::nr_cpus().map_err(|(file, error)| anyhow::Error::new(error).context(file))?;
    let mut map: PerCpuArray<_, [u64; 8]> = ebpf.map_mut("MADE").context("no map MADE")?.try_into()?;
    map.set(0, PerCpuValues::try_from(vec![[0; 8]; cpus])?, 0)?;
    let mut map: ProgramArray<_> = ebpf.map_mut("TESTED").context("no map TESTED")?.try_into()?;
    map.set(0, tested, 0).context("put the program behind `vary`")?;
    Ok(())
}

/// Runs the program, first to warm it up and then by this thread's CPU clock: the duration the kernel gives is in whole
/// nanoseconds.
fn timed(program: &Xdp, frame: &[u8], runs: u32, action: u32) -> Result<f64> {
    let test = |repeat| -> Result<f64> {
        let begun = clock_gettime(ClockId::ThreadCPUTime);
        let result = program.test_run(TestRunOptions {
            data_in: Some(frame),
            repeat,
            ..TestRunOptions::new()
        })?;
        let ended = clock_gettime(ClockId::ThreadCPUTime);
        let seconds = (ended.tv_sec - begun.tv_sec) as f64;
        let nanos = (ended.tv_nsec - begun.tv_nsec) as f64;
        ensure!(
            result.return_value == action,
            "action {} instead of {action}",
            result.return_value
        );
        Ok((seconds * 1e9 + nanos) / f64::from(repeat))
    };
    test(BEFORE.min(runs))?;
    test(runs)
}
