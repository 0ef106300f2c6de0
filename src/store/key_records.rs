//! Records of the keys that were ever made, and the fingerprints of all that were used. If a record exists and the folder
//! has none of its kind's keys, the folder is lost or another cluster's; a new key would silently invalidate every token
//! issued so far. And records of the keys that were revoked.

use chrono::{DateTime, Utc};
use entity::{
    key_fingerprint,
    key_record::{ActiveModel, Column, Entity, Model},
    revoked_key,
};
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, QueryOrder, sea_query::OnConflict};

use super::{StoreError, rows::unreadable};
use crate::domain::{key_schedule::RevokedKey, signing_key::KeyKind};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// An algorithm, or `root`.
    pub kind: String,
    /// The file name.
    pub file: String,
    pub created_at: DateTime<Utc>,
}

pub async fn all(db: &impl ConnectionTrait) -> Result<Vec<KeyRecord>, StoreError> {
    let rows = Entity::find().all(db).await?;
    Ok(rows.into_iter().map(|Model { kind, file, created_at }| KeyRecord { kind, file, created_at }).collect())
}

/// Records the first key of a kind; an existing record stays unchanged.
pub async fn remember(db: &impl ConnectionTrait, record: KeyRecord) -> Result<(), StoreError> {
    let row = ActiveModel { kind: Set(record.kind), file: Set(record.file), created_at: Set(record.created_at) };
    Entity::insert(row)
        .on_conflict(OnConflict::column(Column::Kind).do_nothing().to_owned())
        .exec_without_returning(db)
        .await?;
    Ok(())
}

/// A key that services of this database have used.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyFingerprint {
    /// An algorithm, or `root`.
    pub kind: String,
    /// Identifies the key, and reveals nothing of its private half.
    pub fingerprint: String,
}

pub async fn fingerprints(db: &impl ConnectionTrait) -> Result<Vec<KeyFingerprint>, StoreError> {
    let rows = key_fingerprint::Entity::find().all(db).await?;
    Ok(rows.into_iter().map(|row| KeyFingerprint { kind: row.kind, fingerprint: row.fingerprint }).collect())
}

/// Records keys that are used from now on; those that are recorded already stay unchanged.
pub async fn remember_fingerprints(
    db: &impl ConnectionTrait,
    keys: impl IntoIterator<Item = KeyFingerprint>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    for key in keys {
        let row = key_fingerprint::ActiveModel {
            fingerprint: Set(key.fingerprint),
            kind: Set(key.kind),
            recorded_at: Set(now),
        };
        key_fingerprint::Entity::insert(row)
            .on_conflict(OnConflict::column(key_fingerprint::Column::Fingerprint).do_nothing().to_owned())
            .exec_without_returning(db)
            .await?;
    }
    Ok(())
}

/// The keys that were revoked, the first one first.
pub async fn revoked(db: &impl ConnectionTrait) -> Result<Vec<RevokedKey>, StoreError> {
    let rows = revoked_key::Entity::find().order_by_asc(revoked_key::Column::RevokedAt).all(db).await?;
    let read = |row: revoked_key::Model| {
        let kind = KeyKind::parse(&row.kind).ok_or_else(|| unreadable("revoked_key", "an unknown kind"))?;
        Ok(RevokedKey { kid: row.kid, kind, published: row.published_at, revoked: row.revoked_at })
    };
    rows.into_iter().map(read).collect()
}

/// Records a revoked key; an earlier record stays unchanged.
pub async fn revoke(db: &impl ConnectionTrait, key: &RevokedKey) -> Result<(), StoreError> {
    let row = revoked_key::ActiveModel {
        kid: Set(key.kid.clone()),
        kind: Set(key.kind.as_str().to_owned()),
        published_at: Set(key.published),
        revoked_at: Set(key.revoked),
    };
    revoked_key::Entity::insert(row)
        .on_conflict(OnConflict::column(revoked_key::Column::Kid).do_nothing().to_owned())
        .exec_without_returning(db)
        .await?;
    Ok(())
}
