//! Memory asked for before it is needed, and not waited for: a read that is on its way keeps what stands behind it from being done with, and
//! a processor remembers some hundred instructions; a prefetch is done with when it has been asked.
#![expect(unsafe_code, reason = "a prefetch is an instruction of its own")]

/// Bytes that come from memory at once.
pub const CACHE_LINE: usize = 64;

/// Has `bytes` come from memory.
#[inline(always)]
pub fn fetch(bytes: &[u8]) {
    bytes.chunks(CACHE_LINE).for_each(line);
}

/// Has the first `N` of `bytes` come from memory, no more than a cache line has, however they lie and whether there are so many.
#[inline(always)]
pub fn fetch_first<const N: usize>(bytes: &[u8]) {
    const { assert!(N > 0 && N <= CACHE_LINE, "in two lines at most") };
    line_at(bytes.as_ptr());
    line_at(bytes.as_ptr().wrapping_add(N - 1));
}

/// Has an element come from memory that lies in one cache line, whether it is there or not.
#[inline(always)]
pub fn fetch_element<T>(elements: &[T], at: usize) {
    const { assert!(size_of::<T>() <= CACHE_LINE, "in a line") };
    line_at(elements.as_ptr().wrapping_add(at).cast());
}

/// Has all of a value come from memory, however it lies.
#[inline(always)]
pub fn fetch_value<T>(value: &T) {
    const { assert!(size_of::<T>() > 0, "nothing to fetch") };
    let begin = std::ptr::from_ref(value).cast::<u8>();
    for at in (0..size_of::<T>()).step_by(CACHE_LINE) {
        line_at(begin.wrapping_add(at));
    }
    if align_of::<T>() < CACHE_LINE && size_of::<T>() > 1 {
        line_at(begin.wrapping_add(size_of::<T>() - 1));
    }
}

#[inline(always)]
fn line(bytes: &[u8]) {
    line_at(bytes.as_ptr());
}

/// Has the cache line come from memory that `at` points into.
#[inline(always)]
pub(super) fn line_at(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: it reads nothing, and no address is one it would fault at.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
