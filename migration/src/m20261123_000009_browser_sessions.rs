//! Logins at the browser pages, and the sessions that come from them.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Session {
    Table,
    Parent,
    EndedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .alter_table(
                Table::alter().table(Session::Table).add_column(ColumnDef::new(Session::Parent).uuid()).to_owned(),
            )
            .await?;
        // A parent ends with its children.
        manager
            .create_index(
                Index::create()
                    .name("session_parent")
                    .table(Session::Table)
                    .col(Session::Parent)
                    .and_where(Expr::col(Session::Parent).is_not_null().and(Expr::col(Session::EndedAt).is_null()))
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name("session_parent").table(Session::Table).to_owned()).await?;
        manager.alter_table(Table::alter().table(Session::Table).drop_column(Session::Parent).to_owned()).await
    }
}
