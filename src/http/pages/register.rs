//! `/register`: makes an account and logs it in.

use std::sync::Arc;

use askama::Template;
use poem::{Body, Request, Response, handler, http::StatusCode, web::Data};
use secrecy::SecretString;

use super::{
    context::Pages,
    error::PageError,
    federation::Buttons,
    form::{self, Form},
    layout::{self, Notice},
};
use crate::{
    domain::{client_info::Credentials, session::Session},
    http::{
        middleware::{client_info::RequestOrigin, rate_limit::MailQuota},
        pages::{branding::Branding, post_auth_action::PostAuthAction},
    },
    services::{
        accounts::register::{FieldError, NewAccount, RegisterError},
        csrf::BrowserId,
        grants::GrantError,
    },
};

const FORM: &str = "register";

#[derive(Template)]
#[template(path = "register.html")]
struct RegisterPage<'a> {
    branding: &'a Branding,
    csrf: &'a str,
    onward: &'a PostAuthAction,
    providers: Buttons<'a>,
    /// The client that asks for the login; empty where there is none.
    client: String,
    username: &'a str,
    email: &'a str,
    errors: Errors,
}

/// The error of each field; empty where there is none.
#[derive(Debug, Default)]
struct Errors {
    username: String,
    email: String,
    password: String,
}

/// The fields of the form. The password is left out: it is typed again.
#[derive(Debug, Default)]
struct Typed {
    username: String,
    email: String,
}

/// The form.
#[handler]
pub(super) async fn show(Data(pages): Data<&Arc<Pages>>, request: &Request) -> Result<Response, PageError> {
    let context = form::context(pages, request);
    let onward = PostAuthAction::of_query(request);
    let page = ask(pages, &context.browser, StatusCode::OK, &onward, &Typed::default(), Errors::default()).await?;
    Ok(form::set_browser_cookie(pages, &context, page))
}

/// The form was sent.
#[handler]
pub(super) async fn send(
    Data(pages): Data<&Arc<Pages>>,
    request: &Request,
    origin: RequestOrigin,
    mails: MailQuota,
    body: Body,
) -> Result<Response, PageError> {
    let mut form = Form::read(pages, FORM, request, body).await?;
    let onward = PostAuthAction::of_form(&mut form);
    // Before an account is made for a request that leads nowhere.
    onward.asking(pages, &form.browser).await?;
    let typed = Typed { username: form.text("username"), email: form.text("email").trim().to_owned() };
    let password = form.secret("password");
    let email = Some(typed.email.as_str()).filter(|email| !email.is_empty());
    if email.is_some() {
        mails.count()?;
    }
    let registration = NewAccount { username: &typed.username, password: &password, email };
    let errors = match pages.register.run(&registration).await {
        Ok(registered) => {
            return match pages.log_in.at_pages_for_registered(&registered, &origin.0).await {
                Ok(logged_in) => onward.go_logged_in(pages, &form.browser, request, logged_in).await,
                Err(GrantError::Unavailable(unavailable)) => Err(unavailable.into()),
                // Deleted or disabled in the same moment.
                Err(_) => Err(PageError::Stale),
            };
        }
        Err(RegisterError::Closed) => return Ok(closed(pages)),
        Err(RegisterError::UsernameTaken) => {
            if let Some(logged_in) = again(pages, &typed.username, &password, &origin).await? {
                return onward.go_logged_in(pages, &form.browser, request, logged_in).await;
            }
            Errors { username: "This name is taken. Choose another one.".to_owned(), ..Errors::default() }
        }
        Err(RegisterError::Invalid(errors)) => tied(errors),
        Err(RegisterError::Unavailable(unavailable)) => return Err(unavailable.into()),
    };
    ask(pages, &form.browser, StatusCode::UNPROCESSABLE_ENTITY, &onward, &typed, errors).await
}

/// The login of an account that was made a moment ago, with the password that it was made with: the button was pressed
/// twice, or the page reloaded.
async fn again(
    pages: &Pages,
    username: &str,
    password: &SecretString,
    origin: &RequestOrigin,
) -> Result<Option<(Session, Option<SecretString>)>, PageError> {
    if !pages.register.is_new(username).await? {
        return Ok(None);
    }
    match pages.log_in.at_pages(&Credentials { username, password }, &origin.0).await {
        Ok(logged_in) => Ok(Some(logged_in)),
        Err(GrantError::Unavailable(unavailable)) => Err(unavailable.into()),
        Err(_) => Ok(None),
    }
}

/// Each error at its field.
fn tied(errors: Vec<FieldError>) -> Errors {
    let mut tied = Errors::default();
    for FieldError { field, message } in errors {
        match field {
            "username" => tied.username = format!("The username {message}."),
            "email" => tied.email = format!("The email address {message}."),
            _ => tied.password = format!("The password {message}."),
        }
    }
    tied
}

async fn ask(
    pages: &Pages,
    browser: &BrowserId,
    status: StatusCode,
    onward: &PostAuthAction,
    typed: &Typed,
    errors: Errors,
) -> Result<Response, PageError> {
    if !pages.register.open {
        return Ok(closed(pages));
    }
    let asking = onward.asking(pages, browser).await?;
    let page = RegisterPage {
        branding: &pages.branding,
        csrf: &pages.csrf.code(browser, FORM),
        onward,
        providers: pages.buttons(browser),
        client: asking.as_ref().map(|asking| asking.client.shown_name()).unwrap_or_default(),
        username: &typed.username,
        email: &typed.email,
        errors,
    };
    Ok(layout::page(status, &page))
}

fn closed(pages: &Pages) -> Response {
    let text = "New accounts are made by the operator of this service. Ask them for one.";
    let notice = Notice::new(&pages.branding, "Registration is closed", text).with_link("/login", "Log in");
    layout::page(StatusCode::FORBIDDEN, &notice)
}
