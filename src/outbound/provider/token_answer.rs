//! The answer of a provider's token endpoint, taken as providers send it.
//!
//! The `oauth2` crate wants RFC 6749 §5.1 to the letter: JSON under that type, status 200, `token_type`, a number in
//! `expires_in`. Providers leave `token_type` out, send a number as text, call JSON plain text, or answer with a form. A
//! login needs the access token, and the ID token where the provider signs one, so only these are read.

use oauth2::{
    HttpResponse,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
};
use serde_json::{Value, json};
use url::form_urlencoded;

/// The answer in the one form that the `oauth2` crate reads. A refusal is left as it is.
pub(super) fn canonical(answer: HttpResponse) -> HttpResponse {
    if !answer.status().is_success() {
        return answer;
    }
    let (mut head, body) = answer.into_parts();
    let members = members(&body);
    let text = |name: &str| members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let body = match text("access_token") {
        Some(token) => {
            let mut read = json!({"access_token": token, "token_type": "Bearer"});
            if let Some(token) = text("id_token") {
                read["id_token"] = token.into();
            }
            read.to_string().into_bytes()
        }
        // Some providers refuse with status 200 (GitHub).
        None if members.contains_key("error") => {
            head.status = StatusCode::BAD_REQUEST;
            json!({"error": "invalid_grant"}).to_string().into_bytes()
        }
        None => body,
    };
    if head.status.is_success() {
        head.status = StatusCode::OK;
    }
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    HttpResponse::from_parts(head, body)
}

/// The members of a JSON object, or the parameters of a form; nothing if it is neither.
fn members(body: &[u8]) -> serde_json::Map<String, Value> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => members,
        Ok(_) => serde_json::Map::new(),
        Err(_) => {
            let pairs = form_urlencoded::parse(body.trim_ascii());
            pairs.map(|(name, value)| (name.into_owned(), value.into_owned().into())).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use oauth2::http::Response;

    use super::*;

    fn read(status: u16, body: &str) -> (u16, Value) {
        let answer = Response::builder().status(status).body(body.as_bytes().to_vec()).expect("an answer");
        let answer = canonical(answer);
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap_or_default())
    }

    #[test]
    fn what_a_login_needs_is_found_however_it_is_written() {
        for (status, body) in [
            (200, r#"{"access_token":"a","token_type":"Bearer","id_token":"i","expires_in":"3600"}"#),
            (201, r#"{"access_token":"a","id_token":"i"}"#),
            (
                200,
                "\u{feff}{\"access_token\":\"a\",\"id_token\":\"i\",\"scope\":[1],\"token_type\":7,\"expires_in\":null}",
            ),
            (203, "access_token=a&id_token=i&expires=5183944\n"),
        ] {
            let expected = json!({"access_token": "a", "token_type": "Bearer", "id_token": "i"});
            assert_eq!(read(status, body), (200, expected), "{body}");
        }
        let without = json!({"access_token": "a", "token_type": "Bearer"});
        assert_eq!(read(200, r#"{"access_token":"a","id_token":null}"#), (200, without));
    }

    #[test]
    fn an_answer_without_an_access_token_gives_none() {
        for body in ["", "<html>", "{}", "[]", "null", r#"{"access_token":""}"#, r#"{"access_token":7}"#, "id_token=i"]
        {
            let (status, read) = read(200, body);
            assert!(
                status == 200 && read.get("access_token").and_then(Value::as_str).is_none_or(str::is_empty),
                "{body}"
            );
        }
        assert_eq!(read(200, "error=bad_verification_code").0, 400);
        assert_eq!(read(401, r#"{"access_token":"a"}"#), (401, json!({"access_token": "a"})));
    }
}
