//! Files written past the cache hold what was written, byte for byte and at every moment.

use std::fs;

use proptest::prelude::*;

use super::*;

fn sink(path: &Path) -> Sink {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
        .unwrap();
    Sink::new(file, path)
}

/// Bytes that are like no others near them.
fn bytes(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|n| (n * 31 + n / 251) as u8).collect()
}

#[test]
fn whole_blocks_go_past_the_cache_or_it_is_said_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let mut sink = sink(&path);
    match sink.refusal() {
        None => assert!(sink.is_direct()),
        Some(why) => assert!(!sink.is_direct() && why.starts_with("O_DIRECT: "), "{why}"),
    }
    let was_direct = sink.is_direct();
    let content = bytes(0, 3 * AT_ONCE + 5000);
    let (written, result) = sink.append(&mut Stage::default(), &content);
    result.unwrap();
    assert_eq!((written, sink.is_direct()), (content.len(), was_direct));
    assert_eq!(fs::read(&path).unwrap(), content);
}

#[test]
fn a_file_system_that_refuses_is_written_to_through_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let mut sink = sink(&path);
    let mut stage = Stage::default();
    let content = bytes(0, 2 * AT_ONCE);
    sink.append(&mut stage, &content[..5000]).1.unwrap();
    // An offset that is no multiple of a block, as on a file system whose blocks are larger: EINVAL, or taken all the same.
    sink.placed += 1;
    sink.tail.remove(0);
    sink.append(&mut stage, &content[5000..]).1.unwrap();
    if let Some(why) = sink.refusal() {
        assert!(why.starts_with("O_DIRECT: ") && !sink.is_direct(), "{why}");
    }
    assert_eq!(fs::read(&path).unwrap(), content);
}

#[test]
fn what_is_written_where_a_file_was_cut_is_asked_to_be_written_out_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = sink(&folder.path().join("a"));
    sink.direct = Err("not here".to_owned());
    let mut stage = Stage::default();
    let content = bytes(0, WRITE_BACK as usize);
    sink.append(&mut stage, &content).1.unwrap();
    assert_eq!(sink.written_back, WRITE_BACK);
    sink.cut(1_000).unwrap();
    sink.append(&mut stage, &content).1.unwrap();
    assert_eq!(sink.written_back, WRITE_BACK + 1_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_file_ends_with_what_was_written_last(
        direct in any::<bool>(),
        steps in prop::collection::vec((prop_oneof![0..300usize, 3_900..4_300usize, 0..3 * AT_ONCE], 0..9u8), 1..10),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mut sink = sink(&path);
        if !direct {
            sink.direct = Err("not here".to_owned());
        }
        let mut stage = Stage::default();
        let mut content = Vec::new();
        for (number, what) in steps {
            if what == 0 {
                content.truncate(content.len().saturating_sub(number));
                sink.cut(content.len() as u64).unwrap();
            } else {
                let more = bytes(content.len(), number);
                let (written, result) = sink.append(&mut stage, &more);
                result.unwrap();
                prop_assert_eq!(written, more.len());
                content.extend(more);
            }
            prop_assert!(fs::read(&path).unwrap() == content, "after {} of {}", number, content.len());
            prop_assert_eq!(sink.len(), content.len() as u64);
        }
    }
}
