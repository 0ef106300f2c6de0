//! One-use secrets: what mails carry, as digests.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum OneUseSecret {
    Table,
    Id,
    Purpose,
    UserId,
    Email,
    EmailKey,
    Digest,
    CreatedAt,
    ExpiresAt,
    UsedAt,
}

#[derive(DeriveIden)]
enum User {
    Table,
    EmailKey,
}

const CLAIMS: &str = "user_email";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(OneUseSecret::Table)
                    .col(ColumnDef::new(OneUseSecret::Id).uuid().not_null().primary_key())
                    .col(ColumnDef::new(OneUseSecret::Purpose).text().not_null())
                    .col(ColumnDef::new(OneUseSecret::UserId).uuid().not_null())
                    .col(ColumnDef::new(OneUseSecret::Email).text().not_null())
                    .col(ColumnDef::new(OneUseSecret::EmailKey).text().not_null())
                    .col(ColumnDef::new(OneUseSecret::Digest).binary_len(32).not_null().unique_key())
                    .col(ColumnDef::new(OneUseSecret::CreatedAt).timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new(OneUseSecret::ExpiresAt).timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new(OneUseSecret::UsedAt).timestamp_with_time_zone())
                    .to_owned(),
            )
            .await?;
        // Newest only: an account has one secret of each purpose.
        manager
            .create_index(
                Index::create()
                    .name("one_use_secret_newest")
                    .table(OneUseSecret::Table)
                    .col(OneUseSecret::UserId)
                    .col(OneUseSecret::Purpose)
                    .unique()
                    .to_owned(),
            )
            .await?;
        for (name, column) in
            [("one_use_secret_email", OneUseSecret::EmailKey), ("one_use_secret_expires", OneUseSecret::ExpiresAt)]
        {
            manager.create_index(Index::create().name(name).table(OneUseSecret::Table).col(column).to_owned()).await?;
        }
        // The account that verifies an email address takes it from those that only claimed it.
        let claims = Index::create()
            .name(CLAIMS)
            .table(User::Table)
            .col(User::EmailKey)
            .and_where(Expr::col(User::EmailKey).is_not_null())
            .to_owned();
        manager.create_index(claims).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(CLAIMS).table(User::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(OneUseSecret::Table).to_owned()).await
    }
}
