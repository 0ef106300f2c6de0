//! `/forgot-password`: asks for a link by email. The response is the same for every name, so that it does not reveal accounts.

use std::sync::Arc;

use askama::Template;
use poem::{Body, Request, Response, handler, http::StatusCode, web::Data};

use super::{
    context::Pages,
    error::PageError,
    form::{self, Form},
    layout::{self, Notice},
};
use crate::{
    http::pages::branding::Branding,
    services::accounts::request_reset::{RequestResetError, ResetRequest},
};

const FORM: &str = "forgot-password";

#[derive(Debug, Template)]
#[template(path = "forgot_password.html")]
struct ForgotPassword<'a> {
    branding: &'a Branding,
    csrf: &'a str,
    identifier: &'a str,
    error: &'a str,
}

/// The form.
#[handler]
pub(super) fn show(Data(pages): Data<&Arc<Pages>>, request: &Request) -> Response {
    let context = form::context(pages, request);
    let csrf = pages.csrf.code(&context.browser, FORM);
    let page = ForgotPassword { branding: &pages.branding, csrf: &csrf, identifier: "", error: "" };
    form::set_browser_cookie(pages, &context, layout::page(StatusCode::OK, &page))
}

/// The form was sent.
#[handler]
pub(super) async fn send(Data(pages): Data<&Arc<Pages>>, request: &Request, body: Body) -> Result<Response, PageError> {
    let mut form = Form::read(pages, FORM, request, body).await?;
    let identifier = form.text("identifier");
    // An identifier with an `@` is an email address.
    match pages.request_reset.run(&ResetRequest { username: Some(&identifier), email: None }).await {
        Ok(()) => {
            let text = "If that account exists and has a verified address, a link to choose a new password is on its \
                        way there. It works for 30 minutes.";
            Ok(layout::page(StatusCode::OK, &Notice::new(&pages.branding, "Look into your mail", text)))
        }
        Err(RequestResetError::Invalid(_)) => {
            let csrf = pages.csrf.code(&form.browser, FORM);
            let error = "Type a username or an email address.";
            let page = ForgotPassword { branding: &pages.branding, csrf: &csrf, identifier: &identifier, error };
            Ok(layout::page(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
        Err(RequestResetError::Unavailable(unavailable)) => Err(unavailable.into()),
    }
}
