//! Cutoffs: accounts with more sessions than one transaction ends.

use sea_orm::entity::prelude::*;

/// The account's sessions up to an id are over, although their rows do not say so yet.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "session_cutoff")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    /// The last session that is over. Ids are in the order of time.
    pub through: Uuid,
    /// The one that goes on all the same.
    pub kept: Option<Uuid>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
