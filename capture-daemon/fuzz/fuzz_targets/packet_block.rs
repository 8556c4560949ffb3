//! Any block of a packet socket's ring: no panic, an end, and no frame that is not in the block.
#![no_main]

use capture_daemon::xsk::packet::{SHORTEST, Step, Walk};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|block: &[u8]| {
    let inside = block.as_ptr_range();
    let mut walk = Walk::new(block);
    let mut steps = 0;
    while let Some(step) = walk.step(block) {
        steps += 1;
        if let Step::Packet(packet) = step {
            let lies = packet.bytes.as_ptr_range();
            assert!(inside.start <= lies.start && lies.end <= inside.end);
            assert!(packet.bytes.len() <= packet.wire_len as usize);
        }
    }
    assert!(walk.is_over());
    assert!(steps <= block.len() as u64 / SHORTEST);
});
