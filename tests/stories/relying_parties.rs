//! Clients that others wrote, and that know nothing of us but the issuer: they log people in, in a real browser, with
//! nothing patched.

use std::time::Duration;

use openidconnect::{
    AccessTokenHash, AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest, HttpResponse, IssuerUrl, Nonce,
    OAuth2TokenResponse, PkceCodeChallenge, RedirectUrl, Scope, TokenResponse,
    core::{CoreAuthenticationFlow, CoreClient, CoreProviderMetadata, CoreUserInfoClaims},
};
use serde_json::Value;

use crate::harness::{
    Ask, PASSWORD, TestApp,
    browser::Browser,
    callback::{BACK, Callback},
    driver::Scripts,
    eventually, run,
    site::http,
    stories_on,
    tools::NodeClient,
};

const NAME: &str = "Username or email address";

/// How the crate sends its requests.
async fn sends(request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let response = http().build()?.execute(request.try_into()?).await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut answer = HttpResponse::new(response.bytes().await?.to_vec());
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    Ok(answer)
}

/// Registers an account on the way to an app, in this browser.
async fn registers(browser: &Browser, username: &str) {
    browser.sees("to go on to Lighthouse").await;
    browser.follows("Create an account").await;
    browser.types("Username", username).await;
    browser.types("Password", PASSWORD).await;
    browser.presses("Create the account").await;
}

/// Logs in on the way to an app, in this browser.
async fn logs_in(browser: &Browser, username: &str) {
    browser.types(NAME, username).await;
    browser.types("Password", PASSWORD).await;
    browser.presses("Log in").await;
}

async fn consents(browser: &Browser, username: &str) {
    browser.sees("Allow Lighthouse?").await;
    browser.sees(username).await;
    browser.presses("Allow").await;
}

/// The service publishes the key that the command made for its first relying party: within two seconds, it is said.
async fn has_seen_its_key(signet: &TestApp) {
    eventually(Duration::from_secs(10), "the RSA key is published", async || {
        signet.site.get("/.well-known/jwks.json").answer().await.text().contains("RS256")
    })
    .await;
}

const SCOPES: [&str; 8] = ["--scope", "openid", "--scope", "profile", "--scope", "email", "--scope", "offline_access"];
const GRANTS: [&str; 6] = ["--name", "Lighthouse", "--grant", "authorization_code", "--grant", "refresh_token"];

async fn openidconnect_logs_people_in(signet: TestApp) {
    let app = Callback::serves().await;
    let options = [&GRANTS[..], &SCOPES, &["--redirect-uri", &app.url]].concat();
    let registered = signet.registers_client(&options).await;
    has_seen_its_key(&signet).await;
    let issuer = IssuerUrl::new(signet.issuer.clone()).expect("a URL");
    let metadata = CoreProviderMetadata::discover_async(issuer, &sends).await.expect("it is discovered");
    let secret = Some(ClientSecret::new(registered.secret.clone()));
    let client = CoreClient::from_provider_metadata(metadata, ClientId::new(registered.id.clone()), secret)
        .set_redirect_uri(RedirectUrl::new(app.url.clone()).expect("a URL"));
    for (scripts, name) in [(Scripts::Run, "ada"), (Scripts::Blocked, "grace")] {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let request = client.authorize_url(flow, CsrfToken::new_random, Nonce::new_random);
        let scopes = ["profile", "email", "offline_access"].map(|scope| Scope::new(scope.to_owned()));
        let (url, state, nonce) = request.add_scopes(scopes).set_pkce_challenge(challenge).url();

        let browser = Browser::with(scripts).await;
        browser.visits(url.as_str()).await;
        registers(&browser, name).await;
        consents(&browser, name).await;
        browser.sees(BACK).await;
        assert_eq!(&app.brought("state"), state.secret());

        let code = client.exchange_code(AuthorizationCode::new(app.brought("code"))).expect("a token endpoint");
        let tokens = code.set_pkce_verifier(verifier).request_async(&sends).await.expect("tokens");
        let id_token = tokens.id_token().expect("an ID token");
        let verifier = client.id_token_verifier();
        let claims = id_token.claims(&verifier, &nonce).expect("it is good");
        assert_eq!(claims.preferred_username().map(|name| name.as_str()), Some(name));
        let key = id_token.signing_key(&verifier).expect("its key is published");
        let algorithm = id_token.signing_alg().expect("it is signed");
        let hash = AccessTokenHash::from_token(tokens.access_token(), algorithm, key).expect("a hash");
        assert_eq!(claims.access_token_hash(), Some(&hash));
        let subject = Some(claims.subject().clone());
        let request = client.user_info(tokens.access_token().clone(), subject).expect("a userinfo endpoint");
        let user: CoreUserInfoClaims = request.request_async(&sends).await.expect("claims");
        assert_eq!(user.preferred_username().map(|name| name.as_str()), Some(name));

        let refresh = client.exchange_refresh_token(tokens.refresh_token().expect("a refresh token"));
        let refreshed = refresh.expect("a token endpoint").request_async(&sends).await.expect("tokens");
        // A refreshed ID token has no nonce (OIDC Core §12.2).
        let again = refreshed.id_token().expect("an ID token");
        let again = again.claims(&verifier, |_: Option<&Nonce>| Ok(())).expect("it is good");
        assert_eq!(again.subject(), claims.subject());
        assert_ne!(refreshed.access_token().secret(), tokens.access_token().secret());
        // Who is logged in and has consented sees nothing the next time.
        browser.visits(url.as_str()).await;
        browser.sees(BACK).await;
        browser.closes().await;
    }
}

async fn openid_client_logs_people_in(signet: TestApp) {
    let port = run::free_port();
    let (callback, goodbye) = (format!("http://127.0.0.1:{port}/callback"), format!("http://127.0.0.1:{port}/goodbye"));
    let uris = ["--redirect-uri", &callback, "--post-logout-redirect-uri", &goodbye];
    let registered = signet.registers_client(&[&GRANTS[..], &SCOPES, &uris].concat()).await;
    has_seen_its_key(&signet).await;
    let ada = signet.registers("ada").await;
    let mut app = NodeClient::starts(&signet.issuer, &registered, port);
    for scripts in [Scripts::Run, Scripts::Blocked] {
        let browser = Browser::with(scripts).await;
        browser.visits(&format!("http://127.0.0.1:{port}/")).await;
        logs_in(&browser, "ada").await;
        if scripts == Scripts::Run {
            consents(&browser, "ada").await;
        }
        let learned: Value = app.says();
        assert!(learned["error"].is_null(), "{learned}");
        browser.sees("Hello from the app.").await;
        assert_eq!(learned["claims"]["sub"], ada.id, "{learned}");
        assert_eq!(learned["claims"]["preferred_username"], "ada", "{learned}");
        assert_eq!(learned["user"]["sub"], ada.id, "{learned}");
        assert_eq!(learned["refreshed"]["sid"], learned["claims"]["sid"], "{learned}");

        // The hint is the app's own, so nobody is asked.
        browser.follows("Log out").await;
        browser.sees("Goodbye from the app: seen you").await;
        browser.visits(&format!("http://127.0.0.1:{port}/")).await;
        browser.sees("to go on to Lighthouse").await;
        browser.closes().await;
    }
}

stories_on![Sqlite: openidconnect_logs_people_in, openid_client_logs_people_in];
