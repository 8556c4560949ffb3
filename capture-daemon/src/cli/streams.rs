//! `siphon streams`.

use std::process::ExitCode;

use clap::Args;
use serde::Deserialize;

use super::call::{codec_of, lost};
use super::calls::{left_out, limit, list};
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
    #[serde(default)]
    left_out: Vec<String>,
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
            let table = table(&answer.streams, style);
            list("streams", answer.total, answer.streams.len(), table) + &left_out(&answer.left_out)
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Streams for people.
pub(super) fn table(streams: &[Stream], style: Style) -> String {
    const COLUMNS: &[Column] = &[
        Column::Word("START UTC"),
        Column::Word("SSRC"),
        Column::Long("FROM", usize::MAX),
        Column::Long("TO", usize::MAX),
        Column::Word("CODEC"),
        Column::Figure("PACKETS"),
        Column::Figure("LOST"),
        Column::Figure("JITTER"),
        Column::Figure("MOS-LQ"),
        Column::Long("CALL-ID", 8),
    ];
    let mut table = Table::new(COLUMNS).dropping(&["SSRC", "START UTC", "CALL-ID", "PACKETS", "JITTER"]);
    let starts = moments(streams.iter().map(|stream| stream.start));
    for (stream, start) in streams.iter().zip(starts) {
        let quality = stream.quality.as_ref().and_then(|quality| quality.fixed_50.as_ref());
        table.row([
            start,
            stream.ssrc.clone(),
            stream.src.clone(),
            stream.dst.clone(),
            codec_of(stream),
            count(stream.packets),
            lost(stream),
            or_absent(stream.jitter_mean_ms, |jitter| format!("{jitter:.1} ms")),
            or_absent(quality, |opinion| format!("{:.2}", opinion.mos_lq)),
            or_absent(stream.call_id.as_deref(), printable),
        ]);
    }
    table.render(style)
}
