//! Identities at other providers, linked to accounts.

use chrono::{DateTime, Utc};
use entity::{
    identity::{Column, Entity, Model},
    user,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, Iterable, QueryFilter, QueryOrder,
    sea_query::{Expr, ExprTrait, LockType, Query},
};
use uuid::Uuid;

use super::{
    StoreError,
    rows::{self, unreadable},
};
use crate::domain::{
    identity::{Identity, ProviderName},
    ids::UserId,
};

const TABLE: &str = "identity";

/// A link between an identity and an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedIdentity {
    /// The id of the link.
    pub id: Uuid,
    /// The linked account.
    pub user: UserId,
    /// Issuer and subject.
    pub identity: Identity,
    /// The provider through which it was linked.
    pub provider: ProviderName,
    pub linked_at: DateTime<Utc>,
    /// The time of its latest login.
    pub last_used_at: DateTime<Utc>,
}

/// The link of an identity.
pub async fn find(db: &impl ConnectionTrait, identity: &Identity) -> Result<Option<LinkedIdentity>, StoreError> {
    let found = Entity::find()
        .filter(Column::Issuer.eq(&identity.issuer))
        .filter(Column::Subject.eq(&identity.subject))
        .one(db)
        .await?;
    found.map(linked).transpose()
}

/// All links of an account, oldest first.
pub async fn of(db: &impl ConnectionTrait, user: UserId) -> Result<Vec<LinkedIdentity>, StoreError> {
    let rows = Entity::find().filter(Column::UserId.eq(user.0)).order_by_asc(Column::Id).all(db).await?;
    rows.into_iter().map(linked).collect()
}

/// Links an identity to an account. Returns `false` if the account does not exist or is disabled.
///
/// # Errors
/// [`StoreError::Duplicate`] if the identity is linked to any account; the unique index decides.
pub async fn insert(
    db: &impl ConnectionTrait,
    id: Uuid,
    user: UserId,
    identity: &Identity,
    provider: &ProviderName,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let value = |column: Column| match column {
        Column::Id => Expr::value(id),
        Column::UserId => Expr::col((user::Entity, user::Column::Id)),
        Column::Issuer => Expr::value(identity.issuer.as_str()),
        Column::Subject => Expr::value(identity.subject.as_str()),
        Column::Provider => Expr::value(provider.as_str()),
        Column::LinkedAt | Column::LastUsedAt => Expr::value(now),
    };
    // FOR SHARE: a concurrent deletion of the account either waits and then deletes this link too, or is visible here.
    let account = Query::select()
        .exprs(Column::iter().map(value))
        .from(user::Entity)
        .and_where(Expr::col((user::Entity, user::Column::Id)).eq(user.0))
        .and_where(Expr::col((user::Entity, user::Column::DisabledAt)).is_null())
        .lock(LockType::Share)
        .to_owned();
    let insert = Query::insert()
        .into_table(Entity)
        .columns(Column::iter())
        .select_from(account)
        .map_err(|why| unreadable(TABLE, why))?
        .returning_col(Column::Id)
        .to_owned();
    Ok(rows::insert(db, &insert).await?.is_some())
}

/// Updates the time of the latest login.
pub async fn touch(db: &impl ConnectionTrait, id: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    let touch = Entity::update_many().col_expr(Column::LastUsedAt, Expr::value(now)).filter(Column::Id.eq(id));
    touch.exec(db).await?;
    Ok(())
}

/// Deletes one link of an account. Returns whether it existed.
pub async fn delete(db: &impl ConnectionTrait, user: UserId, id: Uuid) -> Result<bool, StoreError> {
    let delete = Entity::delete_many().filter(Column::Id.eq(id)).filter(Column::UserId.eq(user.0));
    Ok(delete.exec(db).await?.rows_affected == 1)
}

/// Deletes all links of an account that is deleted.
pub async fn forget(db: &impl ConnectionTrait, user: UserId) -> Result<(), StoreError> {
    Entity::delete_many().filter(Column::UserId.eq(user.0)).exec(db).await?;
    Ok(())
}

fn linked(row: Model) -> Result<LinkedIdentity, StoreError> {
    Ok(LinkedIdentity {
        id: row.id,
        user: UserId(row.user_id),
        identity: Identity { issuer: row.issuer, subject: row.subject },
        provider: ProviderName::parse(&row.provider).map_err(|why| unreadable(TABLE, why))?,
        linked_at: row.linked_at,
        last_used_at: row.last_used_at,
    })
}
