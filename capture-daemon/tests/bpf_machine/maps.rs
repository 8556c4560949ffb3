//! The maps of the program: arrays by index, hashes by key, both with one CPU.

use std::collections::HashMap;

use super::memory::Memory;

/// Entries of a hash that have room here; no test needs more.
const ENTRIES: u32 = 64;

/// BPF_MAP_TYPE_ARRAY, _PERCPU_ARRAY and _ARRAY_OF_MAPS.
const ARRAYS: [u32; 3] = [2, 6, 12];

/// A map's address, as a program passes it to a helper.
pub fn handle(index: i32) -> u64 {
    0xf000_0000 | u64::from(index.cast_unsigned())
}

/// The map of a handle.
pub fn index(handle: u64) -> usize {
    assert_eq!(handle >> 28, 0xf, "{handle:#x} is no map");
    (handle & 0xffff) as usize
}

/// One map.
pub struct Map {
    /// Its name in the object.
    pub name: String,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    entries: u32,
    is_array: bool,
    /// Where the first value is.
    first: u64,
    /// Of a hash: the place of each key, and places that are free.
    places: HashMap<Vec<u8>, u32>,
    free: Vec<u32>,
}

impl Map {
    /// A map of the object, empty but for what the object puts into it.
    pub fn new(name: &str, map: &aya_obj::Map, memory: &mut Memory) -> Self {
        let is_array = ARRAYS.contains(&map.map_type());
        // Of data sections the object does not say how many they are.
        let entries = if is_array {
            map.max_entries().max(1)
        } else {
            map.max_entries().clamp(1, ENTRIES)
        };
        let value_size = map.value_size().max(map.data().len() as u32);
        let stride = value_size.next_multiple_of(8);
        let first = memory.add_values((stride * entries) as usize);
        memory.copy(first, map.data());
        Self {
            name: name.to_owned(),
            key_size: map.key_size(),
            value_size,
            entries,
            is_array,
            first,
            places: HashMap::new(),
            free: (0..entries).rev().collect(),
        }
    }

    /// Where the first value is.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Where the value of a key is.
    pub fn lookup(&mut self, key: &[u8]) -> Option<u64> {
        let place = if self.is_array {
            Some(u32::from_ne_bytes(key.try_into().ok()?)).filter(|index| *index < self.entries)
        } else {
            self.places.get(key).copied()
        }?;
        Some(self.first + u64::from(place * self.value_size.next_multiple_of(8)))
    }

    /// Writes a value; whether there was room for it.
    pub fn update(&mut self, memory: &mut Memory, key: &[u8], value: &[u8]) -> bool {
        assert_eq!(
            (key.len(), value.len()),
            (self.key_size as usize, self.value_size as usize),
            "{}",
            self.name
        );
        if !self.is_array && !self.places.contains_key(key) {
            let Some(place) = self.free.pop() else { return false };
            self.places.insert(key.to_vec(), place);
        }
        let Some(at) = self.lookup(key) else { return false };
        memory.copy(at, value);
        true
    }

    /// Empties a hash.
    pub fn clear(&mut self) {
        self.free.extend(self.places.drain().map(|(_, place)| place));
    }

    /// Takes an entry out of a hash; whether it was there.
    pub fn delete(&mut self, key: &[u8]) -> bool {
        self.places.remove(key).map(|place| self.free.push(place)).is_some()
    }
}
