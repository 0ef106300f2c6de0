//! A browser reduced to cookies, links and forms, for stories about requests and
//! responses rather than rendered pages.

use reqwest::{Client, cookie::Jar};
use std::sync::Arc;
use url::{Url, form_urlencoded};

use super::{
    TestApp,
    site::{Answer, Ask, Site, http},
};

/// A browser with cookies of its own.
#[derive(Debug, Clone)]
pub(crate) struct BrowserSession {
    site: Site,
    issuer: String,
    jar: Arc<Jar>,
}

impl BrowserSession {
    pub(crate) fn at(signet: &TestApp) -> Self {
        let jar = Arc::new(Jar::default());
        let client: Client = http().cookie_provider(Arc::clone(&jar)).build().expect("nothing in it can fail");
        Self { site: Site::through(client, &signet.issuer), issuer: signet.issuer.clone(), jar }
    }

    /// Opens a path or a URL of the service.
    pub(crate) async fn opens(&self, link: &str) -> Answer {
        self.site.get(self.path(link)).answer().await
    }

    /// Sends the form that `page` has for `path`, with these fields filled in.
    pub(crate) async fn sends(&self, page: &Answer, path: &str, fields: &[(&str, &str)]) -> Answer {
        let hidden = hidden(&page.text(), path);
        let hidden = hidden.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let all: Vec<(&str, &str)> = hidden.filter(|(name, _)| !fields.iter().any(|field| field.0 == *name)).collect();
        self.posts(path, &[&all[..], fields].concat()).await
    }

    /// Presses "Continue as" on the login page.
    pub(crate) async fn continues(&self, page: &Answer) -> Answer {
        let fields = hidden_of_first(&page.text(), "/login");
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.posts("/login", &[&fields[..], &[("answer", "continue")]].concat()).await
    }

    /// Posts these fields alone, with the headers of a same-origin form.
    pub(crate) async fn posts(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self.site.post(path).header("sec-fetch-site", "same-origin").header("origin", &self.issuer);
        request.form(fields).answer().await
    }

    /// Follows a redirect within the service.
    pub(crate) async fn follows(&self, answer: &Answer) -> Answer {
        self.opens(&location(answer)).await
    }

    /// Opens the login page at `link` and sends it.
    pub(crate) async fn logs_in_at(&self, link: &str, username: &str, password: &str) -> Answer {
        let page = self.opens(link).await.is(200);
        self.sends(&page, "/login", &[("username", username), ("password", password)]).await
    }

    /// The cookies as `name=value`.
    pub(crate) fn cookies(&self) -> Vec<String> {
        use reqwest::cookie::CookieStore;
        let url = Url::parse(&self.issuer).expect("an origin");
        let header = self.jar.cookies(&url);
        let text = header.as_ref().and_then(|header| header.to_str().ok()).unwrap_or_default();
        text.split("; ").filter(|cookie| !cookie.is_empty()).map(str::to_owned).collect()
    }

    /// The cookie whose name has this suffix.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.cookies().into_iter().find(|cookie| cookie.split('=').next().is_some_and(|given| given.ends_with(name)))
    }

    /// Adds a cookie, as an attacker might.
    pub(crate) fn is_given(&self, cookie: &str) {
        self.jar.add_cookie_str(cookie, &Url::parse(&self.issuer).expect("an origin"));
    }

    fn path<'a>(&self, link: &'a str) -> &'a str {
        link.strip_prefix(&self.issuer).unwrap_or(link)
    }
}

/// Where an answer leads: the `Location` of a 303, or the `Refresh` of a page that answers a form.
#[track_caller]
pub(crate) fn location(answer: &Answer) -> String {
    if answer.status == 200
        && let Some(address) = refresh(answer)
    {
        return address;
    }
    assert_eq!(answer.status, 303, "{answer:?}");
    answer.header("location").to_owned()
}

/// The address that a page goes on to by itself: in its header or, where it is too long for that, in its body.
pub(crate) fn refresh(answer: &Answer) -> Option<String> {
    if let Some(address) = answer.header("refresh").strip_prefix("0;url=") {
        return Some(address.to_owned());
    }
    let text = answer.text();
    let (_, address) = text.split_once("<meta http-equiv=\"refresh\" content=\"0;url=")?;
    Some(unescaped(address.split_once('"')?.0))
}

/// The query parameters of a URL.
pub(crate) fn query(address: &str) -> Vec<(String, String)> {
    let query = address.split_once('?').map_or("", |(_, query)| query);
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// One query parameter of a URL, or the empty string.
pub(crate) fn parameter(address: &str, name: &str) -> String {
    query(address).into_iter().find(|(given, _)| given == name).map(|(_, value)| value).unwrap_or_default()
}

/// The hidden fields of the page's last form for `path`.
pub(crate) fn hidden(page: &str, path: &str) -> Vec<(String, String)> {
    fields_at(page, page.rfind(&format!("action=\"{path}\"")).unwrap_or_else(|| panic!("no form for {path}: {page}")))
}

/// The same of its first form.
fn hidden_of_first(page: &str, path: &str) -> Vec<(String, String)> {
    fields_at(page, page.find(&format!("action=\"{path}\"")).unwrap_or_else(|| panic!("no form for {path}: {page}")))
}

fn fields_at(page: &str, begin: usize) -> Vec<(String, String)> {
    let (form, _) = page[begin..].split_once("</form>").expect("a form ends");
    let attribute = |input: &str, name: &str| {
        let (_, rest) = input.split_once(&format!("{name}=\"")).unwrap_or_else(|| panic!("no {name}: {input}"));
        unescaped(rest.split('"').next().expect("it ends"))
    };
    let inputs = form.split("<input ").skip(1).map(|rest| rest.split('>').next().expect("a tag ends"));
    inputs
        .filter(|input| input.contains("type=\"hidden\""))
        .map(|input| (attribute(input, "name"), attribute(input, "value")))
        .collect()
}

/// Undoes the HTML escaping of a template.
fn unescaped(text: &str) -> String {
    let plain = [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")];
    plain.iter().fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}
