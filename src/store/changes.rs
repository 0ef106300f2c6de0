//! The change table: how replicas learn what to refuse or to read again.
//!
//! A row is written in the transaction that makes the change, with the database's clock, and notified after its commit.
//! Every replica reads on from where it stood, and the last [`OVERLAP`] again, since rows may become visible in another
//! order than they were written. Entries are idempotent.

use std::time::Duration;

use chrono::{DateTime, Utc};
use entity::change::{Column, Entity, Model};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, LockBehavior, LockType, Query},
    sqlx::postgres::PgListener,
};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::{StoreError, database::is_postgres, guard::PATIENCE, rows::unreadable, session_cutoffs::Cutoff};
use crate::domain::{
    ids::{ClientId, SessionId, UserId},
    key_schedule::RevokedKey,
    signing_key::KeyKind,
    status_list::StatusPosition,
};

/// How far back a poll reads again: longer than it may take from writing a change to the answer of its commit.
pub const OVERLAP: Duration = Duration::from_secs(15);
/// The longest time from writing a change to its commit.
pub const LONGEST_TRANSACTION: Duration = Duration::from_secs(4);
const _: () = assert!(LONGEST_TRANSACTION.as_secs() + PATIENCE.as_secs() < OVERLAP.as_secs());

/// How many changes are read at a time: some megabytes.
pub const PAGE: u64 = 10_000;
const CHANNEL: &str = "signet_change";
const TABLE: &str = "change";
/// Rows of one INSERT: far below either database's limit on parameters.
const BATCH: usize = 500;

/// A change that replicas must learn of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A session has ended: its tokens are refused until the last has expired.
    SessionEnded {
        session: SessionId,
        /// Its status list index.
        status: StatusPosition,
    },
    /// An account's sessions up to an id have ended, but for one.
    SessionsEnded(Cutoff),
    /// A token without a session is refused, by its `jti`.
    TokenDenied { token: String },
    /// An account's profile has changed.
    AccountChanged(UserId),
    /// A client was deleted: tokens issued to it until then are refused.
    ClientDeleted { client: ClientId, at: DateTime<Utc> },
    /// A client's registration has changed.
    ClientChanged(ClientId),
    /// A key was revoked: what it signed, and will sign in a thief's hands, is refused.
    KeyRevoked(RevokedKey),
}

/// A change, and how long it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub change: Change,
    /// After this time, no replica needs it.
    pub matters_until: DateTime<Utc>,
}

/// Writes changes in the transaction that makes them. After its commit call [`notify`].
pub async fn write(transaction: &impl ConnectionTrait, entries: &[Entry]) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    for batch in entries.chunks(BATCH) {
        let mut insert = Query::insert();
        insert.into_table(Entity).columns([
            Column::Kind,
            Column::Subject,
            Column::MattersUntil,
            Column::StatusList,
            Column::StatusIndex,
            Column::WrittenAt,
        ]);
        for Entry { change, matters_until } in batch {
            let (kind, subject, status) = columns(change);
            insert.values_panic([
                kind.into(),
                subject.into(),
                (*matters_until).into(),
                status.map(|status| i32::from(status.list)).into(),
                status.and_then(|status| i32::try_from(status.index).ok()).into(),
                database_clock(transaction),
            ]);
        }
        transaction.execute(&insert).await?;
    }
    Ok(())
}

/// Notifies the replicas that a transaction has committed changes.
///
/// Postgres commits transactions that notify one at a time, each with its wait for the disk; so this is a statement of
/// its own, which has nothing to write. A poll finds what a process that dies in between did not notify.
pub async fn notify(db: &impl ConnectionTrait) -> Result<(), StoreError> {
    if is_postgres(db) {
        db.execute_unprepared(&format!("NOTIFY {CHANNEL}")).await?;
    }
    Ok(())
}

/// A time by the database's own clock, in milliseconds since 1970, since replicas' clocks may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DatabaseTime(i64);

impl DatabaseTime {
    /// The time `span` earlier.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// A place in the order of writing: a time and an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(i64, i64);

/// Changes with their ids, in the order of writing.
#[derive(Debug)]
pub struct Page {
    pub entries: Vec<(i64, Entry)>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Place>,
}

/// The present by the database's own clock.
pub async fn clock(db: &impl ConnectionTrait) -> Result<DatabaseTime, StoreError> {
    let now = Query::select().expr_as(database_clock(db), "now").to_owned();
    let row = db.query_one(&now).await?.ok_or_else(|| unreadable(TABLE, "no time"))?;
    Ok(DatabaseTime(row.try_get("", "now")?))
}

/// A page of the changes written since `from`, or after `place` in the page before.
///
/// The bound is a value, not the database's clock: Postgres compares a volatile function with every row. And the order is
/// the index's: SQLite would rather read the whole table by id.
pub async fn since(db: &impl ConnectionTrait, from: DatabaseTime, place: Option<Place>) -> Result<Page, StoreError> {
    let mut find = Entity::find().filter(Column::WrittenAt.gte(place.map_or(from.0, |Place(at, _)| at)));
    if let Some(Place(at, id)) = place {
        find = find.filter(Column::WrittenAt.gt(at).or(Column::Id.gt(id)));
    }
    let rows = find.order_by_asc(Column::WrittenAt).order_by_asc(Column::Id).limit(PAGE).all(db).await?;
    let whole = u64::try_from(rows.len()).is_ok_and(|rows| rows == PAGE);
    let next = rows.last().filter(|_| whole).map(|row| Place(row.written_at, row.id));
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let entries = ids.into_iter().zip(rows).filter_map(|(id, row)| Some((id, entry(&row).transpose()?)));
    let entries = entries.map(|(id, entry)| Ok((id, entry?))).collect::<Result<_, StoreError>>()?;
    Ok(Page { entries, next })
}

/// A page of the changes that still matter at `now`: those after id `after`, oldest first, at most [`PAGE`], with the
/// start of the next page, if there is one.
pub async fn page(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
    after: i64,
) -> Result<(Vec<Entry>, Option<i64>), StoreError> {
    let rows = Entity::find()
        .filter(Column::MattersUntil.gt(now))
        .filter(Column::Id.gt(after))
        .order_by_asc(Column::Id)
        .limit(PAGE)
        .all(db)
        .await?;
    let whole = u64::try_from(rows.len()).is_ok_and(|rows| rows == PAGE);
    let next = rows.last().filter(|_| whole).map(|row| row.id);
    let entries = rows.iter().filter_map(|row| entry(row).transpose()).collect::<Result<_, _>>()?;
    Ok((entries, next))
}

/// Deletes at most `batch` changes that no longer mattered at `over`; batches of other processes are skipped. Returns
/// how many there were.
pub async fn prune(db: &impl ConnectionTrait, over: DateTime<Utc>, batch: u64) -> Result<u64, StoreError> {
    let these = Query::select()
        .column(Column::Id)
        .from(Entity)
        .and_where(Column::MattersUntil.lt(over))
        .limit(batch)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .to_owned();
    Ok(Entity::delete_many().filter(Column::Id.in_subquery(these)).exec(db).await?.rows_affected)
}

/// Receives notifications of commits that wrote changes. Postgres only; polls find what it misses.
#[derive(Debug)]
pub struct Notices(PgListener);

impl Notices {
    /// Listens on a direct connection to the database; `None` if the database has no notifications.
    pub async fn listen(url: &SecretString) -> Result<Option<Self>, StoreError> {
        let url = url.expose_secret();
        if url.starts_with("sqlite:") {
            return Ok(None);
        }
        let connect = async {
            let mut listener = PgListener::connect(url).await?;
            listener.listen(CHANNEL).await?;
            Ok(Self(listener))
        };
        connect.await.map(Some).map_err(|error| StoreError::from(sqlx_error(error)))
    }

    /// Waits for a notification; several at once count as one.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the connection was lost: notifications may have been missed, and this listener is
    /// dead.
    pub async fn next(&mut self) -> Result<(), StoreError> {
        match self.0.try_recv().await {
            Ok(Some(_)) => {
                while self.0.next_buffered().is_some() {}
                Ok(())
            }
            // sqlx would reconnect silently, and notifications in between would be lost unnoticed.
            Ok(None) => Err(sqlx_error(sea_orm::sqlx::Error::PoolClosed).into()),
            Err(error) => Err(sqlx_error(error).into()),
        }
    }
}

fn sqlx_error(error: sea_orm::sqlx::Error) -> DbErr {
    DbErr::Conn(sea_orm::RuntimeErr::SqlxError(std::sync::Arc::new(error)))
}

/// The present in milliseconds since 1970, as an expression.
fn database_clock(db: &impl ConnectionTrait) -> Expr {
    if is_postgres(db) {
        Expr::cust("(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint")
    } else {
        Expr::cust("CAST(unixepoch('now', 'subsec') * 1000 AS INTEGER)")
    }
}

fn columns(change: &Change) -> (&'static str, String, Option<StatusPosition>) {
    match change {
        Change::SessionEnded { session, status } => ("session_ended", session.to_string(), Some(*status)),
        Change::SessionsEnded(Cutoff { user, through, kept }) => {
            let kept = kept.map(|kept| kept.to_string()).unwrap_or_default();
            ("sessions_ended", format!("{user} {through} {kept}"), None)
        }
        Change::TokenDenied { token } => ("token_denied", token.clone(), None),
        Change::AccountChanged(user) => ("account_changed", user.to_string(), None),
        Change::ClientDeleted { client, at } => ("client_deleted", format!("{} {client}", at.timestamp_micros()), None),
        Change::ClientChanged(client) => ("client_changed", client.to_string(), None),
        Change::KeyRevoked(RevokedKey { kid, kind, published, revoked }) => {
            let (published, revoked) = (published.timestamp_micros(), revoked.timestamp_micros());
            ("key_revoked", format!("{} {published} {revoked} {kid}", kind.as_str()), None)
        }
    }
}

/// Reads an entry from its row. `None` for an unknown kind, which comes from a newer version.
fn entry(row: &Model) -> Result<Option<Entry>, StoreError> {
    let uuid = || Uuid::parse_str(&row.subject).map_err(|why| unreadable(TABLE, why));
    let client = |text: &str| ClientId::parse(text).map_err(|why| unreadable(TABLE, why));
    let change = match row.kind.as_str() {
        "session_ended" => Change::SessionEnded { session: SessionId(uuid()?), status: position(row)? },
        "sessions_ended" => Change::SessionsEnded(cutoff(&row.subject)?),
        "token_denied" => Change::TokenDenied { token: row.subject.clone() },
        "account_changed" => Change::AccountChanged(UserId(uuid()?)),
        "client_deleted" => {
            let (at, id) = row.subject.split_once(' ').ok_or_else(|| unreadable(TABLE, "no time"))?;
            let at = at.parse().ok().and_then(DateTime::from_timestamp_micros);
            Change::ClientDeleted { client: client(id)?, at: at.ok_or_else(|| unreadable(TABLE, "no time"))? }
        }
        "client_changed" => Change::ClientChanged(client(&row.subject)?),
        "key_revoked" => Change::KeyRevoked(revoked_key(&row.subject).ok_or_else(|| unreadable(TABLE, "no key"))?),
        _ => return Ok(None),
    };
    Ok(Some(Entry { change, matters_until: row.matters_until }))
}

/// Reads a revoked key: its kind, the times of publication and revocation, and the `kid`.
fn revoked_key(text: &str) -> Option<RevokedKey> {
    let mut parts = text.splitn(4, ' ');
    let kind = KeyKind::parse(parts.next()?)?;
    let mut time = || DateTime::from_timestamp_micros(parts.next()?.parse().ok()?);
    let (published, revoked) = (time()?, time()?);
    Some(RevokedKey { kid: parts.next()?.to_owned(), kind, published, revoked })
}

/// Reads the account, the last session that ended, and the one that did not, if any.
fn cutoff(text: &str) -> Result<Cutoff, StoreError> {
    let mut parts = text.split(' ').filter(|part| !part.is_empty()).map(Uuid::parse_str);
    let (Some(Ok(user)), Some(Ok(through))) = (parts.next(), parts.next()) else {
        return Err(unreadable(TABLE, "no cutoff"));
    };
    let kept = parts.next().transpose().map_err(|why| unreadable(TABLE, why))?;
    Ok(Cutoff { user: UserId(user), through: SessionId(through), kept: kept.map(SessionId) })
}

fn position(row: &Model) -> Result<StatusPosition, StoreError> {
    super::rows::status_position(TABLE, row.status_list.unwrap_or(-1), row.status_index.unwrap_or(-1))
}
