//! Emails that count for the limit of their account and address.

use sea_orm::entity::prelude::*;

/// An email that was found to have a recipient. It names nobody: of the address there is a digest.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "counted_email")]
pub struct Model {
    /// The id of its job.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The topic of its job.
    pub topic: String,
    /// The account; `None` once that is deleted.
    pub user_id: Option<Uuid>,
    /// SHA-256 of the folded address without its tag.
    pub address_digest: Vec<u8>,
    pub addressed_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
