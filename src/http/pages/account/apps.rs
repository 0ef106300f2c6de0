//! `/account/apps`: lists the apps that may use the account, and takes the permission back.

use std::sync::Arc;

use askama::Template;
use poem::{Body, Request, Response, handler, http::StatusCode, web::Data};

use super::{SignedInUser, done, log_in, moment};
use crate::{
    domain::ids::ClientId,
    http::{
        pages::{branding::Branding, consent, context::Pages, error::PageError},
        redirect::see_other,
    },
};

const PATH: &str = "/account/apps";

#[derive(Template)]
#[template(path = "account_apps.html")]
struct AppsPage<'a> {
    branding: &'a Branding,
    csrf: &'a str,
    done: &'static str,
    rows: Vec<Row>,
}

/// An app as it is shown.
struct Row {
    id: String,
    name: String,
    /// The permissions of the app, one a line.
    lines: Vec<String>,
    /// Since when, for programs and for people.
    since: (String, String),
}

/// The list.
#[handler]
pub(in crate::http) async fn show(Data(pages): Data<&Arc<Pages>>, request: &Request) -> Result<Response, PageError> {
    let Some(member) = SignedInUser::find(pages, request).await? else { return Ok(log_in(PATH)) };
    let all = pages.consents.list(&member.caller).await?;
    let rows = all.into_iter().map(|(consent, name)| Row {
        id: consent.client.to_string(),
        name,
        lines: consent::lines(&consent.scope, &consent.resources),
        since: (consent.given_at.to_rfc3339(), moment(consent.given_at)),
    });
    let rows = rows.collect();
    let page = AppsPage { branding: &pages.branding, csrf: &member.code(pages, PATH), done: done(request), rows };
    Ok(member.shown(pages, StatusCode::OK, &page))
}

/// One is taken back.
#[handler]
pub(in crate::http) async fn send(
    Data(pages): Data<&Arc<Pages>>,
    request: &Request,
    body: Body,
) -> Result<Response, PageError> {
    let Some(member) = SignedInUser::find(pages, request).await? else { return Ok(log_in(PATH)) };
    let mut form = member.form(pages, PATH, request, body).await?;
    let client = ClientId::parse(&form.text("client")).map_err(|_| PageError::Incomplete)?;
    pages.consents.take_back(&member.caller, &client).await?;
    Ok(see_other(&format!("{PATH}?done=app")))
}
