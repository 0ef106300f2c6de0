//! Open connections that nobody uses, and new ones.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sea_orm::{
    ConnAcquireErr, DbErr, RuntimeErr,
    sqlx::{
        self, ConnectOptions as _, Connection as _,
        postgres::{PgConnectOptions, PgConnection},
    },
};

use super::super::guard::Guard;

/// A connection that was idle for longer is asked for a sign of life before it is used.
const TESTED_AFTER: Duration = Duration::from_secs(30);
/// The longest wait for that sign.
const TEST_PATIENCE: Duration = Duration::from_secs(1);
/// A connection that is idle for longer is closed.
const IDLE_FOR: Duration = Duration::from_mins(10);
/// An older connection is replaced.
const LIVES_FOR: Duration = Duration::from_mins(30);
/// The first and the longest wait before a server that starts is asked for a connection again.
const RETRY: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(400));
/// Postgres' codes for a server that takes no connection now: too many of them, or it starts.
const PASSING_CODES: [&str; 2] = ["53300", "57P03"];

/// An open connection.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: PgConnection,
    at: Instant,
}

#[derive(Debug)]
pub(super) struct IdleConnections {
    options: PgConnectOptions,
    timeout: Duration,
    /// The longest idle is first, the one to use next is last.
    idle: Mutex<VecDeque<Idle>>,
    is_closed: AtomicBool,
    guard: Guard,
}

#[derive(Debug)]
struct Idle {
    opened: Opened,
    since: Instant,
}

impl IdleConnections {
    /// None yet. A new one must open within `timeout`.
    pub(super) fn new(options: PgConnectOptions, timeout: Duration, guard: Guard) -> Self {
        let options = options.disable_statement_logging();
        Self { options, timeout, idle: Mutex::default(), is_closed: AtomicBool::new(false), guard }
    }

    pub(super) fn count(&self) -> usize {
        self.idle().len()
    }

    /// One that serves; `None` if a new one must be opened.
    pub(super) async fn take(&self) -> Option<Opened> {
        while let Some(Idle { mut opened, since }) = self.next() {
            if since.elapsed() < TESTED_AFTER || answers(&mut opened.connection).await {
                return Some(opened);
            }
            self.forget();
        }
        None
    }

    /// Opens a connection. A server that starts is asked again until the time is over, so that a restart costs a wait.
    pub(super) async fn open(&self) -> Result<Opened, DbErr> {
        let (mut wait, longest) = RETRY;
        let connect = async {
            loop {
                match PgConnection::connect_with(&self.options).await {
                    Err(error) if is_starting(&error) => tokio::time::sleep(wait).await,
                    outcome => return outcome,
                }
                wait = longest.min(wait * 2);
            }
        };
        match tokio::time::timeout(self.timeout, connect).await {
            Ok(connected) => Ok(Opened { connection: connected.map_err(not_connected)?, at: Instant::now() }),
            Err(_) => Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)),
        }
    }

    /// Takes a connection back, whose last answer was read whole.
    pub(super) fn put(&self, opened: Opened) {
        if self.is_closed.load(Ordering::Relaxed) || !self.may_serve(&opened) {
            return;
        }
        let mut idle = self.idle();
        // The last ones are used first, so that those beyond the need get old.
        while idle.front().is_some_and(|idle| idle.since.elapsed() > IDLE_FOR) {
            idle.pop_front();
        }
        idle.push_back(Idle { opened, since: Instant::now() });
    }

    /// Closes all: the server that closed one has probably closed them all.
    pub(super) fn forget(&self) {
        drop(std::mem::take(&mut *self.idle()));
    }

    /// Closes all, and those that come back.
    pub(super) async fn close(&self) -> Result<(), DbErr> {
        self.is_closed.store(true, Ordering::Relaxed);
        let idle = std::mem::take(&mut *self.idle());
        for Idle { opened, .. } in idle {
            opened.connection.close().await.map_err(not_connected)?;
        }
        Ok(())
    }

    fn next(&self) -> Option<Idle> {
        let mut idle = self.idle();
        std::iter::from_fn(|| idle.pop_back()).find(|idle| self.may_serve(&idle.opened))
    }

    fn may_serve(&self, opened: &Opened) -> bool {
        let age = opened.at.elapsed();
        age < LIVES_FOR && self.guard.admits(age)
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answers(connection: &mut PgConnection) -> bool {
    matches!(tokio::time::timeout(TEST_PATIENCE, connection.ping()).await, Ok(Ok(())))
}

fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(cause) => cause.kind() == io::ErrorKind::ConnectionRefused,
        sqlx::Error::Database(refusal) => refusal.code().is_some_and(|code| PASSING_CODES.contains(&&*code)),
        _ => false,
    }
}

pub(super) fn not_connected(error: sqlx::Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error)))
}
