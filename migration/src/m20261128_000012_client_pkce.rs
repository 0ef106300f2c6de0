//! Confidential clients that may ask for a code without PKCE.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Client {
    Table,
    PkceOptional,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = ColumnDef::new(Client::PkceOptional).boolean().not_null().default(false).to_owned();
        manager.alter_table(Table::alter().table(Client::Table).add_column(column).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table(Client::Table).drop_column(Client::PkceOptional).to_owned()).await
    }
}
