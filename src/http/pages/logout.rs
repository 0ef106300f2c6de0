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
    layout::{self, Notice, Offer},
    send_on::{Via, leave, unvouched},
};
use crate::{
    domain::redirect_uri,
    http::{extract::cookies::SESSION, pages::branding::Branding, redirect::see_other},
};

const FORM: &str = "logout";

#[derive(Template)]
#[template(path = "logout.html")]
struct LogOutPage<'a> {
    branding: &'a Branding,
    csrf: &'a str,
    /// A client's request, sealed; empty where there is none.
    request: &'a str,
    username: &'a str,
    note: &'a str,
}

/// The client named an address that is not registered for it.
const UNREGISTERED: &str =
    "The app that sent you named an address to go back to that is not registered for it. You stay here.";

/// The same, after the logout.
const WRONG_ADDRESS: &str = "You are logged out. The app wants you to be sent to an address that is not registered for it, \
                             so you were not sent there. Tell the operator of the app.";

/// The page after a logout without a client to return to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Ending {
    /// The client named no address.
    Plain,
    /// The client named an address that is not registered for it.
    Refused,
}

/// Asks whether to log out, or says that nobody is logged in.
#[handler]
pub(super) async fn show(Data(pages): Data<&Arc<Pages>>, request: &Request) -> Result<Response, PageError> {
    let context = form::context(pages, request);
    let Some(session) = pages.session_to_end(request).await? else {
        return Ok(logged_out(pages, Ending::Plain));
    };
    let sealed = form::parameter(request, "request").unwrap_or_default();
    let page = LogOutPage {
        branding: &pages.branding,
        csrf: &pages.csrf.code(&context.browser, FORM),
        request: &sealed,
        username: &session.username,
        // A fixed text: anybody can write such a link.
        note: if form::parameter(request, "note").as_deref() == Some("unregistered") { UNREGISTERED } else { "" },
    };
    Ok(form::set_browser_cookie(pages, &context, layout::page(StatusCode::OK, &page)))
}

/// The answer.
#[handler]
pub(super) async fn send(Data(pages): Data<&Arc<Pages>>, request: &Request, body: Body) -> Result<Response, PageError> {
    let mut form = Form::read(pages, FORM, request, body).await?;
    let sealed = form.text("request");
    let session = pages.session_to_end(request).await?;
    let then = pages.log_out.confirm(&sealed, &form.browser, session.as_ref()).await?;
    let response = then.map_or_else(|| see_other("/logout"), |then| leave(pages, &then, Via::Form));
    Ok(forgotten(pages, response))
}

/// The page after a logout without a client to return to.
pub(in crate::http) fn logged_out(pages: &Pages, ending: Ending) -> Response {
    let notice = match ending {
        Ending::Plain => Notice::new(&pages.branding, "You are logged out", "Nobody is logged in in this browser now."),
        // The logout is done all the same: an app's mistake must not leave a person logged in.
        Ending::Refused => Notice {
            alarming: true,
            ..Notice::new(&pages.branding, "This app asked for the wrong address", WRONG_ADDRESS)
        },
    };
    let notice = notice.with_link("/login", "Log in again");
    layout::page(StatusCode::OK, &notice)
}

/// The page after a logout that a client asked for which nobody vouches for: the person decides whether to go there.
pub(in crate::http) fn offer(pages: &Pages, address: &str, host: Option<&str>) -> Response {
    let destination = redirect_uri::origin(address).unwrap_or_default();
    let text = format!(
        "Nobody is logged in in this browser now. {} Go back to it only if you know {destination}.",
        unvouched("The app that sent you", host),
    );
    let page = Offer {
        branding: &pages.branding,
        title: "You are logged out",
        text: &text,
        alarming: false,
        address,
        label: &format!("Go to {destination}"),
    };
    layout::page(StatusCode::OK, &page)
}

/// Has the browser forget its login, which is over.
pub(in crate::http) fn forgotten(pages: &Pages, mut response: Response) -> Response {
    let field = pages.cookies.field(SESSION, "", Some(std::time::Duration::ZERO));
    if let Ok(field) = HeaderValue::from_str(&field) {
        response.headers_mut().append(header::SET_COOKIE, field);
    }
    response
}
