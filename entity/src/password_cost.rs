//! The costs that password hashes have.

use sea_orm::entity::prelude::*;

/// The parameters with which some process has hashed passwords.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "password_cost")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub memory_kib: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub iterations: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub parallelism: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
