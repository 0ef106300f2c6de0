//! The resources that a consent covers (RFC 8707). Earlier consents cover none: the person is asked again.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Consent {
    Table,
    Resources,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = ColumnDef::new(Consent::Resources).text().not_null().default("[]").to_owned();
        manager.alter_table(Table::alter().table(Consent::Table).add_column(column).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table(Consent::Table).drop_column(Consent::Resources).to_owned()).await
    }
}
