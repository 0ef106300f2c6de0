//! Attacks by other sites, other browsers and hostile texts on the pages, in a real browser.

use serde_json::json;
use url::form_urlencoded::byte_serialize;

use crate::harness::{
    browser::Browser, driver::FOREIGN_HOST, other_origin::OtherOrigin, smtp_app::TestAppWithSmtp, stories_on,
};

const ADA: &str = "Ada@example.org";

const IDENTIFIER: &str = "Username or email address";
const SEND: &str = "Send the link";
const CONFIRM: &str = "Yes, confirm the address";
const OVER: &str = "This link does not work any more";

/// The other site has a code, which it was given itself, and the victim's browser has its cookie.
async fn a_form_of_another_site_is_refused(mut mail_app: TestAppWithSmtp) {
    mail_app.registers_verified("ada", ADA).await;
    let code = mail_app.code_of_another_browser("/forgot-password").await;
    let form = format!(
        "<!doctype html><title>Win</title><form method=post action=\"{}\"><input name=csrf value=\"{code}\">\
         <input name=identifier value=ada><button>You win</button></form>",
        mail_app.url("/forgot-password")
    );
    let other_origin = OtherOrigin::serves(form).await;
    let browser = Browser::open().await;
    browser.visits(&mail_app.url("/forgot-password")).await;
    // Another site, another name of this machine, and the same site at another port: the last sends our cookie along.
    for host in [FOREIGN_HOST, "localhost", "127.0.0.1"] {
        browser.visits(&other_origin.at(host)).await;
        browser.presses("You win").await;
        browser.sees("This form came from elsewhere").await;
    }
    // One email, which was asked for here.
    browser.visits(&mail_app.url("/forgot-password")).await;
    browser.types(IDENTIFIER, "ada").await;
    browser.presses(SEND).await;
    browser.sees("Look into your mail").await;
    mail_app.link("/reset-password", ADA).await;
    mail_app.has_no_more_mails();
    browser.closes().await;
}

async fn a_form_is_good_in_the_browser_that_it_was_given_to(mut mail_app: TestAppWithSmtp) {
    mail_app.registers_verified("ada", ADA).await;
    let browser = Browser::open().await;
    let asks = async || {
        browser.types(IDENTIFIER, "ada").await;
        browser.presses(SEND).await;
    };
    browser.visits(&mail_app.url("/forgot-password")).await;
    browser.forgets_cookies().await;
    asks().await;
    browser.sees("This form is too old").await;

    for code in [mail_app.code_of_another_browser("/forgot-password").await, String::new()] {
        browser.visits(&mail_app.url("/forgot-password")).await;
        browser.runs("document.querySelector('[name=csrf]').value = arguments[0]", vec![json!(code)]).await;
        asks().await;
        browser.sees("This form is too old").await;
    }

    browser.visits(&mail_app.url("/forgot-password")).await;
    asks().await;
    browser.sees("Look into your mail").await;
    mail_app.link("/reset-password", ADA).await;
    mail_app.has_no_more_mails();
    browser.closes().await;
}

async fn no_other_site_frames_a_page(mut mail_app: TestAppWithSmtp) {
    mail_app.registers_verified("ada", ADA).await;
    let reset = mail_app.reset_link("ada", ADA).await;
    for (page, words) in [
        (mail_app.url("/forgot-password"), "Forgot your password"),
        (reset, "Choose a new password"),
        (mail_app.url("/docs"), "Signet"),
    ] {
        let frame = format!("<!doctype html><title>Frame</title><iframe src=\"{page}\" width=800 height=600></iframe>");
        let other_origin = OtherOrigin::serves(frame).await;
        let browser = Browser::open().await;
        for host in [FOREIGN_HOST, "127.0.0.1"] {
            browser.visits(&other_origin.at(host)).await;
            let shown = browser.text_in_frame().await;
            assert!(!shown.contains(words), "{page} is shown: {shown}");
            let complaints = browser.complaints().await;
            assert!(complaints.iter().any(|line| line.contains("frame-ancestors")), "{page}: {complaints:?}");
        }
        browser.closes().await;
    }
    // What may be framed is seen there.
    let other_origin = OtherOrigin::serves("<!doctype html><title>Frame</title><iframe src=/plain></iframe>").await;
    let browser = Browser::open().await;
    browser.visits(&other_origin.at(FOREIGN_HOST)).await;
    assert!(browser.text_in_frame().await.contains("a page of another site"));
    browser.closes().await;
}

/// Texts that become a script, tag or attribute if a page does not escape them.
pub(crate) const HOSTILE: [&str; 10] = [
    "<script>document.title='owned'</script>",
    "\"><script>document.title='owned'</script>",
    "'><img src=x onerror=document.title='owned'>",
    "\" autofocus onfocus=document.title='owned' x=\"",
    "</title><svg onload=document.title='owned'>",
    "</textarea><iframe srcdoc=\"<script>parent.document.title='owned'</script>\"></iframe>",
    "javascript:document.title='owned'",
    "&quot;&gt;&lt;script&gt;document.title='owned'&lt;/script&gt;",
    "{{7*7}}${7*7}<%=7*7%>",
    "\u{202e}<b>%00",
];

async fn what_is_typed_or_linked_is_text(mail_app: TestAppWithSmtp) {
    let browser = Browser::open().await;
    let is_harmless = async |what: &str| {
        let title = browser.title().await;
        assert!(!title.contains("owned"), "{what}: {title}");
        assert!(!browser.has("script, svg, iframe, img[src=x], b, [onfocus], [onerror]").await, "{what}");
        let complaints = browser.complaints().await;
        assert!(complaints.is_empty(), "only the policy stopped {what}: {complaints:?}");
    };
    for text in HOSTILE {
        let encoded: String = byte_serialize(text.as_bytes()).collect();
        for (path, words) in [("/reset-password", OVER), ("/verify-email", OVER), ("/forgot-password", "Forgot your")] {
            let query = ["token", "identifier", "username", "error"].map(|name| format!("{name}={encoded}")).join("&");
            browser.visits(&mail_app.url(&format!("{path}?{query}"))).await;
            browser.sees(words).await;
            is_harmless(&format!("{path}: {text}")).await;
        }
        browser.types(IDENTIFIER, text).await;
        browser.presses(SEND).await;
        browser.sees("Type a username or an email address").await;
        assert_eq!(browser.value(IDENTIFIER).await, text);
        is_harmless(text).await;
    }
    browser.closes().await;
}

/// An address may have signs that mean something in HTML; a name may have letters of other writing systems.
async fn names_and_addresses_are_shown_as_they_are(mut mail_app: TestAppWithSmtp) {
    let browser = Browser::open().await;
    for (username, email) in [
        ("zo\u{eb}", "o'hara&ltb&copy=1@example.org"),
        ("\u{674e}\u{660e}", "{{7*7}}${7*7}@example.org"),
        ("\u{5d0}\u{5d1}\u{5d2}", "`--&quot|/*@example.org"),
    ] {
        mail_app.registers(username, email).await;
        let link = mail_app.link("/verify-email", email).await;
        browser.visits(&link).await;
        browser.sees(email).await;
        browser.sees(username).await;
        browser.presses(CONFIRM).await;
        browser.sees("Your address is confirmed").await;
        browser.visits(&mail_app.reset_link(username, email).await).await;
        browser.sees(username).await;
    }
    browser.closes().await;
}

stories_on![Sqlite:
    a_form_of_another_site_is_refused,
    a_form_is_good_in_the_browser_that_it_was_given_to,
    no_other_site_frames_a_page,
    what_is_typed_or_linked_is_text,
    names_and_addresses_are_shown_as_they_are,
];
