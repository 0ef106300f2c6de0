//! A headless Chromium, with methods named after the actions of its user.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use fantoccini::{
    Client, ClientBuilder, Locator,
    cookies::Cookie,
    elements::Element,
    error::CmdError,
    wd::{WebDriverCompatibleCommand, WindowHandle},
};
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use super::driver::{Driver, Scripts};

/// How long a page may take for anything, on the slowest machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// The user's color scheme (`prefers-color-scheme`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Light,
    Dark,
}

/// A browser with a profile of its own: no cookies, no history.
#[derive(Debug)]
pub(crate) struct Browser {
    client: Client,
    driver: Driver,
}

impl Browser {
    pub(crate) async fn open() -> Self {
        Self::with(Scripts::Run).await
    }

    /// Opens a browser with JavaScript off.
    pub(crate) async fn without_javascript() -> Self {
        Self::with(Scripts::Blocked).await
    }

    pub(crate) async fn with(scripts: Scripts) -> Self {
        let driver = Driver::start();
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(driver.capabilities(scripts));
        let client = builder.connect(&driver.url()).await;
        let client = client.unwrap_or_else(|error| panic!("Chromium does not start: {error}: {}", driver.words()));
        Self { client, driver }
    }

    /// Opens a URL, as if typed or followed from an email.
    pub(crate) async fn visits(&self, url: &str) {
        self.client.goto(url).await.unwrap_or_else(|error| panic!("{url} does not open: {error}"));
    }

    /// Replaces the text of the field with this label.
    pub(crate) async fn types(&self, label: &str, text: &str) {
        let field = self.field(label).await;
        field.clear().await.expect("it can be emptied");
        field.send_keys(text).await.expect("it can be typed into");
    }

    /// Types into the element that a CSS selector finds, for foreign pages whose fields may have no labels.
    pub(crate) async fn fills(&self, selector: &str, text: &str) {
        let field = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(selector)).await;
        field.expect("it comes").send_keys(text).await.expect("it can be typed into");
    }

    /// Sends keys to the focused element; [`Key`](fantoccini::key::Key) has those that are not text.
    pub(crate) async fn strikes(&self, keys: &str) {
        let focused = self.client.active_element().await.expect("something has the focus");
        focused.send_keys(keys).await.expect("it can be typed into");
    }

    /// Presses the button with this text.
    pub(crate) async fn presses(&self, button: &str) {
        let button = self.finds(&format!("//button[normalize-space() = {}]", quoted(button))).await;
        button.click().await.expect("it can be pressed");
    }

    /// Follows the link with this text.
    pub(crate) async fn follows(&self, link: &str) {
        let link = self.finds(&format!("//a[normalize-space() = {}]", quoted(link))).await;
        link.click().await.expect("it can be followed");
    }

    /// Waits until the page shows these words.
    pub(crate) async fn sees(&self, words: &str) {
        let begin = Instant::now();
        loop {
            let text = self.text().await.unwrap_or_default();
            if text.contains(words) {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{words:?} is not to be seen: {text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The visible text of the page, without zero-width spaces.
    pub(crate) async fn text(&self) -> Result<String, CmdError> {
        let text = self.client.find(Locator::Css("body")).await?.text().await?;
        Ok(text.replace('\u{200b}', ""))
    }

    /// Waits until the browser is at this path.
    pub(crate) async fn is_at(&self, path: &str) {
        let begin = Instant::now();
        loop {
            let url = self.url().await;
            if url.path() == path {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "it is not at {path}: {url}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn url(&self) -> Url {
        self.client.current_url().await.expect("it is somewhere")
    }

    pub(crate) async fn title(&self) -> String {
        self.client.title().await.expect("a page has a title")
    }

    /// The value of the field with this label.
    pub(crate) async fn value(&self, label: &str) -> String {
        self.field(label).await.prop("value").await.expect("it is there").unwrap_or_default()
    }

    /// The field with this label is marked as wrong, and the text that is tied to it says this: what somebody hears who
    /// does not see the page (WAI-ARIA 1.2, `aria-invalid`, `aria-describedby`).
    pub(crate) async fn hears_at(&self, label: &str, words: &str) {
        let begin = Instant::now();
        loop {
            // The page may still be on its way, and the field that was found gone with the last one.
            let heard = self.heard_at(label).await;
            if heard.as_ref().is_ok_and(|(is_wrong, heard)| *is_wrong && heard.contains(words)) {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{label} says {heard:?}, not {words:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether the field with this label is marked as wrong, and the text that is tied to it.
    async fn heard_at(&self, label: &str) -> Result<(bool, String), CmdError> {
        let field = self.field(label).await;
        let is_wrong = field.attr("aria-invalid").await?.is_some_and(|invalid| invalid == "true");
        let mut heard = String::new();
        for id in field.attr("aria-describedby").await?.unwrap_or_default().split_whitespace() {
            heard = heard + &self.client.find(Locator::Id(id)).await?.text().await? + " ";
        }
        Ok((is_wrong, heard))
    }

    /// Whether it has something with this CSS selector.
    pub(crate) async fn has(&self, selector: &str) -> bool {
        !self.client.find_all(Locator::Css(selector)).await.expect("a selector").is_empty()
    }

    /// The cookies of the current site.
    pub(crate) async fn cookies(&self) -> Vec<Cookie<'static>> {
        self.client.get_all_cookies().await.expect("it tells them")
    }

    /// Deletes the cookies of the current site.
    pub(crate) async fn forgets_cookies(&self) {
        self.client.delete_all_cookies().await.expect("it forgets them");
    }

    /// Deletes the cookies of the site at `url`.
    pub(crate) async fn forgets_cookies_of(&self, url: &str) {
        self.visits(&format!("{url}/livez")).await;
        self.forgets_cookies().await;
    }

    /// Opens a second tab at this URL and switches to it. Returns the first tab.
    pub(crate) async fn opens_tab(&self, url: &str) -> WindowHandle {
        let first = self.client.window().await.expect("it has one");
        let second = self.client.new_window(true).await.expect("it opens");
        self.client.switch_to_window(second.handle).await.expect("it is there");
        self.visits(url).await;
        first
    }

    /// Has the page open a popup at this URL, and turns to it.
    pub(crate) async fn opens_popup(&self, url: &str) {
        let first = self.client.window().await.expect("it has one");
        self.runs("window.popup = window.open(arguments[0], 'login', 'width=500,height=600')", vec![json!(url)]).await;
        let all = self.client.windows().await.expect("it has some");
        let popup = all.into_iter().find(|window| *window != first).expect("it opened");
        self.turns_to(popup).await;
    }

    /// Presses the button that opens a popup, and turns to the popup. Returns the window below it.
    pub(crate) async fn presses_for_popup(&self, button: &str) -> WindowHandle {
        let first = self.client.window().await.expect("it has one");
        self.presses(button).await;
        let begin = Instant::now();
        loop {
            let all = self.client.windows().await.expect("it has some");
            if let Some(popup) = all.into_iter().find(|window| *window != first) {
                self.turns_to(popup).await;
                return first;
            }
            assert!(begin.elapsed() < PATIENCE, "no popup opened");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Goes back one page, as by the browser's button.
    pub(crate) async fn goes_back(&self) {
        self.client.back().await.expect("there is a page before");
    }

    pub(crate) async fn turns_to(&self, tab: WindowHandle) {
        self.client.switch_to_window(tab).await.expect("it is there");
    }

    /// The visible text of the page's first frame.
    pub(crate) async fn text_in_frame(&self) -> String {
        self.finds("//iframe").await.enter_frame().await.expect("it is a frame");
        let text = self.text().await.expect("even an error is a page");
        self.client.enter_parent_frame().await.expect("it has one");
        text
    }

    /// Runs a script through `WebDriver`, to which the page's policy does not apply, and returns its result.
    pub(crate) async fn runs(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.client.execute(script, arguments).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Sets the size of the window in CSS pixels. A narrow window is a phone's.
    pub(crate) async fn resizes(&self, width: u32, height: u32) {
        let phone = width < 600;
        let scale = if phone { 2 } else { 1 };
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone});
        self.tools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Takes screenshots at a phone's and a desktop's size, in the light and the dark scheme.
    pub(crate) async fn is_looked_at(&self, name: &str) {
        for (device, width, height) in [("phone", 390, 844), ("desktop", 1280, 800)] {
            self.resizes(width, height).await;
            let mut papers = Vec::new();
            for (scheme, time) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
                self.prefers(scheme).await;
                assert!(self.fits().await, "{name} is wider than a {device}");
                papers.push(self.runs("return getComputedStyle(document.body).backgroundColor", vec![]).await);
                self.screenshot(&format!("{name}-{device}-{time}")).await;
            }
            assert_ne!(papers[0], papers[1], "{name} has no night");
        }
    }

    async fn prefers(&self, scheme: Scheme) {
        let value = match scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.tools("Emulation.setEmulatedMedia", features).await;
    }

    /// Whether the page is no wider than the window.
    pub(crate) async fn fits(&self) -> bool {
        let script = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth";
        self.runs(script, Vec::new()).await == true
    }

    /// Saves a screenshot as `target/screenshots/NAME.png`, for developers to look at.
    pub(crate) async fn screenshot(&self, name: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
        std::fs::create_dir_all(&folder).expect("the folder is ours");
        let image = self.client.screenshot().await.expect("it shows something");
        std::fs::write(folder.join(format!("{name}.png")), image).expect("the folder is ours");
    }

    /// The console messages since the last call: policy violations, missing files, script output and errors. The HTTP
    /// error status of a page itself does not count.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.issue("se/log", json!({"type": "browser"})).await;
        let entries = log.as_array().cloned().unwrap_or_else(|| panic!("no log: {log}"));
        entries.iter().filter(|entry| !is_status_of_page(entry)).map(Value::to_string).collect()
    }

    /// Closes the browser, and fails if its console holds unread messages.
    pub(crate) async fn closes(self) {
        let complaints = self.complaints().await;
        assert!(complaints.is_empty(), "the browser complains: {complaints:#?}");
        self.client.close().await.expect("it closes");
        drop(self.driver);
    }

    async fn field(&self, label: &str) -> Element {
        self.finds(&format!("//input[@id = //label[normalize-space() = {}]/@for]", quoted(label))).await
    }

    async fn finds(&self, path: &str) -> Element {
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::XPath(path)).await;
        match found {
            Ok(element) => element,
            Err(error) => panic!("no {path}: {error}: {:?}", self.text().await),
        }
    }

    /// Sends a command of the Chrome `DevTools` protocol.
    async fn tools(&self, command: &str, parameters: Value) {
        self.issue("goog/cdp/execute", json!({"cmd": command, "params": parameters})).await;
    }

    async fn issue(&self, path: &'static str, body: Value) -> Value {
        let answer = self.client.issue_cmd(Extension { path, body }).await;
        answer.unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

/// Whether a console message is only about the status of a page. Files, unlike pages, have an extension.
fn is_status_of_page(entry: &Value) -> bool {
    let message = entry["message"].as_str().unwrap_or_default();
    let Some((url, _)) = message.split_once(" - Failed to load resource: the server responded with a status of ")
    else {
        return false;
    };
    Url::parse(url).is_ok_and(|url| !url.path().contains('.'))
}

/// A string literal of `XPath` 1.0, which has no escape for quotation marks.
fn quoted(text: &str) -> String {
    assert!(!text.contains('"'), "{text}");
    format!("\"{text}\"")
}

/// A command of chromedriver's own.
#[derive(Debug)]
struct Extension {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}
