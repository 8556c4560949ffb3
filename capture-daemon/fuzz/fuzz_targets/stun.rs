//! Any datagram: what is read stays inside it, and a message that is cut or longer is another answer, not a panic.
#![no_main]

use capture_daemon::turn::channel;
use capture_daemon::turn::stun::{Kind, announced_len, begins, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    match read(data) {
        Kind::Message(message) => {
            let len = announced_len(data).expect("a message has a header");
            assert!(len <= data.len() && message.classic != begins(data));
            assert!(message.peers().count() + message.relayed().count() <= len / 8);
            assert!(message.data.is_none_or(|relayed| relayed.len() + 24 <= len));
            // What stands behind a message with its cookie changes nothing.
            if !message.classic {
                assert_eq!(read(&data[..len]), Kind::Message(message));
            }
        }
        Kind::Malformed(_) => assert_eq!(data[4..8], [0x21, 0x12, 0xa4, 0x42]),
        Kind::Other => {}
    }
    if let Some(message) = channel::read(data) {
        assert!(channel::is_number(message.number) && data.len() - message.data.len() < 8);
        assert_eq!(channel::read_padded(data), Some(message));
        assert_eq!(channel::announced_len(data), Some(data.len().next_multiple_of(4)));
    }
});
