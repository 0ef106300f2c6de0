//! `/account/delete`: the end of an account. It takes the password; an account without one, a login of just now.

use std::sync::Arc;

use askama::Template;
use poem::{Body, Request, Response, handler, http::StatusCode, web::Data};
use secrecy::ExposeSecret;

use super::{SignedInUser, log_in, patience, with_patience};
use crate::{
    domain::user::AccountRecord,
    http::pages::{
        branding::Branding,
        context::Pages,
        error::PageError,
        layout::{self, Notice},
        logout,
    },
    services::accounts::account::AccountError,
};

const PATH: &str = "/account/delete";
/// A provider may not say when somebody logged in; then its login is never new.
const TOO_OLD: &str = "Your login is too old for this. Log out, log in again, and come back within five minutes. If your \
                       provider does not say when you logged in, set a password first, by mail.";

#[derive(Template)]
#[template(path = "account_delete.html")]
struct DeletePage<'a> {
    branding: &'a Branding,
    csrf: &'a str,
    username: &'a str,
    has_password: bool,
    alert: &'a str,
    error: &'a str,
}

/// The form.
#[handler]
pub(in crate::http) async fn show(Data(pages): Data<&Arc<Pages>>, request: &Request) -> Result<Response, PageError> {
    let Some(member) = SignedInUser::find(pages, request).await? else { return Ok(log_in(PATH)) };
    ask(pages, &member, StatusCode::OK, "", "").await
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
    let password = Some(form.secret("password")).filter(|password| !password.expose_secret().is_empty());
    let again =
        async |alert: &str, error: &str| ask(pages, &member, StatusCode::UNPROCESSABLE_ENTITY, alert, error).await;
    match pages.account.delete(&member.caller, password.as_ref()).await {
        Ok(()) => {
            let text = "Everything that we kept of it is gone, and every device is logged out.";
            let notice = Notice::new(&pages.branding, "Your account is deleted", text);
            Ok(logout::forgotten(pages, layout::page(StatusCode::OK, &notice)))
        }
        Err(AccountError::WrongPassword) => again("", "This is not your password.").await,
        Err(AccountError::Invalid(errors)) => {
            let error = errors.first().map(|error| format!("The password {}.", error.message));
            again("", &error.unwrap_or_default()).await
        }
        Err(AccountError::LogInTooOld) => again(TOO_OLD, "").await,
        Err(AccountError::TooMany { retry_after }) => {
            let response = ask(pages, &member, StatusCode::TOO_MANY_REQUESTS, &patience(retry_after), "").await?;
            Ok(with_patience(response, retry_after))
        }
        Err(AccountError::Unavailable(unavailable)) => Err(unavailable.into()),
        Err(AccountError::Gone | AccountError::UsernameTaken) => Ok(log_in(PATH)),
    }
}

async fn ask(
    pages: &Pages,
    member: &SignedInUser,
    status: StatusCode,
    alert: &str,
    error: &str,
) -> Result<Response, PageError> {
    let Some(AccountRecord { user, has_password }) = member.account(pages).await? else { return Ok(log_in(PATH)) };
    let page = DeletePage {
        branding: &pages.branding,
        csrf: &member.code(pages, PATH),
        username: user.username.as_written(),
        has_password,
        alert,
        error,
    };
    Ok(member.shown(pages, status, &page))
}
