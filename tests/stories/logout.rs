//! Logout: who may end a browser's login, and where the browser goes afterwards (OIDC RP-Initiated Logout 1.0).

use url::form_urlencoded;

use crate::harness::{
    Answer, Ask, TestApp, Tokens,
    browser_session::{BrowserSession, location, parameter},
    days, jwt,
    relying_party::RelyingParty,
    seconds, stories, stories_on,
};

/// Where the clients of these stories get their browsers back.
const BYE: &str = "https://app.example.com/bye?from=signet";
const STATE: &str = "x y&z=1#?/+%\"<é";

/// A first-party client that gets its browsers back.
async fn app(signet: &TestApp) -> RelyingParty {
    RelyingParty::registers_with(signet, &["--first-party", "--post-logout-redirect-uri", BYE]).await
}

/// The link of a client that has a browser logged out.
fn link(parameters: &[(&str, &str)]) -> String {
    format!("/oauth/logout?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish())
}

/// Whether this browser is logged in, judged by the account page.
async fn is_logged_in(session_browser: &BrowserSession) -> bool {
    let answer = session_browser.opens("/account").await;
    if answer.status == 303 {
        assert_eq!(location(&answer), "/login?return_to=/account");
        return false;
    }
    answer.is(200);
    true
}

/// The login, the app's session, and nothing else are over.
async fn is_over(signet: &TestApp, app: &RelyingParty, session_browser: &BrowserSession, tokens: &Tokens) {
    assert!(!is_logged_in(session_browser).await);
    signet.site.user_info(&tokens.access).await.challenges(401, "invalid_token");
    app.client.refreshes(&signet.site, tokens).await.refused("invalid_grant");
}

/// The person is asked, and still logged in.
async fn is_asked(session_browser: &BrowserSession, answer: &Answer) -> Answer {
    assert!(location(answer).starts_with("/logout"), "{answer:?}");
    let page = session_browser.follows(answer).await.is(200);
    assert!(page.text().contains("Log out?"), "{page:?}");
    assert!(is_logged_in(session_browser).await);
    page
}

/// The browser is logged out, and stays.
fn stays(answer: &Answer) {
    assert_eq!(answer.header("location"), "", "{answer:?}");
    assert!(answer.text().contains("You are logged out"), "{answer:?}");
}

async fn a_client_logs_its_browser_out_and_gets_it_back(signet: TestApp) {
    let (one, other) = (app(&signet).await, app(&signet).await);
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    let other_origin = ada.logs_in().await;
    let (first, hint) = one.logs_in(&session_browser, &ada).await;
    let (second, _) = other.logs_in(&session_browser, &ada).await;
    // Long after the hint has expired.
    signet.clock.advance(days(3));
    let first = one.client.refreshes(&signet.site, &first).await.granted();
    let asked = [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", BYE), ("state", STATE)];
    let before = session_browser.cookie("session").expect("one is logged in");
    let answer = session_browser.opens(&link(&asked)).await;
    let location = location(&answer);
    assert!(location.starts_with(&format!("{BYE}&state=")), "{location}");
    assert_eq!(parameter(&location, "state"), STATE);
    assert_eq!(session_browser.cookie("session"), None, "the browser forgets");
    session_browser.is_given(&before);
    is_over(&signet, &one, &session_browser, &first).await;
    is_over(&signet, &other, &session_browser, &second).await;
    let other_origin = ada.refreshes(&other_origin).await.granted();
    ada.is_let_in(&other_origin).await;
    // Asked once more, where nobody is logged in, there is nothing to do but to go back.
    assert!(self::location(&session_browser.opens(&link(&asked)).await).starts_with(BYE));
    assert_eq!(self::location(&BrowserSession::at(&signet).opens(&link(&asked[..2])).await), BYE);
}

/// Requests that any site can cause: a link in an email, an image, a redirect.
async fn without_a_hint_the_user_is_asked(signet: TestApp) {
    let app = app(&signet).await;
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    let (tokens, hint) = app.logs_in(&session_browser, &ada).await;
    let id = app.client.id.as_str();
    let claims = jwt::claims(&hint);
    let unsigned = jwt::with_claims(&hint, &{
        let mut claims = claims.clone();
        claims["exp"] = 9_999_999_999_u64.into();
        claims
    });
    let mut requests = vec![
        vec![],
        vec![("client_id", id)],
        vec![("client_id", id), ("post_logout_redirect_uri", BYE)],
        vec![("post_logout_redirect_uri", BYE)],
        vec![("logout_hint", "ada"), ("ui_locales", "de")],
        vec![("id_token_hint", "")],
        vec![("id_token_hint", "x.y.z")],
        vec![("id_token_hint", &unsigned)],
        // A token of another kind, genuine as it is.
        vec![("id_token_hint", &tokens.access)],
        vec![("id_token_hint", &tokens.refresh)],
        // The hint is one client's and the request another's.
        vec![("id_token_hint", &hint), ("client_id", "first-party")],
    ];
    requests.push(vec![("id_token_hint", &hint), ("client_id", "somebody-else"), ("post_logout_redirect_uri", BYE)]);
    for request in &requests {
        is_asked(&session_browser, &session_browser.opens(&link(request)).await).await;
        // Nor does it help to send it as a form.
        let again = signet.site.post("/oauth/logout").form(request).answer().await;
        let again = location(&again);
        assert!(again.starts_with("/oauth/logout"), "{again}");
        is_asked(&session_browser, &session_browser.opens(&again).await).await;
    }
    signet.site.user_info(&tokens.access).await.is(200);
    // Twice the same parameter means nothing.
    let twice = format!("{}&id_token_hint={hint}", link(&[("id_token_hint", &hint)]));
    session_browser.opens(&twice).await.is(400);
    assert!(is_logged_in(&session_browser).await);
}

async fn a_hint_of_another_log_in_has_the_person_asked(signet: TestApp) {
    let app = app(&signet).await;
    let (ada, grace) = (signet.registers("ada").await, signet.registers("grace").await);
    let (hers, adas, adas_other) =
        (BrowserSession::at(&signet), BrowserSession::at(&signet), BrowserSession::at(&signet));
    let (_, of_grace) = app.logs_in(&hers, &grace).await;
    let (_, of_other) = app.logs_in(&adas_other, &ada).await;
    let (tokens, own) = app.logs_in(&adas, &ada).await;
    for hint in [&of_grace, &of_other] {
        let answer = adas.opens(&link(&[("id_token_hint", hint), ("post_logout_redirect_uri", BYE)])).await;
        let page = is_asked(&adas, &answer).await;
        // A page of ours answers, and goes on to the client by itself.
        let policy = page.header("content-security-policy");
        assert!(policy.contains("form-action 'self';"), "{policy}");
    }
    for other in [&hers, &adas_other] {
        assert!(is_logged_in(other).await);
    }
    signet.site.user_info(&tokens.access).await.is(200);
    // The person says yes, and the client has its browser back.
    let asked = [("id_token_hint", of_grace.as_str()), ("post_logout_redirect_uri", BYE), ("state", STATE)];
    let page = is_asked(&adas, &adas.opens(&link(&asked)).await).await;
    let back = location(&adas.sends(&page, "/logout", &[("answer", "log-out")]).await);
    assert!(back.starts_with(BYE) && parameter(&back, "state") == STATE, "{back}");
    is_over(&signet, &app, &adas, &tokens).await;
    assert!(is_logged_in(&hers).await && is_logged_in(&adas_other).await);
    // Whom the old hint meant is gone; who logs in now in that browser is somebody else's business.
    app.logs_in(&adas, &grace).await;
    is_asked(&adas, &adas.opens(&link(&[("id_token_hint", &own)])).await).await;
}

/// The session of the hint was taken over by a newer login of the same person, and has ended since.
async fn a_hint_means_the_log_in_that_the_session_lives_on_with(signet: TestApp) {
    let app = app(&signet).await;
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    let (tokens, hint) = app.logs_in(&session_browser, &ada).await;
    signet.clock.advance(seconds(1));
    app.gets_a_code_for(&session_browser, &ada, &[("prompt", "login")]).await;
    app.client.revokes(&signet.site, &tokens.refresh).await.is(200);
    let answer = session_browser.opens(&link(&[("id_token_hint", &hint), ("post_logout_redirect_uri", BYE)])).await;
    // The session has ended, and still tells which login it came from.
    assert_eq!(location(&answer), BYE);
    is_over(&signet, &app, &session_browser, &tokens).await;
}

/// Compared as exactly as redirect URIs: only the registered text is accepted.
async fn no_browser_goes_where_no_client_registered(signet: TestApp) {
    let app = app(&signet).await;
    let ada = signet.registers("ada").await;
    let hint = app.logs_in(&BrowserSession::at(&signet), &ada).await.1;
    let loopback = "http://127.0.0.1:9000/bye";
    let native = RelyingParty::registers_with(&signet, &["--post-logout-redirect-uri", loopback]).await;
    let long = format!("{BYE}{}", "x".repeat(3000));
    let mutations = [
        "https://app.example.com/bye",
        "https://app.example.com/bye?from=signet&",
        "https://app.example.com/bye?from=signet#",
        "https://app.example.com/bye?from=signet#x",
        "https://app.example.com/bye/?from=signet",
        "https://app.example.com/bye?from=Signet",
        "https://app.example.com/bye?from=signet&x=1",
        "https://app.example.com/bye?from=signet/..",
        "https://app.example.com/a/../bye?from=signet",
        "https://app.example.com//bye?from=signet",
        "https://app.example.com/%62ye?from=signet",
        "https://app.example.com:443/bye?from=signet",
        "https://app.example.com./bye?from=signet",
        "https://app.example.com.evil.example/bye?from=signet",
        "https://app.example.com@evil.example/bye?from=signet",
        "https://evil.example/https://app.example.com/bye?from=signet",
        "https://evil.example/?https://app.example.com/bye?from=signet",
        "https://APP.example.com/bye?from=signet",
        "HTTPS://app.example.com/bye?from=signet",
        "http://app.example.com/bye?from=signet",
        "//app.example.com/bye?from=signet",
        "/bye?from=signet",
        "\\\\app.example.com/bye?from=signet",
        "https:app.example.com/bye?from=signet",
        "https:/app.example.com/bye?from=signet",
        "https://app.example.com\\bye?from=signet",
        "https://app.example.com/bye?from=signet\n",
        " https://app.example.com/bye?from=signet",
        "https://app.example.com/bye?from=signet ",
        "https://app.example.com/bye?from=signet\0",
        "javascript:alert(1)",
        "data:text/html,x",
        // It may get codes there, and browsers back elsewhere.
        crate::harness::relying_party::CALLBACK,
        loopback,
        &long,
    ];
    for uri in mutations {
        // Nobody is logged in, so that there is nothing to ask.
        let session_browser = BrowserSession::at(&signet);
        for who in [("id_token_hint", hint.as_str()), ("client_id", &app.client.id)] {
            stays(
                &session_browser
                    .opens(&link(&[who, ("post_logout_redirect_uri", uri), ("state", STATE)]))
                    .await
                    .is(200),
            );
        }
        // Somebody is, and is asked: they stay here, too.
        let session_browser = BrowserSession::at(&signet);
        app.logs_in(&session_browser, &ada).await;
        let asked = [("client_id", app.client.id.as_str()), ("post_logout_redirect_uri", uri)];
        let answer = session_browser.opens(&link(&asked)).await;
        assert_eq!(location(&answer), "/logout?note=unregistered", "{uri}");
        let page = is_asked(&session_browser, &answer).await;
        assert!(page.text().contains("not registered for it"), "{page:?}");
        assert!(page.header("content-security-policy").contains("form-action 'self';"), "{page:?}");
        let answer = session_browser.sends(&page, "/logout", &[]).await;
        assert_eq!(location(&answer), "/logout", "{uri}");
        stays(&session_browser.follows(&answer).await.is(200));
    }
    // The port of a loopback address is free for codes alone (RFC 8252 §7.3).
    for (uri, known) in [(loopback, true), ("http://127.0.0.1:9001/bye", false), ("http://127.0.0.1/bye", false)] {
        let asked = [("client_id", native.client.id.as_str()), ("post_logout_redirect_uri", uri)];
        let answer = BrowserSession::at(&signet).opens(&link(&asked)).await;
        assert_eq!(answer.header("location") == uri, known, "{uri}: {answer:?}");
    }
    // A client that is gone has nothing registered.
    signet.runs(&["client", "delete", &app.client.id]).await.well();
    stays(
        &BrowserSession::at(&signet).opens(&link(&[("id_token_hint", &hint), ("post_logout_redirect_uri", BYE)])).await,
    );
}

async fn the_page_takes_no_form_but_its_own(signet: TestApp) {
    let app = app(&signet).await;
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    let (tokens, _) = app.logs_in(&session_browser, &ada).await;
    let page = session_browser.opens("/logout").await.is(200);
    let stranger = BrowserSession::at(&signet);
    app.logs_in(&stranger, &signet.registers("eve").await).await;
    let theirs = stranger.opens("/logout").await.is(200);
    let code = |page: &Answer| {
        let hidden = crate::harness::browser_session::hidden(&page.text(), "/logout");
        hidden.into_iter().find(|(name, _)| name == "csrf").expect("a form has a code").1
    };
    for csrf in ["", "x", &code(&theirs), &code(&session_browser.opens("/logout").await).to_lowercase()] {
        session_browser.posts("/logout", &[("csrf", csrf), ("answer", "log-out")]).await.is(403);
    }
    // The right code, in the form of another site: the browser says where it stands.
    let cookies = session_browser.cookies().join("; ");
    for (field, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let request = signet.site.post("/logout").header("cookie", &cookies).header(field, value);
        request.form(&[("csrf", code(&page)), ("answer", "log-out".to_owned())]).answer().await.is(403);
    }
    assert!(is_logged_in(&session_browser).await);
    signet.site.user_info(&tokens.access).await.is(200);
    // What another browser was asked leads this one nowhere, but the person has said that they want to log out.
    let asked = [("client_id", app.client.id.as_str()), ("post_logout_redirect_uri", BYE)];
    let foreign = parameter(&location(&stranger.opens(&link(&asked)).await), "request");
    assert!(!foreign.is_empty());
    let answer = session_browser.sends(&page, "/logout", &[("request", &foreign), ("answer", "log-out")]).await;
    assert_eq!(location(&answer), "/logout");
    is_over(&signet, &app, &session_browser, &tokens).await;
    assert!(is_logged_in(&stranger).await);
}

async fn what_somebody_was_asked_an_hour_ago_leads_nowhere(signet: TestApp) {
    let app = app(&signet).await;
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    app.logs_in(&session_browser, &ada).await;
    let asked = [("client_id", app.client.id.as_str()), ("post_logout_redirect_uri", BYE)];
    let page = is_asked(&session_browser, &session_browser.opens(&link(&asked)).await).await;
    signet.clock.advance(seconds(3600));
    assert_eq!(location(&session_browser.sends(&page, "/logout", &[]).await), "/logout");
    assert!(!is_logged_in(&session_browser).await);
}

stories![a_client_logs_its_browser_out_and_gets_it_back, a_hint_means_the_log_in_that_the_session_lives_on_with];

stories_on![Sqlite:
    without_a_hint_the_user_is_asked,
    a_hint_of_another_log_in_has_the_person_asked,
    no_browser_goes_where_no_client_registered,
    the_page_takes_no_form_but_its_own,
    what_somebody_was_asked_an_hour_ago_leads_nowhere,
];
