//! Request bodies: counted while they stream, and read with care.

use std::time::Duration;

use poem::{
    Request, RequestBody,
    error::ResponseError,
    http::{StatusCode, header},
    web::headers::HeaderMapExt,
};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest, Registry},
    types::Type,
};
use serde::de::DeserializeOwned;
use serde_json::map::Entry;

/// The most a body may hold, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// How long a body may take to arrive: 64 kB come through the slowest of lines in this time.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why a body was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::http) enum BodyError {
    /// Another type than JSON.
    #[error("send the body as application/json")]
    NotJson,
    /// Another type than a form.
    #[error("send the body as application/x-www-form-urlencoded")]
    NotAForm,
    /// Compressed.
    #[error("send the body as it is, without a content encoding such as gzip")]
    Encoded,
    /// Over 64 kB.
    #[error("the body is over 64 kB")]
    TooLarge,
    /// It broke off.
    #[error("the body broke off")]
    Unread,
    /// It did not come to its end in time.
    #[error("the body took too long to arrive")]
    TooSlow,
    /// The query cannot be read.
    #[error("the query is malformed, or repeats a parameter")]
    Query,
    /// No host, two hosts, or another than the request's target has.
    #[error("name one host, in the Host field")]
    Host,
    /// No JSON object of UTF-8, or not to its end; the member where it stopped, if it got that far.
    #[error("the body is not a well-formed JSON object")]
    Json {
        /// The member.
        field: Option<String>,
    },
    /// No form of UTF-8.
    #[error("the body is not a well-formed form")]
    Form,
    /// A parameter twice.
    #[error("a parameter is repeated")]
    Repeated,
}

impl ResponseError for BodyError {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotJson | Self::NotAForm | Self::Encoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Unread | Self::Json { .. } | Self::Form | Self::Repeated | Self::Query | Self::Host => {
                StatusCode::BAD_REQUEST
            }
        }
    }
}

/// A JSON body. Unknown members are ignored and never take effect; a member given twice is refused.
#[derive(Debug)]
pub(in crate::http) struct JsonBody<T>(pub(in crate::http) T);

impl<'a, T: Type + DeserializeOwned> ApiExtractor<'a> for JsonBody<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(request_meta::<T>("application/json"))
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        expect_content_type(request, &mime::APPLICATION_JSON, BodyError::NotJson)?;
        let bytes = read(request, body).await?;
        // RFC 8259 §8.1: a byte order mark may be ignored. serde_json would refuse it, and would pass over the bytes of
        // a member that nobody asked for.
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
        let text = str::from_utf8(bytes).map_err(|_| BodyError::Json { field: None })?;
        // serde would read a struct from an array as well, member by member.
        if text.bytes().find(|byte| !byte.is_ascii_whitespace()) != Some(b'{') {
            return Err(BodyError::Json { field: None }.into());
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            BodyError::Json { field: (path != "." && path != "?").then_some(path) }
        })?;
        json.end().map_err(|_| BodyError::Json { field: None })?;
        Ok(Self(value))
    }
}

/// Reads the body as a form (`application/x-www-form-urlencoded`) of which the parameters in `names` are read, and all
/// others have no effect. A parameter without a value counts as not sent (RFC 6749 §3.1), and one that is read and was sent
/// twice is refused (§3.2).
///
/// # Errors
/// [`BodyError`].
pub(in crate::http) async fn form(
    request: &Request,
    body: &mut RequestBody,
    names: &[&str],
) -> Result<serde_json::Map<String, serde_json::Value>, BodyError> {
    let form = form_text(request, body).await?;
    parameters(&pairs_of(&form, names).join(&b'&'))
}

/// Reads the body as a form whose parameters are not looked at yet. A body that is not there needs no type.
///
/// # Errors
/// [`BodyError`].
pub(in crate::http) async fn form_text(request: &Request, body: &mut RequestBody) -> Result<Vec<u8>, BodyError> {
    let typed = expect_content_type(request, &mime::APPLICATION_WWW_FORM_URLENCODED, BodyError::NotAForm);
    if request.headers().contains_key(header::CONTENT_TYPE) {
        typed.clone()?;
    }
    let mut form = read(request, body).await?;
    if !form.is_empty() {
        typed?;
    }
    // A form has no line ends (WHATWG URL §5); scripts that read it from a file send the one at the file's end.
    form.truncate(form.len() - form.iter().rev().take_while(|byte| b"\r\n".contains(byte)).count());
    Ok(form)
}

/// The parameters of a page's form that came once, and can be decoded: the others are none, as in a page's query.
pub(in crate::http) fn parameters_once(bytes: &[u8]) -> serde_json::Map<String, serde_json::Value> {
    let names = bytes.split(|byte| *byte == b'&').filter_map(|pair| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        decode(name).ok().filter(|name| !name.is_empty())
    });
    let names: std::collections::BTreeSet<String> = names.collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    parameters_of(bytes, &names).0
}

fn request_meta<T: Type>(content_type: &'static str) -> MetaRequest {
    MetaRequest {
        description: None,
        content: vec![MetaMediaType { content_type, schema: T::schema_ref() }],
        required: true,
    }
}

/// Whether the request says that its body is a form.
pub(in crate::http) fn is_form(request: &Request) -> bool {
    expect_content_type(request, &mime::APPLICATION_WWW_FORM_URLENCODED, BodyError::NotAForm).is_ok()
}

/// Refuses another media type. Parameters are ignored: `charset` changes nothing (a form is percent-encoded ASCII, WHATWG
/// URL §5; JSON is UTF-8, RFC 8259 §11), and clients send it in many spellings.
fn expect_content_type(request: &Request, essence: &mime::Mime, otherwise: BodyError) -> Result<(), BodyError> {
    let given = request.content_type().and_then(|text| text.split(';').next());
    let is_expected = given.is_some_and(|given| given.trim_ascii().eq_ignore_ascii_case(essence.essence_str()));
    if is_expected { Ok(()) } else { Err(otherwise) }
}

/// Reads a body that may claim any length, and stops at the first byte too many.
async fn read(request: &Request, body: &mut RequestBody) -> Result<Vec<u8>, BodyError> {
    let claimed = request.headers().typed_get::<poem::web::headers::ContentLength>();
    if claimed.is_some_and(|length| length.0 > MAX_BODY as u64) {
        return Err(BodyError::TooLarge);
    }
    // `identity` is no encoding (RFC 9110 §8.4.1), and neither is an empty member of the list (§5.6.1.2).
    let fields = request.headers().get_all(header::CONTENT_ENCODING).iter();
    let mut encodings = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    if !encodings.all(|encoding| encoding.is_empty() || encoding.eq_ignore_ascii_case(b"identity")) {
        return Err(BodyError::Encoded);
    }
    let body = body.take().map_err(|_| BodyError::Unread)?;
    let bytes = tokio::time::timeout(PATIENCE, body.into_bytes_limit(MAX_BODY)).await;
    let bytes = bytes.map_err(|_| BodyError::TooSlow)?.map_err(|error| match error {
        poem::error::ReadBodyError::PayloadTooLarge => BodyError::TooLarge,
        _ => BodyError::Unread,
    })?;
    Ok(bytes.into())
}

/// The parameters of a form, or of a query. One without a value was not sent (RFC 6749 §3.1). What decodes to no UTF-8 is
/// refused rather than mended.
pub(in crate::http) fn parameters(bytes: &[u8]) -> Result<serde_json::Map<String, serde_json::Value>, BodyError> {
    let mut form = serde_json::Map::new();
    for (name, value) in pairs(bytes)?.into_iter().filter(|(_, value)| !value.is_empty()) {
        match form.entry(name) {
            Entry::Vacant(vacant) => {
                vacant.insert(value.into());
            }
            // RFC 8707 §2: a client may name several resources; here a token is for one. No resource has a space, so two
            // of them are one that no client may ask for: `invalid_target`.
            Entry::Occupied(mut first) if first.key() == "resource" => {
                let both = format!("{} {value}", first.get().as_str().unwrap_or_default());
                if *first.get() != value {
                    first.insert(both.into());
                }
            }
            Entry::Occupied(_) => return Err(BodyError::Repeated),
        }
    }
    Ok(form)
}

/// The pairs of a form or a query, in their order, with repeated names and empty values.
pub(in crate::http) fn pairs(bytes: &[u8]) -> Result<Vec<(String, String)>, BodyError> {
    let pairs = bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            let value = halves.next().unwrap_or_default();
            let text = match decode(value) {
                // A hint that nobody can read hints at nobody, and is no error; but it was sent.
                Err(_) if name.ends_with("_hint") => char::REPLACEMENT_CHARACTER.into(),
                text => text?,
            };
            Ok((name, text))
        })
        .collect()
}

/// The pairs whose name is one of `names`, as they are written. A name that cannot be decoded is none of them.
pub(in crate::http) fn pairs_of<'b>(bytes: &'b [u8], names: &[&str]) -> Vec<&'b [u8]> {
    let pairs = bytes.split(|byte| *byte == b'&').filter(|pair| {
        let name = decode(pair.split(|byte| *byte == b'=').next().unwrap_or_default());
        name.is_ok_and(|name| names.contains(&name.as_str()))
    });
    pairs.collect()
}

/// The parameters of a page's query, of which `read` alone are read: all others have no effect, repeated, undecodable or
/// not. Returns those that came once, and whether another of them came twice, or cannot be decoded.
pub(in crate::http) fn parameters_of(
    bytes: &[u8],
    read: &[&str],
) -> (serde_json::Map<String, serde_json::Value>, bool) {
    let pairs = pairs_of(bytes, read);
    if let Ok(all) = parameters(&pairs.join(&b'&')) {
        return (all, false);
    }
    let one = |name: &&str| {
        let is_it =
            |pair: &&&[u8]| decode(pair.split(|byte| *byte == b'=').next().unwrap_or_default()).as_deref() == Ok(*name);
        let own: Vec<&[u8]> = pairs.iter().filter(is_it).copied().collect();
        parameters(&own.join(&b'&')).unwrap_or_default()
    };
    (read.iter().flat_map(one).collect(), true)
}

/// Decodes one half of a pair, strictly: `%` takes two hexadecimal digits, and the bytes are UTF-8.
pub(in crate::http) fn decode(text: &[u8]) -> Result<String, BodyError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| (*digit as char).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else { return Err(BodyError::Form) };
                // Two hexadecimal digits fit a byte.
                u8::try_from(high * 16 + low).map_err(|_| BodyError::Form)?
            }
            plain => *plain,
        });
    }
    String::from_utf8(bytes).map_err(|_| BodyError::Form)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::properties;

    fn refused(form: &[u8]) -> BodyError {
        parameters(form).expect_err("refused")
    }

    #[test]
    fn a_repeated_parameter_is_refused_even_where_nobody_knows_it() {
        assert!(matches!(refused(b"a=1&a=1"), BodyError::Repeated));
        assert!(matches!(refused(b"a=1&%61=2"), BodyError::Repeated));
        assert!(matches!(refused(b"a=&a=1&a=1"), BodyError::Repeated));
    }

    #[test]
    fn what_has_no_value_is_not_repeated() {
        for form in [&b"x=&x="[..], b"a=1&a=", b"a=&a=1", b"a&a=1&a", b"resource=&resource=1"] {
            assert!(parameters(form).is_ok_and(|form| form.values().all(|value| value == "1")), "{form:?}");
        }
    }

    #[test]
    fn a_hint_that_cannot_be_decoded_is_one_that_names_nobody() {
        for form in [&b"login_hint=%ff"[..], b"id_token_hint=%", b"idp_hint=%zz", b"login_hint=\xff"] {
            assert!(parameters(form).is_ok_and(|form| form.len() == 1), "{form:?}");
        }
    }

    #[test]
    fn what_is_no_utf_8_is_refused_rather_than_mended() {
        for form in [&b"a=%FF"[..], b"a=\xff", b"%C0%80=1", b"a=%ED%A0%80", b"a=%4", b"a=%zz", b"a=%"] {
            assert!(matches!(refused(form), BodyError::Form), "{form:?}");
        }
    }

    #[test]
    fn what_a_page_does_not_read_has_no_effect_on_it() {
        let read = |query: &str| parameters_of(query.as_bytes(), &["a", "b"]);
        for query in ["a=1&x=1&x=2", "a=1&%FF=1", "x=%ff&a=1", "a=1&x=%"] {
            let (found, malformed) = read(query);
            assert_eq!((found.len(), &found["a"], malformed), (1, &"1".into(), false), "{query}");
        }
        for query in ["b=1&a=1&a=1", "b=1&a=%ff", "b=1&a=1&%61=2"] {
            let (found, malformed) = read(query);
            assert_eq!((found.len(), &found["b"], malformed), (1, &"1".into(), true), "{query}");
        }
    }

    #[test]
    fn a_parameter_without_a_value_was_not_sent() {
        let form = parameters(b"scope=&grant_type=password&flag").expect("good");
        assert_eq!(form.len(), 1);
        assert_eq!(form["grant_type"], "password");
    }

    proptest! {
        #[test]
        fn any_pairs_are_read_back_as_they_were_written(pairs in prop::collection::btree_map("\\PC{1,8}", "\\PC{1,8}", 0..5)) {
            let text = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
            let form = parameters(text.as_bytes()).expect("good");
            prop_assert_eq!(form.len(), pairs.len());
            for (name, value) in &pairs {
                prop_assert_eq!(form[name].as_str(), Some(value.as_str()));
            }
        }

        #[test]
        fn any_bytes_are_refused_or_mean_one_thing(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..64),
                "([a-c%+=é]{0,4}=?(%[0-9a-fA-F]{2}|[a-z+]){0,3}&){0,5}".prop_map(String::into_bytes),
            ],
        ) {
            properties::form(&bytes);
            properties::query(&bytes);
        }

        #[test]
        fn any_json_is_refused_or_means_one_thing(
            members in prop::collection::vec(
                ("username|password|email|x|\\\\u0075sername", "\"[a-z]{0,3}\"|null|true|-?[1-9]e?[0-9]{0,3}|\\[\\]|\\{\\}|\"\\\\ud800\""),
                0..5,
            ),
            rest in "[ -~]{0,2}",
        ) {
            let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
            properties::json(format!("{{{}}}{rest}", members.join(",")).as_bytes());
        }

        #[test]
        fn any_type_is_refused_or_is_one_of_the_two(
            kind in "(application|text)/(json|x-www-form-urlencoded)[;, ]{0,2}(charset=\"?(utf-8|UTF-16)\"?)?[ -~]{0,4}",
        ) {
            properties::content_type(kind.as_bytes());
        }
    }
}
