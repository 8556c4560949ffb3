//! What the figures are to reach: ratios within one run, and the figures of others that are to be beaten.

use std::collections::BTreeMap;
use std::fmt;

use comfy_table::{CellAlignment, presets};
use serde_json::{Value, json};

use crate::receiver::Kind;
use crate::table::{Spread, Table, number};
use crate::tables::names::{self, Reader};

/// The tables that were asked for, and why one could not be measured.
pub type Tables = BTreeMap<&'static str, Result<Table, String>>;

/// How a value is held against its goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Not less.
    AtLeast,
    /// Not more.
    AtMost,
    /// Less.
    Below,
}

impl Op {
    /// As in JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::AtLeast => ">=",
            Self::AtMost => "<=",
            Self::Below => "<",
        }
    }

    fn holds(self, value: f64, goal: f64) -> bool {
        match self {
            Self::AtLeast => value >= goal,
            Self::AtMost => value <= goal,
            Self::Below => value < goal,
        }
    }
}

/// A goal.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// Its name, which begins with that of its table or with `field`.
    pub name: &'static str,
    /// What is to be so.
    pub about: &'static str,
    /// How the value is held against the goal.
    pub op: Op,
    /// The goal.
    pub goal: f64,
    /// The value out of the tables, or why there is none.
    pub value: fn(&Tables) -> Result<f64, String>,
}

const fn goal(
    name: &'static str,
    about: &'static str,
    op: Op,
    goal: f64,
    value: fn(&Tables) -> Result<f64, String>,
) -> Goal {
    Goal {
        name,
        about,
        op,
        goal,
        value,
    }
}

/// VoIPmonitor 2026.04 without loss on a veth pair of a machine like those the results are from: 0.30 Mpps in bursts of five
/// seconds, the best of its rates; 0.1 Mpps when it saves packets. And 4.4 million frames of 1,000 calls from a file in 19.0 s.
const INCUMBENT_LIVE: f64 = 0.30e6;
const INCUMBENT_SAVING: f64 = 0.1e6;
const INCUMBENT_OFFLINE: f64 = 4.4e6 / 19.0;

/// All goals, in order of the tables.
pub const ALL: [Goal; 24] = [
    goal(
        "program_drop_of_empty",
        "classify and decide, beside an empty program: the dearest of an unwanted frame and unwanted RTP, dropped and passed on",
        Op::AtMost,
        2.5,
        |tables| {
            let of = |name| ratio(tables, "program", "ns_per_frame", &[name], &[names::EMPTY]);
            let cases = [names::DROP, names::DROP_RTP, names::PASS, names::PASS_RTP];
            cases
                .into_iter()
                .try_fold(0.0_f64, |dearest, name| Ok(dearest.max(of(name)?)))
        },
    ),
    goal(
        "kernel_measured_of_drop",
        "RTP measured in the kernel, beside XDP_DROP",
        Op::AtLeast,
        0.35,
        |tables| kernel(tables, Kind::SiphonMeasured, Kind::Discard),
    ),
    goal(
        "kernel_host_of_tcpdump",
        "host mode, the headers of RTP copied, beside tcpdump -w /dev/null",
        Op::AtLeast,
        1.4,
        |tables| kernel(tables, Kind::SiphonHost, Kind::Tcpdump),
    ),
    goal(
        "kernel_host_measured_of_tcpdump",
        "host mode, RTP measured in place, beside tcpdump -w /dev/null",
        Op::AtLeast,
        1.4,
        |tables| kernel(tables, Kind::SiphonHostMeasured, Kind::Tcpdump),
    ),
    goal(
        "mirror_tracking_of_bare",
        "following everything beside the bare loop, at the worst number of streams",
        Op::AtLeast,
        0.95,
        |tables| mirror(tables, Kind::Siphon, &[Kind::Bare]),
    ),
    goal(
        "mirror_tracking_of_tcpdump",
        "following everything beside tcpdump -w /dev/null, at the worst number of streams",
        Op::AtLeast,
        1.2,
        |tables| mirror(tables, Kind::Siphon, &[Kind::Tcpdump]),
    ),
    goal(
        "mirror_writing_of_best",
        "writing every frame beside the best of those that do, at the worst number of streams",
        Op::AtLeast,
        1.0,
        |tables| {
            mirror(
                tables,
                Kind::SiphonSpool,
                &[Kind::TcpdumpFile, Kind::Dumpcap, Kind::Netsniff],
            )
        },
    ),
    goal(
        "loss_writing_user_of_netsniff",
        "user CPU of writing a frame beside netsniff-ng's, both at the same rate without loss",
        Op::AtMost,
        0.5,
        user_cpu,
    ),
    goal(
        "engine_of_floor",
        "a packet in the engine beside the least that can be done",
        Op::AtMost,
        2.5,
        |tables| ratio(tables, "engine", "ns_per_packet", &[names::ENGINE], &[names::FLOOR]),
    ),
    goal(
        "engine_instructions",
        "instructions of a packet in the engine",
        Op::AtMost,
        350.0,
        |tables| median(tables, "engine", &[names::INSTRUCTIONS], "instructions_per_packet"),
    ),
    goal(
        "replay_of_tshark",
        "tshark's time by siphon's",
        Op::AtLeast,
        50.0,
        |tables| reading(tables, Reader::Tshark, Reader::Siphon),
    ),
    goal(
        "replay_of_sngrep",
        "sngrep's time by siphon's",
        Op::AtLeast,
        20.0,
        |tables| reading(tables, Reader::Sngrep, Reader::Siphon),
    ),
    goal(
        "replay_of_scan",
        "siphon's time by the bare scan's",
        Op::AtMost,
        4.0,
        |tables| reading(tables, Reader::Siphon, Reader::Scan),
    ),
    goal(
        "replay_cores",
        "part of all cores in use when asked for all",
        Op::AtLeast,
        0.75,
        |tables| {
            let cores = median(tables, "replay", &[Reader::SiphonAllCores.label()], "cores")?;
            let all = std::thread::available_parallelism().map_err(|error| error.to_string())?;
            Ok(cores / all.get() as f64)
        },
    ),
    goal(
        "growth_streams",
        "a packet with 500,000 streams beside one with 1,000",
        Op::Below,
        2.0,
        |tables| {
            let [first, .., last] = names::STREAMS.map(|streams| streams.to_string());
            ratio(tables, "growth", "ns_per_packet", &[&last, "0"], &[&first, "0"])
        },
    ),
    goal(
        "growth_calls",
        "a packet with 1,000 new calls a second beside one with one",
        Op::Below,
        2.0,
        |tables| {
            let [first, .., last] = names::CALLS.map(|calls| calls.to_string());
            ratio(tables, "growth", "ns_per_packet", &["10000", &last], &["10000", &first])
        },
    ),
    goal(
        "flood_memory",
        "memory after twice the INVITEs that fill every table, beside then",
        Op::AtMost,
        1.05,
        |tables| {
            let row = [names::INVITES];
            let (after, before) = (
                spread(tables, "flood", &row, "after_bytes")?,
                spread(tables, "flood", &row, "before_bytes")?,
            );
            quotient(after.max, before.median)
        },
    ),
    goal(
        "flood_live_messages",
        "SIP messages a second on the live path",
        Op::AtLeast,
        200_000.0,
        |tables| median(tables, "flood", &[names::LIVE], "messages_per_second"),
    ),
    goal(
        "flood_live_lost",
        "frames lost of them, in the worst round",
        Op::AtMost,
        0.0,
        |tables| Ok(spread(tables, "flood", &[names::LIVE], "lost_frames")?.max),
    ),
    goal(
        "memory_bytes",
        "memory of siphon with 52,500 calls and 105,000 streams",
        Op::AtMost,
        400e6,
        |tables| median(tables, "memory", &["siphon"], "resident_bytes"),
    ),
    goal(
        "learned_p99_ms",
        "from SDP to the kernel's map at 1,000 new calls a second, 99 of 100, in milliseconds",
        Op::Below,
        1.0,
        |tables| median(tables, "learned", &[Kind::SiphonLearned.label()], "p99_ms"),
    ),
    goal(
        "field_live",
        "frames a second without loss, following everything with 1,000 streams: ten times the incumbent's best",
        Op::AtLeast,
        10.0 * INCUMBENT_LIVE,
        |tables| median(tables, "mirror", &[Kind::Siphon.label(), "1000"], "rate_pps"),
    ),
    goal(
        "field_live_writing",
        "frames a second without loss, writing every one: ten times the incumbent's when it saves",
        Op::AtLeast,
        10.0 * INCUMBENT_SAVING,
        |tables| median(tables, "mirror", &[Kind::SiphonSpool.label(), "1000"], "rate_pps"),
    ),
    goal(
        "field_offline",
        "frames a second from a file on one core: twenty times the incumbent's",
        Op::AtLeast,
        20.0 * INCUMBENT_OFFLINE,
        |tables| median(tables, "replay", &[Reader::Siphon.label()], "frames_per_second"),
    ),
];

fn spread(tables: &Tables, table: &str, keys: &[&str], figure: &str) -> Result<Spread, String> {
    match tables.get(table) {
        Some(Ok(table)) => table.spread(keys, figure),
        Some(Err(error)) => Err(format!("table `{table}`: {error}")),
        None => Err(format!("the table `{table}` was not asked for")),
    }
}

fn median(tables: &Tables, table: &str, keys: &[&str], figure: &str) -> Result<f64, String> {
    spread(tables, table, keys, figure).map(|spread| spread.median)
}

fn quotient(over: f64, under: f64) -> Result<f64, String> {
    if under > 0.0 {
        Ok(over / under)
    } else {
        Err("there is nothing to compare with: it is 0".to_owned())
    }
}

/// Of two medians of one figure.
fn ratio(tables: &Tables, table: &str, figure: &str, over: &[&str], under: &[&str]) -> Result<f64, String> {
    quotient(
        median(tables, table, over, figure)?,
        median(tables, table, under, figure)?,
    )
}

fn kernel(tables: &Tables, over: Kind, under: Kind) -> Result<f64, String> {
    let streams = names::LINK.to_string();
    let keys = |kind: Kind| [kind.label(), streams.as_str()];
    ratio(tables, "kernel", "rate_pps", &keys(over), &keys(under))
}

fn reading(tables: &Tables, over: Reader, under: Reader) -> Result<f64, String> {
    ratio(tables, "replay", "wall_seconds", &[over.label()], &[under.label()])
}

/// The rate of one beside the best of others, at the number of streams where it is worst. What was not measured at all of them says nothing of
/// the worst.
fn mirror(tables: &Tables, over: Kind, under: &[Kind]) -> Result<f64, String> {
    let mut worst = f64::INFINITY;
    for streams in names::MIRRORED.map(|streams| streams.to_string()) {
        let rate = |kind: &Kind| median(tables, "mirror", &[kind.label(), &streams], "rate_pps");
        let best = under.iter().map(rate).collect::<Result<Vec<_>, _>>()?;
        let ratio = quotient(rate(&over)?, best.into_iter().fold(0.0, f64::max))?;
        worst = worst.min(ratio);
    }
    Ok(worst)
}

fn user_cpu(tables: &Tables) -> Result<f64, String> {
    let rate = names::asked(Some(names::USER_RATE));
    for kind in [Kind::SiphonSpool, Kind::Netsniff] {
        let keys = [kind.label(), rate.as_str()];
        for stage in crate::account::Stage::ALL {
            let lost = spread(tables, "loss", &keys, &format!("lost_{stage}_frames"));
            if lost.is_ok_and(|lost| lost.median > 0.0) {
                return Err(format!("{} does not hold {rate} here", kind.label()));
            }
        }
    }
    ratio(
        tables,
        "loss",
        "user_ns_per_frame",
        &[Kind::SiphonSpool.label(), &rate],
        &[Kind::Netsniff.label(), &rate],
    )
}

/// A goal beside what was measured.
#[derive(Clone, Debug)]
pub struct Held {
    goal: Goal,
    value: Result<f64, String>,
}

impl Held {
    /// Whether the goal is met; one without a value is not.
    pub fn is_met(&self) -> bool {
        self.value
            .as_ref()
            .is_ok_and(|value| self.goal.op.holds(*value, self.goal.goal))
    }

    /// `{"name", "about", "value", "goal", "op", "met"}`, and `"reason"` where there is no value.
    pub fn json(&self) -> Value {
        let Goal {
            name, about, op, goal, ..
        } = self.goal;
        let value = self.value.as_ref().ok();
        let mut object = json!({
            "name": name, "about": about, "value": value, "goal": goal, "op": op.label(), "met": self.is_met()
        });
        if let (Some(object), Err(reason)) = (object.as_object_mut(), &self.value) {
            object.insert("reason".to_owned(), reason.as_str().into());
        }
        object
    }
}

/// Every goal beside what was measured.
#[derive(Clone, Debug)]
pub struct AllHeld(Vec<Held>);

impl AllHeld {
    /// Holds all goals against the tables.
    pub fn against(tables: &Tables) -> Self {
        let held = |goal: &Goal| Held {
            goal: *goal,
            value: (goal.value)(tables),
        };
        Self(ALL.iter().map(held).collect())
    }

    /// One entry for each.
    pub fn json(&self) -> Value {
        self.0.iter().map(Held::json).collect()
    }
}

impl fmt::Display for AllHeld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = comfy_table::Table::new();
        lines.load_style(presets::NOTHING).force_no_tty();
        lines.set_header(["GOAL", "VALUE", "", "TO BE", ""]);
        for held in &self.0 {
            let Goal { name, op, goal, .. } = held.goal;
            let value = held
                .value
                .as_ref()
                .map_or_else(|_| "-".to_owned(), |value| number(*value));
            let verdict = match &held.value {
                Ok(_) if held.is_met() => "met",
                Ok(_) => "not met",
                Err(reason) => reason,
            };
            lines.add_row([name, &value, op.label(), &number(goal), verdict]);
        }
        for (index, column) in lines.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if index == 1 || index == 3 {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        writeln!(f, "{}", lines.trim_fmt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Figure, Row, Style};

    fn tables(name: &'static str, figure: &'static str, rows: &[(&[&str], f64)]) -> Tables {
        let rows = rows.iter().map(|(keys, value)| {
            let mut row = Row::new(keys, "");
            row.rounds.push(vec![Some(*value)]);
            row
        });
        let table = Table {
            name,
            title: String::new(),
            conditions: Vec::new(),
            keys: vec!["receiver", "streams"],
            figures: vec![Figure {
                name: figure,
                head: "",
                style: Style::Median,
            }],
            rows: rows.collect(),
        };
        Tables::from([(name, Ok(table))])
    }

    fn held(tables: &Tables, name: &str) -> Value {
        let all = AllHeld::against(tables).json();
        let mut goals = all.as_array().unwrap().iter();
        goals.find(|goal| goal["name"] == name).unwrap().clone()
    }

    #[test]
    fn every_goal_is_there_once_and_none_is_met_by_nothing() {
        let all = AllHeld::against(&Tables::new()).json();
        let goals = all.as_array().unwrap();
        assert_eq!(goals.len(), ALL.len());
        for (index, goal) in goals.iter().enumerate() {
            assert_eq!(
                (&goal["value"], &goal["met"]),
                (&Value::Null, &Value::Bool(false)),
                "{goal}"
            );
            assert!(goal["reason"].as_str().unwrap().contains("was not asked for"), "{goal}");
            assert!(
                goals[index + 1..].iter().all(|other| other["name"] != goal["name"]),
                "{goal}"
            );
        }
    }

    #[test]
    fn the_worst_number_of_streams_and_the_best_of_others_count() {
        let [siphon, bare] = [Kind::Siphon.label(), Kind::Bare.label()];
        let rows: [(&[&str], f64); 6] = [
            (&[siphon, "1"], 3e6),
            (&[bare, "1"], 3e6),
            (&[siphon, "50000"], 3e6),
            (&[bare, "50000"], 3e6),
            (&[siphon, "1000"], 2.7e6),
            (&[bare, "1000"], 3e6),
        ];
        let goal = held(&tables("mirror", "rate_pps", &rows[..4]), "mirror_tracking_of_bare");
        assert_eq!((&goal["value"], &goal["met"]), (&Value::Null, &json!(false)));
        assert!(goal["reason"].as_str().unwrap().contains("1000"), "{goal}");
        let tables = tables("mirror", "rate_pps", &rows);
        let goal = held(&tables, "mirror_tracking_of_bare");
        assert_eq!((&goal["value"], &goal["met"]), (&json!(0.9), &json!(false)));
        let goal = held(&tables, "mirror_tracking_of_tcpdump");
        assert_eq!(goal["value"], Value::Null);
        assert!(goal["reason"].as_str().unwrap().contains("tcpdump"), "{goal}");
        assert_eq!(held(&tables, "field_live")["met"], json!(false));
    }

    #[test]
    fn a_table_that_failed_says_so() {
        let tables = Tables::from([("engine", Err("broken".to_owned()))]);
        let goal = held(&tables, "engine_of_floor");
        assert_eq!(goal["met"], json!(false));
        assert!(goal["reason"].as_str().unwrap().contains("broken"), "{goal}");
    }

    #[test]
    fn the_field_is_what_was_measured_of_it() {
        let of = |name: &str| ALL.iter().find(|goal| goal.name == name).unwrap().goal;
        assert_eq!(of("field_live"), 3e6);
        assert_eq!(of("field_live_writing"), 1e6);
        assert_eq!(of("field_offline").round(), 4_631_579.0);
    }

    #[test]
    fn what_equals_the_goal_meets_it_but_not_below() {
        assert!(Op::AtLeast.holds(1.0, 1.0) && Op::AtMost.holds(1.0, 1.0) && !Op::Below.holds(1.0, 1.0));
        assert!(!Op::AtLeast.holds(f64::NAN, 1.0) && !Op::AtMost.holds(f64::NAN, 1.0));
    }
}
