//! One-use secrets: each account's newest of each purpose, stored as a digest.
//!
//! The row of a used secret stays until no waiting email could insert it again: after a crash the email may be sent
//! twice, and must not revive a used link.

use chrono::{DateTime, Utc};
use entity::one_use_secret::{ActiveModel, Column, Entity, Model};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryTrait,
    sea_query::{Condition, Expr, ExprTrait, LockBehavior, LockType, OnConflict, Query},
};
use uuid::Uuid;

use super::{StoreError, rows};
use crate::domain::{
    email::EmailAddress,
    ids::UserId,
    one_use_secret::{OneUseDigest, Purpose},
};

/// A new secret for an email.
#[derive(Debug)]
pub struct NewSecret<'a> {
    /// The id of the outbox event.
    pub id: Uuid,
    /// The purpose.
    pub purpose: Purpose,
    pub user: UserId,
    /// The email address that it is sent to.
    pub email: &'a EmailAddress,
    /// The digest that is stored.
    pub digest: OneUseDigest,
    /// When it was requested.
    pub asked_at: DateTime<Utc>,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
}

/// A valid secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSecret {
    pub user: UserId,
    /// The email address that it was sent to.
    pub email: EmailAddress,
}

/// Replaces the account's earlier secret of that purpose, or extends the same secret. Returns whether it was written: a
/// secret requested later stays, and a used one is never revived.
pub async fn put(db: &impl ConnectionTrait, new: &NewSecret<'_>) -> Result<bool, StoreError> {
    let row = ActiveModel {
        id: Set(new.id),
        purpose: Set(new.purpose.as_str().to_owned()),
        user_id: Set(new.user.0),
        email: Set(new.email.as_str().to_owned()),
        email_key: Set(new.email.key().to_owned()),
        digest: Set(new.digest.0.to_vec()),
        created_at: Set(new.asked_at),
        expires_at: Set(new.expires_at),
        used_at: Set(None),
        consumed_at: Set(None),
    };
    let stored = |column: Column| Expr::col((Entity, column));
    let another = Condition::all().add(stored(Column::Id).ne(new.id)).add(stored(Column::CreatedAt).lte(new.asked_at));
    let the_same = Condition::all().add(stored(Column::Id).eq(new.id)).add(stored(Column::UsedAt).is_null());
    let conflict = OnConflict::columns([Column::UserId, Column::Purpose])
        .update_columns([
            Column::Id,
            Column::Email,
            Column::EmailKey,
            Column::Digest,
            Column::CreatedAt,
            Column::ExpiresAt,
            Column::UsedAt,
            Column::ConsumedAt,
        ])
        .action_cond_where(Condition::any().add(another).add(the_same))
        .to_owned();
    let mut insert = Entity::insert(row).on_conflict(conflict).into_query();
    insert.returning_col(Column::Id);
    Ok(rows::insert(db, &insert).await?.is_some())
}

fn good(purpose: Purpose, digest: OneUseDigest, now: DateTime<Utc>) -> Condition {
    Condition::all()
        .add(Column::Digest.eq(digest.0.to_vec()))
        .add(Column::Purpose.eq(purpose.as_str()))
        .add(Column::UsedAt.is_null())
        .add(Column::ExpiresAt.gt(now))
}

/// Finds a valid secret without using it. Only [`consume`] decides.
pub async fn find(
    db: &impl ConnectionTrait,
    purpose: Purpose,
    digest: OneUseDigest,
    now: DateTime<Utc>,
) -> Result<Option<LiveSecret>, StoreError> {
    Ok(Entity::find().filter(good(purpose, digest, now)).one(db).await?.map(live))
}

/// Marks a secret as used; `None` if it is not valid. Of concurrent calls, one gets it.
pub async fn consume(
    db: &impl ConnectionTrait,
    purpose: Purpose,
    digest: OneUseDigest,
    now: DateTime<Utc>,
) -> Result<Option<LiveSecret>, StoreError> {
    let used = Entity::update_many()
        .col_expr(Column::UsedAt, Expr::value(now))
        .col_expr(Column::ConsumedAt, Expr::value(now))
        .filter(good(purpose, digest, now))
        .exec_with_returning(db)
        .await?;
    Ok(used.into_iter().next().map(live))
}

/// Finds a secret that was used, for the page that shows its outcome when the link is opened again.
pub async fn find_consumed(
    db: &impl ConnectionTrait,
    purpose: Purpose,
    digest: OneUseDigest,
) -> Result<Option<LiveSecret>, StoreError> {
    let used = Entity::find()
        .filter(Column::Digest.eq(digest.0.to_vec()))
        .filter(Column::Purpose.eq(purpose.as_str()))
        .filter(Column::ConsumedAt.is_not_null());
    Ok(used.one(db).await?.map(live))
}

/// The email address of the account's unused verification secret, expired or not.
pub async fn claimed_address(db: &impl ConnectionTrait, user: UserId) -> Result<Option<EmailAddress>, StoreError> {
    let found = Entity::find()
        .filter(Column::UserId.eq(user.0))
        .filter(Column::Purpose.eq(Purpose::EmailVerification.as_str()))
        .filter(Column::UsedAt.is_null())
        .one(db)
        .await?;
    Ok(found.map(|row| live(row).email))
}

/// Which secrets are voided.
#[derive(Debug, Clone, Copy)]
pub enum SecretSelector<'a> {
    /// All of an account.
    AllOf(UserId),
    /// The secrets of one purpose of an account.
    Of(UserId, Purpose),
    /// The secrets sent to this email address for any other account.
    MailedTo(&'a EmailAddress, UserId),
}

/// Invalidates unused secrets.
pub async fn void(db: &impl ConnectionTrait, which: SecretSelector<'_>, now: DateTime<Utc>) -> Result<(), StoreError> {
    let these = match which {
        SecretSelector::AllOf(user) => Condition::all().add(Column::UserId.eq(user.0)),
        SecretSelector::Of(user, purpose) => {
            Condition::all().add(Column::UserId.eq(user.0)).add(Column::Purpose.eq(purpose.as_str()))
        }
        SecretSelector::MailedTo(email, but) => {
            Condition::all().add(Column::EmailKey.eq(email.key())).add(Column::UserId.ne(but.0))
        }
    };
    Entity::update_many()
        .col_expr(Column::UsedAt, Expr::value(now))
        .filter(these)
        .filter(Column::UsedAt.is_null())
        .exec(db)
        .await?;
    Ok(())
}

/// Deletes the secrets of an account that is deleted.
pub async fn forget(db: &impl ConnectionTrait, user: UserId) -> Result<(), StoreError> {
    Entity::delete_many().filter(Column::UserId.eq(user.0)).exec(db).await?;
    Ok(())
}

/// Deletes at most `batch` secrets that expired before `over`. Returns how many there were.
pub async fn prune(db: &impl ConnectionTrait, over: DateTime<Utc>, batch: u64) -> Result<u64, StoreError> {
    let these = Query::select()
        .column(Column::Id)
        .from(Entity)
        .and_where(Column::ExpiresAt.lt(over))
        .limit(batch)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .to_owned();
    Ok(Entity::delete_many().filter(Column::Id.in_subquery(these)).exec(db).await?.rows_affected)
}

fn live(row: Model) -> LiveSecret {
    LiveSecret { user: UserId(row.user_id), email: EmailAddress::from_stored(row.email, row.email_key) }
}
