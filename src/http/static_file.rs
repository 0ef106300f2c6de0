//! Files that are held in memory.

use hyper::body::Bytes;
use poem::{Endpoint, IntoResponse, Response, endpoint::make_sync, get};

/// A file that is read with GET. Without a content security policy of its own it gets the strict one of
/// `middleware::response_layer`: nothing runs.
pub(in crate::http) fn file(
    content_type: &'static str,
    policy: Option<&'static str>,
    text: String,
) -> impl Endpoint<Output = Response> {
    let bytes = Bytes::from(text);
    get(make_sync(move |_| {
        let response = Response::builder().content_type(content_type).header("Cache-Control", "public, max-age=3600");
        let response = match policy {
            Some(policy) => response.header("Content-Security-Policy", policy),
            None => response,
        };
        response.body(bytes.clone()).into_response()
    }))
}

#[cfg(test)]
mod tests {
    use poem::Request;

    use super::*;

    async fn policy_of(policy: Option<&'static str>) -> Option<String> {
        let answer = file("image/svg+xml", policy, "<svg/>".to_owned()).call(Request::default()).await;
        answer.expect("an answer").header("content-security-policy").map(ToOwned::to_owned)
    }

    #[tokio::test]
    async fn a_file_has_no_content_security_policy_but_its_own() {
        assert_eq!(policy_of(None).await, None, "the response layer adds the strict one");
        assert_eq!(policy_of(Some("script-src 'self'")).await.as_deref(), Some("script-src 'self'"));
    }
}
