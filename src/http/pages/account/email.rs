//! `/account/email`: another address, which counts once it is verified. It takes the current password.

use std::{sync::Arc, time::Duration};

use askama::Template;
use poem::{Body, Request, Response, handler, http::StatusCode, web::Data};
use secrecy::ExposeSecret;

use super::{SignedInUser, back, log_in, patience, with_patience};
use crate::{
    domain::{email::EmailAddress, user::AccountRecord},
    http::{
        middleware::rate_limit::MailQuota,
        pages::{branding::Branding, context::Pages, error::PageError},
    },
    services::accounts::account::{AccountError, ProfileChange},
};

const PATH: &str = "/account/email";

#[derive(Template)]
#[template(path = "account_email.html")]
struct EmailPage<'a> {
    branding: &'a Branding,
    csrf: &'a str,
    username: &'a str,
    /// The address that counts now; empty where there is none.
    current: &'a str,
    verified: bool,
    has_password: bool,
    email: &'a str,
    errors: Errors,
}

const TOO_OLD: &str =
    "You logged in some time ago, and have no password to show instead. Log out, log in again, and then come back.";

/// The errors of the form and of each field; empty where there is none.
#[derive(Debug, Default)]
struct Errors {
    alert: String,
    email: String,
    password: String,
}

/// The form.
#[handler]
pub(in crate::http) async fn show(Data(pages): Data<&Arc<Pages>>, request: &Request) -> Result<Response, PageError> {
    let Some(member) = SignedInUser::find(pages, request).await? else { return Ok(log_in(PATH)) };
    ask(pages, &member, StatusCode::OK, "", Errors::default()).await
}

/// The form was sent.
#[handler]
pub(in crate::http) async fn send(
    Data(pages): Data<&Arc<Pages>>,
    request: &Request,
    mails: MailQuota,
    body: Body,
) -> Result<Response, PageError> {
    let Some(member) = SignedInUser::find(pages, request).await? else { return Ok(log_in(PATH)) };
    let mut form = member.form(pages, PATH, request, body).await?;
    let (email, password) = (form.text("email"), form.secret("current_password"));
    mails.count()?;
    // An account without one has nothing to type.
    let current_password = Some(&password).filter(|password| !password.expose_secret().is_empty());
    let change = ProfileChange { email: Some(&email), current_password, username: None };
    let errors = match pages.account.change(&member.caller, &change).await {
        Ok(_) => return Ok(back("email")),
        Err(AccountError::Invalid(errors)) => {
            let mut tied = Errors::default();
            for error in errors {
                match error.field {
                    "email" => tied.email = format!("The email address {}.", error.message),
                    _ => tied.password = format!("The password {}.", error.message),
                }
            }
            tied
        }
        Err(AccountError::WrongPassword) => {
            Errors { password: "This is not your password.".to_owned(), ..Errors::default() }
        }
        Err(AccountError::TooMany { retry_after }) => {
            return too_many(pages, &member, &email, retry_after).await;
        }
        Err(AccountError::Unavailable(unavailable)) => return Err(unavailable.into()),
        Err(AccountError::LogInTooOld) => Errors { alert: TOO_OLD.to_owned(), ..Errors::default() },
        Err(AccountError::Gone | AccountError::UsernameTaken) => return Ok(log_in(PATH)),
    };
    ask(pages, &member, StatusCode::UNPROCESSABLE_ENTITY, &email, errors).await
}

async fn too_many(
    pages: &Pages,
    member: &SignedInUser,
    email: &str,
    retry_after: Duration,
) -> Result<Response, PageError> {
    let errors = Errors { alert: patience(retry_after), ..Errors::default() };
    let response = ask(pages, member, StatusCode::TOO_MANY_REQUESTS, email, errors).await?;
    Ok(with_patience(response, retry_after))
}

async fn ask(
    pages: &Pages,
    member: &SignedInUser,
    status: StatusCode,
    email: &str,
    errors: Errors,
) -> Result<Response, PageError> {
    let Some(AccountRecord { user, has_password }) = member.account(pages).await? else { return Ok(log_in(PATH)) };
    let page = EmailPage {
        branding: &pages.branding,
        csrf: &member.code(pages, PATH),
        username: user.username.as_written(),
        current: user.email.as_ref().map(EmailAddress::as_str).unwrap_or_default(),
        verified: user.email_verified,
        has_password,
        email,
        errors,
    };
    Ok(member.shown(pages, status, &page))
}
