//! A provider that is honest at first, and then each way in which one is not.

use chrono::TimeDelta;
use serde_json::json;

use crate::{
    crypto::{jose::provider_token::*, keys::signing_key::SigningKey},
    domain::signing_key::SigningAlgorithm,
};

const ISSUER: &str = "https://id.example";
const CLIENT: &str = "our-client";
const TENANT_ID: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

struct Provider {
    key: SigningKey,
    kind: ProviderKind,
    issuer: &'static str,
}

impl Provider {
    fn new(algorithm: SigningAlgorithm) -> Self {
        let key = SigningKey::from_pkcs8(&SigningKey::generate(algorithm).unwrap(), now()).unwrap();
        Self { key, kind: ProviderKind::Oidc, issuer: ISSUER }
    }

    fn header(&self) -> Value {
        json!({"alg": self.key.algorithm().as_str(), "kid": self.key.kid(), "typ": "JWT"})
    }

    fn claims(&self) -> Value {
        let now = now().timestamp();
        json!({
            "iss": self.issuer, "sub": "248289761001", "aud": CLIENT, "nonce": "n", "exp": now + 300, "iat": now,
            "email": "ada@example.org", "email_verified": true, "name": "Ada Lovelace", "preferred_username": "ada"
        })
    }

    fn signs(&self, header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", encode(header), encode(claims));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.key.sign(input.as_bytes()).unwrap());
        format!("{input}.{signature}")
    }

    fn keys(&self) -> ProviderKeys {
        ProviderKeys::parse(json!({"keys": [self.key.public().jwk()]}).to_string().as_bytes()).unwrap()
    }

    fn judges(&self, token: &str) -> Result<VerifiedIdentity, ProviderTokenError> {
        let Self { kind, issuer, .. } = *self;
        verify(token, &self.keys(), &Expected { kind, issuer, client_id: CLIENT, nonce: "n", now: now() })
    }

    /// The result for a token whose claims have these members instead; `null` removes one.
    fn with(&self, members: &Value) -> Result<VerifiedIdentity, ProviderTokenError> {
        self.judges(&self.signs(&self.header(), &edited(self.claims(), members)))
    }

    /// The same of the header.
    fn headed(&self, members: &Value) -> Result<VerifiedIdentity, ProviderTokenError> {
        self.judges(&self.signs(&edited(self.header(), members), &self.claims()))
    }
}

fn edited(mut whole: Value, members: &Value) -> Value {
    let object = whole.as_object_mut().unwrap();
    for (name, value) in members.as_object().unwrap() {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
    whole
}

#[test]
fn a_good_token_says_who_it_is_under_each_algorithm() {
    for algorithm in SigningAlgorithm::ALL {
        let verified = Provider::new(algorithm).with(&json!({})).unwrap();
        assert_eq!(verified.identity, Identity::new(ISSUER, "248289761001").unwrap());
        let Profile { email, email_verified, handle, name } = verified.profile;
        assert_eq!(email.as_deref(), Some("ada@example.org"));
        assert!(email_verified);
        assert_eq!((handle.as_deref(), name.as_deref()), (Some("ada"), Some("Ada Lovelace")));
    }
}

#[test]
fn a_token_is_for_us_from_that_provider_and_of_this_log_in() {
    use ProviderTokenError::{Malformed, Subject, WrongAudience, WrongIssuer, WrongNonce};
    let provider = Provider::new(SigningAlgorithm::ES256);
    for (edit, refused) in [
        (json!({"iss": "https://id.example/"}), WrongIssuer),
        (json!({"iss": "https://evil.example"}), WrongIssuer),
        (json!({"iss": null}), Malformed),
        (json!({"iss": [ISSUER]}), Malformed),
        (json!({"aud": "another-client"}), WrongAudience),
        (json!({"aud": []}), WrongAudience),
        (json!({"aud": null}), Malformed),
        (json!({"aud": 1}), Malformed),
        (json!({"aud": [CLIENT, "another-client"]}), WrongAudience),
        (json!({"aud": [CLIENT, "another-client"], "azp": "another-client"}), WrongAudience),
        (json!({"azp": "another-client"}), WrongAudience),
        (json!({"aud": "another-client", "azp": CLIENT}), WrongAudience),
        (json!({"nonce": "m"}), WrongNonce),
        (json!({"nonce": ""}), WrongNonce),
        (json!({"nonce": null}), WrongNonce),
        (json!({"nonce": ["n"]}), Malformed),
        (json!({"sub": ""}), Subject),
        (json!({"sub": "a\nb"}), Subject),
        (json!({"sub": "x".repeat(256)}), Subject),
        (json!({"sub": 7}), Malformed),
        (json!({"sub": null}), Malformed),
    ] {
        assert_eq!(provider.with(&edit), Err(refused), "{edit}");
    }
    for edit in [json!({"aud": [CLIENT]}), json!({"aud": [CLIENT, "b"], "azp": CLIENT}), json!({"azp": CLIENT})] {
        assert!(provider.with(&edit).is_ok(), "{edit}");
    }
}

#[test]
fn a_token_is_of_this_time_and_its_times_are_numbers() {
    use ProviderTokenError::{Expired, Malformed, NotYetValid};
    let (provider, now) = (Provider::new(SigningAlgorithm::ES256), now().timestamp());
    for (edit, refused) in [
        (json!({"exp": now - 30}), Expired),
        (json!({"exp": 0}), Expired),
        (json!({"exp": -1}), Expired),
        (json!({"exp": (now + 300).to_string()}), Malformed),
        (json!({"exp": null}), Malformed),
        (json!({"exp": 1e300}), Malformed),
        (json!({"exp": true}), Malformed),
        (json!({"iat": now + 31}), NotYetValid),
        (json!({"iat": now.to_string()}), Malformed),
        (json!({"iat": null}), Malformed),
        (json!({"nbf": now + 31}), NotYetValid),
        (json!({"nbf": "0"}), Malformed),
    ] {
        assert_eq!(provider.with(&edit), Err(refused), "{edit}");
    }
    for edit in [
        json!({"exp": now - 29}),
        json!({"iat": now + 30}),
        json!({"nbf": now + 30}),
        json!({"exp": 1e12, "iat": 1.5}),
        json!({"exp": i64::MAX}),
    ] {
        assert!(provider.with(&edit).is_ok(), "{edit}");
    }
}

#[test]
fn an_algorithm_is_asymmetric_and_the_keys_own() {
    use ProviderTokenError::{Algorithm, BadSignature, Header, Malformed, UnknownKey};
    let provider = Provider::new(SigningAlgorithm::RS256);
    for (edit, refused) in [
        (json!({"alg": "none"}), Algorithm),
        (json!({"alg": "NONE"}), Algorithm),
        (json!({"alg": "HS256"}), Algorithm),
        (json!({"alg": "HS512"}), Algorithm),
        (json!({"alg": "XS256"}), Algorithm),
        (json!({"alg": null}), Malformed),
        (json!({"alg": ["RS256"]}), Malformed),
        // The key says RS256 of itself.
        (json!({"alg": "PS256"}), UnknownKey),
        (json!({"alg": "ES256"}), UnknownKey),
        (json!({"kid": "another"}), UnknownKey),
        (json!({"crit": ["exp"]}), Header),
        (json!({"crit": []}), Header),
        (json!({"b64": false, "crit": ["b64"]}), Header),
        (json!({"zip": "DEF"}), Header),
        (json!({"enc": "A128GCM"}), Header),
        (json!({"typ": "at+jwt"}), Header),
        (json!({"typ": "logout+jwt"}), Header),
    ] {
        assert_eq!(provider.headed(&edit), Err(refused), "{edit}");
    }
    assert!(provider.headed(&json!({"kid": null, "typ": null})).is_ok(), "there is but one key");
    let unsigned = provider.signs(&json!({"alg": "none"}), &provider.claims());
    let (input, _) = unsigned.rsplit_once('.').unwrap();
    assert_eq!(provider.judges(&format!("{input}.")), Err(Malformed));

    // HS256 over the public key, as a verifier that mistakes a key's text for a secret would accept it.
    let public = serde_json::to_string(provider.key.public().jwk()).unwrap();
    let header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
    let input = format!("{header}.{}", BASE64_URL_SAFE_NO_PAD.encode(provider.claims().to_string()));
    let secret = jsonwebtoken::EncodingKey::from_secret(public.as_bytes());
    let signature = jsonwebtoken::crypto::sign(input.as_bytes(), &secret, jsonwebtoken::Algorithm::HS256).unwrap();
    assert_eq!(provider.judges(&format!("{input}.{signature}")), Err(Algorithm));

    let good = provider.signs(&provider.header(), &provider.claims());
    let cut = good.rsplit_once('.').unwrap().0;
    assert_eq!(provider.judges(&format!("{cut}.AAAA")), Err(BadSignature));
}

#[test]
fn a_token_never_brings_its_own_key() {
    let (provider, forger) = (Provider::new(SigningAlgorithm::ES256), Provider::new(SigningAlgorithm::ES256));
    let jwk = json!(forger.key.public().jwk());
    for own in [
        json!({"jwk": jwk, "kid": provider.key.kid()}),
        json!({"jku": "https://evil.example/jwks", "kid": provider.key.kid()}),
        json!({"x5c": ["MIIB"], "kid": provider.key.kid()}),
    ] {
        let token = forger.signs(&edited(forger.header(), &own), &provider.claims());
        assert_eq!(provider.judges(&token), Err(ProviderTokenError::BadSignature), "{own}");
    }
    let token = forger.signs(&edited(forger.header(), &json!({"jwk": jwk})), &provider.claims());
    assert_eq!(provider.judges(&token), Err(ProviderTokenError::UnknownKey));
}

#[test]
fn an_address_is_verified_by_the_truth_alone() {
    let with = |kind, edit: Value| {
        let provider = Provider { kind, ..Provider::new(SigningAlgorithm::ES256) };
        let profile = provider.with(&edit).unwrap().profile;
        (profile.email.is_some(), profile.email_verified)
    };
    for lie in [json!("true"), json!(1), json!("yes"), json!([true]), json!(false), json!(null)] {
        assert_eq!(with(ProviderKind::Oidc, json!({"email_verified": lie})), (true, false), "{lie}");
    }
    assert_eq!(with(ProviderKind::Apple, json!({"email_verified": "true"})), (true, true));
    assert_eq!(with(ProviderKind::Apple, json!({"email_verified": "True"})), (true, false));
    // Any administrator of any organization may write what they like there.
    assert_eq!(with(ProviderKind::Microsoft, json!({})), (true, false));
    for odd in [json!(null), json!(["ada@example.org"]), json!({}), json!("x".repeat(500))] {
        assert!(!with(ProviderKind::Oidc, json!({"email": odd})).0, "{odd}");
    }
}

#[test]
fn the_organization_in_microsofts_issuer_is_the_tokens_own() {
    use ProviderTokenError::WrongIssuer;
    let issuer = "https://login.microsoftonline.com/{tenantid}/v2.0";
    let provider = |kind| Provider { kind, issuer, ..Provider::new(SigningAlgorithm::RS256) };
    let microsoft = provider(ProviderKind::Microsoft);
    let of = |tenant: &str| format!("https://login.microsoftonline.com/{tenant}/v2.0");
    let good = microsoft.with(&json!({"iss": of(TENANT_ID), "tid": TENANT_ID})).unwrap();
    assert_eq!(good.identity.issuer, of(TENANT_ID));
    let other = "00000000-0000-0000-0000-000000000000";
    for (iss, tid) in [
        (issuer.to_owned(), "{tenantid}"),
        (of(TENANT_ID), other),
        (of(TENANT_ID), ""),
        (of("x/../y"), "x/../y"),
        ("https://evil.example/v2.0".to_owned(), TENANT_ID),
        (of("9188040d6c674c5bb11236a304b66dad"), "9188040d6c674c5bb11236a304b66dad"),
    ] {
        assert_eq!(microsoft.with(&json!({"iss": iss, "tid": tid})), Err(WrongIssuer), "{iss} {tid}");
    }
    let oidc = provider(ProviderKind::Oidc);
    assert_eq!(oidc.with(&json!({"iss": of(TENANT_ID), "tid": TENANT_ID})), Err(WrongIssuer), "no other kind's");
}

#[test]
fn what_is_no_token_is_refused() {
    let provider = Provider::new(SigningAlgorithm::ES256);
    let good = provider.signs(&provider.header(), &provider.claims());
    for bad in ["", ".", "..", "a.b.c", &format!("{good}."), &format!("{good}="), &format!(" {good}"), &good[1..]] {
        assert!(provider.judges(bad).is_err(), "{bad}");
    }
    let long = provider.with(&json!({"groups": "x".repeat(MAX_LENGTH)}));
    assert_eq!(long, Err(ProviderTokenError::Malformed));
    let twice = provider.claims().to_string().replacen('{', r#"{"sub":"1","#, 1);
    let header = BASE64_URL_SAFE_NO_PAD.encode(provider.header().to_string());
    let input = format!("{header}.{}", BASE64_URL_SAFE_NO_PAD.encode(twice));
    let signature = BASE64_URL_SAFE_NO_PAD.encode(provider.key.sign(input.as_bytes()).unwrap());
    assert_eq!(provider.judges(&format!("{input}.{signature}")), Err(ProviderTokenError::Malformed));
}

#[test]
fn keys_that_cannot_verify_are_passed_over() {
    let good = Provider::new(SigningAlgorithm::ES256);
    let jwk = json!(good.key.public().jwk());
    let set = |keys: Value| ProviderKeys::parse(json!({ "keys": keys }).to_string().as_bytes()).map(|set| set.0.len());
    let short = BASE64_URL_SAFE_NO_PAD.encode([0xFF; 128]);
    let odd = json!([
        {"kty": "oct", "k": "AAAA", "alg": "HS256", "kid": "a"},
        {"kty": "RSA", "n": short, "e": "AQAB"},
        {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"},
        {"kty": "new"}, 1, null, "x", [],
        edited(jwk.clone(), &json!({"use": "enc"})),
    ]);
    assert_eq!(set(odd), Ok(0));
    assert_eq!(set(json!([jwk, {"kty": "new"}])), Ok(1));
    assert_eq!(set(Value::Array(vec![jwk; 1000])), Ok(MOST_KEYS));
    for bad in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>"] {
        assert!(ProviderKeys::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}
