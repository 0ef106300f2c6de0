//! One-use secrets: the digests of what mails carry.

use sea_orm::entity::prelude::*;

/// An account's newest secret of a purpose. A used one stays until no mail can bring it back.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "one_use_secret")]
pub struct Model {
    /// That of the outbox row whose mail carries it; the secret follows from it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub purpose: String,
    pub user_id: Uuid,
    /// The address that it was mailed to.
    pub email: String,
    pub email_key: String,
    /// SHA-256.
    pub digest: Vec<u8>,
    /// When it was asked for.
    pub created_at: DateTimeUtc,
    pub expires_at: DateTimeUtc,
    /// When it was used, or lost its worth otherwise.
    pub used_at: Option<DateTimeUtc>,
    /// When it was used.
    pub consumed_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
