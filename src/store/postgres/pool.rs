//! The pool: a bounded number of connections, given out in the order in which they were asked for.

use std::{sync::Arc, time::Duration};

use sea_orm::{ConnAcquireErr, DbErr, Statement, sqlx, sqlx::postgres::PgConnectOptions};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    super::guard::Guard,
    fault::Fault,
    idle::{IdleConnections, not_connected},
    lease::{Answer, Lease},
};

#[derive(Debug)]
pub(in crate::store) struct Pool {
    most: u32,
    acquire_timeout: Duration,
    /// One for each connection; tokio gives them out in order.
    permits: Arc<Semaphore>,
    idle: Arc<IdleConnections>,
}

impl Pool {
    /// A pool of `most` connections, which are opened when they are needed. A request waits `acquire_timeout` for one.
    pub(in crate::store) fn new(options: PgConnectOptions, most: u32, acquire_timeout: Duration, guard: Guard) -> Self {
        let permits = Arc::new(Semaphore::new(usize::try_from(most).unwrap_or(1)));
        let idle = Arc::new(IdleConnections::new(options, acquire_timeout, guard));
        Self { most, acquire_timeout, permits, idle }
    }

    /// Runs one statement.
    ///
    /// If the connection turns out to be dead, the statement runs once more on a new one, provided that it is a read or
    /// certainly had no effect. So a restart of the server, or the end of its idle connections, costs no request.
    pub(in crate::store) async fn run(
        &self,
        statement: Statement,
        explain: fn(sqlx::Error) -> DbErr,
    ) -> Result<Answer, DbErr> {
        let mut lease = self.acquire().await?;
        if !lease.is_reused() {
            return lease.run(statement).await.map_err(|fault| explain(fault.error));
        }
        let again = statement.clone();
        let fault = match lease.run(statement).await {
            Ok(answer) => return Ok(answer),
            Err(fault) => fault,
        };
        if !fault.may_be_repeated(&again.sql) {
            return Err(explain(fault.error));
        }
        replaced(&fault);
        lease.renew().await?;
        lease.run(again).await.map_err(|fault| explain(fault.error))
    }

    /// Runs SQL text as it is, never twice.
    pub(in crate::store) async fn run_unprepared(
        &self,
        sql: String,
        explain: fn(sqlx::Error) -> DbErr,
    ) -> Result<Answer, DbErr> {
        let mut lease = self.acquire().await?;
        lease.run_unprepared(sql).await.map_err(|fault| explain(fault.error))
    }

    /// A connection with an open transaction.
    pub(super) async fn begin(&self) -> Result<Lease, DbErr> {
        let mut lease = self.acquire().await?;
        let is_reused = lease.is_reused();
        match lease.begin().await {
            Ok(()) => return Ok(lease),
            // An empty transaction has no effect.
            Err(fault) if is_reused && fault.may_be_repeated("SELECT") => {
                replaced(&fault);
                lease.renew().await?;
            }
            Err(fault) => return Err(not_connected(fault.error)),
        }
        lease.begin().await.map_err(|fault| not_connected(fault.error))?;
        Ok(lease)
    }

    /// The numbers of used and of idle connections.
    pub(in crate::store) fn counts(&self) -> (u32, u32) {
        let free = u32::try_from(self.permits.available_permits()).unwrap_or(u32::MAX);
        let idle = u32::try_from(self.idle.count()).unwrap_or(u32::MAX);
        (self.most.saturating_sub(free), idle)
    }

    /// Closes the idle connections; those in use are closed when they come back.
    pub(in crate::store) async fn close(&self) -> Result<(), DbErr> {
        self.permits.close();
        self.idle.close().await
    }

    async fn acquire(&self) -> Result<Lease, DbErr> {
        let permit = self.permit().await?;
        Ok(match self.idle.take().await {
            Some(opened) => Lease::new(self.idle.clone(), permit, opened, true),
            None => Lease::new(self.idle.clone(), permit, self.idle.open().await?, false),
        })
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, DbErr> {
        // Without a timer where one is free. There is none for a newcomer while others wait.
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        match tokio::time::timeout(self.acquire_timeout, self.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed)),
            Err(_) => Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)),
        }
    }
}

fn replaced(fault: &Fault) {
    tracing::info!(cause = %fault.error, "the database had closed a connection: a new one repeats the statement");
}
