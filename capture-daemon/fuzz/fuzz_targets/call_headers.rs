//! Any value of the headers that tell more of a call: what is read of it lies in it.
#![no_main]

use capture_daemon::sip::{
    Reason, fragment_status, names_option, referred, replaced_call_id, session_expires, session_ids,
};
use libfuzzer_sys::fuzz_target;

fn lies_in(part: &[u8], whole: &[u8]) -> bool {
    part.is_empty() || whole.windows(part.len()).any(|window| window == part)
}

fuzz_target!(|data: &[u8]| {
    if let Some(reason) = Reason::parse(data) {
        assert!(!reason.protocol.is_empty() && lies_in(reason.protocol, data) && lies_in(reason.text, data));
    }
    let mut ids = 0;
    for id in session_ids(data) {
        ids += 1;
        assert!(id.len() == 32 && lies_in(id, data));
    }
    assert!(ids <= 2);
    if let Some(call_id) = replaced_call_id(data) {
        assert!(!call_id.is_empty() && lies_in(call_id, data));
    }
    if let Some(code) = fragment_status(b"message/sipfrag", data) {
        assert!((100..700).contains(&code));
    }
    let _ = (session_expires(data), referred(data), names_option(data, "100rel"));
});
