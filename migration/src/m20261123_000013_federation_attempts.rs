//! Attempts to log in with a provider, used once.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum FederationAttempt {
    Table,
    Digest,
    ExpiresAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(FederationAttempt::Table)
                    .col(ColumnDef::new(FederationAttempt::Digest).binary_len(32).not_null().primary_key())
                    .col(ColumnDef::new(FederationAttempt::ExpiresAt).timestamp_with_time_zone().not_null())
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("federation_attempt_expires")
                    .table(FederationAttempt::Table)
                    .col(FederationAttempt::ExpiresAt)
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(FederationAttempt::Table).to_owned()).await
    }
}
