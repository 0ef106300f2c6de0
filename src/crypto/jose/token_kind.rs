//! The kinds of tokens, and how they are told apart (RFC 8725 §3.12).

use serde::{Deserialize, Deserializer, de::IgnoredAny};

use crate::domain::claims::{AccessClaims, Audience, IdClaims, RefreshClaims};

/// A kind of token that [`crate::crypto::jose::jwt::Jwt::verify`] can be asked for.
pub trait TokenKind: sealed::Kind {}

/// An access token (RFC 9068): signed with a published key, `typ` `at+jwt`.
#[derive(Debug, Clone, Copy)]
pub struct AccessToken<'a> {
    /// The required audience; `None` accepts any, as introspection does.
    pub audience: Option<&'a str>,
}

/// A refresh token: HS256 under a derived key, `typ` `rt+jwt`, for the issuer's token endpoint alone.
#[derive(Debug, Clone, Copy)]
pub struct RefreshToken;

/// A refresh token, expired or not: a genuine one may still end its session, and nothing else.
#[derive(Debug, Clone, Copy)]
pub struct RefreshTokenOfAnyAge;

/// An ID token, expired or not, as a hint at who logs out (OIDC RP-Initiated Logout 1.0 §2): signed with a published
/// key, `typ` `JWT`.
#[derive(Debug, Clone, Copy)]
pub struct IdTokenOfAnyAge;

impl TokenKind for IdTokenOfAnyAge {}
impl TokenKind for RefreshTokenOfAnyAge {}
impl TokenKind for AccessToken<'_> {}
impl TokenKind for RefreshToken {}

impl sealed::Kind for AccessToken<'_> {
    type Claims = AccessClaims;
    const TYP: &'static str = "at+jwt";
    const SIGNER: sealed::Signer = sealed::Signer::SigningKey;

    fn is_for(&self, audience: &Audience, _issuer: &str) -> bool {
        !audience.is_empty() && self.audience.is_none_or(|wanted| audience.contains(wanted))
    }
}

impl sealed::Kind for RefreshToken {
    type Claims = RefreshClaims;
    const TYP: &'static str = "rt+jwt";
    const SIGNER: sealed::Signer = sealed::Signer::RootSecret;

    fn is_for(&self, audience: &Audience, issuer: &str) -> bool {
        matches!(audience, Audience::One(one) if one.strip_prefix(issuer) == Some("/oauth/token"))
    }
}

impl sealed::Kind for RefreshTokenOfAnyAge {
    type Claims = RefreshClaims;
    const TYP: &'static str = <RefreshToken as sealed::Kind>::TYP;
    const SIGNER: sealed::Signer = <RefreshToken as sealed::Kind>::SIGNER;
    const ENDS: bool = false;

    fn is_for(&self, audience: &Audience, issuer: &str) -> bool {
        sealed::Kind::is_for(&RefreshToken, audience, issuer)
    }
}

impl sealed::Kind for IdTokenOfAnyAge {
    type Claims = IdClaims;
    const TYP: &'static str = "JWT";
    const SIGNER: sealed::Signer = sealed::Signer::SigningKey;
    const ENDS: bool = false;

    fn is_for(&self, audience: &Audience, _issuer: &str) -> bool {
        matches!(audience, Audience::One(client) if !client.is_empty())
    }
}

impl sealed::Claims for AccessClaims {
    fn common(&self) -> sealed::Common<'_> {
        let Self { iss, sub, aud, exp, iat, jti, .. } = self;
        sealed::Common { iss, aud, exp: *exp, iat: *iat, named: !sub.is_empty() && !jti.is_empty() }
    }

    /// Serde reads a user's claims as absent if one of them is broken. Such a token must not pass as a client's own.
    fn is_whole(&self, unread: &Unread) -> bool {
        self.user.is_some() == unread.sid
    }
}

impl sealed::Claims for IdClaims {
    fn common(&self) -> sealed::Common<'_> {
        let Self { iss, aud, exp, iat, .. } = self;
        sealed::Common { iss, aud, exp: *exp, iat: *iat, named: true }
    }

    fn is_whole(&self, _unread: &Unread) -> bool {
        true
    }
}

impl sealed::Claims for RefreshClaims {
    fn common(&self) -> sealed::Common<'_> {
        let Self { iss, aud, exp, iat, jti, .. } = self;
        sealed::Common { iss, aud, exp: *exp, iat: *iat, named: !jti.is_empty() }
    }

    fn is_whole(&self, _unread: &Unread) -> bool {
        true
    }
}

/// Claims beside those that a kind's type keeps.
#[derive(Deserialize)]
pub struct Unread {
    /// `nbf` (RFC 7519 §4.1.5): never written by us, but honoured.
    #[serde(default, deserialize_with = "numeric_date")]
    pub(in crate::crypto) nbf: Option<i64>,
    /// Whether there is a `sid`, of whatever form.
    #[serde(default, deserialize_with = "present")]
    sid: bool,
}

/// Unlike an `Option`, this refuses `null`.
fn numeric_date<'de, D: Deserializer<'de>>(value: D) -> Result<Option<i64>, D::Error> {
    i64::deserialize(value).map(Some)
}

fn present<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

/// The rules of each kind. No other module can add a kind.
pub(in crate::crypto) mod sealed {
    use serde::de::DeserializeOwned;

    use super::{Audience, Unread};

    pub trait Kind: Copy {
        type Claims: DeserializeOwned + Claims;
        const TYP: &'static str;
        const SIGNER: Signer;
        /// Whether the token is refused after `exp`.
        const ENDS: bool = true;

        fn is_for(&self, audience: &Audience, issuer: &str) -> bool;
    }

    #[derive(Clone, Copy)]
    pub enum Signer {
        SigningKey,
        RootSecret,
    }

    pub trait Claims {
        fn common(&self) -> Common<'_>;
        fn is_whole(&self, unread: &Unread) -> bool;
    }

    /// The claims that every kind must have.
    pub struct Common<'c> {
        pub iss: &'c str,
        pub aud: &'c Audience,
        pub exp: i64,
        pub iat: i64,
        /// Whether `sub` and `jti` are not empty.
        pub named: bool,
    }
}
