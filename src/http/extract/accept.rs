//! What a client would rather read (RFC 9110 §12.5.1).

use poem::http::{HeaderMap, header};

/// Whether a request prefers a page to JSON. Browsers name `text/html`; programs do not, or name JSON as well.
pub(in crate::http) fn prefers_html(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(header::ACCEPT).iter().filter_map(|field| field.to_str().ok());
    let (mut html, mut json) = (0.0_f32, 0.0_f32);
    for range in fields.flat_map(|field| field.split(',')) {
        let range = range.to_ascii_lowercase();
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |text| text.parse().unwrap_or(0.0));
        match kind {
            "text/html" | "application/xhtml+xml" => html = html.max(quality),
            "application/json" | "application/problem+json" | "application/*" => json = json.max(quality),
            _ => {}
        }
    }
    html > json
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    #[test]
    fn browsers_prefer_pages_and_programs_do_not() {
        let prefers = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            prefers_html(&headers)
        };
        for accept in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "TEXT/HTML",
            "application/xhtml+xml, */*;q=0.1",
            "application/json;q=0.5, text/html",
            "text/html; charset=utf-8; q=0.9, application/json; Q=0.8",
        ] {
            assert!(prefers(accept), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "application/json, text/plain, */*",
            "application/json, text/html",
            "text/html;q=0",
            "text/html;q=nan",
            "text/*",
            "nonsense;;,",
        ] {
            assert!(!prefers(accept), "{accept}");
        }
        assert!(!prefers_html(&HeaderMap::new()));
    }
}
