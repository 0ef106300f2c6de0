//! The fingerprints of the keys, by which a folder of other keys is recognised.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum KeyFingerprint {
    Table,
    Fingerprint,
    Kind,
    RecordedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(KeyFingerprint::Table)
                    .col(ColumnDef::new(KeyFingerprint::Fingerprint).text().not_null().primary_key())
                    .col(ColumnDef::new(KeyFingerprint::Kind).text().not_null())
                    .col(ColumnDef::new(KeyFingerprint::RecordedAt).timestamp_with_time_zone().not_null())
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(KeyFingerprint::Table).to_owned()).await
    }
}
