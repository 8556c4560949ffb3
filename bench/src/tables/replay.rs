//! The table `replay`: a capture file of calls, read by siphon and by others.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::fs::Advice;
use serde_json::Value;
use xtask::lab::process::run;
use xtask::lab::{Need, Scratch};

use super::{Bench, Measurement, figure};
use crate::file::{Calls, scan};
use crate::receiver::{Programs, pinned};
use crate::run::{RECEIVER_CPU, wait_for_rest};
use crate::table::{Figure, Row, Style, Table};
use crate::timed::{Timed, timed};

pub(super) const MEASUREMENT: Measurement = Measurement {
    name: "replay",
    about: "a capture file of 1,000 concurrent calls: siphon beside what else reads one",
    measure: measure_table,
};

/// More than a gigabyte.
const FULL: Calls = Calls {
    calls: 1_000,
    packets: 2_200,
};
const QUICK: Calls = Calls {
    calls: 1_000,
    packets: 40,
};

/// A reader that takes longer is not run in every round.
const LONG: f64 = 30.0;

/// What reads the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// siphon on one core.
    Siphon,
    /// siphon on all.
    SiphonAllCores,
    /// From record to record.
    Scan,
    /// tcpdump, which copies.
    Tcpdump,
    /// tshark with statistics of SIP and RTP.
    Tshark,
    /// sngrep without a terminal.
    Sngrep,
    /// sipgrep.
    Sipgrep,
}

impl Reader {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Siphon,
        Self::SiphonAllCores,
        Self::Scan,
        Self::Tcpdump,
        Self::Tshark,
        Self::Sngrep,
        Self::Sipgrep,
    ];

    /// The name of its row.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Siphon => "siphon",
            Self::SiphonAllCores => "siphon, all cores",
            Self::Scan => "bare scan",
            Self::Tcpdump => "tcpdump",
            Self::Tshark => "tshark",
            Self::Sngrep => "sngrep",
            Self::Sipgrep => "sipgrep",
        }
    }

    /// Its command line; FILE stands for the file.
    pub const fn command(self) -> &'static str {
        match self {
            Self::Siphon => "siphon replay FILE",
            Self::SiphonAllCores => "siphon replay --jobs 0 FILE",
            Self::Scan => "bench --scan FILE",
            Self::Tcpdump => "tcpdump -r FILE -w /dev/null",
            Self::Tshark => "tshark -r FILE -q -z rtp,streams -z sip,stat",
            Self::Sngrep => "sngrep -N -q -I FILE",
            Self::Sipgrep => "sipgrep -C -I FILE",
        }
    }

    fn words(self, programs: Programs<'_>, file: &Path) -> Command {
        let mut words = self.command().split(' ');
        let program = words.next().unwrap_or_default();
        let mut command = match program {
            "siphon" => Command::new(programs.siphon),
            "bench" => Command::new(programs.bench),
            other => Command::new(other),
        };
        for word in words {
            match word {
                "FILE" => command.arg(file),
                word => command.arg(word),
            };
        }
        command
    }

    fn missing(self, programs: Programs<'_>) -> Option<String> {
        match self {
            Self::Siphon | Self::Scan => None,
            Self::SiphonAllCores => {
                let help = run(Command::new(programs.siphon).args(["replay", "--help"])).unwrap_or_default();
                (!help.contains("--jobs")).then(|| "this siphon has no --jobs".to_owned())
            }
            Self::Tcpdump => Need::Program("tcpdump").missing(),
            Self::Tshark => Need::Program("tshark").missing(),
            Self::Sngrep => Need::Program("sngrep").missing(),
            Self::Sipgrep => Need::Program("sipgrep").missing(),
        }
    }
}

const FIGURES: [Figure; 6] = [
    figure("wall_seconds", "SECONDS", Style::Spread),
    figure("frames_per_second", "FRAMES/S", Style::Median),
    figure("user_seconds", "USER S", Style::Median),
    figure("system_seconds", "SYSTEM S", Style::Median),
    figure("peak_bytes", "MEMORY", Style::Worst),
    figure("cores", "CORES", Style::Median),
];

fn measure_table(bench: &mut Bench<'_>) -> Result<Table> {
    let (rounds, is_quick) = (bench.effort.rounds, bench.effort.is_quick);
    let calls = if is_quick { QUICK } else { FULL };
    eprintln!("making the file");
    let file = calls.file(&bench.cache)?;
    cache(&file)?;
    let scanned = scan(&file)?;
    ensure!(scanned.frames == calls.frames(), "{scanned:?} in {}", file.display());
    check_siphon(bench.programs, &file, calls)?;
    let scratch = Scratch::new("replay")?;
    let out = scratch.path().join("out");
    let mut rows = Reader::ALL.map(|reader| {
        let mut row = Row::new(&[reader.label()], reader.command());
        row.missing = reader.missing(bench.programs);
        row
    });
    let mut long = BTreeMap::new();
    for round in 0..rounds {
        for (reader, row) in Reader::ALL.iter().zip(&mut rows) {
            if row.missing.is_some() || long.contains_key(reader.label()) {
                continue;
            }
            eprintln!("round {} of {rounds}: {}", round + 1, reader.label());
            wait_for_rest(bench.effort.patience.min(Duration::from_secs(30)))?;
            let mut command = reader.words(bench.programs, &file);
            let took = match reader {
                Reader::SiphonAllCores => timed(&mut command, &out),
                _ => pinned(RECEIVER_CPU, || timed(&mut command, &out)),
            }?;
            if *reader == Reader::Tshark {
                check_tshark(&out, calls)?;
            }
            if took.wall > LONG {
                long.insert(reader.label(), took.wall);
            }
            row.rounds.push(figures_of(took, calls.frames()));
        }
    }
    let mut conditions = vec![
        format!(
            "{} bytes in {} frames: {} concurrent calls of G.711 with their SIP, {} s long, in the page cache as a reader from front to \
             back leaves it there. On CPU {RECEIVER_CPU} alone, but for all cores.",
            scanned.bytes,
            scanned.frames,
            calls.calls,
            calls.packets / 50
        ),
        format!("{rounds} interleaved rounds, medians (least - most); of what takes longer than {LONG} s, one."),
        "siphon was found to report every call, and every stream whole; tshark every stream.".to_owned(),
    ];
    for (reader, wall) in &long {
        conditions.push(format!("One round only: {reader} ({wall:.0} s)."));
    }
    Ok(Table {
        name: MEASUREMENT.name,
        title: MEASUREMENT.about.to_owned(),
        conditions,
        keys: vec!["reader"],
        figures: FIGURES.to_vec(),
        rows: rows.to_vec(),
    })
}

/// Has the page cache hold the file as one reading from front to back leaves it there. It may be there as a mapping brought it in, in
/// pieces (folios) so small that whoever maps it takes half as long again.
fn cache(path: &Path) -> Result<()> {
    let read = || {
        let mut file = File::open(path)?;
        // What is not on disk yet stays.
        file.sync_all()?;
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?;
        io::copy(&mut file, &mut io::sink())
    };
    let bytes = read().with_context(|| format!("read {} into the page cache", path.display()))?;
    ensure!(bytes > 0, "{} is empty", path.display());
    Ok(())
}

/// In the order of [`FIGURES`].
fn figures_of(took: Timed, frames: u64) -> Vec<Option<f64>> {
    vec![
        Some(took.wall),
        Some(frames as f64 / took.wall),
        Some(took.cpu.user),
        Some(took.cpu.system),
        Some(took.peak as f64),
        Some(took.cpu.total() / took.wall),
    ]
}

/// What is timed has to be right: every call, every stream, every packet.
fn check_siphon(programs: Programs<'_>, file: &Path, calls: Calls) -> Result<()> {
    let text = run(Command::new(programs.siphon).args(["replay", "--json"]).arg(file))?;
    let document: Value = serde_json::from_str(&text).context("what siphon prints")?;
    let rows = |name: &str| document[name].as_array().map_or(&[][..], Vec::as_slice);
    let (found, streams) = (rows("calls"), rows("streams"));
    ensure!(
        found.len() == calls.calls as usize && streams.len() == 2 * calls.calls as usize,
        "siphon finds {} calls and {} streams",
        found.len(),
        streams.len()
    );
    let packets = u64::from(calls.packets);
    let odd = streams
        .iter()
        .find(|stream| stream["packets"].as_u64() != Some(packets) || stream["lost"].as_u64() != Some(0));
    match odd {
        Some(stream) => anyhow::bail!("siphon finds a stream that is not whole: {stream}"),
        None => Ok(()),
    }
}

fn check_tshark(out: &Path, calls: Calls) -> Result<()> {
    let text = fs::read_to_string(out).with_context(|| format!("read {}", out.display()))?;
    let streams = text.lines().filter(|line| line.contains("g711U")).count();
    ensure!(
        streams == 2 * calls.calls as usize,
        "tshark finds {streams} streams: {}",
        text.get(..500).unwrap_or(&text)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_what_the_table_says() {
        let programs = Programs {
            siphon: Path::new("/bin/siphon"),
            bench: Path::new("/bin/bench"),
        };
        let words = Reader::Siphon.words(programs, Path::new("/a b"));
        assert_eq!(format!("{words:?}"), r#""/bin/siphon" "replay" "/a b""#);
        assert_eq!(FULL.frames(), 4_407_000);
    }
}
