//! The debug log: a line per frame, through aya-log.

use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::debug;
use capture_common::{Fate, Verdict};

/// Logs what became of a frame; the verdict by its number, as the kernel takes no tables of strings.
#[inline(never)]
pub fn verdict(ctx: &XdpContext, verdict: Verdict, length: u32) {
    let number = verdict as u32;
    let queue = ctx.rx_queue_index();
    match verdict.fate() {
        Fate::Captured => debug!(ctx, "captured: verdict {}, queue {}, {} bytes", number, queue, length),
        Fate::Filtered => debug!(ctx, "filtered: verdict {}, queue {}, {} bytes", number, queue, length),
        Fate::Dropped => debug!(ctx, "dropped: verdict {}, queue {}, {} bytes", number, queue, length),
    }
}
