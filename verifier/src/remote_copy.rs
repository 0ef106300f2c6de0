//! A cached copy of one of the issuer's documents. One caller fetches it for all, when it is needed and again before it
//! expires. The copy is kept for a while if the issuer does not answer.

use std::{
    fmt::Debug,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, SystemTime},
};

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::{clock::Clock, error::RETRY_AFTER, fetch::FetchError};

/// For this long after a failed attempt, callers do not wait for the next one.
const OUTAGE_MEMORY: Duration = Duration::from_secs(30);

/// The source of a document.
pub(crate) trait Source: Debug + Send + Sync + 'static {
    /// The parsed document.
    type Value: Debug + Send + Sync + 'static;

    /// Fetches the document at `now`; `held` is the current copy, which may still be the newest.
    fn load(
        &self,
        held: Option<Arc<Self::Value>>,
        now: SystemTime,
    ) -> impl Future<Output = Result<Loaded<Self::Value>, FetchError>> + Send;
}

/// A document as it was fetched.
pub(crate) struct Loaded<V> {
    /// The document.
    pub(crate) value: Arc<V>,
    /// How long it is used before it is fetched again.
    pub(crate) fresh_for: Duration,
    /// Until when it is used if the issuer does not answer.
    pub(crate) usable_until: SystemTime,
}

/// The cached copy of a [`Source`].
#[derive(Debug)]
pub(crate) struct RemoteCopy<S: Source> {
    source: S,
    clock: Arc<dyn Clock>,
    cool_down: Duration,
    state: RwLock<State<S::Value>>,
    /// Held by the caller that fetches.
    turn: Arc<Mutex<()>>,
}

/// A document, and which attempt to fetch it was the last before it was seen.
#[derive(Debug)]
pub(crate) struct Seen<V> {
    pub(crate) value: Arc<V>,
    attempt: u64,
}

/// No usable document, with the error of the last attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outage(pub(crate) Arc<str>);

#[derive(Debug)]
struct State<V> {
    held: Option<Held<V>>,
    attempts: u64,
    failure: Option<Failure>,
    /// When a newer copy was last fetched because somebody missed something in the one that there was.
    missed: Option<SystemTime>,
}

#[derive(Debug)]
struct Held<V> {
    value: Arc<V>,
    since: SystemTime,
    fresh_for: Duration,
    usable_until: SystemTime,
}

#[derive(Debug)]
struct Failure {
    at: SystemTime,
    outage: Outage,
}

/// What to do for a caller.
#[derive(Debug, PartialEq, Eq)]
enum Plan<V> {
    Use(Arc<V>),
    UseAndRefresh(Arc<V>),
    Wait,
    GiveUp(Outage),
}

impl<V> State<V> {
    /// What to do at `now`.
    ///
    /// A copy that is past its time is not used unasked, however lately it was fresh: that is what revocation by a
    /// removed key rests on. But an outage must not make each caller wait for its own time-out.
    fn plan(&self, now: SystemTime) -> Plan<V> {
        let failed = self.failure.as_ref().map(|failure| (elapsed(failure.at, now), &failure.outage));
        let Some(held) = self.usable(now) else {
            return match failed {
                Some((ago, outage)) if ago < RETRY_AFTER => Plan::GiveUp(outage.clone()),
                _ => Plan::Wait,
            };
        };
        let value = Arc::clone(&held.value);
        let age = elapsed(held.since, now);
        let out = failed.is_some_and(|(ago, _)| ago < OUTAGE_MEMORY);
        if age < held.fresh_for / 5 * 4 || failed.is_some_and(|(ago, _)| ago < RETRY_AFTER) {
            Plan::Use(value)
        } else if age < held.fresh_for || out {
            Plan::UseAndRefresh(value)
        } else {
            Plan::Wait
        }
    }

    fn usable(&self, now: SystemTime) -> Option<&Held<V>> {
        self.held.as_ref().filter(|held| now < held.usable_until)
    }

    fn outage(&self) -> Outage {
        let unknown = || Outage("it is too old".into());
        self.failure.as_ref().map_or_else(unknown, |failure| failure.outage.clone())
    }
}

/// How long ago `since` was; for ever where the clock has been set back, so that nothing outlives its time by that.
fn elapsed(since: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(since).unwrap_or(Duration::MAX)
}

impl<S: Source> RemoteCopy<S> {
    /// A copy that is first fetched when somebody asks. Callers who miss something in it cause one fetch a `cool_down`.
    pub(crate) fn new(source: S, clock: Arc<dyn Clock>, cool_down: Duration) -> Arc<Self> {
        let state = State { held: None, attempts: 0, failure: None, missed: None };
        Arc::new(Self { source, clock, cool_down, state: RwLock::new(state), turn: Arc::default() })
    }

    /// The document. Waits for a fetch where there is none that may be used unasked.
    pub(crate) async fn current(self: &Arc<Self>) -> Result<Seen<S::Value>, Outage> {
        let (plan, attempt) = {
            let state = self.read();
            (state.plan(self.clock.now()), state.attempts)
        };
        match plan {
            Plan::Use(value) => Ok(Seen { value, attempt }),
            Plan::UseAndRefresh(value) => {
                if let Ok(turn) = Arc::clone(&self.turn).try_lock_owned() {
                    drop(self.fetch(turn));
                }
                Ok(Seen { value, attempt })
            }
            Plan::Wait => {
                self.fetch_after(attempt, false).await;
                self.seen()
            }
            Plan::GiveUp(outage) => Err(outage),
        }
    }

    /// A document newer than `seen`, for a caller that misses an entry in it.
    ///
    /// # Errors
    /// [`Outage`] also if the document was fetched too recently to be fetched again: a client that sends random tokens must
    /// not control how often the issuer is called, nor make a genuine one look false.
    pub(crate) async fn newer(self: &Arc<Self>, seen: &Seen<S::Value>) -> Result<Seen<S::Value>, Outage> {
        self.fetch_after(seen.attempt, true).await;
        {
            let state = self.read();
            if let Some(failure) = &state.failure {
                return Err(failure.outage.clone());
            }
            if state.attempts == seen.attempt {
                return Err(Outage("it was fetched a moment ago, without what is looked for".into()));
            }
        }
        self.seen()
    }

    /// Until when the copy that there is may be used.
    pub(crate) fn usable_until(&self) -> Option<SystemTime> {
        self.read().held.as_ref().map(|held| held.usable_until)
    }

    fn seen(&self) -> Result<Seen<S::Value>, Outage> {
        let state = self.read();
        let held = state.usable(self.clock.now()).ok_or_else(|| state.outage())?;
        Ok(Seen { value: Arc::clone(&held.value), attempt: state.attempts })
    }

    /// Fetches, unless somebody else has since `attempt`; and, where something was `missed`, unless it is too soon.
    async fn fetch_after(self: &Arc<Self>, attempt: u64, missed: bool) {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        {
            let mut state = self.write();
            let now = self.clock.now();
            let too_soon = || state.missed.is_some_and(|at| elapsed(at, now) < self.cool_down);
            if state.attempts != attempt || (missed && too_soon()) {
                return;
            }
            if missed {
                state.missed = Some(now);
            }
        }
        // It ends by its own time-out, and its failure is in the state.
        let _ = self.fetch(turn).await;
    }

    /// Fetches, in a task of its own: a caller who hangs up must not undo what others wait for.
    fn fetch(self: &Arc<Self>, turn: OwnedMutexGuard<()>) -> tokio::task::JoinHandle<()> {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let held = this.read().held.as_ref().map(|held| Arc::clone(&held.value));
            // A copy is as old as the question, not as the answer.
            let asked = this.clock.now();
            let loaded = this.source.load(held, asked).await;
            this.keep(loaded, asked);
            drop(turn);
        })
    }

    fn keep(&self, loaded: Result<Loaded<S::Value>, FetchError>, asked: SystemTime) {
        let mut state = self.write();
        state.attempts += 1;
        match loaded {
            Ok(Loaded { value, fresh_for, usable_until }) => {
                state.held = Some(Held { value, since: asked, fresh_for, usable_until });
                state.failure = None;
            }
            Err(error) => {
                let outage = Outage(error.to_string().into());
                state.failure = Some(Failure { at: self.clock.now(), outage });
            }
        }
    }

    // Nothing that holds the lock can panic half-way through a change.
    fn read(&self) -> RwLockReadGuard<'_, State<S::Value>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<S::Value>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn at(seconds: u64) -> SystemTime {
        START + Duration::from_secs(1_000 + seconds)
    }

    /// Fetched at 0, fresh for 100 s, usable for 1000 s; and perhaps failed at some time.
    fn state(failed: Option<u64>) -> State<()> {
        let held =
            Held { value: Arc::new(()), since: at(0), fresh_for: Duration::from_secs(100), usable_until: at(1_000) };
        let failure = failed.map(|failed| Failure { at: at(failed), outage: Outage("down".into()) });
        State { held: Some(held), attempts: 1, failure, missed: None }
    }

    fn used() -> Arc<()> {
        Arc::new(())
    }

    #[test]
    fn a_copy_is_renewed_behind_the_callers_backs_before_its_time_and_awaited_after() {
        let state = state(None);
        assert_eq!(state.plan(at(79)), Plan::Use(used()));
        assert_eq!(state.plan(at(80)), Plan::UseAndRefresh(used()));
        assert_eq!(state.plan(at(99)), Plan::UseAndRefresh(used()));
        assert_eq!(state.plan(at(100)), Plan::Wait);
        assert_eq!(state.plan(START), Plan::Wait, "the clock was set back");
    }

    #[test]
    fn an_outage_is_not_waited_for_again_and_again() {
        let state = state(Some(500));
        assert_eq!(state.plan(at(500)), Plan::Use(used()));
        assert_eq!(state.plan(at(501)), Plan::UseAndRefresh(used()));
        assert_eq!(state.plan(at(530)), Plan::Wait, "nobody has asked for so long that it may be over");
        assert_eq!(state.plan(at(1_000)), Plan::Wait);
    }

    #[test]
    fn a_copy_past_its_last_use_is_not_used() {
        let state = state(Some(1_000));
        assert_eq!(state.plan(at(1_000)), Plan::GiveUp(Outage("down".into())));
        assert_eq!(state.plan(at(1_001)), Plan::Wait);
    }
}
