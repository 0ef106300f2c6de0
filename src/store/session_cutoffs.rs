//! Cutoffs: an account's sessions up to an id are over, as soon as one small row says so. Their own rows are ended step by
//! step, by a job ([`super::pending_ends`]).
//!
//! An id is greater than the cutoff of its account, or the session is not begun: so a cutoff never covers a later login,
//! whatever the clocks of replicas say.

use entity::{
    session,
    session_cutoff::{Column, Entity, Model},
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    sea_query::{Expr, ExprTrait, IntoIden, OnConflict, Query, SelectStatement},
};

use super::StoreError;
use crate::domain::ids::{SessionId, UserId};

/// A cutoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cutoff {
    pub user: UserId,
    /// The last session that is over.
    pub through: SessionId,
    /// The one that goes on all the same.
    pub kept: Option<SessionId>,
}

/// Writes a cutoff, in place of an earlier one of the account.
pub async fn write(db: &impl ConnectionTrait, cutoff: Cutoff) -> Result<(), StoreError> {
    let Cutoff { user, through, kept } = cutoff;
    let row = Model { user_id: user.0, through: through.0, kept: kept.map(|kept| kept.0) }.into_active_model();
    let again = OnConflict::column(Column::UserId).update_columns([Column::Through, Column::Kept]).to_owned();
    Entity::insert(row).on_conflict(again).exec_without_returning(db).await?;
    Ok(())
}

/// The cutoff of an account.
pub async fn find(db: &impl ConnectionTrait, user: UserId) -> Result<Option<Cutoff>, StoreError> {
    let row = Entity::find_by_id(user.0).one(db).await?;
    Ok(row.map(|row| Cutoff { user, through: SessionId(row.through), kept: row.kept.map(SessionId) }))
}

/// Removes a cutoff whose sessions have all ended, unless a later one has taken its place.
pub async fn remove(db: &impl ConnectionTrait, user: UserId, through: SessionId) -> Result<(), StoreError> {
    Entity::delete_many().filter(Column::UserId.eq(user.0)).filter(Column::Through.eq(through.0)).exec(db).await?;
    Ok(())
}

/// Selects the cutoff that covers the session of the row in `table`, if any.
pub(super) fn covering(table: impl IntoIden) -> SelectStatement {
    let table = table.into_iden();
    let session = |column: session::Column| Expr::col((table.clone(), column));
    let own = |column: Column| Expr::col((Entity, column));
    Query::select()
        .expr(Expr::value(1))
        .from(Entity)
        .and_where(own(Column::UserId).eq(session(session::Column::UserId)))
        .and_where(own(Column::Through).gte(session(session::Column::Id)))
        .and_where(own(Column::Kept).is_null().or(own(Column::Kept).ne(session(session::Column::Id))))
        .to_owned()
}

/// Selects the cutoff of `user` if it covers the id of a session that is about to begin.
pub(super) fn covering_new(user: UserId, id: SessionId) -> SelectStatement {
    Query::select()
        .expr(Expr::value(1))
        .from(Entity)
        .and_where(Expr::col((Entity, Column::UserId)).eq(user.0))
        .and_where(Expr::col((Entity, Column::Through)).gte(id.0))
        .to_owned()
}
