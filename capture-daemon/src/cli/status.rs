//! `siphon status`: what was obtained, what is seen, and where every frame went.

use std::process::ExitCode;

use clap::Args;

use super::table::{Column, Table};
use super::text::{bytes, count, duration, moment, or_absent, printable};
use super::{Daemon, Style};
use crate::control::{self, Ask, Lane, Obtained, SpoolStatus, Tally};

#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    daemon: Daemon,
}

impl Status {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        self.daemon.show(&Ask::Status, text)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Status for people: what runs, then lanes, stages, tables, traffic and files.
fn text(status: &control::Status, style: Style) -> String {
    [
        daemon(status),
        lanes(&status.lanes, style),
        stages(status, style),
        tables(status, style),
        traffic(status),
        spool(&status.spool),
    ]
    .join("\n")
}

fn why(obtained: &Obtained) -> String {
    let got = printable(&obtained.got);
    match &obtained.why {
        Some(why) => format!("{got} ({})", printable(why)),
        None => got,
    }
}

fn daemon(status: &control::Status) -> String {
    format!(
        "siphon {}, pid {}, up {} since {} UTC\ncapturing on {}, mode {}, attached {}\n",
        status.version,
        status.pid,
        duration(status.uptime_s * 1000.0),
        moment(status.started),
        status.interface,
        status.mode,
        why(&status.attach)
    )
}

fn lanes(lanes: &[Lane], style: Style) -> String {
    const COLUMNS: &[Column] = &[
        Column::Figure("QUEUE"),
        Column::Figure("CPU"),
        Column::Word("BIND"),
        Column::Figure("FRAMES"),
        Column::Figure("BYTES"),
        Column::Figure("DROPPED"),
        Column::Figure("RING FULL"),
        Column::Figure("NO BUFFER"),
        Column::Figure("STREAMS"),
        Column::Long("PAGES"),
    ];
    let mut table = Table::new(COLUMNS);
    for lane in lanes {
        table.row([
            lane.queue.to_string(),
            or_absent(lane.cpu, |cpu| cpu.to_string()),
            lane.bind.got.clone(),
            count(lane.frames),
            bytes(lane.bytes),
            count(lane.socket.rx_dropped),
            count(lane.socket.rx_ring_full),
            count(lane.socket.rx_fill_ring_empty_descs),
            count(lane.streams),
            lane.pages.got.clone(),
        ]);
    }
    let mut text = table.render(style);
    for lane in lanes {
        let reasons: Vec<String> = [&lane.bind, &lane.pages]
            .into_iter()
            .filter(|obtained| obtained.why.is_some())
            .map(why)
            .collect();
        if !reasons.is_empty() {
            text.push_str(&format!("queue {}: {}\n", lane.queue, reasons.join(", ")));
        }
    }
    text
}

/// Counts by name on a line; a dash where there are none.
fn list(tally: &Tally) -> String {
    let parts: Vec<String> = tally
        .iter()
        .filter(|(_, n)| **n > 0)
        .map(|(name, n)| format!("{} {}", printable(name), count(*n)))
        .collect();
    if parts.is_empty() {
        "-".to_owned()
    } else {
        parts.join(", ")
    }
}

fn stages(status: &control::Status, style: Style) -> String {
    const COLUMNS: &[Column] = &[
        Column::Word("STAGE"),
        Column::Figure("SEEN"),
        Column::Figure("PASSED"),
        Column::Figure("QUEUED"),
        Column::Figure("DROPPED"),
        Column::Word("ADDS UP"),
        Column::Long("OF THAT"),
    ];
    let mut table = Table::new(COLUMNS).colouring("ADDS UP");
    for (name, stage) in status.identity.stages() {
        let of_that: Tally = stage
            .passed
            .iter()
            .chain(&stage.dropped)
            .map(|(name, n)| (name.clone(), *n))
            .collect();
        table.row([
            name.to_owned(),
            count(stage.seen),
            count(stage.passed.values().sum()),
            count(stage.queued),
            count(stage.dropped.values().sum()),
            if stage.holds { "yes" } else { "no" }.to_owned(),
            list(&of_that),
        ]);
    }
    table.render(style)
}

fn tables(status: &control::Status, style: Style) -> String {
    const COLUMNS: &[Column] = &[
        Column::Word("TABLE"),
        Column::Figure("ENTRIES"),
        Column::Figure("CAPACITY"),
        Column::Figure("EVICTED"),
    ];
    let mut table = Table::new(COLUMNS);
    for (name, size) in &status.tables {
        table.row([
            printable(name),
            count(size.entries),
            count(size.capacity),
            count(size.evicted),
        ]);
    }
    table.render(style)
}

fn traffic(status: &control::Status) -> String {
    let sip = &status.sip;
    let responses: Tally = sip.responses.iter().map(|(code, n)| (code.to_string(), *n)).collect();
    format!(
        "SIP            {} messages, {} malformed\n\
         requests       {}\n\
         responses      {}\n\
         calls          {}\n\
         registrations  {}\n",
        count(sip.messages),
        count(sip.malformed),
        list(&sip.requests),
        list(&responses),
        list(&status.calls.states),
        list(&status.registrations)
    )
}

fn spool(spool: &SpoolStatus) -> String {
    if !spool.enabled {
        return "spool          off\n".to_owned();
    }
    let state = match (&spool.error, spool.writing) {
        (_, true) => "writing".to_owned(),
        (Some(error), false) => format!("not writing: {}", printable(error)),
        (None, false) => "not writing".to_owned(),
    };
    format!(
        "spool          {}, {state}\n\
         files          {} open, {} closed, {} mended, {} removed, {} in all\n\
         disk           {} free of {}\n",
        printable(&spool.directory.to_string_lossy()),
        count(spool.files_open),
        count(spool.files_closed),
        count(spool.files_mended),
        count(spool.files_removed),
        bytes(spool.files_bytes),
        bytes(spool.disk_free_bytes),
        bytes(spool.disk_size_bytes)
    )
}
