//! Pieces of a sequence of bytes that come in any order, of which the first to come wins.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "holds what anyone may send: a slice is asked for, never assumed"
)]

use std::collections::BTreeMap;

use crate::time::Timestamp;

/// What a piece costs beside its bytes: its place in the tree and the allocator's own. Without it, pieces of one byte
/// would take a hundred times the memory they are counted for.
const OVERHEAD: usize = 96;

/// Disjoint pieces by their position.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    by_start: BTreeMap<u64, Piece>,
    cost: usize,
}

/// Bytes with the time of the frame that brought them.
#[derive(Debug)]
pub(super) struct Piece {
    pub ts: Timestamp,
    pub bytes: Box<[u8]>,
}

/// What became of a piece that was put in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Placed {
    /// Bytes that were not there before.
    pub new: usize,
    /// Whether some were.
    pub met: bool,
    /// Whether those were others.
    pub differs: bool,
    /// Whether a piece from and to the same positions was there.
    pub again: bool,
}

impl Pieces {
    /// Puts `bytes` in at `at`; where there are some already, those stay.
    pub fn insert(&mut self, at: u64, ts: Timestamp, bytes: &[u8]) -> Placed {
        let mut placed = Placed::default();
        if bytes.is_empty() {
            return placed;
        }
        let end = at.saturating_add(bytes.len() as u64);
        let mut gaps = Vec::new();
        let mut next = at;
        let first = self.by_start.range(..=at).next_back().map_or(at, |(start, _)| *start);
        for (&start, piece) in self.by_start.range(first..end) {
            let piece_end = start.saturating_add(piece.bytes.len() as u64);
            if piece_end <= next {
                continue;
            }
            if start > next {
                gaps.push((next, start));
            }
            let (from, to) = (next.max(start), piece_end.min(end));
            placed.met = true;
            placed.again |= (start, piece_end) == (at, end);
            placed.differs |= part(bytes, at, from, to) != part(&piece.bytes, start, from, to);
            next = to;
        }
        if next < end {
            gaps.push((next, end));
        }
        for (from, to) in gaps {
            let bytes: Box<[u8]> = part(bytes, at, from, to).into();
            placed.new = placed.new.saturating_add(bytes.len());
            self.cost = self.cost.saturating_add(cost(&bytes));
            self.by_start.insert(from, Piece { ts, bytes });
        }
        placed
    }

    /// Takes the piece out that begins at `at`.
    pub fn take(&mut self, at: u64) -> Option<Piece> {
        let piece = self.by_start.remove(&at)?;
        self.cost = self.cost.saturating_sub(cost(&piece.bytes));
        Some(piece)
    }

    /// Position of the first piece.
    pub fn start(&self) -> Option<u64> {
        self.by_start.first_key_value().map(|(start, _)| *start)
    }

    /// Time of the first piece.
    pub fn first_ts(&self) -> Option<Timestamp> {
        self.by_start.first_key_value().map(|(_, piece)| piece.ts)
    }

    /// Position behind the last piece.
    pub fn end(&self) -> Option<u64> {
        let (start, piece) = self.by_start.last_key_value()?;
        Some(start.saturating_add(piece.bytes.len() as u64))
    }

    /// Memory that is taken up, in bytes.
    pub const fn cost(&self) -> usize {
        self.cost
    }
}

fn cost(bytes: &[u8]) -> usize {
    bytes.len().saturating_add(OVERHEAD)
}

/// The part of `bytes`, which begin at `at`, between two positions.
fn part(bytes: &[u8], at: u64, from: u64, to: u64) -> &[u8] {
    let offset = |position: u64| usize::try_from(position.saturating_sub(at)).unwrap_or(usize::MAX);
    bytes.get(offset(from)..offset(to)).unwrap_or_default()
}

#[cfg(test)]
#[path = "pieces_tests.rs"]
mod tests;
