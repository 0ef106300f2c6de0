//! Forward authentication for proxies that cannot verify a JWT: nginx `auth_request`, Traefik `ForwardAuth`, Caddy
//! `forward_auth` and their like.
//!
//! Such a proxy sends the head of the client's request, whatever its method, and passes the request on after a 2xx.
//! nginx takes every status but 2xx, 401 and 403 for an error of its own, so a malformed `Authorization` field is 401.

use poem::{
    Endpoint, Request, Response,
    http::{HeaderMap, HeaderValue, StatusCode},
};

use crate::{
    domain::{claims::AccessClaims, oauth::OAuthErrorCode, role::Role, scope::Scope},
    http::{
        errors::{failure::BearerRefusal, oauth::OAuthError, problem::Problem},
        extract::{bearer, body},
    },
    services::sessions::check::{Check, CheckError, Conditions},
};
use secrecy::ExposeSecret;

/// The path. It takes every method, and repeated parameters.
pub(in crate::http) const PATH: &str = "/oauth/check";

/// The methods that OpenAPI can describe.
pub(in crate::http) const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

/// The endpoint.
#[derive(Debug, Clone)]
pub(in crate::http) struct CheckEndpoint {
    pub(in crate::http) check: Check,
}

impl Endpoint for CheckEndpoint {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        self.answer(&request)
    }
}

impl CheckEndpoint {
    /// Answers a request. It waits for nothing.
    pub(in crate::http) fn answer(&self, request: &Request) -> poem::Result<Response> {
        let conditions = conditions(request.uri().query().unwrap_or_default())?;
        let token = match bearer::token(request) {
            Err(BearerRefusal::Malformed) => return Err(OAuthError::invalid_token().into()),
            token => token?,
        };
        let claims = match self.check.run(token.expose_secret(), &conditions) {
            Ok(claims) => claims,
            Err(CheckError::Token(error)) => return Err(BearerRefusal::from(error).into()),
            Err(CheckError::Scope) => return Err(insufficient("The token lacks a scope.", &conditions.scopes).into()),
            Err(CheckError::Role) => return Err(insufficient("The token lacks a role.", &[]).into()),
        };
        let mut response = Response::builder().status(StatusCode::OK).finish();
        describe(&claims, response.headers_mut());
        Ok(response)
    }
}

/// Reads the conditions. A word that is not known is refused: a mistyped condition must not let everybody pass.
fn conditions(query: &str) -> Result<Conditions, OAuthError> {
    let invalid = |why: String| OAuthError::new(OAuthErrorCode::InvalidRequest, why);
    let mut conditions = Conditions::default();
    for (name, value) in body::pairs(query.as_bytes()).map_err(|error| invalid(error.to_string()))? {
        if value.is_empty() {
            return Err(invalid(format!("{} is empty", known(&name))));
        }
        match name.as_str() {
            "audience" if conditions.audience.is_none() => conditions.audience = Some(value),
            "scope" => conditions.scopes.extend(value.split_ascii_whitespace().map(str::to_owned)),
            "role" => conditions.roles.push(value),
            "audience" => return Err(invalid("audience is repeated".to_owned())),
            _ => return Err(invalid("the conditions are audience, scope and role".to_owned())),
        }
    }
    Ok(conditions)
}

/// The refusal of a token that is good and not enough, with the scope that is needed, if it is a scope that is missing
/// (RFC 6750 §3.1).
fn insufficient(detail: &str, needed: &[String]) -> Problem {
    // A scope that RFC 6749 does not allow is no token's, and must not stand in a header field.
    let needed = Scope::parse(&needed.join(" ")).unwrap_or_default();
    let scope = if needed.is_empty() { String::new() } else { format!(", scope=\"{needed}\"") };
    let challenge = format!("Bearer error=\"insufficient_scope\"{scope}");
    Problem::new(StatusCode::FORBIDDEN, "insufficient_scope", detail).with_header("WWW-Authenticate", challenge)
}

/// The name of a condition for an error text, which never repeats what was sent.
fn known(name: &str) -> &'static str {
    ["audience", "scope", "role"].into_iter().find(|known| *known == name).unwrap_or("a condition")
}

/// Adds what the token says, for the service behind the proxy. A username may hold letters beyond ASCII: it is UTF-8.
fn describe(claims: &AccessClaims, headers: &mut HeaderMap) {
    let mut set = |name: &'static str, value: &str| {
        // No value has a control character; a field that could not be written is left out.
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes())
            && !value.is_empty()
        {
            headers.insert(name, value);
        }
    };
    set("x-auth-subject", &claims.sub);
    set("x-auth-client", claims.client_id.as_str());
    set("x-auth-scope", &claims.scope.to_string());
    if let Some(user) = &claims.user {
        set("x-auth-session", &user.sid.to_string());
        set("x-auth-username", user.preferred_username.as_deref().unwrap_or_default());
        set("x-auth-roles", &user.roles.iter().map(Role::as_str).collect::<Vec<_>>().join(","));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_counts() {
        let read =
            conditions("audience=https%3A%2F%2Fa.example&scope=read+write&scope=admin&role=a&role=b").expect("good");
        assert_eq!(read.audience.as_deref(), Some("https://a.example"));
        assert_eq!(read.scopes, ["read", "write", "admin"]);
        assert_eq!(read.roles, ["a", "b"]);
        assert_eq!(conditions("").expect("none"), Conditions::default());
    }

    #[test]
    fn a_mistyped_condition_lets_nobody_pass() {
        for query in ["roles=admin", "role=", "role", "scope=%FF", "audience=a&audience=a", "Role=admin", "audience"] {
            assert!(conditions(query).is_err(), "{query}");
        }
    }
}
