//! The test harness: each story gets a service with its own folder, keys, database and clock, and people who use it.

pub(crate) mod browser;
pub(crate) mod browser_app;
pub(crate) mod browser_session;
pub(crate) mod callback;
pub(crate) mod client_key;
pub(crate) mod client_program;
pub(crate) mod clock;
pub(crate) mod conformance;
pub(crate) mod counting_proxy;
pub(crate) mod document_host;
pub(crate) mod driver;
pub(crate) mod idp;
pub(crate) mod inbox;
pub(crate) mod jwt;
pub(crate) mod link;
pub(crate) mod nginx;
pub(crate) mod node_provider;
pub(crate) mod other_origin;
pub(crate) mod people;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod receiver;
pub(crate) mod relying_party;
pub(crate) mod run;
pub(crate) mod site;
pub(crate) mod slowloris;
pub(crate) mod smtp;
pub(crate) mod smtp_app;
pub(crate) mod statements;
pub(crate) mod statistics;
pub(crate) mod test_app;
pub(crate) mod test_env;
pub(crate) mod tools;

use std::time::{Duration, Instant};

pub(crate) use self::{
    clock::{days, seconds},
    people::{NEW_PASSWORD, PASSWORD, Person, register},
    postgres::Durability,
    site::{Answer, Ask, Site, Tokens},
    test_app::TestApp,
    test_env::{Database, TestEnv, TestEnvBuilder},
};

/// An argument that a story may take.
pub(crate) trait Fixture {
    /// Sets the fixture up on this kind of database.
    async fn on(database: Database) -> Self;
}

impl Fixture for TestEnvBuilder {
    async fn on(database: Database) -> Self {
        TestEnvBuilder::on(database)
    }
}

impl Fixture for TestEnv {
    async fn on(database: Database) -> Self {
        TestEnvBuilder::on(database).env().await
    }
}

impl Fixture for TestApp {
    async fn on(database: Database) -> Self {
        TestEnvBuilder::on(database).open().await
    }
}

/// Polls until a condition holds, for `patience` at most. For events in another process, replica or task.
pub(crate) async fn eventually(patience: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < patience, "still not after {patience:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Sets the fixture up and runs the story.
pub(crate) async fn run_story<S: Fixture>(story: impl AsyncFnOnce(S), database: Database) {
    story(S::on(database).await).await;
}

/// Runs each story twice, on SQLite and on PostgreSQL. A story is an `async fn` of one [`Fixture`]; an unlisted story
/// is dead code, and so an error.
macro_rules! stories {
    ($($story:ident),* $(,)?) => {
        $(mod $story {
            #[tokio::test(flavor = "multi_thread")]
            async fn on_sqlite() {
                $crate::harness::run_story(super::$story, $crate::harness::Database::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn on_postgres() {
                $crate::harness::run_story(super::$story, $crate::harness::Database::Postgres).await;
            }
        })*
    };
}

/// Runs each story once: on the database that it is about, or on SQLite if the database cannot matter.
macro_rules! stories_on {
    ($database:ident: $($story:ident),* $(,)?) => {
        $(mod $story {
            #[tokio::test(flavor = "multi_thread")]
            async fn once() {
                $crate::harness::run_story(super::$story, $crate::harness::Database::$database).await;
            }
        })*
    };
}

pub(crate) use {stories, stories_on};
