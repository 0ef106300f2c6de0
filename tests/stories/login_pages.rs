//! The pages for login, registration and consent.

use signet::testing::Clock;

use crate::{
    guessing::counting_place,
    harness::{
        Ask, NEW_PASSWORD, PASSWORD, TestApp, TestEnvBuilder,
        browser::Browser,
        browser_session::{BrowserSession, hidden, location, parameter},
        callback::Callback,
        jwt,
        relying_party::RelyingParty,
        seconds, stories, stories_on,
    },
};

async fn a_user_who_is_logged_in_is_not_asked_again(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let other = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    let (first, _) = app.logs_in(&session_browser, &ada).await;
    signet.clock.advance(seconds(30));
    for prompt in ["", "none"] {
        let answer = session_browser.opens(&other.link(&[("prompt", prompt)])).await;
        let tokens = other.redeems(&other.is_given_a_code(&answer)).await.granted();
        assert_eq!(jwt::claims(&tokens.access)["auth_time"], jwt::claims(&first.access)["auth_time"]);
        assert_ne!(jwt::sid(&tokens.access), jwt::sid(&first.access));
    }
}

async fn a_log_in_is_as_fresh_as_the_client_wants_it(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    app.gets_a_code(&session_browser, &ada).await;
    signet.clock.advance(seconds(100));
    app.is_given_a_code(&session_browser.opens(&app.link(&[("max_age", "100")])).await);
    for other in [("max_age", "99"), ("max_age", "0"), ("prompt", "login")] {
        let begin = signet.clock.now();
        signet.clock.advance(seconds(1));
        let code = app.gets_a_code_for(&session_browser, &ada, &[other]).await;
        let id_token = app.redeems(&code).await.is(200).string("id_token");
        assert!(jwt::claims(&id_token)["auth_time"].as_i64() > Some(begin.timestamp()), "{other:?}");
        signet.clock.advance(seconds(100));
    }
}

async fn who_logs_in_again_keeps_what_they_are_logged_in_to(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let grace = signet.registers("grace").await;
    let session_browser = BrowserSession::at(&signet);
    let (tokens, _) = app.logs_in(&session_browser, &ada).await;
    let before = session_browser.cookie("session").expect("one is logged in");
    signet.clock.advance(seconds(1));
    app.gets_a_code_for(&session_browser, &ada, &[("prompt", "login")]).await;
    let after = session_browser.cookie("session").expect("one is logged in");
    assert_ne!(before, after);
    // The old cookie is void; the app's session goes on.
    let thief = BrowserSession::at(&signet);
    thief.is_given(&before);
    app.is_refused(&thief.opens(&app.link(&[("prompt", "none")])).await, "login_required");
    signet.site.user_info(&tokens.access).await.is(200);
    let tokens = app.client.refreshes(&signet.site, &tokens).await.granted();
    // Another user logs in at the browser: the first user's sessions there have ended.
    signet.clock.advance(seconds(1));
    app.gets_a_code_for(&session_browser, &grace, &[("prompt", "login")]).await;
    signet.site.user_info(&tokens.access).await.challenges(401, "invalid_token");
    app.client.refreshes(&signet.site, &tokens).await.refused("invalid_grant");
}

async fn a_person_chooses_the_account(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    app.gets_a_code(&session_browser, &ada).await;
    signet.clock.advance(seconds(5));
    let link = app.link(&[("prompt", "select_account"), ("login_hint", "grace@example.org")]);
    let page = session_browser.follows(&session_browser.opens(&link).await).await.is(200);
    assert!(page.text().contains("Continue as ada") && page.text().contains("grace@example.org"), "{page:?}");
    app.is_given_a_code(&session_browser.continues(&page).await);
    // With prompt=login there is no way round the password.
    let page = session_browser
        .follows(&session_browser.opens(&app.link(&[("prompt", "login select_account")])).await)
        .await
        .is(200);
    assert!(!page.text().contains("Continue as"), "{page:?}");
    let answer = session_browser.sends(&page, "/login", &[("answer", "continue")]).await.is(403);
    assert_eq!(answer.header("location"), "");
}

async fn a_log_in_form_is_taken_from_our_own_page_alone(signet: TestApp) {
    signet.registers("ada").await;
    let (attacker, victim) = (BrowserSession::at(&signet), BrowserSession::at(&signet));
    let page = attacker.opens("/login").await.is(200);
    victim.opens("/login").await.is(200);
    let stolen = hidden(&page.text(), "/login");
    let fields: Vec<(&str, &str)> = stolen.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let fields = [&fields[..], &[("username", "ada"), ("password", PASSWORD)]].concat();
    for path in ["/login", "/register", "/consent"] {
        victim.posts(path, &fields).await.is(403);
        victim.posts(path, &[("username", "ada"), ("password", PASSWORD)]).await.is(403);
    }
    for (name, value) in [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "null")] {
        let request = signet.site.post("/login").header(name, value).header("cookie", attacker.cookies().join("; "));
        request.form(&fields).answer().await.is(403);
    }
    assert_eq!(victim.cookie("session"), None);
    let answer = attacker.posts("/login", &fields).await;
    assert_eq!(location(&answer), "/account");
}

async fn nobody_is_logged_in_by_a_cookie_that_they_were_given(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let attacker = BrowserSession::at(&signet);
    attacker.opens("/login").await.is(200);
    let victim = BrowserSession::at(&signet);
    for cookie in attacker.cookies() {
        victim.is_given(&cookie);
    }
    victim.is_given("signet-session=fixed");
    app.gets_a_code(&victim, &ada).await;
    let session = victim.cookie("session").expect("one is logged in");
    assert_ne!(session, "signet-session=fixed");
    // The attacker's browser has learned nothing of it.
    app.is_refused(&attacker.opens(&app.link(&[("prompt", "none")])).await, "login_required");
}

async fn wrong_passwords_are_one_answer_and_slow_the_next(builder: TestEnvBuilder) {
    let signet = counting_place(builder).open().await;
    signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    let wrong = async |username: &str, password: &str| {
        let page = session_browser.logs_in_at("/login", username, password).await.is(422).text();
        let (_, page) = page.split_once("<main").expect("a page");
        page.replace(username, "NAME").replace(&hidden(page, "/login")[0].1, "CSRF")
    };
    let first = wrong("ada", "wrong").await;
    assert!(first.contains("The name or the password is wrong."), "{first}");
    assert_eq!(wrong("nobody", "wrong").await, first);
    assert!(!wrong("ada", "plum orbit").await.contains("plum"), "a password is never sent back");
    assert_eq!(session_browser.cookie("session"), None);
    let mut last = session_browser.logs_in_at("/login", "ada", "wrong").await;
    for _ in 0..30 {
        if last.status == 429 {
            break;
        }
        last = session_browser.logs_in_at("/login", "ada", "wrong").await;
    }
    let last = last.is(429);
    assert!(last.header("retry-after").parse::<u32>().is_ok() && last.text().contains("Try again in"), "{last:?}");
}

async fn somebody_new_registers_on_the_way(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    let login = session_browser.follows(&session_browser.opens(&app.link(&[])).await).await.is(200);
    let (_, rest) =
        login.text().split_once("href=\"/register").map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a link");
    let link = format!("/register{}", rest.split('"').next().expect("it ends").replace("&#38;", "&"));
    let page = session_browser.opens(&link).await.is(200);
    let taken = [("username", "Ada"), ("password", NEW_PASSWORD), ("email", "")];
    let again = session_browser.sends(&page, "/register", &taken).await.is(422);
    assert!(again.text().contains("This name is taken"), "{again:?}");
    let wrong = [("username", "grace hopper"), ("password", PASSWORD), ("email", "nonsense")];
    let again = session_browser.sends(&again, "/register", &wrong).await.is(422);
    assert!(again.text().contains("username-error") && again.text().contains("email-error"), "{again:?}");
    let weak = [("username", "grace"), ("password", "gracegrace"), ("email", "")];
    let again = session_browser.sends(&again, "/register", &weak).await.is(422);
    assert!(again.text().contains("password-error") && !again.text().contains("gracegrace"), "{again:?}");
    let good = [("username", "grace"), ("password", PASSWORD), ("email", "grace@example.org")];
    let answer = session_browser.sends(&again, "/register", &good).await;
    let tokens = app.redeems(&app.is_given_a_code(&answer)).await.granted();
    assert_eq!(jwt::claims(&tokens.access)["preferred_username"], "grace");
}

async fn registration_may_be_closed(builder: TestEnvBuilder) {
    let signet = builder.set("registration", "closed").open().await;
    let session_browser = BrowserSession::at(&signet);
    let page = session_browser.opens("/register").await.is(403);
    assert!(page.text().contains("Registration is closed"), "{page:?}");
    assert!(!session_browser.opens("/login").await.is(200).text().contains("/register"));
}

async fn a_way_back_is_a_page_of_ours(signet: TestApp) {
    let ada = signet.registers("ada").await;
    for (return_to, leads) in [
        ("/account", "/account"),
        ("//evil.example", "/account"),
        ("https://evil.example", "/account"),
        ("/\\evil.example", "/account"),
        ("/account?x=//evil.example", "/account"),
        ("javascript:alert(1)", "/account"),
        ("/account/providers", "/account/providers"),
    ] {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", return_to).finish();
        let session_browser = BrowserSession::at(&signet);
        let answer = session_browser.logs_in_at(&format!("/login?{query}"), "ada", &ada.password).await;
        assert_eq!(location(&answer), leads, "{return_to}");
        // A user who is logged in already is redirected at once.
        assert_eq!(location(&session_browser.opens(&format!("/login?{query}")).await), leads, "{return_to}");
    }
}

async fn a_third_party_asks_once_for_each_scope(signet: TestApp) {
    let app = RelyingParty::registers(&signet).await;
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    let narrow = ("scope", "openid profile");
    let answer = session_browser.opens(&app.link(&[narrow])).await;
    let answer = session_browser.logs_in_at(&location(&answer), "ada", PASSWORD).await;
    assert!(location(&answer).starts_with("/consent?request="), "{answer:?}");
    let page = session_browser.follows(&answer).await.is(200);
    assert!(page.text().contains("Lighthouse") && page.text().contains("See your username"), "{page:?}");
    assert!(!page.text().contains("See your email address"), "{page:?}");
    let denied = session_browser.sends(&page, "/consent", &[("answer", "deny")]).await;
    app.is_refused(&denied, "access_denied");
    // A no is not remembered, a yes is.
    app.is_refused(&session_browser.opens(&app.link(&[narrow, ("prompt", "none")])).await, "consent_required");
    app.gets_a_code_for(&session_browser, &ada, &[narrow]).await;
    for scope in ["openid profile", "openid"] {
        app.is_given_a_code(&session_browser.opens(&app.link(&[("scope", scope), ("prompt", "none")])).await);
    }
    app.is_refused(&session_browser.opens(&app.link(&[("prompt", "none")])).await, "consent_required");
    signet.clock.advance(seconds(1));
    let asked = session_browser.opens(&app.link(&[narrow, ("prompt", "consent")])).await;
    assert!(location(&asked).starts_with("/consent?request="), "{asked:?}");
    let page = session_browser.follows(&asked).await.is(200);
    app.is_given_a_code(&session_browser.sends(&page, "/consent", &[("answer", "allow")]).await);
    // Nobody else has consented with that.
    signet.registers("grace").await;
    let other = BrowserSession::at(&signet);
    let answer = other.opens(&app.link(&[narrow])).await;
    let answer = other.logs_in_at(&location(&answer), "grace", PASSWORD).await;
    assert!(location(&answer).starts_with("/consent?request="), "{answer:?}");
}

async fn a_question_is_answered_by_whom_it_was_put_to(signet: TestApp) {
    let app = RelyingParty::registers(&signet).await;
    let ada = signet.registers("ada").await;
    signet.registers("grace").await;
    let session_browser = BrowserSession::at(&signet);
    let answer = session_browser.opens(&app.link(&[])).await;
    let answer = session_browser.logs_in_at(&location(&answer), "ada", &ada.password).await;
    let page = session_browser.follows(&answer).await.is(200);
    signet.clock.advance(seconds(1));
    // In another tab, somebody else takes the browser over.
    let other = location(&session_browser.opens(&app.link(&[("prompt", "login")])).await);
    session_browser.logs_in_at(&other, "grace", PASSWORD).await;
    for answer in ["allow", "deny"] {
        session_browser.sends(&page, "/consent", &[("answer", answer)]).await.is(403);
    }
    app.is_refused(&session_browser.opens(&app.link(&[("prompt", "none")])).await, "consent_required");
}

async fn consent_ends_with_the_client(signet: TestApp) {
    let options = ["--id", "lighthouse"];
    let app = RelyingParty::registers_with(&signet, &options).await;
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    app.gets_a_code(&session_browser, &ada).await;
    signet.runs(&["client", "delete", "lighthouse"]).await.well();
    let app = RelyingParty::registers_with(&signet, &options).await;
    app.is_refused(&session_browser.opens(&app.link(&[("prompt", "none")])).await, "consent_required");
}

/// Login CSRF, code injection by a sealed request: an attacker's request is worth nothing in the victim's browser.
async fn a_request_goes_on_in_the_browser_that_brought_it(signet: TestApp) {
    let app = RelyingParty::registers(&signet).await;
    signet.registers("ada").await;
    let (attacker, victim) = (BrowserSession::at(&signet), BrowserSession::at(&signet));
    let attackers = location(&attacker.opens(&app.link(&[])).await);
    let sealed = parameter(&attackers, "request");
    let page = victim.opens(&attackers).await.is(400);
    assert!(page.text().contains("begin again"), "{page:?}");

    let own = location(&victim.opens(&app.link(&[])).await);
    let form = victim.opens(&own).await.is(200);
    let fields = [("username", "ada"), ("password", PASSWORD), ("request", sealed.as_str())];
    victim.sends(&form, "/login", &fields).await.is(400);
    assert_eq!(victim.cookie("session"), None, "no login for a request that leads nowhere");
    for path in [format!("/consent?request={sealed}"), format!("/oauth/authorize?resume={sealed}")] {
        victim.opens(&path).await.is(400);
    }
    // Altered, truncated, or too old.
    for bad in [&sealed[1..], &format!("{sealed}A"), "", "AAAA"] {
        let answer = attacker.opens(&format!("/consent?request={bad}")).await;
        assert_eq!(answer.status, 400, "{bad}: {answer:?}");
    }
    signet.clock.advance(seconds(3600));
    attacker.opens(&attackers).await.is(400);
}

async fn every_page_fits_every_screen(signet: TestApp) {
    let app = Callback::serves().await;
    let browser = Browser::open().await;
    // The longest name that there can be, without a place to break it, and a usual one.
    for (page, username) in [("long", "m".repeat(64)), ("usual", "ada".to_owned())] {
        signet.registers(&username).await;
        let options = ["--name", "Lighthouse", "--redirect-uri", &app.url, "--grant", "authorization_code"];
        let scopes = ["--scope", "openid", "--scope", "profile", "--scope", "email", "--scope", "orders:read"];
        let client = signet.registers_client(&[&options[..], &scopes].concat()).await;
        let party = RelyingParty::of(&signet, client, &app.url);
        let scope = ("scope", "openid profile email orders:read");
        browser.forgets_cookies_of(&signet.issuer).await;
        browser.visits(&format!("{}{}", signet.issuer, party.link(&[scope]))).await;
        browser.is_looked_at(&format!("login-{page}")).await;
        browser.types("Username or email address", &username).await;
        browser.types("Password", "wrong").await;
        browser.presses("Log in").await;
        browser.sees("The name or the password is wrong.").await;
        browser.is_looked_at(&format!("login-wrong-{page}")).await;
        browser.follows("Create an account").await;
        browser.is_looked_at(&format!("register-{page}")).await;
        browser.types("Username", &username).await;
        browser.types("Password", NEW_PASSWORD).await;
        browser.presses("Create the account").await;
        browser.sees("This name is taken").await;
        browser.is_looked_at(&format!("register-taken-{page}")).await;
        browser.follows("Log in").await;
        browser.types("Username or email address", &username).await;
        browser.types("Password", PASSWORD).await;
        browser.presses("Log in").await;
        browser.sees("asks to use your account").await;
        browser.is_looked_at(&format!("consent-{page}")).await;
        signet.clock.advance(seconds(1));
        browser.visits(&format!("{}{}", signet.issuer, party.link(&[scope, ("prompt", "select_account")]))).await;
        browser.sees("Continue as").await;
        browser.is_looked_at(&format!("login-choose-{page}")).await;
    }
    browser.visits(&format!("{}/oauth/authorize?client_id=nobody", signet.issuer)).await;
    browser.is_looked_at("authorize-error").await;
    browser.closes().await;
}

stories![
    a_log_in_is_as_fresh_as_the_client_wants_it,
    who_logs_in_again_keeps_what_they_are_logged_in_to,
    somebody_new_registers_on_the_way,
    a_third_party_asks_once_for_each_scope,
    consent_ends_with_the_client,
];

stories_on![Sqlite:
    a_question_is_answered_by_whom_it_was_put_to,
    a_request_goes_on_in_the_browser_that_brought_it,
    every_page_fits_every_screen,
    a_user_who_is_logged_in_is_not_asked_again,
    a_person_chooses_the_account,
    a_log_in_form_is_taken_from_our_own_page_alone,
    nobody_is_logged_in_by_a_cookie_that_they_were_given,
    wrong_passwords_are_one_answer_and_slow_the_next,
    registration_may_be_closed,
    a_way_back_is_a_page_of_ours,
];
