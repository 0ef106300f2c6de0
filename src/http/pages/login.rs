//! `/login`: a name and a password, for a client's request or for a page of ours.

use std::sync::Arc;

use askama::Template;
use poem::{
    Body, Request, Response, handler,
    http::{HeaderValue, StatusCode, header},
    web::Data,
};

use super::{
    context::Pages,
    error::PageError,
    federation::Buttons,
    form::{self, BrowserContext, Form},
    layout,
};
use crate::{
    domain::{client_info::Credentials, session::Session},
    http::{
        errors::failure::TooManyRequests,
        middleware::client_info::RequestOrigin,
        pages::{
            branding::Branding,
            post_auth_action::PostAuthAction,
            send_on::{Via, send_on},
        },
    },
    services::{authorization::question::Progress, csrf::BrowserId, grants::GrantError},
};

const FORM: &str = "login";

#[derive(Template)]
#[template(path = "login.html")]
struct LogInPage<'a> {
    branding: &'a Branding,
    csrf: &'a str,
    /// The code of the form by which the user that is logged in continues.
    csrf_continue: &'a str,
    onward: &'a PostAuthAction,
    providers: Buttons<'a>,
    /// The client that asks for the login; empty where there is none.
    client: String,
    /// The user that is logged in and may continue; empty where there is none.
    present: &'a str,
    username: &'a str,
    alert: &'a str,
    may_register: bool,
}

/// The form. A user that is logged in and need not log in again goes on at once.
#[handler]
pub(super) async fn show(Data(pages): Data<&Arc<Pages>>, request: &Request) -> Result<Response, PageError> {
    let context = form::context(pages, request);
    let onward = PostAuthAction::of_query(request);
    if onward.request.is_empty()
        && let Some(session) = pages.session(request).await?
    {
        return onward.go(pages, &context.browser, &session).await;
    }
    let page = ask(pages, &context.browser, request, StatusCode::OK, &onward, None, "").await?;
    Ok(form::set_browser_cookie(pages, &context, page))
}

/// The form was sent: to log in, or to go on as who one is.
#[handler]
pub(super) async fn send(
    Data(pages): Data<&Arc<Pages>>,
    request: &Request,
    origin: RequestOrigin,
    body: Body,
) -> Result<Response, PageError> {
    let mut form = Form::read_unchecked(pages, request, body).await?;
    if form.text("answer") == "continue" {
        let session = pages.session(request).await?;
        // The code is good for the login that the button named, and for no other that began meanwhile in another tab.
        let named = session.filter(|session| form.is_of(pages, &continue_form(session)));
        let onward = PostAuthAction::of_form(&mut form);
        let Some(session) = named else {
            let alert = "You are not logged in here as that user any more. Choose again.";
            return ask(pages, &form.browser, request, StatusCode::FORBIDDEN, &onward, None, alert).await;
        };
        let outcome = pages.authorize.resume(&onward.request, &form.browser, Some(&session), Progress::CHOICE).await?;
        return Ok(send_on(pages, &BrowserContext::known(form.browser), outcome, Via::Form));
    }
    if !form.is_of(pages, FORM) {
        return Err(PageError::Stale);
    }
    let onward = PostAuthAction::of_form(&mut form);
    // Before a password is tried for a request that leads nowhere.
    onward.asking(pages, &form.browser).await?;
    let (username, password) = (form.text("username"), form.secret("password"));
    let credentials = Credentials { username: &username, password: &password };
    let again = async |status: StatusCode, alert: &str| {
        ask(pages, &form.browser, request, status, &onward, Some(&username), alert).await
    };
    match pages.log_in.at_pages(&credentials, &origin.0).await {
        Ok(logged_in) => onward.go_logged_in(pages, &form.browser, request, logged_in).await,
        Err(GrantError::TooMany { retry_after }) => {
            let TooManyRequests { retry_after } = TooManyRequests::after(retry_after);
            let alert = format!("There were too many attempts. Try again in {}.", in_words(retry_after));
            let mut response = kept_for_back(again(StatusCode::TOO_MANY_REQUESTS, &alert).await?);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
            Ok(response)
        }
        Err(GrantError::Unavailable(unavailable)) => Err(unavailable.into()),
        // A malformed name or password gets the same answer as a wrong one.
        Err(_) => {
            Ok(kept_for_back(again(StatusCode::UNPROCESSABLE_ENTITY, "The name or the password is wrong.").await?))
        }
    }
}

/// Lets the browser show this answer of a form again, for Back: with `no-store` it would ask whether to send the form
/// once more. The page holds the typed name and no password.
fn kept_for_back(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    response
}

/// The form by which the user of this login continues.
fn continue_form(session: &Session) -> String {
    format!("{FORM} continue {}", session.id)
}

/// A wait as people say it.
pub(super) fn in_words(seconds: u64) -> String {
    match seconds {
        0..=1 => "a second".to_owned(),
        2..=99 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

async fn ask(
    pages: &Pages,
    browser: &BrowserId,
    request: &Request,
    status: StatusCode,
    onward: &PostAuthAction,
    typed: Option<&str>,
    alert: &str,
) -> Result<Response, PageError> {
    let asking = onward.asking(pages, browser).await?;
    let session = pages.session(request).await?;
    let hint = asking.as_ref().and_then(|asking| asking.login_hint.as_deref());
    // A user who is logged in and is asked again will probably answer, so the form names them.
    let known = session.as_ref().map(|session| session.username.as_str());
    let present = known.filter(|_| asking.as_ref().is_some_and(|asking| asking.may_continue)).unwrap_or_default();
    let guess = if present.is_empty() { hint.or(known) } else { hint };
    let csrf_continue = session.as_ref().map(|session| pages.csrf.code(browser, &continue_form(session)));
    let page = LogInPage {
        branding: &pages.branding,
        csrf: &pages.csrf.code(browser, FORM),
        csrf_continue: csrf_continue.as_deref().unwrap_or_default(),
        onward,
        providers: pages.buttons(browser),
        client: asking.as_ref().map(|asking| asking.client.shown_name()).unwrap_or_default(),
        present,
        username: typed.or(guess).unwrap_or_default(),
        alert,
        may_register: pages.register.open,
    };
    Ok(layout::page(status, &page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_in_words() {
        assert_eq!(in_words(1), "a second");
        assert_eq!(in_words(30), "30 seconds");
        assert_eq!(in_words(100), "2 minutes");
    }
}
