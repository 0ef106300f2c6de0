//! Recovery and verification as a person does it: in a real browser, with the mails that a real mail server received.

use fantoccini::key::Key;
use reqwest::Method;
use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

use crate::harness::{
    Answer, Ask, Database, House, NEW_PASSWORD, PASSWORD, Person, Plan, Stage,
    browser::{Browser, FOREIGN_HOST, Scheme, Scripts},
    elsewhere::Elsewhere,
    smtp::{Received, Smtp},
    stories, stories_on,
};

const ADA: &str = "Ada@example.org";

const IDENTIFIER: &str = "Username or email address";
const NEW: &str = "New password";
const REPEATED: &str = "The same again";
const SEND: &str = "Send the link";
const CHANGE: &str = "Change the password";
const CONFIRM: &str = "Yes, confirm the address";
const OVER: &str = "This link does not work any more";

/// A service and the mail server that it sends through, whose mails are read one by one.
struct Town {
    house: House,
    smtp: Smtp,
    read: usize,
}

impl Stage for Town {
    async fn on(database: Database) -> Self {
        let smtp = Smtp::start();
        let house = Plan::on(database).set("smtp_url", &smtp.url()).open().await;
        Self { house, smtp, read: 0 }
    }
}

impl Town {
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.house.issuer)
    }

    /// The next mail; it went to this address.
    async fn brings(&mut self, to: &str) -> Received {
        let mail = self.smtp.waits_for(self.read + 1).await[self.read].clone();
        self.read += 1;
        assert_eq!(mail.to, [to]);
        mail
    }

    /// The link to `path` in the next mail to this address.
    async fn link(&mut self, path: &str, to: &str) -> String {
        let mail = self.brings(to).await;
        let start = self.url(path) + "?token=";
        let link = mail.text.split_whitespace().find(|word| word.starts_with(&start));
        let link = link.unwrap_or_else(|| panic!("no link to {start}: {mail:?}")).to_owned();
        assert!(mail.html.contains(&format!("\"{link}\"")), "the other part has another link: {mail:?}");
        link
    }

    /// Somebody who registers with this address, and has not looked into the mail yet.
    async fn registers(&self, username: &str, email: &str) -> Person {
        let body = json!({"username": username, "password": PASSWORD, "email": email});
        let site = self.house.site.clone();
        let answer = site.post("/v1/users").json(&body).answer().await.is(201);
        Person { username: username.into(), password: PASSWORD.into(), id: answer.string("id"), site }
    }

    /// Somebody who has verified this address.
    async fn registers_verified(&mut self, username: &str, email: &str) -> Person {
        let person = self.registers(username, email).await;
        let link = self.link("/verify-email", email).await;
        let (_, token) = link.split_once("?token=").expect("a link has a token");
        let request = self.house.site.post("/v1/email-verifications/complete");
        request.json(&json!({"token": token})).answer().await.is(204);
        person
    }

    /// The link to a new password, which somebody with this verified address has asked for.
    async fn reset_link(&mut self, username: &str, email: &str) -> String {
        let request = self.house.site.post("/v1/password-resets");
        request.json(&json!({"username": username})).answer().await.is(202);
        self.link("/reset-password", email).await
    }

    /// A page of the service as a program fetches it.
    async fn fetches(&self, method: Method, url: &str) -> Answer {
        let path = url.strip_prefix(&self.house.issuer).expect("a page of the service");
        self.house.site.request(method, path).answer().await
    }

    /// The code of the form at `path` that some other browser was given.
    async fn code_of_another_browser(&self, path: &str) -> String {
        let page = self.fetches(Method::GET, &self.url(path)).await.is(200).text();
        let (_, rest) = page.split_once("name=\"csrf\" value=\"").unwrap_or_else(|| panic!("no code: {page}"));
        rest.split('"').next().expect("the code ends").to_owned()
    }
}

/// Types a new password and its repetition, and sends them.
async fn chooses(browser: &Browser, new: &str, repeated: &str) {
    browser.types(NEW, new).await;
    browser.types(REPEATED, repeated).await;
    browser.presses(CHANGE).await;
}

async fn a_person_recovers_an_account(mut town: Town) {
    for (scripts, name) in [(Scripts::Run, "ada"), (Scripts::Blocked, "grace")] {
        let email = format!("{name}@example.org");
        let person = town.registers(name, &email).await;
        let lost = person.logs_in().await;
        let browser = Browser::with(scripts).await;

        browser.visits(&town.link("/verify-email", &email).await).await;
        browser.sees(&email).await;
        browser.sees(name).await;
        browser.presses(CONFIRM).await;
        browser.sees("Your address is confirmed").await;
        let account = person.sends(Method::GET, "/v1/users/me", &lost, None).await.is(200).json();
        assert_eq!((&account["email"], &account["email_verified"]), (&json!(email), &json!(true)));

        browser.visits(&town.url("/forgot-password")).await;
        browser.types(IDENTIFIER, &email).await;
        browser.presses(SEND).await;
        browser.sees("Look into your mail").await;

        browser.visits(&town.link("/reset-password", &email).await).await;
        browser.sees(name).await;
        chooses(&browser, NEW_PASSWORD, NEW_PASSWORD).await;
        browser.sees("Your password is changed").await;
        person.is_logged_out(&lost).await;
        person.tries(PASSWORD).await.refused("invalid_grant");
        person.is_let_in(&person.tries(NEW_PASSWORD).await.granted()).await;
        assert!(town.brings(&email).await.subject.contains("password"), "the owner is told");

        // What names the browser to its forms is all that it was given: nobody is logged in.
        let cookies = browser.cookies().await;
        let [cookie] = &cookies[..] else { panic!("one cookie: {cookies:?}") };
        assert_eq!((cookie.name(), cookie.http_only()), ("signet-browser", Some(true)), "{cookie:?}");
        assert_eq!(cookie.same_site().map(|site| site.to_string()).as_deref(), Some("Lax"), "{cookie:?}");
        browser.closes().await;
    }
}

/// Nothing but the keyboard is touched, and the first field waits for it (WCAG 2.2, 2.1.1).
async fn the_keyboard_is_enough(mut town: Town) {
    let person = town.registers_verified("ada", ADA).await;
    let (tab, enter) = (char::from(Key::Tab), char::from(Key::Enter));
    let browser = Browser::without_javascript().await;
    browser.visits(&town.url("/forgot-password")).await;
    browser.strikes(&format!("ada{enter}")).await;
    browser.sees("Look into your mail").await;
    browser.visits(&town.link("/reset-password", ADA).await).await;
    browser.strikes(&format!("{NEW_PASSWORD}{tab}{NEW_PASSWORD}{enter}")).await;
    browser.sees("Your password is changed").await;
    person.tries(NEW_PASSWORD).await.granted();
    browser.closes().await;
}

async fn whoever_looks_at_a_link_first_does_not_use_it_up(mut town: Town) {
    let person = town.registers("ada", ADA).await;
    let browser = Browser::open().await;
    let verify = town.link("/verify-email", ADA).await;
    scans(&town, &verify).await;
    browser.visits(&verify).await;
    let first = browser.opens_tab(&verify).await;
    browser.presses(CONFIRM).await;
    browser.sees("Your address is confirmed").await;
    browser.turns_to(first).await;
    browser.presses(CONFIRM).await;
    browser.sees(OVER).await;

    let reset = town.reset_link("ada", ADA).await;
    scans(&town, &reset).await;
    browser.visits(&reset).await;
    let first = browser.opens_tab(&reset).await;
    chooses(&browser, NEW_PASSWORD, NEW_PASSWORD).await;
    browser.sees("Your password is changed").await;
    browser.turns_to(first).await;
    chooses(&browser, PASSWORD, PASSWORD).await;
    browser.sees(OVER).await;
    browser.visits(&reset).await;
    browser.sees(OVER).await;
    browser.follows("Get a new link").await;
    browser.is_at("/forgot-password").await;
    person.tries(PASSWORD).await.refused("invalid_grant");
    person.tries(NEW_PASSWORD).await.granted();
    browser.closes().await;
}

/// Looks at a link as programs do that look for harm in mails.
async fn scans(town: &Town, link: &str) {
    for _ in 0..10 {
        town.fetches(Method::GET, link).await.is(200);
        town.fetches(Method::HEAD, link).await.is(200);
    }
}

async fn what_is_wrong_is_said_at_its_field_and_keeps_the_link(mut town: Town) {
    let person = town.registers_verified("ada", ADA).await;
    for scripts in [Scripts::Run, Scripts::Blocked] {
        let browser = Browser::with(scripts).await;
        browser.visits(&town.url("/forgot-password")).await;
        browser.types(IDENTIFIER, "not a name").await;
        browser.presses(SEND).await;
        browser.sees("Type a username or an email address").await;
        browser.hears_at(IDENTIFIER, "Type a username or an email address").await;
        assert_eq!(browser.value(IDENTIFIER).await, "not a name", "it can be mended");

        browser.visits(&town.reset_link("ada", ADA).await).await;
        chooses(&browser, NEW_PASSWORD, "violet anchor 19 marsh candel").await;
        browser.sees("This is not the same password").await;
        browser.hears_at(REPEATED, "This is not the same password").await;
        for weak in ["short", "password1234", "adaadaada"] {
            chooses(&browser, weak, weak).await;
            browser.sees("The password ").await;
            browser.hears_at(NEW, "The password ").await;
            assert_eq!(browser.value(NEW).await + &browser.value(REPEATED).await, "", "passwords are not sent back");
        }
        person.tries(PASSWORD).await.granted();
        browser.closes().await;
    }
    let link = town.reset_link("ada", ADA).await;
    let browser = Browser::open().await;
    browser.visits(&link).await;
    chooses(&browser, "short", "short").await;
    browser.sees("The password ").await;
    chooses(&browser, NEW_PASSWORD, NEW_PASSWORD).await;
    browser.sees("Your password is changed").await;
    person.tries(NEW_PASSWORD).await.granted();
    browser.closes().await;
}

/// Somebody has registered with the address of another, who is asked and says no.
async fn not_me_takes_the_address_away(mut town: Town) {
    let mallory = town.registers("mallory", ADA).await;
    let tokens = mallory.logs_in().await;
    let link = town.link("/verify-email", ADA).await;
    let browser = Browser::without_javascript().await;
    browser.visits(&link).await;
    browser.sees("mallory").await;
    browser.presses("Not me: remove the address").await;
    browser.sees("Your address is removed").await;
    let account = mallory.sends(Method::GET, "/v1/users/me", &tokens, None).await.is(200).json();
    assert_eq!((&account["email"], &account["email_verified"]), (&Value::Null, &json!(false)));
    browser.visits(&link).await;
    browser.sees(OVER).await;

    // Nor does the account's old claim stand in the owner's way.
    town.registers("ada", ADA).await;
    browser.visits(&town.link("/verify-email", ADA).await).await;
    browser.presses(CONFIRM).await;
    browser.sees("Your address is confirmed").await;
    browser.closes().await;
}

/// The other site has a code, which it was given itself, and the victim's browser has its cookie.
async fn a_form_of_another_site_is_refused(mut town: Town) {
    town.registers_verified("ada", ADA).await;
    let code = town.code_of_another_browser("/forgot-password").await;
    let form = format!(
        "<!doctype html><title>Win</title><form method=post action=\"{}\"><input name=csrf value=\"{code}\">\
         <input name=identifier value=ada><button>You win</button></form>",
        town.url("/forgot-password")
    );
    let elsewhere = Elsewhere::serves(form).await;
    let browser = Browser::open().await;
    browser.visits(&town.url("/forgot-password")).await;
    // Another site, another name of this machine, and the same site at another port: the last sends our cookie along.
    for host in [FOREIGN_HOST, "localhost", "127.0.0.1"] {
        browser.visits(&elsewhere.at(host)).await;
        browser.presses("You win").await;
        browser.sees("This form came from elsewhere").await;
    }
    // One mail, which was asked for here.
    browser.visits(&town.url("/forgot-password")).await;
    browser.types(IDENTIFIER, "ada").await;
    browser.presses(SEND).await;
    browser.sees("Look into your mail").await;
    town.link("/reset-password", ADA).await;
    assert_eq!(town.smtp.mails().len(), town.read, "there are more mails");
    browser.closes().await;
}

async fn a_form_is_good_in_the_browser_that_it_was_given_to(mut town: Town) {
    town.registers_verified("ada", ADA).await;
    let browser = Browser::open().await;
    let asks = async || {
        browser.types(IDENTIFIER, "ada").await;
        browser.presses(SEND).await;
    };
    browser.visits(&town.url("/forgot-password")).await;
    browser.forgets_cookies().await;
    asks().await;
    browser.sees("This form is too old").await;

    for code in [town.code_of_another_browser("/forgot-password").await, String::new()] {
        browser.visits(&town.url("/forgot-password")).await;
        browser.runs("document.querySelector('[name=csrf]').value = arguments[0]", vec![json!(code)]).await;
        asks().await;
        browser.sees("This form is too old").await;
    }

    browser.visits(&town.url("/forgot-password")).await;
    asks().await;
    browser.sees("Look into your mail").await;
    town.link("/reset-password", ADA).await;
    assert_eq!(town.smtp.mails().len(), town.read, "there are more mails");
    browser.closes().await;
}

async fn no_other_site_frames_a_page(mut town: Town) {
    town.registers_verified("ada", ADA).await;
    let reset = town.reset_link("ada", ADA).await;
    for (page, words) in [
        (town.url("/forgot-password"), "Forgot your password"),
        (reset, "Choose a new password"),
        (town.url("/docs"), "Signet"),
    ] {
        let frame = format!("<!doctype html><title>Frame</title><iframe src=\"{page}\" width=800 height=600></iframe>");
        let elsewhere = Elsewhere::serves(frame).await;
        let browser = Browser::open().await;
        for host in [FOREIGN_HOST, "127.0.0.1"] {
            browser.visits(&elsewhere.at(host)).await;
            let shown = browser.text_in_frame().await;
            assert!(!shown.contains(words), "{page} is shown: {shown}");
            let complaints = browser.complaints().await;
            assert!(complaints.iter().any(|line| line.contains("frame-ancestors")), "{page}: {complaints:?}");
        }
        browser.closes().await;
    }
    // What may be framed is seen there.
    let elsewhere = Elsewhere::serves("<!doctype html><title>Frame</title><iframe src=/plain></iframe>").await;
    let browser = Browser::open().await;
    browser.visits(&elsewhere.at(FOREIGN_HOST)).await;
    assert!(browser.text_in_frame().await.contains("a page of another site"));
    browser.closes().await;
}

/// What becomes a script, a tag or an attribute where a page forgets to write it as text.
const HOSTILE: [&str; 10] = [
    "<script>document.title='owned'</script>",
    "\"><script>document.title='owned'</script>",
    "'><img src=x onerror=document.title='owned'>",
    "\" autofocus onfocus=document.title='owned' x=\"",
    "</title><svg onload=document.title='owned'>",
    "</textarea><iframe srcdoc=\"<script>parent.document.title='owned'</script>\"></iframe>",
    "javascript:document.title='owned'",
    "&quot;&gt;&lt;script&gt;document.title='owned'&lt;/script&gt;",
    "{{7*7}}${7*7}<%=7*7%>",
    "\u{202e}<b>\u{0}%00",
];

async fn what_is_typed_or_linked_is_text(town: Town) {
    let browser = Browser::open().await;
    let is_harmless = async |what: &str| {
        let title = browser.title().await;
        assert!(!title.contains("owned"), "{what}: {title}");
        assert!(!browser.has("script, svg, iframe, img[src=x], b, [onfocus], [onerror]").await, "{what}");
        let complaints = browser.complaints().await;
        assert!(complaints.is_empty(), "only the policy stopped {what}: {complaints:?}");
    };
    for text in HOSTILE {
        let text = &text.replace('\0', "");
        let encoded: String = byte_serialize(text.as_bytes()).collect();
        for (path, words) in [("/reset-password", OVER), ("/verify-email", OVER), ("/forgot-password", "Forgot your")] {
            let query = ["token", "identifier", "username", "error"].map(|name| format!("{name}={encoded}")).join("&");
            browser.visits(&town.url(&format!("{path}?{query}"))).await;
            browser.sees(words).await;
            is_harmless(&format!("{path}: {text}")).await;
        }
        browser.types(IDENTIFIER, text).await;
        browser.presses(SEND).await;
        browser.sees("Type a username or an email address").await;
        assert_eq!(&browser.value(IDENTIFIER).await, text);
        is_harmless(text).await;
    }
    browser.closes().await;
}

/// An address may have signs that mean something in HTML; a name may have letters of other writing systems.
async fn names_and_addresses_are_shown_as_they_are(mut town: Town) {
    let browser = Browser::open().await;
    for (username, email) in [
        ("zo\u{eb}", "o'hara&ltb&copy=1@example.org"),
        ("\u{674e}\u{660e}", "{{7*7}}${7*7}@example.org"),
        ("\u{5d0}\u{5d1}\u{5d2}", "`--&quot|/*@example.org"),
    ] {
        town.registers(username, email).await;
        let link = town.link("/verify-email", email).await;
        browser.visits(&link).await;
        browser.sees(email).await;
        browser.sees(username).await;
        browser.presses(CONFIRM).await;
        browser.sees("Your address is confirmed").await;
        browser.visits(&town.reset_link(username, email).await).await;
        browser.sees(username).await;
    }
    browser.closes().await;
}

/// A page as it looks on a phone and on a desk, by day and by night; the pictures are kept.
async fn is_looked_at(browser: &Browser, name: &str) {
    for (device, width, height) in [("phone", 390, 844), ("desktop", 1280, 800)] {
        browser.resizes(width, height).await;
        let mut papers = Vec::new();
        for (scheme, time) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
            browser.prefers(scheme).await;
            assert!(browser.fits().await, "{name} is wider than a {device}");
            papers.push(browser.runs("return getComputedStyle(document.body).backgroundColor", vec![]).await);
            browser.screenshot(&format!("{name}-{device}-{time}")).await;
        }
        assert_ne!(papers[0], papers[1], "{name} has no night");
    }
}

async fn every_page_fits_every_screen(mut town: Town) {
    // The longest name and address that there can be, without a place to break them.
    let (username, email) = ("m".repeat(64), format!("{}@{}.example.org", "w".repeat(64), "w".repeat(63)));
    town.registers(&username, &email).await;
    let browser = Browser::open().await;
    let verify = town.link("/verify-email", &email).await;
    browser.visits(&verify).await;
    browser.sees(CONFIRM).await;
    is_looked_at(&browser, "verify-email-longest").await;
    browser.presses(CONFIRM).await;
    browser.sees("Your address is confirmed").await;
    is_looked_at(&browser, "verify-email-done").await;
    browser.visits(&verify).await;
    browser.sees(OVER).await;
    is_looked_at(&browser, "verify-email-over").await;
    browser.visits(&town.reset_link(&username, &email).await).await;
    browser.sees(CHANGE).await;
    is_looked_at(&browser, "reset-password-longest").await;

    let mallory = town.registers("mallory", "eve@example.org").await;
    browser.visits(&town.link("/verify-email", "eve@example.org").await).await;
    browser.sees(CONFIRM).await;
    is_looked_at(&browser, "verify-email").await;
    browser.presses("Not me: remove the address").await;
    browser.sees("Your address is removed").await;
    is_looked_at(&browser, "verify-email-removed").await;
    mallory.logs_in().await;

    town.registers_verified("ada", ADA).await;
    browser.visits(&town.url("/forgot-password")).await;
    browser.sees("Forgot your password").await;
    is_looked_at(&browser, "forgot-password").await;
    browser.types(IDENTIFIER, "not a name").await;
    browser.presses(SEND).await;
    browser.sees("Type a username or an email address").await;
    is_looked_at(&browser, "forgot-password-wrong").await;
    browser.types(IDENTIFIER, "ada").await;
    browser.presses(SEND).await;
    browser.sees("Look into your mail").await;
    is_looked_at(&browser, "forgot-password-sent").await;

    let reset = town.link("/reset-password", ADA).await;
    browser.visits(&reset).await;
    browser.sees(CHANGE).await;
    is_looked_at(&browser, "reset-password").await;
    chooses(&browser, "short", "short").await;
    browser.sees("The password ").await;
    is_looked_at(&browser, "reset-password-weak").await;
    chooses(&browser, NEW_PASSWORD, "something else").await;
    browser.sees("This is not the same password").await;
    is_looked_at(&browser, "reset-password-not-the-same").await;
    chooses(&browser, NEW_PASSWORD, NEW_PASSWORD).await;
    browser.sees("Your password is changed").await;
    is_looked_at(&browser, "reset-password-done").await;
    browser.visits(&reset).await;
    browser.sees(OVER).await;
    is_looked_at(&browser, "reset-password-over").await;

    browser.visits(&town.url("/forgot-password")).await;
    browser.forgets_cookies().await;
    browser.types(IDENTIFIER, "ada").await;
    browser.presses(SEND).await;
    browser.sees("This form is too old").await;
    is_looked_at(&browser, "form-too-old").await;
    browser.closes().await;
}

stories![a_person_recovers_an_account];

stories_on![Sqlite:
    the_keyboard_is_enough,
    whoever_looks_at_a_link_first_does_not_use_it_up,
    what_is_wrong_is_said_at_its_field_and_keeps_the_link,
    not_me_takes_the_address_away,
    a_form_of_another_site_is_refused,
    a_form_is_good_in_the_browser_that_it_was_given_to,
    no_other_site_frames_a_page,
    what_is_typed_or_linked_is_text,
    names_and_addresses_are_shown_as_they_are,
    every_page_fits_every_screen,
];
