//! The outbox: what has to be told by mail, until it was.

use sea_orm::entity::prelude::*;

/// The cause of a mail. What the mail says, and to whom, is found when it is sent.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub kind: String,
    /// The account that it concerns, if known.
    pub user_id: Option<Uuid>,
    /// A JSON object; empty once the mail was sent.
    pub payload: String,
    pub created_at: DateTimeUtc,
    /// When a worker should take it: now, at a later attempt, or at the end of a lease. `None` once it is finished.
    pub due_at: Option<DateTimeUtc>,
    /// How often it was taken on.
    pub attempts: i32,
    /// Who has taken it on.
    pub claim: Option<Uuid>,
    /// Since when it counts among the mails of its account and its address, and the folded address.
    pub addressed_at: Option<DateTimeUtc>,
    pub address_key: Option<String>,
    pub sent_at: Option<DateTimeUtc>,
    /// When it was given up.
    pub dead_at: Option<DateTimeUtc>,
    pub last_error: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
