//! The worker pool of password hashing: fixed workers and a queue that is bounded in time.
//!
//! A password hash costs tens of milliseconds and megabytes on purpose, so a flood of logins could overload the
//! service. Each worker is a thread that keeps its own hasher, and with it its memory, for ever. A request that would
//! wait longer than `max_wait` is refused at once, and one whose client has gone is skipped.

use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{
    crypto::{
        digest,
        password::parameters::{HashError, HashParameters},
    },
    domain::password_policy::Password,
};

/// The most jobs that wait, however fast hashes are. It bounds the memory of the queue (1 kB of password each).
const MOST_WAITING: usize = 4096;

/// The interface between the pool and the algorithm.
pub(in crate::crypto) trait Hasher {
    /// Hashes `password` with `salt` into `out`; the length of `out` is a parameter of the hash.
    fn hash(
        &mut self,
        parameters: HashParameters,
        password: &[u8],
        salt: &[u8],
        out: &mut [u8],
    ) -> Result<(), HashError>;
}

pub(in crate::crypto) struct HashJob {
    pub(in crate::crypto) parameters: HashParameters,
    /// `None` hashes the empty password, so that the cost is the same.
    pub(in crate::crypto) password: Option<Password>,
    pub(in crate::crypto) salt: Vec<u8>,
    pub(in crate::crypto) length: usize,
    /// The cost of a failed check beside this hash.
    pub(in crate::crypto) failure: Option<FailureCost>,
}

/// The further hashes of a failed check: they are computed and thrown away, so that every failure costs the same.
pub(in crate::crypto) struct FailureCost {
    /// The check fails unless the hash is this one; `None`: it always fails.
    pub(in crate::crypto) expected: Option<Vec<u8>>,
    pub(in crate::crypto) parameters: Vec<HashParameters>,
}

struct Job {
    work: HashJob,
    answer: oneshot::Sender<Result<Vec<u8>, HashError>>,
    /// The time until which it may wait; `None` if a worker was free for it.
    due: Option<Instant>,
}

/// Dropping the pool ends its workers, each after its present hash.
pub(in crate::crypto) struct HashWorkerPool {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    work_or_end: Condvar,
    workers: u32,
    max_wait: Duration,
}

struct Queue {
    jobs: VecDeque<Job>,
    /// The number of workers that hash now.
    busy: u32,
    /// The time that a hash takes, as a moving average.
    average: Duration,
    closed: bool,
}

impl HashWorkerPool {
    /// Starts `workers` threads, each with a hasher made by `engine`. `average` is the first estimate of the time that
    /// a hash takes.
    ///
    /// # Errors
    /// The system's error, if it refuses a thread.
    pub(in crate::crypto) fn open<E: Hasher>(
        workers: u32,
        max_wait: Duration,
        average: Duration,
        engine: impl Fn() -> E + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let queue = Mutex::new(Queue { jobs: VecDeque::new(), busy: 0, average, closed: false });
        let pool = Self { shared: Arc::new(Shared { queue, work_or_end: Condvar::new(), workers, max_wait }) };
        for n in 1..=workers {
            let (shared, engine) = (Arc::clone(&pool.shared), engine.clone());
            // If one of them fails, dropping the pool ends the earlier ones.
            thread::Builder::new().name(format!("hashing-{n}")).spawn(move || shared.serve(engine))?;
        }
        Ok(pool)
    }

    /// Queues `work` and waits for its hash. Dropping the future removes the work from the queue.
    ///
    /// # Errors
    /// [`HashError::Busy`] at once if the wait would be too long, or later if the estimate was wrong;
    /// [`HashError::Broken`] if the hasher fails.
    pub(in crate::crypto) async fn hash(&self, work: HashJob) -> Result<Vec<u8>, HashError> {
        let answer = self.admit(work)?;
        // The sender is dropped without an answer only together with the queue.
        answer.await.unwrap_or_else(|_| Err(HashError::Broken("the hashing service has ended".to_owned())))
    }

    /// Whether work would be queued now. Only [`Self::hash`] decides.
    ///
    /// # Errors
    /// [`HashError::Busy`] if the wait would be too long.
    pub(in crate::crypto) fn has_room(&self) -> Result<(), HashError> {
        self.shared.queue().make_room(self.shared.workers, self.shared.max_wait)
    }

    /// The number of waiting jobs, and how long a new one would wait.
    pub(in crate::crypto) fn queue(&self) -> (usize, Duration) {
        let queue = self.shared.queue();
        (queue.jobs.len(), queue.wait(self.shared.workers))
    }

    fn admit(&self, work: HashJob) -> Result<oneshot::Receiver<Result<Vec<u8>, HashError>>, HashError> {
        let Shared { workers, max_wait, .. } = *self.shared;
        let mut queue = self.shared.queue();
        queue.make_room(workers, max_wait)?;
        let (answer, receiver) = oneshot::channel();
        let due = if queue.must_wait(workers) { Instant::now().checked_add(max_wait) } else { None };
        queue.jobs.push_back(Job { work, answer, due });
        self.shared.work_or_end.notify_one();
        Ok(receiver)
    }
}

impl Drop for HashWorkerPool {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.work_or_end.notify_all();
    }
}

impl Queue {
    /// The number of hashes that are queued or in progress.
    fn open(&self) -> u32 {
        u32::try_from(self.jobs.len()).unwrap_or(u32::MAX).saturating_add(self.busy)
    }

    /// Whether a new job would find every worker taken.
    fn must_wait(&self, workers: u32) -> bool {
        self.open() >= workers
    }

    /// How long a new job would wait for its turn, beyond the hashes in progress.
    fn wait(&self, workers: u32) -> Duration {
        self.average.saturating_mul(self.open().saturating_sub(workers)) / workers
    }

    /// Refuses a job that would wait too long.
    fn make_room(&mut self, workers: u32, max_wait: Duration) -> Result<(), HashError> {
        if self.is_full(workers, max_wait) {
            // Remove the jobs of clients that have gone; only now, since it costs a walk along the queue.
            self.jobs.retain(|job| !job.answer.is_closed());
        }
        if self.is_full(workers, max_wait) { Err(self.busy(workers)) } else { Ok(()) }
    }

    fn is_full(&self, workers: u32, max_wait: Duration) -> bool {
        self.jobs.len() >= MOST_WAITING || self.wait(workers) > max_wait
    }

    /// Try again once the waiting jobs are done; after a whole second at least, the unit of `Retry-After` (RFC 9110
    /// §10.2.3).
    fn busy(&self, workers: u32) -> HashError {
        HashError::Busy { retry_after: self.wait(workers).max(Duration::from_secs(1)) }
    }

    /// Marks a worker as free; the average moves an eighth of the way to the time of its hash.
    fn done(&mut self, took: Duration) {
        self.busy -= 1;
        self.average = (self.average * 7 + took) / 8;
    }
}

impl Shared {
    /// The queue is consistent after any panic: no code that can panic runs while it is locked.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loop of a worker.
    fn serve<E: Hasher>(&self, engine: impl Fn() -> E) {
        let mut own = engine();
        while let Some(job) = self.next() {
            let begun = Instant::now();
            let HashJob { parameters, password, salt, length, failure } = job.work;
            let mut out = vec![0; length];
            let hashed = catch_unwind(AssertUnwindSafe(|| {
                let password = password.as_ref().map_or(&[][..], Password::as_bytes);
                own.hash(parameters, password, &salt, &mut out)?;
                let Some(FailureCost { expected, parameters }) = failure else { return Ok(()) };
                if expected.is_some_and(|expected| digest::equal(&out, &expected)) {
                    return Ok(());
                }
                let mut thrown_away = [0; 32];
                parameters.into_iter().try_for_each(|more| own.hash(more, password, &salt, &mut thrown_away))
            }));
            self.queue().done(begun.elapsed());
            let answer = hashed.unwrap_or_else(|_| {
                // Not expected. If it happens, this job fails and the worker goes on with a new hasher.
                own = engine();
                Err(HashError::Broken("the hashing engine panicked".to_owned()))
            });
            // The client may have gone meanwhile; then nobody needs the hash.
            let _ = job.answer.send(answer.map(|()| out));
        }
    }

    /// Waits for the next job whose client still waits and that is not overdue; `None` once the pool closes.
    fn next(&self) -> Option<Job> {
        let mut queue = self.queue();
        loop {
            if queue.closed {
                return None;
            }
            match queue.jobs.pop_front() {
                Some(job) if job.answer.is_closed() => {}
                Some(job) if job.due.is_some_and(|due| due <= Instant::now()) => {
                    // The estimate was wrong, and the client has likely given up: take the next job that is in time.
                    let _ = job.answer.send(Err(queue.busy(self.workers)));
                }
                Some(job) => {
                    queue.busy += 1;
                    return Some(job);
                }
                None => queue = self.work_or_end.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        sync::mpsc,
        task::{Context, Poll, Waker},
    };

    use super::*;

    /// Hashes when the test lets it, and reports what it begins.
    struct Gated {
        begins: mpsc::Sender<Vec<u8>>,
        gate: Arc<Mutex<mpsc::Receiver<()>>>,
    }

    impl Hasher for Gated {
        fn hash(&mut self, _: HashParameters, _: &[u8], salt: &[u8], out: &mut [u8]) -> Result<(), HashError> {
            self.begins.send(salt.to_vec()).unwrap();
            self.gate.lock().unwrap().recv().map_err(|_| HashError::Broken("the test has ended".to_owned()))?;
            assert_ne!(salt, b"panic", "as the test wants it");
            out.fill(salt[0]);
            Ok(())
        }
    }

    /// A pool with one worker whose hashes are assumed to take a second each, with its report and its gate.
    fn pool(max_wait: Duration) -> (HashWorkerPool, mpsc::Receiver<Vec<u8>>, mpsc::Sender<()>) {
        let (begins, begun) = mpsc::channel();
        let (open, gate) = mpsc::channel();
        let gate = Arc::new(Mutex::new(gate));
        let engine = move || Gated { begins: begins.clone(), gate: Arc::clone(&gate) };
        (HashWorkerPool::open(1, max_wait, Duration::from_secs(1), engine).unwrap(), begun, open)
    }

    fn work(salt: &[u8]) -> HashJob {
        let parameters = HashParameters { memory_kib: 8, iterations: 1, parallelism: 1 };
        HashJob { parameters, password: None, salt: salt.to_vec(), length: 4, failure: None }
    }

    fn polled<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn a_flood_is_refused_at_once_and_leaves_the_others_their_turn() {
        let (pool, begun, open) = pool(Duration::from_secs(2));
        let first = pool.admit(work(b"1")).unwrap();
        assert_eq!(begun.recv().unwrap(), b"1", "the worker is at it");
        let waiting: Vec<_> = [b"2", b"3", b"4"].map(|salt| pool.admit(work(salt)).unwrap()).into();
        assert!(matches!(pool.has_room(), Err(HashError::Busy { .. })));
        let refused = pool.admit(work(b"5")).unwrap_err();
        assert!(
            matches!(refused, HashError::Busy { retry_after } if retry_after == Duration::from_secs(3)),
            "{refused}"
        );
        for _ in 0..4 {
            open.send(()).unwrap();
        }
        assert_eq!(first.await.unwrap().unwrap(), [b'1'; 4]);
        for (answer, hash) in waiting.into_iter().zip([b'2', b'3', b'4']) {
            assert_eq!(answer.await.unwrap().unwrap(), [hash; 4]);
        }
    }

    #[tokio::test]
    async fn a_caller_who_has_gone_is_neither_hashed_nor_counted() {
        let (pool, begun, open) = pool(Duration::from_secs(2));
        let first = pool.admit(work(b"1")).unwrap();
        begun.recv().unwrap();
        for _ in 0..100 {
            // Each is polled once and dropped: a client that asked and hung up. None of them fills the queue.
            assert!(polled(pool.hash(work(b"x"))).is_pending());
        }
        let last = pool.admit(work(b"2")).unwrap();
        open.send(()).unwrap();
        open.send(()).unwrap();
        assert!(first.await.unwrap().is_ok() && last.await.unwrap().is_ok());
        assert_eq!(begun.try_iter().collect::<Vec<_>>(), [b"2"], "nobody's work was begun");
    }

    #[tokio::test]
    async fn a_job_whose_time_is_over_when_its_turn_comes_is_refused() {
        let (pool, begun, open) = pool(Duration::ZERO);
        let first = pool.admit(work(b"1")).unwrap();
        begun.recv().unwrap();
        let late = pool.admit(work(b"2")).unwrap();
        open.send(()).unwrap();
        drop(open); // were it hashed after all, it would fail rather than wait for ever
        assert!(matches!(late.await.unwrap(), Err(HashError::Busy { .. })));
        assert!(first.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_panic_fails_one_job_and_no_other() {
        let (pool, _begun, open) = pool(Duration::from_secs(9));
        open.send(()).unwrap();
        open.send(()).unwrap();
        assert!(matches!(pool.hash(work(b"panic")).await, Err(HashError::Broken(_))));
        assert_eq!(pool.hash(work(b"1")).await.unwrap(), [b'1'; 4]);
    }

    #[test]
    fn dropping_the_pool_ends_its_workers() {
        let (pool, begun, _open) = pool(Duration::ZERO);
        drop(pool);
        // The worker's engine and the one that makes them hold the senders: closed means that the thread is through.
        assert!(begun.recv().is_err());
    }

    #[test]
    fn the_queue_is_bounded_in_number_whatever_the_average_says() {
        let (pool, begun, _open) = pool(Duration::from_secs(1));
        pool.shared.queue().average = Duration::ZERO;
        let _first = pool.admit(work(b"1")).unwrap();
        begun.recv().unwrap();
        let _waiting: Vec<_> = (0..MOST_WAITING).map(|_| pool.admit(work(b"2")).unwrap()).collect();
        assert!(matches!(pool.admit(work(b"3")), Err(HashError::Busy { .. })));
    }

    #[test]
    fn the_average_follows_what_hashes_take() {
        let mut queue = Queue { jobs: VecDeque::new(), busy: 1, average: Duration::from_millis(80), closed: false };
        queue.done(Duration::from_millis(160));
        assert_eq!(queue.average, Duration::from_millis(90));
    }
}
