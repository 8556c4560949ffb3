//! Kinds of values that are lists: ports, ranges of ports, tunnels, CPUs, names.

#![deny(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a value is whatever stands in the file"
)]

use capture_common::Tunnel;
use toml::de::DeValue;

use super::PortRange;
use super::value::{Choice, Kind, Named, expected, integer};

/// A list whose elements are read one by one; `wanted` says what a list would look like.
fn list<T>(value: &DeValue<'_>, wanted: &str, element: impl Fn(&DeValue<'_>) -> Option<T>) -> Result<Vec<T>, String> {
    let Some(array) = value.as_array() else {
        return expected(wanted, value);
    };
    array
        .iter()
        .map(|entry| element(entry.get_ref()).map_or_else(|| expected(wanted, entry.get_ref()), Ok))
        .collect()
}

fn written<T>(values: &[T], one: impl Fn(&T) -> String) -> String {
    format!("[{}]", values.iter().map(one).collect::<Vec<_>>().join(", "))
}

fn port(number: u64) -> Option<u16> {
    u16::try_from(number).ok().filter(|port| *port != 0)
}

/// Port numbers.
pub(super) struct Ports;

impl Kind<Vec<u16>> for Ports {
    fn read(value: &DeValue<'_>) -> Result<Vec<u16>, String> {
        list(value, "a list of ports (1 to 65535) such as [5060, 5061]", |entry| {
            integer(entry).and_then(port)
        })
    }

    fn write(value: &Vec<u16>) -> String {
        written(value, u16::to_string)
    }
}

/// Ports and ranges of ports.
pub(super) struct PortRanges;

impl PortRanges {
    fn range(value: &DeValue<'_>) -> Option<PortRange> {
        let Some(text) = value.as_str() else {
            let port = integer(value).and_then(port)?;
            return Some(PortRange {
                first: port,
                last: port,
            });
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let first = port(first.trim().parse().ok()?)?;
        let last = port(last.trim().parse().ok()?)?;
        (first <= last).then_some(PortRange { first, last })
    }
}

impl Kind<Vec<PortRange>> for PortRanges {
    fn read(value: &DeValue<'_>) -> Result<Vec<PortRange>, String> {
        list(
            value,
            "a list of ports and ranges (1 to 65535, the lower first) such as [\"10000-65535\", 4000]",
            Self::range,
        )
    }

    fn write(value: &Vec<PortRange>) -> String {
        written(value, |range| {
            if range.first == range.last {
                range.first.to_string()
            } else {
                format!("\"{}-{}\"", range.first, range.last)
            }
        })
    }
}

/// Names of SIP headers.
pub(super) struct Headers;

impl Kind<Vec<String>> for Headers {
    fn read(value: &DeValue<'_>) -> Result<Vec<String>, String> {
        // RFC 3261 section 25.1, token; compact names are written out when a message is read.
        let is_name = |name: &str| {
            name.len() > 1
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte))
        };
        list(
            value,
            "a list of header names, in their long form, such as [\"User-Agent\"]",
            |entry| entry.as_str().filter(|name| is_name(name)).map(ToOwned::to_owned),
        )
    }

    fn write(value: &Vec<String>) -> String {
        written(value, |name| format!("\"{name}\""))
    }
}

/// CPU numbers.
pub(super) struct Cpus;

impl Kind<Vec<usize>> for Cpus {
    fn read(value: &DeValue<'_>) -> Result<Vec<usize>, String> {
        list(value, "a list of CPU numbers such as [2, 3]", |entry| {
            integer(entry).and_then(|number| usize::try_from(number).ok())
        })
    }

    fn write(value: &Vec<usize>) -> String {
        written(value, usize::to_string)
    }
}

/// Names of an enum, each once.
pub(super) struct Choices;

impl<T: Named> Kind<Vec<T>> for Choices {
    fn read(value: &DeValue<'_>) -> Result<Vec<T>, String> {
        let names: Vec<String> = T::NAMES.iter().map(|(name, _)| format!("{name:?}")).collect();
        let wanted = format!("a list of {}, each at most once", names.join(", "));
        let read = list(value, &wanted, |entry| Choice::read(entry).ok())?;
        let twice = read
            .iter()
            .enumerate()
            .any(|(at, one)| read.iter().skip(at + 1).any(|other| other == one));
        if twice { expected(wanted, value) } else { Ok(read) }
    }

    fn write(value: &Vec<T>) -> String {
        written(value, Choice::write)
    }
}

/// Names of tunnels.
pub(super) struct Tunnels;

impl Kind<Vec<Tunnel>> for Tunnels {
    fn read(value: &DeValue<'_>) -> Result<Vec<Tunnel>, String> {
        let names: Vec<&str> = Tunnel::ALL.iter().map(|tunnel| tunnel.label()).collect();
        let wanted = format!("a list of tunnels, of \"{}\"", names.join("\", \""));
        list(value, &wanted, |entry| {
            let name = entry.as_str()?;
            Tunnel::ALL.iter().find(|tunnel| tunnel.label() == name).copied()
        })
    }

    fn write(value: &Vec<Tunnel>) -> String {
        written(value, |tunnel| format!("\"{}\"", tunnel.label()))
    }
}
