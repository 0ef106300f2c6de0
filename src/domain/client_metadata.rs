//! Client metadata (RFC 7591 §2, OIDC Registration §2): how a client describes itself when it registers itself.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{
    client::{ApplicationType, AuthenticationMethod, Client},
    client_members::Members,
    client_name,
    client_registration::{NotRegistrable, OPEN_GRANTS, OPEN_SCOPES},
    ids::ClientId,
    oauth::GrantType,
    redirect_uri,
    scope::Scope,
    signing_key::SigningAlgorithm,
};

/// The metadata, with the member names of the standards. `None` means that a member is not given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientMetadata {
    /// The redirect URIs, which receive codes.
    pub redirect_uris: Option<Vec<String>>,
    /// The method by which the client authenticates.
    pub token_endpoint_auth_method: Option<String>,
    /// The grants that it will use.
    pub grant_types: Option<Vec<String>>,
    /// The response types that it will use.
    pub response_types: Option<Vec<String>>,
    /// Its display name.
    pub client_name: Option<String>,
    /// The scope that the client may request.
    pub scope: Option<String>,
    /// Its public keys, as JSON.
    pub jwks: Option<String>,
    /// `web` or `native`.
    pub application_type: Option<String>,
    /// `public`, the only supported value.
    pub subject_type: Option<String>,
    /// The algorithm of its ID tokens.
    pub id_token_signed_response_alg: Option<String>,
    /// Its post-logout redirect URIs.
    pub post_logout_redirect_uris: Option<Vec<String>>,
    /// The names of the other members that have a value.
    pub others: BTreeSet<String>,
}

/// Truth values that Signet refuses if they are true: the client would believe itself safer than it is.
const FLAGS_NOT_TAKEN: [&str; 4] = [
    "require_signed_request_object",
    "require_pushed_authorization_requests",
    "tls_client_certificate_bound_access_tokens",
    "dpop_bound_access_tokens",
];

/// Other members that Signet refuses, so that no client relies on them.
///
/// Signet passes over all other members that it does not know (RFC 7591 §2), and leaves them out of the answer: a client
/// reads there that its answers and request objects are not signed, and that the software statement was not taken
/// (§2.3, §3.2.1).
const NOT_TAKEN: [&str; 6] = [
    // Of what a stranger names, Signet fetches only the document that is a client's id.
    "backchannel_logout_uri",
    // The client would believe that only it can read the answers.
    "id_token_encrypted_response_alg",
    "id_token_encrypted_response_enc",
    "userinfo_encrypted_response_alg",
    "userinfo_encrypted_response_enc",
    // Users would be asked for their passwords less often than the client believes.
    "default_max_age",
];

/// Keys by reference, which Signet does not fetch. They matter only to a client that authenticates with them.
pub const JWKS_URI: &str = "jwks_uri";

impl ClientMetadata {
    /// Reads the metadata from JSON.
    ///
    /// # Errors
    /// [`NotRegistrable`] for a member of another type than its own.
    pub fn read(mut members: Members) -> Result<Self, NotRegistrable> {
        let mut others = BTreeSet::new();
        for name in FLAGS_NOT_TAKEN {
            if members.flag(name)? {
                others.insert(name.to_owned());
            }
        }
        Ok(Self {
            redirect_uris: members.list("redirect_uris")?,
            token_endpoint_auth_method: members.text("token_endpoint_auth_method")?,
            grant_types: members.list("grant_types")?,
            response_types: members.list("response_types")?,
            client_name: members.text("client_name")?,
            scope: members.words("scope")?,
            jwks: members.json("jwks"),
            application_type: members.text("application_type")?,
            subject_type: members.text("subject_type")?,
            id_token_signed_response_alg: members.text("id_token_signed_response_alg")?,
            post_logout_redirect_uris: members.list("post_logout_redirect_uris")?,
            others: {
                others.extend(members.names_asking());
                others
            },
        })
    }

    /// The client that this metadata describes, with the defaults of RFC 7591 §2 for missing members.
    ///
    /// Grants, response types, scopes, methods and algorithms that such a client cannot have are left out, and the answer
    /// says so (§3.2.1). If none is left, the client gets the default. A client that does not use codes is refused.
    ///
    /// A client that names no method and that people run on their own devices is public: it cannot keep a secret (RFC
    /// 8252 §8.4).
    ///
    /// [`super::client_registration::check`] decides whether the client can be registered.
    ///
    /// # Errors
    /// [`NotRegistrable`] for values that are not supported.
    pub fn client(self, id: ClientId, now: DateTime<Utc>) -> Result<Client, NotRegistrable> {
        if let Some(name) = NOT_TAKEN.into_iter().chain(FLAGS_NOT_TAKEN).find(|name| self.others.contains(*name)) {
            return Err(NotRegistrable::NotTaken(name));
        }
        let redirect_uris = self.redirect_uris.unwrap_or_default();
        let authentication = match self.token_endpoint_auth_method.as_deref() {
            Some(name) => AuthenticationMethod::parse(name).unwrap_or(AuthenticationMethod::ClientSecret),
            None if is_app_on_a_device(&redirect_uris) => AuthenticationMethod::None,
            None => AuthenticationMethod::ClientSecret,
        };
        // Others have no use for keys.
        let jwks = self.jwks.filter(|_| authentication == AuthenticationMethod::PrivateKeyJwt);
        if authentication == AuthenticationMethod::PrivateKeyJwt && jwks.is_none() && self.others.contains(JWKS_URI) {
            return Err(NotRegistrable::NotTaken(JWKS_URI));
        }
        let grants: BTreeSet<GrantType> = match &self.grant_types {
            None => [GrantType::AuthorizationCode].into(),
            Some(names) => {
                let known = names.iter().filter_map(|name| GrantType::parse(name));
                known.filter(|grant| OPEN_GRANTS.contains(grant)).collect()
            }
        };
        let code = |types: &Vec<String>| types.iter().any(|name| name == "code");
        known("response_types", self.response_types.as_ref().is_none_or(code).then_some(()))?;
        // Everything else that such a client gets begins with a code (RFC 7591 §2.1).
        known("grant_types", grants.contains(&GrantType::AuthorizationCode).then_some(()))?;
        known("subject_type", self.subject_type.as_deref().is_none_or(|kind| kind == "public").then_some(()))?;
        // Never `none`: an algorithm that Signet does not sign with is replaced by the default.
        let id_token_algorithm = self.id_token_signed_response_alg.as_deref().and_then(SigningAlgorithm::parse);
        let application_type = match self.application_type.as_deref().and_then(ApplicationType::parse) {
            Some(kind) => kind,
            // RFC 7591 does not define this member, and many native clients follow RFC 7591 alone.
            None if redirect_uris.iter().all(|uri| redirect_uri::is_https(uri)) => ApplicationType::Web,
            None => ApplicationType::Native,
        };
        Ok(Client {
            name: self
                .client_name
                .as_deref()
                .and_then(client_name::undecorated)
                .unwrap_or_else(|| id.as_str().to_owned()),
            id,
            authentication,
            scope: scope(self.scope.as_deref(), &grants)?,
            grants,
            redirect_uris,
            post_logout_redirect_uris: self.post_logout_redirect_uris.unwrap_or_default(),
            id_token_algorithm,
            jwks,
            first_party: false,
            application_type: Some(application_type),
            self_registered: true,
            created_at: now,
            ..Client::first_party()
        })
    }
}

/// Whether every redirect URI is on the person's own device, or one is an app's own scheme, which no client with a secret
/// has.
fn is_app_on_a_device(redirect_uris: &[String]) -> bool {
    let is_apps_own = |uri: &String| {
        let scheme = uri.split(':').next().unwrap_or_default();
        !["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web))
    };
    let on_device = redirect_uris.iter().all(|uri| redirect_uri::is_on_device(uri));
    !redirect_uris.is_empty() && (on_device || redirect_uris.iter().any(is_apps_own))
}

/// The value that was read, or the error that the member `name` has a value that is not supported.
fn known<T>(name: &'static str, read: Option<T>) -> Result<T, NotRegistrable> {
    read.ok_or(NotRegistrable::NotKnown(name))
}

fn scope(asked: Option<&str>, grants: &BTreeSet<GrantType>) -> Result<Scope, NotRegistrable> {
    let open = Scope::parse(&OPEN_SCOPES.join(" ")).unwrap_or_default();
    let asked = Scope::parse_within(asked.unwrap_or_default(), &open).map_err(|_| NotRegistrable::NotKnown("scope"))?;
    if !asked.is_empty() {
        return Ok(asked);
    }
    Ok(if grants.contains(&GrantType::RefreshToken) { open } else { open.without(&["offline_access"]) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::client_registration::check;

    fn registered(metadata: ClientMetadata) -> Result<Client, NotRegistrable> {
        let client = metadata.client(ClientId::parse("c-1").expect("an id"), DateTime::UNIX_EPOCH)?;
        check(&client).map(|()| client)
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn app() -> ClientMetadata {
        ClientMetadata { redirect_uris: Some(words(&["https://app.example/cb"])), ..ClientMetadata::default() }
    }

    #[test]
    fn what_is_left_out_is_as_the_rfc_has_it() {
        let client = registered(app()).expect("good");
        assert_eq!(client.authentication, AuthenticationMethod::ClientSecret);
        assert_eq!(client.grants, [GrantType::AuthorizationCode].into());
        assert_eq!((client.name.as_str(), client.scope.to_string().as_str()), ("c-1", "openid profile email"));
        assert_eq!((client.application_type, client.id_token_algorithm), (Some(ApplicationType::Web), None));
        assert!(client.self_registered && !client.first_party && client.resources.is_empty());
    }

    #[test]
    fn words_that_are_not_known_here_are_refused() {
        for (metadata, member) in [
            (ClientMetadata { grant_types: Some(words(&["password", "client_credentials"])), ..app() }, "grant_types"),
            (ClientMetadata { grant_types: Some(words(&["refresh_token"])), ..app() }, "grant_types"),
            (ClientMetadata { response_types: Some(words(&["token"])), ..app() }, "response_types"),
            (ClientMetadata { subject_type: Some("pairwise".into()), ..app() }, "subject_type"),
            (ClientMetadata { scope: Some("a\"b".into()), ..app() }, "scope"),
        ] {
            assert_eq!(registered(metadata).err(), Some(NotRegistrable::NotKnown(member)));
        }
        for name in NOT_TAKEN.into_iter().chain(FLAGS_NOT_TAKEN) {
            let metadata = ClientMetadata { others: [name.to_owned()].into(), ..app() };
            assert_eq!(registered(metadata).err(), Some(NotRegistrable::NotTaken(name)));
        }
        for name in
            ["logo_uri", "software_statement", "sector_identifier_uri", "userinfo_signed_response_alg", JWKS_URI]
        {
            let unknown = ClientMetadata { others: [name.to_owned()].into(), ..app() };
            assert!(registered(unknown).is_ok(), "{name} changes nothing");
        }
        let by_reference = ClientMetadata {
            token_endpoint_auth_method: Some("private_key_jwt".into()),
            others: [JWKS_URI.to_owned()].into(),
            ..app()
        };
        assert_eq!(registered(by_reference).err(), Some(NotRegistrable::NotTaken(JWKS_URI)));
    }

    #[test]
    fn what_cannot_be_had_is_left_away() {
        for grant in ["password", "client_credentials", "implicit", "urn:ietf:params:oauth:grant-type:device_code"] {
            let names = words(&["refresh_token", grant, "authorization_code"]);
            let client = registered(ClientMetadata { grant_types: Some(names), ..app() }).expect("good");
            assert_eq!(client.grants, OPEN_GRANTS.into(), "{grant}");
        }
        for (asked, given) in [
            ("openid admin email", "openid email"),
            ("openid  roles", "openid"),
            ("claudeai", "openid profile email"),
            ("", "openid profile email"),
        ] {
            let client = registered(ClientMetadata { scope: Some(asked.into()), ..app() }).expect("good");
            assert_eq!(client.scope.to_string(), given, "{asked}");
        }
        for name in ["tls_client_auth", "client_secret_jwt"] {
            let metadata = ClientMetadata { token_endpoint_auth_method: Some(name.into()), ..app() };
            assert_eq!(registered(metadata).expect("good").authentication, AuthenticationMethod::ClientSecret);
        }
        for alg in ["none", "HS256", "ES512", "RSA-OAEP"] {
            let metadata = ClientMetadata { id_token_signed_response_alg: Some(alg.into()), ..app() };
            assert_eq!(registered(metadata).expect("good").id_token_algorithm(), SigningAlgorithm::RS256, "{alg}");
        }
        let keys = ClientMetadata { jwks: Some("no keys".into()), ..app() };
        assert_eq!(registered(keys).expect("good").jwks, None);
        let hybrid = ClientMetadata { response_types: Some(words(&["code id_token", "code"])), ..app() };
        assert!(registered(hybrid).is_ok());
        let browser = ClientMetadata { application_type: Some("browser".into()), ..app() };
        assert_eq!(registered(browser).expect("good").application_type, Some(ApplicationType::Web));
    }

    #[test]
    fn a_native_client_need_not_say_that_it_is_one() {
        let native = |uri: &str, kind: Option<&str>| {
            registered(ClientMetadata {
                redirect_uris: Some(words(&[uri])),
                token_endpoint_auth_method: Some("none".into()),
                application_type: kind.map(str::to_owned),
                ..ClientMetadata::default()
            })
        };
        for uri in ["http://127.0.0.1:4711/cb", "http://localhost/cb", "com.example.app:/cb"] {
            let client = native(uri, None).expect("good");
            assert_eq!(client.application_type, Some(ApplicationType::Native), "{uri}");
            assert!(native(uri, Some("web")).is_err(), "{uri}");
        }
        assert!(native("cursor://anysphere.cursor-mcp/oauth/callback", None).is_ok());
        assert!(native("http://app.example/cb", None).is_err());
    }

    #[test]
    fn a_client_without_a_method_is_public_where_it_cannot_keep_a_secret() {
        for (uris, public) in [
            (&["http://127.0.0.1/cb"][..], true),
            (&["http://localhost:6274/oauth/callback", "http://[::1]/cb"], true),
            (&["com.example.app:/cb"], true),
            (&["cursor://anysphere.cursor-mcp/cb", "https://www.cursor.com/cb"], true),
            (&["https://app.example/cb"], false),
            (&["HTTPS://App.Example/cb"], false),
            (&["https://vscode.dev/redirect", "http://127.0.0.1/"], false),
        ] {
            let metadata = |method: Option<&str>| ClientMetadata {
                redirect_uris: Some(words(uris)),
                token_endpoint_auth_method: method.map(str::to_owned),
                ..ClientMetadata::default()
            };
            let client = registered(metadata(None)).expect("good");
            assert_eq!(client.is_confidential(), !public, "{uris:?}");
            if let Ok(client) = registered(metadata(Some("client_secret_post"))) {
                assert_eq!(client.authentication, AuthenticationMethod::ClientSecretPost, "{uris:?}");
            }
        }
    }
}
