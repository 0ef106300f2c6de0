//! Which routes are limited, and how a client is told of it: the `RateLimit` fields
//! (draft-ietf-httpapi-ratelimit-headers-10), and 429 with `Retry-After` (RFC 6585 §4, RFC 9110 §10.2.3).
//!
//! Limited is what a stranger could abuse: where passwords are tested, tokens redeemed, accounts made, mails caused. What
//! every service must be able to read, and what takes a good token, is not.

use std::net::IpAddr;

use poem::http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

use crate::{
    domain::rate_limit::{
        Quota, QuotaState,
        RouteClass::{self, Availability, Mail, Pages, Registration, Token},
        whole_seconds,
    },
    http::{
        errors::{TooManyRequests, problem},
        middleware::response_layer::fits,
    },
    services::rate_limit::Limit,
};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The limited routes. A route that does not exist is never called, so that this is the place for those to come too.
#[rustfmt::skip] // a table reads better with one row a route
const LIMITED: &[(&str, &str, RouteClass)] = &[
    ("POST", "/oauth/token", Token),
    ("POST", "/oauth/revoke", Token),
    ("POST", "/oauth/par", Token),
    ("POST", "/v1/sessions", Token),
    ("POST", "/v1/sessions/refresh", Token),
    ("PATCH", "/v1/users/me", Token),
    ("DELETE", "/v1/users/me", Token),
    ("PUT", "/v1/users/me/password", Token),
    ("POST", "/v1/password-resets/complete", Token),
    ("POST", "/v1/email-verifications/complete", Token),
    ("GET", "/users/auth", Token),
    ("POST", "/users/auth", Token),
    ("GET", "/users/session_auth", Token),
    ("POST", "/users/session_auth", Token),
    ("DELETE", "/users/delete", Token),
    ("POST", "/login", Token),
    ("POST", "/account/delete", Token),
    ("POST", "/account/email", Token),
    ("POST", "/account/password", Token),
    ("POST", "/account/providers", Token),
    ("POST", "/reset-password", Token),
    ("POST", "/verify-email", Token),

    ("POST", "/v1/users", Registration),
    ("POST", "/users/create", Registration),
    ("POST", "/register", Registration),
    ("POST", "/federation/{name}/username", Registration),
    ("POST", "/oauth/register", Registration),
    ("GET", "/oauth/register/{client_id}", Registration),
    ("PUT", "/oauth/register/{client_id}", Registration),
    ("DELETE", "/oauth/register/{client_id}", Registration),

    ("GET", "/v1/users/availability", Availability),

    ("POST", "/v1/password-resets", Mail),
    ("POST", "/v1/email-verifications", Mail),
    ("POST", "/account", Mail),
    ("POST", "/forgot-password", Mail),

    ("GET", "/login", Pages),
    ("GET", "/register", Pages),
    ("GET", "/forgot-password", Pages),
    ("GET", "/reset-password", Pages),
    ("GET", "/verify-email", Pages),
    ("GET", "/account", Pages),
    ("GET", "/account/apps", Pages),
    ("POST", "/account/apps", Pages),
    ("GET", "/account/delete", Pages),
    ("GET", "/account/email", Pages),
    ("GET", "/account/password", Pages),
    ("GET", "/account/sessions", Pages),
    ("POST", "/account/sessions", Pages),
    ("GET", "/account/username", Pages),
    ("POST", "/account/username", Pages),
    ("GET", "/consent", Pages),
    ("POST", "/consent", Pages),
    ("GET", "/logout", Pages),
    ("POST", "/logout", Pages),
    ("GET", "/oauth/authorize", Pages),
    ("POST", "/oauth/authorize", Pages),
    ("GET", "/oauth/logout", Pages),
    ("POST", "/oauth/logout", Pages),
    ("GET", "/account/providers", Pages),
    ("GET", "/federation/{name}", Pages),
    ("POST", "/federation/{name}", Pages),
    ("GET", "/federation/{name}/callback", Pages),
    ("POST", "/federation/{name}/callback", Pages),
];

/// The routes that are not limited, each for its reason. Nothing reads it but the test that finds forgotten routes.
#[cfg(test)]
#[rustfmt::skip] // as above
const UNLIMITED: &[(&str, &str)] = &[
    // What every page needs, and browsers keep.
    ("GET", "/assets/style.css"),
    ("GET", "/assets/icon.svg"),
    ("GET", "/assets/submit.js"),
    // Every service that verifies tokens reads these, all from one network perhaps.
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/.well-known/openid-configuration"),
    ("GET", "/.well-known/oauth-authorization-server"),
    ("GET", "/oauth/status-lists/{list}"),
    // Resource servers ask all the time. A stranger is refused at a client's secret, whose 256 bits nobody guesses.
    ("POST", "/oauth/introspect"),
    // They take a good access token, and without one cost no more than the look at its signature.
    ("GET", "/oauth/userinfo"),
    ("POST", "/oauth/userinfo"),
    ("GET", "/v1/users/me"),
    ("GET", "/v1/sessions"),
    ("DELETE", "/v1/sessions"),
    ("DELETE", "/v1/sessions/current"),
    ("DELETE", "/v1/sessions/{id}"),
    // An orchestrator that is refused would stop a healthy process.
    ("GET", "/livez"),
    ("GET", "/readyz"),
    // Files that are held in memory.
    ("GET", "/docs"),
    ("GET", "/docs/start.js"),
    ("GET", "/docs/swagger-ui.js"),
    ("GET", "/docs/swagger-ui.css"),
    ("GET", "/openapi.json"),
];

/// The class of a request's route, where it is limited. A `HEAD` is answered by the `GET` behind it, and counts as one.
fn class(method: &Method, path: &str) -> Option<RouteClass> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let row = LIMITED.iter().find(|(name, route, _)| *name == method.as_str() && fits(route, path));
    row.map(|(_, _, class)| *class)
}

/// How a request stands with the limit of its route, if it has one.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct RateLimitDecision(Option<(RouteClass, Quota, QuotaState)>);

impl RateLimitDecision {
    /// Counts a request that comes from `client`.
    pub(in crate::http) fn of(limit: &Limit, method: &Method, path: &str, client: Option<IpAddr>) -> Self {
        let counted = |class| limit.run(class, client).map(|(quota, standing)| (class, quota, standing));
        Self(class(method, path).and_then(counted))
    }

    /// Whether the request may go on.
    pub(in crate::http) fn check(self) -> Result<(), TooManyRequests> {
        match self.0 {
            Some((_, _, QuotaState::Refused { wait })) => Err(TooManyRequests { retry_after: whole_seconds(wait) }),
            Some((_, _, QuotaState::Admitted { .. })) | None => Ok(()),
        }
    }

    /// Tells how things stand, in an answer to the request.
    pub(in crate::http) fn tell(self, headers: &mut HeaderMap) {
        let Some((class, quota, standing)) = self.0 else { return };
        // `r` requests are allowed now, and after `t` seconds one more, if not sooner.
        let (remaining, more) = match standing {
            QuotaState::Admitted { remaining } => (remaining, quota.interval()),
            QuotaState::Refused { wait } => (0, wait),
        };
        let policy = format!(r#""{}";q={};w={}"#, class.as_str(), quota.count, whole_seconds(quota.per));
        let now = format!(r#""{}";r={remaining};t={}"#, class.as_str(), whole_seconds(more));
        for (name, value) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, now)] {
            // The names of classes are plain words, so this always is a value.
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
    }
}

/// The fields of limited routes, for their documentation.
fn described_fields() -> Value {
    let described =
        |text: &str, example: &str| json!({ "description": text, "schema": { "type": "string" }, "example": example });
    json!({
        "RateLimit-Policy": described("`q` requests in `w` seconds.", r#""token";q=60;w=60"#),
        "RateLimit": described("`r` requests are left; in `t` seconds there is one more.", r#""token";r=59;t=1"#),
    })
}

/// Adds to a documented operation what its limit adds to its answers; 429 has the shape of the other refusals.
pub(in crate::http) fn describe(method: &str, path: &str, operation: &mut Value) {
    let Ok(method) = Method::from_bytes(method.to_ascii_uppercase().as_bytes()) else { return };
    if class(&method, path).is_none() {
        return;
    }
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    if let Some(mut refused) = responses.get("503").cloned() {
        refused["description"] = problem::describe(429).into();
        responses.insert("429".to_owned(), refused);
    }
    for (status, response) in responses.iter_mut() {
        if (status.starts_with('2') || status == "429")
            && let Some(response) = response.as_object_mut()
            && let Some(headers) = response.entry("headers").or_insert_with(|| json!({})).as_object_mut()
            && let Value::Object(fields) = described_fields()
        {
            headers.extend(fields);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, num::NonZeroU32, time::Duration};

    use poem_openapi::OpenApi;

    use super::*;
    use crate::http::{HttpConfig, Services, apis, routes};

    /// The routes of these APIs, which need not be made for that.
    fn documented<A: OpenApi>(_: fn(Services, &HttpConfig) -> A) -> BTreeSet<(String, String)> {
        let paths = A::meta().into_iter().flat_map(|api| api.paths);
        paths
            .flat_map(|path| path.operations.into_iter().map(move |operation| (operation.method, path.path.clone())))
            .map(|(method, path)| (method.to_string(), path))
            .collect()
    }

    /// Every route of the service.
    fn served() -> BTreeSet<(String, String)> {
        let own = routes("{}").into_iter();
        let own =
            own.flat_map(|(path, methods)| methods.into_iter().map(move |method| (method.to_string(), path.clone())));
        own.chain(documented(apis)).collect()
    }

    #[test]
    fn no_route_is_forgotten() {
        let served = served();
        assert!(served.len() > 30, "{served:?}");
        for (method, path) in &served {
            let limited = LIMITED.iter().filter(|row| (row.0, row.1) == (method, path)).count();
            let unlimited = UNLIMITED.iter().filter(|row| **row == (method, path)).count();
            assert_eq!(limited + unlimited, 1, "{method} {path}: it belongs on one of the two lists, once");
        }
        for (method, path) in UNLIMITED {
            assert!(served.contains(&((*method).to_owned(), (*path).to_owned())), "{method} {path} is not there");
        }
    }

    fn class_of(method: &str, path: &str) -> Option<RouteClass> {
        class(&Method::from_bytes(method.as_bytes()).expect("a method"), path)
    }

    #[test]
    fn a_request_belongs_to_the_class_of_its_route() {
        assert_eq!(class_of("POST", "/oauth/token"), Some(Token));
        assert_eq!(class_of("POST", "/v1/users"), Some(Registration));
        assert_eq!(class_of("GET", "/federation/google/callback"), Some(Pages));
        assert_eq!(class_of("GET", "/v1/users/me"), None);
        assert_eq!(class_of("DELETE", "/v1/users/me"), Some(Token));
    }

    #[test]
    fn head_is_what_get_is_and_a_preflight_is_free() {
        assert_eq!(class_of("HEAD", "/users/auth"), Some(Token));
        assert_eq!(class_of("HEAD", "/v1/users/availability"), Some(Availability));
        for (_, path, _) in LIMITED {
            assert_eq!(class_of("OPTIONS", path), None, "{path}");
        }
    }

    fn told(standing: QuotaState) -> [String; 2] {
        let quota = Quota { count: NonZeroU32::new(5).expect("some"), per: Duration::from_mins(6) };
        let mut headers = HeaderMap::new();
        RateLimitDecision(Some((Token, quota, standing))).tell(&mut headers);
        [RATE_LIMIT_POLICY, RATE_LIMIT].map(|name| headers[name].to_str().expect("ASCII").to_owned())
    }

    #[test]
    fn the_fields_say_what_is_left_and_when_there_is_more() {
        let policy = r#""token";q=5;w=360"#;
        assert_eq!(told(QuotaState::Admitted { remaining: 4 }), [policy, r#""token";r=4;t=72"#]);
        let wait = Duration::from_millis(11_001);
        assert_eq!(told(QuotaState::Refused { wait }), [policy, r#""token";r=0;t=12"#]);
    }
}
