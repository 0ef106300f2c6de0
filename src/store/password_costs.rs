//! The costs that stored password hashes have.

use entity::{
    password_cost::{ActiveModel, Column, Entity, Model},
    user,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, sea_query::OnConflict,
};
use uuid::Uuid;

use crate::{domain::password_hash::PasswordCost, store::StoreError};

/// Records that hashes of this cost are stored from now on.
pub async fn record(db: &impl ConnectionTrait, cost: PasswordCost) -> Result<(), StoreError> {
    let row = ActiveModel {
        memory_kib: Set(cost.memory_kib.into()),
        iterations: Set(cost.iterations.into()),
        parallelism: Set(cost.parallelism.into()),
    };
    let key = OnConflict::columns([Column::MemoryKib, Column::Iterations, Column::Parallelism]).do_nothing().to_owned();
    Entity::insert(row).on_conflict(key).exec_without_returning(db).await?;
    Ok(())
}

/// Every cost that a stored hash may have.
pub async fn all(db: &impl ConnectionTrait) -> Result<Vec<PasswordCost>, StoreError> {
    let cost = |row: Model| {
        Some(PasswordCost {
            memory_kib: row.memory_kib.try_into().ok()?,
            iterations: row.iterations.try_into().ok()?,
            parallelism: row.parallelism.try_into().ok()?,
        })
    };
    // No hash can have what is out of range.
    Ok(Entity::find().all(db).await?.into_iter().filter_map(cost).collect())
}

/// Forgets a cost that no stored hash has. It reads every account where none has.
pub async fn forget_unused(db: &impl ConnectionTrait, cost: PasswordCost) -> Result<(), StoreError> {
    let used = user::Entity::find()
        .select_only()
        .column(user::Column::Id)
        .filter(user::Column::PasswordHash.starts_with(cost.phc_prefix()))
        .limit(1)
        .into_tuple::<Uuid>()
        .one(db)
        .await?;
    if used.is_none() {
        let key = (cost.memory_kib.into(), cost.iterations.into(), cost.parallelism.into());
        Entity::delete_by_id(key).exec(db).await?;
    }
    Ok(())
}
