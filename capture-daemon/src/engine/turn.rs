//! From STUN and TURN, in datagrams and over TCP, to transactions, allocations, and the packets inside.

use std::collections::HashMap;
use std::sync::Arc;

use super::media::Media;
use super::portion::{End, Portion};
use super::ports::PortSet;
use super::{EngineCounters, Shared};
use crate::media::rtp;
use crate::net::{Endpoint, Offer, Taken};
use crate::outcome::{Loss, Outcome};
use crate::report::Relayed;
use crate::time::Timestamp;
use crate::turn::channel::{self, ChannelData};
use crate::turn::stun::{self, Class, Message, Method};
use crate::turn::{Flow, Path, Via};

/// Paths whose counts wait for the next tick. With more, they go at once.
const MAX_FLOWS: usize = 16_384;

/// The TURN side of an engine. Allocations are shared and locked, so what is relayed is counted here first.
#[derive(Debug)]
pub struct Relaying {
    ports: PortSet,
    /// What was relayed since the last tick.
    flows: HashMap<Path, Flow, foldhash::fast::RandomState>,
    shared: Arc<Shared>,
    counters: Arc<EngineCounters>,
}

impl Relaying {
    /// For one engine with its counters, and the ports on which ChannelData is TURN's whatever it carries.
    pub fn new(ports: &[u16], shared: Arc<Shared>, counters: Arc<EngineCounters>) -> Self {
        Self {
            ports: PortSet::new(ports),
            flows: HashMap::default(),
            shared,
            counters,
        }
    }

    fn on_port(&self, path: Path) -> [bool; 2] {
        [path.src, path.dst].map(|end| self.ports.contains(end.port()))
    }

    /// Whether one of these is a port of TURN.
    pub fn is_on_port(&self, src: Endpoint, dst: Endpoint) -> bool {
        self.ports.contains(src.port()) || self.ports.contains(dst.port())
    }

    fn message(&self, ts: Timestamp, path: Path, relayed: bool, message: &Message<'_>) {
        self.counters.stun(message, relayed);
        // Send and Data are as many as packets of media: what they say is counted with the flow.
        if !matches!(message.method, Method::Send | Method::Data) {
            let losses = &self.counters.losses;
            self.shared.turn.record(ts, path, relayed, message, losses);
        }
    }

    /// The flow of this path, with a packet of time `ts`.
    fn flow(&mut self, ts: Timestamp, path: Path) -> &mut Flow {
        if self.flows.len() >= MAX_FLOWS {
            self.flush();
        }
        let on_port = self.on_port(path);
        let flow = self.flows.entry(path).or_insert(Flow {
            first: ts,
            last: ts,
            on_port,
            ..Flow::default()
        });
        flow.first = flow.first.min(ts);
        flow.last = flow.last.max(ts);
        flow
    }

    /// Tells the allocations what was relayed.
    pub fn flush(&mut self) {
        for (path, flow) in self.flows.drain() {
            self.shared.turn.relayed(path, &flow, &self.counters.losses);
        }
    }
}

fn count(relayed: &mut Relayed, data: &[u8]) {
    relayed.packets += 1;
    relayed.bytes += data.len() as u64;
}

impl Media<'_> {
    /// Takes a datagram whose first byte is STUN's; `None` where it is none.
    pub(super) fn stun<'d>(&mut self, ts: Timestamp, path: Path, datagram: &'d [u8]) -> Option<End<'d>> {
        match stun::read(datagram) {
            stun::Kind::Message(message) => {
                self.relaying.message(ts, path, false, &message);
                Some(End {
                    outcome: Outcome::Stun,
                    portion: self.indication(ts, path, &message),
                })
            }
            stun::Kind::Malformed(why) => {
                self.counters.stun_malformed(why);
                Some(Outcome::StunMalformed.into())
            }
            stun::Kind::Other => None,
        }
    }

    /// Takes what a Send or Data indication carries (RFC 8656 section 11), and says how much of it is wanted.
    fn indication<'d>(&mut self, ts: Timestamp, path: Path, message: &Message<'d>) -> Portion<'d> {
        let from_client = match (message.class, message.method) {
            (Class::Indication, Method::Send) => true,
            (Class::Indication, Method::Data) => false,
            _ => return Portion::All,
        };
        let flow = self.relaying.flow(ts, path);
        flow.from_client += u64::from(from_client);
        flow.from_server += u64::from(!from_client);
        let Some(data) = message.data else {
            return Portion::All;
        };
        count(&mut flow.data_indications, data);
        let via = Via {
            tcp: path.tcp,
            channel: None,
            peer: message.peers().next(),
        };
        self.inside(ts, path, via, data).portion
    }

    /// Takes a datagram whose first byte is that of a channel number; `None` where it is no ChannelData. On a port of
    /// TURN it is, whatever it carries; elsewhere it has to carry what relays are used for.
    pub(super) fn channel<'d>(&mut self, ts: Timestamp, path: Path, datagram: &'d [u8]) -> Option<End<'d>> {
        let message = channel::read(datagram)?;
        let on_port = self.relaying.is_on_port(path.src, path.dst);
        if !on_port && !carries_media(message.data) {
            return None;
        }
        let End { outcome, portion } = self.channel_data(ts, path, &message);
        let outcome = match outcome {
            Outcome::OtherUdp if !on_port => Outcome::OtherUdp,
            _ => Outcome::TurnChannel,
        };
        Some(End { outcome, portion })
    }

    fn channel_data<'d>(&mut self, ts: Timestamp, path: Path, message: &ChannelData<'d>) -> End<'d> {
        count(&mut self.relaying.flow(ts, path).channel_data, message.data);
        let via = Via {
            tcp: path.tcp,
            channel: Some(message.number),
            peer: None,
        };
        self.inside(ts, path, via, message.data)
    }

    /// Whether a TCP direction whose first bytes these are carries TURN.
    pub fn is_turn(&self, offer: &Offer<'_>) -> bool {
        self.relaying.is_on_port(offer.src, offer.dst) || stun::begins(offer.bytes)
    }

    /// Takes what can be read at the beginning of a TCP direction that carries TURN: STUN, and ChannelData padded to four
    /// bytes (RFC 8656 section 12.5).
    pub fn turn_stream(&mut self, offer: &Offer<'_>) -> Taken {
        let Offer {
            ts,
            src,
            dst,
            bytes,
            fresh,
            ..
        } = *offer;
        let path = Path { src, dst, tcp: true };
        let needed = match bytes.first() {
            Some(0..=3) if bytes.len() < STUN_BEGINNING => Some(STUN_BEGINNING),
            Some(0..=3) if stun::begins(bytes) => stun::announced_len(bytes),
            Some(64..=127) if bytes.len() < 4 => Some(4),
            Some(64..=127) => channel::announced_len(bytes),
            _ => None,
        };
        let Some(needed) = needed else {
            return self.out_of_step(bytes, fresh);
        };
        let Some((message, rest)) = bytes.split_at_checked(needed) else {
            return Taken::More {
                needed,
                searched: bytes.len(),
            };
        };
        if let Some(channel_data) = channel::read_padded(message) {
            // A channel number is not much to know a beginning by.
            if fresh && !begins_unit(rest) {
                return self.out_of_step(bytes, fresh);
            }
            self.channel_data(ts, path, &channel_data);
        } else if self.stun(ts, path, message).map(|end| end.outcome) != Some(Outcome::Stun) {
            return self.out_of_step(bytes, fresh);
        }
        Taken::Unit(needed)
    }

    /// Finds the next message of STUN, which can be told from anything else.
    fn out_of_step(&self, bytes: &[u8], fresh: bool) -> Taken {
        let last = bytes.len().saturating_sub(STUN_BEGINNING - 1).max(1);
        let next = (1..last)
            .find(|at| bytes.get(*at..).is_some_and(stun::begins))
            .unwrap_or(last);
        if fresh {
            Taken::Skipped(next)
        } else {
            self.counters.losses.count(Loss::TurnTcpMalformed);
            Taken::Lost(next)
        }
    }

    /// Takes what TURN relays: media, or the connectivity checks that come before it.
    fn inside<'d>(&mut self, ts: Timestamp, path: Path, via: Via, data: &'d [u8]) -> End<'d> {
        match stun::read(data) {
            stun::Kind::Message(message) => {
                self.relaying.message(ts, path, true, &message);
                Outcome::Stun.into()
            }
            stun::Kind::Malformed(why) => {
                self.counters.stun_malformed(why);
                Outcome::StunMalformed.into()
            }
            stun::Kind::Other => self.rtp(ts, path, Some(via), data, 0),
        }
    }
}

/// Bytes of a STUN message up to the end of its cookie.
const STUN_BEGINNING: usize = 8;

/// Whether these bytes, as far as they are there, begin a message of STUN or ChannelData.
fn begins_unit(bytes: &[u8]) -> bool {
    match bytes.first() {
        None | Some(64..=127) => true,
        Some(0..=3) => bytes.len() < STUN_BEGINNING || stun::begins(bytes),
        Some(_) => false,
    }
}

fn carries_media(data: &[u8]) -> bool {
    stun::begins(data) || rtp::read(data) != rtp::Kind::Other
}
