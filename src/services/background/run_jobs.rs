//! Does the jobs of the queue, several of each kind at a time, each until it is done or given up.
//!
//! A process claims a job for a lease, and renews the lease while it works. After a crash another process claims the job
//! when the lease is over, so an email or a notice may be sent twice. Each kind has workers of its own: a mail server
//! that stalls delays no logout notice, and a client that stalls no email.

use std::{collections::HashMap, sync::Arc, time::Duration};

use prometheus_client::metrics::counter::Counter;
use tokio::{
    sync::{Notify, Semaphore},
    task::{self, JoinSet},
    time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout},
};
use uuid::Uuid;

use crate::{
    crypto::random::Random,
    domain::{
        clock::Clock,
        job::{JobKind, LEASE, RENEWED_EVERY},
    },
    services::{
        Unavailable,
        audit::Event,
        background::{
            deliver_mail::DeliverMail,
            end_sessions::EndSessions,
            outcome::{Failure, JobOutcome},
            tell_logout::TellLogout,
        },
        metrics::Metrics,
    },
    store::{
        Database,
        jobs::{self, Job},
    },
};

/// Does the jobs of the queue.
#[derive(Debug, Clone)]
pub struct RunJobs {
    /// Where the queue is.
    pub db: Database,
    /// Handles [`JobKind::Email`].
    pub deliver_mail: DeliverMail,
    /// Handles [`JobKind::LogoutNotice`].
    pub tell_logout: TellLogout,
    /// Handles [`JobKind::SessionEnd`].
    pub end_sessions: EndSessions,
    /// Names claims, and spreads retries.
    pub random: Random,
    /// Wakes this process, which looks by itself as well.
    pub awake: Arc<Notify>,
    pub metrics: Metrics,
    pub clock: Arc<dyn Clock>,
}

/// How often a process looks that was not woken.
const POLL: Duration = Duration::from_secs(1);
/// The longest pause before emails after a wake-up. It is random: the work for an existing account must not slow down
/// the next request measurably, which would tell that the account exists.
const PAUSE_MS: u64 = 250;
/// How often waiting and dead jobs are counted.
const COUNT_EVERY: Duration = Duration::from_secs(15);
/// How long jobs may take once the service stops.
const GRACE: Duration = Duration::from_secs(5);

/// The workers of one kind.
struct Workers {
    kind: JobKind,
    /// One permit a free worker.
    free: Arc<Semaphore>,
    /// When this kind looks for jobs next.
    looks_at: Instant,
    /// Whether the last look failed; it was logged then.
    has_failed: bool,
}

impl Workers {
    fn new(kind: JobKind) -> Self {
        // A server that stalls holds up no more than these, each for the deadline of its kind.
        let at_once = match kind {
            JobKind::Email => 4,
            JobKind::LogoutNotice => 16,
            // One step at a time: the connections of ends are few, and a logout must not wait for them.
            JobKind::SessionEnd => 1,
        };
        Self { kind, free: Arc::new(Semaphore::new(at_once)), looks_at: Instant::now(), has_failed: false }
    }
}

/// The jobs that this process works on.
#[derive(Default)]
struct RunningJobs {
    tasks: JoinSet<()>,
    jobs: HashMap<task::Id, Uuid>,
}

impl RunningJobs {
    fn end(&mut self, ended: &Result<(task::Id, ()), task::JoinError>) {
        let task = match ended {
            Ok((task, ())) => *task,
            Err(cause) => {
                tracing::error!(%cause, "a job broke");
                cause.id()
            }
        };
        self.jobs.remove(&task);
    }
}

impl RunJobs {
    /// Works until `stop` resolves; then lets what is under way finish within a bound, and lets go of the rest.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) {
        let claim = self.random.uuid_v7(self.clock.now());
        let mut all_workers = JobKind::ALL.map(Workers::new);
        let mut running = RunningJobs::default();
        let mut counts_at = Instant::now();
        tokio::pin!(stop);
        loop {
            if Instant::now() >= counts_at {
                counts_at = Instant::now() + COUNT_EVERY;
                self.count().await;
            }
            for workers in &mut all_workers {
                if Instant::now() >= workers.looks_at {
                    workers.looks_at = Instant::now() + POLL;
                    self.take_on(workers, claim, &mut running).await;
                }
            }
            let next = all_workers.iter().map(|workers| workers.looks_at).min().unwrap_or_else(Instant::now);
            tokio::select! {
                () = &mut stop => break,
                Some(ended) = running.tasks.join_next_with_id() => {
                    running.end(&ended);
                    // A worker is free: there may be more to do.
                    for workers in &mut all_workers {
                        workers.looks_at = Instant::now();
                    }
                }
                () = self.awake.notified() => {
                    for workers in &mut all_workers {
                        self.wake(workers);
                    }
                }
                () = sleep_until(next) => {}
            }
        }
        let finish = async {
            while let Some(ended) = running.tasks.join_next_with_id().await {
                running.end(&ended);
            }
        };
        if timeout(GRACE, finish).await.is_err() {
            running.tasks.shutdown().await;
        }
        if let Err(cause) = jobs::release(&self.db, claim, self.clock.now()).await {
            tracing::warn!(%cause, "another process does what was not finished after {} s", LEASE.num_seconds());
        }
    }

    /// Shows the state of the queue. Where the database does not answer, the last one stays.
    async fn count(&self) {
        let shown = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        if let Ok(waiting) = jobs::waiting(&self.db, JobKind::Email).await {
            self.metrics.outbox_waiting.set(shown(waiting));
        }
        if let Ok(dead) = jobs::dead(&self.db, JobKind::Email).await {
            self.metrics.outbox_dead.set(shown(dead));
        }
        if let Ok(waiting) = jobs::waiting(&self.db, JobKind::LogoutNotice).await {
            self.metrics.logout_notices_waiting.set(shown(waiting));
        }
    }

    /// Lets a kind look for jobs soon.
    fn wake(&self, workers: &mut Workers) {
        let pause = match workers.kind {
            JobKind::Email => {
                let chance = u64::from(u16::from_be_bytes(self.random.bytes()));
                Duration::from_millis(PAUSE_MS * chance / u64::from(u16::MAX))
            }
            JobKind::LogoutNotice | JobKind::SessionEnd => Duration::ZERO,
        };
        workers.looks_at = workers.looks_at.min(Instant::now() + pause);
    }

    /// Takes on what is due of a kind, as far as its workers are free.
    async fn take_on(&self, workers: &mut Workers, claim: Uuid, running: &mut RunningJobs) {
        match self.claim(workers, claim).await {
            Ok(claimed) => {
                workers.has_failed = false;
                for job in claimed {
                    // The lease lapsed while this process works on the job: it has the lease again.
                    if running.jobs.values().any(|id| *id == job.id) {
                        continue;
                    }
                    // There is one: nobody else takes permits. Without it the job is done when its lease is over.
                    let Ok(permit) = Arc::clone(&workers.free).try_acquire_owned() else { break };
                    let (this, metrics) = (self.clone(), self.metrics.clone());
                    let id = job.id;
                    let task = running.tasks.spawn(metrics.counting(async move {
                        this.work(&job).await;
                        drop(permit);
                    }));
                    running.jobs.insert(task.id(), id);
                }
            }
            Err(cause) if !workers.has_failed => {
                workers.has_failed = true;
                tracing::error!(%cause, kind = workers.kind.as_str(), "the jobs cannot be read; it will be tried again");
            }
            Err(_) => {}
        }
    }

    async fn claim(&self, workers: &Workers, claim: Uuid) -> Result<Vec<Job>, Unavailable> {
        let now = self.clock.now();
        let free = u64::try_from(workers.free.available_permits()).unwrap_or(0);
        if free == 0 || !jobs::is_due(&self.db, workers.kind, now).await? {
            return Ok(Vec::new());
        }
        Ok(jobs::claim(&self.db, workers.kind, claim, now, now + LEASE, free).await?)
    }

    /// Tries a job once, and writes down what became of it.
    async fn work(&self, job: &Job) {
        let (kind, topic) = (job.kind.as_str(), job.topic.as_str());
        let done = match self.attempt(job).await {
            Some(Ok(outcome)) => self.settle(job, outcome).await,
            Some(Err(unavailable)) => Err(unavailable),
            None => {
                let event = match job.kind {
                    JobKind::Email => Event::refused("mail", "withdrawn"),
                    JobKind::LogoutNotice => Event::refused("logout_notice", "withdrawn"),
                    JobKind::SessionEnd => Event::refused("session_end", "withdrawn"),
                };
                job.user.map_or(event.clone(), |user| event.account(user)).record();
                Ok(())
            }
        };
        if let Err(cause) = done {
            // The lease runs out, and it is tried again.
            tracing::error!(%cause, job = %job.id, kind, topic, "a job could not be handled");
        }
    }

    /// Runs the handler of a job, and renews the lease from time to time. `None` if the lease was lost: the job was
    /// withdrawn, or another worker has it.
    async fn attempt(&self, job: &Job) -> Option<Result<JobOutcome, Unavailable>> {
        let every = Duration::from_secs(RENEWED_EVERY);
        let mut renewal = interval_at(Instant::now() + every, every);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let handled = async {
            match job.kind {
                JobKind::Email => self.deliver_mail.run(job).await,
                JobKind::LogoutNotice => self.tell_logout.run(job).await,
                JobKind::SessionEnd => self.end_sessions.run(job).await,
            }
        };
        tokio::pin!(handled);
        loop {
            tokio::select! {
                outcome = &mut handled => return Some(outcome),
                _ = renewal.tick() => {
                    // Where the database does not answer, the work goes on: it may be done twice then.
                    if matches!(jobs::renew(&self.db, job, self.clock.now() + LEASE).await, Ok(false)) {
                        return None;
                    }
                }
            }
        }
    }

    async fn settle(&self, job: &Job, outcome: JobOutcome) -> Result<(), Unavailable> {
        match outcome {
            JobOutcome::Done => Ok(jobs::done(&self.db, job).await?),
            JobOutcome::Dropped => Ok(jobs::drop_own(&self.db, job).await?),
            JobOutcome::PutOff(due_at, why) => Ok(jobs::put_off(&self.db, job, due_at, why).await?),
            JobOutcome::Failed(failure) if failure.is_final => self.give_up(job, failure, "refused").await,
            JobOutcome::Failed(failure) => {
                let (now, chance) = (self.clock.now(), u16::from_be_bytes(self.random.bytes()));
                match job.kind.backoff().next_attempt(job.created_at, now, job.attempts, chance) {
                    Some(next) => {
                        let (failed, _) = self.counters(job.kind);
                        failed.inc();
                        let (kind, topic, attempts) = (job.kind.as_str(), job.topic.as_str(), job.attempts);
                        let why = failure.why;
                        tracing::warn!(job = %job.id, kind, topic, attempts, why, "a job failed; it will be tried again");
                        jobs::put_off(&self.db, job, next, "not sent").await?;
                        if job.kind.waits_by_topic() {
                            jobs::put_off_topic(&self.db, job, now, next).await?;
                        }
                        Ok(())
                    }
                    None => self.give_up(job, failure, "given_up").await,
                }
            }
        }
    }

    async fn give_up(&self, job: &Job, failure: Failure, word: &'static str) -> Result<(), Unavailable> {
        let (_, dead) = self.counters(job.kind);
        dead.inc();
        let (kind, topic, attempts, why) = (job.kind.as_str(), job.topic.as_str(), job.attempts, failure.why);
        tracing::error!(job = %job.id, kind, topic, attempts, why, "a job was given up");
        failure.given_up.because(word).record();
        if job.kind.is_kept_when_dead() {
            jobs::keep_dead(&self.db, job, self.clock.now(), word).await?;
        } else {
            jobs::drop_own(&self.db, job).await?;
        }
        Ok(())
    }

    /// The counters of failed attempts, and of jobs that were given up.
    fn counters(&self, kind: JobKind) -> (&Counter, &Counter) {
        let metrics = &self.metrics;
        match kind {
            JobKind::Email => (&metrics.mails_failed, &metrics.mails_dead),
            JobKind::LogoutNotice => (&metrics.logout_notices_failed, &metrics.logout_notices_dead),
            JobKind::SessionEnd => (&metrics.session_ends_failed, &metrics.session_ends_dead),
        }
    }
}
