//! Any bytes where a file of the spool was left by a daemon that died: no panic, what is taken for whole lies in them, and comes back as
//! it was written.
#![no_main]

use capture_daemon::spool::record::{head, head_len, read_file_header, run, tail_fits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let Some((format, header)) = read_file_header(file) else {
        return;
    };
    assert!(header <= file.len());
    let records = &file[header..];
    let mut ends = Vec::new();
    let whole = run(format, records, |record, at| {
        ends.push(at + record.len);
        true
    });
    assert!(whole.len <= records.len());
    assert_eq!(
        whole.frames,
        ends.iter().filter(|end| **end <= whole.len).count() as u64
    );
    let mut at = 0;
    for _ in 0..whole.frames {
        let record = head(format, &records[at..]).expect("a record of the run");
        assert!(record.len >= head_len(format));
        let tail = records[..at + record.len].last_chunk().expect("a record is longer");
        let _ = tail_fits(format, *tail, record.len);
        at += record.len;
    }
    assert_eq!(at, whole.len);
});
