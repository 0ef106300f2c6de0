//! One session for each client in a browser login.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(Clone, Copy, DeriveIden)]
enum Session {
    Table,
    Id,
    ClientId,
    Parent,
    RotatedAt,
    Username,
    EndedAt,
    EndReason,
    UserAgent,
    Ip,
}

const CHILDREN: &str = "session_parent";
const ONE_A_CLIENT: &str = "session_child";

fn is_live_child() -> Expr {
    Expr::col(Session::Parent).is_not_null().and(Expr::col(Session::EndedAt).is_null())
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Where a login has several sessions of one client, the newest stays. The others are over, with their refresh
        // tokens; their access tokens live out their minutes. Ids are in the order of time.
        let newer = |column: Session| Expr::col(("newer", column));
        let older = |column: Session| Expr::col((Session::Table, column));
        let newest = Query::select()
            .expr(Expr::value(1))
            .from_as(Session::Table, "newer")
            .and_where(newer(Session::Parent).eq(older(Session::Parent)))
            .and_where(newer(Session::ClientId).eq(older(Session::ClientId)))
            .and_where(newer(Session::EndedAt).is_null())
            .and_where(newer(Session::Id).gt(older(Session::Id)))
            .to_owned();
        let end = Query::update()
            .table(Session::Table)
            .value(Session::EndedAt, Expr::col(Session::RotatedAt))
            .value(Session::EndReason, "replaced")
            .value(Session::Username, "")
            .value(Session::UserAgent, Option::<String>::None)
            .value(Session::Ip, Option::<String>::None)
            .and_where(is_live_child())
            .and_where(Expr::exists(newest))
            .to_owned();
        manager.execute(end).await?;
        // It also finds the children of a parent, as the index before did.
        manager
            .create_index(
                Index::create()
                    .name(ONE_A_CLIENT)
                    .table(Session::Table)
                    .col(Session::Parent)
                    .col(Session::ClientId)
                    .unique()
                    .and_where(is_live_child())
                    .to_owned(),
            )
            .await?;
        manager.drop_index(Index::drop().name(CHILDREN).table(Session::Table).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_index(
                Index::create()
                    .name(CHILDREN)
                    .table(Session::Table)
                    .col(Session::Parent)
                    .and_where(is_live_child())
                    .to_owned(),
            )
            .await?;
        manager.drop_index(Index::drop().name(ONE_A_CLIENT).table(Session::Table).to_owned()).await
    }
}
