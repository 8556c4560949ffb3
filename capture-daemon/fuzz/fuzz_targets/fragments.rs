//! Any IP fragments: no panic, bounded, and nothing is left over.
#![no_main]

use capture_daemon::frame::LinkType;
use capture_daemon::net::{Decoded, Fragments, decode};
use capture_daemon::outcome::Losses;
use capture_daemon::time::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let fragments = Fragments::new(4, 4096);
    let losses = Losses::default();
    let mut rest = data;
    // A packet is a byte of time, its length, and its bytes.
    while let Some((&[at, len], next)) = rest.split_first_chunk::<2>() {
        let (packet, next) = next.split_at_checked(usize::from(len)).unwrap_or((next, &[]));
        rest = next;
        let ts = Timestamp::from_nanos(u64::from(at) * 1_000_000_000);
        if let Ok(Decoded::Fragment(fragment)) = decode(LinkType::Raw, packet)
            && let Some(whole) = fragments.take(ts, &fragment, &losses)
        {
            let _ = whole.decode();
        }
        assert!(fragments.len() <= 4);
    }
    fragments.finish(&losses);
    assert!(fragments.is_empty());
});
