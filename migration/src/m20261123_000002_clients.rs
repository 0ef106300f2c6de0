//! OAuth clients.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Client {
    Table,
    Id,
    Name,
    SecretDigest,
    AuthenticationMethod,
    Grants,
    Scope,
    Audiences,
    Resources,
    RedirectUris,
    PostLogoutRedirectUris,
    BackchannelLogoutUri,
    IdTokenAlgorithm,
    Jwks,
    FirstParty,
    CreatedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(Client::Table)
                    .col(ColumnDef::new(Client::Id).text().not_null().primary_key())
                    .col(ColumnDef::new(Client::Name).text().not_null())
                    .col(ColumnDef::new(Client::SecretDigest).binary())
                    .col(ColumnDef::new(Client::AuthenticationMethod).text().not_null())
                    .col(ColumnDef::new(Client::Grants).text().not_null())
                    .col(ColumnDef::new(Client::Scope).text().not_null())
                    .col(ColumnDef::new(Client::Audiences).text().not_null())
                    .col(ColumnDef::new(Client::Resources).text().not_null())
                    .col(ColumnDef::new(Client::RedirectUris).text().not_null())
                    .col(ColumnDef::new(Client::PostLogoutRedirectUris).text().not_null())
                    .col(ColumnDef::new(Client::BackchannelLogoutUri).text())
                    .col(ColumnDef::new(Client::IdTokenAlgorithm).text())
                    .col(ColumnDef::new(Client::Jwks).text())
                    .col(ColumnDef::new(Client::FirstParty).boolean().not_null())
                    .col(ColumnDef::new(Client::CreatedAt).timestamp_with_time_zone().not_null())
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Client::Table).to_owned()).await
    }
}
