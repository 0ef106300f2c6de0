//! The pushed request that a code answers: one code each.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum AuthorizationCode {
    Table,
    Reference,
}

const INDEX: &str = "authorization_code_reference";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = ColumnDef::new(AuthorizationCode::Reference).binary().to_owned();
        manager.alter_table(Table::alter().table(AuthorizationCode::Table).add_column(column).to_owned()).await?;
        manager
            .create_index(
                Index::create()
                    .name(INDEX)
                    .table(AuthorizationCode::Table)
                    .col(AuthorizationCode::Reference)
                    .unique()
                    .and_where(Expr::col(AuthorizationCode::Reference).is_not_null())
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(INDEX).table(AuthorizationCode::Table).to_owned()).await?;
        let drop = Table::alter().table(AuthorizationCode::Table).drop_column(AuthorizationCode::Reference).to_owned();
        manager.alter_table(drop).await
    }
}
