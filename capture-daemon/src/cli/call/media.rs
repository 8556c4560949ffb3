//! What stands below a call's ladder: what was agreed on, the streams, fax, keys.

use super::details::details;
use super::head::line;
use super::ladder::{legend, letter, seconds};
use crate::cli::Style;
use crate::cli::table::{Column, Table};
use crate::cli::terminal::Ink;
use crate::cli::text::{ABSENT, count, name, or_absent, percent, printable, time};
use crate::report::{Call, Codec, Description, Dtmf, Fax, MediaLine, Party, Stream, Via, Way};
use crate::time::Timestamp;

/// Everything about a call's media. Times are seconds since `start`.
pub(super) fn media(call: &Call, streams: &[&Stream], start: Timestamp, style: Style) -> String {
    let parts = [
        descriptions(call, start, style),
        agreed(call, start, style),
        self::streams(streams, style),
        faxes(&call.t38, style),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n")
}

fn heading(text: &str, style: Style) -> String {
    format!("{}\n", style.paint(Ink::Bold, text))
}

fn side(side: Option<Party>) -> String {
    match side {
        Some(Party::Caller) => "caller",
        Some(Party::Callee) => "callee",
        None => ABSENT,
    }
    .to_owned()
}

fn way(way: Option<Way>) -> String {
    match way {
        Some(Way::CallerToCallee) => "to callee",
        Some(Way::CalleeToCaller) => "to caller",
        None => ABSENT,
    }
    .to_owned()
}

fn encoding(codec: &Codec) -> String {
    let name = codec.name.as_deref().map(printable);
    let name = name.or_else(|| codec.payload_type.map(|of| format!("pt {of}")));
    name.unwrap_or_else(|| ABSENT.to_owned())
}

fn codec(codec: &Codec) -> String {
    let name = encoding(codec);
    match codec.clock_rate {
        Some(rate) => format!("{name}/{rate}"),
        None => name,
    }
}

/// A time with its sign; one that rounds to nothing has none.
pub(super) fn signed(milliseconds: f64) -> String {
    let tenths = (milliseconds * 10.0).round();
    format!("{:.1} ms", if tenths == 0.0 { 0.0 } else { milliseconds })
}

/// Offers and answers, a row for each media line.
fn descriptions(call: &Call, start: Timestamp, style: Style) -> String {
    const COLUMNS: &[Column] = &[
        Column::Figure("AT"),
        Column::Word("BY"),
        Column::Word("IN"),
        Column::Word("MEDIA"),
        Column::Long("WANTED AT", usize::MAX),
        Column::Word("WAY"),
        Column::Word("PROTOCOL"),
        Column::Long("CODECS", 8),
    ];
    let Some(media) = &call.media else {
        return String::new();
    };
    let mut table = Table::new(COLUMNS).dropping(&["PROTOCOL", "IN", "MEDIA"]);
    for description in &media.descriptions {
        for line in &description.media {
            table.row([
                seconds(description.at, start),
                side(description.by),
                message(description),
                printable(&line.kind),
                wanted(line),
                direction(line),
                printable(&line.protocol),
                line.codecs.iter().map(encoding).collect::<Vec<_>>().join(" "),
            ]);
        }
    }
    let more = match media.more_descriptions {
        true => "There were more descriptions.\n",
        false => "",
    };
    format!(
        "{}{}{more}",
        heading("Session descriptions", style),
        table.render(style)
    )
}

fn message(description: &Description) -> String {
    match description.status_code {
        Some(code) => format!("{code} {}", printable(&description.method)),
        None => printable(&description.method),
    }
}

fn wanted(line: &MediaLine) -> String {
    let address = line.address.as_deref().map_or_else(|| ABSENT.to_owned(), printable);
    match (line.port, address.contains(':')) {
        (0, _) => "refused".to_owned(),
        (port, true) => format!("[{address}]:{port}"),
        (port, false) => format!("{address}:{port}"),
    }
}

fn direction(line: &MediaLine) -> String {
    match line.hold {
        true => format!("{} (hold)", printable(&line.direction)),
        false => printable(&line.direction),
    }
}

/// What it came to: codecs, holds, keys.
fn agreed(call: &Call, start: Timestamp, style: Style) -> String {
    let mut text = String::new();
    if let Some(media) = &call.media {
        for one in &media.negotiated {
            let words = format!(
                "{} for {}, since {}",
                codec(&one.codec),
                printable(&one.kind),
                seconds(one.at, start)
            );
            text.push_str(&line("agreed on", [words], style));
        }
        if media.codec_changes > 0 {
            text.push_str(&line(
                "changes",
                [format!("{} of codec", count(media.codec_changes))],
                style,
            ));
        }
        for hold in &media.holds {
            let until = or_absent(hold.until, |until| seconds(until, start));
            let words = format!("by {}, {} to {until}", side(hold.by), seconds(hold.from, start));
            text.push_str(&line("on hold", [words], style));
        }
    }
    if let Some(dtmf) = &call.dtmf {
        text.push_str(&line("keys", keys(dtmf, start), style));
    }
    if text.is_empty() {
        return text;
    }
    heading("Media", style) + &text
}

/// Keys pressed with their times: masked unless the configuration wants them told.
fn keys(dtmf: &Dtmf, start: Timestamp) -> Vec<String> {
    let mut parts: Vec<String> = dtmf
        .digits
        .iter()
        .map(|digit| {
            let held = digit.duration_ms.map(|span| format!(" for {}", time(span)));
            format!(
                "{} at {}{} ({})",
                printable(&digit.digit),
                seconds(digit.at, start),
                held.unwrap_or_default(),
                name(&digit.source)
            )
        })
        .collect();
    if dtmf.beyond > 0 {
        parts.push(format!("{} more", count(dtmf.beyond)));
    }
    if dtmf.masked {
        parts.push("masked".to_owned());
    }
    parts
}

/// The streams: where they go, then how they did.
fn streams(streams: &[&Stream], style: Style) -> String {
    const PATHS: &[Column] = &[
        Column::Figure("#"),
        Column::Word("WAY"),
        Column::Word("CODEC"),
        Column::Long("FROM", usize::MAX),
        Column::Long("TO", usize::MAX),
        Column::Word("SSRC"),
        Column::Word("ENCRYPTED"),
        Column::Word("JOINED BY"),
        Column::Word("VIA"),
    ];
    const FIGURES: &[Column] = &[
        Column::Figure("#"),
        Column::Figure("PACKETS"),
        Column::Figure("LOST"),
        Column::Figure("JITTER"),
        Column::Figure("BURSTS"),
        Column::Figure("LATE 50 MS"),
        Column::Figure("MOS-LQ"),
        Column::Figure("MOS-CQ"),
        Column::Figure("RTT"),
        Column::Figure("COPIES"),
        Column::Figure("REORDERED"),
        Column::Figure("MAX JITTER"),
        Column::Figure("SKEW"),
    ];
    if streams.is_empty() {
        return String::new();
    }
    let mut paths = Table::new(PATHS)
        .sparing(&["ENCRYPTED", "VIA"])
        .dropping(&["JOINED BY", "SSRC"]);
    let ends = Ends::new(streams, style);
    let mut figures = Table::new(FIGURES).dropping(&["SKEW", "MAX JITTER", "REORDERED", "COPIES"]);
    for (stream, number) in streams.iter().zip(1..) {
        let number = format!("{number}");
        paths.row([
            number.clone(),
            way(stream.direction),
            codec_of(stream),
            ends.name(&stream.src),
            ends.name(&stream.dst),
            stream.ssrc.clone(),
            or_absent(stream.encrypted, |encrypted| name(&encrypted)),
            or_absent(stream.linked_by, |by| by.label().to_owned()),
            or_absent(stream.via.as_ref(), via),
        ]);
        let quality = stream.quality.as_ref().and_then(|quality| quality.fixed_50.as_ref());
        let path = stream.rtcp.as_ref().and_then(|rtcp| rtcp.round_trip.as_ref());
        figures.row([
            number,
            count(stream.packets),
            lost(stream),
            or_absent(stream.jitter_mean_ms, signed),
            count(stream.burst.as_ref().map_or(0, |burst| burst.bursts)),
            or_absent(stream.playout.as_ref(), |playout| count(playout.fixed_50.discarded)),
            or_absent(quality, |opinion| format!("{:.2}", opinion.mos_lq)),
            or_absent(quality.and_then(|opinion| opinion.mos_cq), |mos| format!("{mos:.2}")),
            or_absent(path.and_then(|path| path.path_ms), time),
            count(stream.duplicates),
            count(stream.reordered),
            or_absent(stream.jitter_max_ms, signed),
            or_absent(stream.clock.as_ref(), |clock| signed(clock.skew_ms)),
        ]);
    }
    format!(
        "{}{}{}\n{}\n{}",
        heading("RTP streams", style),
        ends.legend(style),
        paths.render(style),
        figures.render(style),
        details(streams, style)
    )
}

/// Addresses of streams: as they are or, where two would fill the line, letters that stand for them.
struct Ends<'a>(Option<Vec<&'a str>>);

impl<'a> Ends<'a> {
    fn new(streams: &[&'a Stream], style: Style) -> Self {
        /// What stands beside the addresses: number, way and codec, and the gaps.
        const BESIDE: usize = 30;
        let widest = streams.iter().map(|stream| stream.src.len() + stream.dst.len()).max();
        if widest.unwrap_or(0) + BESIDE <= style.width {
            return Self(None);
        }
        let mut ends: Vec<&str> = Vec::new();
        for end in streams.iter().flat_map(|stream| [&*stream.src, &*stream.dst]) {
            if !ends.contains(&end) {
                ends.push(end);
            }
        }
        Self(Some(ends))
    }

    fn name(&self, end: &str) -> String {
        let place = self.0.iter().flatten().position(|known| *known == end);
        place.map_or_else(|| end.to_owned(), letter)
    }

    fn legend(&self, style: Style) -> String {
        self.0.as_deref().map_or_else(String::new, |ends| legend(ends, style))
    }
}

/// The codec's name, or the payload type where nobody knows one.
pub(in crate::cli) fn codec_of(stream: &Stream) -> String {
    stream
        .codec
        .as_deref()
        .map_or_else(|| format!("pt {}", stream.payload_type), printable)
}

/// How TURN wrapped it; what its ends are behind the server is in JSON.
fn via(via: &Via) -> String {
    match &via.channel {
        Some(channel) => format!("TURN {channel}"),
        None => "TURN".to_owned(),
    }
}

/// Loss as a count and, where it is not nothing, as a share.
pub(in crate::cli) fn lost(stream: &Stream) -> String {
    if stream.lost == 0 || stream.expected == 0 {
        return count(stream.lost);
    }
    let share = stream.lost as f64 / stream.expected as f64;
    format!("{} {}", count(stream.lost), percent(share))
}

fn faxes(faxes: &[Fax], style: Style) -> String {
    const COLUMNS: &[Column] = &[
        Column::Word("WAY"),
        Column::Long("FROM", usize::MAX),
        Column::Long("TO", usize::MAX),
        Column::Figure("PACKETS"),
        Column::Figure("LOST"),
        Column::Figure("RECOVERED"),
        Column::Figure("INDICATORS"),
        Column::Figure("DATA"),
        Column::Figure("LASTED"),
        Column::Long("MODULATIONS", 8),
    ];
    if faxes.is_empty() {
        return String::new();
    }
    let mut table = Table::new(COLUMNS).dropping(&["INDICATORS", "LASTED", "DATA"]);
    for fax in faxes {
        table.row([
            way(fax.direction),
            fax.src.clone(),
            fax.dst.clone(),
            count(fax.packets),
            count(fax.lost),
            count(fax.recovered),
            count(fax.indicators),
            count(fax.data),
            time(fax.duration_ms),
            fax.modulations
                .iter()
                .map(|one| printable(one))
                .collect::<Vec<_>>()
                .join(" "),
        ]);
    }
    heading("Fax (T.38)", style) + &table.render(style)
}
