//! A transaction on a connection of the pool.

use std::sync::Arc;

use sea_orm::{DbErr, RuntimeErr, Statement, sqlx};
use tokio::sync::Mutex;

use super::{
    lease::{Answer, Lease},
    pool::Pool,
};

/// An open transaction. Dropping it rolls it back: the connection returns to the pool after that.
#[derive(Debug)]
pub(in crate::store) struct PgTransaction(Mutex<Lease>);

impl PgTransaction {
    pub(in crate::store) async fn begin(pool: &Pool) -> Result<Self, DbErr> {
        Ok(Self(Mutex::new(pool.begin().await?)))
    }

    pub(in crate::store) async fn run(
        &self,
        statement: Statement,
        explain: fn(sqlx::Error) -> DbErr,
    ) -> Result<Answer, DbErr> {
        self.0.lock().await.run(statement).await.map_err(|fault| explain(fault.error))
    }

    pub(in crate::store) async fn run_unprepared(
        &self,
        sql: String,
        explain: fn(sqlx::Error) -> DbErr,
    ) -> Result<Answer, DbErr> {
        self.0.lock().await.run_unprepared(sql).await.map_err(|fault| explain(fault.error))
    }

    pub(in crate::store) async fn commit(self) -> Result<(), DbErr> {
        let committed = self.0.into_inner().commit().await;
        committed.map_err(|fault| DbErr::Exec(RuntimeErr::SqlxError(Arc::new(fault.error))))
    }
}
