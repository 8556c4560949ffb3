//! Any body of an INFO request and any payload of a telephone event: a key that there is, or none.
#![no_main]

use capture_daemon::media::{dtmf, events};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for content_type in [&b"application/dtmf-relay"[..], b"application/dtmf", data] {
        if let Some(signal) = dtmf::signal(content_type, data) {
            assert!("0123456789*#ABCD!".contains(signal.key));
        }
    }
    if let Some(event) = events::read(data) {
        assert!(data.len() == 4 && event.volume < 64);
    }
});
