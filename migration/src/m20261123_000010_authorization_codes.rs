//! Authorization codes.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum AuthorizationCode {
    Table,
    Digest,
    ClientId,
    UserId,
    Parent,
    RedirectUri,
    CodeChallenge,
    Scope,
    Resource,
    Nonce,
    ExpiresAt,
    UsedAt,
    SessionId,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(AuthorizationCode::Table)
                    .col(ColumnDef::new(AuthorizationCode::Digest).binary().not_null().primary_key())
                    .col(ColumnDef::new(AuthorizationCode::ClientId).text().not_null())
                    .col(ColumnDef::new(AuthorizationCode::UserId).uuid().not_null())
                    .col(ColumnDef::new(AuthorizationCode::Parent).uuid().not_null())
                    .col(ColumnDef::new(AuthorizationCode::RedirectUri).text().not_null())
                    .col(ColumnDef::new(AuthorizationCode::CodeChallenge).text().not_null())
                    .col(ColumnDef::new(AuthorizationCode::Scope).text().not_null())
                    .col(ColumnDef::new(AuthorizationCode::Resource).text())
                    .col(ColumnDef::new(AuthorizationCode::Nonce).text())
                    .col(ColumnDef::new(AuthorizationCode::ExpiresAt).timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new(AuthorizationCode::UsedAt).timestamp_with_time_zone())
                    .col(ColumnDef::new(AuthorizationCode::SessionId).uuid())
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("authorization_code_expires")
                    .table(AuthorizationCode::Table)
                    .col(AuthorizationCode::ExpiresAt)
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(AuthorizationCode::Table).to_owned()).await
    }
}
