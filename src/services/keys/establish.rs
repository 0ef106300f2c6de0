//! Creates the first keys, and no others: if a recorded key is missing, a new one would silently invalidate every token
//! issued so far.

use std::{path::Path, sync::Arc};

use crate::{
    crypto::keys::files::{self, KeyError, KeyKind, KeySet},
    domain::{clock::Clock, signing_key::SigningAlgorithm},
    services::Unavailable,
    store::{
        self, Database, clients,
        key_records::{self, KeyRecord},
        schema,
    },
};

/// Why the service cannot start with its keys.
#[derive(Debug, thiserror::Error)]
pub enum EstablishError {
    /// A file or the folder is not valid.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// A recorded key is missing in the folder.
    #[error(
        "{folder} has no {kind} key, but this database's first one was made on {made} as {file}: restore the folder \
         from its backup, or mount the one that the other replicas use"
    )]
    Lost {
        folder: String,
        /// The kind of the missing key.
        kind: String,
        /// When the key was created.
        made: String,
        /// The recorded file name.
        file: String,
    },
    /// The database failed.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

unavailable_from!(EstablishError: store::StoreError);

/// The keys that a service needs which signs access tokens with `algorithm`: that, the root secret, and what the ID
/// tokens of its registered clients are signed with. An RSA key takes a second to make, so a service without such
/// clients starts without; `more` are those of clients that may yet come.
///
/// # Errors
/// [`EstablishError`] where the database cannot tell.
pub async fn kinds(
    db: &Database,
    algorithm: SigningAlgorithm,
    more: &[SigningAlgorithm],
) -> Result<Vec<KeyKind>, EstablishError> {
    let mut kinds = vec![KeyKind::Signing(algorithm), KeyKind::RootSecret];
    for wanted in clients::id_token_algorithms(db).await?.into_iter().chain(more.iter().copied()) {
        let kind = KeyKind::Signing(wanted);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Ok(kinds)
}

/// Reads the keys in `folder`, making the first of each of `kinds` where there is none and none was ever made. Replicas
/// that start together take turns; `db` is a direct connection, since the turn is a lock.
///
/// # Errors
/// [`EstablishError`], by the file's name; nothing was made then that another start would not find.
pub async fn run(
    db: &Database,
    folder: &Path,
    kinds: &[KeyKind],
    clock: &Arc<dyn Clock>,
) -> Result<KeySet, EstablishError> {
    let turn = schema::lock(db).await?;
    let recorded = key_records::all(&turn).await?;
    let mut set = files::read(folder)?;
    for kind in kinds.iter().copied() {
        let record = recorded.iter().find(|record| record.kind == kind.as_str());
        let file = match (set.has(kind), record) {
            (true, Some(_)) => continue,
            // Brought by the operator, or made by a start that ended before it could say so.
            (true, None) => "(found)".to_owned(),
            (false, Some(record)) => {
                return Err(EstablishError::Lost {
                    folder: folder.display().to_string(),
                    kind: record.kind.clone(),
                    made: record.created_at.to_rfc3339(),
                    file: record.file.clone(),
                });
            }
            (false, None) => files::create(folder, kind, clock.now())?,
        };
        tracing::info!(kind = kind.as_str(), file, "key recorded");
        key_records::remember(&turn, KeyRecord { kind: kind.as_str().to_owned(), file, created_at: clock.now() })
            .await?;
    }
    // A key must not sign before it is recorded: a crash could leave tokens under an unknown key.
    store::commit(turn).await?;
    set = files::read(folder)?;
    Ok(set)
}
