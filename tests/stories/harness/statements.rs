//! The SQL statements that PostgreSQL ran, counted by `pg_stat_statements`.

use sea_orm::{ConnectionTrait, DatabaseConnection, FromQueryResult, Statement};

use super::test_env::TestEnv;

#[derive(Debug)]
pub(crate) struct Statements(DatabaseConnection);

/// A normalized statement, and how often it ran.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub(crate) struct Counted {
    pub(crate) query: String,
    pub(crate) calls: i64,
}

impl Statements {
    /// Configuration that the server needs.
    pub(crate) const CONFIGURATION: &str = "shared_preload_libraries = 'pg_stat_statements'";

    /// Begins to count on the database of `env`.
    pub(crate) async fn of(env: &TestEnv) -> Self {
        let db = env.store().await;
        db.execute_unprepared("CREATE EXTENSION pg_stat_statements").await.expect("the server has it");
        Self(db)
    }

    /// Resets the counts.
    pub(crate) async fn reset(&self) {
        self.0.execute_unprepared("SELECT pg_stat_statements_reset()").await.expect("we own the server");
    }

    /// What was asked since, but for our own questions and the service's regular looks at the change
    /// table, the queue of jobs and the costs of hashes.
    pub(crate) async fn counted(&self) -> Vec<Counted> {
        let sql = r#"SELECT query, calls FROM pg_stat_statements
            WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
              AND query NOT LIKE '%pg_stat_statements%' AND query NOT LIKE 'SELECT%FROM "change"%'
              AND query NOT LIKE 'SELECT (EXTRACT(EPOCH FROM clock_timestamp())%' AND query <> 'NOTIFY signet_change'
              AND query NOT LIKE 'SELECT%FROM "jobs"%'
              AND query NOT LIKE 'SELECT%FROM "password_cost"%'
            ORDER BY query"#;
        let statement = Statement::from_string(self.0.get_database_backend(), sql);
        Counted::find_by_statement(statement).all(&self.0).await.expect("the server counts")
    }
}
