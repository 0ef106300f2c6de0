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
//! | `GET /assets/style.css`, `/assets/icon.svg`, `/assets/submit.js`, `/favicon.ico`, `/robots.txt` | `branding` |
//! | `GET /.well-known/change-password`, which leads to the account, as `/` does | here |
//!
//! A GET changes nothing: email scanners and browsers that look ahead use up no link.

mod account;
pub(super) mod authorize;
pub(super) mod branding;
mod consent;
pub(super) mod context;
pub(super) mod end_session;
pub(super) mod error;
mod federation;
mod forgot_password;
pub(super) mod form;
pub(super) mod layout;
mod login;
pub(super) mod logout;
pub(super) mod post_auth_action;
pub(super) mod provider_button;
mod register;
mod reset_password;
mod send_on;
mod verify_email;

use std::sync::Arc;

#[cfg(test)]
use poem::http::Method;
use poem::{EndpointExt, Response, Route, RouteMethod};

use self::context::Pages;
use crate::http::redirect::see_other;

/// Builds the routes of the pages, and the list of their paths and methods that the tests of `routes` compare.
macro_rules! pages {
    ($($path:literal: $($method:ident $name:ident $handler:path),+;)+) => {
        /// The paths of the pages and their methods, as poem spells them.
        #[cfg(test)]
        pub(super) const PAGES: &[(&str, &[Method])] = &[$(($path, &[$(Method::$name),+])),+];

        /// Adds every page, and the files that they need, to `routes`.
        pub(super) fn add(routes: Route, pages: Pages) -> Route {
            let pages = Arc::new(pages);
            pages.branding.files(routes)
                $(.at($path, RouteMethod::new()$(.$method($handler))+.data(Arc::clone(&pages))))+
        }
    };
}

/// Where password managers send people (W3C, a well-known URL for changing passwords).
#[poem::handler]
fn change_password() -> Response {
    see_other("/account/password")
}

pages! {
    "/.well-known/change-password": get GET change_password;
    "/account": get GET account::show, post POST account::send;
    "/account/apps": get GET account::apps::show, post POST account::apps::send;
    "/account/delete": get GET account::delete::show, post POST account::delete::send;
    "/account/email": get GET account::email::show, post POST account::email::send;
    "/account/password": get GET account::password::show, post POST account::password::send;
    "/account/sessions": get GET account::sessions::show, post POST account::sessions::send;
    "/account/username": get GET account::username::show, post POST account::username::send;
    "/account/providers": get GET account::providers::show, post POST account::providers::change;
    "/federation/:name": get GET federation::start_from_hint, post POST federation::start_from_form;
    "/federation/:name/callback": get GET federation::callback, post POST federation::come_back_by_form;
    "/federation/:name/username": post POST federation::choose_username;
    "/consent": get GET consent::show, post POST consent::send;
    "/login": get GET login::show, post POST login::send;
    "/logout": get GET logout::show, post POST logout::send;
    "/oauth/logout": get GET end_session::ask, post POST end_session::ask_by_form;
    "/oauth/authorize": get GET authorize::ask, post POST authorize::ask_by_form;
    "/register": get GET register::show, post POST register::send;
    "/forgot-password": get GET forgot_password::show, post POST forgot_password::send;
    "/reset-password": get GET reset_password::show, post POST reset_password::send;
    "/verify-email": get GET verify_email::show, post POST verify_email::send;
}
