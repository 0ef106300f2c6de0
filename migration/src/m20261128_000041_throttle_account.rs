//! The account that a counter of failed passwords belongs to, so that the operator can forgive its failures.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Throttle {
    Table,
    Account,
}

const INDEX: &str = "throttle_account";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = ColumnDef::new(Throttle::Account).uuid().to_owned();
        manager.alter_table(Table::alter().table(Throttle::Table).add_column(column).to_owned()).await?;
        let index = Index::create().name(INDEX).table(Throttle::Table).col(Throttle::Account).to_owned();
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(INDEX).table(Throttle::Table).to_owned()).await?;
        manager.alter_table(Table::alter().table(Throttle::Table).drop_column(Throttle::Account).to_owned()).await
    }
}
