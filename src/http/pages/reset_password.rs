//! `/reset-password?token=`: chooses a new password by the link from an email. Looking at the page uses nothing up.

use std::sync::Arc;

use askama::Template;
use poem::{Body, Request, Response, handler, http::StatusCode, web::Data};
use secrecy::{ExposeSecret, SecretString};

use super::{
    context::Pages,
    error::PageError,
    form::{self, Form},
    layout::{self, Notice},
    provider_button::title,
};
use crate::{
    http::pages::branding::Branding,
    services::{
        accounts::reset_password::{LinkedProviders, ResetPasswordError},
        csrf::BrowserId,
    },
};

const FORM: &str = "reset-password";

#[derive(Template)]
#[template(path = "reset_password.html")]
struct ChoosePassword<'a> {
    branding: &'a Branding,
    csrf: &'a str,
    token: &'a str,
    username: &'a str,
    /// The providers that can log in to the account; empty where there is none.
    linked: String,
    error: &'a str,
    repeated_error: &'a str,
}

/// The form, for a link that is good.
#[handler]
pub(super) async fn show(Data(pages): Data<&Arc<Pages>>, request: &Request) -> Result<Response, PageError> {
    let context = form::context(pages, request);
    let page = choose(pages, &context.browser, StatusCode::OK, &form::token(request), "", "").await?;
    Ok(form::set_browser_cookie(pages, &context, page))
}

/// The form was sent.
#[handler]
pub(super) async fn send(Data(pages): Data<&Arc<Pages>>, request: &Request, body: Body) -> Result<Response, PageError> {
    let mut form = Form::read(pages, FORM, request, body).await?;
    let (token, new, repeated) = (form.secret("token"), form.secret("new_password"), form.secret("repeated"));
    // A box that is not ticked is not sent.
    let providers =
        if form.text("unlink_providers").is_empty() { LinkedProviders::Stay } else { LinkedProviders::Unlinked };
    let again = async |error: &str, repeated_error: &str| {
        choose(pages, &form.browser, StatusCode::UNPROCESSABLE_ENTITY, &token, error, repeated_error).await
    };
    if repeated.expose_secret() != new.expose_secret() {
        return again("", "This is not the same password.").await;
    }
    match pages.reset_password.run(&token, &new, providers).await {
        Ok(()) => {
            let notice = Notice::new(&pages.branding, "Your password is changed", CHANGED);
            Ok(layout::page(StatusCode::OK, &notice.with_link("/login", "Log in")))
        }
        Err(ResetPasswordError::Password(why)) => again(&format!("The password {why}."), "").await,
        Err(ResetPasswordError::InvalidToken) => over(pages, &token).await,
        Err(ResetPasswordError::Unavailable(unavailable)) => Err(unavailable.into()),
    }
}

/// The form, if the link is good.
async fn choose(
    pages: &Pages,
    browser: &BrowserId,
    status: StatusCode,
    token: &SecretString,
    error: &str,
    repeated_error: &str,
) -> Result<Response, PageError> {
    let Some((owner, linked)) = pages.reset_password.peek(token).await? else { return over(pages, token).await };
    let page = ChoosePassword {
        branding: &pages.branding,
        csrf: &pages.csrf.code(browser, FORM),
        token: token.expose_secret(),
        username: owner.username.as_written(),
        linked: linked.iter().map(|name| title(name, pages.identities.kind(name))).collect::<Vec<_>>().join(", "),
        error,
        repeated_error,
    };
    Ok(layout::page(status, &page))
}

const CHANGED: &str = "Every device that was logged in has been logged out. Log in with the new password from now on.";

/// A link that was used says so; there is one page for every other invalid link.
async fn over(pages: &Pages, token: &SecretString) -> Result<Response, PageError> {
    if pages.reset_password.is_used(token).await? {
        let text = "This link has set a new password, and works no more. Log in with that password. If it was not you, get \
                    a new link on the login page, by “Forgot your password?”.";
        let notice = Notice::new(&pages.branding, "Your password is changed", text).with_link("/login", "Log in");
        return Ok(layout::page(StatusCode::OK, &notice));
    }
    let text = "It has been used, it is older than 30 minutes, or a newer one was sent.";
    let notice = Notice::new(&pages.branding, "This link does not work any more", text);
    Ok(layout::page(StatusCode::BAD_REQUEST, &notice.with_link("/forgot-password", "Get a new link")))
}
