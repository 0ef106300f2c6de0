//! Requests with a long `state`, on every path, behind an nginx with its default limits: 8 kB for a request's line and
//! for its cookies, 4 kB for the header of an answer.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;
use signet::testing::digest;

use crate::harness::{
    Ask, Person, TestApp,
    browser_session::{BrowserSession, hidden, location, parameter, refresh},
    idp::{Idp, presses},
    nginx::Nginx,
    relying_party::{CALLBACK, RelyingParty},
    site::Answer,
    stories_on,
    test_env::TestEnvBuilder,
};

/// The longest `state`, in bytes.
const LONGEST: usize = 2048;

/// A text of this many characters that no compression shortens below six bits each, as the protected state of an
/// application is.
pub(crate) fn incompressible(length: usize) -> String {
    let blocks = (0..).map(|n: u32| digest::sha256(&n.to_be_bytes()));
    let text: String = blocks.take(length / 42 + 1).map(|block| BASE64_URL_SAFE_NO_PAD.encode(block)).collect();
    text[..length].to_owned()
}

/// An app behind nginx, with a provider.
struct Behind {
    idp: Idp,
    signet: TestApp,
    person: Person,
    /// A third-party client, which needs consent.
    app: RelyingParty,
    _nginx: Nginx,
}

impl Behind {
    async fn opens(builder: TestEnvBuilder) -> Self {
        let idp = Idp::opens().await;
        let mut signet = idp.open_app(builder.set("rate_limits.enabled", "false")).await;
        let person = signet.registers("grace").await;
        let nginx = Nginx::before(&mut signet).await;
        let app = RelyingParty::registers(&signet).await;
        Self { idp, signet, person, app, _nginx: nginx }
    }

    /// Lets somebody new choose a name, gives consent where it is asked for, and says with which `state` the client is
    /// answered.
    async fn arrives(&self, browser: &BrowserSession, mut answer: Answer) -> String {
        if answer.text().contains("action=\"/federation/idp/name\"") {
            answer = browser.sends(&answer, "/federation/idp/name", &[("username", "ada")]).await;
        }
        if answer.status == 303 && location(&answer).starts_with("/consent") {
            let page = browser.follows(&answer).await.is(200);
            answer = browser.sends(&page, "/consent", &[("answer", "allow")]).await;
        }
        if answer.status == 200 && refresh(&answer).is_none() {
            let fields = hidden(&answer.text(), CALLBACK);
            assert!(fields.iter().any(|(name, _)| name == "code"), "{answer:?}");
            return fields.into_iter().find(|(name, _)| name == "state").expect("a state").1;
        }
        let address = location(&answer);
        assert!(address.starts_with(CALLBACK) && !parameter(&address, "code").is_empty(), "{answer:?}");
        parameter(&address, "state")
    }

    /// Logs in by the form.
    async fn by_the_form(&self, request: &[(&str, &str)]) -> String {
        let browser = BrowserSession::at(&self.signet);
        let login = location(&browser.opens(&self.app.link(request)).await);
        let answer = browser.logs_in_at(&login, &self.person.username, &self.person.password).await;
        self.arrives(&browser, answer).await
    }

    /// Logs in with the provider by its button.
    async fn by_the_button(&self, browser: &BrowserSession, request: &[(&str, &str)]) -> String {
        let page = browser.follows(&browser.opens(&self.app.link(request)).await).await.is(200);
        let back = self.idp.logs_in(&presses(browser, &page, "idp").await);
        let answer = browser.opens(&back).await;
        self.arrives(browser, answer).await
    }

    /// Is sent to the provider by the client's hint. Returns the way back.
    async fn is_hinted(&self, browser: &BrowserSession, request: &[(&str, &str)]) -> String {
        let answer = browser.opens(&self.app.link(&[request, &[("idp_hint", "idp")]].concat())).await;
        self.idp.logs_in(&location(&browser.follows(&answer).await))
    }
}

async fn a_long_state_comes_back_on_every_path(builder: TestEnvBuilder) {
    let behind = Behind::opens(builder).await;
    for (length, mode) in
        [(43, "query"), (300, "query"), (1800, "form_post"), (LONGEST, "query"), (LONGEST, "form_post")]
    {
        let state = incompressible(length);
        let request = [("state", state.as_str()), ("response_mode", mode), ("nonce", &state[..43])];
        assert_eq!(behind.by_the_form(&request).await, state, "{length} {mode}");
        assert_eq!(behind.by_the_button(&BrowserSession::at(&behind.signet), &request).await, state, "{length} {mode}");
        let browser = BrowserSession::at(&behind.signet);
        let back = behind.is_hinted(&browser, &request).await;
        let answer = browser.opens(&back).await;
        assert_eq!(behind.arrives(&browser, answer).await, state, "{length} {mode}");
        // They are logged in now, and asked for nothing.
        let answer = browser.opens(&behind.app.link(&request)).await;
        assert_eq!(behind.arrives(&browser, answer).await, state, "{length} {mode}");
    }
}

/// A client may post its request, or push it.
async fn a_long_state_comes_back_however_the_request_came(builder: TestEnvBuilder) {
    let behind = Behind::opens(builder).await;
    let state = incompressible(LONGEST);
    let browser = BrowserSession::at(&behind.signet);
    let link = behind.app.link(&[("state", &state)]);
    let (_, query) = link.split_once('?').expect("a query");
    let request = crate::harness::Site::at(&behind.signet.issuer).post("/oauth/authorize");
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(query.to_owned());
    let again = request.answer().await;
    let login = location(&browser.follows(&again).await);
    let answer = browser.logs_in_at(&login, &behind.person.username, &behind.person.password).await;
    assert_eq!(behind.arrives(&browser, answer).await, state);

    let mut request = behind.app.request();
    request.retain(|(name, _)| *name != "state");
    request.push(("state", &state));
    let pushed = behind.app.client.posts(&behind.signet.site, "/oauth/par", &request).await.is(201);
    let reference = pushed.string("request_uri");
    let query = [("client_id", behind.app.client.id.as_str()), ("request_uri", &reference)];
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let answer = browser.opens(&format!("/oauth/authorize?{query}")).await;
    assert_eq!(behind.arrives(&browser, answer).await, state);
}

/// A state whose characters a URL writes as three each.
async fn a_state_that_grows_in_a_url_comes_back(builder: TestEnvBuilder) {
    let behind = Behind::opens(builder).await;
    let state = json!({"return_to": "/a?b=c&d=e", "list": vec!["\"<é>\""; 150]}).to_string();
    assert!((1500..LONGEST).contains(&state.len()), "{}", state.len());
    assert_eq!(behind.by_the_form(&[("state", &state)]).await, state);
    assert_eq!(behind.by_the_button(&BrowserSession::at(&behind.signet), &[("state", &state)]).await, state);
    // Back from a logout too.
    let options = ["--post-logout-redirect-uri", "https://app.example.com/bye", "--first-party"];
    let app = RelyingParty::registers_with(&behind.signet, &options).await;
    let browser = BrowserSession::at(&behind.signet);
    let login = location(&browser.opens(&app.link(&[])).await);
    browser.logs_in_at(&login, &behind.person.username, &behind.person.password).await;
    let query = [
        ("client_id", app.client.id.as_str()),
        ("post_logout_redirect_uri", "https://app.example.com/bye"),
        ("state", &state),
    ];
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let page = browser.follows(&browser.opens(&format!("/oauth/logout?{query}")).await).await.is(200);
    let answer = browser.sends(&page, "/logout", &[]).await;
    assert_eq!(parameter(&location(&answer), "state"), state);
}

/// Somebody goes to the provider, and back, and again: dotnet/aspnetcore#17247.
async fn abandoned_attempts_never_put_the_site_out_of_reach(builder: TestEnvBuilder) {
    let behind = Behind::opens(builder).await;
    let browser = BrowserSession::at(&behind.signet);
    for length in [43, 300, 600, 1000, LONGEST, 43, LONGEST, 1500, 43] {
        let state = incompressible(length);
        for _ in 0..5 {
            behind.is_hinted(&browser, &[("state", &state)]).await;
            let page = browser.follows(&browser.opens(&behind.app.link(&[("state", &state)])).await).await.is(200);
            presses(&browser, &page, "idp").await;
            let bytes: usize = browser.cookies().iter().map(|cookie| cookie.len() + 2).sum();
            assert!(bytes < 7500, "{bytes} bytes of cookies");
            assert!(browser.cookies().iter().all(|cookie| cookie.len() <= 4096), "browsers drop longer ones");
        }
        browser.opens("/login").await.is(200);
    }
    let state = incompressible(LONGEST);
    assert_eq!(behind.by_the_button(&browser, &[("state", &state)]).await, state);
}

/// What no path could carry is refused where it is asked for, whatever the path.
async fn what_is_longer_than_stated_is_refused_at_once(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let browser = BrowserSession::at(&signet);
    let (state, nonce) = (incompressible(LONGEST), incompressible(LONGEST + 512)[LONGEST..].to_owned());
    let long = incompressible(LONGEST + 1);
    for request in [&[("state", long.as_str())][..], &[("state", state.as_str()), ("nonce", nonce.as_str())]] {
        let answer = browser.opens(&app.link(request)).await;
        let address = location(&answer);
        assert!(address.starts_with(CALLBACK) && parameter(&address, "error") == "invalid_request", "{answer:?}");
        let mut pushed = app.request();
        pushed.retain(|(name, _)| !request.iter().any(|(given, _)| given == name));
        pushed.extend(request);
        app.client.posts(&signet.site, "/oauth/par", &pushed).await.oauth_error(400, "invalid_request");
    }
    // With `prompt=none` it goes nowhere.
    let silent = [("state", state.as_str()), ("nonce", nonce.as_str()), ("prompt", "none")];
    assert_eq!(parameter(&location(&browser.opens(&app.link(&silent)).await), "error"), "login_required");
    // A hint that can name nobody is no reason to refuse anybody.
    let hints = [("login_hint", state.as_str()), ("idp_hint", long.as_str())];
    let page = browser.follows(&browser.opens(&app.link(&hints)).await).await.is(200);
    assert!(!page.text().contains(&state), "{page:?}");
}

stories_on![Sqlite:
    a_long_state_comes_back_on_every_path,
    a_long_state_comes_back_however_the_request_came,
    a_state_that_grows_in_a_url_comes_back,
    abandoned_attempts_never_put_the_site_out_of_reach,
    what_is_longer_than_stated_is_refused_at_once,
];
