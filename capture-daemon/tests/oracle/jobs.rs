//! A replay by several engines says what a replay by one does, word for word.

use std::path::PathBuf;

use capture_daemon::config::Config;
use capture_daemon::replay::{Replayed, replay_by};
use serde_json::Value;

use super::captures;

/// The document of a file, its lists in an order that does not depend on who told first. Left out is how many frames were
/// `other_udp`: RTP counts there until its endpoints are announced, and of a packet and an announcement within the
/// same 50 ms either may come first. The streams have all their packets either way.
fn told(file: &PathBuf, jobs: usize) -> Value {
    let Replayed { document, errors } = replay_by(std::slice::from_ref(file), &Config::default(), jobs);
    let mut told = serde_json::to_value(&document).unwrap();
    told["drops"].as_object_mut().unwrap().remove("other_udp");
    told["errors"] = errors.iter().map(ToString::to_string).collect();
    for list in ["streams", "calls", "registrations"] {
        if let Some(list) = told[list].as_array_mut() {
            list.sort_by_key(Value::to_string);
        }
    }
    told
}

#[test]
fn several_engines_say_what_one_says() {
    let folder = captures::own("", "").unwrap();
    let mut streams = 0;
    for name in captures::names(&folder) {
        let file = folder.join(&name);
        let one = told(&file, 1);
        streams += one["streams"].as_array().map_or(0, Vec::len);
        for jobs in [2, 3, 8] {
            assert_eq!(told(&file, jobs), one, "{name} by {jobs}");
        }
    }
    assert!(streams > 20, "{streams} streams in all");
}
