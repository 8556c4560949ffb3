//! The server of the control socket: accepts clients up to the configured number and lets each have its conversation,
//! on the control thread's runtime.

use std::future::Future;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::connection::{self, error_line};
use super::protocol::{Code, Refusal};
use super::socket::{self, SocketError, SocketFile};
use super::{ControlCounts, Sensor};
use crate::config::Control;
use crate::counter::Counter;

/// How long conversations may go on after the stop, so that its reply still goes out.
const GRACE: Duration = Duration::from_millis(300);
/// Pause after accept(2) failed, as it does at once again where descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Counters of the socket. Written on the control thread only, as [`Counter`] asks.
#[derive(Debug, Default)]
pub struct Counts {
    pub(super) clients: Counter,
    pub(super) accepted: Counter,
    pub(super) busy: Counter,
    pub(super) requests: Counter,
    pub(super) refused: Counter,
    pub(super) timed_out: Counter,
    pub(super) not_reading: Counter,
}

impl Counts {
    /// The figures as they stand, for [`super::Status`].
    pub fn get(&self) -> ControlCounts {
        let Self {
            clients,
            accepted,
            busy,
            requests,
            refused,
            timed_out,
            not_reading,
        } = self;
        ControlCounts {
            clients: clients.get(),
            accepted: accepted.get(),
            busy: busy.get(),
            requests: requests.get(),
            refused: refused.get(),
            timed_out: timed_out.get(),
            not_reading: not_reading.get(),
        }
    }
}

/// The socket, ready to serve.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    file: SocketFile,
    config: Control,
    counts: Arc<Counts>,
}

impl Server {
    /// Makes the socket. To be called within the runtime that will serve it.
    ///
    /// # Errors
    /// Another daemon has the socket, or a system call failed.
    pub fn bind(config: &Control, counts: Arc<Counts>) -> Result<Self, SocketError> {
        let (listener, file) = socket::bind(&config.socket, config.mode)?;
        let listener = UnixListener::from_std(listener).map_err(|source| SocketError::System {
            path: config.socket.clone(),
            operation: "handing it to the runtime",
            source,
        })?;
        Ok(Self {
            listener,
            file,
            config: config.clone(),
            counts,
        })
    }

    /// Serves until `stop` is ready, then ends the conversations and removes the socket. Dropping the future does the
    /// same without the grace.
    pub async fn serve(self, sensor: Arc<dyn Sensor>, stop: impl Future<Output = ()>) {
        let Self {
            listener,
            file,
            config,
            counts,
        } = self;
        let config = Arc::new(config);
        let (stopping, stopped) = watch::channel(false);
        let mut conversations = JoinSet::new();
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = listener.accept() => match accepted {
                    Ok((client, _)) if conversations.len() >= config.max_clients => {
                        counts.busy.add(1);
                        turn_away(client, config.max_clients);
                    }
                    Ok((client, _)) => {
                        counts.accepted.add(1);
                        let conversation = connection::converse(
                            client,
                            Arc::clone(&sensor),
                            Arc::clone(&config),
                            Arc::clone(&counts),
                            stopped.clone(),
                        );
                        conversations.spawn(conversation);
                    }
                    Err(error) => {
                        tracing::warn!("accepting on the control socket {}: {error}", config.socket.display());
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = conversations.join_next() => {}
            }
            counts.clients.set(conversations.len() as u64);
        }
        drop(listener);
        // The receivers are gone only when every conversation is.
        let _ = stopping.send(true);
        let ended = async { while conversations.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            tracing::debug!("a client of the control socket was cut off at the stop");
        }
        conversations.shutdown().await;
        counts.clients.set(0);
        drop(file);
    }
}

/// Tells a client that there are too many. Its buffer is empty, so one short write without waiting suffices; the
/// runtime is left out of it, as it does not know yet that the client can be written to.
fn turn_away(client: UnixStream, max_clients: usize) {
    let refusal = Refusal::new(
        Code::Busy,
        format!("{max_clients} clients are connected, as many as control.max_clients allows"),
    );
    let line = error_line(&serde_json::Value::Null, &refusal);
    let told = client
        .into_std()
        .and_then(|mut client| client.write_all(line.as_bytes()));
    if let Err(error) = told {
        tracing::debug!("turning a client of the control socket away: {error}");
    }
}
