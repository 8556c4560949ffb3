//! Any byte stream: framing moves on and stays inside it.
#![no_main]

use capture_daemon::sip::{Framing, Message, frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    while !rest.is_empty() {
        let taken = match frame(rest) {
            Framing::Incomplete => break,
            Framing::Message(len) => {
                if let Ok((_, consumed)) = Message::parse(&rest[..len]) {
                    assert_eq!(consumed, len);
                }
                len
            }
            Framing::Keepalive(len) | Framing::Garbage(len) => len,
        };
        assert!(taken > 0 && taken <= rest.len());
        rest = &rest[taken..];
    }
});
