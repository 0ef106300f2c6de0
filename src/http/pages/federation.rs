//! `/federation/{name}` and its callback: out to a provider and back, and a name for somebody new.
//!
//! What starts an attempt is a form of ours, or a request of a client that this browser brought (`idp_hint`): a link
//! from elsewhere starts none (RFC 9700 §4.7, login CSRF).

use std::sync::Arc;

use askama::Template;
use poem::{
    Body, Request, RequestBody, Response, handler,
    http::{HeaderValue, StatusCode, header},
    web::{Data, Path},
};
use serde_json::Value;

use super::{
    context::Pages,
    error::PageError,
    form::{self, BrowserContext, Form},
    layout::{self, LONGEST_LOCATION, Leaving, Offer},
};
use crate::{
    domain::{identity::ProviderName, session::Session},
    http::{
        extract::body,
        middleware::client_info::RequestOrigin,
        pages::{branding::Branding, post_auth_action::PostAuthAction, provider_button::Button, send_on::Via},
        redirect::{come_again, see_other},
    },
    services::{
        csrf::BrowserId,
        federation::{self, CallbackOutcome, CallbackParams, FederateError, Intent, PATIENCE, Started, UsernamePrompt},
    },
};

/// The form that starts a login.
const FORM: &str = "federation";
/// The form with a name.
const NAME_FORM: &str = "federation name";
/// The beginning of the names of cookies that hold attempts: each the sealed attempt, a dot, and the query of what to go
/// on with.
const ATTEMPT: &str = "federation-";
/// How many bytes of attempts a browser keeps at a time: the largest go first, [`MOST_GONE`] with each new one. nginx
/// takes 8 kB for all cookies of a request by default; attempts have at most 3.3 kB each, so that they stay below 7 kB.
const MOST_BYTES: usize = 4000;
/// How many attempts an answer has the browser forget: nginx takes 4 kB for the header of an answer by default.
const MOST_GONE: usize = 2;
/// When to try a provider again that does not answer, in seconds.
const RETRY_AFTER: u16 = 30;

/// The buttons of a page.
#[derive(Debug)]
pub(in crate::http) struct Buttons<'a> {
    /// Proves that their forms are ours.
    pub(in crate::http) csrf: String,
    /// Them.
    pub(in crate::http) all: &'a [Button],
}

impl Pages {
    /// The buttons of a page for this browser.
    pub(in crate::http) fn buttons(&self, browser: &BrowserId) -> Buttons<'_> {
        Buttons { csrf: self.csrf.code(browser, FORM), all: &self.providers }
    }
}

/// Asks whether to go on to the provider that a client's request names.
#[derive(Template)]
#[template(path = "federation_continue.html")]
struct ContinuePage<'a> {
    branding: &'a Branding,
    csrf: &'a str,
    onward: &'a PostAuthAction,
    button: &'a Button,
    /// The client that asks.
    client: &'a str,
    /// The user who is logged in here; empty if there is none.
    username: &'a str,
}

/// How somebody new wants to be called.
#[derive(Template)]
#[template(path = "federation_name.html")]
struct NamePage<'a> {
    branding: &'a Branding,
    csrf: &'a str,
    onward: &'a PostAuthAction,
    name: &'a str,
    title: &'a str,
    arrival: &'a str,
    username: &'a str,
    error: &'a str,
}

/// Why nothing came of it, and the way back.
#[derive(Template)]
#[template(path = "federation_failed.html")]
struct Failed<'a> {
    branding: &'a Branding,
    title: &'a str,
    text: &'a str,
    back: &'a str,
}

/// A button was pressed.
#[handler]
pub(super) async fn start_from_form(
    Data(pages): Data<&Arc<Pages>>,
    request: &Request,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, PageError> {
    let mut form = Form::read(pages, FORM, request, body).await?;
    let onward = PostAuthAction::of_form(&mut form);
    // Check the request before the browser is sent away for it.
    let fresh = onward.wants_fresh(pages, &form.browser).await?;
    match pages.federate.start(&name, &form.browser, Intent::LogIn { fresh, pressed: true }).await {
        Ok(started) => Ok(redirect_to_provider(pages, request, &name, &started, &onward)),
        Err(error) => failed(pages, &name, error, &onward),
    }
}

/// A client's request names the provider. Without such a request of this browser, a link starts nothing.
#[handler]
pub(super) async fn start_from_hint(
    Data(pages): Data<&Arc<Pages>>,
    request: &Request,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    let context = form::context(pages, request);
    let onward = PostAuthAction::of_query(request);
    let Some(asking) = onward.asking(pages, &context.browser).await? else {
        return Ok(see_other(&format!("/login{}", onward.query())));
    };
    // A link from elsewhere replaces nobody's login: the person presses a button.
    if pages.session(request).await?.is_some() {
        return ask_to_continue(pages, request, &name, &context, &onward).await;
    }
    let intent = Intent::LogIn { fresh: asking.fresh, pressed: false };
    match pages.federate.start(&name, &context.browser, intent).await {
        Ok(started) => {
            let fields = kept(pages, request, &started, &onward);
            let cookies: usize = fields.iter().map(String::len).sum();
            if started.address.len() + cookies > LONGEST_LOCATION {
                return Ok(redirect_to_provider(pages, request, &name, &started, &onward));
            }
            let mut response = see_other(&started.address);
            set(&mut response, fields);
            Ok(form::set_browser_cookie(pages, &context, response))
        }
        Err(error) => failed(pages, &name, error, &onward),
    }
}

/// Asks for the press that a login with this provider needs here.
async fn ask_to_continue(
    pages: &Pages,
    request: &Request,
    name: &str,
    context: &BrowserContext,
    onward: &PostAuthAction,
) -> Result<Response, PageError> {
    let Some(button) = pages.providers.iter().find(|button| button.name == name) else {
        return failed(pages, name, FederateError::UnknownProvider, onward);
    };
    let asking = onward.asking(pages, &context.browser).await?;
    let session = pages.session(request).await?;
    let page = ContinuePage {
        branding: &pages.branding,
        csrf: &pages.csrf.code(&context.browser, FORM),
        onward,
        button,
        client: asking.as_ref().map(|asking| asking.client.name.as_str()).unwrap_or_default(),
        username: session.as_ref().map(|session| session.username.as_str()).unwrap_or_default(),
    };
    Ok(form::set_browser_cookie(pages, context, layout::page(StatusCode::OK, &page)))
}

/// Sends the browser from a form to a provider.
pub(super) fn redirect_to_provider(
    pages: &Pages,
    request: &Request,
    name: &str,
    started: &Started,
    onward: &PostAuthAction,
) -> Response {
    let title = pages.providers.iter().find(|button| button.name == name).map(|button| button.title.as_str());
    let title = format!("Going on to {}", title.unwrap_or(name));
    let text = "You log in there, and then come back.";
    let fields = kept(pages, request, started, onward);
    let cookies = fields.iter().map(String::len).sum();
    let page = Leaving::new(&pages.branding, &title, text, &started.address);
    let mut response = page.response_beside(cookies);
    set(&mut response, fields);
    response
}

/// The `Set-Cookie` fields that have the browser keep an attempt, and what to go on with after it. Where that is too
/// much for its requests, the largest of the others go.
fn kept(pages: &Pages, request: &Request, started: &Started, onward: &PostAuthAction) -> Vec<String> {
    let value = format!("{}.{}", started.sealed, onward.query());
    let mut others = pages.cookies.sizes(request, ATTEMPT);
    others.sort_by_key(|(_, size)| *size);
    let mut bytes = others.iter().map(|(_, size)| size).sum::<usize>() + value.len();
    let mut fields = Vec::new();
    while bytes > MOST_BYTES
        && fields.len() < MOST_GONE
        && let Some((name, size)) = others.pop()
    {
        fields.push(pages.cookies.gone(&name));
        bytes -= size;
    }
    fields.push(pages.cookies.field(&format!("{ATTEMPT}{}", started.key), &value, PATIENCE.to_std().ok()));
    fields
}

fn set(response: &mut Response, fields: Vec<String>) {
    for field in fields {
        if let Ok(field) = HeaderValue::from_str(&field) {
            response.headers_mut().append(header::SET_COOKIE, field);
        }
    }
}

/// Somebody comes back from a provider.
#[handler]
pub(super) async fn callback(
    Data(pages): Data<&Arc<Pages>>,
    request: &Request,
    origin: RequestOrigin,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    let context = form::context(pages, request);
    // One that came twice is none.
    let (query, _) = body::parameters_of(request.uri().query().unwrap_or_default().as_bytes(), &RETURNED);
    let parameter = |name: &str| query.get(name).and_then(Value::as_str);
    let state = parameter("state").unwrap_or_default();
    let key = federation::key(state).unwrap_or_default();
    let attempt = format!("{ATTEMPT}{key}");
    let kept = pages.cookies.find(request, &attempt);
    let (sealed, onward) = kept.as_deref().and_then(|kept| kept.split_once('.')).unzip();
    let goal = PostAuthAction::of_text(onward.unwrap_or_default());
    let returned = CallbackParams { state, code: parameter("code"), error: parameter("error"), iss: parameter("iss") };
    let session = pages.session(request).await?;
    let finished =
        pages.federate.finish(&name, Some(&context.browser), sealed, &returned, session.as_ref(), &origin.0).await;
    if let (Err(FederateError::Stale), Some(session)) = (&finished, &session) {
        return Ok(already(pages, session, &goal));
    }
    // One that is not this may still come back.
    let over = sealed.is_some() && !matches!(finished, Err(FederateError::Stale));
    let mut response = match finished {
        Ok(arrived) => finish_callback(pages, request, &name, &context, &goal, arrived, Via::Link).await,
        Err(FederateError::NotPressed) => ask_to_continue(pages, request, &name, &context, &goal).await,
        Err(error) => failed(pages, &name, error, &goal),
    }?;
    if over {
        set(&mut response, vec![pages.cookies.gone(&attempt)]);
    }
    Ok(response)
}

/// Somebody comes back by a form that the provider had their browser post, from another site and so without our
/// cookies. Nothing is looked at here; asked again with GET, the browser brings them.
#[handler]
pub(super) async fn come_back_by_form(
    Data(pages): Data<&Arc<Pages>>,
    request: &Request,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, PageError> {
    let form = body::form_text(request, &mut RequestBody::new(body)).await?;
    let (form, _) = body::parameters_of(&form, &RETURNED);
    // Apple's posted `user` is not signed: ignore it.
    let pairs = RETURNED.into_iter().filter_map(|name| Some((name, form.get(name)?.as_str()?)));
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let name = ProviderName::parse(&name).map_err(|_| PageError::Incomplete)?;
    come_again(&pages.branding, &format!("/federation/{name}/callback"), &query)
}

/// The parameters of a provider's answer that are read.
const RETURNED: [&str; 4] = ["state", "code", "error", "iss"];

/// Somebody new says how they want to be called.
#[handler]
pub(super) async fn choose_username(
    Data(pages): Data<&Arc<Pages>>,
    request: &Request,
    origin: RequestOrigin,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, PageError> {
    let mut form = Form::read(pages, NAME_FORM, request, body).await?;
    let onward = PostAuthAction::of_form(&mut form);
    let (arrival, username) = (form.text("arrival"), form.text("username"));
    match pages.federate.name(&name, &form.browser, &arrival, &username, &origin.0).await {
        Ok(arrived) => {
            let context = BrowserContext::known(form.browser);
            finish_callback(pages, request, &name, &context, &onward, arrived, Via::Form).await
        }
        // The button was pressed twice, or the page reloaded.
        Err(FederateError::Stale) => match pages.session(request).await? {
            Some(session) => Ok(already(pages, &session, &onward)),
            None => failed(pages, &name, FederateError::Stale, &onward),
        },
        Err(error) => failed(pages, &name, error, &onward),
    }
}

async fn finish_callback(
    pages: &Pages,
    request: &Request,
    name: &str,
    context: &BrowserContext,
    onward: &PostAuthAction,
    arrived: CallbackOutcome,
    via: Via,
) -> Result<Response, PageError> {
    match arrived {
        CallbackOutcome::LoggedIn { session, pressed } => {
            let stale_login = |onward: &PostAuthAction| stale_login(pages, name, onward);
            let arrived = (*session, pressed, via);
            onward.continue_after_federation(pages, &context.browser, request, arrived, stale_login).await
        }
        CallbackOutcome::Linked => Ok(see_other("/account/providers?done=linked")),
        CallbackOutcome::PendingSignup(UsernamePrompt { sealed, suggestion, why }) => {
            let button = pages.providers.iter().find(|button| button.name == name);
            // A request that leads nowhere is said to do so.
            onward.asking(pages, &context.browser).await?;
            let page = NamePage {
                branding: &pages.branding,
                csrf: &pages.csrf.code(&context.browser, NAME_FORM),
                onward,
                name,
                title: button.map_or(name, |button| &button.title),
                arrival: &sealed,
                username: &suggestion,
                error: &why,
            };
            let status = if why.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
            Ok(layout::page(status, &page))
        }
    }
}

/// The page for who has logged in by the first use of what is used again.
fn already(pages: &Pages, session: &Session, onward: &PostAuthAction) -> Response {
    let page = Offer {
        branding: &pages.branding,
        title: "You are logged in",
        text: &format!("You are logged in here as {}.", session.username),
        alarming: false,
        address: &onward.resumption(),
        label: "Continue",
    };
    layout::page(StatusCode::BAD_REQUEST, &page)
}

/// The page for whom a provider let in by a login that is too old for what they are about.
fn stale_login(pages: &Pages, name: &str, onward: &PostAuthAction) -> Response {
    let button = pages.providers.iter().find(|button| button.name == name);
    let title = format!("{} did not ask you to log in again", button.map_or(name, |button| &button.title));
    let back = format!("/login{}", onward.query());
    let page = Failed { branding: &pages.branding, title: &title, text: TOO_OLD, back: &back };
    layout::page(StatusCode::FORBIDDEN, &page)
}

/// The page about why nothing came of it.
pub(super) fn failed(
    pages: &Pages,
    name: &str,
    error: FederateError,
    onward: &PostAuthAction,
) -> Result<Response, PageError> {
    let button = pages.providers.iter().find(|button| button.name == name);
    let provider = button.map_or("The provider", |button| button.title.as_str());
    let untold = || (StatusCode::BAD_GATEWAY, format!("{provider} could not tell who you are"), UNTOLD);
    let (status, title, text) = match error {
        FederateError::Unavailable(unavailable) => return Err(unavailable.into()),
        FederateError::UnknownProvider => {
            (StatusCode::NOT_FOUND, "There is no such provider".to_owned(), "You cannot log in with it here.")
        }
        FederateError::Stale => (StatusCode::BAD_REQUEST, "Please begin again".to_owned(), STALE),
        FederateError::Denied => {
            (StatusCode::FORBIDDEN, format!("{provider} did not let you in here"), "You, or they, said no.")
        }
        FederateError::ProviderUnavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{provider} does not answer"), "Try again in a moment.")
        }
        FederateError::InvalidProviderResponse(_) | FederateError::WrongIssuer | FederateError::Token(_) => untold(),
        FederateError::Closed => (
            StatusCode::FORBIDDEN,
            "There is no account for you yet".to_owned(),
            "New accounts are made by the operator of this service. Ask them for one.",
        ),
        FederateError::Disabled => {
            (StatusCode::FORBIDDEN, "This account cannot be used".to_owned(), "Ask the operator of this service.")
        }
        FederateError::Taken => (
            StatusCode::CONFLICT,
            format!("{provider} opens another account"),
            "Log in to that account, and unlink it there first.",
        ),
        FederateError::NotPressed => (
            StatusCode::FORBIDDEN,
            "Please begin again".to_owned(),
            "You log in with a provider by a button on our page.",
        ),
        FederateError::NotLoggedIn => {
            (StatusCode::FORBIDDEN, "You are not logged in any more".to_owned(), "Log in, and link it again.")
        }
    };
    // The page leads a user that is logged in on from there.
    let back = format!("/login{}", onward.query());
    let page = Failed { branding: &pages.branding, title: &title, text, back: &back };
    let mut response = layout::page(status, &page);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
    }
    Ok(response)
}

const STALE: &str = "The way took too long, or it was begun in another browser. If that does not help, let your browser \
                     keep cookies of this site.";
const TOO_OLD: &str = "What you are about to do needs a new login, and the provider did not say that you have just logged \
                       in. Log out there first, or log in another way.";
const UNTOLD: &str = "Nothing was changed. Try again, or log in another way.";
