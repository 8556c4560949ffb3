//! What three jitter buffers would have made of a stream: packets that come too late to be played, and how long the others
//! wait.
//!
//! A packet's *lag* is its transit time less that of the stream's first packet: how much later it came than the sender's
//! clock says. A buffer plays what comes with a lag up to its *point*; a later packet is discarded, an earlier one waits for
//! the difference.
//! - Fixed, 50 and 200 ms: the point is that much above the lag of the packet the buffer began with. It begins with the
//!   stream, anew with a talkspurt (a marker after a pause that emptied it, RFC 3551 section 4.1), after ten packets that
//!   were too late, none more than 32 after the one before (the path is longer by now, or the clocks drift), and when one
//!   would wait for more than 200 ms beyond that, which is what it holds.
//! - Adaptive: algorithm 1 of Ramjee, Kurose, Towsley and Schulzrinne, "Adaptive playout mechanisms for packetized audio
//!   applications in wide-area networks" (INFOCOM 1994): mean `d` and mean deviation `v` of the lag, each moved by a 512th
//!   (alpha 0.998), and the point at `d + 4 v`, 20 to 500 ms above `d`. The paper moves the point between talkspurts only. The
//!   buffers of today's phones also do so within one, by stretching speech: here each 64 numbers, down by 20 ms at
//!   most, and at once up to the lag of a packet that came too late. It begins 60 ms above the first packet.
//!
//! The simulation goes by arrival times, in the order in which packets are taken. All is integer; times are in
//! microseconds.

/// Buffers that are simulated: fixed 50 ms, fixed 200 ms, adaptive.
pub const BUFFERS: usize = 3;

/// Delay of the fixed buffers.
const FIXED: [i32; 2] = [50_000, 200_000];
/// What they hold beyond it: Asterisk's default `jbmaxsize`.
const HOLDS: i32 = 200_000;
/// Where the adaptive buffer begins, and the least and the most it stays above the mean lag.
const ADAPTIVE_FIRST: i32 = 60_000;
const ADAPTIVE_LEAST: i32 = 20_000;
const ADAPTIVE_MOST: i32 = 500_000;
/// What the adaptive buffer falls by at most at a time.
const ADAPTIVE_FALL: i32 = 20_000;
/// Discards after which a fixed buffer begins anew, and how many packets may be from one of them to the next.
const ROW: u32 = 10;
const NEAR: u64 = 32;
/// Lags beyond are held here: no buffer is of that size, and the estimates stay in range.
const FAR: i64 = 60_000_000;

/// What every packet touches.
#[derive(Clone, Copy, Debug)]
pub struct Playout {
    /// Sum of the lags of all packets taken.
    sum: i64,
    /// Lags from `early` to `deadline` are no news to any buffer.
    early: i32,
    deadline: i32,
    /// Mean lag and mean deviation from it, in sixteenths.
    mean: i32,
    deviation: i32,
}

/// What only the exceptions touch.
#[derive(Clone, Debug)]
pub struct Points {
    buffers: [Buffer; BUFFERS],
    /// Of a stream that had any.
    discards: Option<Box<[Discards; BUFFERS]>>,
}

/// One buffer's account.
#[derive(Clone, Copy, Debug)]
struct Buffer {
    point: i32,
    /// Longest wait.
    longest: i32,
    /// Sum of the points that held at the first `since` packets taken.
    points: i64,
    since: u64,
}

/// What one buffer discarded.
#[derive(Clone, Copy, Debug, Default)]
struct Discards {
    count: u64,
    /// Sum of what the packets were late by.
    excess: i64,
    /// Packets taken before the last discard, and how many discards near each other it ended.
    last: u64,
    row: u32,
    /// Times a fixed buffer began anew within a talkspurt.
    resets: u32,
}

/// What one buffer made of the stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Packets that came too late to be played.
    pub discarded: u64,
    /// Mean wait of the packets played, in milliseconds; `None` where none was.
    pub mean_ms: Option<f64>,
    /// Longest wait, in milliseconds.
    pub max_ms: f64,
    /// Times it began anew within a talkspurt.
    pub resets: u32,
}

/// A lag in nanoseconds as one in microseconds.
#[inline]
pub fn micros(lag: i64) -> i32 {
    (lag / 1000).clamp(-FAR, FAR) as i32
}

impl Playout {
    /// Buffers that begin with the packet from which lags are measured.
    pub fn begin() -> (Self, Points) {
        let buffer = |point| Buffer {
            point,
            longest: point,
            points: 0,
            since: 0,
        };
        let points = Points {
            buffers: [buffer(FIXED[0]), buffer(FIXED[1]), buffer(ADAPTIVE_FIRST)],
            discards: None,
        };
        let playout = Self {
            sum: 0,
            early: 0,
            deadline: points.deadline(),
            mean: 0,
            deviation: 0,
        };
        (playout, points)
    }

    /// Takes a packet with this lag. Whether [`Points::weigh`] is to be asked about it.
    #[inline]
    pub fn take(&mut self, lag: i32) -> bool {
        self.sum += i64::from(lag);
        let off = lag * 16 - self.mean;
        self.mean += off >> 9;
        self.deviation += (off.abs() - self.deviation) >> 9;
        lag > self.deadline || lag < self.early
    }

    /// Where the adaptive buffer's point belongs.
    fn target(&self) -> i32 {
        let above = (self.deviation / 4).clamp(ADAPTIVE_LEAST, ADAPTIVE_MOST);
        self.mean / 16 + above
    }
}

impl Points {
    /// What the buffers make of a packet that was [taken](Playout::take) after `before` others: a bit for each that
    /// discards it.
    pub fn weigh(&mut self, playout: &mut Playout, lag: i32, before: u64) -> u8 {
        let highest = playout.mean / 16 + ADAPTIVE_MOST;
        let mut late = 0;
        let mut moved = false;
        for (at, buffer) in self.buffers.iter_mut().enumerate() {
            let fixed = FIXED.get(at);
            if lag > buffer.point {
                late |= 1 << at;
                let discards = &mut self.discards.get_or_insert_default()[at];
                discards.take(lag - buffer.point, before);
                match fixed {
                    Some(_) if discards.row < ROW => {}
                    Some(delay) => {
                        discards.row = 0;
                        discards.resets += 1;
                        buffer.move_to(lag + delay, before + 1);
                        moved = true;
                    }
                    None => {
                        buffer.move_to(buffer.point.max(lag.min(highest)), before + 1);
                        moved = true;
                    }
                }
                continue;
            }
            if let Some(delay) = fixed
                && buffer.point - lag > delay + HOLDS
            {
                self.discards.get_or_insert_default()[at].resets += 1;
                buffer.move_to(lag + delay, before);
                moved = true;
            }
            buffer.longest = buffer.longest.max(buffer.point - lag);
        }
        playout.deadline = self.deadline();
        // A point that moved makes every lag news again.
        playout.early = if moved { i32::MAX } else { playout.early.min(lag) };
        late
    }

    /// A talkspurt begins with a packet of this lag, before which `before` were taken.
    pub fn talkspurt(&mut self, playout: &mut Playout, lag: i32, before: u64) {
        let target = playout.target();
        let [short, long, adaptive] = &mut self.buffers;
        short.move_to(lag + FIXED[0], before);
        long.move_to(lag + FIXED[1], before);
        adaptive.move_to(target, before);
        self.moved(playout);
    }

    /// The adaptive buffer's time to look at its point; `before` packets were taken.
    pub fn adapt(&mut self, playout: &mut Playout, before: u64) {
        let target = playout.target();
        let [.., adaptive] = &mut self.buffers;
        adaptive.move_to(target.max(adaptive.point - ADAPTIVE_FALL), before);
        self.moved(playout);
    }

    fn moved(&self, playout: &mut Playout) {
        playout.deadline = self.deadline();
        playout.early = i32::MAX;
    }

    fn deadline(&self) -> i32 {
        self.buffers.iter().map(|buffer| buffer.point).min().unwrap_or_default()
    }

    /// What became of the `taken` packets so far.
    pub fn figures(&self, playout: &Playout, taken: u64) -> [Figures; BUFFERS] {
        let discards = self.discards.as_deref().copied().unwrap_or_default();
        std::array::from_fn(|at| {
            let (buffer, discards) = (&self.buffers[at], &discards[at]);
            let points = buffer.points + buffer.held(taken);
            let played = taken.saturating_sub(discards.count);
            let waits = points - playout.sum + discards.excess;
            Figures {
                discarded: discards.count,
                mean_ms: (played > 0).then(|| waits as f64 / played as f64 / 1e3),
                max_ms: f64::from(buffer.longest) / 1e3,
                resets: discards.resets,
            }
        })
    }
}

impl Buffer {
    /// From the packet after `before` others on the point is here.
    fn move_to(&mut self, point: i32, before: u64) {
        self.points += self.held(before);
        self.since = before;
        self.point = point;
    }

    /// Sum of the point over the packets it held for.
    fn held(&self, taken: u64) -> i64 {
        taken.saturating_sub(self.since) as i64 * i64::from(self.point)
    }
}

impl Discards {
    /// The packet after `before` others was late by so much.
    fn take(&mut self, by: i32, before: u64) {
        let follows = self.row > 0 && before - self.last <= NEAR;
        self.row = if follows { self.row + 1 } else { 1 };
        self.last = before;
        self.count += 1;
        self.excess += i64::from(by);
    }
}

#[cfg(test)]
#[path = "playout_tests.rs"]
mod tests;
