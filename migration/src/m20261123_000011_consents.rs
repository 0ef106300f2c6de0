//! Consents of users to clients.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Consent {
    Table,
    UserId,
    ClientId,
    Scope,
    GivenAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(Consent::Table)
                    .col(ColumnDef::new(Consent::UserId).uuid().not_null())
                    .col(ColumnDef::new(Consent::ClientId).text().not_null())
                    .col(ColumnDef::new(Consent::Scope).text().not_null())
                    .col(ColumnDef::new(Consent::GivenAt).timestamp_with_time_zone().not_null())
                    .primary_key(Index::create().col(Consent::UserId).col(Consent::ClientId))
                    .to_owned(),
            )
            .await?;
        // A deleted client's are deleted with it.
        manager
            .create_index(
                Index::create().name("consent_client").table(Consent::Table).col(Consent::ClientId).to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Consent::Table).to_owned()).await
    }
}
