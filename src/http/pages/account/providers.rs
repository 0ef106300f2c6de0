//! `/account/providers`: what opens one's account beside its password. Shown, linked and unlinked.

use std::sync::Arc;

use askama::Template;
use poem::{
    Body, Request, Response, handler,
    http::{HeaderValue, StatusCode, header},
    web::Data,
};
use uuid::Uuid;

use crate::{
    domain::session::Session,
    http::{
        errors::failure::TooManyRequests,
        pages::{
            branding::Branding,
            context::Pages,
            error::PageError,
            federation::{failed, redirect_to_provider},
            form::{self, Form},
            layout,
            post_auth_action::PostAuthAction,
            provider_button::title,
        },
        redirect::see_other,
    },
    services::{
        csrf::BrowserId,
        federation::{Intent, identities::IdentitiesError},
    },
};

const FORM: &str = "providers";
const PATH: &str = "/account/providers";
const LOGIN: &str = "/login?return_to=/account/providers";

#[derive(Template)]
#[template(path = "providers.html")]
struct ProvidersPage<'a> {
    branding: &'a Branding,
    csrf: &'a str,
    done: &'a str,
    alert: &'a str,
    linked: Vec<LinkedRow>,
    others: Vec<OtherRow>,
    password_wanted: bool,
}

struct LinkedRow {
    id: Uuid,
    title: String,
    since: String,
    removable: bool,
}

struct OtherRow {
    name: String,
    title: String,
}

/// The code of the form is good for the login that it was given to, as those of all pages of the account.
fn form_name(session: &Session) -> String {
    format!("{FORM} {}", session.id)
}

/// A provider may not say when somebody logged in; then its login is never new.
const TOO_OLD: &str = "You logged in some time ago, or your provider does not say when. Log out, log in again, and then come \
                       back; or set a password first, by mail.";

/// The list.
#[handler]
pub(in crate::http) async fn show(Data(pages): Data<&Arc<Pages>>, request: &Request) -> Result<Response, PageError> {
    let Some(session) = pages.session(request).await? else { return Ok(see_other(LOGIN)) };
    let context = form::context(pages, request);
    // Fixed words alone: what stands in a link is never shown.
    let done = match form::parameter(request, "done").as_deref() {
        Some("linked") => "It is linked now.",
        Some("unlinked") => "It is unlinked now. You were logged out everywhere else.",
        _ => "",
    };
    let page = list(pages, &context.browser, &session, StatusCode::OK, done, "").await?;
    Ok(form::set_browser_cookie(pages, &context, page))
}

/// A provider is to be linked or unlinked.
#[handler]
pub(in crate::http) async fn change(
    Data(pages): Data<&Arc<Pages>>,
    request: &Request,
    body: Body,
) -> Result<Response, PageError> {
    let Some(session) = pages.session(request).await? else {
        // Nobody's form: the code is of a login.
        return Err(PageError::Stale);
    };
    let mut form = Form::read(pages, &form_name(&session), request, body).await?;
    let (link, unlink, password) = (form.text("link"), form.text("unlink"), form.secret("current_password"));
    if let Err(error) = pages.identities.prove(&session, &password).await {
        return refuse(pages, &form.browser, &session, error).await;
    }
    if !link.is_empty() {
        let intent = Intent::Link(session.user, session.id);
        return match pages.federate.start(&link, &form.browser, intent).await {
            Ok(started) => Ok(redirect_to_provider(pages, request, &link, &started, &PostAuthAction::back_to(PATH))),
            Err(error) => failed(pages, &link, error, &PostAuthAction::back_to(PATH)),
        };
    }
    let id = Uuid::parse_str(&unlink).map_err(|_| PageError::Incomplete)?;
    match pages.identities.unlink(&session, id).await {
        Ok(()) => Ok(see_other("/account/providers?done=unlinked")),
        Err(error) => refuse(pages, &form.browser, &session, error).await,
    }
}

async fn refuse(
    pages: &Pages,
    browser: &BrowserId,
    session: &Session,
    error: IdentitiesError,
) -> Result<Response, PageError> {
    let mut wait = None;
    let (status, alert) = match error {
        IdentitiesError::Unavailable(unavailable) => return Err(unavailable.into()),
        IdentitiesError::Unknown => (StatusCode::NOT_FOUND, "It is not linked any more."),
        IdentitiesError::LastWayIn => {
            (StatusCode::CONFLICT, "It is the only way into your account, and stays. Set a password first, by mail.")
        }
        IdentitiesError::WrongPassword => (StatusCode::UNPROCESSABLE_ENTITY, "The password is wrong."),
        IdentitiesError::LogInTooOld => (StatusCode::FORBIDDEN, TOO_OLD),
        IdentitiesError::TooMany { retry_after } => {
            wait = Some(TooManyRequests::after(retry_after).retry_after);
            (StatusCode::TOO_MANY_REQUESTS, "There were too many attempts. Try again later.")
        }
    };
    let mut response = list(pages, browser, session, status, "", alert).await?;
    if let Some(seconds) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(response)
}

async fn list(
    pages: &Pages,
    browser: &BrowserId,
    session: &Session,
    status: StatusCode,
    done: &str,
    alert: &str,
) -> Result<Response, PageError> {
    let overview = pages.identities.of(session).await?;
    let linked = overview.linked.into_iter().map(|link| LinkedRow {
        id: link.id,
        title: title(&link.provider, link.kind),
        since: link.since.format("%-d %B %Y").to_string(),
        removable: link.removable,
    });
    let others = overview
        .others
        .into_iter()
        .map(|(name, kind)| OtherRow { title: title(&name, Some(kind)), name: name.to_string() });
    let page = ProvidersPage {
        branding: &pages.branding,
        csrf: &pages.csrf.code(browser, &form_name(session)),
        done,
        alert,
        linked: linked.collect(),
        others: others.collect(),
        password_wanted: overview.password_wanted,
    };
    Ok(layout::page(status, &page))
}
