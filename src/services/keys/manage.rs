//! The operator's hand on keys: publish the next one, revoke one, remove those that are gone.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::{
    crypto::keys::{
        files::{KeyError, KeySet},
        set::Held,
        source::KeySource,
    },
    domain::{
        clock::Clock,
        key_schedule::{KeyState, Life, RevokedKey},
        signing_key::KeyKind,
    },
    services::{
        Unavailable,
        audit::Event,
        change_feed::ChangeFeed,
        keys::establish::{self, Caller, EstablishError},
    },
    store::{self, Database, Transaction, key_records, schema},
};

/// Why a command on keys fails.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    /// The keys are not valid, or not this database's.
    #[error(transparent)]
    Establish(#[from] EstablishError),
    /// No key has this identifier.
    #[error("there is no key {0}; `signet keys list` shows all")]
    Unknown(String),
    /// The key has no public half for verifiers.
    #[error("{0} is not in the key set: `signet keys export` has the keys that verify tokens now")]
    NotPublished(String),
}

impl From<KeyError> for ManageError {
    fn from(error: KeyError) -> Self {
        Self::Establish(error.into())
    }
}

macro_rules! establish_from {
    ($($cause:ty),+) => {
        $(impl From<$cause> for ManageError {
            fn from(cause: $cause) -> Self {
                Self::Establish(EstablishError::Unavailable(cause.into()))
            }
        })+
    };
}

establish_from!(store::StoreError, Unavailable);

/// Changes the keys. Its database is a direct connection, since its turns are locks.
#[derive(Debug, Clone)]
pub struct ManageKeys {
    pub db: Database,
    pub changes: ChangeFeed,
    pub source: KeySource,
    pub clock: Arc<dyn Clock>,
}

/// A key, its state and its dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyReport {
    pub kid: String,
    pub kind: KeyKind,
    /// `published`, `active`, `retired`, `gone` or `revoked`.
    pub state: &'static str,
    pub life: Life,
    pub revoked: Option<DateTime<Utc>>,
    /// When the state changes next.
    pub next_change: Option<DateTime<Utc>>,
    /// Its file; `None` for a revoked key.
    pub file: Option<PathBuf>,
}

/// What became of a revoked key.
#[derive(Debug, PartialEq, Eq)]
pub struct Revoked {
    pub key: RevokedKey,
    /// The key that signs in its place; `None` if it did not sign.
    pub successor: Option<String>,
    /// The file that could not be removed, and why.
    pub left: Option<(PathBuf, String)>,
}

/// What pruning did to a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Pruned {
    pub kid: String,
    pub file: PathBuf,
    /// Whether the public half stays, for hints at who logs out.
    pub keeps_public_half: bool,
}

/// A format of public keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicFormat {
    Pem,
    Jwk,
}

impl ManageKeys {
    /// Every key, with its state.
    ///
    /// # Errors
    /// [`ManageError`] if the keys cannot be read.
    pub async fn list(&self) -> Result<Vec<KeyReport>, ManageError> {
        let set = self.source.read(&key_records::revoked(&self.db).await?.into())?;
        Ok(reports(&set, self.clock.now()))
    }

    /// Publishes the next key of `kind`. It signs once the lead time is over, or at once if it is the installation's first.
    ///
    /// # Errors
    /// [`ManageError`]; then nothing was made.
    pub async fn rotate(&self, kind: KeyKind) -> Result<KeyReport, ManageError> {
        let turn = schema::lock(&self.db).await?;
        let set = establish::checked(&turn, &self.source, Caller::Command).await?;
        let (file, set) = self.make(&turn, kind, &set).await?;
        store::commit(turn).await?;
        Event::done("key_rotate").record();
        let made = reports(&set, self.clock.now()).into_iter().find(|report| is_named(report, &file));
        // It was read a moment ago.
        made.ok_or_else(|| ManageError::Unknown(file))
    }

    /// Takes a key out of force everywhere: what it signed is refused. If it signs at present, the next published key takes
    /// its place at once, or a new one does.
    ///
    /// # Errors
    /// [`ManageError`]; then the key is as it was, but there may be a new one.
    pub async fn revoke(&self, kid: &str) -> Result<Revoked, ManageError> {
        let turn = schema::lock(&self.db).await?;
        let set = establish::checked(&turn, &self.source, Caller::Command).await?;
        let now = self.clock.now();
        if let Some(key) = set.revoked().iter().find(|key| key.kid == kid).cloned() {
            store::commit(turn).await?;
            let left = self.remove_file(kid);
            return Ok(Revoked { key, successor: None, left });
        }
        let report = reports(&set, now).into_iter().find(|report| report.kid == kid);
        let report = report.ok_or_else(|| ManageError::Unknown(kid.to_owned()))?;
        let key = RevokedKey { kid: report.kid, kind: report.kind, published: report.life.published, revoked: now };
        let after = set.without([key.clone()].into_iter().chain(set.revoked().iter().cloned()).collect());
        let mut successor = active_kid(&after, key.kind, now);
        if successor.is_none() {
            // Before the revocation is written: there must be a key that every replica finds from then on.
            let (file, with_new) = self.make(&turn, key.kind, &set).await?;
            successor = reports(&with_new, now).into_iter().find(|made| is_named(made, &file)).map(|made| made.kid);
        }
        key_records::revoke(&turn, &key).await?;
        let entries = vec![self.changes.key_revoked(key.clone())];
        let pending = self.changes.write(&turn, entries).await?.recording(Event::done("key_revoke"));
        self.changes.commit(turn, pending).await?;
        let successor = successor.filter(|_| report.state == KeyState::Active.as_str());
        Ok(Revoked { successor, left: self.remove_file(kid), key })
    }

    /// Removes what no live token needs: the private halves of signing keys that are gone, later their public halves, root
    /// secrets that are gone, and the files of revoked keys.
    ///
    /// # Errors
    /// [`ManageError`]; some files may have been removed.
    pub async fn prune(&self) -> Result<Vec<Pruned>, ManageError> {
        let turn = schema::lock(&self.db).await?;
        let set = establish::checked(&turn, &self.source, Caller::Command).await?;
        let pruned = self.prune_files(&set)?;
        store::commit(turn).await?;
        Ok(pruned)
    }

    pub(super) fn prune_files(&self, set: &KeySet) -> Result<Vec<Pruned>, KeyError> {
        let now = self.clock.now();
        let mut pruned = Vec::new();
        for held in set.signing_keys().iter().filter(|held| held.life.state(now) == KeyState::Gone) {
            self.source.keep_public_half(held)?;
            pruned.push(Pruned { kid: held.key.kid().to_owned(), file: held.file.clone(), keeps_public_half: true });
        }
        let over = |life: &Life| life.gone.is_some_and(|gone| gone + set.times().hints <= now);
        let public = set.public_keys().iter().filter(|held| over(&held.life));
        let public = public.map(|held| (held.key.kid(), &held.file));
        let roots = set.root_secrets().iter().filter(|held| held.life.state(now) == KeyState::Gone);
        let roots = roots.map(|held| (held.key.kid(), &held.file));
        let everything = self.source.read(&[].into())?;
        let revoked = files(&everything).filter(|(kid, _)| set.revoked().iter().any(|key| key.kid == **kid));
        for (kid, file) in public.chain(roots).chain(revoked) {
            self.source.remove(file)?;
            pruned.push(Pruned { kid: kid.to_owned(), file: file.clone(), keeps_public_half: false });
        }
        Ok(pruned)
    }

    /// The public keys that verify tokens now, or the one of `kid`.
    ///
    /// # Errors
    /// [`ManageError`] if the keys cannot be read, or do not have that one.
    pub async fn export(&self, kid: Option<&str>, format: PublicFormat) -> Result<String, ManageError> {
        let set = self.source.read(&key_records::revoked(&self.db).await?.into())?;
        let now = self.clock.now();
        let shown: Vec<_> = set.shown(now).filter(|held| kid.is_none_or(|kid| held.key.kid() == kid)).collect();
        if let (Some(kid), true) = (kid, shown.is_empty()) {
            return Err(ManageError::NotPublished(kid.to_owned()));
        }
        let jwk = |held: &&Held<_>| public_jwk(held);
        Ok(match format {
            PublicFormat::Pem => shown.iter().filter_map(|held| held.key.public().pem()).collect(),
            PublicFormat::Jwk if kid.is_some() => shown.iter().map(jwk).next().unwrap_or_default().to_string(),
            PublicFormat::Jwk => json!({ "keys": shown.iter().map(jwk).collect::<Vec<_>>() }).to_string(),
        })
    }

    /// Makes a key of `kind` and records it in this turn. Returns its file name, and the keys with it.
    pub(super) async fn make(
        &self,
        turn: &Transaction,
        kind: KeyKind,
        set: &KeySet,
    ) -> Result<(String, KeySet), ManageError> {
        let now = self.clock.now();
        let file = self.source.create_next(kind, now)?;
        tracing::info!(kind = kind.as_str(), file, "key made");
        let set = self.source.read(set.revoked())?;
        establish::remember(turn, kind, file.clone(), now).await?;
        key_records::remember_fingerprints(turn, establish::fingerprints(&set), now).await?;
        Ok((file, set))
    }

    /// Removes the file of a revoked key, if it is there. Returns the file that stays, and why: the key is out of force all
    /// the same.
    fn remove_file(&self, kid: &str) -> Option<(PathBuf, String)> {
        let everything = self.source.read(&[].into()).ok()?;
        let left = files(&everything).filter(|(of, _)| *of == kid).map(|(_, file)| file);
        left.filter_map(|file| self.source.remove(file).err().map(|why| (file.clone(), why.to_string()))).last()
    }
}

fn public_jwk(held: &Held<crate::crypto::keys::signing_key::SigningKey>) -> Value {
    // A JWK always serializes.
    serde_json::to_value(held.key.public().jwk()).unwrap_or_default()
}

fn is_named(report: &KeyReport, file: &str) -> bool {
    report.file.as_deref().and_then(Path::file_name).is_some_and(|name| name == file)
}

/// The identifier and file of every key.
fn files(set: &KeySet) -> impl Iterator<Item = (&str, &PathBuf)> {
    let signing = set.signing_keys().iter().map(|held| (held.key.kid(), &held.file));
    let public = set.public_keys().iter().map(|held| (held.key.kid(), &held.file));
    signing.chain(public).chain(set.root_secrets().iter().map(|held| (held.key.kid(), &held.file)))
}

/// The key of `kind` whose turn it is at `now`.
fn active_kid(set: &KeySet, kind: KeyKind, now: DateTime<Utc>) -> Option<String> {
    let is_active = |report: &KeyReport| report.kind == kind && report.state == KeyState::Active.as_str();
    reports(set, now).into_iter().find(is_active).map(|report| report.kid)
}

/// Every key of `set`, oldest first within its kind.
fn reports(set: &KeySet, now: DateTime<Utc>) -> Vec<KeyReport> {
    let report = |kid: &str, kind, life: &Life, file: &PathBuf, state: KeyState| KeyReport {
        kid: kid.to_owned(),
        kind,
        state: state.as_str(),
        life: *life,
        revoked: None,
        next_change: life.next_change(now),
        file: Some(file.clone()),
    };
    let signing = set.signing_keys().iter().map(|held| {
        let kind = KeyKind::Signing(held.key.algorithm());
        report(held.key.kid(), kind, &held.life, &held.file, held.life.state(now))
    });
    let public = set.public_keys().iter().map(|held| {
        let kind = KeyKind::Signing(held.key.algorithm());
        report(held.key.kid(), kind, &held.life, &held.file, KeyState::Gone)
    });
    let roots = set
        .root_secrets()
        .iter()
        .map(|held| report(held.key.kid(), KeyKind::RootSecret, &held.life, &held.file, held.life.state(now)));
    let revoked = set.revoked().iter().map(|key| KeyReport {
        kid: key.kid.clone(),
        kind: key.kind,
        state: "revoked",
        life: Life { published: key.published, active: None, retired: None, gone: None },
        revoked: Some(key.revoked),
        next_change: None,
        file: None,
    });
    let mut all: Vec<_> = signing.chain(public).chain(roots).chain(revoked).collect();
    all.sort_by(|a, b| (a.kind.as_str(), a.life.published).cmp(&(b.kind.as_str(), b.life.published)));
    all
}
