//! The pcapng reader on any bytes: no panic, frames inside the file, and an end.
#![no_main]

use capture_daemon::source::pcapng::Records;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut records = Records::new(data);
    let mut taken = 0;
    while let Some(record) = records.next() {
        match record {
            // A simple packet block, the shortest there is, has 16 bytes beside its frame.
            Ok(frame) => taken += frame.bytes.len() + 16,
            Err(fault) => {
                assert!(fault.offset < data.len() as u64);
                assert!(records.next().is_none(), "an error ends the file");
            }
        }
        assert!(taken <= data.len());
    }
});
