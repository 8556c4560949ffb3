//! From SIP messages to calls, registrations and the places where media is expected.

use std::sync::Arc;

use super::descriptions::Announcing;
use super::{EngineCounters, Shared};
use crate::calls::Followed;
use crate::config::{Follow, Nat};
use crate::net::{Endpoint, Offer, Taken};
use crate::outcome::{Loss, Losses, Outcome};
use crate::sip::{self, Framing, Message, Method, frame};
use crate::time::Timestamp;

/// The SIP side of an engine.
#[derive(Debug)]
pub struct Signaling {
    shared: Arc<Shared>,
    counters: Arc<EngineCounters>,
    /// A private address in SDP may stand for that of the sender.
    nat: bool,
}

impl Signaling {
    /// For one engine with its counters.
    pub fn new(follow: &Follow, shared: Arc<Shared>, counters: Arc<EngineCounters>) -> Self {
        Self {
            shared,
            counters,
            nat: follow.nat.contains(&Nat::SignalingAddress),
        }
    }

    /// Takes a datagram that begins as SIP does. What stands in it beyond the message is not read: RFC 3261 section
    /// 18.3 allows one message in each.
    pub fn datagram(&self, ts: Timestamp, src: Endpoint, dst: Endpoint, payload: &[u8]) -> Outcome {
        match Message::parse(payload) {
            Ok((message, _)) => {
                self.message(ts, src, dst, &message);
                Outcome::SipUdp
            }
            Err(why) => {
                self.counters.malformed(why);
                Outcome::SipMalformed
            }
        }
    }

    /// What could not be followed.
    pub fn losses(&self) -> &Losses {
        &self.counters.losses
    }

    /// Takes what can be read at the beginning of the bytes of a TCP direction that may carry SIP.
    pub fn stream(&self, offer: &Offer<'_>) -> Taken {
        let Offer {
            ts,
            src,
            dst,
            bytes,
            fresh,
            searched,
        } = *offer;
        let next = bytes.len() + 1;
        if sip::is_unchanged(bytes, searched) {
            return Taken::More {
                needed: next,
                searched: bytes.len(),
            };
        }
        match frame(bytes) {
            Framing::Incomplete => match sip::announced_len(bytes) {
                Some(needed) => Taken::More { needed, searched: 0 },
                None => Taken::More {
                    needed: next,
                    searched: bytes.len(),
                },
            },
            Framing::Keepalive(len) if fresh => Taken::Skipped(len),
            Framing::Keepalive(len) => Taken::Unit(len),
            Framing::Garbage(len) => {
                if !fresh {
                    self.counters.losses.count(Loss::TcpMalformed);
                }
                Taken::Lost(len)
            }
            Framing::Message(len) => {
                match Message::parse(bytes.get(..len).unwrap_or(bytes)) {
                    Ok((message, _)) => self.message(ts, src, dst, &message),
                    Err(why) => {
                        self.counters.malformed(why);
                        self.counters.losses.count(Loss::TcpMalformed);
                    }
                }
                Taken::Unit(len)
            }
        }
    }

    /// Takes the payload of a message of WebSocket, which is one of SIP (RFC 7118 section 5) or a keep-alive (section 6).
    pub fn websocket(&self, offer: &Offer<'_>, payload: &[u8]) {
        if payload.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            return;
        }
        match Message::parse(payload) {
            Ok((message, _)) => self.message(offer.ts, offer.src, offer.dst, &message),
            Err(why) => {
                self.counters.malformed(why);
                self.counters.losses.count(Loss::TcpMalformed);
            }
        }
    }

    fn message(&self, ts: Timestamp, src: Endpoint, dst: Endpoint, message: &Message<'_>) {
        self.counters.message(message);
        for _ in 0..self.shared.transactions.record(ts, src, dst, message) {
            self.counters.losses.count(Loss::TransactionEvicted);
        }
        if message.cseq.method == Method::Register {
            for _ in 0..self.shared.registrations.record(ts, src, dst, message) {
                self.counters.losses.count(Loss::RegistrationEvicted);
            }
        } else if let Some(followed) = self.shared.calls.record(ts, src, dst, message) {
            self.media(ts, (src, dst), message, &followed);
        }
    }

    /// Publishes where the call wants its media, and takes back what ended. In this order, as the message that ended
    /// the call may have come before the one that announces.
    fn media(&self, ts: Timestamp, (src, dst): (Endpoint, Endpoint), message: &Message<'_>, followed: &Followed) {
        let losses = &self.counters.losses;
        let announcing = Announcing {
            ts,
            src,
            dst,
            call_id: &followed.call_id,
            ended_at: followed.ended_at,
            nat: self.nat,
        };
        announcing.read(message, &self.shared, losses);
        if let Some(ended_at) = followed.ended_at {
            self.shared.endpoints.release(&followed.call_id, ended_at, losses);
        }
        for call_id in &followed.cut_off {
            self.shared.endpoints.release(call_id, ts, losses);
        }
        for _ in 0..followed.lost {
            losses.count(Loss::CallEvicted);
        }
    }
}
