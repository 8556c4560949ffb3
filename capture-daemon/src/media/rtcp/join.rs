//! What RTCP said of each source, put to the stream it is about.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::facts::{Extended, Facts, Receiver, Sender};
use super::packet::Feedback;
use super::round_trip;
use super::sources::{Key, Part, Sources, call_of, even};
use super::xr::{self, BlockType};
use crate::media::Endpoints;
use crate::net::Endpoint;
use crate::report::{
    Goodbye, ReceiverReports, RoundTrip, Rtcp, SenderReports, Spread, StatisticsSummary, Stream, VoipMetrics,
};
use crate::time::Timestamp;

/// Sender reports further apart than this tell the clock to a thousandth, if both ends of the span are right to 5 ms.
const CLOCK_SPAN_S: f64 = 5.0;

/// Clocks of RTP lie between these, in Hz; anything else is a sender that began a new timeline.
const CLOCKS_HZ: std::ops::RangeInclusive<f64> = 1_000.0..=400_000.0;

/// A source with the call it belongs to, as far as anyone knows by now.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Source {
    key: Key,
    call_id: Option<Arc<str>>,
}

/// What a stream is found by when its ports are not those of RTCP: SSRC and hosts.
type Hosts = (u32, IpAddr, IpAddr);

impl Sources {
    /// Gives each of `streams`, which are those of all lanes, what RTCP says of it.
    pub fn join(&self, endpoints: &Endpoints, streams: &mut [Stream]) {
        let mut by_hosts: HashMap<Hosts, Vec<(usize, Ends)>> = HashMap::new();
        for (at, stream) in streams.iter().enumerate() {
            if let Some((ssrc, ends)) = ends(stream) {
                let hosts = (ssrc, ends.src.ip(), ends.dst.ip());
                by_hosts.entry(hosts).or_default().push((at, ends));
            }
        }
        let sources = self.sources(endpoints);
        let mut joined: HashMap<usize, Vec<(&Source, &Facts)>> = HashMap::new();
        for (source, facts) in &sources {
            let hosts = (source.key.ssrc, source.key.src.ip(), source.key.dst.ip());
            let candidates = by_hosts.get(&hosts).map_or(&[][..], Vec::as_slice);
            if let Some(stream) = choose(source, facts, candidates, streams) {
                joined.entry(stream).or_default().push((source, facts));
            }
        }
        for (at, parts) in joined {
            let mut facts = Facts::default();
            let mut back = Facts::default();
            for (source, part) in parts {
                facts.add(part);
                let reverse = part.receiver.last.map(|(_, (_, reporter))| Source {
                    key: Key {
                        ssrc: reporter,
                        src: source.key.dst,
                        dst: source.key.src,
                    },
                    call_id: source.call_id.clone(),
                });
                if let Some(reverse) = reverse.and_then(|source| sources.get(&source)) {
                    back.add(reverse);
                }
            }
            if let Some(stream) = streams.get_mut(at) {
                stream.rtcp = Some(Box::new(report(&facts, &back, stream.clock_rate)));
            }
        }
    }

    /// How long packets of one stream are under way, as far as RTCP on its ports or the next says during its call.
    pub fn round_trip_of(&self, stream: &Stream) -> Option<RoundTrip> {
        let (ssrc, ends) = ends(stream)?;
        let key = Key {
            ssrc,
            src: even(Endpoint::from(ends.src)),
            dst: even(Endpoint::from(ends.dst)),
        };
        let call_id = stream.call_id.as_deref();
        let facts = self.facts_of(&key, call_id)?;
        let reverse = facts.receiver.last.map(|(_, (_, reporter))| Key {
            ssrc: reporter,
            src: key.dst,
            dst: key.src,
        });
        let back = reverse.and_then(|reverse| self.facts_of(&reverse, call_id));
        round_trip(&facts, &back.unwrap_or_default())
    }

    /// All there is. What came before its call's SDP finds its call now.
    fn sources(&self, endpoints: &Endpoints) -> HashMap<Source, Facts> {
        let mut sources = HashMap::<Source, Facts>::new();
        let mut early = Vec::new();
        self.for_each(|key, Part { call_id, open, facts }| {
            let source = Source {
                key: *key,
                call_id: call_id.clone(),
            };
            if call_id.is_some() && !open {
                sources.insert(source, Facts::clone(facts));
            } else {
                early.push((source, Facts::clone(facts)));
            }
        });
        for (mut source, facts) in early {
            if let Some((first, _)) = facts.span {
                let call = call_of(source.key.src, source.key.dst, first, endpoints);
                source.call_id = call.map(|call| call.call_id);
            }
            sources.entry(source).or_default().add(&facts);
        }
        sources
    }
}

/// Ends of a stream.
#[derive(Clone, Copy)]
struct Ends {
    src: SocketAddr,
    dst: SocketAddr,
}

impl Ends {
    fn is_on(&self, key: &Key) -> bool {
        even(Endpoint::from(self.src)) == key.src && even(Endpoint::from(self.dst)) == key.dst
    }
}

fn ends(stream: &Stream) -> Option<(u32, Ends)> {
    let ssrc = u32::from_str_radix(stream.ssrc.strip_prefix("0x")?, 16).ok()?;
    let ends = Ends {
        src: stream.src.parse().ok()?,
        dst: stream.dst.parse().ok()?,
    };
    Some((ssrc, ends))
}

/// The stream a source is, among those with its SSRC between its hosts: on its ports and of its call, or else the only one
/// that it can be. `a=rtcp` (RFC 3605) and address translators put RTCP on any port.
fn choose(source: &Source, facts: &Facts, candidates: &[(usize, Ends)], streams: &[Stream]) -> Option<usize> {
    let call_id = source.call_id.as_deref();
    let call_of = |at: &usize| streams.get(*at).and_then(|stream| stream.call_id.as_deref());
    let pick = |mut fits: Vec<usize>| match fits.as_slice() {
        [] => None,
        [only] => Some(*only),
        _ => {
            let (first, _) = facts.span?;
            fits.sort_by_key(|&at| streams.get(at).map(|stream| distance(stream, first)));
            fits.first().copied()
        }
    };
    let all = || candidates.iter().map(|(at, _)| *at);
    let on_ports = || {
        let on = candidates.iter().filter(|(_, ends)| ends.is_on(&source.key));
        on.map(|(at, _)| *at)
    };
    let same_call = |at: &usize| call_id.is_some() && call_of(at) == call_id;
    let no_other = |at: &usize| call_id.is_none() || call_of(at).is_none_or(|theirs| Some(theirs) == call_id);
    let only = |fits: Vec<usize>| {
        Some(fits)
            .filter(|fits| fits.len() == 1)
            .and_then(|fits| fits.first().copied())
    };
    pick(on_ports().filter(same_call).collect())
        .or_else(|| pick(on_ports().filter(no_other).collect()))
        .or_else(|| only(on_ports().collect()))
        .or_else(|| only(all().filter(same_call).collect()))
        .or_else(|| only(all().filter(no_other).collect()))
}

/// How far a moment is from a stream.
fn distance(stream: &Stream, ts: Timestamp) -> std::time::Duration {
    stream.start.since(ts).max(ts.since(stream.end))
}

/// What is to be told: of a source, of the one that comes back, at the stream's clock.
fn report(facts: &Facts, back: &Facts, clock_rate: Option<u32>) -> Rtcp {
    Rtcp {
        encrypted: facts.encrypted,
        sender: sender(&facts.sender, clock_rate),
        receiver: receiver(&facts.receiver, clock_rate),
        round_trip: round_trip(facts, back),
        voip_metrics: facts.extended.as_deref().and_then(voip_metrics),
        statistics_summary: facts
            .extended
            .as_deref()
            .and_then(|extended| summary(extended, clock_rate)),
        feedback: Feedback::ALL
            .iter()
            .zip(facts.feedback)
            .filter(|(_, count)| *count > 0)
            .map(|(kind, count)| (kind.label().to_owned(), u64::from(count)))
            .collect(),
        cname: text(facts.cname.as_ref()),
        name: text(facts.name.as_ref()),
        tool: text(facts.tool.as_ref()),
        goodbye: facts.goodbye.as_ref().map(|(at, reason)| Goodbye {
            at: *at,
            reason: (!reason.is_empty()).then(|| readable(reason)),
        }),
    }
}

fn readable(text: &[u8]) -> String {
    // Some senders count the terminator of their strings.
    String::from_utf8_lossy(text).trim_end_matches('\0').to_owned()
}

fn text(known: Option<&(Timestamp, Box<[u8]>)>) -> Option<String> {
    known.map(|(_, text)| readable(text))
}

fn sender(sender: &Sender, clock_rate: Option<u32>) -> Option<SenderReports> {
    let (last, info) = sender.last?;
    Some(SenderReports {
        reports: sender.reports,
        packets: info.packets,
        octets: info.octets,
        clock_rate_hz: measured_clock(sender, clock_rate),
        last,
    })
}

/// Timestamp units per second of the sender's own clock. At most one wrap of the timestamps can be told from none, and only where
/// the clock is known.
fn measured_clock(sender: &Sender, clock_rate: Option<u32>) -> Option<f64> {
    const WRAP: f64 = 4_294_967_296.0;
    let ((_, first), (_, last)) = (sender.first?, sender.last?);
    let seconds = last.ntp.wrapping_sub(first.ntp).cast_signed() as f64 / WRAP;
    if first.ntp == 0 || last.ntp == 0 || seconds < CLOCK_SPAN_S {
        return None;
    }
    let mut units = f64::from(last.rtp.wrapping_sub(first.rtp));
    match clock_rate {
        Some(rate) => units += ((f64::from(rate) * seconds - units) / WRAP).round().max(0.0) * WRAP,
        None if seconds > WRAP / CLOCKS_HZ.end() => return None,
        None => {}
    }
    Some(units / seconds).filter(|hz| CLOCKS_HZ.contains(hz))
}

fn receiver(receiver: &Receiver, clock_rate: Option<u32>) -> Option<ReceiverReports> {
    let (last, (block, reporter)) = receiver.last?;
    let share = |share: u8| f64::from(share) / 256.0;
    let mean = receiver.jitter_sum as f64 / receiver.reports as f64;
    let milliseconds = |units: f64| clock_rate.map(|rate| units * 1e3 / f64::from(rate));
    Some(ReceiverReports {
        reports: receiver.reports,
        reporter: format!("0x{reporter:08x}"),
        fraction_lost_last: share(block.fraction_lost),
        fraction_lost_max: share(receiver.fraction_lost_max),
        cumulative_lost: block.cumulative_lost,
        highest_seq: block.highest_seq,
        jitter_last_ms: milliseconds(f64::from(block.jitter)),
        jitter_mean_ms: milliseconds(mean),
        jitter_max_ms: milliseconds(f64::from(receiver.jitter_max)),
        last,
    })
}

fn round_trip(facts: &Facts, back: &Facts) -> Option<RoundTrip> {
    let receiver = spread(&facts.round_trips.measured);
    let sender = spread(&back.round_trips.measured);
    let voip = |facts: &Facts| Some(facts.extended.as_deref()?.voip?.1);
    let (here, there) = (voip(facts), voip(back));
    let told = [here, there]
        .into_iter()
        .flatten()
        .find_map(|metrics| metrics.round_trip);
    let path_ms = receiver
        .zip(sender)
        .map(|(receiver, sender)| receiver.mean_ms + sender.mean_ms)
        .or(told.map(f64::from));
    let in_ends: f64 = [here, there]
        .into_iter()
        .flatten()
        .filter_map(|metrics| metrics.end_system_delay)
        .map(f64::from)
        .sum();
    let known = receiver.is_some() || sender.is_some() || path_ms.is_some();
    known.then(|| RoundTrip {
        receiver,
        sender,
        path_ms,
        one_way_ms: path_ms.map(|path| (path + in_ends) / 2.0),
    })
}

fn spread(spread: &round_trip::Spread) -> Option<Spread> {
    let [min_ms, mean_ms, max_ms, last_ms] = spread.milliseconds()?;
    Some(Spread {
        count: spread.count,
        min_ms,
        mean_ms,
        max_ms,
        last_ms,
    })
}

fn voip_metrics(extended: &Extended) -> Option<VoipMetrics> {
    let (_, metrics) = extended.voip?;
    let share = |share: u8| f64::from(share) / 256.0;
    let mos = |tenths: u8| f64::from(tenths) / 10.0;
    let xr::VoipMetrics { configuration, .. } = metrics;
    Some(VoipMetrics {
        reports: extended.blocks[BlockType::Voip as usize],
        loss_rate: share(metrics.loss_rate),
        discard_rate: share(metrics.discard_rate),
        burst_density: share(metrics.burst_density),
        gap_density: share(metrics.gap_density),
        burst_duration_ms: metrics.burst_duration,
        gap_duration_ms: metrics.gap_duration,
        gmin: metrics.gmin,
        round_trip_ms: metrics.round_trip,
        end_system_delay_ms: metrics.end_system_delay,
        signal_level_dbm: metrics.signal_level,
        noise_level_dbm: metrics.noise_level,
        residual_echo_return_loss_db: metrics.echo_return_loss,
        r_factor: metrics.r_factor,
        external_r_factor: metrics.external_r_factor,
        mos_lq: metrics.mos_lq.map(mos),
        mos_cq: metrics.mos_cq.map(mos),
        // RFC 3611 section 4.7.6: two bits each.
        concealment: match configuration >> 6 {
            0b11 => Some("standard".to_owned()),
            0b10 => Some("enhanced".to_owned()),
            0b01 => Some("disabled".to_owned()),
            _ => None,
        },
        jitter_buffer: match configuration >> 4 & 0b11 {
            0b11 => Some("adaptive".to_owned()),
            0b10 => Some("fixed".to_owned()),
            _ => None,
        },
        jitter_buffer_rate: configuration & 0x0f,
        jitter_buffer_nominal_ms: metrics.buffer_nominal,
        jitter_buffer_maximum_ms: metrics.buffer_maximum,
        jitter_buffer_absolute_ms: metrics.buffer_absolute,
    })
}

fn summary(extended: &Extended, clock_rate: Option<u32>) -> Option<StatisticsSummary> {
    let (_, latest) = extended.summary?;
    let milliseconds = |units: u32| clock_rate.map(|rate| f64::from(units) * 1e3 / f64::from(rate));
    Some(StatisticsSummary {
        reports: extended.blocks[BlockType::Summary as usize],
        lost: extended.summary_lost,
        duplicates: extended.summary_duplicates,
        jitter_mean_ms: latest.jitter.and_then(|[_, _, mean, _]| milliseconds(mean)),
        jitter_max_ms: latest.jitter.and_then(|[_, max, ..]| milliseconds(max)),
    })
}
