//! Interarrival jitter: RFC 3550 section 6.4.1 and appendix A.8.
//!
//! Each packet is measured from the one that arrived before it, "not necessarily in sequence" (section 6.4.1): a late packet
//! counts when it comes, and so does the step back to its successors. Which packets take part follows Wireshark
//! (ui/tap-rtp-analysis.c, `rtppacket_analyse`), the figure operators compare with: every packet moves the estimate,
//! copies and late ones too; mean and maximum leave out packets with the marker bit, comfort noise and what follows it. It
//! differs where Wireshark's figure is not the network's:
//! - Telephone events take no part at all. Their timestamp stands still while the event lasts, and measuring the next
//!   voice packet from them shows the length of a key press as jitter.
//! - The mean is the sum over the packets that take part, divided by their number; Wireshark divides by the number of
//!   all packets, which weighs early ones more.
//! - The clock is not rounded to whole kilohertz (11025 Hz is not 11000).
//! - A difference of ten seconds or more is a new origin of the sender's timestamps, after a hold or a change of the
//!   source, and begins the measurement anew; so does a restart of the sequence numbers.
//!
//! All is integer, without a division per packet: the period of the clock is multiplied instead, and the estimate is kept in
//! sixteenths, as in RFC 3550 A.8.

/// No jitter buffer and no queue reaches this far: the timestamps have a new origin. Nanoseconds.
const NEW_ORIGIN: u64 = 10_000_000_000;

/// Nanoseconds of a deviation's unit, as a power of two: of sixteenths of it, ten seconds fit 32 bits.
const UNIT: u32 = 6;

/// Sixteenths of a deviation's unit in a millisecond, in which [`Meter`] gives its figures.
pub const PER_MS: u64 = (16 * 1_000_000) >> UNIT;

/// The time of one unit of an RTP clock, in nanoseconds with twelve binary digits behind the point: exact for whole fractions
/// of a second such as 8000 Hz, and for all others off by less than 1 ns in 0.1 s at up to 90 kHz.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Period(u32);

impl Period {
    /// Of a clock nobody knows.
    pub const UNKNOWN: Self = Self(0);

    /// The slowest clock that has a period here, in Hz: that of text (RFC 4103).
    pub const SLOWEST: u32 = 1000;

    const FRACTION: u32 = 12;

    /// Of a clock in Hz. One below [`SLOWEST`](Self::SLOWEST) is unknown.
    #[inline(always)]
    pub const fn of(clock_rate: u32) -> Self {
        if clock_rate < Self::SLOWEST {
            return Self::UNKNOWN;
        }
        let rate = clock_rate as u64;
        Self((((1_000_000_000 << Self::FRACTION) + rate / 2) / rate) as u32)
    }

    /// Whether the clock is known.
    #[inline(always)]
    pub const fn is_known(self) -> bool {
        self.0 != 0
    }
}

/// The latest packet, from which the next is measured.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Rhythm {
    /// When it arrived, in nanoseconds.
    arrival: u64,
    timestamp: u32,
    /// Of the clock of the last packet's payload type; unknown where it takes another look to know what the type is.
    pub period: Period,
}

const _: () = assert!(size_of::<Rhythm>() == 16);

/// How far a packet is from the one before.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Time between the arrivals, in nanoseconds.
    nanos: i64,
    /// Difference of the timestamps, in units of the clock.
    units: i32,
}

impl Rhythm {
    /// Measures from the first packet on, which arrived at a time in nanoseconds.
    pub const fn new(arrival: u64, timestamp: u32) -> Self {
        Self {
            arrival,
            timestamp,
            period: Period::UNKNOWN,
        }
    }

    /// Measures from this packet on.
    #[inline(always)]
    pub const fn move_to(&mut self, arrival: u64, timestamp: u32) {
        self.arrival = arrival;
        self.timestamp = timestamp;
    }

    /// The step to another packet.
    #[inline(always)]
    pub const fn step(&self, arrival: u64, timestamp: u32) -> Step {
        Step {
            // Both wrap to a signed difference: frames of two queues need not be in order.
            nanos: arrival.wrapping_sub(self.arrival) as i64,
            units: timestamp.wrapping_sub(self.timestamp) as i32,
        }
    }
}

impl Step {
    /// Whether the packet's timestamp is not below that of the one before.
    #[inline(always)]
    pub const fn is_forward(&self) -> bool {
        self.units >= 0
    }

    /// Time between the arrivals, in nanoseconds.
    pub const fn nanos(&self) -> i64 {
        self.nanos
    }

    /// Difference of the relative transit times, `D(i-1,i)` of RFC 3550 section 6.4.1, in nanoseconds; `None` where the
    /// timestamps have a new origin.
    #[inline(always)]
    pub const fn transit(&self, period: Period) -> Option<i64> {
        // 31 bits by 32.
        let nominal = (self.units as i64 * period.0 as i64) >> Period::FRACTION;
        let transit = self.nanos.wrapping_sub(nominal);
        if transit.unsigned_abs() < NEW_ORIGIN {
            Some(transit)
        } else {
            None
        }
    }
}

/// The estimate, with its sum and maximum over the regular packets; all in sixteenths of 64 ns.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Meter {
    sum: u64,
    value: u32,
    max: u32,
}

const _: () = assert!(size_of::<Meter>() == 16);

impl Meter {
    /// Takes one step, or holds where the timestamps have a new origin; `regular` packets enter mean and maximum.
    #[inline(always)]
    pub const fn take(&mut self, transit: Option<i64>, regular: bool) {
        if let Some(transit) = transit {
            let deviation = (transit.unsigned_abs() + (1 << UNIT >> 1)) >> UNIT;
            // RFC 3550 A.8: J += |D| - ((J + 8) >> 4). It stays below sixteen times the highest deviation and a half.
            self.value = self.value + deviation as u32 - ((self.value + 8) >> 4);
        }
        if regular {
            self.sum = self.sum.wrapping_add(self.value as u64);
            if self.value > self.max {
                self.max = self.value;
            }
        }
    }

    /// The estimate now, of which [`PER_MS`] are a millisecond.
    pub const fn value(&self) -> u32 {
        self.value
    }

    /// Sum over the regular packets, of which [`PER_MS`] are a millisecond.
    pub const fn sum(&self) -> u64 {
        self.sum
    }

    /// Highest value at a regular packet, of which [`PER_MS`] are a millisecond.
    pub const fn max(&self) -> u32 {
        self.max
    }
}

#[cfg(test)]
#[path = "jitter_tests.rs"]
mod tests;
