//! The way an INVITE took through proxies: how many hops of it were seen, and whether it came back.

use super::facts::{Fact, Smallest};
use crate::net::Endpoint;
use crate::text::fingerprint;

/// Sights that are kept; those nearest to the caller.
const SIGHTS: usize = 16;

/// Where the INVITEs that set a call up were seen, by number of Via values, hop and Request-URI. A retransmission is the
/// same sight again; a hop further on has more Via values.
#[derive(Clone, Debug, Default)]
pub struct Path {
    sights: Smallest<(u16, u32, u32), (), SIGHTS>,
    /// A proxy said that it has seen the request before (482) or that it has gone too far (483).
    refused: bool,
}

impl Path {
    /// Takes in one sight.
    pub fn note(&mut self, vias: usize, src: Endpoint, dst: Endpoint, uri: &[u8]) {
        let vias = u16::try_from(vias).unwrap_or(u16::MAX);
        let hop = fingerprint((src, dst)) as u32;
        self.sights.entry((vias, hop, fingerprint(uri) as u32));
    }

    /// Takes in the code of a response.
    pub fn response(&mut self, code: u16) {
        self.refused |= matches!(code, 482 | 483);
    }

    /// Hops on which the INVITE was seen, one after the other: branches of a fork are as far from the caller and count once.
    pub fn hops(&self) -> usize {
        let mut vias: Vec<u16> = self.sights.iter().map(|((vias, _, _), ())| *vias).collect();
        vias.dedup();
        vias.len()
    }

    /// Whether it went over one hop again with the same Request-URI (RFC 3261 section 16.3), or was refused for it.
    pub fn is_loop(&self) -> bool {
        self.refused || self.comes_back(|one, other| one == other)
    }

    /// Whether it went over one hop again with another Request-URI: a way that is meant, as of a call that is diverted.
    pub fn is_spiral(&self) -> bool {
        self.comes_back(|one, other| one != other)
    }

    fn comes_back(&self, of_uris: impl Fn(u32, u32) -> bool) -> bool {
        let sights = || self.sights.iter().map(|(sight, ())| *sight);
        sights().any(|(vias, hop, uri)| {
            sights().any(|(further, again, then)| vias < further && hop == again && of_uris(uri, then))
        })
    }
}

impl Fact for Path {
    fn join(&mut self, other: Self) {
        let Self { sights, refused } = other;
        self.sights.join(sights);
        self.refused.join(refused);
    }
}
