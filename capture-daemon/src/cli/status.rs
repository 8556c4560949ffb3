//! `siphon status`: what was obtained, what is seen, and where every frame went.

use std::process::ExitCode;

use clap::Args;

use super::table::{Column, Table};
use super::text::{bytes, count, duration, list, moment, or_absent, printable};
use super::{Daemon, Style};
use crate::control::{self, Ask, ControlCounts, InterfaceCounters, Lane, Obtained, SpoolStatus, Tally};
use crate::report::LearnedFigures;

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
        stages(status, style) + &audit(status, style),
        tables(status, style) + &learned(&status.learned),
        traffic(status, style),
        spool(&status.spool) + &clients(&status.control),
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
    let InterfaceCounters {
        rx_packets,
        rx_bytes,
        rx_errors,
        rx_dropped,
        rx_missed_errors,
    } = status.interface_counters;
    format!(
        "siphon {}, pid {}, up {} since {} UTC\n\
         capturing on {}, mode {}, attached {}\n\
         interface received {} frames, {}; {} errors, {} dropped, {} missed\n",
        status.version,
        status.pid,
        duration(status.uptime_s * 1000.0),
        moment(status.started),
        status.interface,
        status.mode,
        why(&status.attach),
        count(rx_packets),
        bytes(rx_bytes),
        count(rx_errors),
        count(rx_dropped),
        count(rx_missed_errors)
    )
}

/// What the kernel program knows of calls, where it was told anything.
fn learned(figures: &LearnedFigures) -> String {
    let LearnedFigures {
        endpoints,
        capacity,
        updates,
        removals,
        refused,
        failed,
        ref latency,
    } = *figures;
    if updates + refused + failed == 0 {
        return String::new();
    }
    let times = latency.as_ref().map_or(String::new(), |latency| {
        format!(
            "from SDP to the kernel's map: {:.2} ms, 99 of 100 within {:.2} ms\n",
            latency.p50_ms, latency.p99_ms
        )
    });
    format!(
        "kernel's endpoints: {} of {}, {} written, {} removed, {} refused, {} failed\n{times}",
        count(endpoints),
        count(capacity),
        count(updates),
        count(removals),
        count(refused),
        count(failed)
    )
}

/// What the audit found, and what the driver counts.
fn audit(status: &control::Status, style: Style) -> String {
    let violations: u64 = status.audit.violations.values().sum();
    let mut text = format!(
        "audit: {} looks, {} found frames without a place\n",
        count(status.audit.looks),
        count(violations)
    );
    for (heading, tally) in [
        ("before the stage: ", &status.audit.violations),
        ("driver counts: ", &status.driver_counters),
    ] {
        if tally.values().any(|n| *n > 0) {
            text.push_str(&list(heading, counts(tally), style.width));
        }
    }
    text
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
        Column::Word("PAGES"),
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
            count(lane.socket.rx_ring_full + lane.ring.map_or(0, |ring| ring.full)),
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
        if let Some(ring) = lane.ring {
            text.push_str(&format!(
                "queue {}: {} of {} in use, {} frames went out, {} super-frames, {} packets\n",
                lane.queue,
                bytes(ring.used),
                bytes(ring.size),
                count(ring.outgoing),
                count(ring.super_frames),
                count(ring.packets)
            ));
        }
    }
    text
}

/// Counts by name, those that are not 0.
fn counts(tally: &Tally) -> impl Iterator<Item = String> {
    tally
        .iter()
        .filter(|(_, n)| **n > 0)
        .map(|(name, n)| format!("{} {}", printable(name), count(*n)))
}

fn stages(status: &control::Status, style: Style) -> String {
    const COLUMNS: &[Column] = &[
        Column::Word("STAGE"),
        Column::Figure("SEEN"),
        Column::Figure("PASSED"),
        Column::Figure("QUEUED"),
        Column::Figure("DROPPED"),
        Column::Word("ADDS UP"),
    ];
    let mut table = Table::new(COLUMNS).colouring("ADDS UP");
    for (name, stage) in status.identity.stages() {
        table.row([
            name.to_owned(),
            count(stage.seen),
            count(stage.passed.values().sum()),
            count(stage.queued),
            count(stage.dropped.values().sum()),
            if stage.holds { "yes" } else { "no" }.to_owned(),
        ]);
    }
    let mut text = table.render(style);
    for (name, stage) in status.identity.stages() {
        for (what, tally) in [("passed", &stage.passed), ("dropped", &stage.dropped)] {
            if tally.values().any(|n| *n > 0) {
                text.push_str(&list(&format!("{name} {what}: "), counts(tally), style.width));
            }
        }
    }
    text
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

fn traffic(status: &control::Status, style: Style) -> String {
    let sip = &status.sip;
    let responses: Tally = sip.responses.iter().map(|(code, n)| (code.to_string(), *n)).collect();
    let mut losses = Tally::new();
    for (loss, events) in status.lanes.iter().flat_map(|lane| &lane.losses) {
        *losses.entry(loss.clone()).or_default() += events;
    }
    let mut text = format!(
        "SIP            {} messages, {} malformed\n",
        count(sip.messages),
        count(sip.malformed)
    );
    for (heading, tally) in [
        ("requests       ", &sip.requests),
        ("responses      ", &responses),
        ("calls          ", &status.calls.states),
        ("call results   ", &status.calls.results),
        ("ended by       ", &status.calls.ended_by),
        ("registrations  ", &status.registrations),
        ("RTCP           ", &status.rtcp.packets),
        ("RTCP malformed ", &status.rtcp.malformed),
        ("not followed   ", &losses),
    ] {
        text.push_str(&list(heading, counts(tally), style.width));
    }
    let rtp = &status.rtp;
    let figures = [
        (rtp.packets, "packets"),
        (rtp.lost, "lost"),
        (rtp.reordered, "reordered"),
        (rtp.duplicates, "duplicates"),
        (rtp.streams_ended, "streams ended"),
        (rtp.dtmf_digits, "keys pressed"),
        (rtp.t38_packets, "T.38 packets"),
        (status.calls.one_way, "calls one way"),
        (status.calls.no_media, "calls without media"),
    ];
    let figures = figures.into_iter().filter(|(n, _)| *n > 0);
    let figures = figures.map(|(n, what)| format!("{} {what}", count(n)));
    text.push_str(&list("RTP            ", figures, style.width));
    text
}

fn spool(spool: &SpoolStatus) -> String {
    if !spool.enabled {
        return "spool          off\n".to_owned();
    }
    let state = match (&spool.error, spool.writing) {
        (_, true) if spool.writes.got.is_empty() => "writing".to_owned(),
        (_, true) => format!("writing {}", why(&spool.writes)),
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

fn clients(control: &ControlCounts) -> String {
    let ControlCounts {
        clients,
        accepted,
        busy,
        requests,
        refused,
        timed_out,
        not_reading,
    } = *control;
    format!(
        "clients        {} connected, {} accepted, {} turned away, {} too slow to ask, {} too slow to read\n\
         their asks     {}, {} refused\n",
        count(clients),
        count(accepted),
        count(busy),
        count(timed_out),
        count(not_reading),
        count(requests),
        count(refused)
    )
}
