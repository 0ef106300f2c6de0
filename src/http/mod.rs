//! HTTP: each handler parses a request, calls one service and renders the result. No business rule lives here.
//!
//! `routes` lists every route.

mod errors;
mod extract;
mod health;
mod legacy;
pub mod metrics;
mod middleware;
mod oauth;
mod openapi;
mod pages;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod redirect;
mod routes;
mod static_file;
mod v1;

use std::sync::Arc;

use ipnet::IpNet;
use poem::{
    Endpoint, EndpointExt, IntoEndpoint, IntoResponse, Request, Response, Route, error::MethodNotAllowedError,
    http::Method, middleware::CatchPanic,
};
use poem_openapi::{OpenApi, OpenApiService};

use self::{
    errors::problem,
    extract::cookies,
    middleware::{cors, response_layer, token_answers::TokenAnswers, transport::Transport},
    openapi::docs,
    pages::{branding::Branding, context::Pages, provider_button::Button},
};
use crate::{
    domain::color::Color,
    services::{
        accounts::{
            account::Account, change_password::ChangePassword, register::Register, request_reset::RequestReset,
            reset_password::ResetPassword, verify_email::VerifyEmail,
        },
        audit::RequestIds,
        authorization::{authorize::Authorize, consents::Consents},
        clients::{Clients, register::RegisterClient},
        csrf::Csrf,
        federation::{Federate, identities::Identities},
        grants::{authorization_code::RedeemCode, client_credentials::ClientCredentials, refresh::Refresh},
        keys::published::PublishedKeys,
        metrics::Metrics,
        rate_limit::Limit,
        readiness::Readiness,
        sessions::{
            bearer::Bearer, browser::BrowserSessions, check::Check, introspect::Introspect, list::Sessions,
            login::LogIn, logout::LogOut, revoke::Revoke, status_lists::StatusLists, userinfo::Userinfo,
        },
    },
};

/// The path of the service itself.
const HOME: &str = "/";

/// The services that the routes call.
#[derive(Debug, Clone)]
pub struct Services {
    /// People's own accounts.
    pub account: Account,
    /// Forward authentication.
    pub check: Check,
    /// Clients' requests to log somebody in.
    pub authorize: Authorize,
    /// Access tokens presented to us.
    pub bearer: Bearer,
    /// Logins at the pages.
    pub browser_sessions: BrowserSessions,
    /// Password changes.
    pub change_password: ChangePassword,
    /// Clients' own tokens.
    pub client_credentials: ClientCredentials,
    /// Clients.
    pub clients: Clients,
    /// Clients that may begin an authorization: their documents are fetched.
    pub pushing_clients: Clients,
    /// The consents that people have given to clients.
    pub consents: Consents,
    /// Logins with other providers.
    pub federate: Federate,
    /// Links to them.
    pub identities: Identities,
    /// Descriptions of tokens.
    pub introspect: Introspect,
    /// Logins.
    pub log_in: LogIn,
    /// Logouts of browsers.
    pub log_out: LogOut,
    /// Authorization codes.
    pub redeem_code: RedeemCode,
    /// Refreshes.
    pub refresh: Refresh,
    /// Registrations.
    pub register: Register,
    /// Clients that register themselves.
    pub register_client: RegisterClient,
    /// Requests for a new password.
    pub request_reset: RequestReset,
    /// New passwords, set by an emailed link.
    pub reset_password: ResetPassword,
    /// Revocations.
    pub revoke: Revoke,
    /// Sessions.
    pub sessions: Sessions,
    /// Status lists.
    pub status_lists: StatusLists,
    /// Claims of users.
    pub userinfo: Userinfo,
    /// Email addresses and their verification.
    pub verify_email: VerifyEmail,
}

/// The configuration of the routes.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// `iss`, and the beginning of every URL that we publish.
    pub issuer: String,
    /// The published keys.
    pub published_keys: PublishedKeys,
    /// Whether requests can be answered.
    pub readiness: Readiness,
    /// Names requests.
    pub request_ids: RequestIds,
    /// How often client networks may call which routes.
    pub limit: Limit,
    /// Counts answers.
    pub metrics: Metrics,
    /// Makes and checks the codes of forms.
    pub csrf: Csrf,
    /// The name of the service on the pages.
    pub name: String,
    /// The accent colour of the pages.
    pub color: Color,
    /// Whether the listener speaks TLS itself.
    pub tls: bool,
    /// Whether browsers reach the service by HTTPS.
    pub https: bool,
    /// The networks whose `Forwarded` and `X-Forwarded-For` fields are trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// The origins whose scripts may call the routes for apps, as browsers write them in `Origin`.
    pub cors_origins: Vec<String>,
}

/// Everything that the service answers.
#[must_use]
pub fn endpoint(flows: Services, setting: HttpConfig) -> impl Endpoint<Output = Response> + 'static {
    let branding = Branding::new(setting.name.clone(), setting.color);
    let pages = Pages {
        branding: branding.clone(),
        cookies: cookies::Cookies { https: setting.https },
        issuer: setting.issuer.clone(),
        csrf: setting.csrf.clone(),
        authorize: flows.authorize.clone(),
        browser_sessions: flows.browser_sessions.clone(),
        log_in: flows.log_in.clone(),
        log_out: flows.log_out.clone(),
        account: flows.account.clone(),
        change_password: flows.change_password.clone(),
        sessions: flows.sessions.clone(),
        consents: flows.consents.clone(),
        register: flows.register.clone(),
        providers: flows.federate.providers.iter().map(|(name, kind)| Button::of(name, kind)).collect(),
        federate: flows.federate.clone(),
        identities: flows.identities.clone(),
        request_reset: flows.request_reset.clone(),
        reset_password: flows.reset_password.clone(),
        verify_email: flows.verify_email.clone(),
    };
    let metadata = oauth::metadata::MetadataApi::new(&setting.issuer, &flows.register_client, &flows.authorize);
    let published_keys = setting.published_keys.clone();
    let check = oauth::check::CheckEndpoint { check: flows.check.clone() };
    let (userinfo, status_lists) = (flows.userinfo.clone(), flows.status_lists.clone());
    let service = service(flows, &setting);
    let document = docs::document(&service);
    let layer = response_layer::ResponseLayer {
        branding,
        request_ids: setting.request_ids,
        limit: setting.limit,
        metrics: setting.metrics,
        https: setting.https,
        transport: Transport { tls: setting.tls, trusted_proxies: setting.trusted_proxies, has_warned: Arc::default() },
        cors: cors::Cors(setting.cors_origins),
        built: None,
        tokens: None,
    };
    let tokens = TokenAnswers { check: check.clone(), userinfo, status_lists };
    let layer = layer.with_built(published_keys, &metadata.document, tokens);
    let docs = docs::routes(&service);
    let openapi = static_file::file("application/json", Some(docs::POLICY), document);
    let routes = pages::add(Route::new(), pages)
        .at(oauth::check::PATH, check)
        .nest_no_strip("/", service.into_endpoint().around(home))
        .nest_no_strip("/docs", docs)
        .at("/openapi.json", openapi);
    layered(routes, layer)
}

/// A browser that opens the service itself is looking for the account. The APIs take the whole tree, and so this path.
async fn home<E: Endpoint>(routes: Arc<E>, request: Request) -> poem::Result<Response> {
    if request.uri().path() == HOME {
        let is_read = [Method::GET, Method::HEAD].contains(request.method());
        return if is_read { Ok(redirect::see_other("/account")) } else { Err(MethodNotAllowedError.into()) };
    }
    Ok(routes.call(request).await?.into_response())
}

/// Wraps the routes in the response layer, which also answers after a panic.
fn layered<E: Endpoint<Output = Response> + 'static>(
    routes: E,
    layer: response_layer::ResponseLayer,
) -> impl Endpoint<Output = Response> + 'static {
    let panics = CatchPanic::new().with_handler(|panic: Box<dyn std::any::Any + Send>| {
        let _ = panic;
        tracing::error!("a handler panicked");
        problem::Problem::new(
            poem::http::StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "Something broke on our side; it has been logged.",
        )
    });
    routes.with(panics).with(layer)
}

/// The OpenAPI document of these routes, as JSON.
#[must_use]
pub fn openapi(flows: Services, setting: &HttpConfig) -> String {
    docs::document(&service(flows, setting))
}

fn service(flows: Services, setting: &HttpConfig) -> OpenApiService<impl OpenApi + 'static, ()> {
    OpenApiService::new(apis(flows, setting), "Signet", env!("CARGO_PKG_VERSION"))
        .description("Registers users, checks passwords, and signs tokens that any service verifies by itself.")
        .server(setting.issuer.clone())
}

/// Every API that is documented.
fn apis(flows: Services, setting: &HttpConfig) -> impl OpenApi + 'static + use<> {
    let cookies = cookies::Cookies { https: setting.https };
    (
        v1::users::UsersApi {
            bearer: flows.bearer.clone(),
            register: flows.register.clone(),
            account: flows.account.clone(),
            change_password: flows.change_password,
        },
        v1::password_resets::PasswordResetsApi {
            request_reset: flows.request_reset,
            reset_password: flows.reset_password,
        },
        v1::email_verifications::EmailVerificationsApi {
            bearer: flows.bearer.clone(),
            verify_email: flows.verify_email,
        },
        v1::sessions::SessionsApi {
            bearer: flows.bearer.clone(),
            log_in: flows.log_in.clone(),
            refresh: flows.refresh.clone(),
            sessions: flows.sessions,
            cookies,
        },
        oauth::token::TokenApi {
            clients: flows.clients.clone(),
            log_in: flows.log_in.clone(),
            redeem_code: flows.redeem_code,
            refresh: flows.refresh,
            client_credentials: flows.client_credentials,
            cookies,
        },
        oauth::par::ParApi { clients: flows.pushing_clients, authorize: flows.authorize.clone() },
        oauth::revoke::RevokeApi { clients: flows.clients.clone(), revoke: flows.revoke },
        oauth::introspect::IntrospectApi { clients: flows.clients, introspect: flows.introspect },
        oauth::status_lists::StatusListsApi { status_lists: flows.status_lists },
        oauth::userinfo::UserinfoApi { userinfo: flows.userinfo },
        oauth::jwks::JwksApi { published_keys: setting.published_keys.clone() },
        oauth::metadata::MetadataApi::new(&setting.issuer, &flows.register_client, &flows.authorize),
        oauth::register::RegisterApi { register_client: flows.register_client, issuer: setting.issuer.clone() },
        legacy::OriginalApi {
            register: flows.register,
            log_in: flows.log_in,
            bearer: flows.bearer,
            account: flows.account,
        },
        health::HealthApi { readiness: setting.readiness.clone() },
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The routes of these APIs, which are described without being built.
    fn documented<A: OpenApi>(_: fn(Services, &HttpConfig) -> A) -> BTreeSet<(String, String)> {
        let paths = A::meta().into_iter().flat_map(|api| api.paths);
        paths
            .flat_map(|path| path.operations.into_iter().map(move |operation| (operation.method, path.path.clone())))
            .map(|(method, path)| (method.to_string(), path))
            .collect()
    }

    /// poem's `:name` as OpenAPI's `{name}`.
    fn braced(path: &str) -> String {
        let segments = path
            .split('/')
            .map(|part| part.strip_prefix(':').map_or_else(|| part.to_owned(), |name| format!("{{{name}}}")));
        segments.collect::<Vec<_>>().join("/")
    }

    #[test]
    fn the_table_has_every_route_once_and_no_other() {
        let mut served = documented(apis);
        assert!(served.len() > 30, "{served:?}");
        for (path, methods) in pages::PAGES {
            served.extend(methods.iter().map(|method| (method.to_string(), braced(path))));
        }
        let files = pages::branding::FILES.into_iter().chain(docs::FILES).chain(["/openapi.json", HOME]);
        served.extend(files.map(|path| ("GET".to_owned(), path.to_owned())));
        served.extend(oauth::check::METHODS.map(|method| (method.to_owned(), oauth::check::PATH.to_owned())));
        let table: Vec<_> = routes::all().map(|(method, path)| (method.to_string(), path.to_owned())).collect();
        let rows: BTreeSet<_> = table.iter().cloned().collect();
        assert_eq!(rows.len(), table.len(), "a route is in the table twice");
        assert_eq!(rows, served);
    }
}
