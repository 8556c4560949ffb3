//! The kernel program's map of streams: read in batches, and what is over taken out.

use std::fmt;

use aya::Ebpf;
use aya::maps::{Map, MapError};
use capture_common::rtp::{StreamKey, StreamState};

use super::error::{OpenError, ReadError};
use super::object;
use crate::xsk::bpf_map::HashMap;

/// The map.
#[derive(Debug)]
pub struct MeasuredMap {
    map: HashMap<StreamKey, StreamState>,
    capacity: u32,
}

/// Streams out of the map, as they stood one after the other.
pub struct Chunk {
    keys: Vec<StreamKey>,
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
            states: vec![bytemuck::Zeroable::zeroed(); streams],
            len: 0,
        }
    }

    /// The streams.
    pub fn iter(&self) -> impl Iterator<Item = (&StreamKey, &StreamState)> {
        self.keys.iter().zip(&self.states).take(self.len)
    }
}

impl MeasuredMap {
    /// Takes the map out of the loaded object, which was given this room.
    pub(super) fn new(ebpf: &mut Ebpf, capacity: u32) -> Result<Self, OpenError> {
        let Some(Map::HashMap(data)) = ebpf.take_map(object::STREAMS) else {
            return Err(OpenError::NoMap(object::STREAMS));
        };
        let map = HashMap::new(data).map_err(|source| OpenError::map(object::STREAMS, MapError::IoError(source)))?;
        Ok(Self { map, capacity })
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
        (chunk.len, *cursor) = self
            .map
            .read(*cursor, &mut chunk.keys, &mut chunk.states)
            .map_err(ReadError::Streams)?;
        Ok(())
    }

    /// Takes a stream out, as it stood then; `None` where it is gone.
    ///
    /// # Errors
    /// The errno of bpf(2).
    pub fn take(&self, key: &StreamKey) -> Result<Option<StreamState>, ReadError> {
        self.map.take(key).map_err(ReadError::Streams)
    }
}
