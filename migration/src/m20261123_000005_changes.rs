//! The change table.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Change {
    Table,
    Id,
    Kind,
    Subject,
    MattersUntil,
    StatusList,
    StatusIndex,
    WrittenAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(Change::Table)
                    .col(ColumnDef::new(Change::Id).big_integer().not_null().auto_increment().primary_key())
                    .col(ColumnDef::new(Change::Kind).text().not_null())
                    .col(ColumnDef::new(Change::Subject).text().not_null())
                    .col(ColumnDef::new(Change::MattersUntil).timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new(Change::StatusList).integer())
                    .col(ColumnDef::new(Change::StatusIndex).integer())
                    .col(ColumnDef::new(Change::WrittenAt).big_integer().not_null())
                    .to_owned(),
            )
            .await?;
        // Polled by the one, loaded and pruned by the other.
        for (name, column) in [("change_written", Change::WrittenAt), ("change_matters", Change::MattersUntil)] {
            manager.create_index(Index::create().name(name).table(Change::Table).col(column).to_owned()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Change::Table).to_owned()).await
    }
}
