//! Frames in batches. At 105,000 streams every packet's stream is out of the caches, and waiting for memory costs more than
//! all that is computed; so what a batch will touch is touched for all of it first, where one look need not wait for another,
//! and then it is taken in frame by frame as ever.

use super::Engine;
use super::counters::Tally;
use super::portion::End;
use crate::frame::{Frame, Keep};
use crate::media::{Print, rtp};
use crate::net::{self, Endpoint, Packet, Transport};
use crate::outcome::Outcome;

/// Frames looked at ahead: the memory of that many streams stays in the first-level cache until it is their turn.
const AHEAD: usize = 64;

/// A plain RTP packet, taken apart.
#[derive(Clone, Copy)]
struct Plain<'a> {
    src: Endpoint,
    dst: Endpoint,
    packet: rtp::Packet<'a>,
    print: Print,
}

impl Engine {
    /// Takes in frames as [`frame`](Self::frame) does, and hands each to `taken` when it is counted, with how much of it is to be
    /// kept.
    pub fn frames(&mut self, frames: &[Frame<'_>], mut taken: impl FnMut(&Frame<'_>, Keep)) {
        for frames in frames.chunks(AHEAD) {
            if let [frame] = frames {
                // Alone there is nothing to look at ahead.
                let kept = self.frame(frame);
                taken(frame, kept);
                continue;
            }
            let mut ahead = [None; AHEAD];
            for (plain, frame) in ahead.iter_mut().zip(frames) {
                *plain = self.plain(frame);
            }
            self.streams.touch(ahead.iter().flatten().map(|plain| plain.print));
            let mut rtp = Tally::default();
            let mut kept = [Keep::Nothing; AHEAD];
            for ((frame, plain), kept) in frames.iter().zip(&ahead).zip(&mut kept) {
                *kept = match plain {
                    // A frame before this one may have announced fax.
                    Some(plain) if !self.shared.endpoints.may_be_fax(plain.src, plain.dst) => {
                        self.rtp(frame, plain, &mut rtp)
                    }
                    _ => self.frame(frame),
                };
            }
            // Before they are handed on: whoever reads both finds no more handed on than were taken in.
            self.counters.add(Outcome::Rtp, &rtp);
            for (frame, kept) in frames.iter().zip(kept) {
                taken(frame, kept);
            }
        }
    }

    /// The frame as RTP, where it is that and nothing before it in the batch can make it something else but fax.
    #[inline(always)]
    fn plain<'a>(&self, frame: &Frame<'a>) -> Option<Plain<'a>> {
        let Packet {
            src,
            dst,
            transport,
            missing,
        } = net::outer_datagram(frame.link, frame.bytes)?;
        let Transport::Udp(payload) = transport else {
            return None;
        };
        if self.looked_into.contains(dst.port()) || self.looked_into.contains(src.port()) {
            return None;
        }
        let rtp::Kind::Rtp(packet) = rtp::read_cut(payload, missing) else {
            return None;
        };
        Some(Plain {
            src,
            dst,
            packet,
            print: self.streams.print(src, dst, packet.ssrc),
        })
    }

    #[inline(always)]
    fn rtp(&mut self, frame: &Frame<'_>, plain: &Plain<'_>, tally: &mut Tally) -> Keep {
        let Plain {
            src,
            dst,
            ref packet,
            print,
        } = *plain;
        let (endpoints, losses) = (&self.shared.endpoints, &self.counters.losses);
        let heard = self
            .streams
            .known_packet(frame.ts, src, dst, print, packet, endpoints, losses);
        if heard.outcome == Outcome::Rtp {
            tally.take(frame);
        } else {
            self.counters.count(frame, heard.outcome);
        }
        End::of_rtp(heard, packet.payload, self.level).portion.of(frame.bytes)
    }
}
