//! `/account`: changes that users make to their account, and that no other site or user can make for them.

use entity::user;
use reqwest::Method;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};
use serde_json::json;

use crate::{
    guessing::{FREE, WRONG, counting_place},
    harness::{
        Answer, Ask, NEW_PASSWORD, PASSWORD, Person, TestApp, TestEnvBuilder,
        browser_session::{BrowserSession, hidden, location},
        jwt,
        relying_party::RelyingParty,
        seconds,
        smtp_app::TestAppWithSmtp,
        stories, stories_on,
    },
};

/// Every page that has a form, with what somebody hostile would have it say.
const FORMS: [(&str, &[(&str, &str)]); 7] = [
    ("/account", &[]),
    ("/account/username", &[("username", "owned")]),
    ("/account/email", &[("email", "eve@example.org"), ("current_password", PASSWORD)]),
    (
        "/account/password",
        &[("current_password", PASSWORD), ("new_password", NEW_PASSWORD), ("repeated", NEW_PASSWORD)],
    ),
    ("/account/sessions", &[("answer", "others")]),
    ("/account/apps", &[("client", "CLIENT")]),
    ("/account/delete", &[("password", PASSWORD)]),
];

/// Somebody with an address that is not verified yet.
async fn registers_with_address(signet: &TestApp, username: &str) -> Person {
    let body = json!({"username": username, "password": PASSWORD, "email": format!("{username}@example.org")});
    let answer = signet.site.post("/v1/users").json(&body).answer().await.is(201);
    let site = signet.site.clone();
    Person { username: username.into(), password: PASSWORD.into(), id: answer.string("id"), site }
}

/// Somebody who has just logged in in this browser.
async fn logs_in(signet: &TestApp, person: &Person) -> BrowserSession {
    let session_browser = BrowserSession::at(signet);
    assert_eq!(location(&session_browser.logs_in_at("/login", &person.username, &person.password).await), "/account");
    session_browser
}

/// Opens the page at `path` and sends its form, filled in like this.
async fn sends(session_browser: &BrowserSession, path: &str, fields: &[(&str, &str)]) -> Answer {
    let page = session_browser.opens(path).await.is(200);
    session_browser.sends(&page, path, fields).await
}

/// The code of the form at `path` in this browser.
async fn code(session_browser: &BrowserSession, path: &str) -> String {
    let page = session_browser.opens(path).await.is(200).text();
    let fields = hidden(&page, path);
    fields.into_iter().find(|(name, _)| name == "csrf").expect("a form has a code").1
}

/// Follows the redirect after a form, to a page that confirms the change.
async fn confirms(session_browser: &BrowserSession, answer: &Answer, words: &str) {
    let page = session_browser.follows(answer).await.is(200).text();
    assert!(page.contains(words), "{words}: {page}");
}

async fn no_page_takes_a_form_but_its_own(signet: TestApp) {
    let app = RelyingParty::registers(&signet).await;
    let (ada, eve) = (registers_with_address(&signet, "ada").await, registers_with_address(&signet, "eve").await);
    let (session_browser, stranger) = (logs_in(&signet, &ada).await, logs_in(&signet, &eve).await);
    let (tokens, _) = app.logs_in(&session_browser, &ada).await;
    app.logs_in(&stranger, &eve).await;
    let own = ada.logs_in().await;
    let before = ada.looks(&own).await.json();
    let cookies = session_browser.cookies().join("; ");
    for (path, fields) in FORMS {
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (*name, if *value == "CLIENT" { &app.client.id } else { *value }))
            .collect();
        // No code, another browser's, another form's.
        let other = if path == "/account/username" { "/account/delete" } else { "/account/username" };
        for csrf in [String::new(), "x".repeat(43), code(&stranger, path).await, code(&session_browser, other).await] {
            session_browser.posts(path, &[&fields[..], &[("csrf", &csrf)]].concat()).await.is(403);
        }
        session_browser.posts(path, &fields).await.is(403);
        // The right one, in the form of another site.
        let csrf = code(&session_browser, path).await;
        for (field, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "none"),
            ("origin", "https://evil.example"),
            ("origin", "null"),
        ] {
            let request = signet.site.post(path).header("cookie", &cookies).header(field, value);
            request.form(&[&fields[..], &[("csrf", &csrf)]].concat()).answer().await.is(403);
        }
        // A GET request changes nothing.
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
        session_browser.opens(&format!("{path}?{query}&csrf={csrf}")).await.is(200);
        // Nobody is logged in in a browser without the cookie, whatever it knows.
        let answer = BrowserSession::at(&signet).posts(path, &[&fields[..], &[("csrf", &csrf)]].concat()).await;
        assert_eq!(location(&answer), format!("/login?return_to={path}"));
        assert_eq!(location(&BrowserSession::at(&signet).opens(path).await), format!("/login?return_to={path}"));
    }
    assert_eq!(ada.looks(&own).await.json(), before);
    signet.site.user_info(&tokens.access).await.is(200);
    ada.tries(PASSWORD).await.granted();
}

/// A tab that somebody left open is of no use to the next one who logs in there, nor of harm.
async fn a_form_is_good_for_the_log_in_that_it_was_given_to(signet: TestApp) {
    let (ada, grace) = (signet.registers("ada").await, signet.registers("grace").await);
    let session_browser = logs_in(&signet, &ada).await;
    let left_open = session_browser.opens("/account/username").await.is(200);
    let page = session_browser.opens("/logout").await.is(200);
    session_browser.sends(&page, "/logout", &[]).await.is(303);
    session_browser.logs_in_at("/login", &grace.username, &grace.password).await.is(303);
    session_browser.sends(&left_open, "/account/username", &[("username", "surprise")]).await.is(403);
    assert!(session_browser.opens("/account").await.is(200).text().contains("grace"));
}

async fn a_person_takes_another_name(signet: TestApp) {
    let ada = signet.registers("ada").await;
    signet.registers("grace").await;
    let (session_browser, tokens) = (logs_in(&signet, &ada).await, ada.logs_in().await);
    for (name, words) in
        [("GRACE", "This name is taken"), ("a b", "The username "), ("", "The username "), ("<b>", "The username ")]
    {
        let again = sends(&session_browser, "/account/username", &[("username", name)]).await.is(422).text();
        assert!(again.contains(words) && again.contains("aria-invalid"), "{name}: {again}");
        assert!(!again.contains("<b>"), "{again}");
    }
    let answer = sends(&session_browser, "/account/username", &[("username", "countess")]).await;
    assert_eq!(location(&answer), "/account?done=username");
    confirms(&session_browser, &answer, "Your username is changed.").await;
    assert!(session_browser.opens("/account").await.text().contains("countess"));
    assert_eq!(ada.looks(&tokens).await.string("username"), "countess");
    // The word stands for a text of ours, and no other is shown.
    let page = session_browser.opens("/account?done=%3Cscript%3Ealert(1)%3C/script%3E").await.is(200).text();
    assert!(!page.contains("alert(1)") && !page.contains("role=\"status\""), "{page}");
}

async fn another_address_takes_the_password_and_a_mail(mut mail_app: TestAppWithSmtp) {
    let ada = mail_app.registers("ada", "ada@example.org").await;
    let link = mail_app.link("/verify-email", "ada@example.org").await;
    let session_browser = logs_in(&mail_app.signet, &ada).await;
    let page = session_browser.opens("/account").await.is(200).text();
    assert!(page.contains("ada@example.org") && page.contains("not confirmed"), "{page}");
    // The email did not come: another one does, and the first is worth nothing.
    let answer = sends(&session_browser, "/account", &[]).await;
    confirms(&session_browser, &answer, "we have written to it again").await;
    let newer = mail_app.link("/verify-email", "ada@example.org").await;
    for (link, status) in [(link, 400), (newer, 200)] {
        let (_, token) = link.split_once("?token=").expect("a token");
        let page = session_browser.opens(&format!("/verify-email?token={token}")).await.is(status);
        if status == 200 {
            session_browser.sends(&page, "/verify-email", &[("answer", "mine")]).await.is(200);
        }
    }
    let page = session_browser.opens("/account").await.is(200).text();
    assert!(page.contains(">confirmed<") && !page.contains("Send the mail again"), "{page}");

    let change = async |email: &str, password: &str| {
        sends(&session_browser, "/account/email", &[("email", email), ("current_password", password)]).await
    };
    for (email, password, words) in [
        ("new@example.org", WRONG, "This is not your password."),
        ("new@example.org", "", "The password "),
        ("no address", PASSWORD, "The email address "),
        ("", PASSWORD, "The email address "),
    ] {
        let again = change(email, password).await.is(422).text();
        assert!(again.contains(words), "{email}: {again}");
        assert!(!again.contains(WRONG) && !again.contains(PASSWORD), "passwords are not sent back: {again}");
    }
    mail_app.has_no_more_mails();
    let answer = change("new@example.org", PASSWORD).await;
    confirms(&session_browser, &answer, "We have written to the new address").await;
    assert!(session_browser.opens("/account").await.text().contains("ada@example.org"), "the old one counts so far");
    let link = mail_app.link("/verify-email", "new@example.org").await;
    let (_, token) = link.split_once("?token=").expect("a token");
    let page = session_browser.opens(&format!("/verify-email?token={token}")).await.is(200);
    session_browser.sends(&page, "/verify-email", &[("answer", "mine")]).await.is(200);
    assert!(session_browser.opens("/account").await.text().contains("new@example.org"));
}

/// A password change ends every other session, those of apps in this browser included: a thief of the old password
/// may hold any of them.
async fn another_password_ends_every_other_log_in(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let (session_browser, thief) = (logs_in(&signet, &ada).await, logs_in(&signet, &ada).await);
    let (tokens, _) = app.logs_in(&session_browser, &ada).await;
    let other_origin = ada.logs_in().await;
    let change = async |current: &str, new: &str, repeated: &str| {
        let fields = [("current_password", current), ("new_password", new), ("repeated", repeated)];
        sends(&session_browser, "/account/password", &fields).await
    };
    for (current, new, repeated, words) in [
        (WRONG, NEW_PASSWORD, NEW_PASSWORD, "This is not your password."),
        (PASSWORD, NEW_PASSWORD, "something else", "This is not the same password."),
        (PASSWORD, "short", "short", "The new password "),
        (PASSWORD, "", "", "The new password "),
        ("", NEW_PASSWORD, NEW_PASSWORD, "The password "),
    ] {
        let again = change(current, new, repeated).await.is(422).text();
        assert!(again.contains(words), "{words}: {again}");
        assert!([WRONG, NEW_PASSWORD, PASSWORD].iter().all(|password| !again.contains(password)), "{again}");
    }
    ada.is_let_in(&other_origin).await;
    let answer = change(PASSWORD, NEW_PASSWORD, NEW_PASSWORD).await;
    confirms(&session_browser, &answer, "Your password is changed.").await;
    assert_eq!(location(&thief.opens("/account").await), "/login?return_to=/account");
    ada.is_logged_out(&other_origin).await;
    signet.site.user_info(&tokens.access).await.challenges(401, "invalid_token");
    ada.tries(PASSWORD).await.refused("invalid_grant");
    ada.tries(NEW_PASSWORD).await.granted();
}

async fn guesses_are_counted_and_told(builder: TestEnvBuilder) {
    let signet = counting_place(builder).open().await;
    let ada = signet.registers("ada").await;
    for (path, fields) in [
        ("/account/email", &[("email", "eve@example.org"), ("current_password", WRONG)][..]),
        ("/account/delete", &[("password", WRONG)]),
        (
            "/account/password",
            &[("current_password", WRONG), ("new_password", NEW_PASSWORD), ("repeated", NEW_PASSWORD)],
        ),
    ] {
        // A login is a device of its own, with guesses of its own.
        let session_browser = logs_in(&signet, &ada).await;
        for _ in 0..FREE {
            sends(&session_browser, path, fields).await.is(422);
        }
        let answer = sends(&session_browser, path, fields).await.is(429);
        assert!(answer.text().contains("There were too many attempts. Try again in "), "{answer:?}");
        assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|wait| wait > 1), "{answer:?}");
        let right: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (*name, if *value == WRONG { PASSWORD } else { *value })).collect();
        sends(&session_browser, path, &right).await.is(429);
    }
    ada.tries(PASSWORD).await.granted();
}

async fn a_person_ends_log_ins(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let (ada, eve) = (signet.registers("ada").await, signet.registers("eve").await);
    let (session_browser, other) = (logs_in(&signet, &ada).await, logs_in(&signet, &ada).await);
    let (through_other, _) = app.logs_in(&other, &ada).await;
    let (tokens, evil) = (ada.logs_in().await, eve.logs_in().await);
    let page = session_browser.opens("/account/sessions").await.is(200).text();
    assert_eq!(page.matches("this browser").count(), 1, "{page}");
    assert_eq!(page.matches("name=\"session\"").count(), 3, "all but this one: {page}");
    assert!(page.contains("Lighthouse") && page.contains("127.0.0.1"), "{page}");
    // Another person's, one that never was, and none at all.
    for (session, status) in
        [(jwt::sid(&evil.access), 303), (uuid::Uuid::nil().to_string(), 303), ("x".to_owned(), 400)]
    {
        sends(&session_browser, "/account/sessions", &[("session", &session)]).await.is(status);
    }
    eve.is_let_in(&evil).await;
    let answer = sends(&session_browser, "/account/sessions", &[("session", &jwt::sid(&tokens.access))]).await;
    confirms(&session_browser, &answer, "That login has ended.").await;
    ada.is_logged_out(&tokens).await;
    other.opens("/account").await.is(200);
    // A browser's login goes with all that it is signed in to.
    let sessions = ada.sessions(&ada.logs_in().await).await;
    let child = sessions.iter().find(|session| session["id"] == jwt::sid(&through_other.access)).expect("it is listed");
    assert_eq!(child["client_id"], app.client.id);
    signet.clock.advance(seconds(1));
    let (own, _) = app.logs_in(&session_browser, &ada).await;
    let answer = sends(&session_browser, "/account/sessions", &[("answer", "others")]).await;
    confirms(&session_browser, &answer, "Every other login has ended.").await;
    assert_eq!(location(&other.opens("/account").await), "/login?return_to=/account");
    for tokens in [&through_other, &own] {
        signet.site.user_info(&tokens.access).await.challenges(401, "invalid_token");
    }
    let page = session_browser.opens("/account/sessions").await.is(200).text();
    assert!(!page.contains("name=\"session\"") && !page.contains("Log out everywhere else"), "{page}");
}

/// Through the JSON API as well: a login that has given rise to others is ended, and said to be.
async fn a_browsers_log_in_is_ended_from_elsewhere(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let session_browser = logs_in(&signet, &ada).await;
    let (tokens, _) = app.logs_in(&session_browser, &ada).await;
    let own = ada.logs_in().await;
    let sessions = ada.sessions(&own).await;
    let pages = sessions.iter().find(|session| session["client_id"] == "pages").expect("it is listed");
    let path = format!("/v1/sessions/{}", pages["id"].as_str().expect("an id"));
    ada.sends(Method::DELETE, &path, &own, None).await.is(204);
    assert_eq!(location(&session_browser.opens("/account").await), "/login?return_to=/account");
    signet.site.user_info(&tokens.access).await.challenges(401, "invalid_token");
}

async fn what_was_allowed_is_taken_back(signet: TestApp) {
    let (app, other) = (RelyingParty::registers(&signet).await, RelyingParty::registers(&signet).await);
    let (ada, grace) = (signet.registers("ada").await, signet.registers("grace").await);
    let (session_browser, other_origin) = (BrowserSession::at(&signet), BrowserSession::at(&signet));
    assert!(logs_in(&signet, &ada).await.opens("/account/apps").await.is(200).text().contains("There are none"));
    let (tokens, _) = app.logs_in(&session_browser, &ada).await;
    let (kept, _) = other.logs_in(&session_browser, &ada).await;
    let (of_grace, _) = app.logs_in(&other_origin, &grace).await;
    // A code that the app has not exchanged yet allows it nothing any more either.
    let code = app.gets_a_code(&session_browser, &ada).await;
    let page = session_browser.opens("/account/apps").await.is(200).text();
    assert!(page.contains("Lighthouse") && page.contains("See your email address"), "{page}");
    for (client, status) in [("first-party", 303), ("nobody", 303), ("", 400), ("<b>", 400)] {
        sends(&session_browser, "/account/apps", &[("client", client)]).await.is(status);
    }
    signet.site.user_info(&tokens.access).await.is(200);
    let answer = sends(&session_browser, "/account/apps", &[("client", &app.client.id)]).await;
    confirms(&session_browser, &answer, "That app may not use your account any more.").await;
    signet.site.user_info(&tokens.access).await.challenges(401, "invalid_token");
    app.client.refreshes(&signet.site, &tokens).await.refused("invalid_grant");
    app.redeems(&code).await.refused("invalid_grant");
    for tokens in [&kept, &of_grace] {
        signet.site.user_info(&tokens.access).await.is(200);
    }
    // It asks again.
    app.is_refused(&session_browser.opens(&app.link(&[("prompt", "none")])).await, "consent_required");
    app.logs_in(&session_browser, &ada).await;
}

async fn a_person_deletes_the_account(signet: TestApp) {
    let app = RelyingParty::registers(&signet).await;
    let ada = signet.registers("ada").await;
    let session_browser = logs_in(&signet, &ada).await;
    let (tokens, _) = app.logs_in(&session_browser, &ada).await;
    for (password, words) in [(WRONG, "This is not your password."), ("", "The password is required.")] {
        let again = sends(&session_browser, "/account/delete", &[("password", password)]).await.is(422).text();
        assert!(again.contains(words), "{again}");
    }
    ada.tries(PASSWORD).await.granted();
    let cookie = session_browser.cookie("session").expect("one is logged in");
    let answer = sends(&session_browser, "/account/delete", &[("password", PASSWORD)]).await.is(200);
    assert!(answer.text().contains("Your account is deleted"), "{answer:?}");
    assert_eq!(session_browser.cookie("session"), None);
    session_browser.is_given(&cookie);
    assert_eq!(location(&session_browser.opens("/account").await), "/login?return_to=/account");
    signet.site.user_info(&tokens.access).await.challenges(401, "invalid_token");
    ada.tries(PASSWORD).await.refused("invalid_grant");
}

/// An account from a provider has no password; only a recent login replaces it.
async fn an_account_without_a_password_shows_a_fresh_log_in(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let session_browser = logs_in(&signet, &ada).await;
    let no_password = user::Entity::update_many()
        .col_expr(user::Column::PasswordHash, Expr::value(None::<String>))
        .filter(user::Column::Id.eq(uuid::Uuid::parse_str(&ada.id).expect("an id")));
    no_password.exec(&signet.store().await).await.expect("it is a column");
    let page = session_browser.opens("/account/password").await.is(200).text();
    assert!(page.contains("Set a password") && !page.contains("<input"), "{page}");
    let page = session_browser.opens("/account/email").await.is(200);
    assert!(!page.text().contains("Your password"), "{page:?}");
    let answer = session_browser.sends(&page, "/account/email", &[("email", "ada@example.org")]).await;
    assert_eq!(location(&answer), "/account?done=email");
    let page = session_browser.opens("/account/delete").await.is(200);
    assert!(!page.text().contains("Your password"), "{page:?}");
    signet.clock.advance(seconds(301));
    let email = session_browser.opens("/account/email").await.is(200);
    let again = session_browser.sends(&email, "/account/email", &[("email", "eve@example.org")]).await.is(422).text();
    assert!(again.contains("You logged in some time ago"), "{again}");
    let again = session_browser.sends(&page, "/account/delete", &[]).await.is(422).text();
    assert!(again.contains("Your login is too old for this."), "{again}");
    signet.clock.is_set_back(seconds(10));
    let again = session_browser.sends(&page, "/account/delete", &[("password", PASSWORD)]).await.is(422).text();
    assert!(again.contains("This is not your password."), "{again}");
    session_browser.sends(&page, "/account/delete", &[]).await.is(200);
}

/// What is remembered of the person is not stored by caches on the way, and shown in nobody's frame.
async fn the_pages_are_nobody_elses(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let session_browser = logs_in(&signet, &ada).await;
    for (path, _) in FORMS {
        let page = session_browser.opens(path).await.is(200);
        assert!(page.header("cache-control").contains("no-store"), "{page:?}");
        let policy = page.header("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self'"), "{policy}");
        assert!(!policy.contains("script-src"), "{policy}");
        assert_eq!(signet.site.request(Method::PUT, path).answer().await.status, 405, "{path}");
    }
}

stories![
    a_person_takes_another_name,
    another_address_takes_the_password_and_a_mail,
    another_password_ends_every_other_log_in,
    guesses_are_counted_and_told,
    a_person_ends_log_ins,
    a_browsers_log_in_is_ended_from_elsewhere,
    what_was_allowed_is_taken_back,
    a_person_deletes_the_account,
    an_account_without_a_password_shows_a_fresh_log_in,
];
stories_on![Sqlite:
    no_page_takes_a_form_but_its_own,
    a_form_is_good_for_the_log_in_that_it_was_given_to,
    the_pages_are_nobody_elses,
];
