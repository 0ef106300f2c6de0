//! People and their actions.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    site::{Answer, Ask, Site, Tokens},
    test_env::Client,
};

/// A password that the policy accepts for every user name.
pub(crate) const PASSWORD: &str = "plum orbit lantern 73 quay";

/// Another accepted password.
pub(crate) const NEW_PASSWORD: &str = "violet anchor 19 marsh candle";

/// A user with an account.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) id: String,
    pub(crate) site: Site,
}

impl Person {
    /// Registers a user at `site`.
    pub(crate) async fn registers(site: &Site, username: &str) -> Self {
        let answer = register(site, username, PASSWORD).await.is(201);
        Self { username: username.into(), password: PASSWORD.into(), id: answer.string("id"), site: site.clone() }
    }

    /// The same person at another replica.
    pub(crate) fn at(&self, site: &Site) -> Self {
        Self { site: site.clone(), ..self.clone() }
    }

    /// Logs in with the password grant, with this password.
    pub(crate) async fn tries(&self, password: &str) -> Answer {
        let form = [("grant_type", "password"), ("username", &self.username), ("password", password)];
        self.site.token(&form).answer().await
    }

    /// Logs in with the password grant.
    pub(crate) async fn logs_in(&self) -> Tokens {
        self.tries(&self.password).await.granted()
    }

    /// Logs in through the JSON API, with this password.
    pub(crate) async fn tries_a_session(&self, password: &str) -> Answer {
        let body = json!({"username": self.username, "password": password});
        self.site.post("/v1/sessions").json(&body).answer().await
    }

    /// Logs in with the password grant at `client`, with these parameters too.
    pub(crate) async fn logs_in_at(&self, client: &Client, more: &[(&str, &str)]) -> Tokens {
        let form = [("grant_type", "password"), ("username", &self.username), ("password", &self.password)];
        client.posts(&self.site, "/oauth/token", &[&form[..], more].concat()).await.granted()
    }

    pub(crate) async fn refreshes(&self, tokens: &Tokens) -> Answer {
        let form = [("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh)];
        self.site.token(&form).answer().await
    }

    /// Uses the refresh token and asks for this scope.
    pub(crate) async fn refreshes_for(&self, tokens: &Tokens, scope: &str) -> Answer {
        let form = [("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh), ("scope", scope)];
        self.site.token(&form).answer().await
    }

    /// Requests the own account.
    pub(crate) async fn looks(&self, tokens: &Tokens) -> Answer {
        self.sends(Method::GET, "/v1/users/me", tokens, None).await
    }

    /// Asserts that the access token is accepted.
    pub(crate) async fn is_let_in(&self, tokens: &Tokens) {
        self.looks(tokens).await.is(200);
        self.site.user_info(&tokens.access).await.is(200);
    }

    /// Asserts that the access token is refused as invalid.
    pub(crate) async fn is_shut_out(&self, tokens: &Tokens) {
        self.looks(tokens).await.challenges(401, "invalid_token");
        self.site.user_info(&tokens.access).await.challenges(401, "invalid_token");
    }

    /// Sends a request with the access token.
    pub(crate) async fn sends(&self, method: Method, path: &str, tokens: &Tokens, body: Option<Value>) -> Answer {
        let request = self.site.request(method, path).bearer_auth(&tokens.access);
        match body {
            Some(body) => request.json(&body).answer().await,
            None => request.answer().await,
        }
    }

    pub(crate) async fn logs_out(&self, tokens: &Tokens) {
        self.sends(Method::DELETE, "/v1/sessions/current", tokens, None).await.is(204);
    }

    pub(crate) async fn revokes(&self, token: &str) -> Answer {
        self.site.post("/oauth/revoke").form(&[("token", token)]).answer().await
    }

    /// Asserts that the session has ended: both of its tokens are refused.
    pub(crate) async fn is_logged_out(&self, tokens: &Tokens) {
        self.is_shut_out(tokens).await;
        self.refreshes(tokens).await.refused("invalid_grant");
    }

    /// Asserts that the session is alive. Returns its next tokens.
    pub(crate) async fn is_logged_in(&self, tokens: &Tokens) -> Tokens {
        self.is_let_in(tokens).await;
        self.refreshes(tokens).await.granted()
    }

    /// Changes the password.
    pub(crate) async fn changes_password(&mut self, tokens: &Tokens, new: &str) {
        let body = json!({"current_password": self.password, "new_password": new});
        self.sends(Method::PUT, "/v1/users/me/password", tokens, Some(body)).await.is(204);
        new.clone_into(&mut self.password);
    }

    /// The account's sessions.
    pub(crate) async fn sessions(&self, tokens: &Tokens) -> Vec<Value> {
        let answer = self.sends(Method::GET, "/v1/sessions", tokens, None).await.is(200);
        let json = answer.json();
        json.as_array().or_else(|| json["sessions"].as_array()).unwrap_or_else(|| panic!("{answer:?}")).clone()
    }
}

/// Registers an account.
pub(crate) async fn register(site: &Site, username: &str, password: &str) -> Answer {
    site.post("/v1/users").json(&json!({"username": username, "password": password})).answer().await
}
