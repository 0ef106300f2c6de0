//! A client as the OpenID conformance suite is one: confidential, without PKCE, with `openid` as its scope. It makes the
//! checks that the suite's modules share, in both response modes.

use std::sync::atomic::{AtomicU32, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde_json::{Value, json};
use signet::testing::Clock;
use url::form_urlencoded;

use super::{
    Answer, Ask, Database, PASSWORD, Person, TestApp, TestEnvBuilder,
    browser_session::{BrowserSession, hidden, location, query},
    jwt,
    relying_party::CALLBACK,
    test_env::Client,
};

/// Where the suite's client gets its browsers back after a logout.
pub(crate) const BYE: &str = "https://app.example.com/post_logout_redirect";

/// The `response_mode` of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Basic OP: none is named, so the answer comes in the query.
    Default,
    /// Form Post OP.
    FormPost,
}

/// The suite's client, and a person with a browser.
#[derive(Debug)]
pub(crate) struct Suite {
    pub(crate) signet: TestApp,
    pub(crate) client: Client,
    pub(crate) ada: Person,
    pub(crate) browser: BrowserSession,
    pub(crate) mode: Mode,
}

/// An authorization request, and what the person met on the way to its answer.
#[derive(Debug)]
pub(crate) struct Trip {
    /// How often the person had to log in.
    pub(crate) logins: u32,
    nonce: Option<String>,
    answer: Vec<(String, String)>,
}

/// A successful authorization, and the token response.
#[derive(Debug)]
pub(crate) struct Login {
    /// How often the person had to log in.
    pub(crate) logins: u32,
    pub(crate) code: String,
    pub(crate) tokens: Value,
    /// The claims of the ID token.
    pub(crate) claims: Value,
    /// The answer of the userinfo endpoint.
    pub(crate) user: Value,
}

/// Runs the checks of a module in both response modes, each in a browser of its own.
pub(crate) async fn run(module: impl AsyncFn(&Suite)) {
    let mut suite = Suite::starts(TestEnvBuilder::on(Database::Sqlite), &[]).await;
    module(&suite).await;
    suite.mode = Mode::FormPost;
    suite.browser = BrowserSession::at(&suite.signet);
    module(&suite).await;
}

impl Suite {
    /// A service with the client, registered with more options of `signet client create`.
    pub(crate) async fn starts(builder: TestEnvBuilder, options: &[&str]) -> Self {
        let signet = builder.open().await;
        let client = Self::registers(&signet, options).await;
        let body = json!({"username": "ada", "password": PASSWORD, "email": "ada@example.org"});
        let id = signet.site.post("/v1/users").json(&body).answer().await.is(201).string("id");
        let ada = Person { username: "ada".into(), password: PASSWORD.into(), id, site: signet.site.clone() };
        let browser = BrowserSession::at(&signet);
        Self { signet, client, ada, browser, mode: Mode::Default }
    }

    /// Registers a client of the suite: a static one.
    pub(crate) async fn registers(signet: &TestApp, options: &[&str]) -> Client {
        let usual = ["--name", "Conformance suite", "--redirect-uri", CALLBACK, "--post-logout-redirect-uri", BYE];
        let grants = ["--grant", "authorization_code", "--grant", "refresh_token", "--pkce", "optional"];
        let scopes = ["openid", "profile", "email", "offline_access"].map(|scope| ["--scope", scope]).concat();
        signet.registers_client(&[&usual[..], &grants, &scopes, options].concat()).await
    }

    /// The same suite as another client.
    pub(crate) fn with_client(self, client: Client) -> Self {
        Self { client, ..self }
    }

    /// The parameters of a request, with some replaced; an empty value removes one.
    pub(crate) fn request(&self, other: &[(&str, &str)]) -> Vec<(String, String)> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let (state, nonce) = (format!("state-{number:06}"), format!("nonce-{number:06}"));
        let mut all = vec![
            ("client_id", self.client.id.as_str()),
            ("redirect_uri", CALLBACK),
            ("scope", "openid"),
            ("state", &state),
            ("nonce", &nonce),
            ("response_type", "code"),
        ];
        if self.mode == Mode::FormPost {
            all.push(("response_mode", "form_post"));
        }
        all.retain(|(name, _)| !other.iter().any(|(changed, _)| changed == name));
        all.extend(other.iter().filter(|(_, value)| !value.is_empty()));
        all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// The path of a request.
    pub(crate) fn path(request: &[(String, String)]) -> String {
        format!("/oauth/authorize?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(request).finish())
    }

    /// Sends a request, and the person through its pages to its answer.
    pub(crate) async fn asks(&self, other: &[(&str, &str)]) -> Trip {
        let request = self.request(other);
        self.travels(self.browser.opens(&Self::path(&request)).await, &request).await
    }

    /// Sends the person from this answer to a request on to the client. Checks what every module checks of an answer:
    /// the way in which it comes, `state` and `iss`.
    pub(crate) async fn travels(&self, mut answer: Answer, request: &[(String, String)]) -> Trip {
        let mut logins = 0;
        while let Some(path) = leads_within(&answer) {
            if path.starts_with("/login") {
                logins += 1;
                answer = self.browser.logs_in_at(&path, &self.ada.username, &self.ada.password).await;
            } else if path.starts_with("/consent") {
                let page = self.browser.opens(&path).await.is(200);
                answer = self.browser.sends(&page, "/consent", &[("answer", "allow")]).await;
            } else {
                answer = self.browser.opens(&path).await;
            }
            assert!(logins < 3, "{answer:?}");
        }
        let given = self.arrives(&answer);
        let sent = |name: &str| request.iter().find(|(given, _)| given == name).map(|(_, value)| value.clone());
        let trip = Trip { logins, nonce: sent("nonce"), answer: given };
        assert_eq!(trip.member("state").map(str::to_owned), sent("state"), "{trip:?}");
        assert_eq!(trip.member("iss"), Some(self.signet.issuer.as_str()), "{trip:?}");
        trip
    }

    /// The parameters of an answer, which comes as the plan's response mode says and in no other way.
    fn arrives(&self, answer: &Answer) -> Vec<(String, String)> {
        let parameters = match self.mode {
            Mode::Default => {
                let address = location(answer);
                assert_eq!(address.split('?').next(), Some(CALLBACK), "{address}");
                assert!(!address.contains('#'), "{address}");
                query(&address)
            }
            Mode::FormPost => {
                assert_eq!((answer.header("location"), answer.header("refresh")), ("", ""), "{answer:?}");
                // The form has no query of its own, and a browser sends it as application/x-www-form-urlencoded.
                let form = format!("<form id=\"form-post\" method=\"post\" action=\"{CALLBACK}\">");
                assert!(answer.text().contains(&form), "{answer:?}");
                hidden(&answer.text(), CALLBACK)
            }
        };
        assert!(answer.header("cache-control").contains("no-store"), "{answer:?}");
        let mut names: Vec<&String> = parameters.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), parameters.len(), "each comes once: {parameters:?}");
        parameters
    }

    /// A whole login with the checks of `oidcc-server`.
    pub(crate) async fn logs_in(&self, other: &[(&str, &str)]) -> Login {
        self.completes(self.asks(other).await).await
    }

    /// Redeems the code of a trip, and checks the tokens and userinfo.
    pub(crate) async fn completes(&self, trip: Trip) -> Login {
        let answer = self.redeems(trip.code()).await;
        self.judges(trip, answer).await
    }

    /// Redeems a code, as a client that authenticates with Basic.
    pub(crate) async fn redeems(&self, code: &str) -> Answer {
        let form = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK)];
        self.client.posts(&self.signet.site, "/oauth/token", &form).await
    }

    /// The checks of a token response, its ID token, and userinfo.
    pub(crate) async fn judges(&self, trip: Trip, answer: Answer) -> Login {
        let tokens = is_token_response(answer);
        let claims = self.is_id_token(&tokens).await;
        assert_eq!(claims.get("nonce").and_then(Value::as_str), trip.nonce.as_deref(), "{claims}");
        let user = self.signet.site.user_info(text(&tokens, "access_token")).await.is(200).json();
        assert_eq!((&user["sub"], &claims["sub"]), (&json!(self.ada.id), &json!(self.ada.id)), "{user}");
        let code = trip.code().to_owned();
        Login { logins: trip.logins, code, tokens, claims, user }
    }

    /// The claims of the ID token of a token response (OIDC Core §3.1.3.7, §3.1.3.8).
    pub(crate) async fn is_id_token(&self, tokens: &Value) -> Value {
        let token = text(tokens, "id_token");
        assert_eq!(jwt::header(token)["alg"], "RS256");
        self.is_signed(token).await;
        let claims = jwt::claims(token);
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!(self.signet.issuer), &json!(self.client.id)), "{claims}");
        let now = self.signet.clock.now().timestamp();
        let time = |name: &str| claims[name].as_i64().unwrap_or_else(|| panic!("no {name}: {claims}"));
        assert!(time("iat") <= now && now < time("exp") && time("auth_time") <= now, "{claims}");
        assert!((1..256).contains(&text(&claims, "sub").len()), "{claims}");
        let hash = digest(&SHA256, text(tokens, "access_token").as_bytes());
        assert_eq!(text(&claims, "at_hash"), URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]), "{claims}");
        claims
    }

    /// The token is signed with the published key that its header names.
    pub(crate) async fn is_signed(&self, token: &str) {
        let header = jwt::header(token);
        let keys = self.signet.site.get("/.well-known/jwks.json").answer().await.is(200).json();
        let same: Vec<&Value> =
            keys["keys"].as_array().expect("keys").iter().filter(|key| key["kid"] == header["kid"]).collect();
        let [key] = same[..] else { panic!("one key has this kid: {header}: {keys}") };
        let algorithm: Algorithm = text(&header, "alg").parse().expect("an algorithm");
        let key: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.clone()).expect("a JWK");
        let key = DecodingKey::from_jwk(&key).expect("a key");
        let (input, signature) = token.rsplit_once('.').expect("a JWT");
        assert!(crypto::verify(signature, input.as_bytes(), &key, algorithm).expect("it can be judged"), "{token}");
    }
}

impl Trip {
    fn member(&self, name: &str) -> Option<&str> {
        self.answer.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// The code of a successful answer.
    #[track_caller]
    pub(crate) fn code(&self) -> &str {
        assert_eq!(self.member("error"), None, "{self:?}");
        self.member("code").unwrap_or_else(|| panic!("no code: {self:?}"))
    }

    /// Asserts an error of one of these codes, as RFC 6749 §4.1.2.1 has it, and that nobody had to log in for it.
    #[track_caller]
    pub(crate) fn is_refused(&self, codes: &[&str]) {
        let error = self.member("error").unwrap_or_else(|| panic!("no error: {self:?}"));
        assert!(codes.contains(&error) && self.logins == 0, "{codes:?}: {self:?}");
        let usual = ["error", "error_description", "state", "iss"];
        assert!(self.answer.iter().all(|(name, _)| usual.contains(&name.as_str())), "{self:?}");
        is_description(self.member("error_description").unwrap_or_default());
    }
}

/// The body of a token response (RFC 6749 §5.1).
#[track_caller]
pub(crate) fn is_token_response(answer: Answer) -> Value {
    assert!(answer.header("content-type").starts_with("application/json"), "{answer:?}");
    let json = answer.json();
    let tokens = answer.granted();
    assert!(tokens.expires_in > 0 && tokens.access.bytes().all(|byte| byte.is_ascii_graphic()), "{json}");
    json
}

/// A token error of RFC 6749 §5.2 in the characters that it allows.
#[track_caller]
pub(crate) fn is_token_error(answer: Answer, error: &str) {
    is_description(&answer.string("error_description"));
    answer.refused(error);
}

/// `error_description` has printable ASCII but `"` and `\` (RFC 6749 §4.1.2.1, §5.2).
#[track_caller]
fn is_description(text: &str) {
    let allowed = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
    assert!(text.bytes().all(allowed), "{text:?}");
}

/// A member that is a string.
#[track_caller]
pub(crate) fn text<'a>(json: &'a Value, member: &str) -> &'a str {
    json[member].as_str().unwrap_or_else(|| panic!("no {member}: {json}"))
}

/// Where an answer leads within the service, if it does.
fn leads_within(answer: &Answer) -> Option<String> {
    (answer.status == 303).then(|| answer.header("location").to_owned()).filter(|path| path.starts_with('/'))
}

/// Runs the checks of each module in the response modes of the Basic OP and the Form Post OP plans.
macro_rules! modules {
    ($($module:ident),* $(,)?) => {
        $(mod $module {
            #[tokio::test(flavor = "multi_thread")]
            async fn in_both_response_modes() {
                $crate::harness::conformance::run(super::$module).await;
            }
        })*
    };
}

pub(crate) use modules;
