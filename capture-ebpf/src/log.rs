//! The debug log: a line per frame, through aya-log.

use aya_ebpf::EbpfContext;
use aya_log_ebpf::debug;
use capture_common::{Fate, Verdict};

/// Logs what became of a frame; the verdict by its number, as the kernel takes no tables of strings. `queue` is the rx queue, in
/// host mode 0 for what comes in and 1 for what goes out.
#[inline(never)]
pub fn verdict<C: EbpfContext>(ctx: &C, verdict: Verdict, queue: u32, length: u32) {
    let number = verdict as u32;
    match verdict.fate() {
        Fate::Captured => debug!(ctx, "captured: verdict {}, queue {}, {} bytes", number, queue, length),
        Fate::Filtered => debug!(ctx, "filtered: verdict {}, queue {}, {} bytes", number, queue, length),
        Fate::Dropped => debug!(ctx, "dropped: verdict {}, queue {}, {} bytes", number, queue, length),
    }
}
