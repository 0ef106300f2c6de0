//! Logout notices that are not delivered yet.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(Clone, Copy, DeriveIden)]
enum LogoutNotice {
    Table,
    SessionId,
    UserId,
    ClientId,
    CreatedAt,
    DueAt,
    Attempts,
    Claim,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(LogoutNotice::Table)
                    // A session ends once.
                    .col(ColumnDef::new(LogoutNotice::SessionId).uuid().not_null().primary_key())
                    .col(ColumnDef::new(LogoutNotice::UserId).uuid().not_null())
                    .col(ColumnDef::new(LogoutNotice::ClientId).text().not_null())
                    .col(ColumnDef::new(LogoutNotice::CreatedAt).timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new(LogoutNotice::DueAt).timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new(LogoutNotice::Attempts).integer().not_null().default(0))
                    .col(ColumnDef::new(LogoutNotice::Claim).uuid())
                    .to_owned(),
            )
            .await?;
        // What is due is polled; what a client does not take is put off together.
        for (name, columns) in [
            ("logout_notice_due", &[LogoutNotice::DueAt][..]),
            ("logout_notice_client", &[LogoutNotice::ClientId, LogoutNotice::DueAt]),
            ("logout_notice_created", &[LogoutNotice::CreatedAt]),
        ] {
            let mut index = Index::create().name(name).table(LogoutNotice::Table).to_owned();
            for column in columns {
                index.col(*column);
            }
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(LogoutNotice::Table).to_owned()).await
    }
}
