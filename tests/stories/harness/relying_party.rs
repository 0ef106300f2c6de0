//! A client of the authorization code flow.

use url::form_urlencoded;

use super::{
    Person, TestApp,
    browser_session::{BrowserSession, location, parameter, query},
    site::{Answer, Site, Tokens},
    test_env::{Client, TestEnv},
};

/// The redirect URI. Nothing listens there: stories read the `Location` instead.
pub(crate) const CALLBACK: &str = "https://app.example.com/callback";
/// The example of RFC 7636, appendix B.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// The `state` that every answer must carry.
pub(crate) const STATE: &str = "af0ifjsldkj &=?#/+%\"<é";
pub(crate) const NONCE: &str = "n-0S6_WzA2Mj";

/// A client with its redirect URI.
#[derive(Debug, Clone)]
pub(crate) struct RelyingParty {
    pub(crate) client: Client,
    pub(crate) redirect_uri: String,
    issuer: String,
    site: Site,
}

impl RelyingParty {
    /// A confidential third-party client with the scopes of OpenID.
    pub(crate) async fn registers(signet: &TestApp) -> Self {
        Self::registers_with(signet, &[]).await
    }

    /// A first-party client, which needs no consent.
    pub(crate) async fn registers_first_party(signet: &TestApp) -> Self {
        Self::registers_with(signet, &["--first-party"]).await
    }

    /// As above, with more options of `signet client create`.
    pub(crate) async fn registers_with(signet: &TestApp, options: &[&str]) -> Self {
        let usual = ["--name", "Lighthouse", "--redirect-uri", CALLBACK, "--grant", "authorization_code", "--grant"];
        let scopes = ["refresh_token", "--scope", "openid", "--scope", "profile", "--scope", "email", "--scope"];
        let client = signet.registers_client(&[&usual[..], &scopes[..], &["offline_access"], options].concat()).await;
        Self::of(signet, client, CALLBACK)
    }

    /// A client that is registered already.
    pub(crate) fn of(signet: &TestApp, client: Client, redirect_uri: &str) -> Self {
        let (issuer, site) = (signet.issuer.clone(), signet.site.clone());
        Self { client, redirect_uri: redirect_uri.to_owned(), issuer, site }
    }

    /// The parameters of a good request.
    pub(crate) fn request(&self) -> Vec<(&str, &str)> {
        vec![
            ("response_type", "code"),
            ("client_id", &self.client.id),
            ("redirect_uri", &self.redirect_uri),
            ("scope", "openid profile email offline_access"),
            ("state", STATE),
            ("nonce", NONCE),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ]
    }

    /// The parameters of a good request that a public client pushes: its id is added where it is sent.
    pub(crate) fn pushed(&self) -> Vec<(&str, &str)> {
        self.request().into_iter().filter(|(name, _)| *name != "client_id").collect()
    }

    /// The path of a request with some parameters replaced; an empty value removes one.
    pub(crate) fn link(&self, other: &[(&str, &str)]) -> String {
        let mut all: Vec<(&str, &str)> = self.request();
        all.retain(|(name, _)| !other.iter().any(|(changed, _)| changed == name));
        all.extend(other.iter().filter(|(_, value)| !value.is_empty()));
        format!("/oauth/authorize?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish())
    }

    /// The parameters of an answer to the client. Asserts its redirect URI, `iss` and `state`.
    #[track_caller]
    pub(crate) fn parameters_of(&self, answer: &Answer) -> Vec<(String, String)> {
        let location = location(answer);
        let (address, _) = location.split_once('?').unwrap_or_else(|| panic!("no answer: {location}"));
        // The answer is added to the query of the redirect URI, if it has one.
        assert_eq!(Some(address), self.redirect_uri.split('?').next(), "{location}");
        assert!(location.starts_with(&self.redirect_uri), "{location}");
        assert_eq!(parameter(&location, "iss"), self.issuer, "{location}");
        assert_eq!(parameter(&location, "state"), STATE, "{location}");
        query(&location)
    }

    /// The client is parameters this error, and given nothing.
    #[track_caller]
    pub(crate) fn is_refused(&self, answer: &Answer, error: &str) {
        let parameters = self.parameters_of(answer);
        assert!(parameters.contains(&("error".to_owned(), error.to_owned())), "{error}: {parameters:?}");
        assert!(!parameters.iter().any(|(name, _)| name == "code"), "{parameters:?}");
    }

    /// Asserts that the client receives a code, and returns it.
    #[track_caller]
    pub(crate) fn is_given_a_code(&self, answer: &Answer) -> String {
        let parameters = self.parameters_of(answer);
        let code = parameters.iter().find(|(name, _)| name == "code");
        code.unwrap_or_else(|| panic!("no code: {parameters:?}")).1.clone()
    }

    /// Logs `person` in, in this browser, and consents if asked. Returns the code.
    pub(crate) async fn gets_a_code(&self, session_browser: &BrowserSession, person: &Person) -> String {
        self.gets_a_code_for(session_browser, person, &[]).await
    }

    /// As above, for another request.
    pub(crate) async fn gets_a_code_for(
        &self,
        session_browser: &BrowserSession,
        person: &Person,
        other: &[(&str, &str)],
    ) -> String {
        let mut answer = session_browser.opens(&self.link(other)).await;
        if location(&answer).starts_with("/login") {
            answer = session_browser.logs_in_at(&location(&answer), &person.username, &person.password).await;
        }
        if location(&answer).starts_with("/consent") {
            let page = session_browser.follows(&answer).await.is(200);
            answer = session_browser.sends(&page, "/consent", &[("answer", "allow")]).await;
        }
        self.is_given_a_code(&answer)
    }

    /// Exchanges a code, with some parameters changed.
    pub(crate) async fn redeems_with(&self, code: &str, other: &[(&str, &str)]) -> Answer {
        let usual = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", VERIFIER),
        ];
        let mut all: Vec<(&str, &str)> = usual.to_vec();
        all.retain(|(name, _)| !other.iter().any(|(changed, _)| changed == name));
        all.extend(other.iter().filter(|(_, value)| !value.is_empty()));
        self.client.posts(&self.site, "/oauth/token", &all).await
    }

    pub(crate) async fn redeems(&self, code: &str) -> Answer {
        self.redeems_with(code, &[]).await
    }

    pub(crate) async fn logs_in(&self, session_browser: &BrowserSession, person: &Person) -> (Tokens, String) {
        let code = self.gets_a_code(session_browser, person).await;
        let answer = self.redeems(&code).await;
        let id_token = answer.string("id_token");
        (answer.granted(), id_token)
    }
}

/// Registers a public client with this redirect URI.
pub(crate) async fn registers_public(env: &TestEnv, redirect_uri: &str) -> Client {
    let options = ["--name", "Native", "--public", "--redirect-uri", redirect_uri, "--grant", "authorization_code"];
    env.registers_client(&[&options[..], &["--scope", "openid"]].concat()).await
}
