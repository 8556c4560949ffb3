//! What bpf(2) can do with a hash map and aya does not offer: reading many entries by one call, and taking one out as it
//! stands.

#![expect(unsafe_code, reason = "bpf(2) is called with addresses")]

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd};

use aya::maps::MapData;
use bytemuck::Pod;

/// enum bpf_cmd, include/uapi/linux/bpf.h.
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const LOOKUP_AND_DELETE_ELEM: libc::c_long = 21;
const LOOKUP_BATCH: libc::c_long = 24;

/// A hash map of the kernel whose keys and values have these sizes.
pub struct HashMap<K, V> {
    data: MapData,
    entries: PhantomData<(K, V)>,
}

impl<K, V> fmt::Debug for HashMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashMap").field("data", &self.data).finish()
    }
}

/// enum bpf_map_type.
const HASH: u32 = 1;
const ARRAY: u32 = 2;

/// The beginning of struct bpf_map_info.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Info {
    kind: u32,
    id: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
}

impl Info {
    /// Of a map.
    fn of(data: &MapData) -> io::Result<Self> {
        let mut info = Self::default();
        let mut attr = InfoAttr {
            fd: fd(data),
            info_len: size_of::<Self>() as u32,
            info: address(&raw mut info),
        };
        // SAFETY: the kernel writes at most `info_len` bytes of its structure to `info`, which outlives the call; they are
        // plain numbers.
        unsafe { bpf(OBJ_GET_INFO_BY_FD, &raw mut attr) }?;
        Ok(info)
    }
}

/// Number and size of the entries of an array.
///
/// # Errors
/// The errno of bpf(2), and EINVAL where it is no array.
pub(super) fn shape_of_array(data: &MapData) -> io::Result<(u32, usize)> {
    let info = Info::of(data)?;
    if info.kind == ARRAY {
        Ok((info.max_entries, info.value_size as usize))
    } else {
        Err(io::Error::from_raw_os_error(libc::EINVAL))
    }
}

/// union bpf_attr for questions about an object.
#[repr(C)]
struct InfoAttr {
    fd: u32,
    info_len: u32,
    info: u64,
}

/// union bpf_attr for operations on batches.
#[repr(C)]
struct BatchAttr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// union bpf_attr for operations on elements.
#[repr(C)]
struct ElementAttr {
    map_fd: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

impl<K: Pod, V: Pod> HashMap<K, V> {
    /// Takes a map that was made.
    ///
    /// # Errors
    /// The errno of bpf(2), and EINVAL where it is no hash or its keys or values have other sizes.
    pub fn new(data: MapData) -> io::Result<Self> {
        let map = Self {
            data,
            entries: PhantomData,
        };
        let info = Info::of(&map.data)?;
        let sizes = (info.key_size as usize, info.value_size as usize);
        if info.kind == HASH && sizes == (size_of::<K>(), size_of::<V>()) {
            Ok(map)
        } else {
            Err(io::Error::from_raw_os_error(libc::EINVAL))
        }
    }

    /// Reads entries, as many as both slices have room for at most, from the cursor of the call before (`None` at first);
    /// returns how many, and the cursor for the next call, if there is more.
    ///
    /// # Errors
    /// The errno of bpf(2); ENOSPC where one bucket of the map has more entries than there is room for.
    pub fn read(&self, cursor: Option<u32>, keys: &mut [K], values: &mut [V]) -> io::Result<(usize, Option<u32>)> {
        let mut from = cursor.unwrap_or_default();
        let mut next = 0u32;
        let mut attr = BatchAttr {
            in_batch: if cursor.is_some() { address(&raw mut from) } else { 0 },
            out_batch: address(&raw mut next),
            keys: address(keys.as_mut_ptr()),
            values: address(values.as_mut_ptr()),
            count: u32::try_from(keys.len().min(values.len())).unwrap_or(u32::MAX),
            map_fd: self.fd(),
            elem_flags: 0,
            flags: 0,
        };
        // SAFETY: the kernel reads 4 bytes at `in_batch`, writes 4 at `out_batch`, and at most `count` keys and values of the
        // sizes that were found to be those of K and V (__htab_map_lookup_and_delete_batch, kernel/bpf/hashtab.c); all
        // of it outlives the call, and any bytes are a valid Pod.
        let result = unsafe { bpf(LOOKUP_BATCH, &raw mut attr) };
        let count = attr.count as usize;
        match result {
            Ok(()) => Ok((count, Some(next))),
            // The end; what was found until then is there.
            Err(end) if end.raw_os_error() == Some(libc::ENOENT) => Ok((count, None)),
            Err(error) => Err(error),
        }
    }

    /// Takes an entry out, as it stood then; `None` where there is none.
    ///
    /// # Errors
    /// The errno of bpf(2).
    pub fn take(&self, key: &K) -> io::Result<Option<V>> {
        let mut key = *key;
        let mut value = V::zeroed();
        let mut attr = ElementAttr {
            map_fd: self.fd(),
            pad: 0,
            key: address(&raw mut key),
            value: address(&raw mut value),
            flags: 0,
        };
        // SAFETY: the kernel reads one key and writes one value (map_lookup_and_delete_elem, kernel/bpf/syscall.c), of the
        // sizes that were found to be those of K and V; both outlive the call, and any bytes are a valid Pod.
        match unsafe { bpf(LOOKUP_AND_DELETE_ELEM, &raw mut attr) } {
            Ok(()) => Ok(Some(value)),
            Err(gone) if gone.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn fd(&self) -> u32 {
        fd(&self.data)
    }
}

fn fd(data: &MapData) -> u32 {
    data.fd().as_fd().as_raw_fd().cast_unsigned()
}

/// Where something lies, for the kernel.
fn address<T>(place: *mut T) -> u64 {
    place.expose_provenance() as u64
}

/// bpf(2).
///
/// # Safety
/// `attr` is what the command asks for, and the addresses in it are good for what the command does with them.
unsafe fn bpf<A>(command: libc::c_long, attr: *mut A) -> io::Result<()> {
    // SAFETY: as the caller promises.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<A>()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
