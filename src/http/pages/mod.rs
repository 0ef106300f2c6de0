//! The browser pages: rendered here, working without a script, in one look.
//!
//! | page | file |
//! |---|---|
//! | `GET\|POST /login` | `login` |
//! | `GET\|POST /register` | `register` |
//! | `GET\|POST /account` and below | `account` |
//! | `GET\|POST /consent` | `consent` |
//! | `GET\|POST /logout` | `logout` |
//! | `GET\|POST /oauth/authorize`, which leads to them | `crate::http::pages::authorize` |
//! | `GET\|POST /oauth/logout`, which leads there | `crate::http::pages::end_session` |
//! | `GET\|POST /federation/{name}`, `/federation/{name}/callback`, `POST /federation/{name}/username` | `federation` |
//! | `GET\|POST /account/providers` | `providers` |
//! | `GET\|POST /forgot-password` | `forgot_password` |
//! | `GET\|POST /reset-password` | `reset_password` |
//! | `GET\|POST /verify-email` | `verify_email` |
//! | `GET /assets/style.css`, `/assets/icon.svg`, `/assets/submit.js` | `branding` |
//!
//! A GET changes nothing: mail scanners and browsers that look ahead use up no link.

mod account;
pub(super) mod authorize;
pub(super) mod branding;
mod consent;
pub(super) mod end_session;
pub(super) mod error;
mod federation;
mod forgot_password;
pub(super) mod form;
pub(super) mod layout;
mod login;
pub(super) mod logout;
pub(super) mod post_auth_action;
mod register;
mod reset_password;
mod verify_email;

use std::sync::Arc;

use poem::{EndpointExt, Request, Route, get, http::Method, post};

use self::branding::Branding;
pub(super) use self::federation::Button;
use crate::{
    domain::session::Session,
    http::extract::cookies::{Cookies, SESSION},
    services::{
        Unavailable,
        accounts::{
            account::Account, change_password::ChangePassword, register::Register, request_reset::RequestReset,
            reset_password::ResetPassword, verify_email::VerifyEmail,
        },
        authorization::{authorize::Authorize, consents::Consents},
        csrf::Csrf,
        federation::{Federate, identities::Identities},
        sessions::{browser::BrowserSessions, list::Sessions, login::LogIn, logout::LogOut},
    },
};

/// The pages, which are read with GET and sent with POST. What goes wrong there is told as a page.
const PATHS: [&str; 18] = [
    "/account",
    "/account/apps",
    "/account/delete",
    "/account/email",
    "/account/password",
    "/account/providers",
    "/account/sessions",
    "/account/username",
    "/consent",
    "/federation/{name}/callback",
    "/forgot-password",
    "/login",
    "/logout",
    "/oauth/authorize",
    "/oauth/logout",
    "/register",
    "/reset-password",
    "/verify-email",
];

/// What the pages need.
#[derive(Debug, Clone)]
pub(super) struct Pages {
    /// How they look.
    pub(super) branding: Branding,
    /// How cookies are set.
    pub(super) cookies: Cookies,
    /// The origin of every page.
    pub(super) issuer: String,
    /// Makes and checks the codes of forms.
    pub(super) csrf: Csrf,
    /// Answers clients' requests.
    pub(super) authorize: Authorize,
    /// Knows who is logged in.
    pub(super) browser_sessions: BrowserSessions,
    /// Logs people in.
    pub(super) log_in: LogIn,
    /// Logs them out.
    pub(super) log_out: LogOut,
    /// People's own accounts.
    pub(super) account: Account,
    /// Changes passwords.
    pub(super) change_password: ChangePassword,
    /// Where people are logged in.
    pub(super) sessions: Sessions,
    /// What people have allowed.
    pub(super) consents: Consents,
    /// Makes accounts.
    pub(super) register: Register,
    /// Logs people in with other providers.
    pub(super) federate: Federate,
    /// Those, as buttons.
    pub(super) providers: Arc<[Button]>,
    /// Shows and takes away links to them.
    pub(super) identities: Identities,
    /// Asks for a link to choose a new password.
    pub(super) request_reset: RequestReset,
    /// Chooses it.
    pub(super) reset_password: ResetPassword,
    /// Proves an address.
    pub(super) verify_email: VerifyEmail,
}

impl Pages {
    /// Who is logged in in the browser that asks.
    ///
    /// # Errors
    /// [`Unavailable`] where the database cannot tell.
    pub(super) async fn session(&self, request: &Request) -> Result<Option<Session>, Unavailable> {
        self.browser_sessions.find(self.cookies.find(request, SESSION).as_deref()).await
    }
}

/// Whether what is at `path` is a page.
pub(super) fn is_page(path: &str) -> bool {
    path.starts_with("/federation/") || PATHS.contains(&path)
}

/// The paths and methods of the pages and their files.
pub(super) fn methods() -> impl Iterator<Item = (String, Vec<Method>)> {
    let pages = PATHS.map(|path| (path.to_owned(), vec![Method::GET, Method::POST]));
    let files = branding::FILES.map(|path| (path.to_owned(), vec![Method::GET]));
    let federation = [
        ("/federation/{name}".to_owned(), vec![Method::GET, Method::POST]),
        ("/federation/{name}/username".to_owned(), vec![Method::POST]),
    ];
    pages.into_iter().chain(federation).chain(files)
}

/// Adds every page, and the files that they need, to `routes`.
pub(super) fn add(routes: Route, pages: Pages) -> Route {
    let pages = Arc::new(pages);
    let page = |endpoint: poem::RouteMethod| endpoint.data(Arc::clone(&pages));
    pages
        .branding
        .files(routes)
        .at("/account", page(get(account::show).post(account::send)))
        .at("/account/apps", page(get(account::apps::show).post(account::apps::send)))
        .at("/account/delete", page(get(account::delete::show).post(account::delete::send)))
        .at("/account/email", page(get(account::email::show).post(account::email::send)))
        .at("/account/password", page(get(account::password::show).post(account::password::send)))
        .at("/account/sessions", page(get(account::sessions::show).post(account::sessions::send)))
        .at("/account/username", page(get(account::username::show).post(account::username::send)))
        .at("/account/providers", page(get(account::providers::show).post(account::providers::change)))
        .at("/federation/:name", page(get(federation::start_from_hint).post(federation::start_from_form)))
        .at("/federation/:name/callback", page(get(federation::callback).post(federation::come_back_by_form)))
        .at("/federation/:name/username", page(post(federation::choose_username)))
        .at("/consent", page(get(consent::show).post(consent::send)))
        .at("/login", page(get(login::show).post(login::send)))
        .at("/logout", page(get(logout::show).post(logout::send)))
        .at("/oauth/logout", page(get(end_session::ask).post(end_session::ask_by_form)))
        .at("/oauth/authorize", page(get(authorize::ask).post(authorize::ask_by_form)))
        .at("/register", page(get(register::show).post(register::send)))
        .at("/forgot-password", page(get(forgot_password::show).post(forgot_password::send)))
        .at("/reset-password", page(get(reset_password::show).post(reset_password::send)))
        .at("/verify-email", page(get(verify_email::show).post(verify_email::send)))
}
