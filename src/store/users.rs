//! Accounts.

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

/// An account about to be registered.
#[derive(Debug)]
pub struct NewUser<'a> {
    /// Its subject.
    pub id: UserId,
    /// Its name.
    pub username: &'a Username,
    /// Its address, unverified.
    pub email: Option<&'a EmailAddress>,
    /// Its password's hash; `None` where its owner logs in otherwise.
    pub password_hash: Option<&'a PasswordHash>,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// Inserts an account.
///
/// # Errors
/// [`StoreError::Duplicate`] where the name is taken: the unique index decides, however many ask at once.
pub async fn insert(db: &impl ConnectionTrait, new: &NewUser<'_>) -> Result<User, StoreError> {
    let row = ActiveModel {
        id: Set(new.id.0),
        username: Set(new.username.as_written().to_owned()),
        username_key: Set(new.username.key().to_owned()),
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

/// What an account's password must still be when a change is made that wanted to see it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PasswordStill<'a> {
    /// Whatever it is: the change did not ask.
    #[default]
    Any,
    /// This.
    Is(&'a PasswordHash),
    /// None: the account has no password.
    Missing,
}

/// What of an account's profile changes; `None` leaves it as it is.
#[derive(Debug, Default)]
pub struct ProfileUpdate<'a> {
    /// What the account's password must still be, where the change wanted it.
    pub proof: PasswordStill<'a>,
    /// The new name.
    pub username: Option<&'a Username>,
    /// The new address. It takes an unverified one's place at once, and is unverified; a verified one stays until the
    /// new one is proved.
    pub email: Option<&'a EmailAddress>,
}

/// Changes an account's profile; `None` where there is no such account, or its password is another by now.
///
/// # Errors
/// [`StoreError::Duplicate`] where the new name is taken.
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
            .col_expr(Column::UsernameKey, Expr::value(username.key()));
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

/// Replaces a password's hash if it is still `old`: a change that came in between is not undone. Says whether it was.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
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

/// Sets a password without the old one, on the strength of a mail to `email`: while that is the account's verified
/// address, and the account is not disabled. Says whether it was set.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
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

/// Makes `email` the account's verified address. Says whether there is such an account that is not disabled.
///
/// # Errors
/// [`StoreError::Duplicate`] where it is another account's verified one: the unique index decides.
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

/// Whose unverified address is taken away.
#[derive(Debug, Clone, Copy)]
pub enum Claimant {
    /// This account's.
    Only(UserId),
    /// Every other account's than this, which has proved the address.
    AllBut(UserId),
}

/// Takes an address away from accounts that never proved it, and says which they were.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
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

/// Deletes an account if its password's hash is still `proof` (`None`: if it has no password). Says whether it was.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
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

/// Disables an account. One that was disabled already stays so since then. `None` where there is no such account.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn disable(db: &impl ConnectionTrait, id: UserId, now: DateTime<Utc>) -> Result<Option<User>, StoreError> {
    let since = Func::coalesce([Expr::col(Column::DisabledAt), Expr::value(now)]);
    update(db, id, Entity::update_many().col_expr(Column::DisabledAt, since.into())).await
}

/// Lets a disabled account in again. `None` where there is no such account.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn enable(db: &impl ConnectionTrait, id: UserId) -> Result<Option<User>, StoreError> {
    update(db, id, Entity::update_many().col_expr(Column::DisabledAt, Expr::value(None::<DateTime<Utc>>))).await
}

/// Gives an account these roles and no others. `None` where there is no such account.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn set_roles(db: &impl ConnectionTrait, id: UserId, roles: &[Role]) -> Result<Option<User>, StoreError> {
    update(db, id, Entity::update_many().col_expr(Column::Roles, Expr::value(to_json(&roles)))).await
}

/// Gives an account another password, whatever its password was and whether or not it is disabled. `None` where there
/// is no such account.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn set_password(
    db: &impl ConnectionTrait,
    id: UserId,
    new: &PasswordHash,
) -> Result<Option<User>, StoreError> {
    update(db, id, Entity::update_many().col_expr(Column::PasswordHash, Expr::value(new.as_str()))).await
}

/// Deletes an account, whatever its password and whether or not it is disabled. Says whether it was there.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn remove(db: &impl ConnectionTrait, id: UserId) -> Result<bool, StoreError> {
    Ok(Entity::delete_by_id(id.0).exec(db).await?.rows_affected == 1)
}

/// Changes one account; `None` where there is none.
async fn update(db: &impl ConnectionTrait, id: UserId, change: UpdateMany<Entity>) -> Result<Option<User>, StoreError> {
    change.filter(Column::Id.eq(id.0)).exec_with_returning(db).await?.into_iter().next().map(user).transpose()
}
