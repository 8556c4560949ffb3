//! Time as the engine knows it: nanoseconds since the Unix epoch, taken from packets, never from a clock.

use std::fmt;
use std::time::Duration;

/// Wall-clock time of a packet: nanoseconds since 1970-01-01T00:00:00Z, good until the year 2554.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch; also what stands for "no packet yet".
    pub const ZERO: Self = Self(0);

    /// From nanoseconds since the Unix epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time passed since `earlier`; zero where `earlier` is later, as frames of two queues are not in order.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment moved by `by` towards the future, held at the end of the range.
    pub const fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(clamp(by)))
    }

    /// This moment moved by `by` towards the past, held at the epoch.
    pub const fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(clamp(by)))
    }
}

const fn clamp(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 {
        u64::MAX
    } else {
        nanos as u64
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with nanoseconds: `2026-11-21T09:00:00.000000001Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(moment) => write!(f, "{moment:.9}"),
            // Not reachable: u64 nanoseconds end in 2554, jiff's range in 9999.
            Err(_) => write!(f, "@{}ns", self.0),
        }
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let moment: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        u64::try_from(moment.as_nanosecond())
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_and_read_as_rfc_3339_with_nanoseconds() {
        let moment = Timestamp::from_nanos(1_795_251_600_000_000_001);
        assert_eq!(moment.to_string(), "2026-11-21T09:00:00.000000001Z");
        let json = serde_json::to_string(&moment).unwrap();
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), moment);
    }

    #[test]
    fn arithmetic_holds_at_both_ends() {
        let end = Timestamp::from_nanos(u64::MAX);
        assert_eq!(end.plus(Duration::from_secs(1)), end);
        assert_eq!(Timestamp::ZERO.minus(Duration::from_secs(1)), Timestamp::ZERO);
        assert_eq!(Timestamp::ZERO.since(end), Duration::ZERO);
    }
}
