//! Conversions between rows and domain types. Lists are JSON text, and invalid rows give an error.

use sea_orm::{ConnectionTrait, QueryResult, sea_query::InsertStatement};
use serde::{Serialize, de::DeserializeOwned};

use super::StoreError;
use crate::domain::status_list::StatusPosition;

/// Runs an INSERT that returns its row, if it inserted one.
///
/// All rows are fetched, though there is at most one. If only the first row is requested, the SQLite driver stops the
/// statement there, commits when it is dropped, and ignores the result of the commit. On a full disk, a row was
/// acknowledged and never written.
pub(super) async fn insert(
    db: &impl ConnectionTrait,
    statement: &InsertStatement,
) -> Result<Option<QueryResult>, StoreError> {
    Ok(db.query_all(statement).await?.into_iter().next())
}

/// Writes a list for a column.
pub(super) fn to_json<T: Serialize>(list: &T) -> String {
    // Lists of strings always serialize.
    serde_json::to_string(list).unwrap_or_else(|_| "[]".to_owned())
}

/// Reads a list from a column of the table `what`.
pub(super) fn from_json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|why| unreadable(what, why))
}

/// Reads a status list index from two columns of the table `what`.
pub(super) fn status_position(what: &'static str, list: i32, index: i32) -> Result<StatusPosition, StoreError> {
    let list = u16::try_from(list).map_err(|why| unreadable(what, why))?;
    let index = u32::try_from(index).map_err(|why| unreadable(what, why))?;
    if index >= StatusPosition::LIST_LENGTH {
        return Err(unreadable(what, "an index beyond the end of its status list"));
    }
    Ok(StatusPosition { list, index })
}

/// The error for a row of the table `what` that this version cannot read.
pub(super) fn unreadable(what: &'static str, why: impl std::fmt::Display) -> StoreError {
    StoreError::Unreadable { what, why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use sea_orm::sqlx;
    use secrecy::SecretString;
    use tempfile::TempDir;
    use uuid::Uuid;

    use super::*;
    use crate::{
        domain::{
            client::Client,
            ids::{SessionId, UserId},
            password_hash::PasswordHash,
            session::{Lifetimes, Session},
            user::User,
            username::Username,
        },
        store::{
            Database, Use, connect,
            connection::Connections,
            schema,
            sessions::{self, NewSession, SessionBasis},
            users::{self, NewUser},
        },
    };

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    /// A migrated SQLite database, as the service opens it. It is gone with the folder.
    async fn database() -> (TempDir, Database) {
        let folder = tempfile::tempdir().expect("a folder");
        let url: SecretString = format!("sqlite://{}/signet.db?mode=rwc", folder.path().display()).into();
        let db = connect(&url, Use::Requests).await.expect("it opens");
        schema::up(&db).await.expect("it migrates");
        (folder, db)
    }

    /// Lets the database grow by this many pages and no more. The bound is each connection's own, so all of the pool
    /// are held at once.
    async fn is_full_after(db: &Database, pages: u32) {
        let Connections::SeaOrm(db) = &db.connections else { panic!("it is a SQLite file") };
        let pool = db.get_sqlite_connection_pool();
        let mut connections = Vec::new();
        for _ in 0..pool.options().get_max_connections() {
            connections.push(pool.acquire().await.expect("a connection"));
        }
        for connection in &mut connections {
            let used: u32 =
                sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut **connection).await.expect("a number");
            let bound = used + pages;
            let bound = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {bound}"));
            sqlx::query(bound).execute(&mut **connection).await.expect("it is a pragma");
        }
    }

    fn hash() -> PasswordHash {
        PasswordHash::from_stored("h".repeat(100))
    }

    async fn register(db: &Database, n: u128) -> Result<User, StoreError> {
        let username = Username::parse(&format!("person{n}")).expect("a username");
        let id = UserId(Uuid::from_u128(n));
        let new = NewUser { id, username: &username, email: None, password_hash: Some(&hash()), created_at: NOW };
        users::insert(db, &new).await
    }

    async fn log_in(db: &Database, user: UserId, n: u32) -> Result<Option<Session>, StoreError> {
        let (client, month) = (Client::first_party(), TimeDelta::days(30));
        let lifetimes = Lifetimes { access_token: month, refresh_token: month, session: month, grace: month };
        let hash = hash();
        let new = NewSession {
            id: SessionId(Uuid::from_u128(n.into())),
            user,
            client: &client.id,
            proof: SessionBasis::Password(&hash),
            scope: &client.scope,
            resource: None,
            user_agent: None,
            ip: None,
            status: StatusPosition { list: 0, index: n },
        };
        sessions::insert(db, &new, &lifetimes, NOW).await
    }

    #[tokio::test]
    async fn an_account_is_there_or_it_is_refused_on_a_full_disk_too() {
        let (_folder, db) = database().await;
        is_full_after(&db, 20).await;
        let mut acknowledged = 0;
        let refusal = loop {
            match register(&db, acknowledged + 1).await {
                Ok(_) => acknowledged += 1,
                Err(refusal) => break refusal,
            }
        };
        assert!(matches!(refusal, StoreError::Unavailable(_)), "{refusal:?}");
        assert!(acknowledged > 20, "{acknowledged}");
        for n in 1..=acknowledged {
            let found = users::find(&db, UserId(Uuid::from_u128(n))).await.expect("it reads");
            assert!(found.is_some(), "{n} of {acknowledged} was acknowledged, and is not there");
        }
    }

    #[tokio::test]
    async fn a_session_is_there_or_it_is_refused_on_a_full_disk_too() {
        let (_folder, db) = database().await;
        let ada = register(&db, 1).await.expect("there is room").id;
        is_full_after(&db, 20).await;
        let mut acknowledged = 0;
        let refusal = loop {
            match log_in(&db, ada, acknowledged + 1).await {
                Ok(session) => {
                    session.expect("the password stands");
                    acknowledged += 1;
                }
                Err(refusal) => break refusal,
            }
        };
        assert!(matches!(refusal, StoreError::Unavailable(_)), "{refusal:?}");
        assert!(acknowledged > 20, "{acknowledged}");
        for n in 1..=acknowledged {
            let found = sessions::find(&db, SessionId(Uuid::from_u128(n.into()))).await.expect("it reads");
            assert!(found.is_some(), "{n} of {acknowledged} was acknowledged, and is not there");
        }
    }

    /// Where a commit fails after the statement has given its row, as on a disk that is full only then; here by a
    /// reference that is checked no sooner.
    #[tokio::test]
    async fn a_row_whose_commit_fails_is_refused() {
        let (_folder, db) = database().await;
        let ada = register(&db, 1).await.expect("nothing is spoilt yet").id;
        let run = async |sql: &str| db.execute_unprepared(sql).await.expect("it is SQL");
        run("CREATE TABLE parent (id INTEGER PRIMARY KEY)").await;
        run("CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)").await;
        for table in ["user", "session"] {
            run(&format!(
                "CREATE TRIGGER spoil_{table} AFTER INSERT ON \"{table}\" BEGIN INSERT INTO child VALUES (1); END"
            ))
            .await;
        }
        register(&db, 2).await.expect_err("its commit fails");
        log_in(&db, ada, 1).await.expect_err("its commit fails");
    }
}
