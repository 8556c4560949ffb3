//! siphon's answers and tshark's, side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::tshark::{self, Reading};

/// Two jitters may differ by this part of themselves, as tshark rounds on its way.
const JITTER_RATIO: f64 = 0.01;

/// Or by this much, in milliseconds, where that is more.
const JITTER_MS: f64 = 0.1;

/// One line of the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What is compared.
    pub what: String,
    /// siphon's figure.
    pub siphon: String,
    /// tshark's.
    pub tshark: String,
    /// Whether they agree.
    pub equal: bool,
}

impl Row {
    /// Two figures that have to be the same.
    pub fn new<T: Copy + PartialEq + Display>(what: impl Into<String>, siphon: T, tshark: T) -> Self {
        Self {
            what: what.into(),
            siphon: siphon.to_string(),
            tshark: tshark.to_string(),
            equal: siphon == tshark,
        }
    }
}

/// What siphon says, in the words of `siphon replay --json`. Made of parts, as a running siphon is asked for them one by
/// one.
#[derive(Clone, Debug)]
pub struct Answers {
    sip: SipCounts,
    calls: BTreeMap<String, Call>,
    streams: BTreeMap<Key, Stream>,
}

/// A stream is known by its addresses, its SSRC, and which of those with the same it is: ports are used again.
type Key = (String, String, u32, usize);

/// Streams by their keys; those with the same addresses and SSRC keep their order.
fn keyed<S>(streams: impl IntoIterator<Item = S>, names: impl Fn(&S) -> (String, String, u32)) -> BTreeMap<Key, S> {
    let mut keyed = BTreeMap::new();
    for stream in streams {
        let (src, dst, ssrc) = names(&stream);
        let from = (src.clone(), dst.clone(), ssrc, 0);
        let to = (src.clone(), dst.clone(), ssrc, usize::MAX);
        let ordinal = keyed.range(from..to).count();
        keyed.insert((src, dst, ssrc, ordinal), stream);
    }
    keyed
}

#[derive(Clone, Debug, Deserialize)]
struct SipCounts {
    messages: u64,
    requests: BTreeMap<String, u64>,
    responses: BTreeMap<u16, u64>,
}

#[derive(Clone, Debug, Deserialize)]
struct Call {
    call_id: String,
    state: String,
    status_code: Option<u16>,
}

#[derive(Clone, Debug, Deserialize)]
struct Stream {
    ssrc: String,
    src: String,
    dst: String,
    packets: u64,
    lost: i64,
    duplicates: i64,
    jitter_mean_ms: Option<f64>,
    jitter_max_ms: Option<f64>,
}

impl Answers {
    /// Takes up the object `sip` and the lists `calls` and `streams`.
    ///
    /// # Errors
    /// When one of them is not as the contract says.
    pub fn new(sip: &Value, calls: &Value, streams: &Value) -> Result<Self> {
        let calls: Vec<Call> = part("calls", calls)?;
        let streams: Vec<Stream> = part("streams", streams)?;
        let mut named = Vec::new();
        for stream in streams {
            let digits = stream.ssrc.trim_start_matches("0x");
            let ssrc = u32::from_str_radix(digits, 16).with_context(|| format!("SSRC {:?}", stream.ssrc))?;
            named.push((ssrc, stream));
        }
        let streams = keyed(named, |(ssrc, stream)| (stream.src.clone(), stream.dst.clone(), *ssrc));
        Ok(Self {
            sip: part("sip", sip)?,
            calls: calls.into_iter().map(|call| (call.call_id.clone(), call)).collect(),
            streams: streams.into_iter().map(|(key, (_, stream))| (key, stream)).collect(),
        })
    }
}

fn part<T: DeserializeOwned>(name: &str, value: &Value) -> Result<T> {
    serde_json::from_value(value.clone()).with_context(|| format!("siphon's {name}: {value}"))
}

/// Compares messages by method and status, calls by what became of each, and streams packet for packet: sums first, then
/// what differs.
pub fn side_by_side(siphon: &Answers, tshark: &Reading) -> Vec<Row> {
    let mut rows = vec![Row::new("SIP messages", siphon.sip.messages, tshark.messages())];
    messages(&mut rows, siphon, tshark);
    call_sums(&mut rows, siphon, tshark);
    differing_calls(&mut rows, siphon, tshark);
    stream_sums(&mut rows, siphon, tshark);
    let before = rows.len();
    differing_streams(&mut rows, siphon, tshark);
    let differ = rows.len() - before;
    rows.push(Row::new("streams that differ in loss or jitter", differ, 0));
    rows
}

/// Each count, call and stream that differs, without the sums.
pub fn differences(siphon: &Answers, tshark: &Reading) -> Vec<Row> {
    let mut rows = Vec::new();
    messages(&mut rows, siphon, tshark);
    differing_calls(&mut rows, siphon, tshark);
    differing_streams(&mut rows, siphon, tshark);
    rows.retain(|row| !row.equal);
    rows
}

fn messages(rows: &mut Vec<Row>, siphon: &Answers, tshark: &Reading) {
    counts(rows, "", &siphon.sip.requests, &tshark.requests);
    counts(rows, "responses ", &siphon.sip.responses, &tshark.responses);
}

/// A row for each key either of them has.
fn counts<K: Ord + Display>(rows: &mut Vec<Row>, prefix: &str, ours: &BTreeMap<K, u64>, theirs: &BTreeMap<K, u64>) {
    let keys: BTreeSet<&K> = ours.keys().chain(theirs.keys()).collect();
    for key in keys {
        let count = |counts: &BTreeMap<K, u64>| counts.get(key).copied().unwrap_or_default();
        rows.push(Row::new(format!("{prefix}{key}"), count(ours), count(theirs)));
    }
}

/// Calls in all, then by outcome.
fn call_sums(rows: &mut Vec<Row>, siphon: &Answers, tshark: &Reading) {
    let (ours, theirs) = (our_outcomes(siphon), their_outcomes(tshark));
    rows.push(Row::new("calls", ours.len(), theirs.len()));
    counts(rows, "calls ", &tally(ours.values()), &tally(theirs.values()));
}

/// Each call that differs: equal numbers may hide two that changed places.
fn differing_calls(rows: &mut Vec<Row>, siphon: &Answers, tshark: &Reading) {
    let (ours, theirs) = (our_outcomes(siphon), their_outcomes(tshark));
    let ids: BTreeSet<&str> = ours.keys().chain(theirs.keys()).copied().collect();
    for id in ids {
        let (our, their) = (ours.get(id), theirs.get(id));
        if our != their {
            let shown = |outcome: Option<&String>| outcome.cloned().unwrap_or_else(|| "not there".to_owned());
            rows.push(Row {
                what: format!("call {id}"),
                siphon: shown(our),
                tshark: shown(their),
                equal: false,
            });
        }
    }
}

fn our_outcomes(siphon: &Answers) -> BTreeMap<&str, String> {
    let calls = siphon.calls.iter();
    calls
        .map(|(id, call)| (id.as_str(), outcome(&call.state, call.status_code)))
        .collect()
}

fn their_outcomes(tshark: &Reading) -> BTreeMap<&str, String> {
    let calls = tshark.calls.iter();
    calls
        .map(|(id, call)| (id.as_str(), outcome(state(call), call.final_status)))
        .collect()
}

/// Without a final response the states cannot be held against tshark's reading, which keeps no provisional one.
fn outcome(state: &str, status: Option<u16>) -> String {
    match (state, status) {
        ("trying" | "ringing" | "timed_out", _) | (_, None) => UNANSWERED.to_owned(),
        (state, Some(status)) => format!("{state} {status}"),
    }
}

/// A call without a final response.
const UNANSWERED: &str = "unanswered";

fn tally<'a>(outcomes: impl Iterator<Item = &'a String>) -> BTreeMap<&'a str, u64> {
    let mut tally = BTreeMap::new();
    for outcome in outcomes {
        *tally.entry(outcome.as_str()).or_default() += 1;
    }
    tally
}

/// The word of the contract for what tshark saw of a call.
fn state(call: &tshark::Call) -> &'static str {
    match call.final_status {
        Some(200..300) if call.bye => "ended",
        Some(200..300) => "answered",
        Some(487) => "cancelled",
        Some(_) => "failed",
        None => UNANSWERED,
    }
}

/// Streams and packets in all.
fn stream_sums(rows: &mut Vec<Row>, siphon: &Answers, tshark: &Reading) {
    let (ours, theirs) = (&siphon.streams, &tshark.streams);
    rows.push(Row::new("RTP streams", ours.len(), theirs.len()));
    rows.push(Row::new(
        "RTP packets",
        ours.values().map(|stream| stream.packets).sum::<u64>(),
        theirs.iter().map(|stream| stream.packets).sum(),
    ));
    rows.push(Row::new(
        "RTP packets lost",
        ours.values().map(lost).sum::<i64>(),
        theirs.iter().map(|stream| stream.lost).sum(),
    ));
}

/// Each stream that differs.
fn differing_streams(rows: &mut Vec<Row>, siphon: &Answers, tshark: &Reading) {
    let ours = &siphon.streams;
    let theirs = keyed(&tshark.streams, |stream| {
        (stream.src.clone(), stream.dst.clone(), stream.ssrc)
    });
    let keys: BTreeSet<&Key> = ours.keys().chain(theirs.keys()).collect();
    for key in keys {
        let (our, their) = (ours.get(key), theirs.get(key));
        if our.zip(their).is_some_and(|(our, their)| agree(our, their)) {
            continue;
        }
        let (src, dst, ssrc, ordinal) = key;
        let again = match ordinal {
            0 => String::new(),
            _ => format!(" (the {}. of these)", ordinal + 1),
        };
        let absent = || "not there".to_owned();
        rows.push(Row {
            what: format!("stream {ssrc:#010x} {src} > {dst}{again}"),
            siphon: our.map_or_else(absent, |our| {
                let milliseconds = |jitter: Option<f64>| jitter.map_or("-".to_owned(), |jitter| format!("{jitter:.3}"));
                figures(
                    our.packets,
                    lost(our),
                    &milliseconds(our.jitter_mean_ms),
                    &milliseconds(our.jitter_max_ms),
                )
            }),
            tshark: their.map_or_else(absent, |their| {
                let [mean, max] = [their.jitter_mean_ms, their.jitter_max_ms].map(|jitter| format!("{jitter:.3}"));
                figures(their.packets, their.lost, &mean, &max)
            }),
            equal: false,
        });
    }
}

fn figures(packets: u64, lost: i64, mean: &str, max: &str) -> String {
    format!("{packets} packets, {lost} lost, jitter {mean}/{max} ms")
}

/// Loss as tshark counts it: expected minus received, so that a copy makes up for a loss.
fn lost(stream: &Stream) -> i64 {
    stream.lost - stream.duplicates
}

fn agree(ours: &Stream, theirs: &tshark::Stream) -> bool {
    let near = |our: Option<f64>, their: f64| {
        our.is_some_and(|our| (our - their).abs() <= (their * JITTER_RATIO).max(JITTER_MS))
    };
    ours.packets == theirs.packets
        && lost(ours) == theirs.lost
        && near(ours.jitter_mean_ms, theirs.jitter_mean_ms)
        && near(ours.jitter_max_ms, theirs.jitter_max_ms)
}

/// The rows as a table; a row that is not equal ends with `<-`.
pub fn table(rows: &[Row]) -> String {
    let heading = ["", "siphon", "tshark"].map(str::to_owned);
    let lines: Vec<[String; 3]> = std::iter::once(heading)
        .chain(
            rows.iter()
                .map(|row| [row.what.clone(), row.siphon.clone(), row.tshark.clone()]),
        )
        .collect();
    let widest = |column: fn(&[String; 3]) -> &String| lines.iter().map(|line| column(line).len()).max().unwrap_or(0);
    let [what, siphon, tshark] = [widest(|l| &l[0]), widest(|l| &l[1]), widest(|l| &l[2])];
    let marks = std::iter::once("").chain(rows.iter().map(|row| if row.equal { "" } else { "  <-" }));
    lines
        .iter()
        .zip(marks)
        .map(|([a, b, c], mark)| format!("{a:what$}  {b:>siphon$}  {c:>tshark$}{mark}\n"))
        .collect()
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
