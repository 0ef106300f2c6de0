//! The keys that were revoked: no service uses them again, wherever their files are.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum RevokedKey {
    Table,
    Kid,
    Kind,
    PublishedAt,
    RevokedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(RevokedKey::Table)
                    .col(ColumnDef::new(RevokedKey::Kid).text().not_null().primary_key())
                    .col(ColumnDef::new(RevokedKey::Kind).text().not_null())
                    .col(ColumnDef::new(RevokedKey::PublishedAt).timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new(RevokedKey::RevokedAt).timestamp_with_time_zone().not_null())
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(RevokedKey::Table).to_owned()).await
    }
}
