//! OAuth clients.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use entity::{
    client::{ActiveModel, Column, Entity, Model},
    consent, session,
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, Query},
};

use super::{
    StoreError, Transaction,
    rows::{from_json, to_json, unreadable},
};
use crate::domain::{
    client::{ApplicationType, AuthenticationMethod, Client, DocumentDates},
    ids::ClientId,
    oauth::GrantType,
    pkce::Pkce,
    scope::Scope,
    signing_key::SigningAlgorithm,
};

/// SHA-256 of a client's secret. The secret is 256 random bits, so a slow hash would add nothing but load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretDigest(pub [u8; 32]);

const TABLE: &str = "client";

/// SHA-256 of a registration access token (RFC 7592 §1.2), which is 256 random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistrationTokenDigest(pub [u8; 32]);

/// The columns that registration and update write.
fn row(client: &Client, secret: Option<SecretDigest>) -> ActiveModel {
    let grants: Vec<&str> = client.grants.iter().map(|grant| grant.as_str()).collect();
    ActiveModel {
        id: Set(client.id.as_str().to_owned()),
        name: Set(client.name.clone()),
        secret_digest: Set(secret.map(|digest| digest.0.to_vec())),
        authentication_method: Set(client.authentication.stored().to_owned()),
        grants: Set(to_json(&grants)),
        scope: Set(client.scope.to_string()),
        audiences: Set(to_json(&client.audiences)),
        resources: Set(to_json(&client.resources)),
        redirect_uris: Set(to_json(&client.redirect_uris)),
        post_logout_redirect_uris: Set(to_json(&client.post_logout_redirect_uris)),
        backchannel_logout_uri: Set(client.backchannel_logout_uri.clone()),
        id_token_algorithm: Set(client.id_token_algorithm.map(|algorithm| algorithm.as_str().to_owned())),
        jwks: Set(client.jwks.clone()),
        first_party: Set(client.first_party),
        pkce_optional: Set(client.pkce == Pkce::Optional),
        application_type: Set(client.application_type.map(|kind| kind.as_str().to_owned())),
        document_fetched_at: Set(client.document.map(|dates| dates.fetched_at)),
        document_fresh_until: Set(client.document.map(|dates| dates.fresh_until)),
        blocked: Set(client.blocked),
        ..ActiveModel::default()
    }
}

/// Inserts a client; `registration` is set if it registered itself.
///
/// # Errors
/// [`StoreError::Duplicate`] if the id is taken.
pub async fn insert(
    db: &impl ConnectionTrait,
    client: &Client,
    secret: Option<SecretDigest>,
    registration: Option<RegistrationTokenDigest>,
) -> Result<(), StoreError> {
    let row = ActiveModel {
        registration_token_digest: Set(registration.map(|digest| digest.0.to_vec())),
        created_at: Set(client.created_at),
        ..row(client, secret)
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// The names of the clients that the operator registered.
pub async fn names_by_operator(db: &impl ConnectionTrait) -> Result<Vec<String>, StoreError> {
    let names = Entity::find()
        .select_only()
        .column(Column::Name)
        .filter(Column::RegistrationTokenDigest.is_null())
        .filter(Column::DocumentFetchedAt.is_null());
    Ok(names.into_tuple().all(db).await?)
}

/// Updates a client that [`find_to_change`] has locked. Its registration time and registration token stay.
pub async fn update(
    transaction: &Transaction,
    client: &Client,
    secret: Option<SecretDigest>,
) -> Result<(), StoreError> {
    let row = row(client, secret);
    Entity::update_many().set(row).filter(Column::Id.eq(client.id.as_str())).exec(transaction).await?;
    Ok(())
}

/// A registered client and the digest of its secret, locked until the transaction ends.
pub async fn find_to_change(
    transaction: &Transaction,
    id: &ClientId,
) -> Result<Option<(Client, Option<SecretDigest>)>, StoreError> {
    Entity::find_by_id(id.as_str()).lock_exclusive().one(transaction).await?.map(client).transpose()
}

/// The digest of the registration access token of a client that registered itself.
pub async fn registration_token(
    db: &impl ConnectionTrait,
    id: &ClientId,
) -> Result<Option<RegistrationTokenDigest>, StoreError> {
    let found = Entity::find_by_id(id.as_str()).one(db).await?.and_then(|row| row.registration_token_digest);
    let digest = |bytes: Vec<u8>| bytes.try_into().map(RegistrationTokenDigest);
    found.map(digest).transpose().map_err(|_| unreadable(TABLE, "registration token digest of another length"))
}

/// A client and the digest of its secret, if it has one. The built-in client is found too, without a row.
pub async fn find(
    db: &impl ConnectionTrait,
    id: &ClientId,
) -> Result<Option<(Client, Option<SecretDigest>)>, StoreError> {
    if id.is_first_party() {
        return Ok(Some((Client::first_party(), None)));
    }
    Entity::find_by_id(id.as_str()).one(db).await?.map(client).transpose()
}

/// Every registered client, oldest first.
pub async fn all(db: &impl ConnectionTrait) -> Result<Vec<Client>, StoreError> {
    let rows = Entity::find().order_by_asc(Column::CreatedAt).order_by_asc(Column::Id).all(db).await?;
    rows.into_iter().map(|row| client(row).map(|(client, _)| client)).collect()
}

/// The ID token algorithms of all registered clients of the code flow.
pub async fn id_token_algorithms(db: &impl ConnectionTrait) -> Result<Vec<SigningAlgorithm>, StoreError> {
    // The grants are a JSON array of names, none of which is a substring of another.
    let names: Vec<Option<String>> = Entity::find()
        .select_only()
        .column(Column::IdTokenAlgorithm)
        .filter(Column::Grants.contains(GrantType::AuthorizationCode.as_str()))
        .distinct()
        .into_tuple()
        .all(db)
        .await?;
    let algorithm = |name: &str| SigningAlgorithm::parse(name).ok_or_else(|| unreadable(TABLE, "unknown algorithm"));
    names.iter().map(|name| name.as_deref().map_or(Ok(SigningAlgorithm::RS256), algorithm)).collect()
}

/// Deletes a client. Returns whether there was one.
pub async fn delete(db: &impl ConnectionTrait, id: &ClientId) -> Result<bool, StoreError> {
    Ok(Entity::delete_by_id(id.as_str()).exec(db).await?.rows_affected == 1)
}

/// Deletes at most `batch` clients whose document was last fresh before `over`, and which have neither a consent nor a
/// session that has not ended. Returns how many. No code lives long enough to be lost with them.
pub async fn prune_documents(db: &impl ConnectionTrait, over: DateTime<Utc>, batch: u64) -> Result<u64, StoreError> {
    let own = || Expr::col((Entity, Column::Id));
    let consents = Query::select()
        .expr(Expr::val(1))
        .from(consent::Entity)
        .and_where(Expr::col((consent::Entity, consent::Column::ClientId)).eq(own()))
        .to_owned();
    let sessions = Query::select()
        .expr(Expr::val(1))
        .from(session::Entity)
        .and_where(Expr::col((session::Entity, session::Column::ClientId)).eq(own()))
        .and_where(Expr::col((session::Entity, session::Column::EndedAt)).is_null())
        .to_owned();
    let unused = Query::select()
        .column((Entity, Column::Id))
        .from(Entity)
        .and_where(Expr::col((Entity, Column::DocumentFreshUntil)).lt(over))
        .and_where(Expr::col((Entity, Column::Blocked)).eq(false))
        .and_where(Expr::exists(consents).not())
        .and_where(Expr::exists(sessions).not())
        .limit(batch)
        .to_owned();
    let done = Entity::delete_many().filter(Column::Id.in_subquery(unused)).exec(db).await?;
    Ok(done.rows_affected)
}

fn client(row: Model) -> Result<(Client, Option<SecretDigest>), StoreError> {
    let digest = row
        .secret_digest
        .map(|bytes| {
            bytes.try_into().map(SecretDigest).map_err(|_| unreadable(TABLE, "secret digest of another length"))
        })
        .transpose()?;
    let grants: Vec<String> = from_json(TABLE, &row.grants)?;
    let grants: BTreeSet<GrantType> = grants
        .iter()
        .map(|name| GrantType::parse(name).ok_or_else(|| unreadable(TABLE, "unknown grant")))
        .collect::<Result<_, _>>()?;
    let id_token_algorithm = row
        .id_token_algorithm
        .map(|name| SigningAlgorithm::parse(&name).ok_or_else(|| unreadable(TABLE, "unknown algorithm")))
        .transpose()?;
    let application_type = row
        .application_type
        .map(|name| ApplicationType::parse(&name).ok_or_else(|| unreadable(TABLE, "unknown application type")))
        .transpose()?;
    let document = row
        .document_fetched_at
        .zip(row.document_fresh_until)
        .map(|(fetched_at, fresh_until)| DocumentDates { fetched_at, fresh_until });
    let client = Client {
        id: ClientId::parse(&row.id).map_err(|why| unreadable(TABLE, why))?,
        name: row.name,
        authentication: AuthenticationMethod::from_stored(&row.authentication_method)
            .ok_or_else(|| unreadable(TABLE, "unknown authentication method"))?,
        grants,
        scope: Scope::parse(&row.scope).map_err(|why| unreadable(TABLE, why))?,
        audiences: from_json(TABLE, &row.audiences)?,
        resources: from_json(TABLE, &row.resources)?,
        redirect_uris: from_json(TABLE, &row.redirect_uris)?,
        post_logout_redirect_uris: from_json(TABLE, &row.post_logout_redirect_uris)?,
        backchannel_logout_uri: row.backchannel_logout_uri,
        id_token_algorithm,
        jwks: row.jwks,
        first_party: row.first_party,
        pkce: if row.pkce_optional { Pkce::Optional } else { Pkce::Required },
        application_type,
        self_registered: row.registration_token_digest.is_some() || document.is_some(),
        document,
        blocked: row.blocked,
        created_at: row.created_at,
    };
    Ok((client, digest))
}
