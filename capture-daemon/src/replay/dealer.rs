//! Which of several engines a frame is for: by its innermost addresses, without ports, as not all pieces of a datagram have them.

use std::collections::HashMap;

use crate::frame::Frame;
use crate::net::{self, Datagram, Decoded, Endpoint, Fragment};

/// Fragmented datagrams that are remembered; those before the latest half of them are forgotten first.
const REMEMBERED: usize = 8192;

/// Deals frames out.
#[derive(Debug, Default)]
pub struct Dealer {
    /// Where pieces of a datagram went: what is in a tunnel its first piece alone shows.
    went: HashMap<Datagram, usize>,
    /// The same of earlier ones.
    before: HashMap<Datagram, usize>,
}

impl Dealer {
    /// Which of so many engines this frame is for, and whether all are to take in what they have first: pieces of its datagram went
    /// to another one, and who takes in the last goes on with the whole.
    pub fn deal(&mut self, frame: &Frame<'_>, engines: usize) -> (usize, bool) {
        if let Some(packet) = net::datagram(frame.link, frame.bytes) {
            return (engine((packet.src, packet.dst), engines), false);
        }
        match net::decode(frame.link, frame.bytes) {
            Ok(Decoded::Packet(packet)) => (engine((packet.src, packet.dst), engines), false),
            Ok(Decoded::Fragment(piece)) => self.piece(&piece, engines),
            Err(_) => (engine(Default::default(), engines), false),
        }
    }

    fn piece(&mut self, piece: &Fragment<'_>, engines: usize) -> (usize, bool) {
        let datagram = piece.datagram;
        let known = self.went.get(&datagram).or_else(|| self.before.get(&datagram)).copied();
        let by_outer = || engine((datagram.src, datagram.dst), engines);
        let chosen = match net::ends_in_first(piece) {
            Some(ends) => engine(ends, engines),
            None => known.unwrap_or_else(by_outer),
        };
        if self.went.len() >= REMEMBERED / 2 {
            self.before = std::mem::take(&mut self.went);
        }
        self.went.insert(datagram, chosen);
        (chosen, known.is_some_and(|known| known != chosen))
    }
}

fn engine((src, dst): (Endpoint, Endpoint), engines: usize) -> usize {
    let number = |end: Endpoint| {
        let octets = u128::from_be_bytes(end.octets());
        (octets >> 64) as u64 ^ octets as u64
    };
    // The finalizer of splitmix64 by Steele, Lea and Flood, of which the high bits count.
    let mut z = number(src).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number(dst);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z >> 32).wrapping_mul(engines as u64) >> 32) as usize
}
