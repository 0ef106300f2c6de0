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
    domain::client_info::Credentials,
    http::{
        errors::failure::TooManyRequests,
        middleware::client_info::RequestOrigin,
        pages::{branding::Branding, post_auth_action::PostAuthAction, send_on::send_on},
    },
    services::{csrf::BrowserId, grants::GrantError},
};

const FORM: &str = "login";

#[derive(Template)]
#[template(path = "login.html")]
struct LogInPage<'a> {
    branding: &'a Branding,
    csrf: &'a str,
    onward: &'a PostAuthAction,
    providers: Buttons<'a>,
    /// The client that asks for the login; empty where there is none.
    client: &'a str,
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
    let mut form = Form::read(pages, FORM, request, body).await?;
    let onward = PostAuthAction::of_form(&mut form);
    if form.text("answer") == "continue" {
        // A user that is no longer logged in gets the login page again, by way of the request.
        let Some(session) = pages.session(request).await? else {
            return ask(pages, &form.browser, request, StatusCode::OK, &onward, None, "").await;
        };
        let outcome = pages.authorize.continue_as(&onward.request, &form.browser, &session).await?;
        return Ok(send_on(pages, &BrowserContext::known(form.browser), outcome));
    }
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
            let mut response = again(StatusCode::TOO_MANY_REQUESTS, &alert).await?;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
            Ok(response)
        }
        Err(GrantError::Unavailable(unavailable)) => Err(unavailable.into()),
        // A malformed name or password gets the same answer as a wrong one.
        Err(_) => again(StatusCode::UNPROCESSABLE_ENTITY, "The name or the password is wrong.").await,
    }
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
    // Who is logged in and is asked again is probably the one who will answer.
    let known = session.as_ref().map(|session| session.username.as_str());
    let present = known.filter(|_| asking.as_ref().is_some_and(|asking| asking.may_continue)).unwrap_or_default();
    let guess = if present.is_empty() { hint.or(known) } else { hint };
    let page = LogInPage {
        branding: &pages.branding,
        csrf: &pages.csrf.code(browser, FORM),
        onward,
        providers: pages.buttons(browser),
        client: asking.as_ref().map(|asking| asking.client.name.as_str()).unwrap_or_default(),
        present,
        username: typed.or(guess).unwrap_or_default(),
        alert,
        may_register: pages.register.open,
    };
    Ok(layout::page_leading_to(status, &page, asking.as_ref().and_then(|asking| asking.origin.as_deref())))
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
