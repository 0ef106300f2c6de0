//! What browsers bring to pages beside what the pages read, what people type around their names, and what is sent twice.

use serde_json::json;

use crate::harness::{
    Ask, NEW_PASSWORD, PASSWORD, TestApp, TestEnvBuilder,
    browser_session::{BrowserSession, location},
    idp::{Idp, presses},
    relying_party::RelyingParty,
    seconds,
    smtp_app::TestAppWithSmtp,
    stories, stories_on,
};

const ADA: &str = "ada@example.org";

async fn what_no_page_reads_has_no_effect(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let app = RelyingParty::registers_first_party(&signet).await;
    let grace = signet.registers("grace").await;
    for more in ["utm_x=a&utm_x=b", "x=%ff", "x=%", "%ff=1&%ff=1"] {
        let browser = BrowserSession::at(&signet);
        for path in ["/login", "/register", "/forgot-password"] {
            browser.opens(&format!("{path}?{more}")).await.is(200);
        }
        let page = browser.opens(&format!("/login?{more}")).await.is(200);
        let back = idp.logs_in(&presses(&browser, &page, "idp").await);
        let fresh = browser.opens(&format!("{back}&{more}")).await;
        assert_eq!(location(&fresh), "/account", "{more}");
        app.gets_a_code(&BrowserSession::at(&signet), &grace).await;
        let login = BrowserSession::at(&signet).opens(&format!("{}&{more}", app.link(&[]))).await;
        assert!(location(&login).starts_with("/login?request="), "{more}: {login:?}");
        browser.opens(&format!("/oauth/logout?{more}")).await.is(303);
    }
    // Forms are no stricter than links.
    let browser = BrowserSession::at(&signet);
    let page = browser.opens("/login").await.is(200);
    let csrf = crate::harness::browser_session::hidden(&page.text(), "/login").remove(0).1;
    let form =
        |fields: &[(&str, &str)]| url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let unread = "&x=1&x=2&y=%ff&%ff=1";
    let posts = |path: &str, body: String| {
        let request = signet.site.post(path).header("content-type", "application/x-www-form-urlencoded");
        request.header("cookie", browser.cookies().join("; ")).body(body).answer()
    };
    let login = form(&[("csrf", &csrf), ("username", "grace"), ("password", PASSWORD)]);
    assert_eq!(location(&posts("/login", login + unread).await), "/account");
    let (_, query) =
        app.link(&[]).split_once('?').map(|(path, query)| (path.to_owned(), query.to_owned())).expect("one");
    let again = posts("/oauth/authorize", query.clone() + unread).await;
    assert!(location(&browser.follows(&again).await).starts_with("/login?request="), "{again:?}");
    // The client is told of what is read and came twice, as by a link.
    app.is_refused(&browser.follows(&posts("/oauth/authorize", query + "&nonce=x").await).await, "invalid_request");
    for spaces in ["login ", " login  consent", " "] {
        let login = browser.opens(&app.link(&[("prompt", spaces)])).await;
        assert!(location(&login).starts_with("/login?request="), "{spaces:?}: {login:?}");
    }
    // Routes that programs call are as strict as before.
    signet.site.get("/v1/users/availability?username=ada&x=1&x=2").answer().await.is(400);
}

/// RFC 6749 §4.1.2.1: where client and address are known, the client is told.
async fn a_client_is_told_of_what_it_repeats(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let browser = BrowserSession::at(&signet);
    for more in ["scope=openid", "nonce=%ff", "prompt=login&prompt=login", "response_type=code"] {
        let answer = browser.opens(&format!("{}&{more}", app.link(&[]))).await;
        app.is_refused(&answer, "invalid_request");
    }
    let twice = "resource=https://a.example&resource=https://b.example";
    app.is_refused(&browser.opens(&format!("{}&{twice}", app.link(&[]))).await, "invalid_target");
    // A `state` that came twice is nobody's.
    let answer = browser.opens(&format!("{}&state=x", app.link(&[]))).await;
    assert!(location(&answer).contains("error=invalid_request") && !location(&answer).contains("state="), "{answer:?}");
    for more in ["client_id=x", "redirect_uri=https://evil.example", "client_id=%ff", "redirect_uri=%ff"] {
        let answer = browser.opens(&format!("{}&{more}", app.link(&[]))).await.is(400);
        assert_eq!(answer.header("location"), "", "{more}");
    }
}

/// Keyboards of phones add white space.
async fn white_space_around_a_name_is_not_counted(mut mail_app: TestAppWithSmtp) {
    mail_app.registers_verified("ada", ADA).await;
    let site = mail_app.signet.site.clone();
    for name in ["ada ", " ada", "\u{a0}ada\u{3000}", " Ada ", "ada@example.org ", "\tada@example.org"] {
        if !name.contains('\t') {
            let form = [("grant_type", "password"), ("username", name), ("password", PASSWORD)];
            site.token(&form).answer().await.granted();
        }
        let body = json!({"username": name, "password": PASSWORD});
        site.post("/v1/sessions").json(&body).answer().await.is(200);
        site.post("/users/auth").json(&body).answer().await.is(200);
        let browser = BrowserSession::at(&mail_app.signet);
        assert_eq!(location(&browser.logs_in_at("/login", name, PASSWORD).await), "/account", "{name:?}");
        site.post("/v1/password-resets").json(&json!({"username": name})).answer().await.is(202);
        mail_app.link("/reset-password", ADA).await;
    }
    // The account is named without it, and so is the next one.
    let body = json!({"username": " Grace ", "password": PASSWORD, "email": " grace@example.org "});
    let answer = site.post("/v1/users").json(&body).answer().await.is(201);
    assert_eq!((answer.string("username"), answer.string("email")), ("Grace".into(), "grace@example.org".into()));
    site.post("/v1/users").json(&json!({"username": "grace ", "password": PASSWORD})).answer().await.is(409);
    let free = site.get_with("/v1/users/availability", &[("username", " ada ")]).answer().await.is(200);
    assert_eq!(free.json()["available"], false);
    let answer = site.post("/users/create").json(&json!({"username": " bob ", "password": PASSWORD})).answer().await;
    answer.is(200);
    let browser = BrowserSession::at(&mail_app.signet);
    let page = browser.opens("/register").await.is(200);
    let fields = [("username", " carol "), ("email", "  "), ("password", PASSWORD)];
    assert_eq!(location(&browser.sends(&page, "/register", &fields).await), "/account");
    let page = browser.opens("/account/username").await.is(200);
    browser.sends(&page, "/account/username", &[("username", " caroline ")]).await.is(303);
    assert!(browser.opens("/account").await.is(200).text().contains("> caroline<"));
}

/// Password managers submit, and the person presses, too.
async fn a_registration_that_is_sent_twice_logs_in(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let browser = BrowserSession::at(&signet);
    let login = location(&browser.opens(&app.link(&[])).await);
    let page = browser.opens(&login.replace("/login", "/register")).await.is(200);
    let fields = [("username", "ada"), ("password", PASSWORD)];
    app.is_given_a_code(&browser.sends(&page, "/register", &fields).await);
    // The second press came before the answer to the first.
    let impatient = BrowserSession::at(&signet);
    let page = impatient.opens("/register").await.is(200);
    assert_eq!(location(&impatient.sends(&page, "/register", &fields).await), "/account");
    assert!(impatient.cookie("session").is_some());
    // It is no way to try passwords, neither then nor later.
    let guess = [("username", "ada"), ("password", NEW_PASSWORD)];
    let page = BrowserSession::at(&signet);
    let form = page.opens("/register").await.is(200);
    assert!(page.sends(&form, "/register", &guess).await.is(422).text().contains("This name is taken"));
    signet.clock.advance(seconds(600));
    assert!(page.sends(&form, "/register", &fields).await.is(422).text().contains("This name is taken"));
}

async fn a_link_of_a_mail_that_is_used_twice_tells_what_became_of_it(mut mail_app: TestAppWithSmtp) {
    mail_app.registers("ada", ADA).await;
    let verify = mail_app.link("/verify-email", ADA).await;
    let browser = BrowserSession::at(&mail_app.signet);
    let page = browser.opens(&verify).await.is(200);
    for _ in 0..2 {
        let answer = browser.sends(&page, "/verify-email", &[("answer", "mine")]).await.is(200);
        assert!(answer.text().contains("Your address is confirmed"), "{answer:?}");
    }
    let again = browser.opens(&verify).await.is(200);
    assert!(again.text().contains("Your address is confirmed") && !again.text().contains("<form"), "{again:?}");

    let reset = mail_app.reset_link("ada", ADA).await;
    let page = browser.opens(&reset).await.is(200);
    let fields = [("new_password", NEW_PASSWORD), ("repeated", NEW_PASSWORD)];
    for _ in 0..2 {
        let answer = browser.sends(&page, "/reset-password", &fields).await.is(200);
        assert!(answer.text().contains("Your password is changed"), "{answer:?}");
    }
    mail_app.brings(ADA).await;
    let again = browser.opens(&reset).await.is(200);
    assert!(again.text().contains("Your password is changed") && !again.text().contains("<form"), "{again:?}");
    // It set no other.
    let other = [("new_password", PASSWORD), ("repeated", PASSWORD)];
    browser.sends(&page, "/reset-password", &other).await.is(200);
    let form = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD)];
    mail_app.signet.site.token(&form).answer().await.refused("invalid_grant");

    mail_app.registers("grace", "grace@example.org").await;
    let verify = mail_app.link("/verify-email", "grace@example.org").await;
    let page = browser.opens(&verify).await.is(200);
    for _ in 0..2 {
        let answer = browser.sends(&page, "/verify-email", &[("answer", "not-mine")]).await.is(200);
        assert!(answer.text().contains("Your address is removed"), "{answer:?}");
    }
    // The other answer changes nothing any more.
    let answer = browser.sends(&page, "/verify-email", &[("answer", "mine")]).await.is(200);
    assert!(answer.text().contains("Your address is removed"), "{answer:?}");
}

async fn a_provider_that_is_come_back_from_twice_has_logged_in(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let app = RelyingParty::registers_first_party(&signet).await;
    let browser = BrowserSession::at(&signet);
    let login = browser.follows(&browser.opens(&app.link(&[])).await).await.is(200);
    let back = idp.logs_in(&presses(&browser, &login, "idp").await);
    app.is_given_a_code(&browser.opens(&back).await);
    let page = browser.opens(&back).await.is(400);
    assert!(page.text().contains("You are logged in here as ada"), "{page:?}");
    // Who is nobody here is told to begin again.
    assert!(BrowserSession::at(&signet).opens(&back).await.is(400).text().contains("Please begin again"));
}

/// A second login in another tab: the button names the first.
async fn who_continues_is_whom_the_button_names(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    signet.registers("bob").await;
    let browser = BrowserSession::at(&signet);
    app.gets_a_code(&browser, &ada).await;
    signet.clock.advance(seconds(1));
    let page = browser.follows(&browser.opens(&app.link(&[("prompt", "select_account")])).await).await.is(200);
    assert!(page.text().contains("Continue as ada"), "{page:?}");
    let other = location(&browser.opens(&app.link(&[("prompt", "login")])).await);
    browser.logs_in_at(&other, "bob", PASSWORD).await;
    let answer = browser.continues(&page).await.is(403);
    assert!(answer.text().contains("Continue as bob"), "{answer:?}");
    app.is_given_a_code(&browser.continues(&answer).await);
}

async fn a_page_of_the_past_offers_a_way_on(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    let login = location(&browser.opens(&app.link(&[])).await);
    // Forwarded to somebody else.
    let page = BrowserSession::at(&signet).opens(&login).await.is(400);
    assert!(page.text().contains("href=\"/login\""), "{page:?}");
    // Another login has begun since.
    browser.logs_in_at("/login", &ada.username, &ada.password).await;
    let form = browser.opens("/account/username").await.is(200);
    let page = BrowserSession::at(&signet);
    page.logs_in_at("/login", &ada.username, &ada.password).await;
    let answer = page.sends(&form, "/account/username", &[("username", "x")]).await.is(403);
    assert!(answer.text().contains("href=\"/account/username\""), "{answer:?}");
}

async fn what_browsers_ask_for_unasked_is_there(signet: TestApp) {
    for (path, leads) in [("/", "/account"), ("/.well-known/change-password", "/account/password")] {
        let answer = signet.site.get(path).answer().await;
        assert_eq!(location(&answer), leads);
    }
    let icon = signet.site.get("/favicon.ico").answer().await.is(200);
    assert_eq!(icon.header("content-type"), "image/svg+xml");
    let robots = signet.site.get("/robots.txt").answer().await.is(200);
    assert_eq!(robots.text(), "User-agent: *\nDisallow: /\n");
    let start = signet.site.get("/docs/start.js").answer().await.is(200);
    assert!(start.text().contains("validatorUrl: null"), "{start:?}");
}

/// nginx takes 8 kB for the cookies of a request, and 4 kB for the header of an answer.
async fn abandoned_attempts_take_little_room(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let app = RelyingParty::registers_first_party(&signet).await;
    for state in [43, 300, 600, 1000] {
        let browser = BrowserSession::at(&signet);
        for _ in 0..12 {
            let state = "s".repeat(state);
            let lead = browser.opens(&app.link(&[("idp_hint", "idp"), ("state", &state)])).await;
            let answer = browser.follows(&lead).await;
            let header: usize =
                answer.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
            assert!(header < 4000, "{header} bytes: {answer:?}");
            let cookies = browser.cookies().join("; ").len();
            assert!(cookies < 4500, "{cookies} bytes with a state of {}", state.len());
        }
    }
}

stories![
    white_space_around_a_name_is_not_counted,
    a_registration_that_is_sent_twice_logs_in,
    a_link_of_a_mail_that_is_used_twice_tells_what_became_of_it,
];

stories_on![Sqlite:
    what_no_page_reads_has_no_effect,
    a_client_is_told_of_what_it_repeats,
    a_provider_that_is_come_back_from_twice_has_logged_in,
    who_continues_is_whom_the_button_names,
    a_page_of_the_past_offers_a_way_on,
    what_browsers_ask_for_unasked_is_there,
    abandoned_attempts_take_little_room,
];
