//! Client ID Metadata Documents (draft-ietf-oauth-client-id-metadata-document): a client whose id is an https URL, and
//! whose metadata is the JSON document at that URL.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{
    client::{AuthenticationMethod, Client, DocumentDates},
    client_members::Members,
    client_metadata::{ClientMetadata, JWKS_URI},
    client_name,
    client_registration::NotRegistrable,
    ids::ClientId,
};

/// The longest document, in bytes. The draft advises 5 kB (§6.6), and JWK sets make some longer.
pub const MAX_LENGTH: usize = 64 * 1024;

/// Why a document does not describe a client. The texts are for the developer of the app.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAClientDocument {
    #[error("it is not a JSON object with each member once")]
    NotJson,
    /// `client_id` is missing or not the URL (§4.1): a copy of another client's document.
    #[error("its client_id is not the URL that it was fetched from, character for character")]
    ClientId,
    /// Nobody could have told the client a secret (§4.1).
    #[error("it has a client_secret; a client with a document has none")]
    Secret,
    #[error("its token_endpoint_auth_method is neither none nor private_key_jwt")]
    Method,
    #[error("it has no redirect_uris")]
    NoRedirectUris,
    #[error("its jwks_uri is not read; put the public keys into jwks")]
    JwksUri,
    #[error("{0}")]
    Metadata(#[from] NotRegistrable),
}

/// Reads the document of `id`, which was fetched at `now` and is fresh for `lifetime`.
///
/// Grants, response types and scopes are narrowed as for clients that register themselves. A client without a method is
/// public, and one without a name has that of its host. [`super::client_registration::check`] decides whether the client
/// is admitted.
///
/// # Errors
/// [`NotAClientDocument`].
pub fn read(id: &ClientId, body: &[u8], now: DateTime<Utc>, lifetime: TimeDelta) -> Result<Client, NotAClientDocument> {
    let text = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    let mut members: Members = serde_json::from_slice(text).map_err(|_| NotAClientDocument::NotJson)?;
    // Simple string comparison (RFC 3986 §6.2.1).
    if members.take("client_id").as_ref().and_then(Value::as_str) != Some(id.as_str()) {
        return Err(NotAClientDocument::ClientId);
    }
    if members.take("client_secret").is_some() || members.take("client_secret_expires_at").is_some() {
        return Err(NotAClientDocument::Secret);
    }
    let mut metadata = ClientMetadata::read(members)?;
    let none = AuthenticationMethod::None.as_str();
    let method = metadata.token_endpoint_auth_method.get_or_insert_with(|| none.to_owned()).as_str();
    let has_keys = method == AuthenticationMethod::PrivateKeyJwt.as_str();
    if method != none && !has_keys {
        return Err(NotAClientDocument::Method);
    }
    if metadata.redirect_uris.as_ref().is_none_or(Vec::is_empty) {
        return Err(NotAClientDocument::NoRedirectUris);
    }
    if has_keys && metadata.jwks.is_none() && metadata.others.contains(JWKS_URI) {
        return Err(NotAClientDocument::JwksUri);
    }
    metadata.client_name = metadata.client_name.as_deref().and_then(client_name::undecorated).or_else(|| id.host());
    let dates = DocumentDates { fetched_at: now, fresh_until: now + lifetime };
    Ok(Client { document: Some(dates), ..metadata.client(id.clone(), now)? })
}

/// How long a document is fresh that says nothing about it.
const USUAL: TimeDelta = TimeDelta::hours(1);
/// The shortest and the longest time that a document is fresh: it is neither fetched for each request, nor kept after
/// everybody has forgotten it.
const SHORTEST: TimeDelta = TimeDelta::minutes(1);
const LONGEST: TimeDelta = TimeDelta::hours(24);

/// How long a document with these `Cache-Control` fields is fresh (RFC 9111 §5.2.2).
#[must_use]
pub fn lifetime<'a>(cache_control: impl IntoIterator<Item = &'a str>) -> TimeDelta {
    let directives = cache_control.into_iter().flat_map(|field| field.split(','));
    let mut lifetime = USUAL;
    for directive in directives {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return SHORTEST,
            "max-age" => {
                let digits = value.trim().trim_matches('"');
                // A number that does not fit is a long time (§1.2.2); what is no number is stale (§4.2.1).
                let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                let seconds = if is_number { digits.parse().unwrap_or(u32::MAX) } else { 0 };
                lifetime = TimeDelta::seconds(seconds.into());
            }
            _ => {}
        }
    }
    lifetime.clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::domain::{client::ApplicationType, client_registration::check, oauth::GrantType};

    const URL: &str = "https://app.example/client.json";

    fn id() -> ClientId {
        ClientId::parse(URL).expect("a URL")
    }

    fn document(more: &Value) -> Value {
        let mut document = json!({"client_id": URL, "client_name": "App", "redirect_uris": ["https://app.example/cb"]});
        let (Some(all), Some(more)) = (document.as_object_mut(), more.as_object()) else { panic!("two objects") };
        all.extend(more.clone());
        document
    }

    fn described(document: &Value) -> Result<Client, NotAClientDocument> {
        let client = read(&id(), document.to_string().as_bytes(), DateTime::UNIX_EPOCH, TimeDelta::hours(1))?;
        check(&client)?;
        Ok(client)
    }

    #[test]
    fn a_document_describes_a_third_partys_public_client() {
        let client =
            described(&document(&json!({"logo_uri": "https://app.example/logo", "jwks_uri": null}))).expect("good");
        assert_eq!((client.id, client.name.as_str()), (id(), "App"));
        assert_eq!(client.authentication, AuthenticationMethod::None);
        assert!(client.self_registered && !client.first_party && client.resources.is_empty());
        let fresh_until = DateTime::UNIX_EPOCH + TimeDelta::hours(1);
        assert_eq!(client.document, Some(DocumentDates { fetched_at: DateTime::UNIX_EPOCH, fresh_until }));
        let read = json!({"redirect_uris": "https://app.example/cb", "jwks_uri": URL, "client_name": "🚀 App™"});
        let lenient = described(&document(&read)).expect("good");
        assert_eq!((lenient.name.as_str(), lenient.redirect_uris), ("App", vec!["https://app.example/cb".to_owned()]));
        assert_eq!(described(&document(&json!({"client_name": "🚀"}))).expect("good").name, "app.example");
        let nameless = json!({"client_id": URL, "redirect_uris": ["https://app.example/cb"]});
        assert_eq!(described(&nameless).expect("good").name, "app.example");
    }

    /// As Claude Code publishes it, with a BOM as some editors write it.
    #[test]
    fn documents_of_native_apps_are_read() {
        let text = json!({
            "client_id": URL, "client_name": "Claude Code", "client_uri": "https://claude.ai",
            "redirect_uris": ["http://localhost/callback", "http://127.0.0.1/callback"],
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        });
        let body = format!("\u{feff}{text}");
        let client = read(&id(), body.as_bytes(), DateTime::UNIX_EPOCH, TimeDelta::hours(1)).expect("good");
        assert_eq!(check(&client), Ok(()));
        assert_eq!(client.application_type, Some(ApplicationType::Native));
        assert_eq!(client.grants, BTreeSet::from([GrantType::AuthorizationCode, GrantType::RefreshToken]));
        for uri in ["http://localhost:58135/callback", "http://localhost/callback", "http://127.0.0.1:1/callback"] {
            assert!(client.may_redirect_to(uri), "{uri}");
        }
        for uri in [
            "http://localhost:58135/other",
            "http://localhost.evil.example/callback",
            "http://localhost:1@evil.example/callback",
            "http://localhost:/callback",
            "http://localhost:080/callback",
            "https://localhost:58135/callback",
        ] {
            assert!(!client.may_redirect_to(uri), "{uri}");
        }
        let registered = Client { document: None, ..client };
        assert!(!registered.may_redirect_to("http://localhost:58135/callback"), "others name their port");
    }

    #[test]
    fn what_is_no_document_of_this_client_is_refused() {
        use NotAClientDocument as Why;
        let wrong = |member, expected| Why::Metadata(NotRegistrable::WrongType { member, expected });
        for (more, why) in [
            (json!({"client_id": "https://app.example/other.json"}), Why::ClientId),
            (json!({"client_id": "https://app.example:443/client.json"}), Why::ClientId),
            (json!({"client_id": null}), Why::ClientId),
            (json!({"client_id": 7}), Why::ClientId),
            (json!({"client_id": format!(" {URL}")}), Why::ClientId),
            (json!({"client_secret": "secret"}), Why::Secret),
            (json!({"client_secret_expires_at": 0}), Why::Secret),
            (json!({"token_endpoint_auth_method": "client_secret_basic"}), Why::Method),
            (json!({"token_endpoint_auth_method": "client_secret_post"}), Why::Method),
            (json!({"token_endpoint_auth_method": "client_secret_jwt"}), Why::Method),
            (json!({"token_endpoint_auth_method": "tls_client_auth"}), Why::Method),
            (json!({"redirect_uris": []}), Why::NoRedirectUris),
            (json!({"redirect_uris": null}), Why::NoRedirectUris),
            (json!({"redirect_uris": [""]}), Why::NoRedirectUris),
            (json!({"redirect_uris": {}}), wrong("redirect_uris", "a list of strings")),
            (json!({"client_name": {}}), wrong("client_name", "a string")),
            (
                json!({"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://app.example/jwks"}),
                Why::JwksUri,
            ),
            (json!({"token_endpoint_auth_method": "private_key_jwt"}), Why::Metadata(NotRegistrable::NoKeys)),
            (json!({"backchannel_logout_uri": URL}), Why::Metadata(NotRegistrable::NotTaken("backchannel_logout_uri"))),
            (json!({"client_name": "G\u{43e}ogle"}), Why::Metadata(NotRegistrable::NameOfScripts)),
            (json!({"client_name": "a\u{202e}b"}), Why::Metadata(NotRegistrable::Name)),
            (json!({"grant_types": ["client_credentials"]}), Why::Metadata(NotRegistrable::NotKnown("grant_types"))),
        ] {
            assert_eq!(described(&document(&more)).err(), Some(why), "{more}");
        }
        for body in ["", "[]", "null", "<html>", "{\"client_id\":", r#"{"redirect_uris":[],"redirect_uris":[]}"#] {
            let refused = read(&id(), body.as_bytes(), DateTime::UNIX_EPOCH, TimeDelta::hours(1));
            assert_eq!(refused.err(), Some(Why::NotJson), "{body}");
        }
    }

    #[test]
    fn a_document_is_fresh_as_long_as_it_says_within_bounds() {
        for (fields, lifetime) in [
            (&[][..], USUAL),
            (&["public"], USUAL),
            (&["max-age=600"], TimeDelta::minutes(10)),
            (&["public, Max-Age=\"600\""], TimeDelta::minutes(10)),
            (&["public", "max-age=600"], TimeDelta::minutes(10)),
            (&["max-age=0"], SHORTEST),
            (&["max-age=59"], SHORTEST),
            (&["max-age=-1"], SHORTEST),
            (&["max-age=soon"], SHORTEST),
            (&["max-age=31536000, immutable"], LONGEST),
            (&["max-age=99999999999999999999"], LONGEST),
            (&["max-age=600, no-cache"], SHORTEST),
            (&["no-store"], SHORTEST),
        ] {
            assert_eq!(super::lifetime(fields.iter().copied()), lifetime, "{fields:?}");
        }
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(body in any::<Vec<u8>>(), field in any::<String>()) {
            let read = read(&id(), &body, DateTime::UNIX_EPOCH, TimeDelta::hours(1));
            prop_assert!(read.is_err());
            prop_assert!((SHORTEST..=LONGEST).contains(&lifetime([field.as_str()])));
        }
    }
}
