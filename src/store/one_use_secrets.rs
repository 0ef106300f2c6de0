//! One-use secrets: an account's newest of each purpose, as digests.
//!
//! A used secret's row stays, used, until no mail that waits could put it back: the mail that carries it may be sent
//! again after a crash, and must not bring a used link to life.

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

/// A secret about to be mailed.
#[derive(Debug)]
pub struct NewSecret<'a> {
    /// That of the mail's cause.
    pub id: Uuid,
    /// What it is good for.
    pub purpose: Purpose,
    /// Whose.
    pub user: UserId,
    /// The address that it is mailed to.
    pub email: &'a EmailAddress,
    /// What is kept of it.
    pub digest: OneUseDigest,
    /// When it was asked for.
    pub asked_at: DateTime<Utc>,
    /// From when on it is worth nothing.
    pub expires_at: DateTime<Utc>,
}

/// A secret that is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSecret {
    /// Whose.
    pub user: UserId,
    /// The address that it was mailed to.
    pub email: EmailAddress,
}

/// Puts a secret in the place of the account's earlier one of that purpose, or gives it a new end if it is the same.
/// Says whether it was put: one that was asked for later stays, and one that was used is never put back.
///
/// # Errors
/// [`StoreError`].
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

/// Looks at a secret without using it up. It may be used a moment later: only [`consume`] decides.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn find(
    db: &impl ConnectionTrait,
    purpose: Purpose,
    digest: OneUseDigest,
    now: DateTime<Utc>,
) -> Result<Option<LiveSecret>, StoreError> {
    Ok(Entity::find().filter(good(purpose, digest, now)).one(db).await?.map(live))
}

/// Uses a secret up; `None` where it is not good, or no more: of many that ask at once, one gets it.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn consume(
    db: &impl ConnectionTrait,
    purpose: Purpose,
    digest: OneUseDigest,
    now: DateTime<Utc>,
) -> Result<Option<LiveSecret>, StoreError> {
    let used = Entity::update_many()
        .col_expr(Column::UsedAt, Expr::value(now))
        .filter(good(purpose, digest, now))
        .exec_with_returning(db)
        .await?;
    Ok(used.into_iter().next().map(live))
}

/// The address that the account's unused verification secret, live or run out, was mailed to.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn claimed_address(db: &impl ConnectionTrait, user: UserId) -> Result<Option<EmailAddress>, StoreError> {
    let found = Entity::find()
        .filter(Column::UserId.eq(user.0))
        .filter(Column::Purpose.eq(Purpose::EmailVerification.as_str()))
        .filter(Column::UsedAt.is_null())
        .one(db)
        .await?;
    Ok(found.map(|row| live(row).email))
}

/// Which secrets lose their worth.
#[derive(Debug, Clone, Copy)]
pub enum SecretSelector<'a> {
    /// Every one of an account.
    AllOf(UserId),
    /// An account's of one purpose.
    Of(UserId, Purpose),
    /// Those that were mailed to this address for other accounts than this.
    MailedTo(&'a EmailAddress, UserId),
}

/// Takes their worth from secrets that were not used.
///
/// # Errors
/// [`StoreError`].
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

/// Deletes the secrets of an account, which is deleted itself.
///
/// # Errors
/// [`StoreError`].
pub async fn forget(db: &impl ConnectionTrait, user: UserId) -> Result<(), StoreError> {
    Entity::delete_many().filter(Column::UserId.eq(user.0)).exec(db).await?;
    Ok(())
}

/// Deletes at most `batch` secrets that had run out by `over`. Says how many there were.
///
/// # Errors
/// [`StoreError`].
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
