//! `/logout`: asks, and logs this browser out with all that it signed in to.

use std::sync::Arc;

use askama::Template;
use poem::{
    Body, Request, Response, handler,
    http::{HeaderValue, StatusCode, header},
    web::Data,
};

use super::{
    context::Pages,
    error::PageError,
    form::{self, Form},
    layout::{self, Notice},
};
use crate::http::{extract::cookies::SESSION, pages::branding::Branding, redirect::see_other};

const FORM: &str = "logout";

#[derive(Template)]
#[template(path = "logout.html")]
struct LogOutPage<'a> {
    branding: &'a Branding,
    csrf: &'a str,
    /// A client's request, sealed; empty where there is none.
    request: &'a str,
    username: &'a str,
}

/// Asks whether to log out, or says that nobody is logged in.
#[handler]
pub(super) async fn show(Data(pages): Data<&Arc<Pages>>, request: &Request) -> Result<Response, PageError> {
    let context = form::context(pages, request);
    let Some(session) = pages.session(request).await? else { return Ok(logged_out(pages)) };
    let sealed = form::parameter(request, "request").unwrap_or_default();
    let page = LogOutPage {
        branding: &pages.branding,
        csrf: &pages.csrf.code(&context.browser, FORM),
        request: &sealed,
        username: &session.username,
    };
    let origin = pages.log_out.origin(&sealed, &context.browser);
    let page = layout::page_leading_to(StatusCode::OK, &page, origin.as_deref());
    Ok(form::set_browser_cookie(pages, &context, page))
}

/// The answer.
#[handler]
pub(super) async fn send(Data(pages): Data<&Arc<Pages>>, request: &Request, body: Body) -> Result<Response, PageError> {
    let mut form = Form::read(pages, FORM, request, body).await?;
    let sealed = form.text("request");
    let session = pages.session(request).await?;
    let then = pages.log_out.confirm(&sealed, &form.browser, session.as_ref()).await?;
    Ok(forgotten(pages, see_other(then.as_deref().unwrap_or("/logout"))))
}

/// The page after a logout without a client to return to.
pub(in crate::http) fn logged_out(pages: &Pages) -> Response {
    let text = "Nobody is logged in in this browser now.";
    let notice = Notice::new(&pages.branding, "You are logged out", text).with_link("/login", "Log in again");
    layout::page(StatusCode::OK, &notice)
}

/// Has the browser forget its login, which is over.
pub(in crate::http) fn forgotten(pages: &Pages, mut response: Response) -> Response {
    let field = pages.cookies.field(SESSION, "", Some(std::time::Duration::ZERO));
    if let Ok(field) = HeaderValue::from_str(&field) {
        response.headers_mut().append(header::SET_COOKIE, field);
    }
    response
}
