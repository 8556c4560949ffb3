//! Interarrival jitter: RFC 3550 section 6.4.1 and appendix A.8, in milliseconds.
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

use crate::time::Timestamp;

/// No jitter buffer and no queue reaches this far: the timestamps have a new origin. Nanoseconds.
const NEW_ORIGIN: u64 = 10_000_000_000;

/// The latest packet, from which the next is measured.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    arrival: Timestamp,
    timestamp: u32,
    /// Clock of the last packet's payload type in Hz; 0 where it takes another look to know what the type is.
    pub clock_rate: u32,
}

/// How far a packet is from the one before.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Time between the arrivals, in nanoseconds.
    nanos: i64,
    /// Difference of the timestamps, in units of the clock.
    units: i32,
}

impl Rhythm {
    /// Measures from the first packet on.
    pub const fn new(arrival: Timestamp, timestamp: u32) -> Self {
        Self {
            arrival,
            timestamp,
            clock_rate: 0,
        }
    }

    /// Measures from this packet on.
    pub const fn move_to(&mut self, arrival: Timestamp, timestamp: u32) {
        self.arrival = arrival;
        self.timestamp = timestamp;
    }

    /// The step to another packet.
    pub const fn step(&self, arrival: Timestamp, timestamp: u32) -> Step {
        Step {
            // Both wrap to a signed difference: frames of two queues need not be in order.
            nanos: arrival.as_nanos().wrapping_sub(self.arrival.as_nanos()) as i64,
            units: timestamp.wrapping_sub(self.timestamp) as i32,
        }
    }
}

impl Step {
    /// Whether the packet's timestamp is not below that of the one before.
    pub const fn is_forward(&self) -> bool {
        self.units >= 0
    }

    /// Time between the arrivals, in nanoseconds.
    pub const fn nanos(&self) -> i64 {
        self.nanos
    }

    /// Difference of the relative transit times, `D(i-1,i)` of RFC 3550 section 6.4.1, in nanoseconds at a clock in Hz;
    /// `None` where the timestamps have a new origin.
    #[inline]
    pub fn transit(&self, clock_rate: u32) -> Option<i64> {
        // 2^31 units are less than 2^61 nanoseconds.
        let nominal = i64::from(self.units) * 1_000_000_000 / i64::from(clock_rate.max(1));
        let transit = self.nanos.wrapping_sub(nominal);
        (transit.unsigned_abs() < NEW_ORIGIN).then_some(transit)
    }
}

/// The estimate, with its sum and maximum over the regular packets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    sum: f64,
    value: f32,
    max: f32,
}

impl Meter {
    /// Takes one step, or holds where the timestamps have a new origin; `regular` packets enter mean and maximum.
    #[inline(always)]
    pub fn take(&mut self, transit: Option<i64>, regular: bool) {
        if let Some(transit) = transit {
            let deviation = transit.unsigned_abs() as f64 / 1e6;
            self.value += (deviation as f32 - self.value) / 16.0;
        }
        if regular {
            self.sum += f64::from(self.value);
            // Neither is ever NaN, which `max` would ask about.
            if self.value > self.max {
                self.max = self.value;
            }
        }
    }

    /// Mean over the regular packets, of which there were so many, in milliseconds.
    pub fn mean(&self, regular: u64) -> f64 {
        self.sum / regular.max(1) as f64
    }

    /// Highest value at a regular packet, in milliseconds.
    pub fn max(&self) -> f64 {
        f64::from(self.max)
    }
}

#[cfg(test)]
#[path = "jitter_tests.rs"]
mod tests;
