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

/// No jitter buffer and no queue reaches this far: the timestamps have a new origin. Milliseconds.
const NEW_ORIGIN_MS: f64 = 10_000.0;

/// The latest packet, from which the next is measured, and how many packets have entered the mean.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    arrival: Timestamp,
    timestamp: u32,
    regular: u32,
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
            regular: 0,
        }
    }

    /// Measures from this packet on.
    pub const fn move_to(&mut self, arrival: Timestamp, timestamp: u32) {
        self.arrival = arrival;
        self.timestamp = timestamp;
    }

    /// Counts a packet that enters mean and maximum.
    pub const fn count(&mut self) {
        self.regular = self.regular.saturating_add(1);
    }

    /// Packets that entered mean and maximum.
    pub const fn regular(&self) -> u32 {
        self.regular
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

    /// Difference of relative transit times, `|D(i-1,i)|` of RFC 3550, in milliseconds at a clock in Hz.
    pub fn deviation(&self, clock_rate: u32) -> f64 {
        (self.nanos as f64 / 1e6 - f64::from(self.units) * 1e3 / f64::from(clock_rate)).abs()
    }
}

/// The estimate at one clock, with its sum and maximum over the regular packets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    sum: f64,
    value: f32,
    max: f32,
}

impl Meter {
    /// Takes one step at a clock in Hz, or holds where the clock is not known; `regular` packets enter mean and maximum.
    pub fn take(&mut self, step: Step, clock_rate: Option<u32>, regular: bool) {
        let deviation = clock_rate.map(|rate| step.deviation(rate));
        if let Some(deviation) = deviation.filter(|&deviation| deviation < NEW_ORIGIN_MS) {
            self.value += (deviation as f32 - self.value) / 16.0;
        }
        if regular {
            self.sum += f64::from(self.value);
            self.max = self.max.max(self.value);
        }
    }

    /// Mean over the regular packets, of which there were so many, in milliseconds.
    pub fn mean(&self, regular: u32) -> f64 {
        self.sum / f64::from(regular.max(1))
    }

    /// Highest value at a regular packet, in milliseconds.
    pub fn max(&self) -> f64 {
        f64::from(self.max)
    }
}

/// Clocks that dynamic payload types have: audio of the IANA registry of RTP payload formats, and video's.
const CLOCKS: [u32; 10] = [
    8000, 48_000, 16_000, 90_000, 32_000, 24_000, 44_100, 12_000, 11_025, 22_050,
];

/// The estimate at every usual clock at once, for a stream whose clock nobody has told yet. Jitter cannot be converted from
/// one clock to another afterwards, for it is a sum of absolute values; this way, when the SDP comes, be it before
/// the second packet or after the thousandth, the answer is the one it would have been from the start.
/// At a clock that is not listed the measurement begins when the clock is known.
#[derive(Clone, Debug)]
pub struct Candidates([Meter; CLOCKS.len()]);

impl Candidates {
    /// Goes on from what was measured so far at a known clock.
    pub const fn from(meter: Meter) -> Self {
        Self([meter; CLOCKS.len()])
    }

    /// Takes one step; at every clock's own rate where `clock_rate` is not known.
    pub fn take(&mut self, step: Step, clock_rate: Option<u32>, regular: bool) {
        for (meter, clock) in self.0.iter_mut().zip(CLOCKS) {
            meter.take(step, clock_rate.or(Some(clock)), regular);
        }
    }

    /// The estimate at the clock that turned out to be right.
    pub fn settle(&self, clock_rate: u32) -> Option<Meter> {
        let at = CLOCKS.iter().position(|&clock| clock == clock_rate)?;
        self.0.get(at).copied()
    }
}

#[cfg(test)]
#[path = "jitter_tests.rs"]
mod tests;
