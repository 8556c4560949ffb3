//! From SIP messages to calls, registrations and the places where media is expected.

use std::sync::Arc;

use super::{EngineCounters, Shared};
use crate::calls::Followed;
use crate::media::Format;
use crate::net::{Endpoint, Offer, Taken};
use crate::outcome::{Loss, Losses, Outcome};
use crate::sip::sdp::{self, Media};
use crate::sip::{self, Framing, Message, Method, StartLine, frame};
use crate::time::Timestamp;

/// Formats of one media line that are remembered: browsers offer some forty for video.
const MAX_FORMATS: usize = 64;
/// Letters of an encoding name that are remembered; the longest registered has some twenty.
const MAX_ENCODING: usize = 32;
/// Port pairs of one media line (RFC 8866 section 5.14) that are remembered.
const MAX_PORTS: u16 = 8;

/// The SIP side of an engine.
#[derive(Debug)]
pub struct Signaling {
    shared: Arc<Shared>,
    counters: Arc<EngineCounters>,
}

impl Signaling {
    /// For one engine with its counters.
    pub fn new(shared: Arc<Shared>, counters: Arc<EngineCounters>) -> Self {
        Self { shared, counters }
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
            self.media(ts, message, &followed);
        }
    }

    /// Publishes where the call wants its media, and takes back what ended. In this order, as the message that ended
    /// the call may have come before the one that announces.
    fn media(&self, ts: Timestamp, message: &Message<'_>, followed: &Followed) {
        let losses = &self.counters.losses;
        // A description in a refusal says what would be accepted (RFC 3261 section 21.4.26), not where.
        let refuses = matches!(message.start, StartLine::Response { code: 300.., .. });
        if let Some(description) = message.sdp().filter(|_| !refuses) {
            self.announce(ts, &followed.call_id, description);
        }
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

    fn announce(&self, ts: Timestamp, call_id: &Arc<str>, description: &[u8]) {
        let losses = &self.counters.losses;
        let Ok(session) = sdp::parse(description) else {
            losses.count(Loss::SdpMalformed);
            return;
        };
        for media in session.media.iter().filter(|media| media.is_rtp()) {
            let formats = formats(media);
            for endpoint in endpoints(media) {
                self.shared.endpoints.announce(endpoint, call_id, ts, &formats, losses);
            }
        }
    }
}

/// Where a media line wants its packets. Port 0 refuses the media, and 0.0.0.0 is the hold of RFC 2543: nowhere.
fn endpoints(media: &Media<'_>) -> impl Iterator<Item = Endpoint> {
    let address = media.connection.filter(|address| !address.is_unspecified());
    let ports = (0..media.port_count.min(MAX_PORTS))
        .filter_map(|pair| media.port.checked_add(pair * 2))
        .filter(|port| *port != 0);
    let port_is_given = media.port != 0;
    address
        .filter(|_| port_is_given)
        .into_iter()
        .flat_map(move |address| ports.clone().map(move |port| Endpoint::new(address, port)))
}

fn formats(media: &Media<'_>) -> Arc<[Format]> {
    let format = |map: &sdp::RtpMap<'_>| Format {
        payload_type: map.payload_type,
        encoding: String::from_utf8_lossy(map.encoding.get(..MAX_ENCODING).unwrap_or(map.encoding)).into(),
        clock_rate: map.clock_rate,
    };
    media.maps.iter().take(MAX_FORMATS).map(format).collect()
}
