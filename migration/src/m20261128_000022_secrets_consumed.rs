//! When a one-use secret did what it was for, apart from when it lost its worth: a link that is opened again tells which.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum OneUseSecret {
    Table,
    ConsumedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = ColumnDef::new(OneUseSecret::ConsumedAt).timestamp_with_time_zone().null().to_owned();
        manager.alter_table(Table::alter().table(OneUseSecret::Table).add_column(column).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .alter_table(Table::alter().table(OneUseSecret::Table).drop_column(OneUseSecret::ConsumedAt).to_owned())
            .await
    }
}
