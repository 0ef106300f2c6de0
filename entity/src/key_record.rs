//! The record that a key was made, so that a lost key folder is never silently replaced.

use sea_orm::entity::prelude::*;

/// The first key of a kind.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "key_record")]
pub struct Model {
    /// An algorithm, or `root` for the root secret.
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    /// The name of its file.
    pub file: String,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
