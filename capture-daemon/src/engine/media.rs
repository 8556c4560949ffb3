//! What a datagram that is no SIP is: RTP or RTCP, fax, a handshake, STUN or TURN, and what TURN has inside.

use capture_common::Level;

use super::portion::{End, Portion};
use super::turn::Relaying;
use super::{EngineCounters, Shared};
use crate::media::dtls::{self, Handshake};
use crate::media::rtcp::Datagram;
use crate::media::{Streams, rtp};
use crate::outcome::Outcome;
use crate::time::Timestamp;
use crate::turn::{Path, Via};

/// The parts of an engine that media concerns, while one datagram or one stretch of a TCP direction is read.
#[derive(Debug)]
pub struct Media<'a> {
    pub(super) streams: &'a mut Streams,
    pub(super) relaying: &'a mut Relaying,
    pub(super) shared: &'a Shared,
    pub(super) counters: &'a EngineCounters,
}

impl Media<'_> {
    /// Takes a datagram, of which the capture cut off `missing` bytes. RFC 7983 section 7 tells what it is by the first byte; channel numbers go up to 0x7fff in RFC
    /// 5766.
    pub fn datagram<'d>(&mut self, ts: Timestamp, path: Path, payload: &'d [u8], missing: usize) -> End<'d> {
        let Path { src, dst, .. } = path;
        let endpoints = &self.shared.endpoints;
        if endpoints.may_be_fax([src.port(), dst.port()])
            && self
                .shared
                .faxes
                .take(ts, src, dst, payload, endpoints, &self.counters.losses)
        {
            return self.beside_rtp(ts, path, Outcome::T38);
        }
        let of_turn = match payload.first() {
            Some(0..=3) => self.stun(ts, path, payload),
            Some(64..=127) => self.channel(ts, path, payload),
            _ => None,
        };
        match of_turn {
            Some(end) => end,
            None => self.rtp(ts, path, None, payload, missing),
        }
    }

    /// Takes RTP or RTCP, as it is or as it was wrapped `via` TURN.
    pub(super) fn rtp<'d>(
        &mut self,
        ts: Timestamp,
        path: Path,
        via: Option<Via>,
        payload: &'d [u8],
        missing: usize,
    ) -> End<'d> {
        let Path { src, dst, .. } = path;
        let (endpoints, losses) = (&self.shared.endpoints, &self.counters.losses);
        let packet = match rtp::read_cut(payload, missing) {
            rtp::Kind::Rtp(packet) => packet,
            rtp::Kind::Rtcp => return self.rtcp(ts, path, payload).into(),
            rtp::Kind::Other => {
                return match dtls::read(payload) {
                    Some(Handshake::Dtls) => self.beside_rtp(ts, path, Outcome::Dtls),
                    Some(Handshake::Zrtp) => self.beside_rtp(ts, path, Outcome::Zrtp),
                    None => Outcome::OtherUdp.into(),
                };
            }
        };
        let heard = match via {
            None => self.streams.packet(ts, src, dst, &packet, endpoints, losses),
            Some(via) => self.streams.wrapped_packet(ts, path, via, &packet, endpoints, losses),
        };
        End::of_rtp(heard, packet.payload, self.shared.rules.default_level())
    }

    /// The end of what uses media's endpoints and is no RTP: nothing is cut off, but where no media is wanted, neither is this.
    #[cold]
    fn beside_rtp<'d>(&self, ts: Timestamp, path: Path, outcome: Outcome) -> End<'d> {
        let Path { src, dst, .. } = path;
        let portion = match self.shared.endpoints.wanted_between([src, dst], ts) {
            Level::Signaling => Portion::Nothing,
            Level::Headers | Level::Full => Portion::All,
        };
        End { outcome, portion }
    }

    #[cold]
    fn rtcp(&self, ts: Timestamp, path: Path, payload: &[u8]) -> Outcome {
        let Path { src, dst, .. } = path;
        let datagram = Datagram { ts, src, dst, payload };
        let Shared { rtcp, endpoints, .. } = self.shared;
        rtcp.take(&datagram, endpoints, &self.counters.rtcp, &self.counters.losses);
        Outcome::Rtcp
    }
}
