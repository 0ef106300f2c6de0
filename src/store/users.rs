//! Accounts: the statements that change them.

mod find;

use chrono::{DateTime, Utc};
use entity::user::{ActiveModel, Column, Entity, Model};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryTrait, UpdateMany,
    sea_query::{Expr, Func},
};

use super::{
    StoreError,
    rows::{self, to_json},
};
use crate::domain::{
    email::EmailAddress, ids::UserId, password_hash::PasswordHash, role::Role, user::User, username::Username,
};

use find::user;
pub use find::{
    Identifier, find, find_named, find_to_change, find_with_password, hold, hold_claimants, is_taken, page,
};

/// A new account.
#[derive(Debug)]
pub struct NewUser<'a> {
    pub id: UserId,
    pub username: &'a Username,
    /// The email address, unverified.
    pub email: Option<&'a EmailAddress>,
    /// The password hash; `None` if the owner logs in otherwise.
    pub password_hash: Option<&'a PasswordHash>,
    pub created_at: DateTime<Utc>,
}

/// # Errors
/// [`StoreError::Duplicate`] if the username is taken, or looks like one that is; the unique indexes decide.
pub async fn insert(db: &impl ConnectionTrait, new: &NewUser<'_>) -> Result<User, StoreError> {
    let row = ActiveModel {
        id: Set(new.id.0),
        username: Set(new.username.as_written().to_owned()),
        username_key: Set(new.username.key().to_owned()),
        username_skeleton: Set(Some(new.username.skeleton())),
        email: Set(new.email.map(|email| email.as_str().to_owned())),
        email_key: Set(new.email.map(|email| email.key().to_owned())),
        email_verified: Set(false),
        password_hash: Set(new.password_hash.map(|hash| hash.as_str().to_owned())),
        roles: Set(to_json(&Vec::<Role>::new())),
        created_at: Set(new.created_at),
        disabled_at: Set(None),
    };
    let mut insert = Entity::insert(row).into_query();
    insert.returning_all();
    let row = rows::insert(db, &insert).await?.ok_or_else(|| rows::unreadable("user", "nothing was returned"))?;
    user(Model::from_query_result(&row, "")?)
}

/// A condition on the account's password for a change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PasswordStill<'a> {
    /// No condition.
    #[default]
    Any,
    /// The hash is unchanged.
    Is(&'a PasswordHash),
    /// The account has no password.
    Missing,
}

/// Changes of a profile; `None` leaves a field as it is.
#[derive(Debug, Default)]
pub struct ProfileUpdate<'a> {
    /// What the account's password must still be, where the change wanted it.
    pub proof: PasswordStill<'a>,
    /// The new username.
    pub username: Option<&'a Username>,
    /// The new email address. It replaces an unverified one at once, and is unverified. A verified one stays until the
    /// new one is verified.
    pub email: Option<&'a EmailAddress>,
}

/// Changes a profile; `None` if the account does not exist or its password has changed.
///
/// # Errors
/// [`StoreError::Duplicate`] if the new username is taken.
pub async fn change(
    db: &impl ConnectionTrait,
    id: UserId,
    change: &ProfileUpdate<'_>,
) -> Result<Option<User>, StoreError> {
    let mut update = Entity::update_many().filter(Column::Id.eq(id.0));
    match change.proof {
        PasswordStill::Any => {}
        PasswordStill::Is(hash) => update = update.filter(Column::PasswordHash.eq(hash.as_str())),
        PasswordStill::Missing => update = update.filter(Column::PasswordHash.is_null()),
    }
    if let Some(username) = change.username {
        update = update
            .col_expr(Column::Username, Expr::value(username.as_written()))
            .col_expr(Column::UsernameKey, Expr::value(username.key()))
            .col_expr(Column::UsernameSkeleton, Expr::value(username.skeleton()));
    }
    if let Some(email) = change.email {
        let unless_verified = |column: Column, new: &str| {
            Expr::case(Column::EmailVerified.eq(true), Expr::col(column)).finally(Expr::value(new))
        };
        update = update
            .col_expr(Column::Email, unless_verified(Column::Email, email.as_str()).into())
            .col_expr(Column::EmailKey, unless_verified(Column::EmailKey, email.key()).into());
    }
    update.exec_with_returning(db).await?.into_iter().next().map(user).transpose()
}

/// Replaces a password hash if it is still `old`, so that no concurrent change is undone. Returns whether it was
/// replaced.
pub async fn replace_password(
    db: &impl ConnectionTrait,
    id: UserId,
    old: &PasswordHash,
    new: &PasswordHash,
) -> Result<bool, StoreError> {
    let done = Entity::update_many()
        .col_expr(Column::PasswordHash, Expr::value(new.as_str()))
        .filter(Column::Id.eq(id.0))
        .filter(Column::PasswordHash.eq(old.as_str()))
        .filter(Column::DisabledAt.is_null())
        .exec(db)
        .await?;
    Ok(done.rows_affected == 1)
}

/// Sets a password without the old one, on proof of an email to `email`, if that is still the account's verified email
/// address and the account is not disabled. Returns whether it was set.
pub async fn reset_password(
    db: &impl ConnectionTrait,
    id: UserId,
    email: &EmailAddress,
    new: &PasswordHash,
) -> Result<bool, StoreError> {
    let done = Entity::update_many()
        .col_expr(Column::PasswordHash, Expr::value(new.as_str()))
        .filter(Column::Id.eq(id.0))
        .filter(Column::EmailKey.eq(email.key()))
        .filter(Column::EmailVerified.eq(true))
        .filter(Column::DisabledAt.is_null())
        .exec(db)
        .await?;
    Ok(done.rows_affected == 1)
}

/// Makes `email` the account's verified email address. Returns `false` if the account does not exist or is disabled.
///
/// # Errors
/// [`StoreError::Duplicate`] if another account has verified it; the unique index decides.
pub async fn verify_email(db: &impl ConnectionTrait, id: UserId, email: &EmailAddress) -> Result<bool, StoreError> {
    let done = Entity::update_many()
        .col_expr(Column::Email, Expr::value(email.as_str()))
        .col_expr(Column::EmailKey, Expr::value(email.key()))
        .col_expr(Column::EmailVerified, Expr::value(true))
        .filter(Column::Id.eq(id.0))
        .filter(Column::DisabledAt.is_null())
        .exec(db)
        .await?;
    Ok(done.rows_affected == 1)
}

/// The accounts that lose an unverified email address.
#[derive(Debug, Clone, Copy)]
pub enum Claimant {
    /// This account.
    Only(UserId),
    /// All accounts but this one, which has verified the email address.
    AllBut(UserId),
}

/// Removes an email address from accounts that never verified it, and returns those accounts.
pub async fn drop_claims(
    db: &impl ConnectionTrait,
    email: &EmailAddress,
    whose: Claimant,
) -> Result<Vec<UserId>, StoreError> {
    let whose = match whose {
        Claimant::Only(id) => Column::Id.eq(id.0),
        Claimant::AllBut(id) => Column::Id.ne(id.0),
    };
    let rows = Entity::update_many()
        .col_expr(Column::Email, Expr::value(None::<String>))
        .col_expr(Column::EmailKey, Expr::value(None::<String>))
        .filter(Column::EmailKey.eq(email.key()))
        .filter(Column::EmailVerified.eq(false))
        .filter(whose)
        .exec_with_returning(db)
        .await?;
    Ok(rows.into_iter().map(|row| UserId(row.id)).collect())
}

/// Deletes an account if its password hash is still `proof` (`None`: it has no password). Returns whether it was
/// deleted.
pub async fn delete(db: &impl ConnectionTrait, id: UserId, proof: Option<&PasswordHash>) -> Result<bool, StoreError> {
    let unchanged = match proof {
        Some(hash) => Column::PasswordHash.eq(hash.as_str()),
        None => Column::PasswordHash.is_null(),
    };
    let done = Entity::delete_many()
        .filter(Column::Id.eq(id.0))
        .filter(unchanged)
        .filter(Column::DisabledAt.is_null())
        .exec(db)
        .await?;
    Ok(done.rows_affected == 1)
}

/// Disables an account; an earlier disabling time stays. `None` if the account does not exist.
pub async fn disable(db: &impl ConnectionTrait, id: UserId, now: DateTime<Utc>) -> Result<Option<User>, StoreError> {
    let since = Func::coalesce([Expr::col(Column::DisabledAt), Expr::value(now)]);
    update(db, id, Entity::update_many().col_expr(Column::DisabledAt, since.into())).await
}

/// Enables a disabled account. `None` if the account does not exist.
pub async fn enable(db: &impl ConnectionTrait, id: UserId) -> Result<Option<User>, StoreError> {
    update(db, id, Entity::update_many().col_expr(Column::DisabledAt, Expr::value(None::<DateTime<Utc>>))).await
}

/// Replaces the account's roles. `None` if the account does not exist.
pub async fn set_roles(db: &impl ConnectionTrait, id: UserId, roles: &[Role]) -> Result<Option<User>, StoreError> {
    update(db, id, Entity::update_many().col_expr(Column::Roles, Expr::value(to_json(&roles)))).await
}

/// Sets a password, whatever the old one was and even if the account is disabled. `None` if the account does not exist.
pub async fn set_password(
    db: &impl ConnectionTrait,
    id: UserId,
    new: &PasswordHash,
) -> Result<Option<User>, StoreError> {
    update(db, id, Entity::update_many().col_expr(Column::PasswordHash, Expr::value(new.as_str()))).await
}

/// Deletes an account, whatever its password and even if it is disabled. Returns whether it existed.
pub async fn remove(db: &impl ConnectionTrait, id: UserId) -> Result<bool, StoreError> {
    Ok(Entity::delete_by_id(id.0).exec(db).await?.rows_affected == 1)
}

/// Updates one account; `None` if it does not exist.
async fn update(db: &impl ConnectionTrait, id: UserId, change: UpdateMany<Entity>) -> Result<Option<User>, StoreError> {
    change.filter(Column::Id.eq(id.0)).exec_with_returning(db).await?.into_iter().next().map(user).transpose()
}
