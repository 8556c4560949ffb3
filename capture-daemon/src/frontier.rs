//! How far a table has come in memory that was set aside for it at the start, for whoever makes its next pages ready.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of a huge page of x86-64 and of aarch64 with 4 KiB pages: what the kernel zeroes at once.
pub const HUGE_PAGE: usize = 2 << 20;

/// Bytes of the smallest page.
const PAGE: usize = 4096;

/// Where a table's memory lies, and how much of it is in use.
#[derive(Debug)]
pub struct Frontier {
    /// Its whole pages. Addresses and no pointers: nothing is read or written through them.
    pages: Range<usize>,
    used: AtomicUsize,
}

impl Frontier {
    /// Of a list that is empty and has all its room.
    pub fn of<T>(list: &Vec<T>) -> Self {
        let begin = list.as_ptr().addr();
        let end = begin + list.capacity() * size_of::<T>();
        Self {
            pages: begin.next_multiple_of(PAGE)..end / PAGE * PAGE,
            used: AtomicUsize::new(0),
        }
    }

    /// All of them.
    pub fn all(&self) -> Range<usize> {
        self.pages.clone()
    }

    /// So many bytes are in use.
    #[inline]
    pub fn advance(&self, used: usize) {
        self.used.store(used, Ordering::Relaxed);
    }

    /// The pages to be made ready where all before `ready` are: to the end of the huge page behind the one in use; none as long as nothing
    /// is.
    pub fn next(&self, ready: usize) -> Range<usize> {
        let used = self.used.load(Ordering::Relaxed);
        let start = ready.max(self.pages.start);
        if used == 0 {
            return start..start;
        }
        let in_use = self.pages.start.saturating_add(used);
        let end = (in_use / HUGE_PAGE + 2).saturating_mul(HUGE_PAGE).min(self.pages.end);
        start..end.max(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_huge_page_is_ready_behind_the_one_in_use() {
        let list: Vec<u64> = Vec::with_capacity(10 << 20);
        let frontier = Frontier::of(&list);
        let begin = list.as_ptr().addr();
        let end = begin + list.capacity() * size_of::<u64>();
        assert!(frontier.next(0).is_empty(), "nothing as long as nothing is in use");
        let mut ready = 0;
        for used in (512..list.capacity() * size_of::<u64>()).step_by(100_000) {
            frontier.advance(used);
            let next = frontier.next(ready);
            assert!(next.start.is_multiple_of(PAGE) && next.end.is_multiple_of(PAGE));
            assert!(next.is_empty() || begin <= next.start && next.end <= end);
            assert!(
                ready == 0 || next.start == ready,
                "no page is left out, and none comes twice"
            );
            ready = next.end;
            let ahead = ready.saturating_sub(begin + used);
            assert!(ahead <= 2 * HUGE_PAGE + PAGE && (ahead >= HUGE_PAGE - PAGE || ready > end - PAGE));
        }
        assert!(ready > end - PAGE, "to the end");
    }

    #[test]
    fn a_list_that_has_outgrown_its_memory_asks_for_none() {
        let list: Vec<u8> = Vec::with_capacity(100);
        let frontier = Frontier::of(&list);
        assert!(frontier.next(0).is_empty());
        frontier.advance(usize::MAX);
        assert!(frontier.next(0).is_empty());
    }
}
