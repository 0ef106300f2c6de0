//! Client assertions that were taken, until they have run out: none is taken twice.

use sea_orm::entity::prelude::*;

/// An assertion that a client has authenticated with (RFC 7523 §3).
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "client_assertion")]
pub struct Model {
    /// SHA-256 of the client's id and the assertion's `jti`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: Vec<u8>,
    pub expires_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
