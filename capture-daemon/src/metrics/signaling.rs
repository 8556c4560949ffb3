//! The figures of signalling as metrics.

use super::glossary as m;
use super::histogram::Histograms;
use crate::report::{Events, Ratio, RegistrationFigures, SessionFigures, Signaling, Transactions};

/// Sets them all.
pub fn record(signaling: &Signaling, histograms: &mut Histograms) {
    for (method, of) in &signaling.transactions {
        transactions(method, of, histograms);
    }
    for (package, events) in &signaling.events {
        self::events(package, events);
    }
    registrations(&signaling.registrations, histograms);
    sessions(&signaling.sessions, histograms);
}

/// How a transaction ended, in a word: its class, but for the challenges, which are no failures.
pub fn class(code: u16) -> &'static str {
    match code {
        401 | 407 => "challenged",
        ..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500..600 => "5xx",
        600.. => "6xx",
    }
}

fn transactions(method: &str, of: &Transactions, histograms: &mut Histograms) {
    for result in ["2xx", "3xx", "challenged", "4xx", "5xx", "6xx"] {
        let codes = of.responses.iter().filter(|(code, _)| class(**code) == result);
        m::TRANSACTIONS.set(&[method, result], codes.map(|(_, count)| count).sum());
    }
    m::TRANSACTIONS.set(&[method, "timed_out"], of.timed_out);
    m::TRANSACTIONS_OPEN.set(&[method], of.open);
    m::RETRANSMISSIONS.set(&[method], of.retransmissions);
    histograms.set(&m::TRANSACTION_TIME, &[method], of.response_time.as_ref());
}

fn events(package: &str, events: &Events) {
    let Events {
        subscribe,
        subscriptions,
        notify,
        publish,
        failed,
    } = *events;
    for (what, count) in [
        ("subscribe", subscribe),
        ("subscription", subscriptions),
        ("notify", notify),
        ("publish", publish),
        ("failed", failed),
    ] {
        m::EVENTS.set(&[package, what], count);
    }
}

fn ratio(metric: &m::Metric, ratio: Option<Ratio>) {
    if let Some(ratio) = ratio {
        metric.set_gauge(&[], ratio.numerator as f64 / ratio.denominator as f64);
    }
}

fn registrations(of: &RegistrationFigures, histograms: &mut Histograms) {
    for (result, count) in [
        ("successful", of.successful),
        ("refused", of.failures.values().sum()),
        ("timed_out", of.timed_out),
        ("abandoned", of.abandoned),
    ] {
        m::REGISTRATION_ATTEMPTS.set(&[result], count);
    }
    for (code, count) in &of.failures {
        m::REGISTRATION_FAILURES.set(&[&code.to_string()], *count);
    }
    m::REGISTRATION_CHALLENGES.set(&[], of.challenges);
    histograms.set(&m::REGISTRATION_DELAY, &[], of.registration_request_delay.as_ref());
    ratio(&m::IRA, of.ineffective_registration_attempts);
}

fn sessions(of: &SessionFigures, histograms: &mut Histograms) {
    m::SESSION_REQUESTS.set(&[], of.requests);
    m::SESSIONS_ESTABLISHED.set(&[], of.established);
    for (code, count) in &of.failures {
        m::SESSION_FAILURES.set(&[&code.to_string()], *count);
    }
    m::SESSION_CHALLENGES.set(&[], of.challenges);
    for (what, count) in &of.noted {
        m::CALLS_NOTED.set(&[what], *count);
    }
    m::INFO_DIGITS.set(&[], of.info_digits);
    for (metric, successful, failed) in [
        (
            &m::SESSION_REQUEST_DELAY,
            &of.session_request_delay,
            &of.failed_session_request_delay,
        ),
        (
            &m::SESSION_DISCONNECT_DELAY,
            &of.session_disconnect_delay,
            &of.failed_session_disconnect_delay,
        ),
        (
            &m::SESSION_DURATION,
            &of.session_duration_time,
            &of.failed_session_duration_time,
        ),
    ] {
        histograms.set(metric, &["successful"], successful.as_ref());
        histograms.set(metric, &["failed"], failed.as_ref());
    }
    histograms.set(&m::RING_TIME, &[], of.ring_time.as_ref());
    histograms.set(&m::POST_DIAL_DELAY, &[], of.post_dial_delay.as_ref());
    ratio(&m::SER, of.session_establishment_ratio);
    ratio(&m::SEER, of.session_establishment_effectiveness_ratio);
    ratio(&m::ISA, of.ineffective_session_attempts);
    ratio(&m::SCR, of.session_completion_ratio);
    ratio(&m::ASR, of.answer_seizure_ratio);
}
