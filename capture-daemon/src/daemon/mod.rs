//! `siphon run`: brings the parts up in order, waits, and takes them down in the order that loses nothing.
//!
//! Up: sockets of the control thread, kernel program with its lanes, idle, spool, workers, who makes memory ready for them, the program
//! is armed, READY. Down: the program is detached, so that no frame comes any more; memory is made ready no more; the workers empty their rings and hand over their chunks; the writer closes its files; the
//! control socket goes last.

mod accounts;
mod crew;
mod front;
mod health;
mod measuring;
mod placement;
mod readings;
mod reserve;
mod sensor;
mod signals;
mod status;

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;

use crate::config::{Config, Mode};
use crate::control::{self, SocketError};
use crate::engine::Shared;
use crate::intake::Lanes;
use crate::metrics::{self, MetricsError};
use crate::program::{self, KernelLog, OpenError};
use crate::spool::{Spool, SpoolError};

use crew::{Crew, CrewError};
use front::Front;
use measuring::Measuring;
use sensor::Live;

pub use placement::Beside;
pub use reserve::Reserve;

/// Time between two looks at how the daemon does.
const WATCH: Duration = Duration::from_secs(1);

/// Time between two looks at the kernel program's log, where it is on.
const KERNEL_LOG: Duration = Duration::from_millis(100);

/// Why the daemon did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The control thread's runtime.
    #[error("start the control thread's runtime: {0}")]
    Runtime(#[source] std::io::Error),
    /// The signals.
    #[error("listen for signals: {0}")]
    Signals(#[source] std::io::Error),
    /// The control socket.
    #[error(transparent)]
    Control(#[from] SocketError),
    /// `/metrics`.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The kernel program or a ring.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The thread that reads what the kernel program measures.
    #[error("start the thread that reads the map of streams: {0}")]
    Measuring(#[source] std::io::Error),
    /// The thread that makes memory ready.
    #[error("start the thread that makes memory ready: {0}")]
    Reserve(#[source] std::io::Error),
    /// The workers.
    #[error(transparent)]
    Crew(#[from] CrewError),
}

/// Captures until SIGTERM, SIGINT or `siphon stop`.
///
/// # Errors
/// What could not be brought up. Nothing is left behind then.
pub fn run(config: Config) -> Result<(), DaemonError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(DaemonError::Runtime)?
        .block_on(capture(config))
}

async fn capture(config: Config) -> Result<(), DaemonError> {
    let (stop, asked) = watch::channel(false);
    let (end, over) = watch::channel(false);
    let mut signals = signals::Signals::new().map_err(DaemonError::Signals)?;
    let counts = Arc::new(control::Counts::default());
    let socket = control::Server::bind(&config.control, Arc::clone(&counts))?;
    let scrape = match config.metrics.enabled {
        true => Some(metrics::Server::bind(&config.metrics).await?),
        false => None,
    };
    let allowed = crew::allowed_cpus()?;
    let cpus = crew::cpus(&config.capture.cpus, &config.capture.interface)?;
    // Rings and frames are touched first by this thread, and lie on its NUMA node: the workers' is wanted.
    if let Err(errno) = placement::run_on(&cpus) {
        tracing::warn!("make the rings on the workers' CPUs: {errno}");
    }
    let (mut front, lanes) = match config.capture.mode {
        Mode::Mirror => program::prepare(&config.capture, &config.follow)
            .map(|(program, lanes)| (Front::Program(Box::new(program)), Lanes::Sockets(lanes)))?,
        Mode::Host => program::host::prepare(&config.capture, &config.follow)
            .map(|(program, lane)| (Front::Program(Box::new(program)), Lanes::Rings(vec![lane])))?,
        Mode::Packet => program::packet::prepare(&config.capture, config.capture.cpus.len())
            .map(|(tap, lanes)| (Front::Tap(tap), Lanes::Packets(lanes)))?,
    };
    let kernel_log = front.take_kernel_log();
    let measured = front.take_measured();
    let beside = placement::beside(
        &placement::near(&config.capture.interface, allowed.clone()),
        &cpus,
        lanes.len(),
    );
    placement::keep_off(&allowed, &cpus, lanes.len());
    let (spool, spool_lanes) = match config.spool.enabled {
        true => Spool::start(&config.spool, &config.capture.interface, lanes.len())
            .map(|(spool, lanes)| (Some(spool), lanes.into_iter().map(Some).collect()))?,
        false => (None, (0..lanes.len()).map(|_| None).collect()),
    };
    let shared = Shared::new(&config.follow)
        .with_privacy(&config.privacy)
        .with_rules(&config.rules, config.capture.level)
        .told_to(front.learn());
    let shared = Arc::new(shared);
    let crew = match Crew::start(lanes, spool_lanes, &cpus, &config, &shared) {
        Ok(crew) => crew,
        Err(error) => {
            // The lanes have ended with the crew, and the writer ends with its lanes.
            undo(front, None, spool)?;
            return Err(error.into());
        }
    };
    let measuring = match measured
        .map(|map| Measuring::start(map, &config.follow, &shared))
        .transpose()
    {
        Ok(measuring) => measuring,
        Err(source) => {
            undo(front, Some(crew), spool)?;
            return Err(DaemonError::Measuring(source));
        }
    };
    let reserve = match Reserve::start(crew.frontiers(), beside) {
        Ok(reserve) => reserve,
        Err(source) => {
            undo(front, Some(crew), spool)?;
            return Err(DaemonError::Reserve(source));
        }
    };
    // Not before there is somebody to read what it sends: making room for calls and files takes its time.
    if let Err(error) = front.arm() {
        undo(front, Some(crew), spool)?;
        return Err(error.into());
    }
    let account = measuring.as_ref().map(Measuring::account);
    let live = Live::new(config, front, &crew, shared, spool.as_ref(), counts, stop).measuring(account);
    let live = Arc::new(live);

    let until = |stopped: &watch::Receiver<bool>| {
        let mut stopped = stopped.clone();
        async move {
            // Both senders outlive their receivers.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        }
    };
    let control = tokio::spawn(socket.serve(live.clone(), until(&over)));
    let scrape = scrape.map(|scrape| tokio::spawn(scrape.serve(live.clone(), until(&over))));
    let watching = tokio::spawn(watch_over(Arc::clone(&live)));
    let logging = kernel_log.map(|log| tokio::spawn(forward(log)));
    notify(&[NotifyState::Ready]);
    live.announce();

    tokio::select! {
        name = signals.next() => tracing::info!("{name}: stopping"),
        () = until(&asked) => tracing::info!("asked to stop"),
    }
    notify(&[NotifyState::Stopping]);
    live.detach();
    // Before the memory goes that it makes ready.
    drop(reserve);
    crew.finish();
    drop(measuring);
    if let Some(spool) = spool {
        spool.stop()?;
    }
    live.conclude();
    // Only now: a client that waits for the socket to go finds closed files.
    end.send_replace(true);
    watching.abort();
    if let Some(logging) = logging {
        logging.abort();
    }
    // A server that panicked has said so already; what was captured is safe.
    let _ = control.await;
    if let Some(scrape) = scrape {
        let _ = scrape.await;
    }
    Ok(())
}

/// Takes down what has come up, where the rest does not.
fn undo(front: Front, crew: Option<Crew>, spool: Option<Spool>) -> Result<(), SpoolError> {
    drop(front);
    if let Some(crew) = crew {
        crew.finish();
    }
    spool.map(Spool::stop).transpose().map(drop)
}

async fn watch_over(live: Arc<Live>) {
    let mut clock = tokio::time::interval(WATCH);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        live.observe();
    }
}

async fn forward(mut log: KernelLog) {
    let mut clock = tokio::time::interval(KERNEL_LOG);
    loop {
        clock.tick().await;
        log.flush();
    }
}

/// Tells the service manager, where there is one.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("telling the service manager: {error}");
    }
}
