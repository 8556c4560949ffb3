//! Ctrl-C and SIGTERM leave nothing behind.

use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result};

use super::{netns, scratch};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Exit status after a signal, as shells give it for SIGINT.
const STATUS: i32 = 130;

/// From now on SIGINT, SIGTERM and SIGHUP remove all namespaces with what runs in them, and all scratch directories,
/// before the process exits.
///
/// # Errors
/// When it is called twice.
pub fn clean_up_on_signals() -> Result<()> {
    ctrlc::set_handler(|| {
        INTERRUPTED.store(true, Ordering::SeqCst);
        eprintln!("interrupted: cleaning up");
        netns::remove_all();
        scratch::remove_all();
        exit(STATUS);
    })
    .context("watch for signals")
}

/// For the main thread on its way out: when a signal has come, what went wrong is its doing, and the process ends only
/// after everything has been cleared away.
pub fn wait_if_interrupted() {
    while INTERRUPTED.load(Ordering::SeqCst) {
        // The thread of the handler ends the process.
        thread::park();
    }
}
