//! The asking side, used by the command line: blocking, one connection.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Ask;

/// How long an answer may take to begin or to go on.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Pause between looks at a daemon that is stopping.
const STOP_PAUSE: Duration = Duration::from_millis(20);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody is there.
    #[error(
        "no siphon answers on {}: {source}\nIs it running? `siphon run` starts it, `--socket PATH` names another socket.",
        path.display()
    )]
    Absent {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not for this user.
    #[error(
        "{} may not be used by this user: {source}\nRun as root, or set control.mode and the socket's group in the configuration.",
        path.display()
    )]
    Forbidden {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The conversation broke off.
    #[error("talking to siphon on {}: {source}", path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The daemon refused.
    #[error("siphon on {} refuses: {message} ({code})", path.display())]
    Refused {
        /// The socket.
        path: PathBuf,
        /// The reply's code.
        code: String,
        /// The reply's message.
        message: String,
    },
    /// The answer is not what this client understands.
    #[error(
        "siphon on {} gives an answer this client (version {}) does not understand: {source}\nIs the daemon of another version?",
        path.display(), env!("CARGO_PKG_VERSION")
    )]
    Garbled {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The daemon was told to stop and has not.
    #[error("siphon on {} was told to stop and still runs after {} s", path.display(), waited.as_secs())]
    StillThere {
        /// The socket.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
}

#[derive(Deserialize)]
struct Reply {
    ok: bool,
    #[serde(default)]
    answer: Value,
    error: Option<ReplyError>,
}

#[derive(Deserialize)]
struct ReplyError {
    code: String,
    message: String,
}

/// A connection to a daemon.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// There is no daemon, or it is not for this user.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let failed = |source: io::Error| {
            let path = path.to_owned();
            match source.kind() {
                io::ErrorKind::PermissionDenied => ClientError::Forbidden { path, source },
                _ => ClientError::Absent { path, source },
            }
        };
        let stream = UnixStream::connect(path).map_err(failed)?;
        stream.set_read_timeout(Some(TIMEOUT)).map_err(failed)?;
        stream.set_write_timeout(Some(TIMEOUT)).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            stream: BufReader::new(stream),
        })
    }

    /// Asks, and gives the answer as it came.
    ///
    /// # Errors
    /// The connection broke off, or the daemon refused.
    pub fn ask(&mut self, ask: &Ask) -> Result<Value, ClientError> {
        let broken = |source: io::Error| ClientError::Broken {
            path: self.path.clone(),
            source,
        };
        let line = format!("{}\n", ask.line());
        // A daemon with too many clients replies and closes at once: its reply is worth more than the failed write.
        let written = self.stream.get_mut().write_all(line.as_bytes());
        let mut reply = Vec::new();
        self.stream.read_until(b'\n', &mut reply).map_err(broken)?;
        if reply.is_empty() {
            written.map_err(broken)?;
            return Err(broken(io::ErrorKind::UnexpectedEof.into()));
        }
        let reply: Reply = serde_json::from_slice(&reply).map_err(|source| ClientError::Garbled {
            path: self.path.clone(),
            source,
        })?;
        match reply.error {
            None if reply.ok => Ok(reply.answer),
            error => {
                let (code, message) = error.map_or_else(
                    || ("unknown".to_owned(), "no reason given".to_owned()),
                    |error| (error.code, error.message),
                );
                Err(ClientError::Refused {
                    path: self.path.clone(),
                    code,
                    message,
                })
            }
        }
    }

    /// Reads an answer as what it should be.
    ///
    /// # Errors
    /// It is something else.
    pub fn understand<T: DeserializeOwned>(&self, answer: Value) -> Result<T, ClientError> {
        serde_json::from_value(answer).map_err(|source| ClientError::Garbled {
            path: self.path.clone(),
            source,
        })
    }

    /// Waits until the daemon has gone: until it neither keeps this connection nor takes new ones.
    ///
    /// # Errors
    /// It is still there after `patience`.
    pub fn wait_gone(self, patience: Duration) -> Result<(), ClientError> {
        let Self { path, stream } = self;
        drop(stream);
        let begun = Instant::now();
        while UnixStream::connect(&path).is_ok() {
            if begun.elapsed() > patience {
                return Err(ClientError::StillThere { path, waited: patience });
            }
            std::thread::sleep(STOP_PAUSE);
        }
        Ok(())
    }
}
