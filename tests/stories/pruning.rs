//! Pruning: rows are deleted only once none of their tokens can be alive.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use entity::{change, client_assertion, session};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect, TransactionTrait,
};
use signet::testing::{Clock, Prune, Random, StatusIndexes, SystemClock, schema};
use uuid::Uuid;

use crate::harness::{
    Ask, NEW_PASSWORD, TestApp, TestEnv, Tokens,
    client_key::{self, ClientKey, JWT_BEARER},
    days, eventually,
    inbox::Inbox,
    jwt, seconds, stories, stories_on,
};

/// The pruning that the service does every few minutes.
pub(crate) async fn prune(env: &TestEnv, clock: Arc<dyn Clock>, refresh_token_ttl: TimeDelta) -> Prune {
    let db = env.store().await;
    let outbox_folder = env.folder.join("data/outbox");
    Prune { db: db.into(), clock, refresh_token_ttl, outbox_folder, status_indexes: StatusIndexes::new(Random) }
}

/// An app with a direct connection to its database.
struct Attic<'h> {
    signet: &'h TestApp,
    store: DatabaseConnection,
    prune: Prune,
}

impl<'h> Attic<'h> {
    async fn of(signet: &'h TestApp) -> Self {
        let prune = prune(signet, Arc::new(signet.clock.clone()), days(30)).await;
        Self { signet, store: signet.store().await, prune }
    }

    /// Lets `time` pass and prunes.
    async fn after(&self, time: TimeDelta) {
        self.signet.clock.advance(time);
        self.prune.once().await.expect("the database answers");
    }

    /// Whether the session's row is there.
    async fn has(&self, tokens: &Tokens) -> bool {
        let sid = Uuid::parse_str(&jwt::sid(&tokens.access)).expect("a UUID");
        let found = session::Entity::find_by_id(sid).one(&self.store).await;
        found.expect("the database answers").is_some()
    }

    /// How many changes of this kind are kept.
    async fn changes(&self, kind: &str) -> u64 {
        let found = change::Entity::find().filter(change::Column::Kind.eq(kind)).count(&self.store).await;
        found.expect("the database answers")
    }
}

/// Its expiry and the clock tolerance must pass: until then it could be replayed.
async fn an_assertion_stays_as_long_as_it_could_be_taken_again(signet: TestApp) {
    let attic = Attic::of(&signet).await;
    let key = ClientKey::new("EdDSA", "k1");
    let client = client_key::registers(&signet, &key).await;
    let assertion = key.asserts(&signet, &client);
    let presents = async || {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", assertion.as_str()),
        ];
        signet.site.token(&form).answer().await
    };
    let kept = async || client_assertion::Entity::find().count(&attic.store).await.expect("the database answers");
    presents().await.granted();
    for time in [0, 60, 30, 200] {
        attic.after(seconds(time)).await;
        assert_eq!(kept().await, 1);
        presents().await.refused("invalid_client");
    }
    attic.after(seconds(80)).await;
    assert_eq!(kept().await, 0);
    presents().await.refused("invalid_client");
}

/// An access token lives for ten minutes, and one more may come of a repeat ten seconds later.
async fn an_ended_session_stays_until_its_tokens_are_dead(signet: TestApp) {
    let attic = Attic::of(&signet).await;
    let (mut ada, bob) = (signet.registers("ada").await, signet.registers("bob").await);
    let service = signet.registers_service(&[]).await;
    let (here, there, bobs) = (ada.logs_in().await, ada.logs_in().await, bob.logs_in().await);
    let denied = service.gets_a_token(&signet.site).await;
    service.revokes(&signet.site, &denied.access).await.is(200);
    ada.changes_password(&here, NEW_PASSWORD).await;
    bob.logs_out(&bobs).await;
    for time in [seconds(0), seconds(600), seconds(300)] {
        attic.after(time).await;
        assert!(attic.has(&there).await && attic.has(&bobs).await, "a token of theirs may be thought alive elsewhere");
        assert_eq!(attic.changes("session_ended").await, 2);
    }
    ada.refreshes(&there).await.refused("invalid_grant");
    attic.after(seconds(11)).await;
    assert_eq!((attic.changes("session_ended").await, attic.changes("token_denied").await), (0, 0));
    // A gateway may hold a status list with the old bits for ten minutes more, so their indexes are not given again.
    attic.after(seconds(659)).await;
    assert!(attic.has(&there).await && attic.has(&bobs).await);
    attic.after(seconds(1)).await;
    assert!(!attic.has(&there).await && !attic.has(&bobs).await);
    assert!(attic.has(&here).await);
    ada.refreshes(&there).await.refused("invalid_grant"); // as if it had never been
    bob.refreshes(&bobs).await.refused("invalid_grant");
    ada.refreshes(&here).await.granted();
}

async fn an_idle_session_stays_as_long_as_it_may_be_used(signet: TestApp) {
    let attic = Attic::of(&signet).await;
    let ada = signet.registers("ada").await;
    let (idle, mut used) = (ada.logs_in().await, ada.logs_in().await);
    attic.after(days(20)).await;
    used = ada.refreshes(&used).await.granted();
    attic.after(days(10) - seconds(1)).await;
    assert!(attic.has(&idle).await);
    attic.after(seconds(960)).await; // over since sixteen minutes, all but a second
    assert!(attic.has(&idle).await);
    attic.after(seconds(2)).await;
    assert!(!attic.has(&idle).await);
    ada.refreshes(&idle).await.refused("invalid_grant");

    assert!(attic.has(&used).await);
    attic.after(days(20) - seconds(1060)).await; // its last moments: it was used thirty days ago
    used = ada.refreshes(&used).await.granted();
    attic.after(days(30) + seconds(860)).await;
    assert!(attic.has(&used).await);
    attic.after(seconds(101)).await;
    assert!(!attic.has(&used).await);
}

async fn a_session_goes_at_its_end_however_often_it_was_used(signet: TestApp) {
    let attic = Attic::of(&signet).await;
    let ada = signet.registers("ada").await;
    let mut tokens = ada.logs_in().await;
    for _ in 0..5 {
        attic.after(days(17)).await;
        tokens = ada.refreshes(&tokens).await.granted();
    }
    attic.after(days(5) + seconds(959)).await;
    assert!(attic.has(&tokens).await, "90 days and not quite sixteen minutes");
    attic.after(seconds(2)).await;
    assert!(!attic.has(&tokens).await);
    ada.logs_in().await;
}

/// They hold links and addresses.
async fn emails_in_files_go_after_thirty_days(signet: TestApp) {
    let attic = Attic::of(&signet).await;
    let mut inbox = Inbox::of(&signet).await;
    inbox.registers(&signet, "ada", "ada@example.org").await;
    inbox.delivers_one().await;
    let folder = signet.folder.join("data/outbox");
    // What the service did not write stays.
    for name in ["notes.eml", "20200101T000000Z-x.eml", "README"] {
        std::fs::write(folder.join(name), "mine").expect("it can be written");
    }
    let files = || std::fs::read_dir(&folder).expect("the folder").count();
    attic.after(days(29)).await;
    assert_eq!(files(), 4);
    inbox.registers(&signet, "bob", "bob@example.org").await;
    eventually(Duration::from_secs(20), "it is written", async || files() == 5).await;
    attic.after(days(1) + seconds(1)).await;
    assert_eq!(files(), 4, "the new one stays, and the old one is gone");
    attic.after(days(30)).await;
    assert_eq!(files(), 3);
}

/// The row of a session that began and, unless it is live, ended so long ago.
fn row(now: DateTime<Utc>, ago: TimeDelta, n: i32, live: bool) -> session::ActiveModel {
    let then = now - ago;
    let milliseconds = u128::try_from(then.timestamp_millis()).expect("after 1970");
    let serial = u128::try_from(n).expect("a count");
    session::ActiveModel {
        id: Set(Uuid::from_u128(milliseconds << 80 | 0x7000 << 64 | 0x8000 << 48 | serial)),
        user_id: Set(Uuid::nil()),
        client_id: Set("first-party".into()),
        parent: Set(None),
        scope: Set("openid".into()),
        resource: Set(None),
        username: Set(String::new()),
        roles: Set("[]".into()),
        amr: Set("[]".into()),
        generation: Set(1),
        authenticated_at: Set(then),
        created_at: Set(then),
        rotated_at: Set(then),
        idle_ends_at: Set(then + days(30)),
        ends_at: Set(then + days(90)),
        access_ends_at: Set(then + seconds(610)),
        status_list: Set(0),
        status_index: Set(n),
        ended_at: Set((!live).then_some(then)),
        end_reason: Set((!live).then(|| "log_out".into())),
        user_agent: Set(None),
        ip: Set(None),
    }
}

/// A place with so many ended sessions and as many changes; every tenth session has a live neighbour. No service runs.
async fn with_rows(env: &TestEnv, count: i32) -> DatabaseConnection {
    let store = env.store().await;
    schema::up(&store.clone().into()).await.expect("the schema is made");
    let now = SystemClock.now();
    let rows = (0..count).map(|n| row(now, days(1), n, false));
    let live = (0..count / 10).map(|n| row(now, days(1), count + n, true));
    let rows: Vec<_> = rows.chain(live).collect();
    for rows in rows.chunks(500) {
        session::Entity::insert_many(rows.to_vec()).exec_without_returning(&store).await.expect("they are inserted");
    }
    let changes: Vec<_> = (0..count)
        .map(|n| change::ActiveModel {
            id: NotSet,
            kind: Set("token_denied".into()),
            subject: Set(n.to_string()),
            matters_until: Set(now - days(1)),
            status_list: Set(None),
            status_index: Set(None),
            written_at: Set(0),
        })
        .collect();
    for changes in changes.chunks(500) {
        change::Entity::insert_many(changes.to_vec()).exec_without_returning(&store).await.expect("they are inserted");
    }
    store
}

/// How many sessions and changes there are.
async fn left(store: &DatabaseConnection) -> (u64, u64) {
    let sessions = session::Entity::find().count(store).await.expect("the database answers");
    (sessions, change::Entity::find().count(store).await.expect("the database answers"))
}

async fn five_replicas_share_the_work(env: TestEnv) {
    let store = with_rows(&env, 3000).await;
    let mut replicas = Vec::new();
    for _ in 0..5 {
        let prune = prune(&env, Arc::new(SystemClock), days(30)).await;
        replicas.push(tokio::spawn(async move { prune.once().await.expect("none is in another's way") }));
    }
    let mut deleted = 0;
    for replica in replicas {
        deleted += replica.await.expect("it ends");
    }
    assert_eq!(left(&store).await, (300, 0));
    assert_eq!(deleted, 6000, "each row is counted by the task that deleted it");
    assert_eq!(prune(&env, Arc::new(SystemClock), days(30)).await.once().await.expect("the database answers"), 0);
}

async fn a_row_that_is_held_is_left_for_next_time(env: TestEnv) {
    let store = with_rows(&env, 20).await;
    let held = store.begin().await.expect("a transaction");
    let row = session::Entity::find().filter(session::Column::StatusIndex.eq(7)).lock_exclusive().one(&held).await;
    assert!(row.expect("the database answers").is_some());
    let prune = prune(&env, Arc::new(SystemClock), days(30)).await;
    let once = tokio::time::timeout(Duration::from_secs(10), prune.once()).await;
    assert_eq!(once.expect("it waits for nobody").expect("the database answers"), 39);
    assert_eq!(left(&store).await, (3, 0));
    held.rollback().await.expect("the lock is gone");
    assert_eq!(prune.once().await.expect("the database answers"), 1);
    assert_eq!(left(&store).await, (2, 0));
}

stories![
    an_assertion_stays_as_long_as_it_could_be_taken_again,
    an_ended_session_stays_until_its_tokens_are_dead,
    an_idle_session_stays_as_long_as_it_may_be_used,
    a_session_goes_at_its_end_however_often_it_was_used,
];

stories_on![Sqlite: emails_in_files_go_after_thirty_days];
stories_on![Postgres: five_replicas_share_the_work, a_row_that_is_held_is_left_for_next_time];
