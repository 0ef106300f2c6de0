//! Counters of failed passwords.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Throttle {
    Table,
    Key,
    Counting,
    Failures,
    FreeAt,
    ForgetAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(Throttle::Table)
                    .col(ColumnDef::new(Throttle::Key).binary_len(32).not_null().primary_key())
                    .col(ColumnDef::new(Throttle::Counting).small_integer().not_null())
                    .col(ColumnDef::new(Throttle::Failures).integer().not_null())
                    .col(ColumnDef::new(Throttle::FreeAt).big_integer().not_null())
                    .col(ColumnDef::new(Throttle::ForgetAt).big_integer().not_null())
                    .to_owned(),
            )
            .await?;
        // Pruned by it. Nothing else asks by time.
        manager
            .create_index(
                Index::create().name("throttle_forget").table(Throttle::Table).col(Throttle::ForgetAt).to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Throttle::Table).to_owned()).await
    }
}
