//! Pages in a real browser, with a silent console.

use crate::harness::{TestApp, browser::Browser, driver::FOREIGN_HOST, other_origin::OtherOrigin, stories_on};

/// The other stories rely on this: a browser without JavaScript runs no script, and a page that breaks its own
/// policy says so.
async fn the_browser_does_what_the_stories_believe(_: TestApp) {
    let page = "<!doctype html><title>Test</title>\
                <meta http-equiv='Content-Security-Policy' content=\"script-src 'nonce-good'\">\
                <p id=place>nothing ran</p>\
                <script nonce=good>place.textContent = 'the good script ran'</script>\
                <script>place.textContent = 'the bad script ran'</script>\
                <p>the end";
    let other_origin = OtherOrigin::serves(page).await;
    let browser = Browser::open().await;
    browser.visits(&other_origin.at(FOREIGN_HOST)).await;
    browser.sees("the end").await;
    browser.sees("the good script ran").await;
    let complaints = browser.complaints().await;
    assert!(complaints.len() == 1 && complaints[0].contains("Content Security Policy"), "{complaints:?}");
    browser.closes().await;

    let browser = Browser::without_javascript().await;
    browser.visits(&other_origin.at(FOREIGN_HOST)).await;
    browser.sees("the end").await;
    browser.sees("nothing ran").await;
    browser.closes().await;
}

async fn the_documentation_can_be_read_in_a_browser(signet: TestApp) {
    let browser = Browser::open().await;
    browser.visits(&format!("{}/docs", signet.issuer)).await;
    browser.sees("POST\n/v1/users\n").await;
    assert_eq!(browser.title().await, "Signet: API");
    browser.resizes(1280, 800).await;
    browser.screenshot("docs-desktop").await;
    browser.closes().await;
}

stories_on![Sqlite:
    the_browser_does_what_the_stories_believe,
    the_documentation_can_be_read_in_a_browser,
];
