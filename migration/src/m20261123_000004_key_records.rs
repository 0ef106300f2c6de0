//! The record that keys were made.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum KeyRecord {
    Table,
    Kind,
    File,
    CreatedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(KeyRecord::Table)
                    .col(ColumnDef::new(KeyRecord::Kind).text().not_null().primary_key())
                    .col(ColumnDef::new(KeyRecord::File).text().not_null())
                    .col(ColumnDef::new(KeyRecord::CreatedAt).timestamp_with_time_zone().not_null())
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(KeyRecord::Table).to_owned()).await
    }
}
