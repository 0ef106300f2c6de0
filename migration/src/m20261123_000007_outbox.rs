//! The outbox: causes of mails, until they have left.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(Clone, Copy, DeriveIden)]
enum Outbox {
    Table,
    Id,
    Kind,
    UserId,
    Payload,
    CreatedAt,
    DueAt,
    Attempts,
    Claim,
    AddressedAt,
    AddressKey,
    SentAt,
    DeadAt,
    LastError,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(Outbox::Table)
                    .col(ColumnDef::new(Outbox::Id).uuid().not_null().primary_key())
                    .col(ColumnDef::new(Outbox::Kind).text().not_null())
                    .col(ColumnDef::new(Outbox::UserId).uuid())
                    .col(ColumnDef::new(Outbox::Payload).text().not_null())
                    .col(ColumnDef::new(Outbox::CreatedAt).timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new(Outbox::DueAt).timestamp_with_time_zone())
                    .col(ColumnDef::new(Outbox::Attempts).integer().not_null().default(0))
                    .col(ColumnDef::new(Outbox::Claim).uuid())
                    .col(ColumnDef::new(Outbox::AddressedAt).timestamp_with_time_zone())
                    .col(ColumnDef::new(Outbox::AddressKey).text())
                    .col(ColumnDef::new(Outbox::SentAt).timestamp_with_time_zone())
                    .col(ColumnDef::new(Outbox::DeadAt).timestamp_with_time_zone())
                    .col(ColumnDef::new(Outbox::LastError).text())
                    .to_owned(),
            )
            .await?;
        // What is due is polled; what is over has no due time, and is pruned by the time that it ended.
        for (name, column) in [
            ("outbox_due", Outbox::DueAt),
            ("outbox_user", Outbox::UserId),
            ("outbox_address", Outbox::AddressKey),
            ("outbox_sent", Outbox::SentAt),
            ("outbox_dead", Outbox::DeadAt),
        ] {
            let present = Expr::col(column).is_not_null();
            manager
                .create_index(Index::create().name(name).table(Outbox::Table).col(column).and_where(present).to_owned())
                .await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Outbox::Table).to_owned()).await
    }
}
