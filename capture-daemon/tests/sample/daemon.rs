//! The hand-made daemon behind a real control socket, on a thread of its own as the real one has.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use capture_daemon::config;
use capture_daemon::control::{Counts, Server};

use super::fake::Fake;

pub struct Daemon {
    pub socket: PathBuf,
    pub fake: Arc<Fake>,
    pub counts: Arc<Counts>,
    folder: tempfile::TempDir,
    thread: Option<JoinHandle<()>>,
}

impl Daemon {
    /// Serves `fake` with the limits that `adjust` leaves.
    pub fn start(fake: Fake, adjust: impl FnOnce(&mut config::Control)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut control = config::Control {
            socket: folder.path().join("run/siphon.sock"),
            ..config::Control::default()
        };
        adjust(&mut control);
        let socket = control.socket.clone();
        let fake = Arc::new(fake);
        let counts = Arc::new(Counts::default());
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn({
            let (fake, counts) = (Arc::clone(&fake), Arc::clone(&counts));
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let server = Server::bind(&control, counts).unwrap();
                    ready.send(()).unwrap();
                    let sensor = Arc::clone(&fake);
                    server.serve(sensor, fake.stopped.notified()).await;
                });
            }
        });
        is_ready.recv().unwrap();
        Self {
            socket,
            fake,
            counts,
            folder,
            thread: Some(thread),
        }
    }

    /// A folder for the test's files, gone with the daemon.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Waits for the server's end; the socket is closed by then.
    pub fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.fake.stopped.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; here another test may be unwinding.
            let _ = thread.join();
        }
    }
}
