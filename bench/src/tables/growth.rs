//! The table `growth`: whether a packet costs more where there are more streams, or more new calls.

use anyhow::{Context, Result};
use capture_common::load::Fields;
use capture_daemon::daemon::{Beside, Reserve};

use super::apart::{Often, apart};
use super::engine::{BEFORE, each};
use super::{Bench, Measurement, figure};
use crate::calls::{self, Message};
use crate::frame;
use crate::run::{GENERATOR_CPU, RECEIVER_CPU, wait_for_rest};
use crate::table::{Figure, Row, Style, Table};
use crate::turns::Followed;

pub(super) const MEASUREMENT: Measurement = Measurement {
    name: "growth",
    about: "what a packet costs the engine, by the number of streams and of new calls a second",
    measure: measure_table,
};

/// Numbers of streams, without new calls.
pub const STREAMS: [u32; 5] = [1_000, 10_000, 50_000, 100_000, 500_000];

/// New calls a second, beside `BESIDE` streams.
pub const CALLS: [u32; 4] = [1, 10, 100, 1_000];

/// Streams that are there when calls come and go.
const BESIDE: u32 = 10_000;

/// Packets to measure in a round, by as many turns as they need.
const PACKETS: u32 = 4_000_000;

/// Turns of a second.
const SECOND: u32 = 50;

/// Turns a new call lasts.
const TALK: u32 = 100;

const FIGURES: [Figure; 1] = [figure("ns_per_packet", "NS", Style::Spread)];

/// What a row measures.
struct Case {
    followed: Followed,
    turns: u32,
    coming: Option<Coming>,
    rounds: Vec<Option<f64>>,
}

fn measure_table(bench: &mut Bench<'_>) -> Result<Table> {
    let often = Often::of(bench.effort);
    let (rounds, (_, packets)) = (bench.effort.rounds, packets(often));
    eprintln!("{rounds} rounds");
    let measured: Vec<Vec<Option<f64>>> = apart(bench.programs.bench, "--growth", often)?;
    let without = STREAMS.map(|streams| (streams, 0));
    let with = CALLS.map(|calls| (BESIDE, calls));
    let rows = without
        .into_iter()
        .chain(with)
        .zip(measured)
        .map(|((streams, calls), rounds)| Row {
            rounds: rounds.into_iter().map(|round| vec![round]).collect(),
            ..Row::new(
                &[&streams.to_string(), &calls.to_string()],
                "Engine::frames, 64 frames at a time",
            )
        });
    Ok(Table {
        name: MEASUREMENT.name,
        title: MEASUREMENT.about.to_owned(),
        conditions: vec![
            format!(
                "From memory in huge pages, streams interleaved, on CPU {RECEIVER_CPU}; {rounds} interleaved rounds of {packets} packets, medians \
                 (least - most)."
            ),
            format!(
                "New calls: seven SIP messages each, and two streams for {} s; the time of all that is spread over all packets, \
                 SIP's too.",
                TALK / SECOND
            ),
            format!(
                "Memory for new calls is made ready on CPU {GENERATOR_CPU}, as the daemon's thread siphon-memory does beside its workers."
            ),
        ],
        keys: vec!["streams", "new calls/s"],
        figures: FIGURES.to_vec(),
        rows: rows.collect(),
    })
}

/// Turns before, and packets of a round.
const fn packets(often: Often) -> (u32, u32) {
    if often.is_quick {
        (10, 100_000)
    } else {
        (BEFORE, PACKETS)
    }
}

/// Nanoseconds of a packet for each number of streams, and then for each number of new calls, round by round.
///
/// # Errors
/// When not every packet was taken for RTP.
pub fn growth(often: Often) -> Result<Vec<Vec<Option<f64>>>> {
    let (before, packets) = packets(often);
    let mut cases = Vec::new();
    for streams in STREAMS {
        cases.push(Case {
            followed: Followed::new(streams, before)?,
            turns: packets.div_ceil(streams),
            coming: None,
            rounds: Vec::new(),
        });
    }
    for calls in CALLS {
        let mut followed = Followed::new(BESIDE, before)?;
        let mut coming = Coming::new(calls);
        let come = if often.is_quick { SECOND } else { TALK + SECOND };
        followed.turns(come, |_| coming.turn())?;
        cases.push(Case {
            followed,
            // Whole seconds, so that every round has its calls.
            turns: packets.div_ceil(BESIDE).next_multiple_of(SECOND),
            coming: Some(coming),
            rounds: Vec::new(),
        });
    }
    let memory = Beside {
        cpus: vec![GENERATOR_CPU],
        shared: false,
    };
    let frontiers = cases.iter().map(|case| case.followed.frontier()).collect();
    // As in the daemon: a worker does not zero the pages that new calls take.
    let _made_ready = Reserve::start(frontiers, memory).context("start who makes memory ready")?;
    for _ in 0..often.rounds {
        wait_for_rest(often.patience())?;
        for case in &mut cases {
            let more = |_| case.coming.as_mut().map(Coming::turn).unwrap_or_default();
            case.rounds.push(each(case.followed.turns(case.turns, more)?));
        }
    }
    Ok(cases.into_iter().map(|case| case.rounds).collect())
}

/// Calls that come and go.
struct Coming {
    each_second: u32,
    turn: u32,
    /// The first call that has not come, and the first that has not gone.
    next: u32,
    oldest: u32,
    /// When each of the calls between came.
    came: std::collections::VecDeque<u32>,
}

impl Coming {
    fn new(each_second: u32) -> Self {
        Self {
            each_second,
            turn: 0,
            next: BESIDE,
            oldest: BESIDE,
            came: std::collections::VecDeque::new(),
        }
    }

    /// What comes in the next 20 ms: calls that end, media of those that talk, calls that begin.
    fn turn(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while self.came.front().is_some_and(|came| self.turn - came >= TALK) {
            self.came.pop_front();
            frames.extend(Message::HANG_UP.map(|message| calls::frame(self.oldest, message)));
            self.oldest += 1;
        }
        for (call, came) in (self.oldest..).zip(&self.came) {
            frames.extend([2 * call, 2 * call + 1].map(|stream| packet(stream, self.turn - came)));
        }
        // Spread over the second, so many that the second has its number.
        let due = |turn: u32| u64::from(turn) * u64::from(self.each_second) / u64::from(SECOND);
        for _ in due(self.turn)..due(self.turn + 1) {
            frames.extend(Message::SET_UP.map(|message| calls::frame(self.next, message)));
            self.came.push_back(self.turn);
            self.next += 1;
        }
        self.turn += 1;
        frames
    }
}

fn packet(stream: u32, number: u32) -> Vec<u8> {
    const MANY: u64 = 1 << 31;
    let mut frame = frame::template();
    frame::write(
        &mut frame,
        Fields::of(u64::from(stream) + u64::from(number) * MANY, MANY),
    );
    frame.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_come_talk_and_go() {
        let mut coming = Coming::new(10);
        let turns: Vec<usize> = (0..200).map(|_| coming.turn().len()).collect();
        let second = |from: usize| turns[from..from + 50].iter().sum::<usize>();
        // Ten calls of five messages; and media of each from the turn after it came.
        assert!(second(0) >= 50 && second(0) < 50 + 2 * 10 * 50, "{turns:?}");
        assert_eq!(coming.next - BESIDE, 40);
        assert_eq!(coming.oldest - BESIDE, 20);
        // In the steady state: ten calls come and ten go, twenty talk, but for the turn in which they hang up.
        assert_eq!(second(150), 10 * 7 + 2 * (20 * 50 - 10));
    }

    #[test]
    fn a_stream_counts_its_packets() {
        let (first, second) = (packet(7, 0), packet(7, 1));
        assert_eq!((&first[44..46], &second[44..46]), (&[0, 0][..], &[0, 1][..]));
        assert_eq!(first[50..54], second[50..54]);
    }
}
