//! The one table of routes: path, error shape, CORS class, methods, and the rate class of each method.
//!
//! The response layer looks a request's path up once; rate limits, CORS, error shapes and `Allow` all ask that match.
//! Limited is every route that a stranger could abuse: those that test passwords, redeem tokens, make accounts or cause
//! emails. A free row is one that every service must be able to read, or that needs a good token.

use poem::http::Method;

use self::{
    CorsClass::{Everyone, Listed, Ours},
    ErrorShape::{OAuth, Original, Page, Problem},
};
use crate::domain::rate_limit::RouteClass;

/// The shape of a route's errors. `Page` also says that the route is a browser page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum ErrorShape {
    /// `application/problem+json` (RFC 9457).
    Problem,
    /// JSON of RFC 6749 §5.2.
    OAuth,
    /// JSON of the original service.
    Original,
    /// An HTML page.
    Page,
}

/// The origins whose scripts may read the responses of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum CorsClass {
    /// Every origin: the document is public, and the same for all.
    Everyone,
    /// The origins that the operator lists.
    Listed,
    /// Our own origin alone.
    Ours,
}

/// One row of the table.
#[derive(Debug)]
pub(in crate::http) struct Route {
    /// The path; a segment in braces stands for any segment.
    pub(in crate::http) path: &'static str,
    shape: ErrorShape,
    cors: CorsClass,
    methods: &'static [(Method, Option<RouteClass>)],
}

const fn route(
    path: &'static str,
    shape: ErrorShape,
    cors: CorsClass,
    methods: &'static [(Method, Option<RouteClass>)],
) -> Route {
    Route { path, shape, cors, methods }
}

const DELETE: Method = Method::DELETE;
const GET: Method = Method::GET;
const PATCH: Method = Method::PATCH;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;

const FREE: Option<RouteClass> = None;
const AVAILABILITY: Option<RouteClass> = Some(RouteClass::Availability);
const MAIL: Option<RouteClass> = Some(RouteClass::Mail);
const PAGES: Option<RouteClass> = Some(RouteClass::Pages);
const REGISTRATION: Option<RouteClass> = Some(RouteClass::Registration);
const TOKEN: Option<RouteClass> = Some(RouteClass::Token);

#[rustfmt::skip] // one row a route
static ROUTES: &[Route] = &[
    // JSON API.
    route("/v1/email-verifications", Problem, Listed, &[(POST, MAIL)]),
    route("/v1/email-verifications/complete", Problem, Listed, &[(POST, TOKEN)]),
    route("/v1/password-resets", Problem, Listed, &[(POST, MAIL)]),
    route("/v1/password-resets/complete", Problem, Listed, &[(POST, TOKEN)]),
    route("/v1/sessions", Problem, Listed, &[(DELETE, FREE), (GET, FREE), (POST, TOKEN)]),
    route("/v1/sessions/current", Problem, Listed, &[(DELETE, FREE)]),
    route("/v1/sessions/refresh", Problem, Listed, &[(POST, TOKEN)]),
    route("/v1/sessions/{id}", Problem, Listed, &[(DELETE, FREE)]),
    route("/v1/users", Problem, Listed, &[(POST, REGISTRATION)]),
    route("/v1/users/availability", Problem, Listed, &[(GET, AVAILABILITY)]),
    route("/v1/users/me", Problem, Listed, &[(DELETE, TOKEN), (GET, FREE), (PATCH, TOKEN)]),
    route("/v1/users/me/password", Problem, Listed, &[(PUT, TOKEN)]),
    // OAuth 2 and OpenID Connect.
    // Every service that verifies tokens reads these, perhaps all from one network; and /oauth/status-lists.
    route("/.well-known/jwks.json", Problem, Everyone, &[(GET, FREE)]),
    route("/.well-known/oauth-authorization-server", Problem, Everyone, &[(GET, FREE)]),
    route("/.well-known/openid-configuration", Problem, Everyone, &[(GET, FREE)]),
    // Proxies ask for every request that they pass on. It takes every method.
    route("/oauth/check", OAuth, Ours, &[(DELETE, FREE), (GET, FREE), (Method::HEAD, FREE), (Method::OPTIONS, FREE), (PATCH, FREE), (POST, FREE), (PUT, FREE), (Method::TRACE, FREE)]),
    // Resource servers ask all the time. A stranger is refused at the client's secret, whose 256 bits nobody guesses.
    route("/oauth/introspect", OAuth, Ours, &[(POST, FREE)]),
    // Apps that are scripts register, and push their requests (RFC 9700 §2.6).
    route("/oauth/par", OAuth, Listed, &[(POST, TOKEN)]),
    route("/oauth/register", OAuth, Listed, &[(POST, REGISTRATION)]),
    route("/oauth/register/{client_id}", OAuth, Listed, &[(DELETE, REGISTRATION), (GET, REGISTRATION), (PUT, REGISTRATION)]),
    route("/oauth/revoke", OAuth, Listed, &[(POST, TOKEN)]),
    route("/oauth/status-lists/{list}", OAuth, Listed, &[(GET, FREE)]),
    route("/oauth/token", OAuth, Listed, &[(POST, TOKEN)]),
    // It needs a good access token, and without one costs no more than a check of a signature, like the free rows of /v1.
    route("/oauth/userinfo", OAuth, Listed, &[(GET, FREE), (POST, FREE)]),
    // The original service's routes.
    route("/users/auth", Original, Listed, &[(GET, TOKEN), (POST, TOKEN)]),
    route("/users/create", Original, Listed, &[(POST, REGISTRATION)]),
    route("/users/delete", Original, Listed, &[(DELETE, TOKEN)]),
    route("/users/session_auth", Original, Listed, &[(GET, TOKEN), (POST, TOKEN)]),
    // Pages, the browser endpoints among them.
    route("/", Page, Ours, &[(GET, PAGES)]),
    route("/.well-known/change-password", Page, Ours, &[(GET, PAGES)]),
    route("/account", Page, Ours, &[(GET, PAGES), (POST, MAIL)]),
    route("/account/apps", Page, Ours, &[(GET, PAGES), (POST, PAGES)]),
    route("/account/delete", Page, Ours, &[(GET, PAGES), (POST, TOKEN)]),
    route("/account/email", Page, Ours, &[(GET, PAGES), (POST, TOKEN)]),
    route("/account/password", Page, Ours, &[(GET, PAGES), (POST, TOKEN)]),
    route("/account/providers", Page, Ours, &[(GET, PAGES), (POST, TOKEN)]),
    route("/account/sessions", Page, Ours, &[(GET, PAGES), (POST, PAGES)]),
    route("/account/username", Page, Ours, &[(GET, PAGES), (POST, PAGES)]),
    route("/consent", Page, Ours, &[(GET, PAGES), (POST, PAGES)]),
    route("/federation/{name}", Page, Ours, &[(GET, PAGES), (POST, PAGES)]),
    route("/federation/{name}/callback", Page, Ours, &[(GET, PAGES), (POST, PAGES)]),
    route("/federation/{name}/username", Page, Ours, &[(POST, REGISTRATION)]),
    route("/forgot-password", Page, Ours, &[(GET, PAGES), (POST, MAIL)]),
    route("/login", Page, Ours, &[(GET, PAGES), (POST, TOKEN)]),
    route("/logout", Page, Ours, &[(GET, PAGES), (POST, PAGES)]),
    route("/oauth/authorize", Page, Ours, &[(GET, PAGES), (POST, PAGES)]),
    route("/oauth/logout", Page, Ours, &[(GET, PAGES), (POST, PAGES)]),
    route("/register", Page, Ours, &[(GET, PAGES), (POST, REGISTRATION)]),
    route("/reset-password", Page, Ours, &[(GET, PAGES), (POST, TOKEN)]),
    route("/verify-email", Page, Ours, &[(GET, PAGES), (POST, TOKEN)]),
    // Files that are held in memory.
    route("/assets/icon.svg", Problem, Ours, &[(GET, FREE)]),
    route("/assets/style.css", Problem, Ours, &[(GET, FREE)]),
    route("/assets/submit.js", Problem, Ours, &[(GET, FREE)]),
    route("/favicon.ico", Problem, Ours, &[(GET, FREE)]),
    route("/robots.txt", Problem, Ours, &[(GET, FREE)]),
    route("/docs", Problem, Ours, &[(GET, FREE)]),
    route("/docs/start.js", Problem, Ours, &[(GET, FREE)]),
    route("/docs/swagger-ui.css", Problem, Ours, &[(GET, FREE)]),
    route("/docs/swagger-ui.js", Problem, Ours, &[(GET, FREE)]),
    // An orchestrator that is refused would stop a healthy process.
    route("/livez", Problem, Ours, &[(GET, FREE)]),
    route("/openapi.json", Problem, Ours, &[(GET, FREE)]),
    route("/readyz", Problem, Ours, &[(GET, FREE)]),
];

/// The routes whose `GET` changes something.
const ACTING: [&str; 5] =
    ["/federation/{name}", "/federation/{name}/callback", "/oauth/authorize", "/oauth/logout", "/users/auth"];

/// The class of paths that no route has: an app should be able to read that it is mistaken. The first prefix counts.
const UNKNOWN: &[(&str, ErrorShape, CorsClass)] = &[
    ("/federation/", Page, Ours),
    ("/oauth/status-lists/", OAuth, Listed),
    ("/oauth/", OAuth, Ours),
    ("/v1/", Problem, Listed),
    ("/users/", Problem, Listed),
    ("/", Problem, Ours),
];

/// The table's entry for a path.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct RouteMatch {
    route: Option<&'static Route>,
    pub(in crate::http) shape: ErrorShape,
    pub(in crate::http) cors: CorsClass,
}

/// Looks a path up. A route without braces comes before one with them.
pub(in crate::http) fn find(path: &str) -> RouteMatch {
    let exact = ROUTES.iter().find(|route| route.path == path);
    if let Some(route) = exact.or_else(|| ROUTES.iter().find(|route| fits(route.path, path))) {
        return RouteMatch { route: Some(route), shape: route.shape, cors: route.cors };
    }
    let area = UNKNOWN.iter().find(|(prefix, ..)| path.starts_with(prefix));
    let (shape, cors) = area.map_or((Problem, Ours), |(_, shape, cors)| (*shape, *cors));
    RouteMatch { route: None, shape, cors }
}

/// The page that a path means which has slashes behind it: people type them, and some clients add them.
pub(in crate::http) fn page_without_slash(path: &str) -> Option<&str> {
    let page = path.trim_end_matches('/');
    let found = find(page);
    (page.len() < path.len() && found.exists() && (found.is_page() || page == "/docs")).then_some(page)
}

impl RouteMatch {
    /// The path of the route, for logs and metrics: the path of a request may hold anything.
    pub(in crate::http) fn name(&self) -> &'static str {
        self.route.map_or("unknown", |route| route.path)
    }

    /// Whether errors are shown as a page.
    pub(in crate::http) fn is_page(&self) -> bool {
        self.shape == Page
    }

    /// Whether a browser in a client's popup may come here, on its way to log in. Pages of the account and the
    /// documentation are not on that way.
    pub(in crate::http) fn may_be_popup(&self) -> bool {
        self.is_page() && !self.name().starts_with("/account") && !self.name().starts_with("/admin")
    }

    /// Whether the route has a page of its own to open.
    pub(in crate::http) fn has_page(&self) -> bool {
        let ways = ["/federation/", "/oauth/", "/consent"];
        self.is_page() && self.exists() && !ways.iter().any(|way| self.name().starts_with(way))
    }

    /// Whether a GET changes something here: a login, a code, an attempt.
    pub(in crate::http) fn get_acts(&self) -> bool {
        ACTING.contains(&self.name())
    }

    /// Whether there is such a route.
    pub(in crate::http) fn exists(&self) -> bool {
        self.route.is_some()
    }

    /// The rate class of a request, where it is limited. A `HEAD` is answered by the `GET` handler, and counts as one.
    pub(in crate::http) fn class(&self, method: &Method) -> Option<RouteClass> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        self.route?.methods.iter().find(|(name, _)| name == method)?.1
    }

    /// The methods of the route, as the `Allow` field lists them; empty where there is no such route.
    pub(in crate::http) fn allow(&self) -> String {
        let methods = self.route.map_or(&[][..], |route| route.methods);
        methods.iter().map(|(method, _)| method.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// Whether a path belongs to a route.
fn fits(route: &str, path: &str) -> bool {
    let mut ours = route.split('/');
    let mut theirs = path.split('/');
    loop {
        match (ours.next(), theirs.next()) {
            (None, None) => return true,
            (Some(ours), Some(theirs)) if ours == theirs || ours.starts_with('{') => {}
            _ => return false,
        }
    }
}

/// Every path of the table, with its methods.
#[cfg(test)]
pub(in crate::http) fn all() -> impl Iterator<Item = (Method, &'static str)> {
    ROUTES.iter().flat_map(|route| route.methods.iter().map(|(method, _)| (method.clone(), route.path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_apps_or_our_own_pages_may_read_a_path() {
        let cors = |path: &str| find(path).cors;
        for path in ["/.well-known/jwks.json", "/.well-known/openid-configuration"] {
            assert_eq!(cors(path), Everyone, "{path}");
        }
        for path in ["/v1/users", "/v1/nowhere", "/oauth/token", "/oauth/status-lists/3", "/users/auth", "/users/x"] {
            assert_eq!(cors(path), Listed, "{path}");
        }
        for path in [
            "/",
            "/v1",
            "/v10/users",
            "/oauth/authorize",
            "/oauth/introspect",
            "/oauth/logout",
            "/oauth/tokens",
            "/oauth/token/",
            "/login",
            "/account",
            "/federation/google/callback",
            "/docs",
            "/openapi.json",
            "/livez",
            "/.well-known/jwks.json/",
        ] {
            assert_eq!(cors(path), Ours, "{path}");
        }
    }

    #[test]
    fn an_error_has_the_shape_of_its_path_even_where_there_is_no_route() {
        for (path, shape) in [
            ("/v1/users", Problem),
            ("/nowhere", Problem),
            ("/oauth/token", OAuth),
            ("/oauth/nowhere", OAuth),
            ("/oauth/authorize/", OAuth),
            ("/users/auth", Original),
            ("/users/nowhere", Problem),
            ("/login", Page),
            ("/oauth/authorize", Page),
            ("/federation/a/b/c", Page),
        ] {
            assert_eq!(find(path).shape, shape, "{path}");
        }
    }

    #[test]
    fn a_slash_behind_a_page_leads_to_it_and_nowhere_else() {
        for (path, page) in [
            ("/account/", "/account"),
            ("/account/password//", "/account/password"),
            ("/oauth/authorize/", "/oauth/authorize"),
            ("/federation/google/callback/", "/federation/google/callback"),
            ("/docs/", "/docs"),
        ] {
            assert_eq!(page_without_slash(path), Some(page), "{path}");
        }
        for path in
            ["/", "//", "/account", "//account/", "//evil.example/login/", "/nowhere/", "/oauth/token/", "/v1/users/"]
        {
            assert_eq!(page_without_slash(path), None, "{path}");
        }
    }

    fn class_of(method: &str, path: &str) -> Option<RouteClass> {
        find(path).class(&Method::from_bytes(method.as_bytes()).expect("a method"))
    }

    #[test]
    fn a_request_belongs_to_the_class_of_its_route() {
        assert_eq!(class_of("POST", "/oauth/token"), TOKEN);
        assert_eq!(class_of("POST", "/v1/users"), REGISTRATION);
        assert_eq!(class_of("GET", "/federation/google/callback"), PAGES);
        assert_eq!(class_of("GET", "/v1/users/me"), FREE);
        assert_eq!(class_of("DELETE", "/v1/users/me"), TOKEN);
    }

    #[test]
    fn head_is_limited_as_get_and_a_preflight_is_free() {
        assert_eq!(class_of("HEAD", "/users/auth"), TOKEN);
        assert_eq!(class_of("HEAD", "/v1/users/availability"), AVAILABILITY);
        for (_, path) in all() {
            assert_eq!(class_of("OPTIONS", path), FREE, "{path}");
        }
    }
}
