//! The figures of STUN and TURN as metrics.

use super::glossary as m;
use super::histogram::Histograms;
use crate::report::{AllocationState, Relayed, TurnFigures};

/// Sets them all.
pub fn record(turn: &TurnFigures, histograms: &mut Histograms) {
    for (class, messages) in [
        ("request", &turn.requests),
        ("indication", &turn.indications),
        ("success", &turn.successes),
        ("error", &turn.errors),
    ] {
        for (method, count) in messages {
            m::STUN_MESSAGES.set(&[method, class], *count);
        }
    }
    m::STUN_MALFORMED.set(&[], turn.malformed);
    for (method, of) in &turn.transactions {
        m::STUN_RETRANSMISSIONS.set(&[method], of.retransmissions);
        m::STUN_SUCCESSES.set(&[method], of.successes);
        m::STUN_UNANSWERED.set(&[method], of.unanswered);
        for (code, count) in &of.errors {
            m::STUN_ERRORS.set(&[method, &code.to_string()], *count);
        }
        histograms.set(&m::STUN_ROUND_TRIP, &[method], of.round_trip.as_ref());
    }
    m::TURN_CHALLENGES.set(&[], turn.challenges);
    for (code, count) in &turn.authentication_failures {
        m::TURN_AUTH_FAILURES.set(&[&code.to_string()], *count);
    }
    for state in AllocationState::ALL {
        let count = turn.allocations.get(state.label()).copied().unwrap_or(0);
        if state.is_over() {
            m::TURN_ALLOCATIONS_OVER.set(&[state.label()], count);
        } else {
            m::TURN_ALLOCATIONS.set(&[state.label()], count);
        }
    }
    m::TURN_PERMISSIONS.set(&[], turn.permissions);
    m::TURN_CHANNELS.set(&[], turn.channels);
    for (by, Relayed { packets, bytes }) in [("channel", turn.channel_data), ("indication", turn.data_indications)] {
        m::TURN_RELAYED_PACKETS.set(&[by], packets);
        m::TURN_RELAYED_BYTES.set(&[by], bytes);
    }
}
