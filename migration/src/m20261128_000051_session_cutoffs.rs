//! Accounts with more sessions than one transaction ends, and indexes that find an owner's sessions in the order of their
//! ids. On Postgres also storage parameters of the tables that are written most.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum SessionCutoff {
    Table,
    UserId,
    Through,
    Kept,
}

#[derive(Clone, Copy, DeriveIden)]
enum Session {
    Table,
    Id,
    UserId,
    ClientId,
    EndedAt,
}

/// The indexes of live sessions by owner, and their successors.
const INDEXES: [(&str, &str, Session); 2] =
    [("session_user", "session_user_id", Session::UserId), ("session_client", "session_client_id", Session::ClientId)];

/// A refresh updates its row in the same page as long as there is room (a heap-only tuple), and a table of millions is
/// vacuumed before a fifth of it is dead.
const STORAGE: [&str; 3] = [
    "ALTER TABLE session SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02)",
    "ALTER TABLE change SET (autovacuum_vacuum_scale_factor = 0.02)",
    "ALTER TABLE jobs SET (autovacuum_vacuum_scale_factor = 0.02)",
];
const DEFAULT_STORAGE: [&str; 3] = [
    "ALTER TABLE session RESET (fillfactor, autovacuum_vacuum_scale_factor)",
    "ALTER TABLE change RESET (autovacuum_vacuum_scale_factor)",
    "ALTER TABLE jobs RESET (autovacuum_vacuum_scale_factor)",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(SessionCutoff::Table)
                    .col(ColumnDef::new(SessionCutoff::UserId).uuid().not_null().primary_key())
                    .col(ColumnDef::new(SessionCutoff::Through).uuid().not_null())
                    .col(ColumnDef::new(SessionCutoff::Kept).uuid())
                    .to_owned(),
            )
            .await?;
        for (old, new, owner) in INDEXES {
            create_index(manager, new, &[owner, Session::Id]).await?;
            manager.drop_index(Index::drop().name(old).table(Session::Table).to_owned()).await?;
        }
        set_storage(manager, STORAGE).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (old, new, owner) in INDEXES {
            create_index(manager, old, &[owner]).await?;
            manager.drop_index(Index::drop().name(new).table(Session::Table).to_owned()).await?;
        }
        manager.drop_table(Table::drop().table(SessionCutoff::Table).to_owned()).await?;
        set_storage(manager, DEFAULT_STORAGE).await
    }
}

async fn create_index(manager: &SchemaManager<'_>, name: &str, columns: &[Session]) -> Result<(), DbErr> {
    let is_live = Expr::col(Session::EndedAt).is_null();
    let mut index = Index::create().name(name).table(Session::Table).and_where(is_live).to_owned();
    for column in columns {
        index.col(*column);
    }
    manager.create_index(index).await
}

async fn set_storage(manager: &SchemaManager<'_>, statements: [&str; 3]) -> Result<(), DbErr> {
    if manager.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    for statement in statements {
        manager.get_connection().execute_unprepared(statement).await?;
    }
    Ok(())
}
