//! A signal leaves nothing behind: no namespace, no process in it, no directory.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;
use xtask::lab::process::{Process, wait_for};
use xtask::lab::{Need, Netns, Scratch, interrupt, require};

/// Set in the process that is interrupted, which is this test once more.
const VICTIM: &str = "SIPHON_LAB_VICTIM";

#[test]
fn a_signal_leaves_nothing_behind() {
    if env::var_os(VICTIM).is_some() {
        victim().unwrap();
    }
    if !require("a_signal_leaves_nothing_behind", &[Need::Root, Need::Program("ip")]) {
        return;
    }
    for signal in [Signal::INT, Signal::TERM] {
        let mut victim = Process::spawn(
            Command::new(env::current_exe().unwrap())
                .args(["a_signal_leaves_nothing_behind", "--exact", "--nocapture"])
                .env(VICTIM, "1")
                .stdout(Stdio::piped()),
        )
        .unwrap();
        let stdout = victim.child().stdout.take().unwrap();
        let made = BufReader::new(stdout)
            .lines()
            .map(Result::unwrap)
            .find_map(|line| Some(line.split_once("made ")?.1.to_owned()))
            .unwrap();
        let paths: Vec<&str> = made.split(' ').collect();
        assert!(
            paths.len() == 3 && paths.iter().all(|path| Path::new(path).exists()),
            "{made}"
        );
        let status = victim.stop(signal, Duration::from_secs(20)).unwrap();
        assert_eq!(status.code(), Some(130));
        for path in paths {
            assert!(!Path::new(path).exists(), "{path} is left over after {signal:?}");
        }
    }
}

/// Makes one thing of each kind, says where they are, and waits for the signal.
fn victim() -> Result<()> {
    interrupt::clean_up_on_signals()?;
    let netns = Netns::new("victim")?;
    let scratch = Scratch::new("victim")?;
    let sleeper = netns.spawn("sleep 600")?;
    let process = format!("/proc/{}/exe", sleeper.pid());
    // Only once it is in the namespace can it be found there.
    wait_for("sleep in the namespace", Duration::from_secs(10), || {
        Ok(std::fs::read_link(&process)?.ends_with("sleep").then_some(()))
    })?;
    println!("made {} {} {process}", netns.path().display(), scratch.path().display());
    loop {
        std::thread::park();
    }
}
