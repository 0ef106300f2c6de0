//! Logout notices (OIDC Back-Channel Logout 1.0), each a job that is written with the end of the session.

use chrono::{DateTime, Utc};
use entity::{
    client,
    job::{Column, Entity},
    session,
};
use sea_orm::{
    ConnectionTrait,
    sea_query::{Expr, ExprTrait, Query},
};

use super::{StoreError, jobs::Job, rows::unreadable};
use crate::domain::{
    ids::{ClientId, SessionId, UserId},
    job::JobKind,
};

const TABLE: &str = "jobs";
/// Sessions of one statement: databases bind only so many values.
const BATCH: usize = 500;

/// Writes a notice for each session in `ended` whose client has a back-channel logout URI, in the transaction that ends
/// them. Deleted clients get none. Returns the number of notices.
pub async fn write(db: &impl ConnectionTrait, ended: &[SessionId], now: DateTime<Utc>) -> Result<u64, StoreError> {
    let mut written = 0;
    for batch in ended.chunks(BATCH) {
        let of_session = |column: session::Column| Expr::col((session::Entity, column));
        let of_client = |column: client::Column| Expr::col((client::Entity, column));
        let notices = Query::select()
            // A session ends once, so its id identifies the notice.
            .expr(of_session(session::Column::Id))
            .expr(Expr::value(JobKind::LogoutNotice.as_str()))
            .expr(of_session(session::Column::ClientId))
            .expr(of_session(session::Column::UserId))
            .expr(Expr::value("{}"))
            .expr(Expr::value(now))
            .expr(Expr::value(now))
            .expr(Expr::value(0))
            .from(session::Entity)
            .inner_join(
                client::Entity,
                of_client(client::Column::Id).equals((session::Entity, session::Column::ClientId)),
            )
            .and_where(of_session(session::Column::Id).is_in(batch.iter().map(|session| session.0)))
            .and_where(of_client(client::Column::BackchannelLogoutUri).is_not_null())
            .to_owned();
        let insert = Query::insert()
            .into_table(Entity)
            .columns([
                Column::Id,
                Column::Kind,
                Column::Topic,
                Column::UserId,
                Column::Payload,
                Column::CreatedAt,
                Column::DueAt,
                Column::Attempts,
            ])
            .select_from(notices)
            .map_err(|why| unreadable(TABLE, why))?
            .to_owned();
        written += db.execute(&insert).await?.rows_affected();
    }
    Ok(written)
}

/// The content of a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutNotice {
    /// The session that ended.
    pub session: SessionId,
    /// The session's user.
    pub user: UserId,
    /// The client to tell.
    pub client: ClientId,
}

/// The notice of a job.
pub fn read(job: &Job) -> Result<LogoutNotice, StoreError> {
    Ok(LogoutNotice {
        session: SessionId(job.id),
        user: job.user.ok_or_else(|| unreadable(TABLE, "no account"))?,
        client: ClientId::parse(&job.topic).map_err(|why| unreadable(TABLE, why))?,
    })
}
