//! A connection in use.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::TryStreamExt as _;
use sea_orm::{
    DbErr, ExecResult, QueryResult, Statement,
    sea_query::Values,
    sqlx::{
        self, AssertSqlSafe, Connection as _, Either, Executor as _,
        postgres::{PgConnection, PgQueryResult, PgRow},
    },
};
use sea_query_sqlx::SqlxValues;
use tokio::{runtime::Handle, sync::OwnedSemaphorePermit};

use super::{
    super::guard::PATIENCE,
    fault::{Fault, FaultKind},
    idle::{IdleConnections, Opened},
};

/// The whole answer to a statement.
#[derive(Debug, Default)]
pub(in crate::store) struct Answer {
    rows: Vec<PgRow>,
    done: PgQueryResult,
}

impl Answer {
    pub(in crate::store) fn into_rows(self) -> Vec<QueryResult> {
        self.rows.into_iter().map(QueryResult::from).collect()
    }

    pub(in crate::store) fn into_first_row(self) -> Option<QueryResult> {
        self.rows.into_iter().next().map(QueryResult::from)
    }

    pub(in crate::store) fn into_result(self) -> ExecResult {
        self.done.into()
    }
}

/// A connection that is out of the pool while it is used. Dropping it gives it back, but only after the answer was read
/// whole and the transaction has ended: the next statement would else get the answer of another one.
#[derive(Debug)]
pub(super) struct Lease {
    /// `None` if it is lost.
    opened: Option<Opened>,
    idle: Arc<IdleConnections>,
    /// Given back after the connection.
    permit: Option<OwnedSemaphorePermit>,
    is_reused: bool,
    /// Whether the last answer was read whole.
    is_whole: bool,
    is_in_transaction: bool,
    /// When the last statement began.
    began: Instant,
}

impl Lease {
    pub(super) fn new(
        idle: Arc<IdleConnections>,
        permit: OwnedSemaphorePermit,
        opened: Opened,
        is_reused: bool,
    ) -> Self {
        Self {
            opened: Some(opened),
            idle,
            permit: Some(permit),
            is_reused,
            is_whole: true,
            is_in_transaction: false,
            began: Instant::now(),
        }
    }

    /// Whether the connection had served before, and so may have been closed by the server since.
    pub(super) fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Exchanges the connection for a new one.
    pub(super) async fn renew(&mut self) -> Result<(), DbErr> {
        self.opened = None;
        self.opened = Some(self.idle.open().await?);
        (self.is_reused, self.is_whole, self.is_in_transaction) = (false, true, false);
        Ok(())
    }

    /// Runs a prepared statement. It is prepared where this connection has not seen it yet.
    pub(super) async fn run(&mut self, statement: Statement) -> Result<Answer, Fault> {
        let values = statement.values.unwrap_or_else(|| Values(Vec::new()));
        let query = sqlx::query_with(AssertSqlSafe(statement.sql), SqlxValues(values));
        self.ask(|connection| connection.fetch_many(query)).await
    }

    /// Runs SQL text as it is.
    pub(super) async fn run_unprepared(&mut self, sql: String) -> Result<Answer, Fault> {
        self.ask(|connection| connection.fetch_many(AssertSqlSafe(sql))).await
    }

    pub(super) async fn begin(&mut self) -> Result<(), Fault> {
        // Before the answer: a request that is cancelled in between must not leave the transaction open.
        self.is_in_transaction = true;
        self.ask(|connection| connection.fetch_many("BEGIN")).await.map(drop)
    }

    pub(super) async fn commit(&mut self) -> Result<(), Fault> {
        self.ask(|connection| connection.fetch_many("COMMIT")).await?;
        self.is_in_transaction = false;
        Ok(())
    }

    async fn ask<F>(&mut self, send: F) -> Result<Answer, Fault>
    where
        F: for<'a> FnOnce(&'a mut PgConnection) -> Items<'a>,
    {
        let Self { opened, is_whole, began, .. } = self;
        let Some(connection) = opened.as_mut().map(|opened| &mut opened.connection) else {
            return Err(Fault::of(lost(), false));
        };
        (*is_whole, *began) = (false, Instant::now());
        let (mut answer, mut is_answered) = (Answer::default(), false);
        let mut items = send(connection);
        // To the end, also where one row is wanted: the end says that the statement is committed.
        let failed = loop {
            match items.try_next().await {
                Ok(Some(Either::Left(done))) => answer.done.extend([done]),
                Ok(Some(Either::Right(row))) => answer.rows.push(row),
                Ok(None) => break None,
                Err(error) => break Some(Fault::of(error, is_answered)),
            }
            is_answered = true;
        };
        drop(items);
        match failed {
            None => *is_whole = true,
            Some(fault) => {
                if fault.kind != FaultKind::Refused {
                    *opened = None;
                    self.idle.forget();
                }
                return Err(fault);
            }
        }
        Ok(answer)
    }
}

type Items<'a> = futures_util::stream::BoxStream<'a, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>;

fn lost() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::NotConnected.into())
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(opened) = self.opened.take() else { return };
        if self.is_whole && !self.is_in_transaction {
            self.idle.put(opened);
            return;
        }
        // A client hung up in the middle of a statement, the server refused one, or a transaction is rolled back. What
        // is left of the patience is for the rest of the answer; without any, the server hangs.
        let left = PATIENCE.saturating_sub(self.began.elapsed());
        if let (Ok(runtime), false) = (Handle::try_current(), left.is_zero()) {
            runtime.spawn(clean_up(self.idle.clone(), self.permit.take(), opened, self.is_in_transaction, left));
        }
    }
}

/// Reads what is left of an answer, and ends the transaction; then gives the connection back, or closes it.
async fn clean_up(
    idle: Arc<IdleConnections>,
    permit: Option<OwnedSemaphorePermit>,
    mut opened: Opened,
    is_in_transaction: bool,
    within: Duration,
) {
    let connection = &mut opened.connection;
    let is_clean = async {
        if is_in_transaction { connection.execute("ROLLBACK").await.map(drop) } else { connection.ping().await }
    };
    if matches!(tokio::time::timeout(within, is_clean).await, Ok(Ok(()))) {
        idle.put(opened);
    }
    drop(permit);
}
