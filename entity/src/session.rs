//! Sessions: one row for each login.

use sea_orm::entity::prelude::*;

/// A login of a user at a client. It has no foreign key to the account: an ended row outlives a deleted account until
/// its last access token has expired.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "session")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub client_id: String,
    /// The browser session that it came from.
    pub parent: Option<Uuid>,
    pub scope: String,
    /// The one resource that its tokens are for (RFC 8707).
    pub resource: Option<String>,
    /// What tokens carry of the account, copied so that a refresh reads one row.
    pub username: String,
    /// A JSON array of names, copied likewise.
    pub roles: String,
    /// A JSON array of authentication methods (RFC 8176).
    pub amr: String,
    /// The live refresh token's generation, counted from 1.
    pub generation: i64,
    pub authenticated_at: DateTimeUtc,
    pub created_at: DateTimeUtc,
    /// When the live generation began.
    pub rotated_at: DateTimeUtc,
    /// When the live refresh token ends unless it is used.
    pub idle_ends_at: DateTimeUtc,
    /// When the session ends, used or not.
    pub ends_at: DateTimeUtc,
    /// No access token of the session lives longer than this.
    pub access_ends_at: DateTimeUtc,
    /// The status list, and the index in it.
    pub status_list: i32,
    pub status_index: i32,
    pub ended_at: Option<DateTimeUtc>,
    pub end_reason: Option<String>,
    pub user_agent: Option<String>,
    pub ip: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
