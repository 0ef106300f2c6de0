//! Logout notices that are not delivered yet.

use sea_orm::entity::prelude::*;

/// An ended session that its client wants to hear of (OIDC Back-Channel Logout 1.0). The row goes when it was told.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "logout_notice")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub session_id: Uuid,
    pub user_id: Uuid,
    pub client_id: String,
    pub created_at: DateTimeUtc,
    /// When a worker should take it: now, at a later attempt, or at the end of a lease.
    pub due_at: DateTimeUtc,
    /// How often it was taken on.
    pub attempts: i32,
    /// Who has taken it on.
    pub claim: Option<Uuid>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
