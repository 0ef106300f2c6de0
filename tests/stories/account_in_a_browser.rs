//! The account as a person sees it: in a real browser, with scripts and without.

use crate::harness::{
    NEW_PASSWORD, PASSWORD, browser::Browser, browser_session::BrowserSession, driver::Scripts,
    relying_party::RelyingParty, smtp_app::TestAppWithSmtp, stories_on,
};

const ADA: &str = "Ada@example.org";

/// Logs in at the page that the browser shows.
async fn logs_in(browser: &Browser, username: &str, password: &str) {
    browser.sees("Log in").await;
    browser.types("Username or email address", username).await;
    browser.types("Password", password).await;
    browser.presses("Log in").await;
}

async fn a_person_looks_after_the_account(mut mail_app: TestAppWithSmtp) {
    for (scripts, name) in [(Scripts::Run, "ada"), (Scripts::Blocked, "grace")] {
        let email = format!("{name}@example.org");
        let person = mail_app.registers_verified(name, &email).await;
        let app = RelyingParty::registers(&mail_app.signet).await;
        app.logs_in(&BrowserSession::at(&mail_app.signet), &person).await;
        let browser = Browser::with(scripts).await;
        browser.visits(&mail_app.url("/account")).await;
        browser.is_at("/login").await;
        logs_in(&browser, name, PASSWORD).await;
        browser.is_at("/account").await;
        browser.sees(&email).await;

        let renamed = format!("{name}-2");
        browser.follows("Change the username").await;
        browser.types("Username", "no name").await;
        browser.presses("Change the username").await;
        browser.sees("The username ").await;
        browser.hears_at("Username", "The username ").await;
        browser.types("Username", &renamed).await;
        browser.presses("Change the username").await;
        browser.sees("Your username is changed.").await;
        browser.sees(&renamed).await;
        assert!(mail_app.brings(&email).await.subject.contains("username"), "the owner is told");

        browser.follows("Change the email address").await;
        browser.types("New email address", &format!("new-{email}")).await;
        browser.types("Your password", "not my password").await;
        browser.presses("Change the address").await;
        browser.sees("This is not your password.").await;
        browser.hears_at("Your password", "This is not your password.").await;
        assert_eq!(browser.value("New email address").await, format!("new-{email}"));
        browser.types("Your password", PASSWORD).await;
        browser.presses("Change the address").await;
        browser.sees("We have written to the new address").await;
        mail_app.link("/verify-email", &format!("new-{email}")).await;

        browser.follows("Change the password").await;
        browser.types("Your password now", PASSWORD).await;
        browser.types("New password", NEW_PASSWORD).await;
        browser.types("The same again", NEW_PASSWORD).await;
        browser.presses("Change the password").await;
        browser.sees("Your password is changed.").await;
        assert!(mail_app.brings(&email).await.subject.contains("password"), "the owner is told");

        let other_origin = BrowserSession::at(&mail_app.signet);
        other_origin.logs_in_at("/login", &renamed, NEW_PASSWORD).await.is(303);
        browser.follows("See where you are logged in").await;
        browser.sees("this browser").await;
        browser.presses("Log out everywhere else").await;
        browser.sees("Every other login has ended.").await;
        other_origin.opens("/account").await.is(303);

        browser.follows("Your account").await;
        browser.follows("See which apps may use your account").await;
        browser.presses("Take back from Lighthouse").await;
        browser.sees("That app may not use your account any more.").await;

        browser.follows("Your account").await;
        browser.follows("Log out").await;
        browser.sees("Log out?").await;
        browser.follows("Stay logged in").await;
        browser.follows("Log out").await;
        browser.presses("Log out").await;
        browser.sees("You are logged out").await;
        browser.follows("Log in again").await;
        logs_in(&browser, &renamed, NEW_PASSWORD).await;
        browser.is_at("/account").await;
        browser.follows("Delete the account").await;
        browser.types("Your password", NEW_PASSWORD).await;
        browser.presses("Delete the account for ever").await;
        browser.sees("Your account is deleted").await;
        assert!(mail_app.brings(&email).await.subject.contains("deleted"), "the owner is told");
        browser.visits(&mail_app.url("/account")).await;
        browser.is_at("/login").await;
        browser.closes().await;
    }
}

/// The client has its browser back after a form of ours, which the page's own policy must allow.
async fn the_policy_lets_a_log_out_lead_on(mail_app: TestAppWithSmtp) {
    let bye = format!("{}/livez", mail_app.signet.issuer.replace("127.0.0.1", "localhost"));
    let app = RelyingParty::registers_with(&mail_app.signet, &["--post-logout-redirect-uri", &bye]).await;
    mail_app.signet.registers("ada").await;
    let browser = Browser::open().await;
    browser.visits(&mail_app.url("/account")).await;
    logs_in(&browser, "ada", PASSWORD).await;
    browser.is_at("/account").await;
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("client_id", app.client.id.as_str()), ("post_logout_redirect_uri", &bye), ("state", "x")])
        .finish();
    browser.visits(&mail_app.url(&format!("/oauth/logout?{query}"))).await;
    browser.is_at("/logout").await;
    browser.presses("Log out").await;
    browser.is_at("/livez").await;
    assert_eq!(browser.url().await.as_str(), format!("{bye}?state=x"));
    browser.closes().await;
}

async fn every_page_of_the_account_fits_every_screen(mut mail_app: TestAppWithSmtp) {
    let person = mail_app.registers_verified("ada", ADA).await;
    let app = RelyingParty::registers(&mail_app.signet).await;
    app.logs_in(&BrowserSession::at(&mail_app.signet), &person).await;
    person.logs_in().await;
    let browser = Browser::open().await;
    browser.visits(&mail_app.url("/account")).await;
    logs_in(&browser, "ada", PASSWORD).await;
    for (path, words, name) in [
        ("/account", "Your account", "account"),
        ("/account?done=username", "Your username is changed.", "account-done"),
        ("/account/username", "Change your username", "account-username"),
        ("/account/email", "Change your email address", "account-email"),
        ("/account/password", "Change your password", "account-password"),
        ("/account/sessions", "Where you are logged in", "account-sessions"),
        ("/account/apps", "Lighthouse", "account-apps"),
        ("/account/delete", "Delete your account?", "account-delete"),
        ("/logout", "Log out?", "logout"),
    ] {
        browser.visits(&mail_app.url(path)).await;
        browser.sees(words).await;
        browser.is_looked_at(name).await;
    }
    browser.visits(&mail_app.url("/account/password")).await;
    browser.types("Your password now", "not my password").await;
    browser.types("New password", NEW_PASSWORD).await;
    browser.types("The same again", NEW_PASSWORD).await;
    browser.presses("Change the password").await;
    browser.sees("This is not your password.").await;
    browser.is_looked_at("account-password-wrong").await;
    browser.visits(&mail_app.url("/logout")).await;
    browser.presses("Log out").await;
    browser.sees("You are logged out").await;
    browser.is_looked_at("logged-out").await;

    // The longest name and address that there can be, without a place to break them.
    let (username, email) = ("m".repeat(64), format!("{}@{}.example.org", "w".repeat(64), "w".repeat(63)));
    mail_app.registers(&username, &email).await;
    browser.visits(&mail_app.url("/account")).await;
    logs_in(&browser, &username, PASSWORD).await;
    browser.sees("not confirmed").await;
    browser.is_looked_at("account-longest").await;
    browser.presses("Send the mail again").await;
    browser.sees("we have written to it again").await;
    browser.closes().await;
}

stories_on![Sqlite:
    a_person_looks_after_the_account,
    the_policy_lets_a_log_out_lead_on,
    every_page_of_the_account_fits_every_screen,
];
