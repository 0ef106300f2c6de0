//! Clients that registered themselves, and the assertions that clients have authenticated with.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Client {
    Table,
    ApplicationType,
    RegistrationTokenDigest,
}

#[derive(DeriveIden)]
enum ClientAssertion {
    Table,
    Digest,
    ExpiresAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column at a time.
        for column in [
            ColumnDef::new(Client::ApplicationType).text().to_owned(),
            ColumnDef::new(Client::RegistrationTokenDigest).binary().to_owned(),
        ] {
            manager.alter_table(Table::alter().table(Client::Table).add_column(column).to_owned()).await?;
        }
        manager
            .create_table(
                Table::create()
                    .table(ClientAssertion::Table)
                    .col(ColumnDef::new(ClientAssertion::Digest).binary().not_null().primary_key())
                    .col(ColumnDef::new(ClientAssertion::ExpiresAt).timestamp_with_time_zone().not_null())
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("client_assertion_expires")
                    .table(ClientAssertion::Table)
                    .col(ClientAssertion::ExpiresAt)
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(ClientAssertion::Table).to_owned()).await?;
        for column in [Client::ApplicationType, Client::RegistrationTokenDigest] {
            manager.alter_table(Table::alter().table(Client::Table).drop_column(column).to_owned()).await?;
        }
        Ok(())
    }
}
