//! Tokens: the one place that signs JWTs (RFC 7519), and the one that verifies them (RFC 8725).

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
        keys::{ring::Keyring, set::KeyKind},
    },
    domain::{
        claims::{AccessClaims, IdClaims, LogoutClaims, RefreshClaims, numeric_date},
        signing_key::SigningAlgorithm,
        status_list::StatusListClaims,
    },
};

/// The `typ` of a status list token (draft-ietf-oauth-status-list-21 §5.1). It is no [`TokenKind`]: gateways verify it,
/// we never do.
const STATUS_LIST: &str = "statuslist+jwt";

/// The `typ` of a logout token (OIDC Back-Channel Logout 1.0 §2.4), which its client verifies, and we never do.
const LOGOUT: &str = "logout+jwt";

/// How far in the future a token may have been issued, in seconds: the clock of the replica that did may be ahead. The
/// same holds for `nbf`. There is no leeway for `exp`.
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
    /// The library failed, and says no more.
    #[error("the cryptographic library failed to sign")]
    NotSigned,
}

/// Why a token is refused. A client gets one answer for all of these; which it was is for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not the compact form, a header or claims that we do not write, or a required claim missing.
    #[error("not well-formed")]
    Malformed,
    /// No key of ours has this `kid`, or none for this kind of token.
    #[error("signed with an unknown key")]
    UnknownKey,
    /// The signature is not that key's, or `alg` is not.
    #[error("the signature is wrong")]
    BadSignature,
    /// `typ` is another kind's.
    #[error("a token of another kind")]
    WrongKind,
    /// `iss` is not us.
    #[error("issued by somebody else")]
    WrongIssuer,
    /// `aud` does not name whom it must.
    #[error("for another audience")]
    WrongAudience,
    /// `exp` has come.
    #[error("expired")]
    Expired,
    /// `iat` or `nbf` is further in the future than clocks differ.
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
        self.sign_published(<AccessToken as Kind>::TYP, self.algorithm, claims, now).and_then(bounded)
    }

    /// Signs an ID token (OIDC Core §2) with the key of `algorithm` that is active at `now`.
    ///
    /// # Errors
    /// [`SignError`] where there is no such key, and where the token would be over-long.
    pub fn sign_id(
        &self,
        claims: &IdClaims,
        algorithm: SigningAlgorithm,
        now: DateTime<Utc>,
    ) -> Result<String, SignError> {
        self.sign_published(<IdTokenOfAnyAge as Kind>::TYP, algorithm, claims, now).and_then(bounded)
    }

    /// Signs a logout token (OIDC Back-Channel Logout 1.0 §2.4) with the key of `algorithm` that is active at `now`, or of
    /// the one that access tokens are signed with.
    ///
    /// # Errors
    /// [`SignError`] where there is no such key.
    pub fn sign_logout(
        &self,
        claims: &LogoutClaims,
        algorithm: Option<SigningAlgorithm>,
        now: DateTime<Utc>,
    ) -> Result<String, SignError> {
        self.sign_published(LOGOUT, algorithm.unwrap_or(self.algorithm), claims, now).and_then(bounded)
    }

    /// Whether there is a key of `algorithm` to sign with at `now`.
    #[must_use]
    pub fn has_key(&self, algorithm: SigningAlgorithm, now: DateTime<Utc>) -> bool {
        self.keyring.current().active(algorithm, now).is_some()
    }

    /// Reads the folder of keys now, rather than when its turn comes: a client may be there before the service has seen
    /// the key that was made for it. It blocks on the file system; a folder that is not good changes nothing.
    pub fn look_for_keys(&self) {
        // What is wrong with the folder is told by whoever reads it all the time.
        let _ = self.keyring.reload();
    }

    /// What an ID token under `algorithm` says of the access token beside it (OIDC Core §3.1.3.6): the left half of the
    /// digest that the algorithm itself uses, which for Ed25519 is SHA-512 (RFC 8032 §5.1).
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

    /// Signs a status list token (draft-ietf-oauth-status-list-21 §5.1) with the key that is active at `now`, the one
    /// that access tokens are signed with. It goes in a body, so it may have any length.
    ///
    /// # Errors
    /// [`SignError`] where there is no such key.
    pub fn sign_status_list(&self, claims: &StatusListClaims, now: DateTime<Utc>) -> Result<String, SignError> {
        self.sign_published(STATUS_LIST, self.algorithm, claims, now)
    }

    /// Signs a refresh token under the root secret that is active at `now`. The same claims under the same secret give
    /// the same text, on every replica.
    ///
    /// # Errors
    /// [`SignError`] where there is no root secret, and where the token would be over-long.
    pub fn sign_refresh(&self, claims: &RefreshClaims, now: DateTime<Utc>) -> Result<String, SignError> {
        let set = self.keyring.current();
        let root = set.active_root_secret(now).ok_or(SignError::NoKey(KeyKind::RootSecret))?;
        compose(RefreshToken::TYP, Algorithm::HS256, root.kid(), claims, |input| {
            crypto::sign(input, root.refresh_signing(), Algorithm::HS256).map_err(|_| SignError::NotSigned)
        })
        .and_then(bounded)
    }

    /// A token for others to verify, signed with the published key of `algorithm` that is active at `now`.
    fn sign_published(
        &self,
        typ: &str,
        algorithm: SigningAlgorithm,
        claims: &impl Serialize,
        now: DateTime<Utc>,
    ) -> Result<String, SignError> {
        let set = self.keyring.current();
        let key = set.active(algorithm, now).ok_or(SignError::NoKey(KeyKind::Signing(algorithm)))?;
        let (alg, _) = key.verification();
        compose(typ, alg, key.kid(), claims, |input| {
            let signature = key.sign(input).map_err(|_| SignError::NotSigned)?;
            Ok(BASE64_URL_SAFE_NO_PAD.encode(signature))
        })
    }

    /// The claims of `token`, which is one of `kind`, from us, for whom `kind` says, and in its time at `now`.
    ///
    /// Whether it has been revoked is not asked here.
    ///
    /// # Errors
    /// [`TokenError`] for every other text. Nothing that the token says is believed before its signature is verified,
    /// but for which of our own keys to verify it with.
    pub fn verify<K: TokenKind>(&self, kind: K, token: &str, now: DateTime<Utc>) -> Result<K::Claims, TokenError> {
        let jws = Jws::parse(token, jws::MAX_LENGTH).ok_or(TokenError::Malformed)?;
        if !jws.is_of_type(K::TYP) {
            return Err(TokenError::WrongKind);
        }
        let set = self.keyring.current();
        let id = jws.header.kid.as_str();
        let verification = match K::SIGNER {
            Signer::SigningKey => set.find(id).map(crate::crypto::keys::signing_key::SigningKey::verification),
            Signer::RootSecret => {
                set.find_root_secret(id).map(crate::crypto::keys::root_secret::RootSecret::refresh_verification)
            }
        };
        let (algorithm, key) = verification.ok_or(TokenError::UnknownKey)?;
        if !jws.is_signed_by(algorithm, key) {
            return Err(TokenError::BadSignature);
        }
        let claims: K::Claims = serde_json::from_slice(&jws.payload).map_err(|_| TokenError::Malformed)?;
        let unread: Unread = serde_json::from_slice(&jws.payload).map_err(|_| TokenError::Malformed)?;
        self.judge(kind, &claims, &unread, numeric_date(now)).map(|()| claims)
    }

    /// The claims themselves (RFC 9068 §4), at `now` in seconds. `jsonwebtoken` would ask the system's clock, let `iat`
    /// be anything, and take a float for a time.
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

/// A token of this header and these claims, which `sign` gives the signature of, in base64url.
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

/// A token that travels in header fields, unless it is too long for them.
fn bounded(token: String) -> Result<String, SignError> {
    if token.len() > jws::MAX_LENGTH { Err(SignError::TooLong(token.len())) } else { Ok(token) }
}

#[cfg(test)]
mod tests;
