//! The end session endpoint (OIDC RP-Initiated Logout 1.0 §2): a client has a browser logged out, and gets it back.

use std::sync::Arc;

use poem::{Body, Request, Response, handler, web::Data};

use crate::{
    http::{
        extract::body,
        pages::{
            context::Pages,
            error::PageError,
            form,
            logout::{Ending, forgotten, logged_out, offer},
            send_on::{Via, leave},
        },
        redirect::{ask_again, come_again, see_other},
    },
    services::sessions::logout::{Destination, LogoutOutcome, Parameters},
};

/// `GET`
#[handler]
pub(in crate::http) async fn ask(Data(pages): Data<&Arc<Pages>>, request: &Request) -> Result<Response, PageError> {
    let (query, malformed) =
        body::parameters_of(request.uri().query().unwrap_or_default().as_bytes(), &Parameters::NAMES);
    if malformed {
        return Err(PageError::Incomplete);
    }
    // Every parameter is an optional string, so this fails for none of them.
    let asked = serde_json::from_value(query.into()).map_err(|_| PageError::Incomplete)?;
    let context = form::context(pages, request);
    let session = pages.session_to_end(request).await?;
    let response = match pages.log_out.run(&asked, &context.browser, session.as_ref()).await? {
        LogoutOutcome::LoggedOut(destination) => {
            let response = match destination {
                Destination::Stays => logged_out(pages, Ending::Plain),
                Destination::Refused => logged_out(pages, Ending::Refused),
                Destination::Client(then) => leave(pages, &then, Via::Link),
                Destination::Offered { then, host } => offer(pages, &then, host.as_deref()),
            };
            // Without a login to end, clear no cookie: any site may have sent the browser here.
            if session.is_some() { forgotten(pages, response) } else { response }
        }
        LogoutOutcome::Ask { refused: true, .. } => see_other("/logout?note=unregistered"),
        LogoutOutcome::Ask { sealed, .. } if sealed.is_empty() => see_other("/logout"),
        LogoutOutcome::Ask { sealed, .. } => come_again(&pages.branding, "/logout", &format!("request={sealed}"))?,
    };
    Ok(form::set_browser_cookie(pages, &context, response))
}

/// `POST`: a client's own form, which comes from another site, so that the browser keeps its cookies back.
#[handler]
pub(in crate::http) async fn ask_by_form(
    Data(pages): Data<&Arc<Pages>>,
    request: &Request,
    body: Body,
) -> Result<Response, PageError> {
    ask_again(&pages.branding, "/oauth/logout", &Parameters::NAMES, request, body).await
}
