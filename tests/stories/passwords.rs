//! Password policy, and sessions that a password change ends.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Ask, NEW_PASSWORD, PASSWORD, TestApp, register, stories, stories_on};

async fn a_guessable_password_is_refused(signet: TestApp) {
    for password in ["password", "12345678", "qwerty123", "iloveyou", "Password1", "adalovelace"] {
        register(&signet.site, "adalovelace", password).await.some_problem(422).blames("password");
    }
}

async fn length_is_counted_in_characters_and_nothing_else_is_asked(signet: TestApp) {
    // Seven characters, 28 bytes.
    register(&signet.site, "ada", "🎻🐢🌵🎈🚲🍋🍀").await.some_problem(422).blames("password");
    for (username, password) in
        [("ada", "plum orbit lantern quay"), ("bob", "сливовая орбита"), ("eve", "🎻🐢🌵🎈🚲🍋🍀🎲")]
    {
        register(&signet.site, username, password).await.is(201);
    }
}

/// Long words without a pattern, `length` bytes of them.
fn long_password(length: usize) -> String {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let letters = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'a' + u8::try_from(state % 26).expect("below 26"))
    });
    letters.take(length).collect()
}

async fn a_password_of_1024_bytes_is_taken_whole(signet: TestApp) {
    let password = long_password(1024);
    register(&signet.site, "ada", &password).await.is(201);
    let tries = async |password: &str| {
        let form = [("grant_type", "password"), ("username", "ada"), ("password", password)];
        signet.site.token(&form).answer().await
    };
    tries(&password).await.granted();
    tries(&password[..1023]).await.refused("invalid_grant");
    tries(&format!("{}!", &password[..1023])).await.refused("invalid_grant");
}

/// Hashing is our most expensive operation: no endpoint may pass an overlong password to it.
async fn a_password_over_1024_bytes_is_refused_at_every_door(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let long = long_password(1025);
    register(&signet.site, "bob", &long).await.blames("password");
    ada.tries(&long).await.blames_the_sender();
    ada.tries_a_session(&long).await.blames_the_sender();
    for (method, path, body) in [
        (Method::PUT, "/v1/users/me/password", json!({"current_password": long, "new_password": NEW_PASSWORD})),
        (Method::PUT, "/v1/users/me/password", json!({"current_password": PASSWORD, "new_password": long})),
        (Method::PATCH, "/v1/users/me", json!({"email": "ada@example.org", "current_password": long})),
        (Method::DELETE, "/v1/users/me", json!({"password": long})),
        (Method::POST, "/users/create", json!({"username": "carol", "password": long})),
        (Method::POST, "/users/auth", json!({"username": "ada", "password": long})),
        (Method::DELETE, "/users/delete", json!({"username": "ada", "password": long})),
    ] {
        ada.sends(method, path, &tokens, Some(body)).await.blames_the_sender();
    }
    ada.is_let_in(&tokens).await;
}

async fn a_password_may_be_typed_on_any_keyboard(signet: TestApp) {
    // One letter or a letter and an accent: the same password (RFC 8265 §4.2). Capitals are not.
    register(&signet.site, "ada", "cafe\u{301} orbit lantern").await.is(201);
    let tries = async |password: &str| {
        let form = [("grant_type", "password"), ("username", "ada"), ("password", password)];
        signet.site.token(&form).answer().await
    };
    tries("caf\u{e9} orbit lantern").await.granted();
    tries("caf\u{e9}\u{a0}orbit\u{3000}lantern").await.granted();
    tries("CAF\u{c9} ORBIT LANTERN").await.refused("invalid_grant");
    tries("cafe orbit lantern").await.refused("invalid_grant");
}

async fn a_wrong_current_password_changes_nothing(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let put = async |body| ada.sends(Method::PUT, "/v1/users/me/password", &tokens, Some(body)).await;
    put(json!({"current_password": "wrong guess 12", "new_password": NEW_PASSWORD})).await.blames_the_sender();
    put(json!({"new_password": NEW_PASSWORD})).await.blames("current_password");
    put(json!({"current_password": PASSWORD})).await.blames("new_password");
    put(json!({"current_password": PASSWORD, "new_password": "12345678"}))
        .await
        .some_problem(422)
        .blames("new_password");
    put(json!({"current_password": PASSWORD, "new_password": 5})).await.blames("new_password");
    let body = json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
    signet.site.request(Method::PUT, "/v1/users/me/password").json(&body).answer().await.asks_for_a_token();

    ada.is_let_in(&tokens).await;
    ada.logs_in().await;
    ada.tries(NEW_PASSWORD).await.refused("invalid_grant");
}

async fn a_change_of_password_ends_every_other_session(signet: TestApp) {
    let mut ada = signet.registers("ada").await;
    let bob = signet.registers("bob").await;
    let (mine, thief, forgotten, bobs) =
        (ada.logs_in().await, ada.logs_in().await, ada.logs_in().await, bob.logs_in().await);
    ada.changes_password(&mine, NEW_PASSWORD).await;

    for other in [&thief, &forgotten] {
        ada.is_shut_out(other).await;
        ada.refreshes(other).await.refused("invalid_grant");
    }
    ada.is_let_in(&mine).await;
    ada.refreshes(&mine).await.granted();
    bob.is_let_in(&bobs).await;
    ada.tries(PASSWORD).await.refused("invalid_grant");
    ada.logs_in().await;
}

async fn a_dearer_hash_still_knows_the_old_password(mut signet: TestApp) {
    let ada = signet.registers("ada").await;
    signet.restart_with(&[("password.iterations", "2")]).await;
    ada.tries("wrong guess 12").await.refused("invalid_grant");
    ada.logs_in().await;
    ada.logs_in().await; // against the hash that the first one renewed
}

stories![
    a_wrong_current_password_changes_nothing,
    a_change_of_password_ends_every_other_session,
    a_dearer_hash_still_knows_the_old_password,
];

stories_on![Sqlite:
    a_guessable_password_is_refused,
    length_is_counted_in_characters_and_nothing_else_is_asked,
    a_password_of_1024_bytes_is_taken_whole,
    a_password_over_1024_bytes_is_refused_at_every_door,
    a_password_may_be_typed_on_any_keyboard,
];
