//! `/account/sessions`: where the person is logged in, and the way to end that.

use std::sync::Arc;

use askama::Template;
use poem::{Body, Request, Response, handler, http::StatusCode, web::Data};
use uuid::Uuid;

use super::{SignedInUser, device, done, log_in, moment};
use crate::{
    domain::{ids::SessionId, session::Session},
    http::{
        pages::{branding::Branding, context::Pages, error::PageError},
        redirect::see_other,
    },
};

const PATH: &str = "/account/sessions";
/// As many as are shown, the newest: who has more ends them all.
const SHOWN: usize = 100;

#[derive(Template)]
#[template(path = "account_sessions.html")]
struct SessionsPage<'a> {
    branding: &'a Branding,
    csrf: &'a str,
    done: &'static str,
    rows: Vec<Row>,
    /// How many there are besides.
    more: usize,
}

/// A login as it is shown.
struct Row {
    id: String,
    /// The app, or the device.
    what: String,
    /// What else is known of where it was; empty where nothing is.
    place: String,
    /// When it was used last, for programs and for people.
    used: (String, String),
    /// This very one.
    current: bool,
}

/// The list.
#[handler]
pub(in crate::http) async fn show(Data(pages): Data<&Arc<Pages>>, request: &Request) -> Result<Response, PageError> {
    let Some(member) = SignedInUser::find(pages, request).await? else { return Ok(log_in(PATH)) };
    let mut rows = Vec::new();
    let all = pages.sessions.list_named(&member.caller).await?;
    let more = all.len().saturating_sub(SHOWN);
    for (session, client) in all.iter().take(SHOWN) {
        rows.push(row(session, client, &member.session));
    }
    // The current session comes first: it is the one that the user can recognize.
    rows.sort_by_key(|row| !row.current);
    let page =
        SessionsPage { branding: &pages.branding, csrf: &member.code(pages, PATH), done: done(request), rows, more };
    Ok(member.shown(pages, StatusCode::OK, &page))
}

/// One of them is to end, or all others.
#[handler]
pub(in crate::http) async fn send(
    Data(pages): Data<&Arc<Pages>>,
    request: &Request,
    body: Body,
) -> Result<Response, PageError> {
    let Some(member) = SignedInUser::find(pages, request).await? else { return Ok(log_in(PATH)) };
    let mut form = member.form(pages, PATH, request, body).await?;
    if form.text("answer") == "others" {
        pages.sessions.end_others(&member.caller).await?;
        return Ok(see_other(&format!("{PATH}?done=sessions")));
    }
    let session = Uuid::try_parse(&form.text("session")).map_err(|_| PageError::Incomplete)?;
    // One that is over already, or another person's, is as good as ended.
    pages.sessions.end(&member.caller, SessionId(session)).await?;
    Ok(see_other(&format!("{PATH}?done=session")))
}

fn row(session: &Session, client: &str, own: &Session) -> Row {
    let device = device::describe(session.user_agent.as_deref());
    let (what, place) = if session.client.is_built_in() {
        (device, session.ip.clone())
    } else if session.parent.is_some() {
        // The app's own servers fetched its tokens: their address says nothing.
        (client.to_owned(), (session.parent == Some(own.id)).then(|| "through this browser".to_owned()))
    } else {
        (format!("{client} ({device})"), session.ip.clone())
    };
    Row {
        id: session.id.to_string(),
        what,
        place: place.unwrap_or_default(),
        used: (session.rotated_at.to_rfc3339(), moment(session.rotated_at)),
        current: session.id == own.id,
    }
}
