//! Sessions.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Session {
    Table,
    Id,
    UserId,
    ClientId,
    Scope,
    Resource,
    Username,
    Roles,
    Amr,
    Generation,
    AuthenticatedAt,
    CreatedAt,
    RotatedAt,
    IdleEndsAt,
    EndsAt,
    AccessEndsAt,
    StatusList,
    StatusIndex,
    EndedAt,
    EndReason,
    UserAgent,
    Ip,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(Session::Table)
                    .col(ColumnDef::new(Session::Id).uuid().not_null().primary_key())
                    .col(ColumnDef::new(Session::UserId).uuid().not_null())
                    .col(ColumnDef::new(Session::ClientId).text().not_null())
                    .col(ColumnDef::new(Session::Scope).text().not_null())
                    .col(ColumnDef::new(Session::Resource).text())
                    .col(ColumnDef::new(Session::Username).text().not_null())
                    .col(ColumnDef::new(Session::Roles).text().not_null())
                    .col(ColumnDef::new(Session::Amr).text().not_null())
                    .col(ColumnDef::new(Session::Generation).big_integer().not_null())
                    .col(ColumnDef::new(Session::AuthenticatedAt).timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new(Session::CreatedAt).timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new(Session::RotatedAt).timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new(Session::IdleEndsAt).timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new(Session::EndsAt).timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new(Session::AccessEndsAt).timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new(Session::StatusList).integer().not_null())
                    .col(ColumnDef::new(Session::StatusIndex).integer().not_null())
                    .col(ColumnDef::new(Session::EndedAt).timestamp_with_time_zone())
                    .col(ColumnDef::new(Session::EndReason).text())
                    .col(ColumnDef::new(Session::UserAgent).text())
                    .col(ColumnDef::new(Session::Ip).text())
                    .to_owned(),
            )
            .await?;
        for (name, column) in [("session_user", Session::UserId), ("session_client", Session::ClientId)] {
            manager
                .create_index(
                    Index::create()
                        .name(name)
                        .table(Session::Table)
                        .col(column)
                        .and_where(Expr::col(Session::EndedAt).is_null())
                        .to_owned(),
                )
                .await?;
        }
        // What is over is pruned by these two. No index holds a column that a refresh changes, so that Postgres can
        // update the row in place (heap-only tuples).
        manager
            .create_index(
                Index::create()
                    .name("session_ended")
                    .table(Session::Table)
                    .col(Session::EndedAt)
                    .and_where(Expr::col(Session::EndedAt).is_not_null())
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(Index::create().name("session_ends").table(Session::Table).col(Session::EndsAt).to_owned())
            .await?;
        // A place in a status list is one session's as long as its row is there.
        manager
            .create_index(
                Index::create()
                    .name("session_status")
                    .table(Session::Table)
                    .col(Session::StatusList)
                    .col(Session::StatusIndex)
                    .unique()
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Session::Table).to_owned()).await
    }
}
