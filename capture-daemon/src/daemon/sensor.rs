//! The running daemon as the control socket and `/metrics` see it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use capture_common::Media;
use crossbeam::channel::Sender;
use tokio::sync::{oneshot, watch};

use super::accounts::{Accounts, Boundary};
use super::crew::{Crew, Post};
use super::front::Front;
use super::health::Watch;
use super::measuring::Account;
use super::{readings, status};
use crate::config::Config;
use crate::control::{Audit, Counts, Filter, Health, Page, Pending, RuleBook, Sensor, Status};
use crate::engine::{self, Shared};
use crate::program::{Obtained, Presence, Verdicts};
use crate::report::{Allocation, Call, CallFlow, LearnedFigures, Registration, Signaling, Stream, TurnFigures};
use crate::rules::{Change, List, Unchanged, idle};
use crate::spool::{Mended, Spool, SpoolCounters};
use crate::time::Timestamp;
use crate::worker::Question;
use crate::xsk::Clock;

/// How long a lane may take to answer; a worker looks at its inbox every 50 ms when it is quiet and more often when it is not.
const PATIENCE: Duration = Duration::from_secs(2);

/// Everything the control thread can ask. Only that thread writes here; the locks are for the compiler and for tests.
pub struct Live {
    pub(super) config: Config,
    pub(super) started: Timestamp,
    since: Instant,
    front: Mutex<Front>,
    pub(super) obtained: Obtained,
    pub(super) posts: Vec<Post>,
    /// Of what is measured in the kernel.
    pub(super) measuring: Option<Account>,
    pub(super) shared: Arc<Shared>,
    pub(super) spool: Option<Arc<SpoolCounters>>,
    /// Files an earlier daemon left open.
    pub(super) mended: u64,
    pub(super) control: Arc<Counts>,
    watch: Mutex<Watch>,
    accounts: Mutex<Accounts>,
    /// Asks the daemon to stop.
    stop: watch::Sender<bool>,
    attached: AtomicBool,
}

impl Live {
    /// The daemon, now that all of it is up.
    pub fn new(
        config: Config,
        front: Front,
        crew: &Crew,
        shared: Arc<Shared>,
        spool: Option<&Spool>,
        control: Arc<Counts>,
        stop: watch::Sender<bool>,
    ) -> Self {
        Self {
            config,
            started: now(),
            since: Instant::now(),
            obtained: front.obtained().clone(),
            front: Mutex::new(front),
            posts: crew.posts().to_vec(),
            measuring: None,
            shared,
            spool: spool.map(Spool::counters),
            mended: spool.map_or(0, |spool| {
                let closed = |mended: &&Mended| matches!(mended, Mended::Closed { .. });
                spool.mended().iter().filter(closed).count() as u64
            }),
            control,
            watch: Mutex::default(),
            accounts: Mutex::default(),
            stop,
            attached: AtomicBool::new(true),
        }
    }

    /// The same, with what is measured in the kernel.
    #[must_use]
    pub fn measuring(self, measuring: Option<Account>) -> Self {
        Self { measuring, ..self }
    }

    /// Whether the kernel program is where it was put.
    pub(super) fn is_attached(&self) -> bool {
        self.attached.load(Ordering::Relaxed)
    }

    /// Says what was obtained.
    pub fn announce(&self) {
        let Obtained {
            attach,
            why_not_native,
            verified_instructions,
            queues,
            rings,
        } = &self.obtained;
        let interface = &self.config.capture.interface;
        match rings {
            None => tracing::info!("capturing on {interface}: {attach} XDP, {} queues", queues.len()),
            Some(size) => tracing::info!(
                "capturing on {interface} beside its host: {attach}, {} rings of {size} bytes",
                self.posts.len()
            ),
        }
        tracing::debug!("the kernel's verifier followed {verified_instructions:?} instructions of the program");
        if let Some(why) = why_not_native {
            tracing::warn!("{interface}: no native XDP: {why}");
        }
        warn_of_rules(&self.shared.rules.list(), self.config.capture.media);
    }

    /// Looks at how things stand, about once a second: whether every frame is in one place, and the rest.
    pub fn observe(&self) {
        let uptime = self.uptime();
        let mut accounts = lock(&self.accounts);
        let before = accounts.violated();
        let violated = accounts.look(uptime, readings::readings(self));
        drop(accounts);
        // Once until it is right again: what is missing stays missing.
        for boundary in violated.iter().filter(|boundary| !before.contains(boundary)) {
            tracing::error!(
                "frames without a place before the stage {}: {:?}",
                boundary.label(),
                self.status().identity
            );
        }
        lock(&self.watch).observe(now(), uptime, readings::vitals(self, &violated));
    }

    /// Looks that the audit has taken, and how many found each boundary violated.
    pub(super) fn audit(&self) -> Audit {
        let accounts = lock(&self.accounts);
        let violations = Boundary::ALL.map(|boundary| (boundary.label().to_owned(), accounts.violations(boundary)));
        Audit {
            looks: accounts.looks(),
            violations: violations.into(),
        }
    }

    /// Takes the kernel program off the interface.
    pub fn detach(&self) {
        self.attached.store(false, Ordering::Relaxed);
        if let Err(error) = lock(&self.front).detach() {
            tracing::error!("{error}");
        }
    }

    /// Says where every frame went, when all have arrived.
    pub fn conclude(&self) {
        let status = self.status();
        for (name, stage) in status.identity.stages() {
            let lost: u64 = stage.dropped.values().sum();
            tracing::info!("{name}: {} in, {lost} lost", stage.seen);
            if !stage.holds || stage.queued > 0 {
                tracing::error!("{name}: frames unaccounted for: {stage:?}");
            }
        }
    }

    /// Time since the start.
    pub fn uptime(&self) -> Duration {
        self.since.elapsed()
    }

    /// The kernel program's counters and the interface's; what cannot be read any more, because the interface is gone, is zero.
    pub(super) fn kernel(&self) -> (Verdicts, crate::program::InterfaceCounters) {
        let interface = lock(&self.front).interface_counters();
        (self.verdicts().unwrap_or_default(), interface.unwrap_or_default())
    }

    /// The kernel program's counters, where they can be read.
    pub(super) fn verdicts(&self) -> Option<Verdicts> {
        let verdicts = lock(&self.front).verdicts();
        verdicts.inspect_err(|error| tracing::debug!("{error}")).ok()
    }

    /// What the interface's driver counts of loss, under its own names.
    pub(super) fn driver_counters(&self) -> Vec<(String, u64)> {
        lock(&self.front).driver_counters()
    }

    /// Frames that found each lane's ring buffer full; none where there are no ring buffers.
    pub(super) fn ring_full(&self) -> Vec<u64> {
        if self.obtained.rings.is_none() {
            return Vec::new();
        }
        let full = lock(&self.front).ring_full();
        full.unwrap_or_else(|error| {
            tracing::debug!("{error}");
            vec![0; self.posts.len()]
        })
    }

    /// Frames that the interface lost before they could be seen.
    pub(super) fn interface_lost(&self, counters: &crate::program::InterfaceCounters) -> u64 {
        let in_socket = |post: &Post| post.socket.rx_dropped.get() + post.socket.rx_ring_full.get();
        lock(&self.front).interface_lost(counters, self.posts.iter().map(in_socket).sum())
    }

    /// Frames that lay before the verdicts, where the kernel counts what it brings there.
    pub(super) fn waiting(&self) -> Option<u64> {
        lock(&self.front).waiting()
    }

    /// The endpoints of calls as the kernel program has them.
    pub(super) fn learned(&self) -> LearnedFigures {
        lock(&self.front).learned_figures()
    }

    /// Whether frames can come in.
    pub(super) fn presence(&self) -> Presence {
        lock(&self.front).presence()
    }

    /// The streams of all lanes, and who did not answer in time.
    async fn all_streams(&self) -> (Vec<Stream>, Vec<String>) {
        let lanes = self
            .posts
            .iter()
            .map(|post| (format!("queue {}", post.queue), &post.inbox));
        let kernel = self
            .measuring
            .iter()
            .map(|account| ("the kernel".to_owned(), &account.inbox));
        let (mut streams, left_out) = gather(lanes.chain(kernel), PATIENCE).await;
        engine::join(&self.shared, &mut streams);
        (streams, left_out)
    }
}

/// Asks each for its streams; all that came within `patience`, and whose did not.
async fn gather<'a>(
    asked: impl Iterator<Item = (String, &'a Sender<Question>)>,
    patience: Duration,
) -> (Vec<Stream>, Vec<String>) {
    let mut waiting = Vec::new();
    let mut left_out = Vec::new();
    for (whose, inbox) in asked {
        let (reply, answer) = oneshot::channel();
        if inbox.try_send(Question { reply }).is_ok() {
            waiting.push((whose, answer));
        } else {
            tracing::warn!("{whose}: too many questions wait; its streams are left out");
            left_out.push(whose);
        }
    }
    let mut streams = Vec::new();
    let until = tokio::time::Instant::now() + patience;
    for (whose, answer) in waiting {
        match tokio::time::timeout_at(until, answer).await {
            Ok(Ok(part)) => streams.extend(part),
            _ => {
                tracing::warn!("{whose} did not answer; its streams are left out");
                left_out.push(whose);
            }
        }
    }
    (streams, left_out)
}

impl Sensor for Live {
    fn health(&self) -> Health {
        self.observe();
        lock(&self.watch).health(&self.status())
    }

    fn status(&self) -> Status {
        status::status(self, now())
    }

    fn signaling(&self) -> Signaling {
        self.shared.signaling(now())
    }

    fn calls<'a>(&'a self, filter: &'a Filter) -> Pending<'a, Page<Call>> {
        Box::pin(async {
            let (mut streams, left_out) = self.all_streams().await;
            streams.sort_by_key(|stream| stream.start);
            let calls = filter.calls(engine::calls(&self.shared, &streams, now()));
            Page { left_out, ..calls }
        })
    }

    fn call<'a>(&'a self, call_id: &'a str) -> Pending<'a, CallFlow> {
        Box::pin(async move {
            let (mut streams, left_out) = self.all_streams().await;
            streams.sort_by_key(|stream| stream.start);
            let flow = engine::one_call(&self.shared, streams, call_id, now());
            CallFlow { left_out, ..flow }
        })
    }

    fn streams<'a>(&'a self, filter: &'a Filter) -> Pending<'a, Page<Stream>> {
        Box::pin(async {
            let (streams, left_out) = self.all_streams().await;
            let streams = filter.streams(streams);
            Page { left_out, ..streams }
        })
    }

    fn registrations<'a>(&'a self, filter: &'a Filter) -> Pending<'a, Page<Registration>> {
        Box::pin(async { filter.registrations(self.shared.registrations.report(now())) })
    }

    fn turn(&self) -> TurnFigures {
        let lanes: Vec<_> = self.posts.iter().map(|post| Arc::clone(&post.engine)).collect();
        engine::turn_figures(&self.shared, &lanes, now())
    }

    fn allocations<'a>(&'a self, filter: &'a Filter) -> Pending<'a, Page<Allocation>> {
        Box::pin(async { filter.allocations(self.shared.turn.report(now())) })
    }

    fn rules(&self) -> RuleBook {
        RuleBook {
            default_level: self.shared.rules.default_level().label().to_owned(),
            rules: status::rules(self, &self.shared.calls.count(now())),
        }
    }

    fn change_rules(&self, change: Change) -> Pending<'_, Result<RuleBook, Unchanged>> {
        Box::pin(async {
            let list = self.shared.rules.change(change)?;
            tracing::info!("the rules were changed: {}", names(&list));
            warn_of_rules(&list, self.config.capture.media);
            for part in 0.. {
                if !self.shared.judge_again(part) {
                    break;
                }
                tokio::task::yield_now().await;
            }
            Ok(self.rules())
        })
    }

    fn stop(&self) {
        self.stop.send_replace(true);
    }
}

/// The rules in their order.
fn names(list: &List) -> String {
    let names: Vec<&str> = list.entries().iter().map(|entry| entry.rule.name.as_str()).collect();
    match names.as_slice() {
        [] => "there are none".to_owned(),
        names => names.join(", "),
    }
}

/// Says which rules no call will ever come under, and which come to nothing.
fn warn_of_rules(list: &List, media: Media) {
    for entry in list.entries() {
        if let Some(never) = &entry.never {
            tracing::warn!("the rule {} {never}", entry.rule.name);
        }
        if let Some(idle) = idle(entry.rule.level, media) {
            tracing::warn!("the rule {} {idle}", entry.rule.name);
        }
    }
}

fn now() -> Timestamp {
    Clock::new().now()
}

/// A panic under one of these locks leaves nothing half done that matters.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use crossbeam::channel;

    use super::*;

    #[test]
    fn who_does_not_answer_is_named_and_the_others_streams_are_told() {
        let (good, questions) = channel::bounded::<Question>(1);
        let answering = thread::spawn(move || {
            let question = questions.recv().unwrap();
            question.reply.send(vec![Stream::default()]).unwrap();
        });
        // One whose inbox is full, one that takes the question and never answers, one that is gone.
        let (full, _unread) = channel::bounded::<Question>(0);
        let (silent, _kept) = channel::bounded::<Question>(1);
        let (gone, questions) = channel::bounded::<Question>(1);
        drop(questions);
        let asked = [
            ("queue 0", &good),
            ("queue 1", &full),
            ("queue 2", &silent),
            ("the kernel", &gone),
        ];
        let asked = asked.map(|(whose, inbox)| (whose.to_owned(), inbox));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        // Long enough for a thread to be run, and no figure depends on it.
        let (streams, mut left_out) = runtime.block_on(gather(asked.into_iter(), Duration::from_secs(5)));
        answering.join().unwrap();
        left_out.sort();
        assert_eq!(streams.len(), 1);
        assert_eq!(left_out, ["queue 1", "queue 2", "the kernel"]);
    }
}
