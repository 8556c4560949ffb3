//! What a request narrows its answer by.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::report::{Allocation, AllocationState, Call, CallState, Registration, RegistrationState, Stream};

/// Narrows a list; everything that is absent lets everything through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Filter {
    /// At most this many, the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only those in this state: a name of [`CallState`], [`RegistrationState`] or [`AllocationState`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Only those of this Call-ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
}

/// The part of a list that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// How many passed the filter, before the limit.
    pub total: u64,
    /// The latest of them, at most `limit`, in order of their start.
    pub items: Vec<T>,
    /// Whose streams are missing, as they did not answer in time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

fn parsed<S: DeserializeOwned>(name: &str) -> Option<S> {
    serde_json::from_value(serde_json::Value::String(name.to_owned())).ok()
}

impl Filter {
    /// The calls that pass, in order of start, then Call-ID.
    pub fn calls(&self, mut all: Vec<Call>) -> Page<Call> {
        let state = self.state.as_deref().map(parsed::<CallState>);
        all.retain(|call| state.is_none_or(|state| state == Some(call.state)) && self.is_of(Some(&call.call_id)));
        all.sort_by(|one, other| (one.start, &one.call_id).cmp(&(other.start, &other.call_id)));
        self.latest(all)
    }

    /// The registrations that pass, in order of start, then address of record.
    pub fn registrations(&self, mut all: Vec<Registration>) -> Page<Registration> {
        let state = self.state.as_deref().map(parsed::<RegistrationState>);
        all.retain(|one| state.is_none_or(|state| state == Some(one.state)) && self.is_of(Some(&one.call_id)));
        all.sort_by(|one, other| (one.start, &one.aor).cmp(&(other.start, &other.aor)));
        self.latest(all)
    }

    /// The allocations that pass, in order of start, then client and server.
    pub fn allocations(&self, mut all: Vec<Allocation>) -> Page<Allocation> {
        let state = self.state.as_deref().map(parsed::<AllocationState>);
        all.retain(|one| state.is_none_or(|state| state == Some(one.state)));
        all.sort_by(|one, other| {
            (one.start, &one.client, &one.server).cmp(&(other.start, &other.client, &other.server))
        });
        self.latest(all)
    }

    /// The streams that pass, in order of first packet, then SSRC and addresses.
    pub fn streams(&self, mut all: Vec<Stream>) -> Page<Stream> {
        all.retain(|stream| self.is_of(stream.call_id.as_ref()));
        all.sort_by(|one, other| {
            (one.start, &one.ssrc, &one.src, &one.dst).cmp(&(other.start, &other.ssrc, &other.src, &other.dst))
        });
        self.latest(all)
    }

    fn is_of(&self, call_id: Option<&String>) -> bool {
        self.call_id.is_none() || self.call_id.as_ref() == call_id
    }

    fn latest<T>(&self, mut items: Vec<T>) -> Page<T> {
        let total = items.len();
        let over = self.limit.map_or(0, |limit| total.saturating_sub(limit));
        items.drain(..over);
        Page {
            total: total as u64,
            items,
            left_out: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_states_are_those_of_the_report() {
        // serde's error for a name that is none lists those there are.
        let listed = |error: serde_json::Error| -> Vec<String> {
            let text = error.to_string();
            text.split('`').skip(3).step_by(2).map(str::to_owned).collect()
        };
        let of_calls = serde_json::from_str::<CallState>("\"?\"").unwrap_err();
        assert_eq!(listed(of_calls), CallState::ALL.map(CallState::label));
        let of_registrations = serde_json::from_str::<RegistrationState>("\"?\"").unwrap_err();
        assert_eq!(
            listed(of_registrations),
            RegistrationState::ALL.map(RegistrationState::label)
        );
        let of_allocations = serde_json::from_str::<AllocationState>("\"?\"").unwrap_err();
        assert_eq!(listed(of_allocations), AllocationState::ALL.map(AllocationState::label));
    }
}
