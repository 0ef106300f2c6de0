//! Clients that are described by a document at the URL that is their id.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Client {
    Table,
    DocumentFetchedAt,
    DocumentFreshUntil,
    Blocked,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column at a time.
        for name in [Client::DocumentFetchedAt, Client::DocumentFreshUntil] {
            let column = ColumnDef::new(name).timestamp_with_time_zone().to_owned();
            manager.alter_table(Table::alter().table(Client::Table).add_column(column).to_owned()).await?;
        }
        let column = ColumnDef::new(Client::Blocked).boolean().not_null().default(false).to_owned();
        manager.alter_table(Table::alter().table(Client::Table).add_column(column).to_owned()).await?;
        // Unused ones are pruned by it.
        manager
            .create_index(
                Index::create()
                    .name("client_document")
                    .table(Client::Table)
                    .col(Client::DocumentFreshUntil)
                    .and_where(Expr::col(Client::DocumentFreshUntil).is_not_null())
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name("client_document").table(Client::Table).to_owned()).await?;
        // Until this step is done again, nobody else knows that they are blocked: so they go.
        manager
            .exec_stmt(
                Query::delete().from_table(Client::Table).and_where(Expr::col(Client::Blocked).eq(true)).to_owned(),
            )
            .await?;
        for column in [Client::DocumentFetchedAt, Client::DocumentFreshUntil, Client::Blocked] {
            manager.alter_table(Table::alter().table(Client::Table).drop_column(column).to_owned()).await?;
        }
        Ok(())
    }
}
