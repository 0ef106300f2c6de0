//! The browser pages: rendered here, working without a script, in one look.
//!
//! | page | file |
//! |---|---|
//! | `GET\|POST /login` | `login` |
//! | `GET\|POST /register` | `register` |
//! | `GET\|POST /consent` | `consent` |
//! | `GET\|POST /oauth/authorize`, which leads to them | `crate::http::oauth::authorize` |
//! | `GET\|POST /forgot-password` | `forgot_password` |
//! | `GET\|POST /reset-password` | `reset_password` |
//! | `GET\|POST /verify-email` | `verify_email` |
//! | `GET /assets/style.css`, `/assets/icon.svg`, `/assets/submit.js` | `look` |
//!
//! A GET changes nothing: mail scanners and browsers that look ahead use up no link.

mod consent;
pub(super) mod error;
mod forgot_password;
pub(super) mod form;
pub(super) mod layout;
mod login;
pub(super) mod look;
mod onward;
mod register;
mod reset_password;
mod verify_email;

use std::sync::Arc;

use poem::{EndpointExt, Request, Route, get, http::Method};

use self::look::Look;
use super::{
    cookies::{Cookies, SESSION},
    oauth::authorize,
};
use crate::{
    domain::session::Session,
    flow::{
        Trouble, authorize::Authorize, browser_session::BrowserSessions, csrf::Csrf, log_in::LogIn, register::Register,
        request_reset::RequestReset, reset_password::ResetPassword, verify_email::VerifyEmail,
    },
};

/// The pages, which are read with GET and sent with POST. What goes wrong there is told as a page.
const PATHS: [&str; 7] =
    ["/consent", "/forgot-password", "/login", "/oauth/authorize", "/register", "/reset-password", "/verify-email"];

/// What the pages need.
#[derive(Debug, Clone)]
pub(super) struct Pages {
    /// How they look.
    pub(super) look: Look,
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
    /// Makes accounts.
    pub(super) register: Register,
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
    /// [`Trouble`] where the database cannot tell.
    pub(super) async fn session(&self, request: &Request) -> Result<Option<Session>, Trouble> {
        self.browser_sessions.find(self.cookies.find(request, SESSION).as_deref()).await
    }
}

/// Whether what is at `path` is a page.
pub(super) fn is_page(path: &str) -> bool {
    PATHS.contains(&path)
}

/// The paths and methods of the pages and their files.
pub(super) fn methods() -> impl Iterator<Item = (String, Vec<Method>)> {
    let pages = PATHS.map(|path| (path.to_owned(), vec![Method::GET, Method::POST]));
    let files = look::FILES.map(|path| (path.to_owned(), vec![Method::GET]));
    pages.into_iter().chain(files)
}

/// Adds every page, and the files that they need, to `routes`.
pub(super) fn add(routes: Route, pages: Pages) -> Route {
    let pages = Arc::new(pages);
    let page = |endpoint: poem::RouteMethod| endpoint.data(Arc::clone(&pages));
    pages
        .look
        .files(routes)
        .at("/consent", page(get(consent::show).post(consent::send)))
        .at("/login", page(get(login::show).post(login::send)))
        .at("/oauth/authorize", page(get(authorize::ask).post(authorize::ask_by_form)))
        .at("/register", page(get(register::show).post(register::send)))
        .at("/forgot-password", page(get(forgot_password::show).post(forgot_password::send)))
        .at("/reset-password", page(get(reset_password::show).post(reset_password::send)))
        .at("/verify-email", page(get(verify_email::show).post(verify_email::send)))
}
