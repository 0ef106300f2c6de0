//! Devices that an account's owner has logged in with before: strangers' guesses do not lock them out.

use reqwest::Method;
use serde_json::json;

use crate::{
    guessing::{FREE, STEP, WRONG, a_stranger_tries, behind_a_proxy, log_in, strangers_hammer, told_to_wait, verifies},
    harness::{Answer, Ask, NEW_PASSWORD, PASSWORD, TestEnvBuilder, days, stories},
};

/// The cookie that an answer sets, as a browser sends it back.
fn cookie(answer: &Answer) -> String {
    let field = answer.header("set-cookie");
    assert!(field.contains("HttpOnly") && field.contains("SameSite=Lax") && field.contains("Path=/"), "{answer:?}");
    field.split(';').next().expect("a first part").to_owned()
}

/// Many addresses hammer; the owner's browser shows its cookie.
async fn a_known_browser_gets_in_while_strangers_hammer(builder: TestEnvBuilder) {
    let signet = behind_a_proxy(builder).await;
    let ada = signet.registers("ada").await;
    verifies(&signet, &ada, "ada@example.org").await;
    signet.registers("bob").await;
    let from = |name: &str, password: &str, cookie: &str| {
        let request = log_in(&signet.site, name, password).header("X-Forwarded-For", "198.51.100.7");
        if cookie.is_empty() { request } else { request.header("Cookie", cookie) }
    };
    // Logged out at once, so that nothing but the cookie is left of it.
    let owner = async |name: &str| {
        let answer = from(name, PASSWORD, "").answer().await.is(200);
        let end =
            signet.site.request(Method::DELETE, "/v1/sessions/current").bearer_auth(answer.string("access_token"));
        end.answer().await.is(204);
        cookie(&answer)
    };
    let (adas, bobs) = (owner("ada").await, owner("bob").await);
    let hammer = async || {
        for name in ["ada", "ada@example.org"] {
            strangers_hammer(&signet.site, name).await;
            told_to_wait(&a_stranger_tries(&signet.site, name, PASSWORD).await);
        }
    };
    hammer().await;
    let forged = {
        let mut forged = adas.clone();
        let last = if forged.pop() == Some('A') { 'E' } else { 'A' };
        forged + &last.to_string()
    };
    let longer = adas.replace('=', "=A");
    for cookie in ["", bobs.as_str(), forged.as_str(), longer.as_str(), "signet-device=x", "signet-device="] {
        told_to_wait(&from("ada", PASSWORD, cookie).answer().await);
        told_to_wait(&from("ada@example.org", PASSWORD, cookie).answer().await);
    }
    from("ada", PASSWORD, &adas).answer().await.is(200);
    from("ada@example.org", PASSWORD, &adas).answer().await.is(200);
    // The browser's next cookie continues its count: a new cookie gives no new guesses.
    for _ in 0..FREE {
        from("ada", WRONG, &adas).answer().await.is(401);
    }
    assert_eq!(told_to_wait(&from("ada@example.org", PASSWORD, &adas).answer().await), STEP);
    // Strangers gained nothing by it.
    told_to_wait(&a_stranger_tries(&signet.site, "ada", PASSWORD).await);
}

async fn a_cookie_is_dead_after_180_days_or_a_change_of_password(builder: TestEnvBuilder) {
    let signet = behind_a_proxy(builder).await;
    let mut ada = signet.registers("ada").await;
    let with = async |cookie: &str, password: &str| {
        let request = log_in(&signet.site, "ada", password).header("X-Forwarded-For", "198.51.100.7");
        request.header("Cookie", cookie).answer().await
    };
    let block = async || strangers_hammer(&signet.site, "ada").await;
    let first = cookie(&with("", PASSWORD).await.is(200));
    signet.clock.advance(days(180));
    block().await;
    told_to_wait(&with(&first, PASSWORD).await);
    signet.clock.advance(days(40));
    let second = cookie(&with(&first, PASSWORD).await.is(200));
    block().await;
    let tokens = with(&second, PASSWORD).await.granted();
    ada.changes_password(&tokens, NEW_PASSWORD).await;
    ada.sends(Method::DELETE, "/v1/sessions", &tokens, None).await.is(204);
    told_to_wait(&with(&second, NEW_PASSWORD).await);
}

/// A client without cookies, at the address where a session of the account began.
async fn a_known_address_gets_in_while_strangers_hammer(builder: TestEnvBuilder) {
    let signet = behind_a_proxy(builder).await;
    let ada = signet.registers("ada").await;
    verifies(&signet, &ada, "ada@example.org").await;
    let from = async |address: &str, name: &str, password: &str| {
        log_in(&signet.site, name, password).header("X-Forwarded-For", address).answer().await
    };
    let home = from("2001:db8:1:2::1", "ada", PASSWORD).await.granted();
    for name in ["ada", "ada@example.org"] {
        strangers_hammer(&signet.site, name).await;
    }
    told_to_wait(&from("2001:db8:1:3::1", "ada", PASSWORD).await);
    // A user of the same network must not learn who logged in from it.
    told_to_wait(&from("2001:db8:1:2::1", "ada@example.org", PASSWORD).await);
    let neighbour = from("2001:db8:1:2::ffff", "ada", PASSWORD).await.granted();
    // An address is known for as long as a session of it lives.
    for tokens in [&home, &neighbour] {
        ada.logs_out(tokens).await;
    }
    told_to_wait(&from("2001:db8:1:2::1", "ada", PASSWORD).await);
}

/// A right password ends the account's failures, on whatever device it is typed.
async fn a_log_in_on_a_known_device_ends_the_failures(builder: TestEnvBuilder) {
    let signet = behind_a_proxy(builder).await;
    let ada = signet.registers("ada").await;
    verifies(&signet, &ada, "ada@example.org").await;
    let from = |name: &str| log_in(&signet.site, name, PASSWORD).header("X-Forwarded-For", "198.51.100.7");
    let device = cookie(&from("ada").answer().await.is(200));
    strangers_hammer(&signet.site, "ada").await;
    a_stranger_tries(&signet.site, "ada@example.org", PASSWORD).await.is(401);
    from("ada").header("Cookie", device).answer().await.is(200);
    a_stranger_tries(&signet.site, "ada@example.org", PASSWORD).await.is(200);
}

/// A session has its own attempts; a thief of its tokens has no more than these.
async fn a_session_guesses_for_itself_alone(builder: TestEnvBuilder) {
    let signet = behind_a_proxy(builder).await;
    let ada = signet.registers("ada").await;
    let (mine, stolen) = (ada.logs_in().await, ada.logs_in().await);
    for _ in 0..FREE {
        a_stranger_tries(&signet.site, "ada", WRONG).await.is(401);
    }
    let change = |password: &str| json!({"email": "ada@example.org", "current_password": password});
    let put = |password: &str| json!({"current_password": password, "new_password": NEW_PASSWORD});
    let delete = |password: &str| json!({"password": password});
    ada.sends(Method::PATCH, "/v1/users/me", &mine, Some(change(PASSWORD))).await.is(200);
    for n in 0..FREE {
        let (method, path, body) = match n % 3 {
            0 => (Method::PATCH, "/v1/users/me", change(WRONG)),
            1 => (Method::PUT, "/v1/users/me/password", put(WRONG)),
            _ => (Method::DELETE, "/v1/users/me", delete(WRONG)),
        };
        ada.sends(method, path, &stolen, Some(body)).await.blames_the_sender();
    }
    for (method, path, body) in [
        (Method::PATCH, "/v1/users/me", change(PASSWORD)),
        (Method::PUT, "/v1/users/me/password", put(PASSWORD)),
        (Method::DELETE, "/v1/users/me", delete(PASSWORD)),
    ] {
        let answer = ada.sends(method, path, &stolen, Some(body)).await.problem(429, "too_many_requests");
        assert_eq!(told_to_wait(&answer), STEP);
    }
    ada.sends(Method::PUT, "/v1/users/me/password", &mine, Some(put(PASSWORD))).await.is(204);
}

stories![
    a_log_in_on_a_known_device_ends_the_failures,
    a_known_browser_gets_in_while_strangers_hammer,
    a_cookie_is_dead_after_180_days_or_a_change_of_password,
    a_known_address_gets_in_while_strangers_hammer,
    a_session_guesses_for_itself_alone,
];
