//! Creates the first keys, and no others: if a recorded key is missing, a new one would silently invalidate every token
//! issued so far.
//!
//! The database knows its keys by fingerprint. A folder that lacks every recorded key of a kind is lost, or belongs to
//! another database: nothing starts with it, and nothing is made in it.

use std::{path::Path, sync::Arc};

use chrono::{DateTime, Utc};

use crate::{
    crypto::keys::{
        files::{KeyError, KeyKind, KeySet},
        source::KeySource,
    },
    domain::{clock::Clock, signing_key::SigningAlgorithm},
    services::Unavailable,
    store::{
        self, Database, StoreError, Transaction, clients,
        key_records::{self, KeyFingerprint, KeyRecord},
        schema,
    },
};

/// The file name in the record of a key that was found, not made.
const FOUND: &str = "(found)";

/// Why the service cannot start with its keys.
#[derive(Debug, thiserror::Error)]
pub enum EstablishError {
    /// A file or the folder is not valid.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The folder has no key of a recorded kind.
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
    /// The folder has keys of a recorded kind, and none of them is this database's.
    #[error(
        "no {kind} key in {folder} is one that this database knows (its first one was made on {made} as {file}): the \
         folder is another installation's. Restore it from its backup, or mount the one that the other replicas use; if \
         you have replaced the keys while no service ran, see Keys in docs/operations.md"
    )]
    Foreign {
        folder: String,
        /// The kind of which no key is known.
        kind: String,
        /// When the first key was created.
        made: String,
        /// The recorded file name.
        file: String,
    },
    /// An older version recorded no fingerprint, and a command cannot tell whose the folder is.
    #[error(
        "an older version has not recorded which {kind} key is this database's: start the service once, then run this \
         again with its keys folder (here {folder})"
    )]
    Unidentified {
        folder: String,
        /// The kind without a fingerprint.
        kind: String,
    },
    /// The database failed.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

unavailable_from!(EstablishError: store::StoreError);

/// The caller that needs the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// The service: where an older version recorded no fingerprint, its folder is the database's.
    Service,
    /// A command, which may run in any folder.
    Command,
}

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

/// Reads the keys of `source`, making the first of each of `kinds` where there is none and none was ever made. Replicas
/// that start together take turns; `db` is a direct connection, since the turn is a lock.
///
/// # Errors
/// [`EstablishError`], by the name of the file or folder; nothing was made then that another start would not find.
pub async fn run(
    db: &Database,
    source: &KeySource,
    kinds: &[KeyKind],
    caller: Caller,
    clock: &Arc<dyn Clock>,
) -> Result<KeySet, EstablishError> {
    let turn = schema::lock(db).await?;
    if caller == Caller::Service {
        encrypt(source)?;
    }
    // All of them, before the first key is made: a key made in a folder that is not the cluster's is soon lost.
    let found = checked(&turn, source, caller).await?;
    let recorded = key_records::all(&turn).await?;
    for kind in kinds.iter().copied() {
        let is_recorded = recorded.iter().any(|record| record.kind == kind.as_str());
        let file = match (found.has(kind), is_recorded) {
            (_, true) => continue,
            // Brought by the operator, or made by a start that ended before it could say so.
            (true, false) => FOUND.to_owned(),
            (false, false) if source.bundle.is_some() => return Err(KeyError::NotInBundle(kind.as_str()).into()),
            (false, false) => source.create(kind, clock.now())?,
        };
        tracing::info!(kind = kind.as_str(), file, "key recorded");
        remember(&turn, kind, file, clock.now()).await?;
    }
    let set = source.read(found.revoked())?;
    key_records::remember_fingerprints(&turn, fingerprints(&set), clock.now()).await?;
    // A key must not sign before it is recorded: a crash could leave tokens under an unknown key.
    store::commit(turn).await?;
    Ok(set)
}

/// Reads the keys of `source` without the revoked ones, and checks that they are this database's.
pub(super) async fn checked(turn: &Transaction, source: &KeySource, caller: Caller) -> Result<KeySet, EstablishError> {
    let recorded = key_records::all(turn).await?;
    let known = key_records::fingerprints(turn).await?;
    let found = source.read(&key_records::revoked(turn).await?.into())?;
    for record in &recorded {
        check(source.name(), &found, record, &known, caller)?;
    }
    Ok(found)
}

/// Records that the first key of a kind was made.
pub(super) async fn remember(
    turn: &Transaction,
    kind: KeyKind,
    file: String,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    key_records::remember(turn, KeyRecord { kind: kind.as_str().to_owned(), file, created_at: now }).await
}

/// Encrypts the key files that are not. Where the folder is read-only, as a mounted secret is, they stay as they are.
fn encrypt(source: &KeySource) -> Result<(), KeyError> {
    match source.encrypt() {
        Ok(files) => {
            for file in files {
                tracing::info!(file = %file.display(), "key file encrypted");
            }
            Ok(())
        }
        Err(cause @ KeyError::Unwritable { .. }) => {
            tracing::warn!(%cause, "keys_passphrase is set, and key files that are not encrypted stay so");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// The keys of `set` as the database knows them.
pub(super) fn fingerprints(set: &KeySet) -> impl Iterator<Item = KeyFingerprint> {
    let keys = set.fingerprints().into_iter();
    keys.map(|(kind, fingerprint)| KeyFingerprint { kind: kind.as_str().to_owned(), fingerprint })
}

/// Checks that the folder has a key of the kind that `record` says was made.
fn check(
    folder: &Path,
    found: &KeySet,
    record: &KeyRecord,
    known: &[KeyFingerprint],
    caller: Caller,
) -> Result<(), EstablishError> {
    let KeyRecord { kind, file, created_at } = record.clone();
    let (made, shown) = (created_at.to_rfc3339(), folder.display().to_string());
    let here: Vec<_> = fingerprints(found).filter(|key| key.kind == kind).collect();
    if here.is_empty() {
        return Err(EstablishError::Lost { folder: shown, kind, made, file });
    }
    if here.iter().any(|key| known.contains(key)) {
        return Ok(());
    }
    if known.iter().any(|key| key.kind == kind) {
        return Err(EstablishError::Foreign { folder: shown, kind, made, file });
    }
    if caller == Caller::Command {
        return Err(EstablishError::Unidentified { folder: shown, kind });
    }
    if file != FOUND && !folder.join(&file).exists() {
        tracing::warn!(
            kind,
            file,
            folder = shown,
            "the first key of this kind is not in the folder, and an older version recorded no more than its name: the \
             keys that are there count as this database's from now on"
        );
    }
    Ok(())
}
