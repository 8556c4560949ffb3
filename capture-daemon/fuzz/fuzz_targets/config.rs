//! A configuration file is a configuration or a list of problems, each with words; never a panic.
#![no_main]

use capture_daemon::config::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match parse(text) {
        Ok(config) => assert!(config.problems().is_empty()),
        Err(problems) => {
            assert!(!problems.is_empty());
            let lines = text.lines().count().max(1) + 1;
            for problem in &problems {
                assert!(!problem.message.is_empty());
                assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)));
            }
        }
    }
});
