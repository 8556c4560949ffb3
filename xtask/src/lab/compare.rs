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

/// A stream is known by its addresses and its SSRC.
type Key = (String, String, u32);

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
        let streams = streams.into_iter().map(|stream| {
            let digits = stream.ssrc.trim_start_matches("0x");
            let ssrc = u32::from_str_radix(digits, 16).with_context(|| format!("SSRC {:?}", stream.ssrc))?;
            Ok(((stream.src.clone(), stream.dst.clone(), ssrc), stream))
        });
        Ok(Self {
            sip: part("sip", sip)?,
            calls: calls.into_iter().map(|call| (call.call_id.clone(), call)).collect(),
            streams: streams.collect::<Result<_>>()?,
        })
    }
}

fn part<T: DeserializeOwned>(name: &str, value: &Value) -> Result<T> {
    serde_json::from_value(value.clone()).with_context(|| format!("siphon's {name}: {value}"))
}

/// Compares messages by method and status, calls by what became of each, and streams packet for packet.
pub fn side_by_side(siphon: &Answers, tshark: &Reading) -> Vec<Row> {
    let mut rows = vec![Row::new("SIP messages", siphon.sip.messages, tshark.messages())];
    counts(&mut rows, "", &siphon.sip.requests, &tshark.requests);
    counts(&mut rows, "responses ", &siphon.sip.responses, &tshark.responses);
    calls(&mut rows, siphon, tshark);
    streams(&mut rows, siphon, tshark);
    rows
}

/// A row for each key either of them has.
fn counts<K: Ord + Display>(rows: &mut Vec<Row>, prefix: &str, ours: &BTreeMap<K, u64>, theirs: &BTreeMap<K, u64>) {
    let keys: BTreeSet<&K> = ours.keys().chain(theirs.keys()).collect();
    for key in keys {
        let count = |counts: &BTreeMap<K, u64>| counts.get(key).copied().unwrap_or_default();
        rows.push(Row::new(format!("{prefix}{key}"), count(ours), count(theirs)));
    }
}

/// Calls in all, then by outcome. Equal numbers may hide two calls that changed places, so each is compared too.
fn calls(rows: &mut Vec<Row>, siphon: &Answers, tshark: &Reading) {
    let outcome = |state: &str, status: Option<u16>| match status {
        Some(status) => format!("{state} {status}"),
        None => state.to_owned(),
    };
    let ours: BTreeMap<&str, String> = siphon
        .calls
        .iter()
        .map(|(id, call)| (id.as_str(), outcome(&call.state, call.status_code)))
        .collect();
    let theirs: BTreeMap<&str, String> = tshark
        .calls
        .iter()
        .map(|(id, call)| (id.as_str(), outcome(state(call), call.final_status)))
        .collect();
    rows.push(Row::new("calls", ours.len(), theirs.len()));
    counts(rows, "calls ", &tally(ours.values()), &tally(theirs.values()));
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

fn tally<'a>(outcomes: impl Iterator<Item = &'a String>) -> BTreeMap<&'a str, u64> {
    let mut tally = BTreeMap::new();
    for outcome in outcomes {
        *tally.entry(outcome.as_str()).or_default() += 1;
    }
    tally
}

/// The word of the contract for what tshark saw of a call. A call without a final response is `trying` or `ringing`;
/// tshark's reading does not keep apart which.
fn state(call: &tshark::Call) -> &'static str {
    match call.final_status {
        Some(200..300) if call.bye => "ended",
        Some(200..300) => "answered",
        Some(487) => "cancelled",
        Some(_) => "failed",
        None => "unanswered",
    }
}

/// Streams and packets in all, then each stream that differs.
fn streams(rows: &mut Vec<Row>, siphon: &Answers, tshark: &Reading) {
    let theirs: BTreeMap<Key, &tshark::Stream> = tshark
        .streams
        .iter()
        .map(|stream| ((stream.src.clone(), stream.dst.clone(), stream.ssrc), stream))
        .collect();
    let ours = &siphon.streams;
    rows.push(Row::new("RTP streams", ours.len(), theirs.len()));
    rows.push(Row::new(
        "RTP packets",
        ours.values().map(|stream| stream.packets).sum::<u64>(),
        theirs.values().map(|stream| stream.packets).sum(),
    ));
    rows.push(Row::new(
        "RTP packets lost",
        ours.values().map(lost).sum::<i64>(),
        theirs.values().map(|stream| stream.lost).sum(),
    ));
    let keys: BTreeSet<&Key> = ours.keys().chain(theirs.keys()).collect();
    let mut differ = 0;
    for key in keys {
        let (our, their) = (ours.get(key), theirs.get(key));
        if our.zip(their).is_some_and(|(our, their)| agree(our, their)) {
            continue;
        }
        differ += 1;
        let (src, dst, ssrc) = key;
        let absent = || "not there".to_owned();
        rows.push(Row {
            what: format!("stream {ssrc:#010x} {src} > {dst}"),
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
    rows.push(Row::new("streams that differ in loss or jitter", differ, 0));
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
mod tests {
    use serde_json::json;

    use super::*;

    fn reading() -> Reading {
        Reading {
            frames: 10,
            requests: BTreeMap::from([("INVITE".to_owned(), 1), ("BYE".to_owned(), 1)]),
            responses: BTreeMap::from([(200, 2)]),
            calls: BTreeMap::from([(
                "id".to_owned(),
                tshark::Call {
                    final_status: Some(200),
                    bye: true,
                    messages: 4,
                },
            )]),
            streams: vec![tshark::Stream {
                src: "192.0.2.1:10000".to_owned(),
                dst: "192.0.2.2:20000".to_owned(),
                ssrc: 0x5150_0001,
                packets: 6,
                lost: -1,
                jitter_mean_ms: 20.0,
                jitter_max_ms: 30.0,
            }],
        }
    }

    fn answers(state: &str, jitter: f64) -> Answers {
        Answers::new(
            &json!({"messages": 4, "requests": {"INVITE": 1, "BYE": 1}, "responses": {"200": 2}, "malformed": 0}),
            &json!([{"call_id": "id", "state": state, "status_code": 200}]),
            &json!([{
                "ssrc": "0x51500001", "src": "192.0.2.1:10000", "dst": "192.0.2.2:20000", "packets": 6,
                "lost": 0, "duplicates": 1, "jitter_mean_ms": jitter, "jitter_max_ms": 30.0,
            }]),
        )
        .unwrap()
    }

    #[test]
    fn the_same_is_equal() {
        // Within one per cent of 20 ms.
        let rows = side_by_side(&answers("ended", 20.19), &reading());
        assert!(rows.iter().all(|row| row.equal), "{}", table(&rows));
        assert!(rows.iter().any(|row| row.what == "calls ended 200"));
    }

    #[test]
    fn every_difference_is_a_row() {
        let unequal = |answers: &Answers, reading: &Reading| -> Vec<String> {
            let rows = side_by_side(answers, reading);
            rows.into_iter().filter(|row| !row.equal).map(|row| row.what).collect()
        };
        let stream = "stream 0x51500001 192.0.2.1:10000 > 192.0.2.2:20000";
        assert_eq!(
            unequal(&answers("answered", 20.0), &reading()),
            ["calls answered 200", "calls ended 200", "call id"]
        );
        let differ = "streams that differ in loss or jitter";
        assert_eq!(unequal(&answers("ended", 20.21), &reading()), [stream, differ]);
        let mut fewer = reading();
        fewer.streams.clear();
        fewer.requests.remove("BYE");
        assert_eq!(
            unequal(&answers("ended", 20.0), &fewer),
            [
                "SIP messages",
                "BYE",
                "RTP streams",
                "RTP packets",
                "RTP packets lost",
                stream,
                differ
            ]
        );
    }

    #[test]
    fn a_difference_is_marked_in_the_table() {
        let rows = [Row::new("calls", 1, 1), Row::new("RTP streams", 10, 9)];
        assert_eq!(
            table(&rows),
            "             siphon  tshark\ncalls             1       1\nRTP streams      10       9  <-\n"
        );
    }
}
