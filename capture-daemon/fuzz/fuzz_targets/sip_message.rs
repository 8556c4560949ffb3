//! Any datagram: everything the SIP parser offers is taken out of it.
#![no_main]

use capture_daemon::sip::{Address, Message, Uri, sdp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = Address::parse(data).and_then(|address| address.tag());
    let Ok((message, consumed)) = Message::parse(data) else {
        return;
    };
    assert!(consumed <= data.len());
    assert!(message.body.len() <= consumed);
    for address in message.contacts().chain([message.from, message.to]) {
        let _ = Uri::parse(address.uri).map(|uri| uri.address_of_record());
        let _ = message.expires_of(&address);
    }
    let _ = message.sdp().map(sdp::parse);
});
