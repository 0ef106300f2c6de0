//! Log-outs that clients have yet to be told.

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
    /// When somebody should take it on: the present, a later attempt, or the end of a claim.
    pub due_at: DateTimeUtc,
    /// How often it was taken on.
    pub attempts: i32,
    /// Who has taken it on.
    pub claim: Option<Uuid>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
