//! What there is to say of each of a call's streams that has no column: when its packets came, what was lost and how, what jitter
//! buffers and the E-model make of it, and what its own ends say in RTCP.

use super::head::line;
use super::media::signed;
use crate::cli::Style;
use crate::cli::text::{count, percent, printable, things, time};
use crate::report::{Buffer, Burst, Opinion, PayloadType, Rtcp, Stream, VoipMetrics};

/// A paragraph for each stream; the numbers are those of the tables.
pub(super) fn details(streams: &[&Stream], style: Style) -> String {
    let of = |(number, stream): (u32, &&Stream)| {
        let mut text = String::new();
        for (heading, parts) in [
            ("timing", timing(stream)),
            ("sent", sent(stream)),
            ("losses", stream.burst.as_ref().map(losses).unwrap_or_default()),
            ("buffers", buffers(stream)),
            ("opinion", opinions(stream)),
            ("RTCP", stream.rtcp.as_deref().map(rtcp).unwrap_or_default()),
        ] {
            if !parts.is_empty() {
                text.push_str(&line(&format!("{number} {heading}"), parts, style));
            }
        }
        text
    };
    (1..).zip(streams).map(of).collect()
}

fn some(number: u64, one: &str, several: &str) -> Option<String> {
    (number > 0).then(|| things(number, one, several))
}

/// When packets came, and the sender's clock.
fn timing(stream: &Stream) -> Vec<String> {
    let mut parts = Vec::new();
    if let Some(delta) = &stream.delta {
        parts.push(format!(
            "{} to {} apart ({} in the mean)",
            time(delta.min_ms),
            time(delta.max_ms),
            time(delta.mean_ms)
        ));
    }
    if let Some(clock) = &stream.clock {
        let packet = clock.packet_ms.map(|packet| format!(" for {}", time(packet)));
        let packet = packet.unwrap_or_default();
        parts.push(match (clock.clock_rate_measured, clock.mismatch) {
            (_, true) => format!("clock {} Hz{packet} (another is signalled)", clock.rate),
            (Some(_), false) => format!("clock {} Hz{packet} (measured)", clock.rate),
            (None, false) => format!("clock {} Hz{packet}", clock.rate),
        });
        parts.push(format!("skew {} at most", signed(clock.skew_max_ms)));
    }
    if let Some(silence) = &stream.silence {
        let gaps = some(silence.gaps, "silence", "silences");
        parts.extend(gaps.map(|gaps| format!("{gaps} of up to {}", time(silence.longest_ms))));
        parts.extend(some(silence.dtx, "announced silence", "announced silences"));
    }
    parts.extend(some(stream.restarts, "restart", "restarts"));
    parts
}

/// What the packets were.
fn sent(stream: &Stream) -> Vec<String> {
    let is_odd = |of: &PayloadType| of.announced == Some(false);
    let mut parts = Vec::new();
    if stream.payload_types.len() > 1 || stream.payload_types.iter().any(is_odd) {
        parts.extend(stream.payload_types.iter().map(|of| {
            let name = of.codec.as_deref().map(|name| format!("{} ", printable(name)));
            let odd = if is_odd(of) { " that nobody announced" } else { "" };
            let (name, packets) = (name.unwrap_or_default(), count(of.packets));
            format!("{packets} of {name}(pt {}){odd}", of.payload_type)
        }));
    }
    parts.extend(some(stream.codec_changes, "codec change", "codec changes"));
    parts.extend(some(
        stream.comfort_noise,
        "comfort noise packet",
        "comfort noise packets",
    ));
    parts
}

/// How losses stand together (RFC 3611 section 4.7.2).
fn losses(burst: &Burst) -> Vec<String> {
    let during = |span: Option<f64>| span.map(|span| format!(" of {}", time(span))).unwrap_or_default();
    let mut parts = Vec::new();
    if let Some(density) = burst.burst_density {
        let bursts = some(burst.bursts, "burst", "bursts").unwrap_or_default();
        let lasted = during(burst.burst_duration_ms);
        parts.push(format!("{} lost in {bursts}{lasted}", percent(density)));
    }
    if let Some(density) = burst.gap_density {
        let lasted = during(burst.gap_duration_ms);
        parts.push(format!("{} lost in gaps{lasted}", percent(density)));
    }
    parts.extend(burst.burst_ratio.map(|ratio| format!("burst ratio {ratio:.1}")));
    parts.push(format!("at most {} in a row", count(burst.longest)));
    parts
}

/// What the simulated jitter buffers discarded, and how long they kept a packet.
fn buffers(stream: &Stream) -> Vec<String> {
    let Some(playout) = &stream.playout else {
        return Vec::new();
    };
    let of = |name: &str, buffer: &Buffer| {
        let mean = buffer.delay_mean_ms.map(|mean| format!(" (a wait of {})", time(mean)));
        let resets = some(buffer.resets.into(), "new beginning", "new beginnings");
        let resets = resets.map(|resets| format!(" after {resets}")).unwrap_or_default();
        format!(
            "{name}: {} late{}{resets}",
            count(buffer.discarded),
            mean.unwrap_or_default()
        )
    };
    vec![
        of("50 ms", &playout.fixed_50),
        of("200 ms", &playout.fixed_200),
        of("adaptive", &playout.adaptive),
    ]
}

/// Ratings and opinions with each buffer.
fn opinions(stream: &Stream) -> Vec<String> {
    let Some(quality) = &stream.quality else {
        return Vec::new();
    };
    let of = |name: &str, opinion: Option<&Opinion>| {
        let Opinion {
            r_lq,
            mos_lq,
            r_cq,
            mos_cq,
        } = opinion?;
        let talk = r_cq
            .zip(*mos_cq)
            .map(|(r, mos)| format!(" R-CQ {r:.0} MOS-CQ {mos:.2}"));
        Some(format!(
            "{name}: R-LQ {r_lq:.0} MOS-LQ {mos_lq:.2}{}",
            talk.unwrap_or_default()
        ))
    };
    let model = [format!("by {}", printable(&quality.model))];
    let with = [
        of("50 ms", quality.fixed_50.as_ref()),
        of("200 ms", quality.fixed_200.as_ref()),
        of("adaptive", quality.adaptive.as_ref()),
    ];
    model.into_iter().chain(with.into_iter().flatten()).collect()
}

/// What the stream's own ends say.
fn rtcp(rtcp: &Rtcp) -> Vec<String> {
    let mut parts = Vec::new();
    if let Some(sender) = &rtcp.sender {
        parts.extend(some(sender.reports, "sender report", "sender reports"));
    }
    if let Some(receiver) = &rtcp.receiver {
        parts.push(format!(
            "the receiver lost {} ({} at most)",
            receiver.cumulative_lost,
            percent(receiver.fraction_lost_max)
        ));
        parts.extend(
            receiver
                .jitter_mean_ms
                .map(|jitter| format!("its jitter {}", time(jitter))),
        );
    }
    if let Some(path) = &rtcp.round_trip {
        parts.extend(path.path_ms.map(|path| format!("round trip {}", time(path))));
    }
    parts.extend(rtcp.voip_metrics.as_ref().map(voip_metrics));
    if let Some(summary) = &rtcp.statistics_summary {
        let lost = summary.lost.map(|lost| format!("summary: {} lost", count(lost)));
        parts.extend(lost);
    }
    parts.extend(rtcp.cname.as_deref().map(|name| format!("CNAME {}", printable(name))));
    parts.extend(rtcp.tool.as_deref().map(|tool| format!("tool {}", printable(tool))));
    if let Some(goodbye) = &rtcp.goodbye {
        let why = goodbye.reason.as_deref().map(|why| format!(" ({})", printable(why)));
        parts.push(format!("BYE{}", why.unwrap_or_default()));
    }
    parts.extend(some(
        rtcp.encrypted,
        "packet that cannot be read",
        "packets that cannot be read",
    ));
    parts
}

/// A VoIP metrics block (RFC 3611 section 4.7).
fn voip_metrics(metrics: &VoipMetrics) -> String {
    let r = metrics.r_factor.map(|r| format!(" R {r}"));
    let lq = metrics.mos_lq.map(|mos| format!(" MOS-LQ {mos:.1}"));
    let cq = metrics.mos_cq.map(|mos| format!(" MOS-CQ {mos:.1}"));
    format!(
        "XR: {} lost and {} discarded{}{}{}",
        percent(metrics.loss_rate),
        percent(metrics.discard_rate),
        r.unwrap_or_default(),
        lq.unwrap_or_default(),
        cq.unwrap_or_default()
    )
}
