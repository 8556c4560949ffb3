//! What is built into the allocator (`.cargo/config.toml`), which the thread siphon-memory and the tables rely on.

use std::fs;
use std::ops::Range;

use capture_daemon::daemon::Reserve;
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Bytes of what calls take.
const PIECE: usize = 4096;

/// Where it lies.
fn place(list: &Vec<u8>) -> Range<usize> {
    let start = list.as_ptr().addr();
    start..start + list.capacity()
}

/// Both in one test, and in this order: what another gave back, at the same time or before, would be handed out as well.
#[test]
fn what_was_given_back_is_handed_out_before_anything_new_and_memory_comes_in_huge_pages() {
    let ahead: Vec<u8> = Vec::with_capacity(Reserve::AHEAD);
    let touched = place(&ahead);
    drop(ahead);
    // Some were there before.
    let pieces: Vec<Vec<u8>> = (0..Reserve::AHEAD / PIECE).map(|_| Vec::with_capacity(PIECE)).collect();
    let inside = pieces
        .iter()
        .filter(|piece| touched.contains(&place(piece).start))
        .count();
    assert!(inside > pieces.len() / 2, "{inside} of {}", pieces.len());

    // "hg" in proc_pid_smaps(5): "huge page advise flag".
    let list: Vec<u8> = Vec::with_capacity(Reserve::AHEAD);
    let within = place(&list).start + Reserve::AHEAD / 2;
    let maps = fs::read_to_string("/proc/self/smaps").unwrap();
    let mut lines = maps.lines();
    let holds = |line: &str| {
        let range = line.split(' ').next()?.split_once('-')?;
        let [start, end] = [range.0, range.1].map(|address| usize::from_str_radix(address, 16).ok());
        (start?..end?).contains(&within).then_some(())
    };
    lines.find(|line| holds(line).is_some()).unwrap();
    let flags = lines.find(|line| line.starts_with("VmFlags:")).unwrap();
    assert!(flags.split(' ').any(|flag| flag == "hg"), "{flags}");
}
