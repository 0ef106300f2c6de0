//! The keys that this database's services have used, by fingerprint: a folder that has none of them is another's.

use sea_orm::entity::prelude::*;

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "key_fingerprint")]
pub struct Model {
    /// The thumbprint of a public key (RFC 7638), or a value derived from a root secret, which it does not reveal.
    #[sea_orm(primary_key, auto_increment = false)]
    pub fingerprint: String,
    /// An algorithm, or `root` for a root secret.
    pub kind: String,
    pub recorded_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
