//! Client metadata (RFC 7591 §2, OIDC Registration §2): how a client describes itself when it registers itself.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{
    client::{ApplicationType, AuthenticationMethod, Client},
    client_assertion,
    client_registration::{NotRegistrable, OPEN_GRANTS, OPEN_SCOPES},
    ids::ClientId,
    oauth::GrantType,
    scope::Scope,
    signing_key::SigningAlgorithm,
};

/// The metadata, with the member names of the standards. `None` means that a member is missing or `null`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct ClientMetadata {
    /// The redirect URIs, which receive codes.
    pub redirect_uris: Option<Vec<String>>,
    /// The method by which the client authenticates.
    pub token_endpoint_auth_method: Option<String>,
    /// The algorithm that signs the client's assertions; its keys name the algorithm too.
    pub token_endpoint_auth_signing_alg: Option<String>,
    /// The grants that it will use.
    pub grant_types: Option<Vec<String>>,
    /// The response types that it will use.
    pub response_types: Option<Vec<String>>,
    /// Its display name.
    pub client_name: Option<String>,
    /// The scope that the client may request.
    pub scope: Option<String>,
    /// Its public keys, as JSON.
    #[serde(default, deserialize_with = "json_text")]
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
    #[serde(flatten, deserialize_with = "asking")]
    pub others: BTreeSet<String>,
}

fn json_text<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Value>::deserialize(input)?.map(|value| value.to_string()))
}

fn asking<'de, D: Deserializer<'de>>(input: D) -> Result<BTreeSet<String>, D::Error> {
    Map::deserialize(input).map(names_asking)
}

/// The names of the members whose value means more than that the member is not wanted.
#[must_use]
pub fn names_asking(members: Map<String, Value>) -> BTreeSet<String> {
    let asks = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::Object(_) => true,
    };
    members.into_iter().filter(|(_, value)| asks(value)).map(|(name, _)| name).collect()
}

/// Members that Signet refuses, so that no client relies on them. Signet ignores other unknown members (RFC 7591 §2)
/// and leaves them out of the answer.
const NOT_TAKEN: [&str; 19] = [
    // Of what a stranger names, Signet fetches only the document that is a client's id.
    "jwks_uri",
    "sector_identifier_uri",
    "backchannel_logout_uri",
    "software_statement",
    // The client would wait for something that Signet does not make, or believe itself safer than it is.
    "id_token_encrypted_response_alg",
    "id_token_encrypted_response_enc",
    "userinfo_signed_response_alg",
    "userinfo_encrypted_response_alg",
    "userinfo_encrypted_response_enc",
    "request_object_signing_alg",
    "request_object_encryption_alg",
    "request_object_encryption_enc",
    "require_signed_request_object",
    "require_pushed_authorization_requests",
    "tls_client_certificate_bound_access_tokens",
    "dpop_bound_access_tokens",
    "introspection_signed_response_alg",
    "authorization_signed_response_alg",
    // Users would be asked for their passwords less often than the client believes.
    "default_max_age",
];

impl ClientMetadata {
    /// The client that this metadata describes, with the defaults of RFC 7591 §2 for missing members.
    ///
    /// Grants, response types, scopes and methods that such a client cannot have are left out, and the answer says so
    /// (§3.2.1). If none is left, the client gets the default. A client that does not use codes is refused.
    ///
    /// [`super::client_registration::check`] decides whether the client can be registered.
    ///
    /// # Errors
    /// [`NotRegistrable`] for values that are not supported.
    pub fn client(self, id: ClientId, now: DateTime<Utc>) -> Result<Client, NotRegistrable> {
        if let Some(name) = NOT_TAKEN.into_iter().find(|name| self.others.contains(*name)) {
            return Err(NotRegistrable::NotTaken(name));
        }
        let authentication = self.token_endpoint_auth_method.as_deref().and_then(AuthenticationMethod::parse);
        let authentication = authentication.unwrap_or(AuthenticationMethod::ClientSecret);
        if let Some(alg) = self.token_endpoint_auth_signing_alg.as_deref()
            && authentication == AuthenticationMethod::PrivateKeyJwt
        {
            let own = client_assertion::ALGORITHMS.contains(&alg).then_some(());
            known("token_endpoint_auth_signing_alg", own)?;
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
        let id_token_algorithm = match self.id_token_signed_response_alg.as_deref() {
            None => None,
            Some(name) => Some(known("id_token_signed_response_alg", SigningAlgorithm::parse(name))?),
        };
        let redirect_uris = self.redirect_uris.unwrap_or_default();
        let application_type = match self.application_type.as_deref().and_then(ApplicationType::parse) {
            Some(kind) => kind,
            // RFC 7591 does not define this member, and many native clients follow RFC 7591 alone.
            None if redirect_uris.iter().all(|uri| uri.starts_with("https://")) => ApplicationType::Web,
            None => ApplicationType::Native,
        };
        Ok(Client {
            name: self.client_name.unwrap_or_else(|| id.as_str().to_owned()),
            id,
            authentication,
            scope: scope(self.scope.as_deref(), &grants)?,
            grants,
            redirect_uris,
            post_logout_redirect_uris: self.post_logout_redirect_uris.unwrap_or_default(),
            id_token_algorithm,
            jwks: self.jwks,
            first_party: false,
            application_type: Some(application_type),
            self_registered: true,
            created_at: now,
            ..Client::first_party()
        })
    }
}

/// The value that was read, or the error that the member `name` has a value that is not supported.
fn known<T>(name: &'static str, read: Option<T>) -> Result<T, NotRegistrable> {
    read.ok_or(NotRegistrable::NotKnown(name))
}

fn scope(asked: Option<&str>, grants: &BTreeSet<GrantType>) -> Result<Scope, NotRegistrable> {
    let open = Scope::parse(&OPEN_SCOPES.join(" ")).unwrap_or_default();
    let asked = Scope::parse(asked.unwrap_or_default()).map_err(|_| NotRegistrable::NotKnown("scope"))?.within(&open);
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
            (
                ClientMetadata {
                    token_endpoint_auth_method: Some("private_key_jwt".into()),
                    token_endpoint_auth_signing_alg: Some("HS256".into()),
                    ..app()
                },
                "token_endpoint_auth_signing_alg",
            ),
            (ClientMetadata { grant_types: Some(words(&["password", "client_credentials"])), ..app() }, "grant_types"),
            (ClientMetadata { grant_types: Some(words(&["refresh_token"])), ..app() }, "grant_types"),
            (ClientMetadata { grant_types: Some(words(&[])), ..app() }, "grant_types"),
            (ClientMetadata { response_types: Some(words(&["token"])), ..app() }, "response_types"),
            (ClientMetadata { response_types: Some(words(&[])), ..app() }, "response_types"),
            (ClientMetadata { subject_type: Some("pairwise".into()), ..app() }, "subject_type"),
            (
                ClientMetadata { id_token_signed_response_alg: Some("none".into()), ..app() },
                "id_token_signed_response_alg",
            ),
            (ClientMetadata { scope: Some("a\"b".into()), ..app() }, "scope"),
        ] {
            assert_eq!(registered(metadata).err(), Some(NotRegistrable::NotKnown(member)));
        }
        for name in NOT_TAKEN {
            let metadata = ClientMetadata { others: [name.to_owned()].into(), ..app() };
            assert_eq!(registered(metadata).err(), Some(NotRegistrable::NotTaken(name)));
        }
        let unknown = ClientMetadata { others: ["logo_uri".to_owned()].into(), ..app() };
        assert!(registered(unknown).is_ok(), "what means nothing to us is passed over");
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
}
