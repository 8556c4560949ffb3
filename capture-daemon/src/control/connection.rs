//! One client's conversation: request lines in, answer lines out, one at a time and each within its limits.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::protocol::{Ask, Code, Refusal, VERSION, parse};
use super::server::Counts;
use super::{Page, Pending, Sensor};
use crate::config::Control;

/// Bytes read at once, and bytes of an answer sent before other tasks have their turn.
const PIECE: usize = 64 * 1024;
/// Bytes behind a refused request that are read and thrown away.
const DISCARDED: u64 = 1 << 20;
/// An answer that is not put together by then will not be.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a conversation ended.
enum End {
    /// The client, or the daemon, closed it; or a system call on it failed.
    Closed,
    /// The client did not read.
    NotReading,
    /// It ends with this reply.
    Refused(Refusal),
}

/// Talks with one client until it ends.
pub(super) async fn converse(
    client: UnixStream,
    sensor: Arc<dyn Sensor>,
    config: Arc<Control>,
    counts: Arc<Counts>,
    stopped: watch::Receiver<bool>,
) {
    let mut conversation = Conversation {
        client,
        sensor,
        config,
        counts,
        stopped,
        received: Vec::new(),
    };
    let end = loop {
        if let Err(end) = conversation.exchange().await {
            break end;
        }
    };
    match end {
        End::Closed => {}
        End::NotReading => conversation.counts.not_reading.add(1),
        End::Refused(refusal) => {
            if refusal.code == Code::Timeout {
                conversation.counts.timed_out.add(1);
            }
            match conversation.refuse(&Value::Null, &refusal).await {
                Err(End::NotReading) => conversation.counts.not_reading.add(1),
                Err(_) => {}
                Ok(()) => conversation.linger().await,
            }
        }
    }
}

/// The reply to a request that is not answered, with its newline.
pub(super) fn error_line(id: &Value, refusal: &Refusal) -> String {
    format!("{}\n", json!({"v": VERSION, "id": id, "ok": false, "error": refusal}))
}

struct Conversation {
    client: UnixStream,
    sensor: Arc<dyn Sensor>,
    config: Arc<Control>,
    counts: Arc<Counts>,
    stopped: watch::Receiver<bool>,
    /// Bytes behind the last request that was taken: at most a request and a piece.
    received: Vec<u8>,
}

impl Conversation {
    /// Takes one request and answers it.
    async fn exchange(&mut self) -> Result<(), End> {
        let line = self.request().await?;
        let request = parse(&line);
        self.counts.requests.add(1);
        let id = request.id;
        match request.ask {
            Err(refusal) => self.refuse(&id, &refusal).await,
            Ok(ask) => self.answer(&id, ask).await,
        }
    }

    /// The next line, without its newline.
    async fn request(&mut self) -> Result<Vec<u8>, End> {
        let mut searched = 0;
        let mut deadline = self.deadline();
        loop {
            let found = self
                .received
                .iter()
                .skip(searched)
                .position(|byte| *byte == b'\n')
                .map(|behind| searched + behind);
            if found.unwrap_or(self.received.len()) >= self.config.max_request {
                let message = format!("a request has at most {} bytes", self.config.max_request);
                return Err(End::Refused(Refusal::new(Code::TooLarge, message)));
            }
            if let Some(end) = found {
                let rest = self.received.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.received, rest);
                line.truncate(end);
                return Ok(line);
            }
            searched = self.received.len();
            self.receive(deadline).await?;
            if searched == 0 {
                deadline = self.deadline();
            }
        }
    }

    /// When the next bytes must be there: an idle client may stay longer than one in the middle of a request.
    fn deadline(&self) -> Instant {
        let wait = if self.received.is_empty() {
            self.config.idle_timeout
        } else {
            self.config.request_timeout
        };
        Instant::now() + wait
    }

    async fn receive(&mut self, deadline: Instant) -> Result<(), End> {
        let room = PIECE.min(self.config.max_request);
        self.received.reserve(room);
        let mut limited = (&mut self.client).take(room as u64);
        let read = tokio::select! {
            _ = self.stopped.wait_for(|stopped| *stopped) => return Err(End::Closed),
            read = timeout_at(deadline, limited.read_buf(&mut self.received)) => read,
        };
        match read {
            Ok(Ok(0)) | Err(_) if self.received.is_empty() => Err(End::Closed),
            Ok(Ok(0)) => Err(End::Refused(Refusal::new(
                Code::BadRequest,
                "the request ends without a newline",
            ))),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(End::Closed),
            Err(_) => {
                let message = format!("the request was not whole within {:?}", self.config.request_timeout);
                Err(End::Refused(Refusal::new(Code::Timeout, message)))
            }
        }
    }

    async fn answer(&mut self, id: &Value, ask: Ask) -> Result<(), End> {
        let sensor = Arc::clone(&self.sensor);
        match ask {
            Ask::Health => self.whole(id, &sensor.health()).await,
            Ask::Status => self.whole(id, &sensor.status()).await,
            Ask::Signaling => self.whole(id, &sensor.signaling()).await,
            Ask::Calls(filter) => self.list(id, "", "calls", sensor.calls(&filter)).await,
            Ask::Call(call_id) => match timeout(ANSWER_TIMEOUT, sensor.call(&call_id)).await {
                Ok(flow) => self.whole(id, &flow).await,
                Err(_) => self.refuse(id, &unavailable()).await,
            },
            Ask::Streams(filter) => self.list(id, "", "streams", sensor.streams(&filter)).await,
            Ask::Registrations(filter) => self.list(id, "", "registrations", sensor.registrations(&filter)).await,
            Ask::Turn(filter) => {
                let figures = format!("\"figures\":{},", json!(sensor.turn()));
                let page = sensor.allocations(&filter);
                self.list(id, &figures, "allocations", page).await
            }
            Ask::Rules => self.whole(id, &sensor.rules()).await,
            Ask::ChangeRules(change) => match sensor.change_rules(change).await {
                Ok(rules) => self.whole(id, &rules).await,
                Err(why) => self.refuse(id, &Refusal::new(Code::Conflict, why.to_string())).await,
            },
            Ask::Version => {
                let answer = json!({"version": env!("CARGO_PKG_VERSION"), "protocol": VERSION});
                self.whole(id, &answer).await
            }
            Ask::Stop => {
                let told = self.whole(id, &json!({"stopping": true})).await;
                sensor.stop();
                told
            }
        }
    }

    /// Sends an answer that is small enough to be made at once.
    async fn whole(&mut self, id: &Value, answer: &impl Serialize) -> Result<(), End> {
        let mut line = opening(id);
        append(&mut line, answer);
        line.extend_from_slice(b"}\n");
        self.send(&line).await
    }

    /// Sends a list piece by piece, so that neither memory nor the other clients feel its length. `before` is the members
    /// that come before it, as JSON with a comma behind each.
    async fn list<T: Serialize>(
        &mut self,
        id: &Value,
        before: &str,
        name: &str,
        page: Pending<'_, Page<T>>,
    ) -> Result<(), End> {
        let Ok(page) = timeout(ANSWER_TIMEOUT, page).await else {
            return self.refuse(id, &unavailable()).await;
        };
        let mut piece = opening(id);
        let left_out = match page.left_out.as_slice() {
            [] => String::new(),
            some => format!("\"left_out\":{},", json!(some)),
        };
        piece.extend_from_slice(format!("{{{before}{left_out}\"total\":{},\"{name}\":[", page.total).as_bytes());
        for (index, item) in page.items.iter().enumerate() {
            if index > 0 {
                piece.push(b',');
            }
            append(&mut piece, item);
            if piece.len() >= PIECE {
                self.send(&piece).await?;
                piece.clear();
                tokio::task::yield_now().await;
            }
        }
        piece.extend_from_slice(b"]}}\n");
        self.send(&piece).await
    }

    async fn refuse(&mut self, id: &Value, refusal: &Refusal) -> Result<(), End> {
        self.counts.refused.add(1);
        self.send(error_line(id, refusal).as_bytes()).await
    }

    /// Ends the sending side and reads on for a while: closing over unread bytes would be a reset to the client
    /// (unix_release_sock, net/unix/af_unix.c), where it should find the reply and then the end.
    async fn linger(&mut self) {
        let discard = async {
            self.client.shutdown().await?;
            tokio::io::copy(&mut (&mut self.client).take(DISCARDED), &mut tokio::io::sink()).await
        };
        match timeout(self.config.request_timeout, discard).await {
            Ok(Ok(_)) | Err(_) => {}
            Ok(Err(error)) => tracing::debug!("closing a client of the control socket: {error}"),
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), End> {
        match timeout(self.config.write_timeout, self.client.write_all(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Closed),
            Err(_) => Err(End::NotReading),
        }
    }
}

fn unavailable() -> Refusal {
    let message = format!("the answer was not ready within {ANSWER_TIMEOUT:?}");
    Refusal::new(Code::Unavailable, message)
}

fn opening(id: &Value) -> Vec<u8> {
    format!("{{\"v\":{VERSION},\"id\":{id},\"ok\":true,\"answer\":").into_bytes()
}

fn append(line: &mut Vec<u8>, value: &impl Serialize) {
    let before = line.len();
    if let Err(error) = serde_json::to_writer(&mut *line, value) {
        // Not reachable with plain data and string keys; the line must stay JSON all the same.
        tracing::error!("an answer cannot be written as JSON: {error}");
        line.truncate(before);
        line.extend_from_slice(b"null");
    }
}
