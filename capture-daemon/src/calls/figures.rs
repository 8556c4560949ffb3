//! The totals of RFC 6076: what all sessions and all registration attempts came to.

use std::collections::BTreeMap;
use std::time::Duration;

use super::attempts::{Attempt, End};
use super::{CallFigures, Noted};
use crate::latencies::Latencies;
use crate::report::{CallState, Ratio, RegistrationFigures, SessionFigures};

/// Sums over registration attempts.
#[derive(Clone, Debug, Default)]
pub struct RegistrationTotals {
    counts: RegistrationFigures,
    ineffective: u64,
    open: u64,
    delay: Latencies,
}

impl RegistrationTotals {
    /// Takes in one attempt.
    pub fn add(&mut self, attempt: &Attempt) {
        let counts = &mut self.counts;
        counts.attempts += 1;
        counts.challenges += u64::from(attempt.challenges);
        self.ineffective += u64::from(attempt.end.is_ineffective());
        match attempt.end {
            End::Registered => counts.successful += 1,
            End::Refused(code) => *counts.failures.entry(code).or_default() += 1,
            End::TimedOut => counts.timed_out += 1,
            End::Abandoned => counts.abandoned += 1,
            End::Open => self.open += 1,
        }
        if let Some(delay) = attempt.delay {
            self.delay.record(delay);
        }
    }

    /// What reports say of them.
    pub fn report(self) -> RegistrationFigures {
        let concluded = self.counts.attempts - self.open;
        RegistrationFigures {
            registration_request_delay: self.delay.report(),
            ineffective_registration_attempts: Ratio::of(self.ineffective, concluded),
            ..self.counts
        }
    }
}

/// Sums over sessions.
#[derive(Clone, Debug, Default)]
pub struct SessionTotals {
    requests: u64,
    open: u64,
    established: u64,
    cancelled: u64,
    timed_out: u64,
    challenges: u64,
    failures: BTreeMap<u16, u64>,
    completed: u64,
    /// Those of which it is known whether they were completed.
    concluded: u64,
    request_delay: Latencies,
    failed_request_delay: Latencies,
    disconnect_delay: Latencies,
    failed_disconnect_delay: Latencies,
    duration: Latencies,
    failed_duration: Latencies,
    ring_time: Latencies,
    post_dial_delay: Latencies,
    noted: [u64; Noted::ALL.len()],
    info_digits: u64,
}

impl SessionTotals {
    /// Takes in one call.
    pub fn add(&mut self, call: &CallFigures) {
        if call.is_session_request {
            self.request(call);
        }
        for (count, holds) in self.noted.iter_mut().zip(call.noted) {
            *count += u64::from(holds);
        }
        self.info_digits += call.info_digits;
        for (latencies, time) in [
            (&mut self.request_delay, call.session_request_delay_ms),
            (&mut self.failed_request_delay, call.failed_session_request_delay_ms),
            (&mut self.disconnect_delay, call.session_disconnect_delay_ms),
            (
                &mut self.failed_disconnect_delay,
                call.failed_session_disconnect_delay_ms,
            ),
            (&mut self.duration, call.session_duration_ms),
            (&mut self.failed_duration, call.failed_session_duration_ms),
            (&mut self.ring_time, call.ring_time_ms),
            (&mut self.post_dial_delay, call.post_dial_delay_ms),
        ] {
            if let Some(milliseconds) = time {
                latencies.record(Duration::from_nanos((milliseconds * 1e6).round() as u64));
            }
        }
    }

    fn request(&mut self, call: &CallFigures) {
        self.requests += 1;
        self.challenges += u64::from(call.challenges);
        if let Some(completed) = call.completed {
            self.concluded += 1;
            self.completed += u64::from(completed);
        }
        if matches!(call.state, CallState::Trying | CallState::Ringing) {
            self.open += 1;
            return;
        }
        self.cancelled += u64::from(call.state == CallState::Cancelled);
        match call.final_code {
            Some(200..300) => self.established += 1,
            Some(code) => *self.failures.entry(code).or_default() += 1,
            None => self.timed_out += u64::from(call.state == CallState::TimedOut),
        }
    }

    /// What reports say of them.
    pub fn report(self) -> SessionFigures {
        let failed = |codes: &[u16]| -> u64 { codes.iter().filter_map(|code| self.failures.get(code)).sum() };
        let redirected: u64 = self.failures.range(300..400).map(|(_, count)| count).sum();
        let decided = self.requests - self.open;
        let not_redirected = decided - redirected;
        // RFC 6076 section 4.7: these say something of the person called, not of the network.
        let effective = self.established + failed(&[480, 486, 600, 603]);
        // RFC 6076 section 4.8.
        let ineffective = self.timed_out + failed(&[408, 500, 503, 504]);
        SessionFigures {
            requests: self.requests,
            open: self.open,
            established: self.established,
            redirected,
            cancelled: self.cancelled,
            timed_out: self.timed_out,
            challenges: self.challenges,
            session_request_delay: self.request_delay.report(),
            failed_session_request_delay: self.failed_request_delay.report(),
            session_disconnect_delay: self.disconnect_delay.report(),
            failed_session_disconnect_delay: self.failed_disconnect_delay.report(),
            session_duration_time: self.duration.report(),
            failed_session_duration_time: self.failed_duration.report(),
            ring_time: self.ring_time.report(),
            post_dial_delay: self.post_dial_delay.report(),
            session_establishment_ratio: Ratio::of(self.established, not_redirected),
            session_establishment_effectiveness_ratio: Ratio::of(effective, not_redirected),
            ineffective_session_attempts: Ratio::of(ineffective, decided),
            session_completion_ratio: Ratio::of(self.completed, self.concluded),
            answer_seizure_ratio: Ratio::of(self.established, decided),
            failures: self.failures,
            noted: Noted::ALL
                .iter()
                .map(|of| (of.label().to_owned(), self.noted[*of as usize]))
                .collect(),
            info_digits: self.info_digits,
        }
    }
}
