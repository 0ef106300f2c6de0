//! Accounts.

use sea_orm::entity::prelude::*;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// As its owner wrote it.
    pub username: String,
    /// What decides whether two names are the same.
    #[sea_orm(unique)]
    pub username_key: String,
    /// What the name looks like (UTS 39). None where the name is older than this rule and another account's looks the
    /// same.
    #[sea_orm(unique)]
    pub username_skeleton: Option<String>,
    pub email: Option<String>,
    /// The address folded; unique among verified ones.
    pub email_key: Option<String>,
    pub email_verified: bool,
    /// A PHC string; none where the account has no password.
    pub password_hash: Option<String>,
    /// A JSON array of names.
    pub roles: String,
    pub created_at: DateTimeUtc,
    pub disabled_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
