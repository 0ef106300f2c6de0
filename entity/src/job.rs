//! Jobs: what has to leave the service, until it has.

use sea_orm::entity::prelude::*;

/// A job, written with its cause. Its row goes when it is done.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "jobs")]
pub struct Model {
    /// Of a logout notice, the session that ended.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub kind: String,
    /// Of an email its cause, of a logout notice the client.
    pub topic: String,
    /// The account that it concerns, if known.
    pub user_id: Option<Uuid>,
    /// A JSON object.
    pub payload: String,
    pub created_at: DateTimeUtc,
    /// When a worker should take it: now, at a later attempt, or at the end of a lease. `None` once it was given up.
    pub due_at: Option<DateTimeUtc>,
    /// How often it was taken on.
    pub attempts: i32,
    /// Who has taken it on.
    pub claim: Option<Uuid>,
    /// When it was given up.
    pub dead_at: Option<DateTimeUtc>,
    pub last_error: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
