//! `/account`: what people see of their own account, and the ways to change it, each on a page of its own.
//!
//! | page | file |
//! |---|---|
//! | `GET /account`; `POST` asks for the email that verifies the address | here |
//! | `GET\|POST /account/username` | `username` |
//! | `GET\|POST /account/email` | `email` |
//! | `GET\|POST /account/password` | `password` |
//! | `GET\|POST /account/sessions` | `sessions` |
//! | `GET\|POST /account/apps` | `apps` |
//! | `GET\|POST /account/delete` | `delete` |
//!
//! Where a change is done the browser is sent back here (303), with a word for it that stands for a fixed text. The code
//! of a form is good for the login that it was given to: in the hands of the next one who logs in here it is too old.

pub(super) mod apps;
pub(super) mod delete;
mod device;
pub(super) mod email;
pub(super) mod password;
pub(super) mod providers;
pub(super) mod sessions;
pub(super) mod username;

use std::{sync::Arc, time::Duration};

use askama::Template;
use chrono::{DateTime, Utc};
use poem::{
    Body, Request, Response, handler,
    http::{HeaderValue, StatusCode, header},
    web::Data,
};

use super::{
    context::Pages,
    error::PageError,
    form::{self, BrowserContext, Form},
    layout,
    login::in_words,
};
use crate::{
    domain::{email::EmailAddress, session::Session, user::AccountRecord},
    http::{errors::failure::TooManyRequests, pages::branding::Branding, redirect::see_other},
    services::{accounts::account::AccountError, sessions::bearer::Caller},
};

const PATH: &str = "/account";

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage<'a> {
    branding: &'a Branding,
    csrf: &'a str,
    done: &'static str,
    username: &'a str,
    /// Empty where there is none.
    email: &'a str,
    verified: bool,
    has_password: bool,
    sessions: usize,
    /// How many providers open it; `None` where there is none to link.
    linked: Option<usize>,
    apps: usize,
}

/// The account.
#[handler]
pub(super) async fn show(Data(pages): Data<&Arc<Pages>>, request: &Request) -> Result<Response, PageError> {
    let Some(member) = SignedInUser::find(pages, request).await? else { return Ok(log_in(PATH)) };
    let Some(AccountRecord { user, has_password }) = member.account(pages).await? else { return Ok(log_in(PATH)) };
    let sessions = pages.sessions.list(&member.caller).await?.len();
    let providers = pages.identities.of(&member.session).await?;
    let any = !providers.linked.is_empty() || !providers.others.is_empty();
    let page = AccountPage {
        branding: &pages.branding,
        csrf: &member.code(pages, PATH),
        done: done(request),
        username: user.username.as_written(),
        email: user.email.as_ref().map(EmailAddress::as_str).unwrap_or_default(),
        verified: user.email_verified,
        has_password,
        sessions,
        linked: any.then_some(providers.linked.len()),
        apps: pages.consents.list(&member.caller).await?.len(),
    };
    Ok(member.shown(pages, StatusCode::OK, &page))
}

/// The email that verifies the address did not come.
#[handler]
pub(super) async fn send(Data(pages): Data<&Arc<Pages>>, request: &Request, body: Body) -> Result<Response, PageError> {
    let Some(member) = SignedInUser::find(pages, request).await? else { return Ok(log_in(PATH)) };
    member.form(pages, PATH, request, body).await?;
    pages.verify_email.ask(&member.caller).await?;
    Ok(back("verification"))
}

/// Somebody who looks at their own account.
struct SignedInUser {
    session: Session,
    caller: Caller,
    context: BrowserContext,
}

impl SignedInUser {
    /// The user that is logged in in the browser that sent `request`.
    async fn find(pages: &Pages, request: &Request) -> Result<Option<Self>, PageError> {
        let session = pages.session(request).await?;
        let context = form::context(pages, request);
        Ok(session.map(|session| Self { caller: Caller::of_log_in(&session), session, context }))
    }

    /// Their account; `None` where it was deleted in this moment.
    async fn account(&self, pages: &Pages) -> Result<Option<AccountRecord>, PageError> {
        match pages.account.overview(&self.caller).await {
            Ok(account) => Ok(Some(account)),
            Err(AccountError::Unavailable(unavailable)) => Err(unavailable.into()),
            Err(_) => Ok(None),
        }
    }

    /// The code of the form `name` for this login.
    fn code(&self, pages: &Pages, name: &str) -> String {
        pages.csrf.code(&self.context.browser, &self.form_name(name))
    }

    /// Reads the form `name`, which this login must have got from us.
    async fn form(&self, pages: &Pages, name: &str, request: &Request, body: Body) -> Result<Form, PageError> {
        Form::read(pages, &self.form_name(name), request, body).await
    }

    fn form_name(&self, name: &str) -> String {
        format!("{name} {}", self.session.id)
    }

    fn shown(&self, pages: &Pages, status: StatusCode, page: &impl Template) -> Response {
        form::set_browser_cookie(pages, &self.context, layout::page(status, page))
    }
}

/// Sends a browser without a login to the login page, and afterwards back to `path`.
fn log_in(path: &str) -> Response {
    see_other(&format!("/login?return_to={path}"))
}

/// Sends the browser back to the account page, which shows the result.
fn back(word: &str) -> Response {
    see_other(&format!("{PATH}?done={word}"))
}

/// The result, named by a word in the URL. Anybody can write such a URL, so each text is a plain statement.
fn done(request: &Request) -> &'static str {
    match form::parameter(request, "done").as_deref() {
        Some("username") => "Your username is changed.",
        Some("email") => "We have written to the new address. It counts once you follow the link in that mail.",
        Some("verification") => {
            "If the address is not confirmed yet, we have written to it again. Look into your mail."
        }
        Some("password") => "Your password is changed. Every other device is logged out.",
        Some("session") => "That login has ended.",
        Some("sessions") => "Every other login has ended.",
        Some("app") => "That app may not use your account any more.",
        _ => "",
    }
}

/// How long somebody must wait, in words, for a page that is shown again.
fn patience(retry_after: Duration) -> String {
    let TooManyRequests { retry_after } = TooManyRequests::after(retry_after);
    format!("There were too many attempts. Try again in {}.", in_words(retry_after))
}

/// The same, for whatever sent the form.
fn with_patience(mut response: Response, retry_after: Duration) -> Response {
    let TooManyRequests { retry_after } = TooManyRequests::after(retry_after);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
    response
}

/// A time for people. It names its time zone, since the browser's is unknown.
fn moment(time: DateTime<Utc>) -> String {
    time.format("%-d %B %Y, %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_as_people_write_it() {
        assert_eq!(moment(DateTime::UNIX_EPOCH), "1 January 1970, 00:00 UTC");
    }
}
