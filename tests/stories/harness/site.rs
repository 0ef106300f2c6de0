//! The service as a client sees it: a URL for requests, and assertions on the answers.

use std::{
    sync::{Arc, RwLock},
    time::Duration,
};

use reqwest::{Client, Method, RequestBuilder, header::HeaderMap, redirect};
use serde_json::Value;

/// The HTTP client of all stories: it has a time-out, and follows no redirects.
pub(crate) fn http() -> reqwest::ClientBuilder {
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .connect_timeout(Duration::from_secs(10))
        .timeout(Duration::from_mins(1))
}

/// The base URL of a service. Clones share changes of it.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    base: Arc<RwLock<String>>,
    client: Client,
}

impl Site {
    /// The site at `base`, an origin without a trailing slash.
    pub(crate) fn at(base: impl Into<String>) -> Self {
        Self::through(http().build().expect("nothing in it can fail"), base)
    }

    /// The site at `base`, with another HTTP client.
    pub(crate) fn through(client: Client, base: impl Into<String>) -> Self {
        Self { base: Arc::new(RwLock::new(base.into())), client }
    }

    pub(crate) fn base(&self) -> String {
        self.base.read().expect("nobody fails while writing it").clone()
    }

    /// The host and port, of a site without TLS.
    pub(crate) fn authority(&self) -> String {
        self.base().strip_prefix("http://").expect("no TLS here").to_owned()
    }

    /// Changes the base URL.
    pub(crate) fn moves_to(&self, base: impl Into<String>) {
        *self.base.write().expect("nobody fails while writing it") = base.into();
    }

    /// A request, to be sent with [`Ask::answer`].
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base()))
    }

    /// A GET request.
    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// A GET request with a query.
    pub(crate) fn get_with(&self, path: &str, query: &[(&str, &str)]) -> RequestBuilder {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        self.get(&format!("{path}?{query}"))
    }

    /// A POST request.
    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    /// A request to the token endpoint.
    pub(crate) fn token(&self, form: &[(&str, &str)]) -> RequestBuilder {
        self.post("/oauth/token").form(form)
    }

    /// The claims of `token`, as the service's own user-info endpoint takes or refuses it.
    pub(crate) async fn user_info(&self, token: &str) -> Answer {
        self.get("/oauth/userinfo").bearer_auth(token).answer().await
    }
}

/// Sends a request.
pub(crate) trait Ask {
    /// Sends the request and reads the whole answer. Asserts that it carries a request id.
    async fn answer(self) -> Answer;
}

impl Ask for RequestBuilder {
    async fn answer(self) -> Answer {
        let response = self.send().await.expect("the service answers");
        let answer = Answer {
            status: response.status().as_u16(),
            url: response.url().path().to_owned(),
            headers: response.headers().clone(),
            body: response.bytes().await.expect("the answer is whole").to_vec(),
        };
        assert!(answer.headers.contains_key("x-request-id"), "an answer without X-Request-Id: {answer:?}");
        answer
    }
}

/// An HTTP answer.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    url: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {:?}\n{}", self.status, self.url, self.headers, self.text())
    }
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; the answer must say that it is.
    pub(crate) fn json(&self) -> Value {
        let kind = self.header("content-type");
        assert!(kind.contains("json"), "not JSON: {self:?}");
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A member of the JSON body that is a string.
    pub(crate) fn string(&self, member: &str) -> String {
        self.json()[member].as_str().unwrap_or_else(|| panic!("no {member}: {self:?}")).to_owned()
    }

    /// All header fields.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// A header field, or the empty string.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The names of the header fields, sorted.
    pub(crate) fn fields(&self) -> Vec<String> {
        let mut names: Vec<String> = self.headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    }

    /// Asserts the status.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Asserts a status of 400 to 499.
    #[track_caller]
    pub(crate) fn blames_the_sender(self) -> Self {
        assert!((400..500).contains(&self.status), "{self:?}");
        self
    }

    /// Asserts a problem document (RFC 9457) with this status and code.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, code: &str) -> Self {
        let answer = self.some_problem(status);
        assert_eq!(answer.json()["code"], code, "{answer:?}");
        answer
    }

    /// Asserts a problem document (RFC 9457) with this status.
    #[track_caller]
    pub(crate) fn some_problem(self, status: u16) -> Self {
        let answer = self.is(status);
        assert!(answer.header("content-type").starts_with("application/problem+json"), "{answer:?}");
        assert!(answer.json()["code"].is_string(), "{answer:?}");
        answer
    }

    /// Asserts that `errors[]` names this field.
    #[track_caller]
    pub(crate) fn blames(self, field: &str) -> Self {
        let answer = self.blames_the_sender();
        assert!(answer.header("content-type").starts_with("application/problem+json"), "{answer:?}");
        assert!(answer.blamed().iter().any(|blamed| blamed == field), "{field} is not blamed: {answer:?}");
        answer
    }

    /// The fields that `errors[]` names; each entry has a message.
    fn blamed(&self) -> Vec<String> {
        let json = self.json();
        let errors = json["errors"].as_array().unwrap_or_else(|| panic!("no errors: {self:?}"));
        assert!(errors.iter().all(|error| error["message"].is_string()), "{self:?}");
        errors.iter().filter_map(|error| error["field"].as_str().map(str::to_owned)).collect()
    }

    /// Asserts an uncacheable OAuth error (RFC 6749 §5.2) with this status and code.
    #[track_caller]
    pub(crate) fn oauth_error(self, status: u16, error: &str) -> Self {
        let answer = self.is(status);
        assert_eq!(answer.json()["error"], error, "{answer:?}");
        assert!(answer.header("content-type").starts_with("application/json"), "{answer:?}");
        assert!(answer.header("cache-control").contains("no-store"), "{answer:?}");
        answer
    }

    /// Asserts this error of the token endpoint: 401 for `invalid_client`, else 400.
    #[track_caller]
    pub(crate) fn refused(self, error: &str) {
        let status = if error == "invalid_client" { 401 } else { 400 };
        self.oauth_error(status, error);
    }

    /// Asserts a token response, and returns its tokens.
    #[track_caller]
    pub(crate) fn granted(self) -> Tokens {
        let answer = self.is(200);
        assert!(answer.header("cache-control").contains("no-store"), "{answer:?}");
        let json = answer.json();
        assert_eq!(json["token_type"], "Bearer", "{answer:?}");
        Tokens {
            access: answer.string("access_token"),
            refresh: json["refresh_token"].as_str().unwrap_or_default().to_owned(),
            expires_in: json["expires_in"].as_i64().expect("a number"),
            scope: json["scope"].as_str().unwrap_or_default().to_owned(),
        }
    }

    /// Asserts that introspection answers `active: false` and nothing else (RFC 7662 §2.2).
    #[track_caller]
    pub(crate) fn inactive(self) {
        let answer = self.is(200);
        assert_eq!(answer.text(), r#"{"active":false}"#, "{answer:?}");
    }

    /// Asserts that introspection answers `active: true`, and returns the whole answer.
    #[track_caller]
    pub(crate) fn active(self) -> Value {
        let answer = self.is(200);
        let json = answer.json();
        assert_eq!(json["active"], true, "{answer:?}");
        json
    }

    /// Asserts that a resource refused the bearer token with this error (RFC 6750 §3).
    #[track_caller]
    pub(crate) fn challenges(self, status: u16, error: &str) {
        let answer = self.is(status);
        let challenge = answer.header("www-authenticate");
        assert!(challenge.starts_with("Bearer"), "{answer:?}");
        assert!(challenge.contains(&format!("error=\"{error}\"")), "{answer:?}");
    }

    /// Asserts a challenge without an error code: the resource saw no token (RFC 6750 §3.1).
    #[track_caller]
    pub(crate) fn asks_for_a_token(self) {
        let answer = self.is(401);
        let challenge = answer.header("www-authenticate");
        assert!(challenge.starts_with("Bearer") && !challenge.contains("error"), "{answer:?}");
    }

    /// Asserts a 503 with `Retry-After`.
    #[track_caller]
    pub(crate) fn unavailable(self) -> Self {
        let answer = self.is(503);
        assert!(answer.header("retry-after").parse::<u32>().is_ok(), "{answer:?}");
        answer
    }
}

/// The tokens of a token response.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    /// Empty if there is none.
    pub(crate) refresh: String,
    pub(crate) expires_in: i64,
    pub(crate) scope: String,
}

impl Tokens {
    /// The scope as a set.
    pub(crate) fn scopes(&self) -> Vec<&str> {
        let mut scopes: Vec<&str> = self.scope.split(' ').collect();
        scopes.sort_unstable();
        scopes
    }
}
