//! `/consent`: asks whether a client that is not the operator's own may have what it asks for (OIDC Core §3.1.2.4).

use std::sync::Arc;

use askama::Template;
use poem::{Body, Request, Response, handler, http::StatusCode, web::Data};

use super::{
    context::Pages,
    error::PageError,
    form::{self, BrowserContext, Form},
    layout,
};
use crate::{
    domain::{scope::Scope, session::Session},
    http::{
        pages::{
            branding::Branding,
            send_on::{Via, send_on},
        },
        redirect::see_other,
    },
    services::authorization::question::Question,
};

const FORM: &str = "consent";

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage<'a> {
    branding: &'a Branding,
    csrf: &'a str,
    request: &'a str,
    client: &'a str,
    /// The host of the document that describes the client, or empty.
    host: &'a str,
    /// Whether nobody vouches for the client.
    self_registered: bool,
    /// Whether the browser goes back to a program on the person's device.
    on_device: bool,
    /// Whether the client may have it already, and the person only says that they go on.
    confirmation: bool,
    username: &'a str,
    /// The permissions, a line each.
    lines: Vec<String>,
    /// Where the browser goes back to.
    destination: &'a str,
}

/// The question.
#[handler]
pub(super) async fn show(Data(pages): Data<&Arc<Pages>>, request: &Request) -> Result<Response, PageError> {
    let context = form::context(pages, request);
    let sealed = form::parameter(request, "request").unwrap_or_default();
    let Some(session) = pages.session(request).await? else {
        // A request that leads nowhere is said to do so.
        pages.authorize.asking(&sealed, &context.browser).await?;
        return Ok(see_other(&format!("/login?request={sealed}")));
    };
    let (asking, question) = pages.authorize.question(&sealed, &context.browser, &session).await?;
    let host = asking.client.id.host().unwrap_or_default();
    let page = ConsentPage {
        branding: &pages.branding,
        csrf: &pages.csrf.code(&context.browser, &form_name(Some(&session))),
        request: &sealed,
        client: &asking.client.name,
        host: &host,
        self_registered: asking.client.self_registered,
        on_device: asking.on_device,
        confirmation: question == Question::Confirmation,
        username: &session.username,
        lines: lines(&asking.scope, asking.resource.as_slice()),
        destination: &asking.destination,
    };
    Ok(layout::page(StatusCode::OK, &page))
}

/// Binds the form to the session that it was rendered for, so another account in this browser cannot submit it.
fn form_name(session: Option<&Session>) -> String {
    session.map_or_else(|| FORM.to_owned(), |session| format!("{FORM} {}", session.id))
}

/// The answer.
#[handler]
pub(super) async fn send(Data(pages): Data<&Arc<Pages>>, request: &Request, body: Body) -> Result<Response, PageError> {
    let session = pages.session(request).await?;
    let mut form = Form::read(pages, &form_name(session.as_ref()), request, body).await?;
    let sealed = form.text("request");
    let outcome = match form.text("answer").as_str() {
        "allow" => {
            let Some(session) = session else {
                return Ok(see_other(&format!("/login?request={sealed}")));
            };
            pages.authorize.allow(&sealed, &form.browser, &session).await?
        }
        "deny" => pages.authorize.deny(&sealed, &form.browser, session.as_ref()).await?,
        _ => return Err(PageError::Incomplete),
    };
    Ok(send_on(pages, &BrowserContext::known(form.browser), outcome, Via::Form))
}

/// A scope in words for people, and the services that it is for.
pub(super) fn lines(scope: &Scope, resources: &[String]) -> Vec<String> {
    let resources = resources.iter().map(|resource| format!("Act for you at {resource}"));
    scope
        .iter()
        .map(|value| match value {
            "openid" => "Know that it is you".to_owned(),
            "profile" => "See your username".to_owned(),
            "email" => "See your email address".to_owned(),
            "roles" => "See your roles".to_owned(),
            "offline_access" => "Do so while you are away, until you log out".to_owned(),
            other => format!("Use “{other}”"),
        })
        .chain(resources)
        .collect()
}
