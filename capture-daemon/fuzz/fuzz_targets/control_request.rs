//! A line on the control socket is a request or a refusal, never a panic, and what is understood can be said again.
#![no_main]

use capture_daemon::control::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(ask) = parse(data).ask {
        assert_eq!(parse(ask.line().as_bytes()).ask, Ok(ask));
    }
});
