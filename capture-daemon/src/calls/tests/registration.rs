//! Every state of a registration.

use super::*;

#[test]
fn registration_challenged_registered_refreshed_and_removed() {
    let dialog = Dialog::default().register(0, 1, CONTACT);
    let registration = registration_at(&dialog, 10);
    assert_eq!(
        (registration.state, registration.expires_s),
        (RegistrationState::Trying, Some(3_600))
    );
    assert_eq!(registration_at(&dialog, 32_001).state, RegistrationState::TimedOut);
    let dialog = dialog.registered(10, 401, 1, "").register(20, 2, CONTACT);
    let registration = registration_at(&dialog, 25);
    assert_eq!(
        (registration.state, registration.status_code),
        (RegistrationState::Challenged, Some(401))
    );
    let bindings = "Contact: <sip:other@h>;expires=7, <sip:alice@192.0.2.1>;expires=1800\r\n";
    let dialog = dialog.registered(30, 200, 2, bindings);
    let registration = registration_at(&dialog, 40_000);
    assert_eq!(
        (registration.state, registration.status_code),
        (RegistrationState::Registered, Some(200))
    );
    assert_eq!((registration.expires_s, registration.messages), (Some(1_800), 4));
    assert_eq!(
        (registration.aor.as_str(), registration.contact.as_str()),
        ("sip:bob@b.example", "sip:alice@192.0.2.1")
    );
    assert_eq!(
        (registration.src.as_str(), registration.dst.as_str()),
        ("192.0.2.1:5060", "192.0.2.2:5060")
    );
    let dialog = dialog.register(50_000, 3, CONTACT);
    assert_eq!(registration_at(&dialog, 50_001).state, RegistrationState::Registered);
    let dialog = dialog
        .registered(50_010, 200, 3, bindings)
        .register(60_000, 4, "Contact: *\r\nExpires: 0\r\n")
        .registered(60_010, 200, 4, "");
    let registration = registration_at(&dialog, 60_020);
    assert_eq!(
        (registration.state, registration.expires_s),
        (RegistrationState::Unregistered, Some(0))
    );
    assert_eq!(registration.contact, "sip:alice@192.0.2.1");
}

#[test]
fn registration_failed_and_queries() {
    let failed = Dialog::default().register(0, 1, CONTACT).registered(10, 403, 1, "");
    let registration = registration_at(&failed, 20);
    assert_eq!(
        (registration.state, registration.status_code),
        (RegistrationState::Failed, Some(403))
    );
    let query = Dialog::default().register(0, 1, "");
    let none = query.clone().registered(10, 200, 1, "");
    assert_eq!(registration_at(&none, 20).state, RegistrationState::Unregistered);
    let some = query.registered(10, 200, 1, CONTACT);
    let registration = registration_at(&some, 20);
    assert_eq!(
        (registration.state, registration.expires_s),
        (RegistrationState::Registered, Some(3_600))
    );
    assert_eq!(registration.contact, "");
}

#[test]
fn a_client_with_a_new_call_id_each_time_is_one_registration() {
    let mut dialog = Dialog::default().register(0, 1, CONTACT).registered(10, 403, 1, "");
    let again = Dialog::default()
        .register(5_000, 1, CONTACT)
        .registered(5_010, 200, 1, CONTACT);
    dialog.sent.extend(again.sent.into_iter().map(|mut sent| {
        sent.text = sent.text.replace("c1", "c2");
        sent
    }));
    let registration = registration_at(&dialog, 6_000);
    assert_eq!(
        (registration.state, registration.messages),
        (RegistrationState::Registered, 4)
    );
    assert_eq!((registration.call_id.as_str(), registration.start), ("c2", ms(0)));
}
