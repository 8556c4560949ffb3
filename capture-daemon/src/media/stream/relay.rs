//! A stream whose packets came inside of TURN.

use super::{Key, Stream};
use crate::media::endpoints::Endpoints;
use crate::net::Endpoint;
use crate::report;
use crate::time::Timestamp;
use crate::turn::{Ends, Path, Via};

/// How a stream went through TURN, and what is known of its ends behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relay {
    via: Via,
    ends: Ends,
}

impl Stream {
    /// The stream's packets came inside of TURN. A client begins with indications and goes on with a channel.
    pub fn wrap(&mut self, via: Via) {
        match &mut self.relay {
            Some(relay) => relay.via.channel = relay.via.channel.or(via.channel),
            None => {
                self.relay = Some(Box::new(Relay {
                    via,
                    ends: Ends::default(),
                }));
            }
        }
    }

    /// Source and destination as SDP may name them: behind the server where TURN wraps the packets, as far as that is
    /// known at `ts`.
    pub fn ends(&mut self, ts: Timestamp, endpoints: &Endpoints) -> (Endpoint, Endpoint) {
        let Key { src, dst, .. } = self.key;
        if let Some(relay) = &mut self.relay {
            let tcp = relay.via.tcp;
            relay.ends = endpoints.behind(ts, Path { src, dst, tcp }, relay.via);
        }
        self.known_ends()
    }

    /// The same, as far as it was known at the last look.
    pub(super) fn known_ends(&self) -> (Endpoint, Endpoint) {
        let Key { src, dst, .. } = self.key;
        let Some(relay) = &self.relay else {
            return (src, dst);
        };
        let Ends {
            relayed,
            peer,
            from_client,
        } = relay.ends;
        if from_client {
            (relayed.unwrap_or(src), peer.unwrap_or(dst))
        } else {
            (peer.unwrap_or(src), relayed.unwrap_or(dst))
        }
    }

    /// Whether TURN wrapped its packets.
    pub const fn is_relayed(&self) -> bool {
        self.relay.is_some()
    }
}

impl Relay {
    pub(super) fn report(&self) -> report::Via {
        let text = |endpoint: Option<Endpoint>| endpoint.map(|endpoint| endpoint.to_string());
        report::Via {
            kind: match self.via.channel {
                Some(_) => "turn_channel",
                None => "turn_indication",
            }
            .to_owned(),
            channel: self.via.channel.map(|number| format!("{number:#06x}")),
            relayed: text(self.ends.relayed),
            peer: text(self.ends.peer),
        }
    }
}
