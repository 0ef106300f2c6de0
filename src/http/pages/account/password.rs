//! `/account/password`: another password. Every login but this one ends, and with them the apps that were signed in to.

use std::sync::Arc;

use askama::Template;
use poem::{Body, Request, Response, handler, http::StatusCode, web::Data};
use secrecy::ExposeSecret;

use super::{SignedInUser, back, log_in, patience, with_patience};
use crate::{
    domain::user::AccountRecord,
    http::pages::{branding::Branding, context::Pages, error::PageError},
    services::accounts::change_password::ChangePasswordError,
};

const PATH: &str = "/account/password";

#[derive(Template)]
#[template(path = "account_password.html")]
struct PasswordPage<'a> {
    branding: &'a Branding,
    csrf: &'a str,
    username: &'a str,
    has_password: bool,
    errors: Errors,
}

/// The errors of the form and of each field; empty where there is none.
#[derive(Debug, Default)]
struct Errors {
    alert: String,
    current: String,
    new: String,
    repeated: String,
}

/// The form.
#[handler]
pub(in crate::http) async fn show(Data(pages): Data<&Arc<Pages>>, request: &Request) -> Result<Response, PageError> {
    let Some(member) = SignedInUser::find(pages, request).await? else { return Ok(log_in(PATH)) };
    ask(pages, &member, StatusCode::OK, Errors::default()).await
}

/// The form was sent.
#[handler]
pub(in crate::http) async fn send(
    Data(pages): Data<&Arc<Pages>>,
    request: &Request,
    body: Body,
) -> Result<Response, PageError> {
    let Some(member) = SignedInUser::find(pages, request).await? else { return Ok(log_in(PATH)) };
    let mut form = member.form(pages, PATH, request, body).await?;
    let (current, new) = (form.secret("current_password"), form.secret("new_password"));
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    if form.secret("repeated").expose_secret() != new.expose_secret() {
        let errors = Errors { repeated: "This is not the same password.".to_owned(), ..Errors::default() };
        return ask(pages, &member, unprocessable, errors).await;
    }
    let errors = match pages.change_password.run(&member.caller, &current, &new).await {
        Ok(()) => return Ok(back("password")),
        Err(ChangePasswordError::WrongPassword) => {
            Errors { current: "This is not your password.".to_owned(), ..Errors::default() }
        }
        Err(ChangePasswordError::Malformed { field: "new_password", why }) => {
            Errors { new: format!("The new password {why}."), ..Errors::default() }
        }
        Err(ChangePasswordError::Malformed { why, .. }) => {
            Errors { current: format!("The password {why}."), ..Errors::default() }
        }
        Err(ChangePasswordError::TooMany { retry_after }) => {
            let errors = Errors { alert: patience(retry_after), ..Errors::default() };
            let response = ask(pages, &member, StatusCode::TOO_MANY_REQUESTS, errors).await?;
            return Ok(with_patience(response, retry_after));
        }
        Err(ChangePasswordError::Unavailable(unavailable)) => return Err(unavailable.into()),
    };
    ask(pages, &member, unprocessable, errors).await
}

async fn ask(pages: &Pages, member: &SignedInUser, status: StatusCode, errors: Errors) -> Result<Response, PageError> {
    let Some(AccountRecord { user, has_password }) = member.account(pages).await? else { return Ok(log_in(PATH)) };
    let page = PasswordPage {
        branding: &pages.branding,
        csrf: &member.code(pages, PATH),
        username: user.username.as_written(),
        has_password,
        errors,
    };
    Ok(member.shown(pages, status, &page))
}
