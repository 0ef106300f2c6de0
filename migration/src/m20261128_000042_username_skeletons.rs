//! What usernames look like (UTS 39 §4), so that no two accounts have names that are drawn alike.
//!
//! Older accounts may have such names. The oldest account gets the skeleton; the others keep their name without one.

use icu_casemap::CaseMapper;
use sea_orm_migration::{
    prelude::*,
    sea_orm::{ConnectionTrait, prelude::Uuid},
};
use unicode_normalization::UnicodeNormalization;
use unicode_security::confusable_detection;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum User {
    Table,
    Id,
    Username,
    UsernameSkeleton,
}

const INDEX: &str = "user_username_skeleton";
/// Rows a query.
const PAGE: u64 = 1000;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = ColumnDef::new(User::UsernameSkeleton).text().to_owned();
        manager.alter_table(Table::alter().table(User::Table).add_column(column).to_owned()).await?;
        let index = Index::create().name(INDEX).table(User::Table).col(User::UsernameSkeleton).unique().to_owned();
        manager.create_index(index).await?;
        let db = manager.get_connection();
        let mut after = Uuid::nil();
        loop {
            // Ids begin with the time, so the oldest come first.
            let mut page = Query::select();
            page.columns([User::Id, User::Username]).from(User::Table).and_where(Expr::col(User::Id).gt(after));
            page.order_by(User::Id, Order::Asc).limit(PAGE);
            let rows = db.query_all(&page).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.try_get("", "id")?;
            for row in &rows {
                let (id, username): (Uuid, String) = (row.try_get("", "id")?, row.try_get("", "username")?);
                let skeleton = skeleton(&username);
                let same = Expr::col(User::UsernameSkeleton).eq(skeleton.as_str());
                let taken = Query::select().expr(Expr::val(1)).from(User::Table).and_where(same).to_owned();
                if db.query_one(&taken).await?.is_none() {
                    let mut update = Query::update();
                    update.table(User::Table).value(User::UsernameSkeleton, skeleton);
                    db.execute(update.and_where(Expr::col(User::Id).eq(id))).await?;
                }
            }
        }
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(INDEX).table(User::Table).to_owned()).await?;
        manager.alter_table(Table::alter().table(User::Table).drop_column(User::UsernameSkeleton).to_owned()).await
    }
}

/// As the service reckoned it when this step was written.
fn skeleton(name: &str) -> String {
    let drawn = |text: &str| -> String {
        let skeleton: String = confusable_detection::skeleton(text).collect();
        CaseMapper::new().fold_string(&skeleton).nfkc().collect()
    };
    drawn(&drawn(&name.nfkc().collect::<String>()))
}
