//! `siphon streams`.

use std::process::ExitCode;

use clap::Args;
use serde::Deserialize;

use super::calls::{limit, list};
use super::table::{Column, Table};
use super::text::{count, moments, or_absent, printable};
use super::{Daemon, Style};
use crate::control::{Ask, Filter};
use crate::report::Stream;

#[derive(Debug, Args)]
pub(super) struct Streams {
    #[command(flatten)]
    daemon: Daemon,
    /// At most this many, the latest; 0: all. Tables show 50 unless told, JSON has all.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only the streams of the call with this Call-ID.
    #[arg(long, value_name = "ID")]
    call_id: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    total: u64,
    streams: Vec<Stream>,
}

impl Streams {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let filter = Filter {
            limit: limit(self.limit, self.daemon.json),
            state: None,
            call_id: self.call_id,
        };
        self.daemon.show(&Ask::Streams(filter), |answer: &Answer, style| {
            list(
                "streams",
                answer.total,
                answer.streams.len(),
                table(&answer.streams, style),
            )
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Streams for people.
pub(super) fn table(streams: &[Stream], style: Style) -> String {
    const COLUMNS: &[Column] = &[
        Column::Word("START UTC"),
        Column::Word("SSRC"),
        Column::Long("FROM", 21),
        Column::Long("TO", 21),
        Column::Word("CODEC"),
        Column::Figure("PACKETS"),
        Column::Figure("LOST"),
        Column::Figure("JITTER"),
        Column::Long("CALL-ID", 8),
    ];
    let mut table = Table::new(COLUMNS);
    let starts = moments(streams.iter().map(|stream| stream.start));
    for (stream, start) in streams.iter().zip(starts) {
        table.row([
            start,
            stream.ssrc.clone(),
            stream.src.clone(),
            stream.dst.clone(),
            stream
                .codec
                .as_deref()
                .map_or_else(|| format!("pt {}", stream.payload_type), printable),
            count(stream.packets),
            lost(stream),
            or_absent(stream.jitter_mean_ms, |jitter| format!("{jitter:.1} ms")),
            or_absent(stream.call_id.as_deref(), printable),
        ]);
    }
    table.render(style)
}

/// Loss as a count and, where it is not nothing, as a share.
fn lost(stream: &Stream) -> String {
    if stream.lost == 0 || stream.expected == 0 {
        return count(stream.lost);
    }
    let share = stream.lost as f64 / stream.expected as f64 * 100.0;
    format!("{} {share:.1}%", count(stream.lost))
}
