//! Identities at providers, and the accounts that they are linked to.

use sea_orm::entity::prelude::*;

/// A link between an identity and an account.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "identity")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    /// With the subject: unique.
    pub issuer: String,
    pub subject: String,
    /// The provider by which it was linked, as the operator names it.
    pub provider: String,
    pub linked_at: DateTimeUtc,
    pub last_used_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
