//! The one module that signs JWTs (RFC 7519) and verifies ours (RFC 8725).

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, crypto};
use serde::Serialize;

pub use crate::crypto::jose::token_kind::{
    AccessToken, IdTokenOfAnyAge, RefreshToken, RefreshTokenOfAnyAge, TokenKind,
};
use crate::{
    crypto::{
        digest,
        jose::{
            jws::{self, Header, Jws},
            token_kind::{
                Unread,
                sealed::{Claims, Kind, Signer},
            },
        },
        keys::{
            public_key::PublicKey,
            ring::Keyring,
            root_secret::RootSecret,
            set::{KeyKind, KeySet},
            signing_key::SigningKey,
        },
    },
    domain::{
        claims::{AccessClaims, IdClaims, LogoutClaims, RefreshClaims, numeric_date},
        signing_key::SigningAlgorithm,
        status_list::StatusListClaims,
    },
};

/// The `typ` of a status list token (draft-ietf-oauth-status-list-21 §5.1). It is no [`TokenKind`]: gateways verify it,
/// this service never does.
const STATUS_LIST: &str = "statuslist+jwt";

/// The `typ` of a logout token (OIDC Back-Channel Logout 1.0 §2.4). Its client verifies it, this service never does.
const LOGOUT: &str = "logout+jwt";

/// How far `iat` and `nbf` may lie in the future, in seconds: the clock of the replica that issued the token may be
/// ahead. `exp` has no leeway.
const MAX_SKEW: i64 = 30;

/// Signs and verifies the tokens of one issuer.
#[derive(Debug, Clone)]
pub struct Jwt {
    keyring: Arc<Keyring>,
    issuer: String,
    algorithm: SigningAlgorithm,
}

/// Why a token cannot be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// There is no key of this kind.
    #[error("there is no {} key to sign with", .0.as_str())]
    NoKey(KeyKind),
    /// The token would be longer than any verifier accepts.
    #[error("the token would have {0} bytes, and may have {max}", max = jws::MAX_LENGTH)]
    TooLong(usize),
    /// The library failed, without a reason.
    #[error("the cryptographic library failed to sign")]
    NotSigned,
}

/// Why a token is refused. A client gets one answer for all of these; the reason is for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not the compact form, a header or claims that we do not write, or a required claim missing.
    #[error("not well-formed")]
    Malformed,
    /// None of our keys for this kind of token has this `kid`.
    #[error("signed with an unknown key")]
    UnknownKey,
    /// The signature is not of that key, or `alg` is not the key's.
    #[error("the signature is wrong")]
    BadSignature,
    /// `typ` is of another kind.
    #[error("a token of another kind")]
    WrongKind,
    /// `iss` is not this issuer.
    #[error("issued by somebody else")]
    WrongIssuer,
    /// `aud` does not name the required audience.
    #[error("for another audience")]
    WrongAudience,
    /// `exp` has passed.
    #[error("expired")]
    Expired,
    /// `iat` or `nbf` lies further in the future than clocks may differ.
    #[error("not valid yet")]
    NotYetValid,
}

impl Jwt {
    /// Signs and verifies for `issuer`; access tokens are signed with `algorithm`.
    #[must_use]
    pub fn new(keyring: Arc<Keyring>, issuer: String, algorithm: SigningAlgorithm) -> Self {
        Self { keyring, issuer, algorithm }
    }

    /// Signs an access token (RFC 9068 §2) with the key that is active at `now`.
    ///
    /// # Errors
    /// [`SignError`] where there is no such key, and where the token would be over-long.
    pub fn sign_access(&self, claims: &AccessClaims, now: DateTime<Utc>) -> Result<String, SignError> {
        let set = self.keyring.current();
        sign_with(self.key_for_access(&set, now)?, <AccessToken as Kind>::TYP, claims).and_then(bounded)
    }

    /// Signs an ID token (OIDC Core §2) with the key of `algorithm` that is active at `now`. The first key of an algorithm
    /// does not wait here: its verifier is the client that asked for the algorithm, and refuses any other.
    ///
    /// # Errors
    /// [`SignError`] if there is no such key, or the token would be too long.
    pub fn sign_id(
        &self,
        claims: &IdClaims,
        algorithm: SigningAlgorithm,
        now: DateTime<Utc>,
    ) -> Result<String, SignError> {
        let set = self.keyring.current();
        sign_with(key_of(&set, algorithm, now)?, <IdTokenOfAnyAge as Kind>::TYP, claims).and_then(bounded)
    }

    /// Signs a logout token (OIDC Back-Channel Logout 1.0 §2.4) with the active key of `algorithm`, by default the
    /// algorithm of access tokens.
    ///
    /// # Errors
    /// [`SignError`] where there is no such key.
    pub fn sign_logout(
        &self,
        claims: &LogoutClaims,
        algorithm: Option<SigningAlgorithm>,
        now: DateTime<Utc>,
    ) -> Result<String, SignError> {
        let set = self.keyring.current();
        let key = match algorithm {
            Some(algorithm) => key_of(&set, algorithm, now)?,
            None => self.key_for_access(&set, now)?,
        };
        sign_with(key, LOGOUT, claims).and_then(bounded)
    }

    /// Whether there is a key of `algorithm` to sign with at `now`.
    #[must_use]
    pub fn has_key(&self, algorithm: SigningAlgorithm, now: DateTime<Utc>) -> bool {
        self.keyring.current().active(algorithm, now).is_some()
    }

    /// Reads the key folder now: a client may exist before the background reader has seen the key that was made for it.
    /// It blocks on the file system. If the folder is not valid, nothing changes.
    pub fn look_for_keys(&self) {
        // The background reader reports what is wrong with the folder.
        let _ = self.keyring.reload();
    }

    /// The `at_hash` under `algorithm` (OIDC Core §3.1.3.6): the left half of the digest that the algorithm itself
    /// uses, SHA-512 for Ed25519 (RFC 8032 §5.1).
    #[must_use]
    pub fn access_token_hash(algorithm: SigningAlgorithm, access_token: &str) -> String {
        let bytes = access_token.as_bytes();
        match algorithm {
            SigningAlgorithm::ES256 | SigningAlgorithm::RS256 => {
                BASE64_URL_SAFE_NO_PAD.encode(&digest::sha256(bytes)[..16])
            }
            SigningAlgorithm::EdDSA => BASE64_URL_SAFE_NO_PAD.encode(&digest::sha512(bytes)[..32]),
        }
    }

    /// Signs a status list token (draft-ietf-oauth-status-list-21 §5.1) with the active key of access tokens. It
    /// travels in a body, so its length is not bounded.
    ///
    /// # Errors
    /// [`SignError`] if there is no such key.
    pub fn sign_status_list(&self, claims: &StatusListClaims, now: DateTime<Utc>) -> Result<String, SignError> {
        let set = self.keyring.current();
        sign_with(self.key_for_access(&set, now)?, STATUS_LIST, claims)
    }

    /// Signs a refresh token under the active root secret. The same claims under the same secret give the same text on
    /// every replica.
    ///
    /// # Errors
    /// [`SignError`] if there is no root secret, or the token would be too long.
    pub fn sign_refresh(&self, claims: &RefreshClaims, now: DateTime<Utc>) -> Result<String, SignError> {
        let set = self.keyring.current();
        let root = set.active_root_secret(now).ok_or(SignError::NoKey(KeyKind::RootSecret))?;
        compose(RefreshToken::TYP, Algorithm::HS256, root.kid(), claims, |input| {
            crypto::sign(input, root.refresh_signing(), Algorithm::HS256).map_err(|_| SignError::NotSigned)
        })
        .and_then(bounded)
    }

    /// The `kid` of the key that signs access tokens at `now`, if there is one.
    #[must_use]
    pub fn access_kid(&self, now: DateTime<Utc>) -> Option<String> {
        self.keyring.current().active_for_access(self.algorithm, now).map(|key| key.kid().to_owned())
    }

    /// The key that signs access tokens at `now`.
    fn key_for_access<'a>(&self, set: &'a KeySet, now: DateTime<Utc>) -> Result<&'a SigningKey, SignError> {
        set.active_for_access(self.algorithm, now).ok_or(SignError::NoKey(KeyKind::Signing(self.algorithm)))
    }

    /// Verifies that `token` is of `kind`, from this issuer, for the audience of `kind` and valid at `now`; returns its
    /// claims.
    ///
    /// It does not check whether the token is revoked.
    ///
    /// # Errors
    /// [`TokenError`] for any other text. Before the signature is verified, nothing of the token is used but its `kid`.
    pub fn verify<K: TokenKind>(&self, kind: K, token: &str, now: DateTime<Utc>) -> Result<K::Claims, TokenError> {
        let jws = Jws::parse(token, jws::MAX_LENGTH).ok_or(TokenError::Malformed)?;
        if !jws.is_of_type(K::TYP) {
            return Err(TokenError::WrongKind);
        }
        let set = self.keyring.current();
        let id = jws.header.kid.as_str();
        let verification = match K::SIGNER {
            // A token that ends ended before its key was gone: what that key signs later is a forgery.
            Signer::SigningKey if K::ENDS => set.find(id, now).map(PublicKey::verification),
            Signer::SigningKey => set.find_of_any_age(id).map(PublicKey::verification),
            Signer::RootSecret => set.find_root_secret(id).map(RootSecret::refresh_verification),
        };
        let (algorithm, key) = verification.ok_or(TokenError::UnknownKey)?;
        if !jws.is_signed_by(algorithm, key) {
            return Err(TokenError::BadSignature);
        }
        let claims: K::Claims = serde_json::from_slice(&jws.payload).map_err(|_| TokenError::Malformed)?;
        let unread: Unread = serde_json::from_slice(&jws.payload).map_err(|_| TokenError::Malformed)?;
        self.judge(kind, &claims, &unread, numeric_date(now)).map(|()| claims)
    }

    /// As [`verify`](Self::verify) for an access token of any audience; also returns the `kid` of its key.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify_access(&self, token: &str, now: DateTime<Utc>) -> Result<(AccessClaims, String), TokenError> {
        let claims = self.verify(AccessToken { audience: None }, token, now)?;
        let jws: Jws<'_, Header> = Jws::parse(token, jws::MAX_LENGTH).ok_or(TokenError::Malformed)?;
        Ok((claims, jws.header.kid))
    }

    /// Whether an access token that was verified before is good at `now`: its key is still published, and its time has
    /// come and not passed. All else follows from its bytes.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn is_still_good(&self, claims: &AccessClaims, kid: &str, now: DateTime<Utc>) -> Result<(), TokenError> {
        let is_known = self.keyring.current().find(kid, now).is_some();
        let now = numeric_date(now);
        if !is_known {
            Err(TokenError::UnknownKey)
        } else if claims.exp <= now {
            Err(TokenError::Expired)
        } else if claims.iat > now + MAX_SKEW {
            Err(TokenError::NotYetValid)
        } else {
            Ok(())
        }
    }

    /// Checks the claims (RFC 9068 §4) at `now` in seconds. `jsonwebtoken` would ask the system's clock, leave `iat`
    /// unchecked, and accept a float as a time.
    fn judge<K: TokenKind>(&self, kind: K, claims: &K::Claims, unread: &Unread, now: i64) -> Result<(), TokenError> {
        let common = claims.common();
        if !common.named || !claims.is_whole(unread) {
            Err(TokenError::Malformed)
        } else if common.iss != self.issuer {
            Err(TokenError::WrongIssuer)
        } else if !kind.is_for(common.aud, &self.issuer) {
            Err(TokenError::WrongAudience)
        } else if K::ENDS && common.exp <= now {
            Err(TokenError::Expired)
        } else if [Some(common.iat), unread.nbf].into_iter().flatten().any(|from| from > now + MAX_SKEW) {
            Err(TokenError::NotYetValid)
        } else {
            Ok(())
        }
    }
}

/// The key of `algorithm` that is active at `now`.
fn key_of(set: &KeySet, algorithm: SigningAlgorithm, now: DateTime<Utc>) -> Result<&SigningKey, SignError> {
    set.active(algorithm, now).ok_or(SignError::NoKey(KeyKind::Signing(algorithm)))
}

/// Signs a token that others verify.
fn sign_with(key: &SigningKey, typ: &str, claims: &impl Serialize) -> Result<String, SignError> {
    let (alg, _) = key.public().verification();
    compose(typ, alg, key.kid(), claims, |input| {
        let signature = key.sign(input).map_err(|_| SignError::NotSigned)?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode(signature))
    })
}

/// Composes a token; `sign` returns its signature in base64url.
fn compose(
    typ: &str,
    alg: Algorithm,
    kid: &str,
    claims: &impl Serialize,
    sign: impl FnOnce(&[u8]) -> Result<String, SignError>,
) -> Result<String, SignError> {
    let header = Header { typ: typ.to_owned(), alg, kid: kid.to_owned() };
    let mut token = jws::signing_input(&header, claims).map_err(|_| SignError::NotSigned)?;
    let signature = sign(token.as_bytes())?;
    token.push('.');
    token.push_str(&signature);
    Ok(token)
}

/// Refuses a token that is too long for header fields.
fn bounded(token: String) -> Result<String, SignError> {
    if token.len() > jws::MAX_LENGTH { Err(SignError::TooLong(token.len())) } else { Ok(token) }
}

#[cfg(test)]
mod tests;
