//! The rules for registering and changing a client (RFC 7591 §2), by itself or by an operator.

use std::collections::BTreeSet;

use super::{
    client::{ApplicationType, AuthenticationMethod, Client},
    client_name,
    oauth::GrantType,
    pkce::Pkce,
    redirect_uri::{self, AppSchemes, NotARedirectUri, Purpose},
    scope::Scope,
    signing_key::SigningAlgorithm,
};

/// The scopes that have a meaning in Signet.
pub const SCOPES: [&str; 5] = ["openid", "profile", "email", "roles", "offline_access"];

/// The scopes that a self-registered client may have. They say who a user is; no service of the operator may take them
/// for a permission, as it may take `roles`.
pub const OPEN_SCOPES: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// The grants that a self-registered client may have.
pub const OPEN_GRANTS: [GrantType; 2] = [GrantType::AuthorizationCode, GrantType::RefreshToken];

/// The most URIs of one kind that a self-registered client may have.
const MOST_URIS: usize = 20;

/// The reason why a client cannot be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRegistrable {
    /// The id is that of a built-in client.
    #[error("the ids first-party and pages are built in; choose another one")]
    BuiltIn,
    /// The id is a URL, and the client is not one that a document describes.
    #[error("an https URL is the id of a client whose document is there; choose another id")]
    UrlAsId,
    /// A change of a client that a document describes.
    #[error("the document at the client's id says what the client is; it is changed there")]
    Document,
    /// No client with a document can have this id.
    #[error("only a client whose id is an https URL can be blocked; delete this one")]
    NoDocument,
    /// The name is not readable.
    #[error(
        "a name is 1 to 100 bytes with a letter or digit, words with single spaces between them, and no hidden characters"
    )]
    Name,
    /// The name of a self-registered client that people could take for another name.
    #[error("a name has letters of one script, digits, spaces and the punctuation of ASCII")]
    NameOfScripts,
    /// The name of the service, or of a client of the operator.
    #[error("the name is taken here; choose another one")]
    NameTaken,
    /// The client has no grant, so it could do nothing.
    #[error("a client needs a grant")]
    NoGrant,
    /// The password grant of a third-party client (RFC 9700 §2.4).
    #[error("the password grant is for first-party clients alone")]
    PasswordGrant,
    /// The grant of credentials for a client that has none.
    #[error("a public client has no credentials, and so not the grant client_credentials")]
    PublicCredentials,
    /// A public client without PKCE (RFC 9700 §2.1.1).
    #[error("a public client proves its codes by PKCE alone: pkce is required")]
    PublicPkce,
    /// The code flow without a URI that receives codes.
    #[error("the grant authorization_code needs a redirect URI")]
    NoRedirectUri,
    /// The value cannot be an `aud`.
    #[error(
        "an audience or resource is one name of 1 to 200 characters of printable ASCII, without spaces, * or #; name several one by one"
    )]
    Audience,
    /// A redirect URI that must receive neither codes nor users.
    #[error("{why}")]
    RedirectUri {
        uri: String,
        /// The rule that the URI breaks.
        why: NotARedirectUri,
    },
    /// A redirect URI that does not fit the kind of application (OIDC Registration §2, `application_type`).
    #[error(
        "a web application's redirect URIs are https; a native one's are https, http to a loopback host, or its own scheme"
    )]
    ApplicationType { uri: String },
    /// Another URI that cannot be used.
    #[error("{field}: {why}")]
    Uri {
        /// The member's name.
        field: &'static str,
        uri: String,
        /// The rule that the URI breaks.
        why: NotARedirectUri,
    },
    /// The client has no keys that verify its assertions.
    #[error("private_key_jwt needs the client's public keys, a JWK set by value")]
    NoKeys,
    /// A member of the metadata has a value that is not supported.
    #[error("{0} has a value that is not supported")]
    NotKnown(&'static str),
    /// A member of the metadata has a type that cannot be read.
    #[error("{member} must be {expected}")]
    WrongType {
        /// The member's name.
        member: &'static str,
        expected: &'static str,
    },
    /// A member of the metadata that Signet does not support.
    #[error("{0} is not supported")]
    NotTaken(&'static str),
    /// A property that only the operator can give.
    #[error("a client that registers itself has no {0}")]
    OperatorsOwn(&'static str),
}

impl NotRegistrable {
    /// Whether the reason concerns a redirect URI (RFC 7591 §3.2.2).
    #[must_use]
    pub fn is_about_redirects(&self) -> bool {
        match self {
            Self::NoRedirectUri
            | Self::RedirectUri { .. }
            | Self::ApplicationType { .. }
            | Self::WrongType { member: "redirect_uris", .. } => true,
            Self::BuiltIn
            | Self::UrlAsId
            | Self::Document
            | Self::NoDocument
            | Self::Name
            | Self::NameOfScripts
            | Self::NameTaken
            | Self::NoGrant
            | Self::PasswordGrant
            | Self::PublicCredentials
            | Self::PublicPkce
            | Self::Audience
            | Self::Uri { .. }
            | Self::NoKeys
            | Self::NotKnown(_)
            | Self::WrongType { .. }
            | Self::NotTaken(_)
            | Self::OperatorsOwn(_) => false,
        }
    }
}

/// Checks whether `client` can be registered.
///
/// # Errors
/// The first rule that the client breaks.
pub fn check(client: &Client) -> Result<(), NotRegistrable> {
    if client.id.is_built_in() {
        return Err(NotRegistrable::BuiltIn);
    }
    if client.id.is_url() && client.document.is_none() {
        return Err(NotRegistrable::UrlAsId);
    }
    if !client_name::is_readable(&client.name) {
        return Err(NotRegistrable::Name);
    }
    if client.grants.is_empty() {
        return Err(NotRegistrable::NoGrant);
    }
    if client.grants.contains(&GrantType::Password) && !client.first_party {
        return Err(NotRegistrable::PasswordGrant);
    }
    if client.grants.contains(&GrantType::ClientCredentials) && !client.is_confidential() {
        return Err(NotRegistrable::PublicCredentials);
    }
    if client.pkce == Pkce::Optional && !client.is_confidential() {
        return Err(NotRegistrable::PublicPkce);
    }
    if client.grants.contains(&GrantType::AuthorizationCode) && client.redirect_uris.is_empty() {
        return Err(NotRegistrable::NoRedirectUri);
    }
    if client.audiences.iter().chain(&client.resources).any(|name| !is_audience(name)) {
        return Err(NotRegistrable::Audience);
    }
    if client.authentication == AuthenticationMethod::PrivateKeyJwt && client.jwks.is_none() {
        return Err(NotRegistrable::NoKeys);
    }
    check_uris(client)?;
    if client.self_registered { check_self_registered(client) } else { Ok(()) }
}

fn check_uris(client: &Client) -> Result<(), NotRegistrable> {
    let schemes = match (client.is_confidential(), client.self_registered) {
        (true, _) => AppSchemes::None,
        (false, true) => AppSchemes::WithDotOrHost,
        (false, false) => AppSchemes::Any,
    };
    for uri in &client.redirect_uris {
        redirect_uri::check(uri, Purpose::Redirect, schemes)
            .map_err(|why| NotRegistrable::RedirectUri { uri: uri.clone(), why })?;
        if client.application_type == Some(ApplicationType::Web) && !redirect_uri::is_https(uri) {
            return Err(NotRegistrable::ApplicationType { uri: uri.clone() });
        }
    }
    for uri in &client.post_logout_redirect_uris {
        redirect_uri::check(uri, Purpose::PostLogout, schemes).map_err(|why| NotRegistrable::Uri {
            field: "post_logout_redirect_uris",
            uri: uri.clone(),
            why,
        })?;
    }
    // Signet itself calls this URI, so an app's own scheme is of no use.
    if let Some(uri) = &client.backchannel_logout_uri {
        redirect_uri::check(uri, Purpose::BackchannelLogout, AppSchemes::None).map_err(|why| NotRegistrable::Uri {
            field: "backchannel_logout_uri",
            uri: uri.clone(),
            why,
        })?;
    }
    Ok(())
}

/// Checks a client that a stranger registered, which belongs to a third party. Such a client learns who users are, by
/// way of their browsers, and nothing more. Only the operator registers URIs that Signet calls, and values that the
/// operator's services trust.
fn check_self_registered(client: &Client) -> Result<(), NotRegistrable> {
    let refused = [
        (client.first_party, "first-party rights"),
        (client.pkce == Pkce::Optional, "codes without PKCE"),
        (client.grants.iter().any(|grant| !OPEN_GRANTS.contains(grant)), "other grants than those of the code flow"),
        (!client.audiences.is_empty(), "audience"),
        (!client.resources.is_empty(), "resource"),
        (client.backchannel_logout_uri.is_some(), "backchannel_logout_uri"),
        (!client.scope.clone().without(&OPEN_SCOPES).is_empty(), "other scopes than those of OpenID Connect"),
        (client.redirect_uris.len() > MOST_URIS, "more than 20 redirect URIs"),
        (client.post_logout_redirect_uris.len() > MOST_URIS, "more than 20 post-logout redirect URIs"),
    ];
    if !client_name::is_plain(&client.name) {
        return Err(NotRegistrable::NameOfScripts);
    }
    match refused.into_iter().find(|(broken, _)| *broken) {
        Some((_, what)) => Err(NotRegistrable::OperatorsOwn(what)),
        None => Ok(()),
    }
}

/// Whether a token's `aud` can be this name. Names are compared whole, so a pattern, a list, or a fragment (RFC 8707 §2)
/// would never match.
fn is_audience(name: &str) -> bool {
    (1..=200).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_graphic())
        && !name.contains(['*', '#'])
        && name.matches("://").count() <= 1
}

/// The changes of a client; `None` keeps the old value. A list replaces the whole old list.
#[expect(clippy::option_option, reason = "an absent member keeps the value; `Some(None)` removes it")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revision {
    /// Its display name.
    pub name: Option<String>,
    /// The method by which the client authenticates.
    pub authentication: Option<AuthenticationMethod>,
    /// The grants that it may use.
    pub grants: Option<BTreeSet<GrantType>>,
    /// The widest scope that the client may request.
    pub scope: Option<Scope>,
    /// The `aud` values of the client as a resource server.
    pub audiences: Option<Vec<String>>,
    /// The resources for which the client may request tokens.
    pub resources: Option<Vec<String>>,
    /// Its redirect URIs, which receive codes.
    pub redirect_uris: Option<Vec<String>>,
    /// Its post-logout redirect URIs.
    pub post_logout_redirect_uris: Option<Vec<String>>,
    /// The URI that receives logout tokens.
    pub backchannel_logout_uri: Option<Option<String>>,
    /// The algorithm of its ID tokens.
    pub id_token_algorithm: Option<Option<SigningAlgorithm>>,
    /// Its public keys.
    pub jwks: Option<Option<String>>,
    /// Whether its codes need a challenge.
    pub pkce: Option<Pkce>,
    /// Whether the client belongs to the operator.
    pub first_party: Option<bool>,
}

impl Revision {
    /// Applies the changes to `client`. [`check`] decides whether the result can be registered.
    #[must_use]
    pub fn apply(self, client: Client) -> Client {
        Client {
            name: self.name.unwrap_or(client.name),
            authentication: self.authentication.unwrap_or(client.authentication),
            grants: self.grants.unwrap_or(client.grants),
            scope: self.scope.unwrap_or(client.scope),
            audiences: self.audiences.unwrap_or(client.audiences),
            resources: self.resources.unwrap_or(client.resources),
            redirect_uris: self.redirect_uris.unwrap_or(client.redirect_uris),
            post_logout_redirect_uris: self.post_logout_redirect_uris.unwrap_or(client.post_logout_redirect_uris),
            backchannel_logout_uri: self.backchannel_logout_uri.unwrap_or(client.backchannel_logout_uri),
            id_token_algorithm: self.id_token_algorithm.unwrap_or(client.id_token_algorithm),
            jwks: self.jwks.unwrap_or(client.jwks),
            pkce: self.pkce.unwrap_or(client.pkce),
            first_party: self.first_party.unwrap_or(client.first_party),
            id: client.id,
            application_type: client.application_type,
            self_registered: client.self_registered,
            document: client.document,
            blocked: client.blocked,
            created_at: client.created_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::ClientId;

    /// A client of the code flow.
    fn app() -> Client {
        Client {
            id: ClientId::parse("app").expect("an id"),
            name: "App".to_owned(),
            authentication: AuthenticationMethod::ClientSecretBasic,
            grants: OPEN_GRANTS.into(),
            scope: Scope::parse("openid email").expect("a scope"),
            redirect_uris: vec!["https://app.example/cb".to_owned()],
            first_party: false,
            ..Client::first_party()
        }
    }

    #[test]
    fn what_goes_together_is_registered() {
        assert_eq!(check(&app()), Ok(()));
        assert_eq!(check(&Client { self_registered: true, ..app() }), Ok(()));
        let native = Client {
            authentication: AuthenticationMethod::None,
            application_type: Some(ApplicationType::Native),
            redirect_uris: vec!["com.example.app:/cb".to_owned(), "http://127.0.0.1/cb".to_owned()],
            ..app()
        };
        assert_eq!(check(&native), Ok(()));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let grants = |grant| BTreeSet::from([grant]);
        let name = |name: &str| Client { name: name.to_owned(), ..app() };
        for (client, why) in [
            (Client { id: ClientId::pages(), ..app() }, NotRegistrable::BuiltIn),
            (name(""), NotRegistrable::Name),
            (name(&"x".repeat(101)), NotRegistrable::Name),
            (name("a\nb"), NotRegistrable::Name),
            (name("bank\u{202E}knab"), NotRegistrable::Name),
            (Client { grants: BTreeSet::new(), ..app() }, NotRegistrable::NoGrant),
            (Client { grants: grants(GrantType::Password), ..app() }, NotRegistrable::PasswordGrant),
            (
                Client {
                    grants: grants(GrantType::ClientCredentials),
                    authentication: AuthenticationMethod::None,
                    ..app()
                },
                NotRegistrable::PublicCredentials,
            ),
            (
                Client { pkce: Pkce::Optional, authentication: AuthenticationMethod::None, ..app() },
                NotRegistrable::PublicPkce,
            ),
            (Client { redirect_uris: vec![], ..app() }, NotRegistrable::NoRedirectUri),
            (Client { audiences: vec!["a b".to_owned()], ..app() }, NotRegistrable::Audience),
            (Client { resources: vec![String::new()], ..app() }, NotRegistrable::Audience),
            (Client { resources: vec!["https://a.example/*".to_owned()], ..app() }, NotRegistrable::Audience),
            (Client { resources: vec!["https://a.example/#x".to_owned()], ..app() }, NotRegistrable::Audience),
            (
                Client { resources: vec!["https://a.example,https://b.example".to_owned()], ..app() },
                NotRegistrable::Audience,
            ),
            (Client { authentication: AuthenticationMethod::PrivateKeyJwt, ..app() }, NotRegistrable::NoKeys),
        ] {
            assert_eq!(check(&client), Err(why), "{client:?}");
        }
    }

    #[test]
    fn every_kind_of_uri_is_judged() {
        let bad = || vec!["http://app.example/cb".to_owned()];
        for client in [
            Client { redirect_uris: bad(), ..app() },
            Client { post_logout_redirect_uris: bad(), ..app() },
            Client { backchannel_logout_uri: bad().pop(), ..app() },
            // Signet calls this URI, and no client listens at an app's own scheme.
            Client {
                authentication: AuthenticationMethod::None,
                backchannel_logout_uri: Some("com.example.app:/logout".to_owned()),
                ..app()
            },
        ] {
            let refused = check(&client);
            assert!(
                matches!(refused, Err(NotRegistrable::RedirectUri { .. } | NotRegistrable::Uri { .. })),
                "{refused:?}"
            );
        }
        let loopback = vec!["http://127.0.0.1:3000/cb".to_owned()];
        assert_eq!(check(&Client { redirect_uris: loopback.clone(), ..app() }), Ok(()));
        let web = Client { redirect_uris: loopback, application_type: Some(ApplicationType::Web), ..app() };
        assert!(matches!(check(&web), Err(NotRegistrable::ApplicationType { .. })));
    }

    #[test]
    fn who_registers_itself_is_a_third_party() {
        let own = |client: Client| Client { self_registered: true, ..client };
        let many = vec!["https://app.example/cb".to_owned(); MOST_URIS + 1];
        for client in [
            Client { first_party: true, ..app() },
            Client { first_party: true, grants: [GrantType::Password].into(), ..app() },
            Client { grants: [GrantType::ClientCredentials].into(), ..app() },
            Client { audiences: vec!["https://api.example".to_owned()], ..app() },
            Client { resources: vec!["https://api.example".to_owned()], ..app() },
            Client { scope: Scope::parse("openid admin").expect("a scope"), ..app() },
            Client { scope: Scope::parse("openid roles").expect("a scope"), ..app() },
            Client { pkce: Pkce::Optional, ..app() },
            Client { backchannel_logout_uri: Some("https://10.0.0.1/".to_owned()), ..app() },
            Client { redirect_uris: many.clone(), ..app() },
            Client { post_logout_redirect_uris: many, ..app() },
        ] {
            assert_eq!(check(&client), Ok(()), "the operator may: {client:?}");
            let refused = check(&own(client));
            assert!(matches!(refused, Err(NotRegistrable::OperatorsOwn(_))), "{refused:?}");
        }
    }

    #[test]
    fn a_revision_changes_what_it_names_and_nothing_else() {
        assert_eq!(Revision::default().apply(app()), app());
        let keys = Client { jwks: Some("{}".to_owned()), ..app() };
        let revision = Revision { jwks: Some(None), audiences: Some(vec![]), ..Revision::default() };
        assert_eq!(revision.apply(keys), app());
    }
}
