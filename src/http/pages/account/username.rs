//! `/account/username`: another name.

use std::sync::Arc;

use askama::Template;
use poem::{Body, Request, Response, handler, http::StatusCode, web::Data};

use super::{SignedInUser, back, log_in};
use crate::{
    http::pages::{branding::Branding, context::Pages, error::PageError},
    services::accounts::account::{AccountError, ProfileChange},
};

const PATH: &str = "/account/username";

#[derive(Template)]
#[template(path = "account_username.html")]
struct UsernamePage<'a> {
    branding: &'a Branding,
    csrf: &'a str,
    username: &'a str,
    error: &'a str,
}

/// The form.
#[handler]
pub(in crate::http) async fn show(Data(pages): Data<&Arc<Pages>>, request: &Request) -> Result<Response, PageError> {
    let Some(member) = SignedInUser::find(pages, request).await? else { return Ok(log_in(PATH)) };
    Ok(ask(pages, &member, StatusCode::OK, &member.session.username, ""))
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
    let username = form.text("username");
    let change = ProfileChange { username: Some(&username), ..ProfileChange::default() };
    let error = match pages.account.change(&member.caller, &change).await {
        Ok(_) => return Ok(back("username")),
        Err(AccountError::UsernameTaken) => "This name is taken. Choose another one.".to_owned(),
        Err(AccountError::Invalid(errors)) => {
            errors.first().map(|error| format!("The username {}.", error.message)).unwrap_or_default()
        }
        Err(AccountError::Unavailable(unavailable)) => return Err(unavailable.into()),
        // It takes no password, so that nothing but its end is left.
        Err(
            AccountError::Gone | AccountError::WrongPassword | AccountError::LogInTooOld | AccountError::TooMany { .. },
        ) => return Ok(log_in(PATH)),
    };
    Ok(ask(pages, &member, StatusCode::UNPROCESSABLE_ENTITY, &username, &error))
}

fn ask(pages: &Pages, member: &SignedInUser, status: StatusCode, username: &str, error: &str) -> Response {
    let page = UsernamePage { branding: &pages.branding, csrf: &member.code(pages, PATH), username, error };
    member.shown(pages, status, &page)
}
