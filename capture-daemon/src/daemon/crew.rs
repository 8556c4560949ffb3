//! The workers' threads: started, pinned, asked, and waited for.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};

use crossbeam::channel::{self, Sender};
use rustix::thread::{CpuSet, sched_getaffinity};

use super::placement;
use crate::config::Config;
use crate::engine::{Engine, EngineCounters, Shared};
use crate::frontier::Frontier;
use crate::intake::{Intake, Lanes};
use crate::spool::SpoolLane;
use crate::worker::{Fault, NICENESS, Question, WORKER_SLICE, Worker};
use crate::xsk::{LaneCounters, sys};

/// Questions that may wait at one lane.
const INBOX: usize = 16;

/// Why the workers did not start.
#[derive(Debug, thiserror::Error)]
pub enum CrewError {
    /// The CPUs of this process could not be asked for.
    #[error("ask for the CPUs this process may run on (sched_getaffinity): {0}")]
    Affinity(#[source] io::Error),
    /// A configured CPU is not to be had.
    #[error("capture.cpus: CPU {cpu} is none of those this process may run on: {allowed:?}")]
    NoSuchCpu {
        /// The CPU.
        cpu: usize,
        /// Those it may run on.
        allowed: Vec<usize>,
    },
    /// A thread could not be started.
    #[error("start the worker of queue {queue}: {source}")]
    Thread {
        /// Its queue.
        queue: u32,
        /// The errno.
        source: io::Error,
    },
}

/// A lane as the control thread knows it.
#[derive(Clone, Debug)]
pub struct Post {
    /// The rx queue.
    pub queue: u32,
    /// CPU the worker is pinned to, if it could be.
    pub cpu: Option<usize>,
    /// What the ring's side counts.
    pub socket: Arc<LaneCounters>,
    /// What the engine counts.
    pub engine: Arc<EngineCounters>,
    /// What keeps it from capturing.
    pub fault: Fault,
    /// Set when the worker's thread has ended, by itself or in a panic.
    pub gone: Arc<AtomicBool>,
    /// Where it is asked.
    pub inbox: Sender<Question>,
}

impl Post {
    /// What keeps the lane from capturing, if anything does.
    pub fn trouble(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The workers.
#[derive(Debug)]
pub struct Crew {
    posts: Vec<Post>,
    threads: Vec<JoinHandle<()>>,
    frontiers: Vec<Arc<Frontier>>,
    stop: Arc<AtomicBool>,
}

/// The CPUs this process may run on.
///
/// # Errors
/// The errno of sched_getaffinity(2).
pub fn allowed_cpus() -> Result<Vec<usize>, CrewError> {
    let set = sched_getaffinity(None).map_err(|errno| CrewError::Affinity(errno.into()))?;
    Ok((0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
}

/// The CPUs to pin workers to: the configured ones, or those this process may run on that are near the interface.
///
/// # Errors
/// A configured CPU is none of those it may run on.
pub fn cpus(configured: &[usize], interface: &str) -> Result<Vec<usize>, CrewError> {
    let allowed = allowed_cpus()?;
    if let Some(cpu) = configured.iter().find(|cpu| !allowed.contains(cpu)) {
        return Err(CrewError::NoSuchCpu { cpu: *cpu, allowed });
    }
    Ok(match configured {
        [] => {
            let near = placement::near(interface, allowed.clone());
            if near != allowed {
                tracing::info!("workers go to the CPUs of {interface}'s NUMA node: {near:?}");
            }
            near
        }
        some => some.to_vec(),
    })
}

impl Crew {
    /// Starts a worker for each lane, pinned to `cpus` in turn.
    ///
    /// # Errors
    /// A thread could not be started; the others have ended then.
    pub fn start(
        lanes: Lanes,
        spool_lanes: Vec<Option<SpoolLane>>,
        cpus: &[usize],
        config: &Config,
        shared: &Arc<Shared>,
    ) -> Result<Self, CrewError> {
        let mut crew = Self {
            posts: Vec::new(),
            threads: Vec::new(),
            frontiers: Vec::new(),
            stop: Arc::default(),
        };
        match lanes {
            Lanes::Sockets(lanes) => crew.start_all(lanes, spool_lanes, cpus, config, shared)?,
            Lanes::Rings(lanes) => crew.start_all(lanes, spool_lanes, cpus, config, shared)?,
            Lanes::Packets(lanes) => crew.start_all(lanes, spool_lanes, cpus, config, shared)?,
        }
        Ok(crew)
    }

    fn start_all(
        &mut self,
        lanes: Vec<impl Intake>,
        spool_lanes: Vec<Option<SpoolLane>>,
        cpus: &[usize],
        config: &Config,
        shared: &Arc<Shared>,
    ) -> Result<(), CrewError> {
        for ((lane, spool), cpu) in lanes.into_iter().zip(spool_lanes).zip(cpus.iter().cycle()) {
            let engine = Engine::new(&config.follow, &config.capture, Arc::clone(shared));
            self.frontiers.push(engine.frontier());
            let (inbox, questions) = channel::bounded(INBOX);
            let mut post = Post {
                queue: lane.queue(),
                cpu: None,
                socket: lane.counters(),
                engine: engine.counters(),
                fault: Fault::default(),
                gone: Arc::default(),
                inbox,
            };
            let queue = post.queue;
            let watched = Gone(Arc::clone(&post.gone));
            let stop = Arc::clone(&self.stop);
            let worker = Worker::new(lane, engine, spool, questions, stop, Arc::clone(&post.fault));
            let (cpu, raises_priority) = (*cpu, config.capture.raise_priority);
            let (pinned, told) = channel::bounded(1);
            let thread = thread::Builder::new()
                .name(format!("siphon-q{queue}"))
                .spawn(move || {
                    let _watched = watched;
                    // The other end waits for it below.
                    let _ = pinned.send(pin(queue, cpu));
                    if raises_priority {
                        raise_priority(queue);
                    }
                    worker.run();
                })
                .map_err(|source| CrewError::Thread { queue, source })?;
            post.cpu = told.recv().unwrap_or_default();
            self.posts.push(post);
            self.threads.push(thread);
        }
        Ok(())
    }

    /// The lanes, in order of their queues.
    pub fn posts(&self) -> &[Post] {
        &self.posts
    }

    /// Where the next streams of each lane will lie.
    pub fn frontiers(&self) -> Vec<Arc<Frontier>> {
        self.frontiers.clone()
    }

    /// Has the workers empty their rings and end, and waits for them, as dropping the crew does. The kernel program must
    /// be detached before, or frames that come meanwhile find no room.
    pub fn finish(self) {
        drop(self);
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for (thread, post) in self.threads.drain(..).zip(&self.posts) {
            if thread.join().is_err() {
                tracing::error!(
                    "the worker of queue {} panicked; its frames since then are lost",
                    post.queue
                );
            }
        }
    }
}

/// Tells that the thread has ended, whichever way.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Pins the calling thread to `cpu`, and returns it where that was possible.
fn pin(queue: u32, cpu: usize) -> Option<usize> {
    match placement::run_on(&[cpu]) {
        Ok(()) => Some(cpu),
        Err(errno) => {
            tracing::warn!("pin the worker of queue {queue} to CPU {cpu}: {errno}");
            None
        }
    }
}

/// Has the calling thread go before others.
fn raise_priority(queue: u32) {
    if let Err(errno) = sys::go_before_others(NICENESS, WORKER_SLICE) {
        tracing::warn!(
            "raise the priority of the worker of queue {queue} to niceness {NICENESS} (CAP_SYS_NICE): {errno}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_that_is_not_there_is_named_with_those_that_are() {
        let all = cpus(&[], "lo").unwrap();
        assert!(!all.is_empty());
        let wrong = CpuSet::MAX_CPU - 1;
        let error = cpus(&[wrong], "lo").unwrap_err().to_string();
        assert!(
            error.contains(&format!("CPU {wrong}")) && error.contains(&format!("{all:?}")),
            "{error}"
        );
    }
}
