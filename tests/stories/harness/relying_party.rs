//! A client of the code flow: what it asks for, and what it does with the answer.

use url::form_urlencoded;

use super::{
    Person, TestApp,
    browser_session::{BrowserSession, location, parameter, query},
    site::{Answer, Site, Tokens},
    test_env::{Client, TestEnv},
};

/// Where codes go. Nobody is there: the stories read the address that the browser is sent to.
pub(crate) const CALLBACK: &str = "https://app.example.com/callback";
/// The example of RFC 7636, appendix B.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// What an answer must bring back.
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

    /// The operator's own, which asks nobody for consent.
    pub(crate) async fn registers_first_party(signet: &TestApp) -> Self {
        Self::registers_with(signet, &["--first-party"]).await
    }

    /// The same with more options of `signet client create`.
    pub(crate) async fn registers_with(signet: &TestApp, options: &[&str]) -> Self {
        let usual = ["--name", "Lighthouse", "--redirect-uri", CALLBACK, "--grant", "authorization_code", "--grant"];
        let scopes = ["refresh_token", "--scope", "openid", "--scope", "profile", "--scope", "email", "--scope"];
        let client = signet.registers_client(&[&usual[..], &scopes[..], &["offline_access"], options].concat()).await;
        Self::of(signet, client, CALLBACK)
    }

    /// One that is registered already.
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

    /// The path of a request, some of whose parameters are others; an empty one is left out.
    pub(crate) fn link(&self, other: &[(&str, &str)]) -> String {
        let mut all: Vec<(&str, &str)> = self.request();
        all.retain(|(name, _)| !other.iter().any(|(changed, _)| changed == name));
        all.extend(other.iter().filter(|(_, value)| !value.is_empty()));
        format!("/oauth/authorize?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish())
    }

    /// What an answer that goes to the client tells it. It says whose it is, and brings the state back.
    #[track_caller]
    pub(crate) fn is_told(&self, answer: &Answer) -> Vec<(String, String)> {
        let location = location(answer);
        let (address, _) = location.split_once('?').unwrap_or_else(|| panic!("no answer: {location}"));
        assert_eq!(address, self.redirect_uri, "{location}");
        assert_eq!(parameter(&location, "iss"), self.issuer, "{location}");
        assert_eq!(parameter(&location, "state"), STATE, "{location}");
        query(&location)
    }

    /// The client is told this error, and given nothing.
    #[track_caller]
    pub(crate) fn is_refused(&self, answer: &Answer, error: &str) {
        let told = self.is_told(answer);
        assert!(told.contains(&("error".to_owned(), error.to_owned())), "{error}: {told:?}");
        assert!(!told.iter().any(|(name, _)| name == "code"), "{told:?}");
    }

    /// The client is given a code.
    #[track_caller]
    pub(crate) fn is_given_a_code(&self, answer: &Answer) -> String {
        let told = self.is_told(answer);
        let code = told.iter().find(|(name, _)| name == "code");
        code.unwrap_or_else(|| panic!("no code: {told:?}")).1.clone()
    }

    /// Has `person` log in in this browser, and consent if asked. Gives the code.
    pub(crate) async fn gets_a_code(&self, session_browser: &BrowserSession, person: &Person) -> String {
        self.gets_a_code_for(session_browser, person, &[]).await
    }

    /// The same for another request.
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

    /// Exchanges a code.
    pub(crate) async fn redeems(&self, code: &str) -> Answer {
        self.redeems_with(code, &[]).await
    }

    /// Logs `person` in, in this browser.
    pub(crate) async fn logs_in(&self, session_browser: &BrowserSession, person: &Person) -> (Tokens, String) {
        let code = self.gets_a_code(session_browser, person).await;
        let answer = self.redeems(&code).await;
        let id_token = answer.string("id_token");
        (answer.granted(), id_token)
    }
}

/// Registers a client that is public, with this redirect URI.
pub(crate) async fn registers_public(env: &TestEnv, redirect_uri: &str) -> Client {
    let options = ["--name", "Native", "--public", "--redirect-uri", redirect_uri, "--grant", "authorization_code"];
    env.registers_client(&[&options[..], &["--scope", "openid"]].concat()).await
}
