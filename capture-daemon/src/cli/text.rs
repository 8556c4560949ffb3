//! How single figures look to people.

use serde::Serialize;
use serde_json::Value;

use crate::time::Timestamp;

/// What stands where there is nothing.
pub(super) const ABSENT: &str = "-";

/// Text off the wire, without anything a terminal would obey.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

/// A count with its thousands apart: `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A count of things, with the word for one or for several of them.
pub(super) fn things(number: u64, one: &str, several: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { several })
}

/// Bytes in the binary unit that leaves at most four digits: `92.3 MiB`.
pub(super) fn bytes(number: u64) -> String {
    const UNITS: &[&str] = &["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let mut value = number as f64;
    let mut unit = "B";
    for larger in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    format!("{value:.1} {unit}")
}

/// A length of time in milliseconds, in the two units that matter: `812 ms`, `3.2 s`, `1m 03s`, `1h 02m`, `3d 04h`.
pub(super) fn duration(milliseconds: f64) -> String {
    let seconds = milliseconds / 1000.0;
    // Rounded down: what has not lasted a minute is not a minute.
    let whole = seconds.max(0.0) as u64;
    match whole {
        0 => format!("{milliseconds:.0} ms"),
        1..60 => format!("{:.1} s", (seconds * 10.0).floor() / 10.0),
        60..3_600 => format!("{}m {:02}s", whole / 60, whole % 60),
        3_600..86_400 => format!("{}h {:02}m", whole / 3_600, whole / 60 % 60),
        _ => format!("{}d {:02}h", whole / 86_400, whole / 3_600 % 24),
    }
}

/// A time with as many digits as say something: `0.4 ms`, `28 ms`, `3.2 s`.
pub(super) fn time(milliseconds: f64) -> String {
    if milliseconds < 10.0 {
        format!("{milliseconds:.1} ms")
    } else {
        duration(milliseconds)
    }
}

/// A share of a whole in percent: `0%`, `0.4%`, `12%`.
pub(super) fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0%".to_owned(),
        percent if percent < 0.1 => "<0.1%".to_owned(),
        percent if percent < 9.95 => format!("{percent:.1}%"),
        percent => format!("{percent:.0}%"),
    }
}

/// What `show` makes of it, or a dash.
pub(super) fn or_absent<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| ABSENT.to_owned(), show)
}

/// The name of a state, as in JSON.
pub(super) fn name(state: &impl Serialize) -> String {
    match serde_json::to_value(state) {
        Ok(Value::String(name)) => name,
        _ => ABSENT.to_owned(),
    }
}

/// A URI without its scheme and parameters: `1001@example.org`.
pub(super) fn address(uri: &str) -> String {
    let rest = ["sip:", "sips:", "tel:"]
        .iter()
        .find_map(|scheme| uri.strip_prefix(scheme))
        .unwrap_or(uri);
    printable(rest.split(';').next().unwrap_or(rest))
}

/// Date and time in UTC, to the second: `2026-11-21 09:00:00`.
pub(super) fn moment(time: Timestamp) -> String {
    let text = time.to_string();
    text.get(..19).unwrap_or(&text).replace('T', " ")
}

/// Date and time in UTC, to the millisecond: `2026-11-21 09:00:00.123`.
pub(super) fn moment_to_the_millisecond(time: Timestamp) -> String {
    let millis = time.as_nanos() / 1_000_000 % 1_000;
    format!("{}.{millis:03}", moment(time))
}

/// Times in UTC for a column: without the date where all are of one day, else without the year.
pub(super) fn moments(times: impl Iterator<Item = Timestamp>) -> Vec<String> {
    let full: Vec<String> = times.map(moment).collect();
    let day = full
        .first()
        .and_then(|first| first.get(..10))
        .unwrap_or_default()
        .to_owned();
    let from = if full.iter().all(|one| one.starts_with(&day)) {
        11
    } else {
        5
    };
    full.into_iter()
        .map(|one| one.get(from..).unwrap_or(&one).to_owned())
        .collect()
}

/// A heading and a list behind it, broken between its parts where a line would be too long.
pub(super) fn list(heading: &str, parts: impl Iterator<Item = String>, width: usize) -> String {
    let indent = " ".repeat(heading.chars().count());
    let mut text = heading.to_owned();
    let mut line = indent.len();
    let mut empty = true;
    for part in parts {
        let length = part.chars().count();
        if !empty {
            text.push(',');
            // The space before the part and the comma behind it.
            if line + length + 3 > width {
                text.push('\n');
                text.push_str(&indent);
                line = indent.len();
            } else {
                text.push(' ');
                line += 2;
            }
        }
        text.push_str(&part);
        line += length;
        empty = false;
    }
    if empty {
        text.push_str(ABSENT);
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        let counts = [0, 999, 1_000, 1_234_567].map(count);
        assert_eq!(counts, ["0", "999", "1,000", "1,234,567"]);
        let sizes = [0, 1023, 1024, 96_783_000, u64::MAX].map(bytes);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "92.3 MiB", "16.0 EiB"]);
        let spans = [
            0.0,
            0.4,
            999.4,
            999.9,
            3_250.0,
            59_999.0,
            63_000.0,
            3_725_000.0,
            273_600_000.0,
        ]
        .map(duration);
        assert_eq!(
            spans,
            [
                "0 ms", "0 ms", "999 ms", "1000 ms", "3.2 s", "59.9 s", "1m 03s", "1h 02m", "3d 04h"
            ]
        );
        assert_eq!(
            [0.0, 0.000_4, 0.004, 0.0996, 1.0].map(percent),
            ["0%", "<0.1%", "0.4%", "10%", "100%"]
        );
        assert_eq!(
            [f64::NAN, f64::INFINITY, -5.0].map(|odd| duration(odd).is_empty()),
            [false; 3]
        );
    }

    #[test]
    fn addresses_lose_what_is_the_same_everywhere() {
        let uris = ["sip:a@b;user=phone", "tel:+4921", "a@b", "sip:\u{1b}[31m@b"].map(address);
        assert_eq!(uris, ["a@b", "+4921", "a@b", "\u{fffd}[31m@b"]);
    }

    #[test]
    fn lists_break_between_their_parts() {
        let parts = |n: usize| (0..n).map(|part| format!("part {part}"));
        assert_eq!(list("of: ", parts(0), 20), "of: -\n");
        assert_eq!(list("of: ", parts(2), 20), "of: part 0, part 1\n");
        assert_eq!(list("of: ", parts(3), 19), "of: part 0, part 1,\n    part 2\n");
    }

    #[test]
    fn times_of_one_day_need_no_date() {
        let at = |seconds: u64| Timestamp::from_nanos((1_795_251_600 + seconds) * 1_000_000_000);
        assert_eq!(moments([at(0), at(61)].into_iter()), ["09:00:00", "09:01:01"]);
        assert_eq!(
            moments([at(0), at(86_400)].into_iter()),
            ["11-21 09:00:00", "11-22 09:00:00"]
        );
        assert!(moments(std::iter::empty()).is_empty());
    }
}
