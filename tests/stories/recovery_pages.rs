//! Recovery and verification in a real browser, with a real mail server.

use fantoccini::key::Key;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    NEW_PASSWORD, PASSWORD, browser::Browser, driver::Scripts, smtp_app::TestAppWithSmtp, stories_on,
};

const ADA: &str = "Ada@example.org";

const IDENTIFIER: &str = "Username or email address";
const NEW: &str = "New password";
const REPEATED: &str = "The same again";
const SEND: &str = "Send the link";
const CHANGE: &str = "Change the password";
const CONFIRM: &str = "Yes, confirm the address";
const OVER: &str = "This link does not work any more";

/// Types a new password and its repetition, and sends them.
async fn chooses(browser: &Browser, new: &str, repeated: &str) {
    browser.types(NEW, new).await;
    browser.types(REPEATED, repeated).await;
    browser.presses(CHANGE).await;
}

async fn a_person_recovers_an_account(mut mail_app: TestAppWithSmtp) {
    for (scripts, name) in [(Scripts::Run, "ada"), (Scripts::Blocked, "grace")] {
        let email = format!("{name}@example.org");
        let person = mail_app.registers(name, &email).await;
        let lost = person.logs_in().await;
        let browser = Browser::with(scripts).await;

        browser.visits(&mail_app.link("/verify-email", &email).await).await;
        browser.sees(&email).await;
        browser.sees(name).await;
        browser.presses(CONFIRM).await;
        browser.sees("Your address is confirmed").await;
        let account = person.sends(Method::GET, "/v1/users/me", &lost, None).await.is(200).json();
        assert_eq!((&account["email"], &account["email_verified"]), (&json!(email), &json!(true)));

        browser.visits(&mail_app.url("/forgot-password")).await;
        browser.types(IDENTIFIER, &email).await;
        browser.presses(SEND).await;
        browser.sees("Look into your mail").await;

        browser.visits(&mail_app.link("/reset-password", &email).await).await;
        browser.sees(name).await;
        chooses(&browser, NEW_PASSWORD, NEW_PASSWORD).await;
        browser.sees("Your password is changed").await;
        person.is_logged_out(&lost).await;
        person.tries(PASSWORD).await.refused("invalid_grant");
        person.is_let_in(&person.tries(NEW_PASSWORD).await.granted()).await;
        assert!(mail_app.brings(&email).await.subject.contains("password"), "the owner is told");

        // What names the browser to its forms is all that it was given: nobody is logged in.
        let cookies = browser.cookies().await;
        let [cookie] = &cookies[..] else { panic!("one cookie: {cookies:?}") };
        assert_eq!((cookie.name(), cookie.http_only()), ("signet-browser", Some(true)), "{cookie:?}");
        assert_eq!(cookie.same_site().map(|site| site.to_string()).as_deref(), Some("Lax"), "{cookie:?}");
        browser.closes().await;
    }
}

/// Nothing but the keyboard is touched, and the first field waits for it (WCAG 2.2, 2.1.1).
async fn the_keyboard_is_enough(mut mail_app: TestAppWithSmtp) {
    let person = mail_app.registers_verified("ada", ADA).await;
    let (tab, enter) = (char::from(Key::Tab), char::from(Key::Enter));
    let browser = Browser::without_javascript().await;
    browser.visits(&mail_app.url("/forgot-password")).await;
    browser.strikes(&format!("ada{enter}")).await;
    browser.sees("Look into your mail").await;
    browser.visits(&mail_app.link("/reset-password", ADA).await).await;
    browser.strikes(&format!("{NEW_PASSWORD}{tab}{NEW_PASSWORD}{enter}")).await;
    browser.sees("Your password is changed").await;
    person.tries(NEW_PASSWORD).await.granted();
    browser.closes().await;
}

async fn a_scanner_that_opens_a_link_first_does_not_use_it_up(mut mail_app: TestAppWithSmtp) {
    let person = mail_app.registers("ada", ADA).await;
    let browser = Browser::open().await;
    let verify = mail_app.link("/verify-email", ADA).await;
    scans(&mail_app, &verify).await;
    browser.visits(&verify).await;
    let first = browser.opens_tab(&verify).await;
    browser.presses(CONFIRM).await;
    browser.sees("Your address is confirmed").await;
    browser.turns_to(first).await;
    browser.presses(CONFIRM).await;
    browser.sees("Your address is confirmed").await; // a second press tells the outcome of the first

    let reset = mail_app.reset_link("ada", ADA).await;
    scans(&mail_app, &reset).await;
    browser.visits(&reset).await;
    let first = browser.opens_tab(&reset).await;
    chooses(&browser, NEW_PASSWORD, NEW_PASSWORD).await;
    browser.sees("Your password is changed").await;
    browser.turns_to(first).await;
    chooses(&browser, PASSWORD, PASSWORD).await;
    browser.sees("This link has set a new password, and works no more").await;
    browser.visits(&reset).await;
    browser.sees("This link has set a new password, and works no more").await;
    browser.follows("Log in").await;
    browser.is_at("/login").await;
    person.tries(PASSWORD).await.refused("invalid_grant");
    person.tries(NEW_PASSWORD).await.granted();
    browser.closes().await;
}

/// Opens a link as mail scanners do.
async fn scans(mail_app: &TestAppWithSmtp, link: &str) {
    for _ in 0..10 {
        mail_app.fetches(Method::GET, link).await.is(200);
        mail_app.fetches(Method::HEAD, link).await.is(200);
    }
}

async fn what_is_wrong_is_said_at_its_field_and_keeps_the_link(mut mail_app: TestAppWithSmtp) {
    let person = mail_app.registers_verified("ada", ADA).await;
    for scripts in [Scripts::Run, Scripts::Blocked] {
        let browser = Browser::with(scripts).await;
        browser.visits(&mail_app.url("/forgot-password")).await;
        browser.types(IDENTIFIER, "not a name").await;
        browser.presses(SEND).await;
        browser.sees("Type a username or an email address").await;
        browser.hears_at(IDENTIFIER, "Type a username or an email address").await;
        assert_eq!(browser.value(IDENTIFIER).await, "not a name", "it can be mended");

        browser.visits(&mail_app.reset_link("ada", ADA).await).await;
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
    let link = mail_app.reset_link("ada", ADA).await;
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
async fn not_me_takes_the_address_away(mut mail_app: TestAppWithSmtp) {
    let mallory = mail_app.registers("mallory", ADA).await;
    let tokens = mallory.logs_in().await;
    let link = mail_app.link("/verify-email", ADA).await;
    let browser = Browser::without_javascript().await;
    browser.visits(&link).await;
    browser.sees("mallory").await;
    browser.presses("Not me: remove the address").await;
    browser.sees("Your address is removed").await;
    let account = mallory.sends(Method::GET, "/v1/users/me", &tokens, None).await.is(200).json();
    assert_eq!((&account["email"], &account["email_verified"]), (&Value::Null, &json!(false)));
    browser.visits(&link).await;
    browser.sees("Your address is removed").await;

    // Nor does the account's old claim stand in the owner's way.
    mail_app.registers("ada", ADA).await;
    browser.visits(&mail_app.link("/verify-email", ADA).await).await;
    browser.presses(CONFIRM).await;
    browser.sees("Your address is confirmed").await;
    browser.closes().await;
}

async fn every_page_fits_every_screen(mut mail_app: TestAppWithSmtp) {
    // The longest name and address that there can be, without a place to break them.
    let (username, email) = ("m".repeat(64), format!("{}@{}.example.org", "w".repeat(64), "w".repeat(63)));
    mail_app.registers(&username, &email).await;
    let browser = Browser::open().await;
    let verify = mail_app.link("/verify-email", &email).await;
    browser.visits(&verify).await;
    browser.sees(CONFIRM).await;
    browser.is_looked_at("verify-email-longest").await;
    browser.presses(CONFIRM).await;
    browser.sees("Your address is confirmed").await;
    browser.is_looked_at("verify-email-done").await;
    browser.visits(&verify).await;
    browser.sees("Your address is confirmed").await;
    browser.is_looked_at("verify-email-used").await;
    browser.visits(&mail_app.url("/verify-email?token=nonsense")).await;
    browser.sees(OVER).await;
    browser.is_looked_at("verify-email-over").await;
    browser.visits(&mail_app.reset_link(&username, &email).await).await;
    browser.sees(CHANGE).await;
    browser.is_looked_at("reset-password-longest").await;

    let mallory = mail_app.registers("mallory", "eve@example.org").await;
    browser.visits(&mail_app.link("/verify-email", "eve@example.org").await).await;
    browser.sees(CONFIRM).await;
    browser.is_looked_at("verify-email").await;
    browser.presses("Not me: remove the address").await;
    browser.sees("Your address is removed").await;
    browser.is_looked_at("verify-email-removed").await;
    mallory.logs_in().await;

    mail_app.registers_verified("ada", ADA).await;
    browser.visits(&mail_app.url("/forgot-password")).await;
    browser.sees("Forgot your password").await;
    browser.is_looked_at("forgot-password").await;
    browser.types(IDENTIFIER, "not a name").await;
    browser.presses(SEND).await;
    browser.sees("Type a username or an email address").await;
    browser.is_looked_at("forgot-password-wrong").await;
    browser.types(IDENTIFIER, "ada").await;
    browser.presses(SEND).await;
    browser.sees("Look into your mail").await;
    browser.is_looked_at("forgot-password-sent").await;

    let reset = mail_app.link("/reset-password", ADA).await;
    browser.visits(&reset).await;
    browser.sees(CHANGE).await;
    browser.is_looked_at("reset-password").await;
    chooses(&browser, "short", "short").await;
    browser.sees("The password ").await;
    browser.is_looked_at("reset-password-weak").await;
    chooses(&browser, NEW_PASSWORD, "something else").await;
    browser.sees("This is not the same password").await;
    browser.is_looked_at("reset-password-not-the-same").await;
    chooses(&browser, NEW_PASSWORD, NEW_PASSWORD).await;
    browser.sees("Your password is changed").await;
    browser.is_looked_at("reset-password-done").await;
    browser.visits(&reset).await;
    browser.sees("This link has set a new password, and works no more").await;
    browser.is_looked_at("reset-password-used").await;
    browser.visits(&mail_app.url("/reset-password?token=nonsense")).await;
    browser.sees(OVER).await;
    browser.is_looked_at("reset-password-over").await;

    browser.visits(&mail_app.url("/forgot-password")).await;
    browser.forgets_cookies().await;
    browser.types(IDENTIFIER, "ada").await;
    browser.presses(SEND).await;
    browser.sees("This form is too old").await;
    browser.is_looked_at("form-too-old").await;
    browser.closes().await;
}

stories_on![Sqlite:
    a_person_recovers_an_account,
    the_keyboard_is_enough,
    a_scanner_that_opens_a_link_first_does_not_use_it_up,
    what_is_wrong_is_said_at_its_field_and_keeps_the_link,
    not_me_takes_the_address_away,
    every_page_fits_every_screen,
];
