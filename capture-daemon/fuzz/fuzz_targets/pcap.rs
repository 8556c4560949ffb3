//! The pcap reader on any bytes: no panic, frames inside the file, and an end.
#![no_main]

use capture_daemon::source::pcap::{FILE_HEADER, Header, RECORD_HEADER, Records};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(header) = Header::read(data) {
        let most = data.len().saturating_sub(FILE_HEADER) / RECORD_HEADER + 1;
        let records: Vec<_> = Records::new(header, data).collect();
        assert!(records.len() <= most);
        assert!(
            records.iter().rev().skip(1).all(Result::is_ok),
            "an error ends the file"
        );
        let taken: usize = records
            .iter()
            .flatten()
            .map(|frame| frame.bytes.len() + RECORD_HEADER)
            .sum();
        assert!(taken + FILE_HEADER <= data.len());
    }
});
