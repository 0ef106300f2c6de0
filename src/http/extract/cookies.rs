//! The cookies that we set (RFC 6265): each readable by no script, sent to this origin alone, and on a form of another
//! site never.

use std::time::Duration;

use cookie::{Cookie, SameSite, time};
use poem::{Request, http::header};
use secrecy::{ExposeSecret, SecretString};

use crate::domain::client_info::KNOWN_FOR;

/// The cookie by which a device is known that its owner has logged in with before.
pub(in crate::http) const DEVICE: &str = "device";

/// The cookie that refers to the login of a browser.
pub(in crate::http) const SESSION: &str = "session";

/// How cookies are named and set here.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Cookies {
    /// Whether browsers reach the service by HTTPS. Over plain loopback, where a browser takes no `Secure` cookie, they
    /// have other names, so that one never stands in for the other.
    pub(in crate::http) https: bool,
}

impl Cookies {
    fn name(self, name: &str) -> String {
        if self.https { format!("__Host-signet-{name}") } else { format!("signet-{name}") }
    }

    /// The value of the cookie `name`. A cookie that is sent twice counts as absent: a site on another port or in a
    /// parent domain may have set the other.
    pub(in crate::http) fn find(self, request: &Request, name: &str) -> Option<String> {
        let name = self.name(name);
        let fields = request.headers().get_all(header::COOKIE).iter().filter_map(|field| field.to_str().ok());
        let mut found = fields.flat_map(Cookie::split_parse).flatten().filter(|cookie| cookie.name() == name);
        match (found.next(), found.next()) {
            (Some(cookie), None) => Some(cookie.value().to_owned()),
            _ => None,
        }
    }

    /// The `Set-Cookie` field that keeps the cookie `name` for `max_age`, or until the browser is closed.
    pub(in crate::http) fn field(self, name: &str, value: &str, max_age: Option<Duration>) -> String {
        let mut cookie = Cookie::new(self.name(name), value.to_owned());
        cookie.set_path("/");
        cookie.set_http_only(true);
        cookie.set_same_site(SameSite::Lax);
        cookie.set_secure(self.https);
        cookie.set_max_age(max_age.and_then(|age| time::Duration::try_from(age).ok()));
        cookie.to_string()
    }

    /// The names, without what all have in common, of the cookies that a request has whose names begin so, and the bytes
    /// that each takes.
    pub(in crate::http) fn sizes(self, request: &Request, beginning: &str) -> Vec<(String, usize)> {
        let beginning = self.name(beginning);
        let common = self.name("");
        let fields = request.headers().get_all(header::COOKIE).iter().filter_map(|field| field.to_str().ok());
        let cookies = fields.flat_map(Cookie::split_parse).flatten();
        let found = cookies.filter(|cookie| cookie.name().starts_with(&beginning));
        let size = |cookie: &Cookie<'_>| cookie.name().len() + cookie.value().len();
        found.filter_map(|cookie| Some((cookie.name().strip_prefix(&common)?.to_owned(), size(&cookie)))).collect()
    }

    /// The `Set-Cookie` field that has the browser forget the cookie `name`.
    pub(in crate::http) fn gone(self, name: &str) -> String {
        self.field(name, "", Some(Duration::ZERO))
    }

    /// The `Set-Cookie` field that makes the device of a login known.
    pub(in crate::http) fn device(self, token: Option<&SecretString>) -> Option<String> {
        token.map(|token| self.field(DEVICE, token.expose_secret(), KNOWN_FOR.to_std().ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(https: bool, fields: &[&str]) -> Option<String> {
        let request = fields.iter().fold(Request::builder(), |request, field| request.header("Cookie", *field));
        Cookies { https }.find(&request.finish(), "browser")
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        assert_eq!(sent(false, &["a=b; signet-browser=x"]).as_deref(), Some("x"));
        assert_eq!(sent(true, &["signet-browser=x; __Host-signet-browser=y"]).as_deref(), Some("y"));
        assert_eq!(sent(true, &["signet-browser=x"]), None, "not over HTTPS");
        assert_eq!(sent(false, &["Signet-Browser=x"]), None);
        assert_eq!(sent(false, &[]), None);
    }

    #[test]
    fn cookies_of_one_purpose_are_found_and_forgotten() {
        let cookies = Cookies { https: true };
        let fields = "__Host-signet-a-1=x; signet-a-2=x; __Host-signet-b-3=x; __Host-signet-a-4=x";
        let request = Request::builder().header("Cookie", fields).finish();
        assert_eq!(cookies.sizes(&request, "a-"), [("a-1".to_owned(), 18), ("a-4".to_owned(), 18)]);
        assert_eq!(cookies.gone("a-1"), "__Host-signet-a-1=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0");
    }

    #[test]
    fn a_cookie_that_came_twice_has_no_value() {
        assert_eq!(sent(false, &["signet-browser=x; signet-browser=y"]), None);
        assert_eq!(sent(false, &["signet-browser=x", "signet-browser=x"]), None);
    }

    #[test]
    fn a_cookie_is_kept_from_scripts_and_from_other_sites() {
        let set = |https| Cookies { https }.field("browser", "x", Some(Duration::from_mins(1)));
        assert_eq!(set(true), "__Host-signet-browser=x; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60");
        assert_eq!(set(false), "signet-browser=x; HttpOnly; SameSite=Lax; Path=/; Max-Age=60");
    }
}
