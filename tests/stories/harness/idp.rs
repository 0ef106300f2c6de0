//! A local identity provider, which is honest until a story scripts it otherwise.

use std::sync::{Arc, Mutex, MutexGuard};

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures_util::stream;
use poem::{
    Body, Endpoint, Request, Response, Server,
    http::StatusCode,
    listener::{Acceptor, Listener, TcpListener},
};
use serde_json::{Value, json};
use signet::testing::{Clock, digest};
use tokio::{sync::Barrier, task::JoinHandle};
use url::form_urlencoded;

use super::{
    TestApp,
    browser_session::{BrowserSession, location, parameter, refresh},
    clock::StoryClock,
    site::Answer,
    test_env::TestEnvBuilder,
};

/// Our client id and secret at the provider.
const CLIENT: &str = "our-client";
const SECRET: &str = "a secret+with/odd:signs";
/// The only code that it issues.
const CODE: &str = "SplxlOBeZQQYbYS6WxSbIA";

/// The key and algorithm that sign an ID token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signer {
    /// The published key.
    Own,
    /// Another key, with the `kid` of the published one.
    Forger,
    /// No signature (`alg: none`).
    Nobody,
    /// HS256 with the text of the published key.
    PublicKey,
}

/// The behaviour of the token or user-info endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Conduct {
    /// Follows the specification.
    Good,
    /// Answers with this status and body.
    Says(u16, &'static str),
    /// Redirects the request.
    Leads(String),
    /// Never answers.
    Hangs,
    /// Answers without end.
    Floods,
}

/// The provider's script.
#[derive(Debug)]
pub(crate) struct Script {
    /// Claims that replace those of the ID token; `null` removes one.
    pub(crate) claims: Value,
    /// The same for the ID token's header.
    pub(crate) header: Value,
    /// The same for the metadata.
    pub(crate) metadata: Value,
    /// Claims of the user-info endpoint, added to `sub` or replacing it.
    pub(crate) userinfo: Value,
    /// The list of email addresses, in GitHub's format.
    pub(crate) emails: Value,
    pub(crate) signer: Signer,
    pub(crate) token: Conduct,
    /// The same for a good token answer.
    pub(crate) token_answer: Value,
    /// The status and media type of a good token answer; as a form, if that is the type.
    pub(crate) token_type: (u16, &'static str),
    /// A barrier that the token endpoint passes twice before it answers.
    pub(crate) gate: Option<Arc<Barrier>>,
    /// The path of each request, in order.
    pub(crate) asked: Vec<String>,
    keys: Vec<(String, Arc<EcdsaKeyPair>)>,
    nonce: String,
    challenge: String,
    /// Whether `auth_time` was asked for, by `max_age`.
    says_when: bool,
    clock: Option<StoryClock>,
}

/// The provider.
#[derive(Debug)]
pub(crate) struct Idp {
    script: Arc<Mutex<Script>>,
    port: u16,
    server: JoinHandle<()>,
}

fn key() -> Arc<EcdsaKeyPair> {
    Arc::new(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"))
}

impl Idp {
    /// Starts a provider at which Ada logs in.
    pub(crate) async fn opens() -> Self {
        let script = Script {
            claims: json!({}),
            header: json!({}),
            metadata: json!({}),
            userinfo: json!({}),
            emails: json!([]),
            signer: Signer::Own,
            token: Conduct::Good,
            token_answer: json!({}),
            token_type: (200, "application/json"),
            gate: None,
            asked: Vec::new(),
            keys: vec![("first".to_owned(), key())],
            nonce: String::new(),
            challenge: String::new(),
            says_when: false,
            clock: None,
        };
        let script = Arc::new(Mutex::new(script));
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.expect("a free port");
        let port = acceptor.local_addr()[0].as_socket_addr().expect("a TCP address").port();
        let endpoint = ProviderEndpoint { script: Arc::clone(&script), issuer: format!("http://127.0.0.1:{port}") };
        let server = tokio::spawn(async move {
            Server::new_with_acceptor(acceptor).run(endpoint).await.expect("it serves as long as the story lasts");
        });
        Self { script, port, server }
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Configures it as the provider `name` of this kind.
    pub(crate) fn configure(&self, builder: TestEnvBuilder, name: &str, kind: &str) -> TestEnvBuilder {
        let at = |path: &str| format!("{}{path}", self.issuer());
        let set =
            |builder: TestEnvBuilder, key: &str, value: &str| builder.set(&format!("providers.{name}.{key}"), value);
        let builder = [("kind", kind), ("client_id", CLIENT), ("client_secret", SECRET)]
            .into_iter()
            .fold(builder, |builder, (key, value)| set(builder, key, value));
        match kind {
            "github" | "facebook" => {
                let builder = set(builder, "authorize_url", &at("/authorize"));
                set(set(builder, "token_url", &at("/token")), "userinfo_url", &at("/userinfo"))
            }
            _ => set(builder, "issuer", &self.issuer()),
        }
    }

    /// Starts an app with this provider configured as `idp`.
    pub(crate) async fn open_app(&self, builder: TestEnvBuilder) -> TestApp {
        let signet = self.configure(builder, "idp", "oidc").open().await;
        self.keeps_time_with(&signet);
        signet
    }

    /// Uses the clock of this app.
    pub(crate) fn keeps_time_with(&self, signet: &TestApp) {
        self.script().clock = Some(signet.clock.clone());
    }

    /// The provider's script.
    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("nobody fails while writing it")
    }

    /// How often a path was asked for.
    pub(crate) fn asked_for(&self, path: &str) -> usize {
        self.script().asked.iter().filter(|asked| *asked == path).count()
    }

    /// Rotates the signing key, and publishes the new one alone.
    pub(crate) fn changes_keys(&self) {
        self.script().keys = vec![("second".to_owned(), key())];
    }

    /// Logs the user in at the provider. Returns the URL that the browser is sent back to.
    #[track_caller]
    pub(crate) fn logs_in(&self, address: &str) -> String {
        let (endpoint, _) = address.split_once('?').expect("a request");
        assert_eq!(endpoint, format!("{}/authorize", self.issuer()));
        assert_eq!(parameter(address, "response_type"), "code");
        assert_eq!(parameter(address, "client_id"), CLIENT);
        assert_eq!(parameter(address, "code_challenge_method"), "S256");
        assert_eq!(parameter(address, "state").len(), 43);
        let mut script = self.script();
        script.nonce = parameter(address, "nonce");
        script.challenge = parameter(address, "code_challenge");
        script.says_when = parameter(address, "max_age") == "0";
        let issuer = self.issuer();
        let answer = [("code", CODE), ("state", &parameter(address, "state")), ("iss", &issuer)];
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(answer).finish();
        format!("{}?{query}", parameter(address, "redirect_uri"))
    }

    /// Presses the provider's button on this page, logs in there and returns.
    pub(crate) async fn brings_back(&self, session_browser: &BrowserSession, page: &Answer, name: &str) -> Answer {
        let back = self.logs_in(&presses(session_browser, page, name).await);
        session_browser.opens(&back).await
    }

    /// Opens the login page, and logs in with this provider.
    pub(crate) async fn lets_in(&self, session_browser: &BrowserSession) -> Answer {
        let page = session_browser.opens("/login").await.is(200);
        self.brings_back(session_browser, &page, "idp").await
    }
}

impl Drop for Idp {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Presses a provider's button. Returns the URL that the browser is sent to.
pub(crate) async fn presses(session_browser: &BrowserSession, page: &Answer, name: &str) -> String {
    leaves(&session_browser.sends(page, &format!("/federation/{name}"), &[]).await)
}

/// The target of a page's `Refresh`.
#[track_caller]
pub(crate) fn leaves(answer: &Answer) -> String {
    if answer.status == 303 {
        return location(answer);
    }
    assert_eq!(answer.status, 200, "{answer:?}");
    refresh(answer).unwrap_or_else(|| panic!("it leads nowhere: {answer:?}"))
}

struct ProviderEndpoint {
    script: Arc<Mutex<Script>>,
    issuer: String,
}

impl Endpoint for ProviderEndpoint {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let path = request.uri().path().to_owned();
        let body = request.take_body().into_string().await.unwrap_or_default();
        let (conduct, gate) = {
            let mut script = self.script.lock().expect("nobody fails while writing it");
            script.asked.push(path.clone());
            (script.token.clone(), script.gate.clone())
        };
        if let Some(gate) = gate.filter(|_| path == "/token") {
            gate.wait().await;
            gate.wait().await;
        }
        let json = match path.as_str() {
            "/.well-known/openid-configuration" => self.metadata(),
            "/jwks" => json!({"keys": self.with(|script| script.keys.iter().map(public).collect::<Vec<_>>())}),
            "/token" => match conduct {
                Conduct::Good => {
                    let answer = self.token(&request, &body);
                    let (answer, (status, kind)) =
                        self.with(|script| (edited(answer, &script.token_answer), script.token_type));
                    let body = if kind.contains("form") { as_form(&answer) } else { answer.to_string() };
                    let status = StatusCode::from_u16(status).expect("a status");
                    return Ok(Response::builder().status(status).content_type(kind).body(body));
                }
                Conduct::Says(status, body) => return Ok(says(status, body)),
                Conduct::Leads(to) => {
                    return Ok(Response::builder()
                        .status(StatusCode::TEMPORARY_REDIRECT)
                        .header("location", to)
                        .finish());
                }
                Conduct::Hangs => std::future::pending().await,
                Conduct::Floods => {
                    let chunk = || Ok::<_, std::io::Error>(vec![b' '; 65536]);
                    // A gibibyte, without a Content-Length.
                    let flood = stream::iter((0..16384).map(move |_| chunk()));
                    return Ok(Response::builder()
                        .content_type("application/json")
                        .body(Body::from_bytes_stream(flood)));
                }
            },
            "/userinfo" => self.with(|script| {
                let sub = script.claims.get("sub").cloned().unwrap_or_else(|| json!("ada-at-idp"));
                edited(json!({ "sub": sub }), &script.userinfo)
            }),
            "/userinfo/emails" => self.with(|script| script.emails.clone()),
            _ => return Ok(says(404, "{}")),
        };
        Ok(Response::builder().content_type("application/json").body(json.to_string()))
    }
}

fn says(status: u16, body: &'static str) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    Response::builder().status(status).content_type("application/json").body(body)
}

fn as_form(answer: &Value) -> String {
    let members = answer.as_object().expect("an object").iter();
    let pairs = members.map(|(name, value)| (name, value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn public((kid, key): &(String, Arc<EcdsaKeyPair>)) -> Value {
    let point = key.public_key().as_ref();
    let [x, y] = [&point[1..33], &point[33..]].map(|half| BASE64_URL_SAFE_NO_PAD.encode(half));
    json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid, "x": x, "y": y})
}

fn edited(mut whole: Value, edit: &Value) -> Value {
    let members = whole.as_object_mut().expect("an object");
    for (name, value) in edit.as_object().expect("an object") {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    whole
}

impl ProviderEndpoint {
    fn with<T>(&self, look: impl FnOnce(&Script) -> T) -> T {
        look(&self.script.lock().expect("nobody fails while writing it"))
    }

    fn metadata(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        let honest = json!({
            "issuer": self.issuer, "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"),
            "userinfo_endpoint": at("/userinfo"), "jwks_uri": at("/jwks"),
            "authorization_response_iss_parameter_supported": true,
        });
        self.with(|script| edited(honest, &script.metadata))
    }

    /// The token endpoint. It checks the client's credentials, the code and the PKCE verifier.
    fn token(&self, request: &Request, body: &str) -> Value {
        let form: Vec<(String, String)> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let field = |name: &str| form.iter().find(|(given, _)| given == name).map_or("", |(_, value)| value.as_str());
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let basic = format!("{}:{}", encoded(CLIENT), encoded(SECRET));
        let basic = format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(basic));
        let proved = request.headers().get("authorization").is_some_and(|given| given == basic.as_str())
            || (field("client_id") == CLIENT && field("client_secret") == SECRET);
        let verifier = BASE64_URL_SAFE_NO_PAD.encode(digest::sha256(field("code_verifier").as_bytes()));
        if !proved || field("code") != CODE || verifier != self.with(|script| script.challenge.clone()) {
            return json!({"error": "invalid_grant"});
        }
        json!({"access_token": "at", "token_type": "Bearer", "id_token": self.id_token()})
    }

    fn id_token(&self) -> String {
        self.with(|script| {
            let now = script.clock.as_ref().expect("it goes by a clock").now().timestamp();
            let claims = json!({
                "iss": self.issuer, "sub": "ada-at-idp", "aud": CLIENT, "nonce": script.nonce, "iat": now, "exp": now + 300,
                "preferred_username": "ada",
            });
            let claims = if script.says_when { edited(claims, &json!({"auth_time": now})) } else { claims };
            let (kid, key) = &script.keys[0];
            let alg = match script.signer {
                Signer::Own | Signer::Forger => "ES256",
                Signer::Nobody => "none",
                Signer::PublicKey => "HS256",
            };
            let header = edited(json!({"alg": alg, "kid": kid, "typ": "JWT"}), &script.header);
            let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
            let input = format!("{}.{}", part(&header), part(&edited(claims, &script.claims)));
            let by = |key: &EcdsaKeyPair| {
                let signature = key.sign(&SystemRandom::new(), input.as_bytes()).expect("it signs");
                BASE64_URL_SAFE_NO_PAD.encode(signature)
            };
            let signature = match script.signer {
                Signer::Own => by(key),
                Signer::Forger => by(&self::key()),
                Signer::Nobody => String::new(),
                Signer::PublicKey => {
                    let secret = public(&script.keys[0]).to_string();
                    let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
                    BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&secret, input.as_bytes()))
                }
            };
            format!("{input}.{signature}")
        })
    }
}
