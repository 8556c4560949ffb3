//! The nonce of a challenge or of credentials is a part of the value, whatever the value is.
#![no_main]

use capture_daemon::sip::nonce;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|value: &[u8]| {
    if let Some(nonce) = nonce(value) {
        assert!(!nonce.is_empty());
        assert!(value.windows(nonce.len()).any(|part| part == nonce));
    }
});
