//! The change table: what every replica must learn of soon.

use sea_orm::entity::prelude::*;

/// Something that replicas keep in memory has changed.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "change")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    /// What kind of thing.
    pub kind: String,
    /// The identifier of the changed object.
    pub subject: String,
    /// Until when it matters.
    pub matters_until: DateTimeUtc,
    /// An ended session's place in the status lists.
    pub status_list: Option<i32>,
    pub status_index: Option<i32>,
    /// When it was written by the database's own clock, in milliseconds since 1970.
    pub written_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
