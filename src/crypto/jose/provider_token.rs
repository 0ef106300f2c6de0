//! ID tokens of other providers, verified in full (OIDC Core §3.1.3.7, RFC 8725).
//!
//! Nothing in such a token is trusted until its signature is verified with a key of that provider, and its claims name
//! us, this login and the present. The keys come by value; a token never brings its own. The `openidconnect` crate is
//! not used: it would add a second stack of cryptography (`rsa`, `p256`, `p384`, `ed25519-dalek`) beside aws-lc.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};
use serde_json::{Number, Value};

use crate::{
    crypto::jose::jws::Jws,
    domain::{
        claims::Audience,
        identity::{Identity, Profile, ProfileClaims, ProviderKind, TENANT, is_issuer},
        numeric_date,
    },
};

/// The longest token in bytes. Some providers put whole lists of groups into theirs.
const MAX_LENGTH: usize = 16 * 1024;
/// The most keys of a set that are read.
const MOST_KEYS: usize = 64;
/// How far clocks may differ, in seconds.
pub const SKEW: i64 = 30;
/// The fewest bits of an RSA modulus (RFC 7518 §3.3).
const MIN_RSA_BITS: usize = 2048;

/// A provider's published keys (RFC 7517 §5): those that can verify.
#[derive(Debug, Clone, Default)]
pub struct ProviderKeys(Vec<ProviderKey>);

#[derive(Debug, Clone)]
struct ProviderKey {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// Why a text is no key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a JWK set")]
pub struct NotAKeySet;

/// The claims that a token must contain to be accepted.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The kind of provider, which decides some exceptions.
    pub kind: ProviderKind,
    /// `iss` as in the provider's metadata; Microsoft's has `{tenantid}` in place of the organization.
    pub issuer: &'a str,
    /// Our client id, in `aud`.
    pub client_id: &'a str,
    /// The `nonce` of this login.
    pub nonce: &'a str,
    pub now: DateTime<Utc>,
}

/// The identity that a verified token names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedIdentity {
    /// Issuer and subject.
    pub identity: Identity,
    /// The other claims.
    pub profile: Profile,
    /// When the person authenticated at the provider, if the token says so (`auth_time`); never later than its
    /// verification.
    pub authenticated_at: Option<DateTime<Utc>>,
}

/// Why a token is refused. The user is told the same for all; the reason is for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProviderTokenError {
    /// Not the compact form of a signed token, too long, or without a required claim.
    #[error("malformed")]
    Malformed,
    /// `alg` may not be used for ID tokens here: `none`, a symmetric or an unknown one.
    #[error("algorithm")]
    Algorithm,
    /// `crit`, or another header member that changes how the rest is read.
    #[error("header")]
    Header,
    /// No key of the provider fits. The provider may have newer keys than those at hand.
    #[error("unknown_key")]
    UnknownKey,
    /// The signature is not that key's.
    #[error("signature")]
    BadSignature,
    /// `iss` is not the provider.
    #[error("issuer")]
    WrongIssuer,
    /// `aud` does not name us, or `azp` names another client.
    #[error("audience")]
    WrongAudience,
    /// `exp` has passed.
    #[error("expired")]
    Expired,
    /// `iat` or `nbf` lies in the future.
    #[error("not_yet_valid")]
    NotYetValid,
    /// `nonce` is another login's, or missing.
    #[error("nonce")]
    WrongNonce,
    /// `sub` is not a valid subject.
    #[error("subject")]
    Subject,
}

/// The header members that matter. All others have no effect, `jwk`, `jku`, `x5u` and `x5c` among them: the keys are
/// always the provider's. A repeated member is refused.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each says that a member is there")]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
    #[serde(default, deserialize_with = "is_there")]
    b64: bool,
    #[serde(default, deserialize_with = "is_there")]
    zip: bool,
    #[serde(default, deserialize_with = "is_there")]
    enc: bool,
}

/// A member that must be absent, whatever its value.
fn is_there<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

/// Times must be JSON numbers (RFC 7519 §2).
#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: Number,
    iat: Number,
    nbf: Option<Number>,
    nonce: Option<String>,
    azp: Option<String>,
    tid: Option<String>,
    auth_time: Option<Value>,
    #[serde(flatten)]
    profile: ProfileClaims,
}

impl VerifiedIdentity {
    /// The identity that a provider without ID tokens gives at its user-info endpoint.
    ///
    /// # Errors
    /// [`ProviderTokenError::Subject`] if the subject is not valid.
    pub fn by_user_info(issuer: &str, subject: &str, profile: Profile) -> Result<Self, ProviderTokenError> {
        let identity = Identity::new(issuer, subject).map_err(|_| ProviderTokenError::Subject)?;
        Ok(Self { identity, profile, authenticated_at: None })
    }
}

impl ProviderKeys {
    /// Parses a JWK set. Keys of an unknown kind, for another use or too weak are skipped (RFC 7517 §5).
    ///
    /// # Errors
    /// [`NotAKeySet`] if there is no list of keys.
    pub fn parse(json: &[u8]) -> Result<Self, NotAKeySet> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(json).map_err(|_| NotAKeySet)?;
        let read = |key| serde_json::from_value::<Jwk>(key).ok().as_ref().and_then(ProviderKey::of);
        Ok(Self(set.keys.into_iter().take(MOST_KEYS).filter_map(read).collect()))
    }

    /// The key for a token with this header. Without `kid`, exactly one key must fit.
    fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&ProviderKey> {
        let fitting = |key: &&ProviderKey| {
            key.algorithms.contains(&algorithm) && kid.is_none_or(|kid| key.kid.as_deref() == Some(kid))
        };
        let mut found = self.0.iter().filter(fitting);
        match (found.next(), found.next()) {
            (Some(key), None) => Some(key),
            _ => None,
        }
    }
}

impl ProviderKey {
    /// `None` unless the key is a strong key for signatures. Its type, and its `alg` if present, decide the algorithms
    /// (RFC 8725 §3.1).
    fn of(jwk: &Jwk) -> Option<Self> {
        use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
        if jwk.common.public_key_use.as_ref().is_some_and(|used| *used != PublicKeyUse::Signature) {
            return None;
        }
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => vec![ES256],
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => vec![ES384],
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => vec![EdDSA],
            AlgorithmParameters::RSA(key) => {
                let modulus = BASE64_URL_SAFE_NO_PAD.decode(&key.n).ok()?;
                let bits = modulus.iter().skip_while(|byte| **byte == 0).count() * 8;
                if bits < MIN_RSA_BITS {
                    return None;
                }
                vec![RS256, RS384, RS512, PS256, PS384, PS512]
            }
            _ => return None,
        };
        if let Some(own) = jwk.common.key_algorithm {
            algorithms.retain(|algorithm| KeyAlgorithm::from(*algorithm) == own);
        }
        Some(Self { kid: jwk.common.key_id.clone(), algorithms, key: DecodingKey::from_jwk(jwk).ok()? })
    }
}

/// Verifies an ID token that came for this login, and returns the identity in it.
///
/// # Errors
/// [`ProviderTokenError`] for any other text.
pub fn verify(
    token: &str,
    keys: &ProviderKeys,
    expected: &Expected<'_>,
) -> Result<VerifiedIdentity, ProviderTokenError> {
    use ProviderTokenError::{
        BadSignature, Expired, Malformed, NotYetValid, Subject, UnknownKey, WrongAudience, WrongNonce,
    };
    let jws: Jws<'_, Header> = Jws::parse(token, MAX_LENGTH).ok_or(Malformed)?;
    let algorithm = algorithm(&jws.header)?;
    let key = keys.find(jws.header.kid.as_deref(), algorithm).ok_or(UnknownKey)?;
    if !jws.has_signature_of(algorithm, &key.key) {
        return Err(BadSignature);
    }
    // serde would read a struct from an array too.
    if jws.payload.first() != Some(&b'{') {
        return Err(Malformed);
    }
    let claims: Claims = serde_json::from_slice(&jws.payload).map_err(|_| Malformed)?;
    judge_issuer(&claims, expected)?;
    let ours = claims.azp.as_deref().map(|azp| azp == expected.client_id);
    let alone = matches!(&claims.aud, Audience::One(_)) || matches!(&claims.aud, Audience::Many(all) if all.len() == 1);
    if !claims.aud.contains(expected.client_id) || ours == Some(false) || (!alone && ours != Some(true)) {
        return Err(WrongAudience);
    }
    let now = expected.now.timestamp();
    let (expires, issued) = (seconds(&claims.exp)?, seconds(&claims.iat)?);
    let begins = claims.nbf.as_ref().map(seconds).transpose()?;
    if expires.saturating_add(SKEW) <= now {
        return Err(Expired);
    }
    if issued > now + SKEW || begins.is_some_and(|begins| begins > now + SKEW) {
        return Err(NotYetValid);
    }
    if claims.nonce.as_deref() != Some(expected.nonce) || expected.nonce.is_empty() {
        return Err(WrongNonce);
    }
    let identity = Identity::new(&claims.iss, &claims.sub).map_err(|_| Subject)?;
    let authenticated_at = claims.auth_time.as_ref().and_then(|time| authenticated_at(time, expected.now));
    Ok(VerifiedIdentity { identity, profile: claims.profile.read(expected.kind), authenticated_at })
}

/// Like [`verify`], with the provider's JWK set unparsed.
///
/// # Errors
/// [`ProviderTokenError`]; no key fits if the set cannot be parsed.
pub fn verify_by(token: &str, key_set: &[u8], expected: &Expected<'_>) -> Result<VerifiedIdentity, ProviderTokenError> {
    verify(token, &ProviderKeys::parse(key_set).unwrap_or_default(), expected)
}

/// The algorithm of a header, if ID tokens may use it: asymmetric ones alone (RFC 8725 §3.1, §3.2).
fn algorithm(header: &Header) -> Result<Algorithm, ProviderTokenError> {
    // A token of another kind under the same key is no ID token (RFC 8725 §3.11).
    let typed = header.typ.as_deref().is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"));
    if !typed || header.crit || header.b64 || header.zip || header.enc {
        return Err(ProviderTokenError::Header);
    }
    match header.alg.parse() {
        Ok(Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) | Err(_) => Err(ProviderTokenError::Algorithm),
        Ok(asymmetric) => Ok(asymmetric),
    }
}

/// `iss` must be the provider, byte for byte. Microsoft's metadata for all organizations name a template: there `tid`
/// names the organization, and must be the one in `iss`.
fn judge_issuer(claims: &Claims, expected: &Expected<'_>) -> Result<(), ProviderTokenError> {
    let templated = expected.issuer.contains(TENANT);
    let tenant = claims.tid.as_deref().filter(|_| templated).unwrap_or_default();
    let named = !templated || expected.issuer.replacen(TENANT, tenant, 1) == claims.iss;
    let may_be_templated = !templated || expected.kind == ProviderKind::Microsoft;
    if may_be_templated && named && is_issuer(expected.issuer, &claims.iss) {
        Ok(())
    } else {
        Err(ProviderTokenError::WrongIssuer)
    }
}

/// `auth_time`, which many providers omit. A value that is no number, or in the future, is ignored.
fn authenticated_at(time: &Value, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let Value::Number(number) = time else { return None };
    let time = seconds(number).ok().filter(|time| (0..=now.timestamp() + SKEW).contains(time))?;
    Some(Ord::min(DateTime::from_timestamp(time, 0)?, now))
}

fn seconds(number: &Number) -> Result<i64, ProviderTokenError> {
    numeric_date::seconds(number).ok_or(ProviderTokenError::Malformed)
}

#[cfg(test)]
mod tests;
