//! Properties of request parsing that hold for any bytes. Property tests, the saved corpus and the fuzzers share
//! them.

use std::{
    borrow::Cow,
    future::Future,
    net::{IpAddr, SocketAddr},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use ipnet::IpNet;
use poem::{
    Body, Request, RequestBody,
    http::{self, HeaderName, HeaderValue, Uri, header},
    web::{LocalAddr, RemoteAddr},
};
use poem_openapi::{ApiExtractor, ExtractParamOptions, Object};
use secrecy::ExposeSecret;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use url::form_urlencoded;

use super::oauth::{introspect::IntrospectionRequest, revoke::RevocationRequest, token::TokenRequest};
use crate::{
    domain::{client::AuthenticationMethod, ids::ClientId},
    http::{
        extract::{
            bearer::BearerToken,
            body::{self, JsonBody, parameters},
            client_auth::{BasicCredentials, ClientParameters, FormRequest},
            lenient_string::LenientString,
        },
        middleware::client_info,
    },
    services::clients::ClientCredential,
};

/// Runs what waits for nothing but the request at hand.
fn run<F: Future>(future: F) -> F::Output {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// A request with this body.
fn posted(content_type: &HeaderValue, data: &[u8]) -> (Request, RequestBody) {
    Request::builder().header(header::CONTENT_TYPE, content_type).body(data.to_vec()).split()
}

/// A request with these fields of one name.
fn with_fields<'f>(name: &HeaderName, fields: impl IntoIterator<Item = &'f [u8]>) -> Option<Request> {
    let mut request = Request::default();
    for field in fields {
        request.headers_mut().append(name, HeaderValue::from_bytes(field).ok()?);
    }
    Some(request)
}

/// A form type is read from `data` with its own parameters, whatever stands beside them, or is refused for one of them.
fn is_read_as<T: DeserializeOwned + FormRequest>(data: &[u8]) {
    let (request, mut body) = posted(&HeaderValue::from_static("application/x-www-form-urlencoded"), data);
    let Ok(form) = run(body::form(&request, &mut body, T::NAMES)) else { return };
    assert!(form.keys().all(|name| T::NAMES.contains(&name.as_str())), "{form:?}");
    let ends = data.iter().rev().take_while(|byte| b"\r\n".contains(byte)).count();
    agrees(&form, &data[..data.len() - ends], |name| T::NAMES.contains(&name));
    assert!(serde_json::from_value::<T>(form.into()).is_ok());
}

/// A lenient reader finds the same parameters, of those that are read. A hint may be read as nobody's.
fn agrees(form: &serde_json::Map<String, Value>, data: &[u8], is_read: impl Fn(&str) -> bool) {
    let lenient = form_urlencoded::parse(data).filter(|(name, value)| !value.is_empty() && is_read(name));
    let lenient: Vec<_> = lenient.collect();
    // It alone may come more than once.
    if lenient.iter().filter(|(name, _)| name == "resource").count() > 1 {
        return;
    }
    assert_eq!(lenient.len(), form.len(), "{form:?}");
    for (name, value) in lenient.into_iter().filter(|(name, _)| !name.ends_with("_hint")) {
        assert_eq!(form.get(name.as_ref()), Some(&Value::from(value.as_ref())), "{name}");
    }
}

/// A body is no form, or one that a lenient reader finds the same parameters in, and that is read back as it is
/// written. What a form of ours does not read has no effect on it.
pub fn form(data: &[u8]) {
    is_read_as::<TokenRequest>(data);
    is_read_as::<RevocationRequest>(data);
    is_read_as::<IntrospectionRequest>(data);
    let Ok(form) = parameters(data) else { return };
    let text = |value: &Value| value.as_str().map(str::to_owned).expect("a parameter is text");
    assert!(form.values().all(|value| !text(value).is_empty()), "an empty parameter counts as sent: {form:?}");
    agrees(&form, data, |_| true);
    let pairs = form.iter().map(|(name, value)| (name, text(value)));
    let written = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    assert_eq!(parameters(written.as_bytes()).ok(), Some(form), "{written}");
}

/// A query is refused, or a parameter means to poem's extractors what it means to the check that let it through.
pub fn query(data: &[u8]) {
    let Ok(uri) = Uri::try_from([b"/?", data].concat()) else { return };
    let Ok(ours) = parameters(uri.query().unwrap_or_default().as_bytes()) else { return };
    let request = Request::builder().uri(uri).finish();
    let theirs: Vec<(String, String)> = request.params().expect("poem reads what we let through");
    let theirs: Vec<_> = theirs.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    // It alone may come more than once.
    if theirs.iter().filter(|(name, _)| name == "resource").count() > 1 {
        return;
    }
    assert_eq!(theirs.len(), ours.len(), "{ours:?}");
    for (name, value) in theirs.into_iter().filter(|(name, _)| !name.ends_with("_hint")) {
        assert_eq!(ours.get(&name), Some(&Value::from(value)), "{name}");
    }
}

/// A JSON body as routes have them.
#[derive(Deserialize, Object)]
struct Members {
    #[serde(default)]
    username: LenientString,
    #[serde(default)]
    password: LenientString,
    #[serde(default)]
    email: LenientString,
}

fn members(data: &[u8]) -> Option<Members> {
    let (request, mut body) = posted(&HeaderValue::from_static("application/json"), data);
    run(JsonBody::<Members>::from_request(&request, &mut body, ExtractParamOptions::default())).ok().map(|body| body.0)
}

/// A body is refused, or it is UTF-8 and its members are what another reader of JSON finds. What that reader finds to
/// be an object is read when it is written again, with each member once.
pub fn json(data: &[u8]) {
    fn agree(members: &Members, value: &Value) {
        let Members { username, password, email } = members;
        for (name, text) in [("username", username), ("password", password), ("email", email)] {
            match (text, value.get(name).unwrap_or(&Value::Null)) {
                (LenientString::Missing, Value::Null) => {}
                (LenientString::Given(text), Value::String(found)) => assert_eq!(text, found),
                (LenientString::NotAString, found) => {
                    assert!(!found.is_null() && !found.is_string(), "{name}: {found}");
                }
                (_, found) => panic!("{name} is not {found}"),
            }
        }
    }
    let read = members(data);
    assert!(read.is_none() || str::from_utf8(data).is_ok(), "no UTF-8");
    // The other way round nothing follows: a member given twice is refused, and what is ignored is not looked into.
    let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
    assert!(read.is_none() || value.is_object(), "{value}");
    if let Some(read) = &read {
        agree(read, &value);
    }
    if value.is_object() {
        agree(&members(value.to_string().as_bytes()).expect("an object"), &value);
    }
}

/// A type that is taken for a form's or for JSON's is called that, whatever its parameters; and never for both.
pub fn content_type(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let is_form = {
        let (request, mut body) = posted(&value, b"a=b");
        run(body::form(&request, &mut body, &[])).is_ok()
    };
    let is_json = {
        let (request, mut body) = posted(&value, b"{}");
        run(JsonBody::<Members>::from_request(&request, &mut body, ExtractParamOptions::default())).is_ok()
    };
    assert!(!(is_form && is_json), "{value:?}");
    if is_form || is_json {
        let text = value.to_str().expect("it was read").to_ascii_lowercase();
        let essence = text.split(';').next().unwrap_or_default().trim();
        let expected = if is_form { "application/x-www-form-urlencoded" } else { "application/json" };
        assert_eq!(essence, expected, "{value:?}");
    }
}

/// The client and secret of an `Authorization` field; `None` if the field is refused, or is not there.
fn basic(field: &[u8]) -> Option<(ClientId, String)> {
    let request = with_fields(&header::AUTHORIZATION, [field])?;
    let credentials = BasicCredentials::of(&request).ok()?;
    match credentials.or_form(ClientParameters::default(), "/oauth/token").ok()?? {
        ClientCredential::Secret(id, secret, AuthenticationMethod::ClientSecretBasic) => {
            Some((id, secret.expose_secret().to_owned()))
        }
        ClientCredential::Id(id) => Some((id, String::new())),
        other => panic!("a field of another kind than Basic: {other:?}"),
    }
}

fn basic_field(id: &str, secret: &str) -> String {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret))))
}

/// An `Authorization` field names nobody, or a client whose field, written as RFC 6749 §2.3.1 says, names the same;
/// and a client of any secret can write such a field. Two fields name nobody.
pub fn client_authentication(data: &[u8]) {
    if let Some((id, secret)) = basic(data) {
        assert_eq!(basic(basic_field(id.as_str(), &secret).as_bytes()), Some((id, secret)));
        let twice = with_fields(&header::AUTHORIZATION, [data, data]).expect("two fields");
        assert!(BasicCredentials::of(&twice).is_err());
    }
    let text = String::from_utf8_lossy(data);
    let (id, secret) = text.split_once('\n').unwrap_or(("client", &text));
    if let Ok(id) = ClientId::parse(id) {
        let read = basic(basic_field(id.as_str(), secret).as_bytes());
        assert_eq!(read, Some((id, secret.to_owned())));
    }
}

/// An `Authorization` field carries no token, or one that stands in it as it is; two fields carry none.
pub fn bearer(data: &[u8]) {
    let read = |request: &Request| {
        let mut body = RequestBody::default();
        run(BearerToken::from_request(request, &mut body, ExtractParamOptions::default())).ok()
    };
    let Some(request) = with_fields(&header::AUTHORIZATION, [data]) else { return };
    let expected = str::from_utf8(data).ok().and_then(|text| {
        let (scheme, token) = text.trim_end_matches(' ').split_once(' ')?;
        let token = token.trim_start_matches(' ');
        let plain = !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic() || b == b'\t');
        (scheme.eq_ignore_ascii_case("bearer") && plain).then_some(token)
    });
    assert_eq!(read(&request).as_ref().map(|token| token.0.expose_secret()), expected, "{data:?}");
    let twice = with_fields(&header::AUTHORIZATION, [data, data]).expect("two fields");
    assert!(read(&twice).is_none(), "{data:?} twice");
}

/// The address that a request is taken to come from, with these `X-Forwarded-For` fields.
fn client_address(peer: IpAddr, fields: &[Cow<'_, [u8]>], trusted: &[IpNet]) -> Option<IpAddr> {
    const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    let mut message = http::Request::new(());
    for field in fields {
        message.headers_mut().append(X_FORWARDED_FOR, HeaderValue::from_bytes(field).ok()?);
    }
    let (parts, ()) = message.into_parts();
    let remote = RemoteAddr(SocketAddr::new(peer, 1).into());
    let request =
        Request::from_parts((parts, LocalAddr::default(), remote, http::uri::Scheme::HTTP).into(), Body::empty());
    client_info::client_address(&request, trusted)
}

/// A request comes from its peer, or from whom the trusted proxies between say; what stands left of that says nothing.
///
/// `data` has the peer's address on its first line (10.0.0.1 where that is none), and then a field a line.
/// `10.0.0.0/8` and `fd00::/8` are trusted.
pub fn forwarded(data: &[u8]) {
    let trusted: [IpNet; 2] = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().expect("a network"));
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    // With a port or without; an IPv6 address may have brackets.
    let address = |text: &str| {
        let text = text.trim();
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).filter(|inner| inner.contains(':'));
        let parsed = bare.unwrap_or(text).parse::<IpAddr>().ok();
        parsed.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip())).map(|address| address.to_canonical())
    };
    let mut lines = data.split(|byte| *byte == b'\n');
    let peer = lines.next().and_then(|line| address(str::from_utf8(line).ok()?));
    let peer = peer.unwrap_or(IpAddr::from([10, 0, 0, 1]));
    let fields: Vec<Cow<'_, [u8]>> = lines.map(Cow::Borrowed).collect();
    let Some(client) = client_address(peer, &fields, &trusted) else { return };

    // Whom each spoke of, from the peer on, up to the first that is no address. A field that is no text is none.
    let text = |field| str::from_utf8(field).ok().filter(|text| text.is_ascii()).unwrap_or_default();
    let hops = fields.iter().rev().flat_map(|field| text(field).rsplit(','));
    let known = hops.map_while(address);
    let told: Vec<_> = std::iter::once(peer).chain(known).collect();
    let expected = told.iter().find(|address| !is_trusted(address)).or(told.last());
    assert_eq!(Some(&client), expected, "{told:?}");

    if !is_trusted(&client) {
        let forged = [Cow::Borrowed(&b"198.51.100.7, 10.9.9.9"[..])];
        assert_eq!(client_address(peer, &[&forged[..], &fields[..]].concat(), &trusted), Some(client));
    }
}
