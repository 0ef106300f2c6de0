//! Accounts.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum User {
    Table,
    Id,
    Username,
    UsernameKey,
    Email,
    EmailKey,
    EmailVerified,
    PasswordHash,
    Roles,
    CreatedAt,
    DisabledAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(User::Table)
                    .col(ColumnDef::new(User::Id).uuid().not_null().primary_key())
                    .col(ColumnDef::new(User::Username).text().not_null())
                    .col(ColumnDef::new(User::UsernameKey).text().not_null().unique_key())
                    .col(ColumnDef::new(User::Email).text())
                    .col(ColumnDef::new(User::EmailKey).text())
                    .col(ColumnDef::new(User::EmailVerified).boolean().not_null().default(false))
                    .col(ColumnDef::new(User::PasswordHash).text())
                    .col(ColumnDef::new(User::Roles).text().not_null().default("[]"))
                    .col(ColumnDef::new(User::CreatedAt).timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new(User::DisabledAt).timestamp_with_time_zone())
                    .to_owned(),
            )
            .await?;
        // An email address belongs to the account that verified it; many accounts may claim it unverified.
        manager
            .create_index(
                Index::create()
                    .name("user_verified_email")
                    .table(User::Table)
                    .col(User::EmailKey)
                    .unique()
                    .and_where(Expr::col(User::EmailVerified).eq(true))
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(User::Table).to_owned()).await
    }
}
