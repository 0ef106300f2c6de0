//! `/verify-email?token=`: confirms an address by the link from an email, or says that the account is somebody else's.
//! Looking at the page uses nothing up.

use std::sync::Arc;

use askama::Template;
use poem::{Body, Request, Response, handler, http::StatusCode, web::Data};
use secrecy::{ExposeSecret, SecretString};

use super::{
    context::Pages,
    error::PageError,
    form::{self, Form},
    layout::{self, Notice},
};
use crate::{
    http::pages::branding::Branding,
    services::accounts::verify_email::{Used, VerifyEmailError},
};

const FORM: &str = "verify-email";

#[derive(Template)]
#[template(path = "verify_email.html")]
struct Confirm<'a> {
    branding: &'a Branding,
    csrf: &'a str,
    token: &'a str,
    username: &'a str,
    email: &'a str,
}

/// The question, for a link that is good.
#[handler]
pub(super) async fn show(Data(pages): Data<&Arc<Pages>>, request: &Request) -> Result<Response, PageError> {
    let token = form::token(request);
    let Some(claim) = pages.verify_email.peek(&token).await? else { return over(pages, &token).await };
    let context = form::context(pages, request);
    let page = Confirm {
        branding: &pages.branding,
        csrf: &pages.csrf.code(&context.browser, FORM),
        token: token.expose_secret(),
        username: claim.user.username.as_written(),
        email: claim.email.as_str(),
    };
    Ok(form::set_browser_cookie(pages, &context, layout::page(StatusCode::OK, &page)))
}

/// The question was answered.
#[handler]
pub(super) async fn send(Data(pages): Data<&Arc<Pages>>, request: &Request, body: Body) -> Result<Response, PageError> {
    let mut form = Form::read(pages, FORM, request, body).await?;
    let token = form.secret("token");
    let (done, title, text) = match form.text("answer").as_str() {
        "mine" => (pages.verify_email.complete(&token).await, CONFIRMED.0, CONFIRMED.1),
        "not-mine" => (pages.verify_email.disown(&token).await, REMOVED.0, REMOVED.1),
        _ => return Err(PageError::Incomplete),
    };
    match done {
        Ok(()) => Ok(layout::page(StatusCode::OK, &Notice::new(&pages.branding, title, text))),
        Err(VerifyEmailError::InvalidToken) => over(pages, &token).await,
        Err(VerifyEmailError::Unavailable(unavailable)) => Err(unavailable.into()),
    }
}

const CONFIRMED: (&str, &str) =
    ("Your address is confirmed", "Mail about your account goes there from now on, and you can log in with it.");
const REMOVED: (&str, &str) = ("Your address is removed", "That account has nothing to do with your address any more.");

/// A link that was used tells what became of it; there is one page for every other invalid link.
async fn over(pages: &Pages, token: &SecretString) -> Result<Response, PageError> {
    if let Some(used) = pages.verify_email.used(token).await? {
        let (title, text) = match used {
            Used::Confirmed => CONFIRMED,
            Used::Removed => REMOVED,
        };
        let notice = Notice::new(&pages.branding, title, text).with_link("/account", "Go to your account");
        return Ok(layout::page(StatusCode::OK, &notice));
    }
    let text = "It has been used, it is older than a day, or a newer one was sent. Log in and ask for another one.";
    let notice = Notice::new(&pages.branding, "This link does not work any more", text);
    Ok(layout::page(StatusCode::BAD_REQUEST, &notice.with_link("/account", "Go to your account")))
}
