//! Kinds of values in the configuration file: how each is read from TOML, written back, and asked for when it is wrong.

#![deny(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a value is whatever stands in the file"
)]

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use capture_common::{Level, Media};
use toml::de::DeValue;

use super::{Attach, Bind, Digits, Format, Mode, Nat};

/// A way to write a `T` in the file.
pub(super) trait Kind<T> {
    /// The value, or what would have been right.
    fn read(value: &DeValue<'_>) -> Result<T, String>;
    /// The value as TOML that `read` takes back.
    fn write(value: &T) -> String;
}

/// An enum whose variants have names in the file.
pub(super) trait Named: Copy + PartialEq + 'static {
    /// Every variant by name.
    const NAMES: &'static [(&'static str, Self)];
}

impl Named for Mode {
    const NAMES: &'static [(&'static str, Self)] = &[
        (Self::Mirror.label(), Self::Mirror),
        (Self::Host.label(), Self::Host),
        (Self::Packet.label(), Self::Packet),
    ];
}

impl Named for Attach {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("native", Self::Native),
        ("generic", Self::Generic),
        ("tcx", Self::Tcx),
    ];
}

impl Named for Bind {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("zero-copy", Self::ZeroCopy),
        ("copy", Self::Copy),
    ];
}

impl Named for Media {
    const NAMES: &'static [(&'static str, Self)] = &[
        (Self::Range.label(), Self::Range),
        (Self::Learned.label(), Self::Learned),
        (Self::Measured.label(), Self::Measured),
        (Self::Off.label(), Self::Off),
    ];
}

impl Named for Level {
    const NAMES: &'static [(&'static str, Self)] = &[
        (Self::Signaling.label(), Self::Signaling),
        (Self::Headers.label(), Self::Headers),
        (Self::Full.label(), Self::Full),
    ];
}

impl Named for Digits {
    const NAMES: &'static [(&'static str, Self)] = &[("masked", Self::Masked), ("shown", Self::Shown)];
}

impl Named for Format {
    const NAMES: &'static [(&'static str, Self)] = &[("pcap", Self::Pcap), ("pcapng", Self::Pcapng)];
}

impl Named for Nat {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("signaling_address", Self::SignalingAddress),
        ("symmetric", Self::Symmetric),
    ];
}

/// Characters of a wrong value that an error repeats.
const QUOTED: usize = 40;

/// What stands in the file where something else was expected.
fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.chars().count() > QUOTED => {
            let head: String = text.chars().take(QUOTED).collect();
            format!("{head:?}…")
        }
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a section".to_owned(),
    }
}

/// The error for a value that is not what it should be.
pub(super) fn expected<T>(wanted: impl Display, value: &DeValue<'_>) -> Result<T, String> {
    Err(format!("expected {wanted}, found {}", found(value)))
}

/// The number, where it is one that is not negative.
pub(super) fn integer(value: &DeValue<'_>) -> Option<u64> {
    let number = value.as_integer()?;
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// A TOML string with what needs escaping escaped.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A string.
pub(super) struct Text;

impl Kind<String> for Text {
    fn read(value: &DeValue<'_>) -> Result<String, String> {
        value
            .as_str()
            .map_or_else(|| expected("a string", value), |text| Ok(text.to_owned()))
    }

    fn write(value: &String) -> String {
        quoted(value)
    }
}

/// A path.
pub(super) struct Path;

impl Kind<PathBuf> for Path {
    fn read(value: &DeValue<'_>) -> Result<PathBuf, String> {
        match value.as_str() {
            Some("") | None => expected("a path", value),
            Some(text) => Ok(PathBuf::from(text)),
        }
    }

    fn write(value: &PathBuf) -> String {
        quoted(&value.to_string_lossy())
    }
}

/// true or false.
pub(super) struct Flag;

impl Kind<bool> for Flag {
    fn read(value: &DeValue<'_>) -> Result<bool, String> {
        value.as_bool().map_or_else(|| expected("true or false", value), Ok)
    }

    fn write(value: &bool) -> String {
        value.to_string()
    }
}

/// A whole number.
pub(super) struct Count;

impl<T: TryFrom<u64> + Display> Kind<T> for Count {
    fn read(value: &DeValue<'_>) -> Result<T, String> {
        integer(value)
            .and_then(|number| T::try_from(number).ok())
            .map_or_else(|| expected("a whole number", value), Ok)
    }

    fn write(value: &T) -> String {
        value.to_string()
    }
}

/// One of the names of an enum.
pub(super) struct Choice;

impl<T: Named> Kind<T> for Choice {
    fn read(value: &DeValue<'_>) -> Result<T, String> {
        let named = value
            .as_str()
            .and_then(|text| T::NAMES.iter().find(|(name, _)| *name == text));
        if let Some((_, variant)) = named {
            return Ok(*variant);
        }
        let names: Vec<String> = T::NAMES.iter().map(|(name, _)| format!("{name:?}")).collect();
        expected(names.join(" or "), value)
    }

    fn write(value: &T) -> String {
        let name = T::NAMES
            .iter()
            .find(|(_, variant)| variant == value)
            .map_or("", |(name, _)| name);
        quoted(name)
    }
}

/// A number and the unit behind it.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, unit.trim()))
}

/// Bytes: a number, or a string with a unit.
pub(super) struct Size;

/// Units of bytes: decimal ones as on a disk's label, binary ones by IEC 80000-13.
const SIZES: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("kB", 1_000),
    ("B", 1),
];

impl Size {
    fn bytes(value: &DeValue<'_>) -> Option<u64> {
        let Some(text) = value.as_str() else {
            return integer(value);
        };
        let (number, unit) = number_and_unit(text)?;
        let (_, factor) = SIZES.iter().find(|(name, _)| *name == unit)?;
        number.checked_mul(*factor)
    }
}

impl<T: TryFrom<u64> + Copy> Kind<T> for Size
where
    u64: TryFrom<T>,
{
    fn read(value: &DeValue<'_>) -> Result<T, String> {
        Self::bytes(value)
            .and_then(|bytes| T::try_from(bytes).ok())
            .map_or_else(
                || expected("a size such as \"512MB\", \"1GiB\" or a number of bytes", value),
                Ok,
            )
    }

    fn write(value: &T) -> String {
        let bytes = u64::try_from(*value).unwrap_or(u64::MAX);
        SIZES
            .iter()
            .find(|(_, factor)| bytes != 0 && *factor > 1 && bytes.is_multiple_of(*factor))
            .map_or_else(
                || bytes.to_string(),
                |(unit, factor)| format!("\"{}{unit}\"", bytes / factor),
            )
    }
}

/// A length of time: a string with a unit, or 0.
pub(super) struct Span;

/// Units of time in milliseconds.
const SPANS: &[(&str, u64)] = &[
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl Kind<Duration> for Span {
    fn read(value: &DeValue<'_>) -> Result<Duration, String> {
        let millis = match value.as_str() {
            Some(text) => number_and_unit(text).and_then(|(number, unit)| {
                let (_, factor) = SPANS.iter().find(|(name, _)| *name == unit)?;
                number.checked_mul(*factor)
            }),
            None => integer(value).filter(|number| *number == 0),
        };
        millis.map_or_else(
            || {
                expected(
                    "a duration such as \"250ms\", \"1s\", \"10m\", \"1h\", \"7d\" or 0",
                    value,
                )
            },
            |millis| Ok(Duration::from_millis(millis)),
        )
    }

    fn write(value: &Duration) -> String {
        let millis = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
        SPANS
            .iter()
            .find(|(_, factor)| millis != 0 && millis.is_multiple_of(*factor))
            .map_or_else(
                || "0".to_owned(),
                |(unit, factor)| format!("\"{}{unit}\"", millis / factor),
            )
    }
}

/// Permission bits, in octal and nothing else: 660 in decimal would be a surprise.
pub(super) struct Octal;

impl Kind<u32> for Octal {
    fn read(value: &DeValue<'_>) -> Result<u32, String> {
        let digits = match value {
            DeValue::String(text) => Some(text.as_ref()),
            DeValue::Integer(number) if number.radix() == 8 => Some(number.as_str()),
            _ => None,
        };
        digits
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
            .and_then(|digits| u32::from_str_radix(digits, 8).ok())
            .map_or_else(|| expected("permission bits in octal such as \"0660\"", value), Ok)
    }

    fn write(value: &u32) -> String {
        format!("\"{value:04o}\"")
    }
}

/// An address and port.
pub(super) struct Address;

impl Kind<SocketAddr> for Address {
    fn read(value: &DeValue<'_>) -> Result<SocketAddr, String> {
        value.as_str().and_then(|text| text.parse().ok()).map_or_else(
            || {
                expected(
                    "an address and port such as \"127.0.0.1:9464\" or \"[::1]:9464\"",
                    value,
                )
            },
            Ok,
        )
    }

    fn write(value: &SocketAddr) -> String {
        quoted(&value.to_string())
    }
}
