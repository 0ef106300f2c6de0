//! Identities of users at providers.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Identity {
    Table,
    Id,
    UserId,
    Issuer,
    Subject,
    Provider,
    LinkedAt,
    LastUsedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(Identity::Table)
                    .col(ColumnDef::new(Identity::Id).uuid().not_null().primary_key())
                    .col(ColumnDef::new(Identity::UserId).uuid().not_null())
                    .col(ColumnDef::new(Identity::Issuer).text().not_null())
                    .col(ColumnDef::new(Identity::Subject).text().not_null())
                    .col(ColumnDef::new(Identity::Provider).text().not_null())
                    .col(ColumnDef::new(Identity::LinkedAt).timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new(Identity::LastUsedAt).timestamp_with_time_zone().not_null())
                    .to_owned(),
            )
            .await?;
        // An identity opens one account, however many log in with it at once for the first time.
        manager
            .create_index(
                Index::create()
                    .name("identity_subject")
                    .table(Identity::Table)
                    .col(Identity::Issuer)
                    .col(Identity::Subject)
                    .unique()
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(Index::create().name("identity_user").table(Identity::Table).col(Identity::UserId).to_owned())
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Identity::Table).to_owned()).await
    }
}
