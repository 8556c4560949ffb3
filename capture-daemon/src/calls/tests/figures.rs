//! The figures of RFC 6076, on sequences of messages whose figures are known.

use super::*;
use crate::report::Ratio;

/// What the registrations of `sent` come to at `now` in milliseconds.
fn registrations(dialog: &Dialog, now: u64) -> report::RegistrationFigures {
    registrations_of(&dialog.sent).figures(ms(now))
}

fn ratio(numerator: u64, denominator: u64) -> Option<Ratio> {
    Ratio::of(numerator, denominator)
}

#[test]
fn a_ratio_of_nothing_is_none() {
    assert_eq!(Ratio::of(0, 0), None);
    assert_eq!(ratio(1, 8).map(|ratio| ratio.percent), Some(12.5));
}

/// RFC 6076 section 4.1: the delay runs from the first REGISTER to the 200, over the expected challenge.
#[test]
fn registration_request_delay_includes_the_challenge() {
    let dialog = Dialog::default()
        .register(0, 1, CONTACT)
        .registered(40, 401, 1, "")
        .register(100, 2, CONTACT)
        .register(600, 2, CONTACT)
        .registered(650, 200, 2, CONTACT);
    let figures = registrations(&dialog, 1_000);
    assert_eq!((figures.attempts, figures.successful, figures.challenges), (1, 1, 1));
    let delay = figures.registration_request_delay.expect("a delay");
    assert_eq!((delay.count, delay.mean_ms, delay.max_ms), (1, 650.0, 650.0));
    assert_eq!(figures.ineffective_registration_attempts, ratio(0, 1));
    let registration = registration_at(&dialog, 1_000);
    assert_eq!(registration.registration_request_delay_ms, Some(650.0));
    assert_eq!(
        (registration.attempts, registration.challenges, registration.ineffective),
        (1, 1, 0)
    );
}

/// RFC 6076 section 4.2: refusals and timer F are ineffective; challenges, 402 and redirections are not.
#[test]
fn ineffective_registration_attempts() {
    let dialog = Dialog::default()
        .register(0, 1, CONTACT)
        .registered(10, 503, 1, "")
        .register(1_000, 2, CONTACT)
        .registered(1_010, 402, 2, "")
        .register(2_000, 3, CONTACT)
        .registered(2_010, 302, 3, "")
        .register(3_000, 4, CONTACT)
        .registered(3_010, 407, 4, "")
        .register(3_020, 5, CONTACT)
        .registered(3_030, 403, 5, "")
        .register(4_000, 6, CONTACT)
        .registered(4_010, 200, 6, CONTACT)
        .register(5_000, 7, CONTACT);
    let figures = registrations(&dialog, 5_001);
    assert_eq!(figures.failures, [(302, 1), (402, 1), (403, 1), (503, 1)].into());
    assert_eq!((figures.attempts, figures.timed_out, figures.challenges), (6, 0, 1));
    assert_eq!(figures.ineffective_registration_attempts, ratio(2, 5));
    let later = registrations(&dialog, 37_001);
    assert_eq!((later.timed_out, later.successful), (1, 1));
    assert_eq!(later.ineffective_registration_attempts, ratio(3, 6));
    assert_eq!(later.registration_request_delay.map(|delay| delay.max_ms), Some(10.0));
    let registration = registration_at(&dialog, 37_001);
    assert_eq!((registration.attempts, registration.ineffective), (6, 3));
    assert_eq!(registration.failures, later.failures);
}

#[test]
fn a_challenge_that_is_given_up_is_no_failure_and_not_part_of_the_next_attempt() {
    let dialog = Dialog::default().register(0, 1, CONTACT).registered(10, 401, 1, "");
    let open = registrations(&dialog, 32_010);
    assert_eq!(
        (open.attempts, open.abandoned, open.ineffective_registration_attempts),
        (1, 0, None)
    );
    let given_up = registrations(&dialog, 32_011);
    assert_eq!(
        (given_up.abandoned, given_up.ineffective_registration_attempts),
        (1, ratio(0, 1))
    );
    let dialog = dialog.register(50_000, 2, CONTACT).registered(50_020, 200, 2, CONTACT);
    let next = registrations(&dialog, 50_100);
    assert_eq!((next.attempts, next.abandoned, next.successful), (2, 1, 1));
    assert_eq!(next.registration_request_delay.map(|delay| delay.max_ms), Some(20.0));
}

/// The nonce says which challenge a REGISTER answers, however long the client took over it.
#[test]
fn credentials_go_on_with_the_challenge_whose_nonce_they_carry() {
    let challenge = |nonce: &str| format!("WWW-Authenticate: Digest realm=\"b\", nonce=\"{nonce}\"\r\n");
    let credentials = |nonce: &str| format!("{CONTACT}Authorization: Digest username=\"a\", nonce=\"{nonce}\"\r\n");
    let dialog = Dialog::default()
        .register(0, 1, CONTACT)
        .registered(10, 401, 1, &challenge("n1"))
        .register(40_000, 2, &credentials("n1"))
        .registered(40_020, 200, 2, CONTACT)
        // A refresh with the old nonce is challenged anew, which is one attempt too.
        .register(50_000, 3, &credentials("n1"))
        .registered(50_010, 401, 3, &challenge("n2"))
        .register(50_020, 4, &credentials("n2"))
        .registered(50_030, 200, 4, CONTACT)
        // Challenged, and begun anew at once without credentials.
        .register(60_000, 5, CONTACT)
        .registered(60_010, 407, 5, &challenge("n3").replace("WWW", "Proxy"))
        .register(60_020, 6, CONTACT)
        .registered(60_025, 403, 6, "");
    let figures = registrations(&dialog, 70_000);
    assert_eq!(
        (
            figures.attempts,
            figures.successful,
            figures.abandoned,
            figures.challenges
        ),
        (4, 2, 1, 3)
    );
    assert_eq!(figures.failures, [(403, 1)].into());
    let delay = figures.registration_request_delay.expect("delays");
    assert_eq!((delay.count, delay.min_ms, delay.max_ms), (2, 30.0, 40_020.0));
}

#[test]
fn an_answer_at_the_hop_nearest_to_the_client_ends_the_delay() {
    let dialog = Dialog::default()
        .register(0, 1, CONTACT)
        .on_hop(1)
        .register(1, 1, CONTACT)
        .registered(20, 200, 1, CONTACT)
        .on_hop(0)
        .registered(22, 200, 1, CONTACT);
    let figures = registrations(&dialog, 100);
    assert_eq!((figures.attempts, figures.successful), (1, 1));
    assert_eq!(figures.registration_request_delay.map(|delay| delay.max_ms), Some(22.0));
}

/// A client that refreshes a hundred times, each with a challenge: what is remembered of it does not grow, and every
/// attempt is counted once, also when the registration is forgotten.
#[test]
fn attempts_that_are_not_remembered_any_more_are_counted() {
    let mut dialog = Dialog::default();
    for n in 0..100 {
        let at = u64::from(n) * 60_000;
        dialog = dialog
            .register(at, 2 * n, CONTACT)
            .registered(at + 10, 401, 2 * n, "")
            .register(at + 20, 2 * n + 1, CONTACT)
            .registered(at + 30, if n % 4 == 0 { 500 } else { 200 }, 2 * n + 1, CONTACT);
    }
    let all = registrations_of(&dialog.sent);
    let expected = |figures: report::RegistrationFigures| {
        assert_eq!(
            (figures.attempts, figures.successful, figures.challenges),
            (100, 75, 100)
        );
        assert_eq!(figures.failures, [(500, 25)].into());
        assert_eq!(figures.ineffective_registration_attempts, ratio(25, 100));
        assert_eq!(
            figures
                .registration_request_delay
                .map(|delay| (delay.count, delay.min_ms, delay.max_ms)),
            Some((75, 30.0, 30.0))
        );
    };
    let now = ms(100 * 60_000);
    expected(all.figures(now));
    let registration = all.report(now).remove(0);
    assert_eq!(
        (registration.attempts, registration.ineffective, registration.challenges),
        (100, 25, 100)
    );
    let long_after = now.plus(Duration::from_secs(100_000));
    for _ in 0..64 {
        all.sweep(long_after);
    }
    assert!(all.is_empty());
    expected(all.figures(long_after));
}

proptest! {
    /// Every attempt, also of more REGISTERs than are remembered, in an order disturbed as several queues disturb it.
    #[test]
    fn a_disturbed_order_does_not_matter_to_attempts(
        codes in prop::collection::vec(prop::sample::select(vec![0u16, 200, 200, 302, 401, 407, 423, 503]), 1..40),
        step in 30u64..40_000,
        delays in prop::collection::vec(0u64..50, 80),
    ) {
        let mut dialog = Dialog::default();
        for (n, code) in codes.iter().enumerate() {
            let (at, cseq) = (n as u64 * step, n as u32);
            dialog = dialog.register(at, cseq, CONTACT);
            if *code != 0 {
                dialog = dialog.registered(at + 10, *code, cseq, CONTACT);
            }
        }
        let mut order: Vec<usize> = (0..dialog.sent.len()).collect();
        order.sort_by_key(|&n| dialog.sent[n].at + delays[n]);
        let disturbed: Vec<Sent> = order.iter().map(|&n| dialog.sent[n].clone()).collect();
        let now = dialog.sent.last().map_or(0, |sent| sent.at);
        let (one, other) = (registrations_of(&dialog.sent), registrations_of(&disturbed));
        prop_assert_eq!(one.figures(ms(now)), other.figures(ms(now)));
        let figures = one.figures(ms(now));
        let refused = codes.iter().filter(|code| matches!(**code, 302 | 423 | 503)).count() as u64;
        prop_assert_eq!(figures.failures.values().sum::<u64>(), refused);
        prop_assert_eq!(figures.successful, codes.iter().filter(|code| **code == 200).count() as u64);
        prop_assert_eq!(figures.challenges, codes.iter().filter(|code| matches!(**code, 401 | 407)).count() as u64);
    }
}

/// A call that was answered after a second with one 180, and ended after ten.
const ENDED: CallFigures = CallFigures {
    state: CallState::Ended,
    is_session_request: true,
    final_code: Some(200),
    challenges: 0,
    redirects: 0,
    session_request_delay_ms: Some(200.0),
    failed_session_request_delay_ms: None,
    session_disconnect_delay_ms: Some(20.0),
    failed_session_disconnect_delay_ms: None,
    session_duration_ms: Some(10_000.0),
    failed_session_duration_ms: None,
    ring_time_ms: Some(800.0),
    post_dial_delay_ms: Some(200.0),
    completed: Some(true),
    noted: [false; Noted::ALL.len()],
    info_digits: 0,
};

fn failed(state: CallState, code: Option<u16>) -> CallFigures {
    CallFigures {
        state,
        final_code: code,
        session_request_delay_ms: None,
        failed_session_request_delay_ms: Some(50.0),
        session_disconnect_delay_ms: None,
        session_duration_ms: None,
        ring_time_ms: None,
        post_dial_delay_ms: None,
        completed: Some(false),
        ..ENDED
    }
}

/// RFC 6076 sections 4.6 to 4.9, on one session of each kind.
#[test]
fn session_ratios() {
    let ringing = CallFigures {
        completed: None,
        ..failed(CallState::Ringing, None)
    };
    let joined = CallFigures {
        is_session_request: false,
        completed: None,
        ..ENDED
    };
    let challenged = CallFigures {
        challenges: 2,
        redirects: 1,
        ..ENDED
    };
    let mut totals = SessionTotals::default();
    for call in [ENDED, challenged, ringing, joined] {
        totals.add(&call);
    }
    for code in [302, 404, 480, 486, 600, 603, 408, 500, 503, 504, 501] {
        totals.add(&failed(CallState::Failed, Some(code)));
    }
    totals.add(&failed(CallState::Cancelled, Some(487)));
    totals.add(&failed(CallState::TimedOut, None));
    let figures = totals.report();
    assert_eq!((figures.requests, figures.open, figures.established), (16, 1, 2));
    assert_eq!((figures.redirected, figures.cancelled, figures.timed_out), (1, 1, 1));
    assert_eq!((figures.challenges, figures.failures.values().sum::<u64>()), (2, 12));
    assert_eq!(figures.session_establishment_ratio, ratio(2, 14));
    assert_eq!(figures.session_establishment_effectiveness_ratio, ratio(6, 14));
    assert_eq!(figures.ineffective_session_attempts, ratio(5, 15));
    assert_eq!(figures.answer_seizure_ratio, ratio(2, 15));
    assert_eq!(figures.session_completion_ratio, ratio(2, 15));
    let counts = [
        figures.session_request_delay,
        figures.failed_session_request_delay,
        figures.session_disconnect_delay,
        figures.failed_session_disconnect_delay,
        figures.session_duration_time,
        figures.failed_session_duration_time,
        figures.ring_time,
        figures.post_dial_delay,
    ]
    .map(|latency| latency.map(|latency| (latency.count, latency.mean_ms)));
    assert_eq!(
        counts,
        [
            Some((3, 200.0)),
            Some((14, 50.0)),
            Some((3, 20.0)),
            None,
            Some((3, 10_000.0)),
            None,
            Some((3, 800.0)),
            Some((3, 200.0)),
        ]
    );
}

#[test]
fn sessions_without_a_decision_have_no_ratio() {
    let mut totals = SessionTotals::default();
    totals.add(&CallFigures {
        completed: None,
        ..failed(CallState::Trying, None)
    });
    let figures = totals.report();
    assert_eq!((figures.requests, figures.open), (1, 1));
    assert_eq!(
        (figures.session_establishment_ratio, figures.session_completion_ratio),
        (None, None)
    );
    assert_eq!(
        (figures.ineffective_session_attempts, figures.answer_seizure_ratio),
        (None, None)
    );
}

/// Calls that have left the table are in the totals as they left it.
#[test]
fn calls_that_are_forgotten_stay_in_the_figures() {
    let dialog = answered().request(5_000, "BYE", 2, "b").response(5_010, 200, "BYE", 2);
    let calls = calls_of(&dialog.sent);
    let before = calls.figures(ms(6_000));
    assert_eq!((before.requests, before.established), (1, 1));
    assert_eq!(
        before.session_duration_time.as_ref().map(|time| time.max_ms),
        Some(4_000.0)
    );
    for _ in 0..64 {
        calls.sweep(ms(60_000));
    }
    assert!(calls.is_empty());
    assert_eq!(calls.figures(ms(60_000)), before);
}
