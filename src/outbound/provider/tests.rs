//! Tests of a provider's settings and requests, before anything is read from it.

use secrecy::SecretString;

use super::*;
use crate::{domain::clock::SystemClock, outbound::provider::exchange::Asking};

fn settings(kind: ProviderKind) -> Settings {
    Settings {
        name: ProviderName::parse("there").unwrap(),
        kind,
        client_id: "our-client".to_owned(),
        issuer: None,
        authorize_url: None,
        token_url: None,
        userinfo_url: None,
        scopes: Vec::new(),
        redirect_uri: "https://auth.example.org/federation/there/callback".to_owned(),
    }
}

fn provider(settings: Settings) -> Provider {
    Provider::new(settings, Arc::new(SystemClock)).unwrap()
}

async fn address(provider: &Provider, fresh: bool) -> Url {
    let asking = Asking { state: "s", nonce: "n", verifier: &SecretString::from("v".repeat(43)), fresh };
    provider.authorization_url(&asking).await.unwrap()
}

fn said(address: &Url, name: &str) -> Option<String> {
    address.query_pairs().find(|(given, _)| given == name).map(|(_, value)| value.into_owned())
}

/// Metadata that somebody has at hand, as after having been read.
fn discovered(provider: &Provider) {
    let at = |path: &str| url(&format!("{}{path}", provider.issuer())).unwrap();
    let metadata = Metadata {
        issuer: provider.issuer().to_owned(),
        sends_issuer: false,
        authorize: at("/authorize"),
        token: at("/token"),
        userinfo: None,
        jwks: Some(at("/jwks")),
        in_form: false,
        read_at: provider.clock.now(),
    };
    *held(&provider.metadata) = Some(Arc::new(metadata));
}

#[tokio::test]
async fn apple_is_known_by_heart_and_signs() {
    let apple = provider(settings(ProviderKind::Apple));
    let metadata = apple.metadata().await.unwrap();
    assert!(apple.signs());
    assert_eq!(metadata.issuer, "https://appleid.apple.com");
    assert_eq!(metadata.token.as_str(), "https://appleid.apple.com/auth/token");
    assert_eq!(metadata.jwks.as_ref().map(Url::as_str), Some("https://appleid.apple.com/auth/keys"));
    let address = address(&apple, false).await;
    assert!(address.as_str().starts_with("https://appleid.apple.com/auth/authorize?"), "{address}");
    assert_eq!(said(&address, "nonce").as_deref(), Some("n"));
    assert_eq!(said(&address, "response_mode").as_deref(), Some("form_post"));
    // The issuer's own name changes nothing, and another's has its metadata asked.
    let same = Settings { issuer: Some("https://appleid.apple.com".to_owned()), ..settings(ProviderKind::Apple) };
    assert!(provider(same).metadata().await.is_ok());
    let other = Settings { issuer: Some("http://127.0.0.1:9".to_owned()), ..settings(ProviderKind::Apple) };
    assert!(provider(other).metadata().await.is_err());
}

#[tokio::test]
async fn every_provider_is_asked_for_a_new_proof_in_its_own_words() {
    use ProviderKind::{Apple, Facebook, Github, Google, Microsoft, Oidc};
    for (kind, asked) in [
        (Google, &[("prompt", "select_account"), ("max_age", "0")][..]),
        (Microsoft, &[("prompt", "login"), ("max_age", "0")]),
        (Apple, &[("prompt", "login"), ("max_age", "0")]),
        (Oidc, &[("prompt", "login"), ("max_age", "0")]),
        (Github, &[("prompt", "select_account")]),
        (Facebook, &[("auth_type", "reauthenticate")]),
    ] {
        let issuer = (kind == Oidc).then(|| "https://id.example".to_owned());
        let provider = provider(Settings { issuer, ..settings(kind) });
        if matches!(kind, Google | Microsoft | Oidc) {
            discovered(&provider);
        }
        let (fresh, plain) = (address(&provider, true).await, address(&provider, false).await);
        for name in ["prompt", "max_age", "auth_type"] {
            let wanted = asked.iter().find(|(given, _)| *given == name).map(|(_, value)| *value);
            assert_eq!(said(&fresh, name).as_deref(), wanted, "{kind:?}");
            assert_eq!(said(&plain, name), None, "{kind:?}");
        }
    }
}
