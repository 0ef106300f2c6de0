//! Connections and transactions on either database, each statement under a [`Guard`].

use std::sync::Arc;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseConnectionType, DatabaseTransaction, DbBackend, DbErr, ExecResult,
    QueryResult, RuntimeErr, Statement, TransactionOptions, TransactionTrait,
    entity::prelude::async_trait::async_trait, sqlx,
};

use super::{
    guard::Guard,
    postgres::{PgTransaction, Pool},
};

/// A pool of connections.
#[derive(Debug, Clone, Default)]
pub struct Database {
    pub(super) connections: Connections,
    pub(super) guard: Guard,
}

#[derive(Debug, Clone)]
pub(super) enum Connections {
    /// Those of SQLite, and of migrations on Postgres.
    SeaOrm(DatabaseConnection),
    /// Those of a service on Postgres.
    Postgres(Arc<Pool>),
}

impl Default for Connections {
    fn default() -> Self {
        Self::SeaOrm(DatabaseConnection::default())
    }
}

/// An open transaction. Dropping it without [`commit`](super::commit) rolls it back.
#[derive(Debug)]
pub struct Transaction {
    transaction: Begun,
    guard: Guard,
}

#[derive(Debug)]
enum Begun {
    SeaOrm(DatabaseTransaction),
    Postgres(PgTransaction),
}

impl From<DatabaseConnection> for Database {
    fn from(connections: DatabaseConnection) -> Self {
        Self { connections: Connections::SeaOrm(connections), guard: Guard::default() }
    }
}

impl Database {
    pub(super) async fn begin(self, options: TransactionOptions) -> Result<Transaction, DbErr> {
        let begun = async {
            Ok(match &self.connections {
                Connections::SeaOrm(db) => Begun::SeaOrm(db.begin_with_options(options).await?),
                Connections::Postgres(pool) => Begun::Postgres(PgTransaction::begin(pool).await?),
            })
        };
        let transaction = self.guard.watch(begun).await?;
        Ok(Transaction { transaction, guard: self.guard })
    }

    pub(super) async fn close(self) -> Result<(), DbErr> {
        match self.connections {
            Connections::SeaOrm(db) => db.close().await,
            Connections::Postgres(pool) => pool.close().await,
        }
    }

    /// The numbers of used and of idle connections.
    pub(super) fn counts(&self) -> (u32, u32) {
        let db = match &self.connections {
            Connections::Postgres(pool) => return pool.counts(),
            Connections::SeaOrm(db) => db,
        };
        // The accessors panic for a pool of another kind.
        let (open, idle) = match &db.inner {
            DatabaseConnectionType::SqlxPostgresPoolConnection(_) => {
                let pool = db.get_postgres_connection_pool();
                (pool.size(), pool.num_idle())
            }
            DatabaseConnectionType::SqlxSqlitePoolConnection(_) => {
                let pool = db.get_sqlite_connection_pool();
                (pool.size(), pool.num_idle())
            }
            DatabaseConnectionType::Disconnected => (0, 0),
        };
        let idle = u32::try_from(idle).unwrap_or(u32::MAX).min(open);
        (open - idle, idle)
    }
}

impl Transaction {
    pub(super) async fn commit(self) -> Result<(), DbErr> {
        let Self { transaction, guard } = self;
        let commit = async {
            match transaction {
                Begun::SeaOrm(transaction) => transaction.commit().await,
                Begun::Postgres(transaction) => transaction.commit().await,
            }
        };
        guard.watch(commit).await
    }

    /// The transaction as migrations need it.
    pub(super) fn of_migrations(&self) -> Result<&DatabaseTransaction, DbErr> {
        match &self.transaction {
            Begun::SeaOrm(transaction) => Ok(transaction),
            Begun::Postgres(_) => Err(DbErr::Custom("connections of requests do not migrate".to_owned())),
        }
    }
}

fn of_query(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
}

fn of_execution(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(Arc::new(error)))
}

#[async_trait]
impl ConnectionTrait for Database {
    fn get_database_backend(&self) -> DbBackend {
        match &self.connections {
            Connections::SeaOrm(db) => db.get_database_backend(),
            Connections::Postgres(_) => DbBackend::Postgres,
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        match &self.connections {
            Connections::SeaOrm(db) => self.guard.watch(db.execute_raw(statement)).await,
            Connections::Postgres(pool) => Ok(self.guard.watch(pool.run(statement, of_execution)).await?.into_result()),
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        match &self.connections {
            Connections::SeaOrm(db) => self.guard.watch(db.execute_unprepared(sql)).await,
            Connections::Postgres(pool) => {
                let answer = self.guard.watch(pool.run_unprepared(sql.to_owned(), of_execution)).await?;
                Ok(answer.into_result())
            }
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        match &self.connections {
            Connections::SeaOrm(db) => self.guard.watch(db.query_one_raw(statement)).await,
            Connections::Postgres(pool) => Ok(self.guard.watch(pool.run(statement, of_query)).await?.into_first_row()),
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match &self.connections {
            Connections::SeaOrm(db) => self.guard.watch(db.query_all_raw(statement)).await,
            Connections::Postgres(pool) => Ok(self.guard.watch(pool.run(statement, of_query)).await?.into_rows()),
        }
    }
}

#[async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        match &self.transaction {
            Begun::SeaOrm(transaction) => transaction.get_database_backend(),
            Begun::Postgres(_) => DbBackend::Postgres,
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        match &self.transaction {
            Begun::SeaOrm(transaction) => self.guard.watch(transaction.execute_raw(statement)).await,
            Begun::Postgres(transaction) => {
                Ok(self.guard.watch(transaction.run(statement, of_execution)).await?.into_result())
            }
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        match &self.transaction {
            Begun::SeaOrm(transaction) => self.guard.watch(transaction.execute_unprepared(sql)).await,
            Begun::Postgres(transaction) => {
                let answer = self.guard.watch(transaction.run_unprepared(sql.to_owned(), of_execution)).await?;
                Ok(answer.into_result())
            }
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        match &self.transaction {
            Begun::SeaOrm(transaction) => self.guard.watch(transaction.query_one_raw(statement)).await,
            Begun::Postgres(transaction) => {
                Ok(self.guard.watch(transaction.run(statement, of_query)).await?.into_first_row())
            }
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match &self.transaction {
            Begun::SeaOrm(transaction) => self.guard.watch(transaction.query_all_raw(statement)).await,
            Begun::Postgres(transaction) => {
                Ok(self.guard.watch(transaction.run(statement, of_query)).await?.into_rows())
            }
        }
    }
}
