//! OAuth clients and what each may do.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{ids::ClientId, oauth::GrantType, pkce::Pkce, redirect_uri, scope::Scope, signing_key::SigningAlgorithm};

/// How a client authenticates at the token endpoint (OIDC Core §9, RFC 8414 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthenticationMethod {
    /// Its secret in the `Authorization` field or in the form: it registered neither method.
    ClientSecret,
    /// Its secret in the `Authorization` field (RFC 6749 §2.3.1).
    ClientSecretBasic,
    /// Its secret in the form (RFC 6749 §2.3.1).
    ClientSecretPost,
    /// A JWT under its own key (RFC 7523).
    PrivateKeyJwt,
    /// No authentication: a public client.
    None,
}

impl AuthenticationMethod {
    const CLIENT_SECRET: &str = "client_secret";
    /// Every method that a client can register by name.
    pub const ALL: [Self; 4] = [Self::ClientSecretBasic, Self::ClientSecretPost, Self::PrivateKeyJwt, Self::None];

    /// The method as metadata names it; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == text)
    }

    /// The method as the database stores it.
    #[must_use]
    pub fn stored(self) -> &'static str {
        if self == Self::ClientSecret { Self::CLIENT_SECRET } else { self.as_str() }
    }

    /// Parses the result of [`Self::stored`].
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        if text == Self::CLIENT_SECRET { Some(Self::ClientSecret) } else { Self::parse(text) }
    }

    /// Whether a client that registered this method may send its secret by `method`; [`Self::ClientSecret`] stands for a
    /// secret that came both ways.
    #[must_use]
    pub fn takes(self, method: Self) -> bool {
        let by_secret = |method| matches!(method, Self::ClientSecretBasic | Self::ClientSecretPost);
        self == method
            || (self == Self::ClientSecret && by_secret(method))
            || (method == Self::ClientSecret && by_secret(self))
    }

    /// The method's name in metadata; the default of RFC 7591 §2 if the client registered none.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecret | Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::None => "none",
        }
    }
}

/// The application type of a client (OIDC Registration §2). It decides which redirect URIs are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplicationType {
    /// An application on a server or in a browser.
    Web,
    /// An application on a user's device (RFC 8252).
    Native,
}

impl ApplicationType {
    /// The type as metadata names it; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Web, Self::Native].into_iter().find(|kind| kind.as_str() == text)
    }

    /// The type's name in metadata.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Native => "native",
        }
    }
}

/// The dates of a client's document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentDates {
    pub fetched_at: DateTime<Utc>,
    /// Until when it is used without being fetched again.
    pub fresh_until: DateTime<Utc>,
}

/// A registered client (RFC 7591 §2), or the built-in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    pub id: ClientId,
    /// Its display name.
    pub name: String,
    /// How it authenticates.
    pub authentication: AuthenticationMethod,
    /// The grants that it may use.
    pub grants: BTreeSet<GrantType>,
    /// The widest scope that the client may request; also its default scope.
    pub scope: Scope,
    /// As a resource server: the `aud` values of tokens that it may introspect.
    pub audiences: Vec<String>,
    /// The resources for which it may request tokens (RFC 8707).
    pub resources: Vec<String>,
    /// Its redirect URIs, compared byte for byte.
    pub redirect_uris: Vec<String>,
    /// Its post-logout redirect URIs, compared byte for byte.
    pub post_logout_redirect_uris: Vec<String>,
    /// The URI that receives logout tokens (OIDC Back-Channel Logout 1.0).
    pub backchannel_logout_uri: Option<String>,
    /// The algorithm of its ID tokens, if the client chose one.
    pub id_token_algorithm: Option<SigningAlgorithm>,
    /// Its public keys, a JWK set by value (`private_key_jwt`).
    pub jwks: Option<String>,
    /// Whether its codes need a challenge (RFC 7636).
    pub pkce: Pkce,
    /// Whether the client belongs to the operator: then it may use the password grant, and its users' tokens open
    /// `/v1`.
    pub first_party: bool,
    /// Its application type, if it declared one.
    pub application_type: Option<ApplicationType>,
    /// Whether it registered itself (RFC 7591) or is described by a document of its own, so that its owner is unknown.
    pub self_registered: bool,
    /// The dates of the document that describes it, if its id is the URL of one.
    pub document: Option<DocumentDates>,
    /// Whether the operator refuses it, although a document describes it.
    pub blocked: bool,
    pub created_at: DateTime<Utc>,
}

impl Client {
    /// The built-in public first-party client, which has no row.
    #[must_use]
    pub fn first_party() -> Self {
        Self {
            id: ClientId::first_party(),
            name: "First party".to_owned(),
            authentication: AuthenticationMethod::None,
            grants: BTreeSet::from([GrantType::Password, GrantType::RefreshToken]),
            scope: Scope::parse("openid profile email offline_access").unwrap_or_default(),
            audiences: Vec::new(),
            resources: Vec::new(),
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            backchannel_logout_uri: None,
            id_token_algorithm: None,
            jwks: None,
            pkce: Pkce::Required,
            first_party: true,
            application_type: None,
            self_registered: false,
            document: None,
            blocked: false,
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    /// Whether it can keep a secret (RFC 6749 §2.1).
    #[must_use]
    pub fn is_confidential(&self) -> bool {
        self.authentication != AuthenticationMethod::None
    }

    /// Whether an authorization request may name this redirect URI.
    #[must_use]
    pub fn may_redirect_to(&self, uri: &str) -> bool {
        redirect_uri::is_registered(&self.redirect_uris, uri)
            || (self.document.is_some() && redirect_uri::is_on_any_port_of_localhost(&self.redirect_uris, uri))
    }

    /// Its one redirect URI: a request may leave out what is never another (RFC 6749 §3.1.2.3). `None` if it has several.
    #[must_use]
    pub fn only_redirect_uri(&self) -> Option<&str> {
        if let [only] = &self.redirect_uris[..] { Some(only) } else { None }
    }

    /// Whether nobody vouches for it: it registered itself, or a document of its own describes it.
    #[must_use]
    pub fn is_unvouched(&self) -> bool {
        self.self_registered || self.document.is_some()
    }

    /// Its name as people see it. A document's host is all that is certain of the client, so it stands beside.
    #[must_use]
    pub fn shown_name(&self) -> String {
        self.id.host().map_or_else(|| self.name.clone(), |host| format!("{} ({host})", self.name))
    }

    /// Whether two clients are the same to their users and to us: all is equal but the dates.
    #[must_use]
    pub fn is_described_as(&self, other: &Self) -> bool {
        let dateless = |client: &Self| Self { document: None, created_at: DateTime::UNIX_EPOCH, ..client.clone() };
        dateless(self) == dateless(other)
    }

    /// Whether it authenticates with a secret that Signet issued.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        matches!(
            self.authentication,
            AuthenticationMethod::ClientSecret
                | AuthenticationMethod::ClientSecretBasic
                | AuthenticationMethod::ClientSecretPost
        )
    }

    /// The algorithm of its ID tokens: the one that every client can verify, unless it chose another (OIDC Registration
    /// §2).
    #[must_use]
    pub fn id_token_algorithm(&self) -> SigningAlgorithm {
        self.id_token_algorithm.unwrap_or(SigningAlgorithm::RS256)
    }

    /// Whether it can get an ID token.
    #[must_use]
    pub fn is_relying_party(&self) -> bool {
        self.may_use(GrantType::AuthorizationCode) && self.scope.contains("openid")
    }

    /// Whether it may use `grant`. The password grant needs more than registration: the client must be first-party
    /// now (RFC 9700 §2.4).
    #[must_use]
    pub fn may_use(&self, grant: GrantType) -> bool {
        self.grants.contains(&grant) && (grant != GrantType::Password || self.first_party)
    }
}
