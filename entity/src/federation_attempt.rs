//! Attempts to log in with a provider that were used up.

use sea_orm::entity::prelude::*;

/// An attempt that may not be used again.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "federation_attempt")]
pub struct Model {
    /// SHA-256 of what names the attempt.
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: Vec<u8>,
    /// From when on the attempt is refused for its age.
    pub expires_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
