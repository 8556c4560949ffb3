//! The kernel program's streams: which there are in a hash, read in batches, and their accounts in memory that program and daemon
//! share. What is over is taken out.

use std::fmt;
use std::sync::atomic::Ordering;

use aya::Ebpf;
use aya::maps::{Map, MapData, MapError, Stack};
use capture_common::rtp::slot::{self, Line};
use capture_common::rtp::{Cold, Owner, Slot, StreamKey, StreamState};

use super::error::{OpenError, ReadError};
use super::object;
use crate::xsk::bpf_map::HashMap;
use crate::xsk::shared_array::SharedArray;

/// The streams of the kernel program.
pub struct MeasuredMap {
    /// The number of each stream's slot.
    map: HashMap<StreamKey, u32>,
    slots: SharedArray<Slot>,
    rest: SharedArray<Cold>,
    index: SharedArray<Line>,
    /// Slots that were given back.
    freed: Stack<MapData, u32>,
    capacity: u32,
}

impl fmt::Debug for MeasuredMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeasuredMap")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

/// Streams out of the map, as they stood one after the other.
pub struct Chunk {
    keys: Vec<StreamKey>,
    numbers: Vec<u32>,
    states: Vec<StreamState>,
    len: usize,
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk").field("len", &self.len).finish_non_exhaustive()
    }
}

impl Chunk {
    /// Room for so many streams: more than any bucket of the map has.
    pub fn with_room(streams: usize) -> Self {
        Self {
            keys: vec![bytemuck::Zeroable::zeroed(); streams],
            numbers: vec![0; streams],
            states: Vec::with_capacity(streams),
            len: 0,
        }
    }

    /// The streams.
    pub fn iter(&self) -> impl Iterator<Item = (&StreamKey, &StreamState)> {
        self.keys.iter().zip(&self.states).take(self.len)
    }
}

impl MeasuredMap {
    /// Takes the maps out of the loaded object, which were given this room.
    pub(super) fn new(ebpf: &mut Ebpf, capacity: u32) -> Result<Self, OpenError> {
        let refused = |name| move |source| OpenError::map(name, MapError::IoError(source));
        let Some(Map::HashMap(data)) = ebpf.take_map(object::STREAMS) else {
            return Err(OpenError::NoMap(object::STREAMS));
        };
        let map = HashMap::new(data).map_err(refused(object::STREAMS))?;
        let freed = ebpf.take_map(object::FREED).ok_or(OpenError::NoMap(object::FREED))?;
        let freed = freed
            .try_into()
            .map_err(|source| OpenError::map(object::FREED, source))?;
        let data = |name: &'static str| match ebpf.map(name) {
            Some(Map::Array(data)) => Ok(data),
            _ => Err(OpenError::NoMap(name)),
        };
        Ok(Self {
            map,
            slots: SharedArray::new(data(object::SLOTS)?).map_err(refused(object::SLOTS))?,
            rest: SharedArray::new(data(object::REST)?).map_err(refused(object::REST))?,
            index: SharedArray::new(data(object::INDEX)?).map_err(refused(object::INDEX))?,
            freed,
            capacity,
        })
    }

    /// Streams there is room for.
    pub const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Reads the next streams from `cursor` (`None` at first), which moves on; `None` at the end.
    ///
    /// # Errors
    /// The errno of bpf(2).
    pub fn read(&self, cursor: &mut Option<u32>, chunk: &mut Chunk) -> Result<(), ReadError> {
        chunk.len = 0;
        chunk.states.clear();
        (chunk.len, *cursor) = self
            .map
            .read(*cursor, &mut chunk.keys, &mut chunk.numbers)
            .map_err(ReadError::Streams)?;
        let numbers = chunk.numbers.iter().take(chunk.len);
        chunk.states.extend(numbers.filter_map(|number| self.state(*number)));
        Ok(())
    }

    /// The account in a slot; there is one for every number in the map.
    fn state(&self, number: u32) -> Option<StreamState> {
        Some(StreamState {
            hot: self.slots.read(number)?.hot,
            cold: self.rest.read(number)?,
        })
    }

    /// Takes a stream out, as it stood then; `None` where it is gone.
    ///
    /// # Errors
    /// The errno of bpf(2).
    pub fn take(&mut self, key: &StreamKey) -> Result<Option<StreamState>, ReadError> {
        let Some(number) = self.map.take(key).map_err(ReadError::Streams)? else {
            return Ok(None);
        };
        // From here on the stream's packets find no slot, and begin anew.
        self.disown(number);
        self.forget(key, number);
        let state = self.state(number);
        // There is room for as many as there are slots.
        self.freed.push(number, 0).map_err(ReadError::Map)?;
        Ok(state)
    }

    /// Has packets that find the slot by the index see that it is not their stream's.
    fn disown(&self, number: u32) {
        // The owner stands in front.
        let owner = self.slots.words(number).into_iter().flatten().take(2);
        owner.for_each(|word| word.store(0, Ordering::Release));
    }

    /// Takes the stream out of the index, so that there is room for another.
    fn forget(&self, key: &StreamKey, number: u32) {
        let owner = Owner::of_stream(key);
        if !owner.is_some() {
            return;
        }
        let hash = owner.hash();
        let Some(entry) = slot::entry(hash, number) else {
            return;
        };
        let line = self.index.words(slot::line(hash, self.index.count() - 1));
        for word in line.into_iter().flatten() {
            // Meanwhile the program may put others there.
            let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| without(word, entry));
        }
    }
}

/// The two entries of a word of the index less this one; `None` where it is neither of them.
fn without(word: u64, entry: u32) -> Option<u64> {
    let entries: [u32; 2] = bytemuck::cast(word);
    let left = entries.map(|known| if known == entry { 0 } else { known });
    (left != entries).then(|| bytemuck::cast(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_leaves_its_word_and_the_other_stays() {
        let word: u64 = bytemuck::cast([7_u32, 9]);
        let words = [7, 9, 8].map(|entry| without(word, entry).map(bytemuck::cast::<u64, [u32; 2]>));
        assert_eq!(words, [Some([0, 9]), Some([7, 0]), None]);
    }
}
