//! Accounts: made, looked at, changed, deleted.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{
    Answer, Ask, PASSWORD, Person, Site, TestApp, TestEnvBuilder, jwt, register, stories, stories_on,
};

/// Sends a body that claims to be JSON.
async fn posts(site: &Site, path: &str, body: impl Into<Vec<u8>>) -> Answer {
    site.post(path).header("content-type", "application/json").body(body.into()).answer().await
}

/// Invalid usernames as JSON text.
fn bad_usernames() -> Vec<String> {
    let mut bad: Vec<String> =
        ["null", "5", "1e400", "true", "[]", "{}", r#"["ada"]"#, r#""\ud800""#, r#""ada\udc00""#]
            .map(str::to_owned)
            .to_vec();
    let texts = [
        "",
        " ",
        "\u{0}",
        "ada\u{0}",
        "ad\na",
        "ad\u{200b}a",        // a zero-width space
        "\u{202e}ada",        // right-to-left override
        "ad\u{430}",          // a Cyrillic look-alike of the last letter
        "\u{3bf}rion",        // a Greek one of the first
        "ada@example.org",    // would pass for an email address
        "ada\u{ff20}example", // a full-width @, which normalizes to the one above
        "\u{301}",            // an accent on nothing
    ];
    bad.extend(texts.iter().map(|text| json!(text).to_string()));
    bad.push(json!("a".repeat(1000)).to_string());
    bad.push(json!("\u{fdfa}".repeat(60)).to_string()); // 18 characters each, once normalized
    bad
}

async fn a_bad_username_is_refused_by_name(signet: TestApp) {
    for username in bad_usernames() {
        let body = format!(r#"{{"username": {username}, "password": "{PASSWORD}"}}"#);
        posts(&signet.site, "/v1/users", body).await.blames("username");
    }
    posts(&signet.site, "/v1/users", format!(r#"{{"password": "{PASSWORD}"}}"#)).await.blames("username");
}

async fn a_bad_password_is_refused_by_name(signet: TestApp) {
    let long = json!("plum orbit lantern ".repeat(60)).to_string();
    let short = json!("7 chars").to_string();
    for password in [
        "null",
        "5",
        "true",
        "[]",
        "{}",
        r#""""#,
        r#""\ud800 orbit lantern""#,
        r#""plum\u0000 lantern""#,
        &short,
        &long,
    ] {
        let body = format!(r#"{{"username": "ada", "password": {password}}}"#);
        posts(&signet.site, "/v1/users", body).await.blames("password");
    }
    posts(&signet.site, "/v1/users", r#"{"username": "ada"}"#).await.blames("password");
    Person::registers(&signet.site, "ada").await; // none of them took the name
}

async fn a_bad_email_is_refused_by_name(signet: TestApp) {
    let long = json!(format!("{}@example.org", "a".repeat(1000))).to_string();
    let bad = ["5", "true", "[]", "{}", r#""""#, r#""ada""#, r#""@""#, r#""ada@""#, r#""ada\ud800@example.org""#];
    let worse = [r#""ada\u0000@example.org""#, r#""ada@example.org\r\nBcc: eve@example.org""#, r#""a@b@c""#, &long];
    for email in bad.into_iter().chain(worse) {
        let body = format!(r#"{{"username": "ada", "password": "{PASSWORD}", "email": {email}}}"#);
        posts(&signet.site, "/v1/users", body).await.blames("email");
    }
}

async fn every_wrong_field_is_named_at_once(signet: TestApp) {
    let body = json!({"username": "", "password": "", "email": "nowhere"});
    let answer = signet.site.post("/v1/users").json(&body).answer().await.some_problem(422);
    answer.blames("username").blames("password").blames("email");
}

async fn bytes_that_are_not_utf_8_are_refused(signet: TestApp) {
    for body in
        [&b"{\"username\": \"ad\xff\", \"password\": \"plum orbit lantern 73\"}"[..], b"\xff\xfe{}", b"\xc0\x80"]
    {
        posts(&signet.site, "/v1/users", body).await.blames_the_sender();
        posts(&signet.site, "/v1/sessions", body).await.blames_the_sender();
    }
}

async fn of_a_hundred_who_want_one_name_one_gets_it(signet: TestApp) {
    let spellings = ["ada", "Ada", "ADA", "aDa", "\u{ff21}da"];
    let tries = (0..100).map(|n| {
        let site = signet.site.clone();
        tokio::spawn(async move { register(&site, spellings[n % spellings.len()], PASSWORD).await })
    });
    let mut made = 0;
    for answer in tries.collect::<Vec<_>>() {
        let answer = answer.await.expect("it was answered");
        if answer.status == 201 {
            made += 1;
        } else {
            answer.problem(409, "username_taken");
        }
    }
    assert_eq!(made, 1);
}

async fn a_name_is_taken_in_every_spelling(signet: TestApp) {
    signet.registers("Ada").await;
    for spelling in ["Ada", "ada", "ADA", "\u{ff21}\u{ff24}\u{ff21}"] {
        register(&signet.site, spelling, PASSWORD).await.problem(409, "username_taken");
    }
    signet.registers("stra\u{df}e").await;
    register(&signet.site, "STRASSE", PASSWORD).await.problem(409, "username_taken");
}

async fn a_registration_answers_with_the_account(signet: TestApp) {
    let body = json!({"username": "Ada", "password": PASSWORD, "email": "ada@example.org"});
    let answer = signet.site.post("/v1/users").json(&body).answer().await.is(201);
    let account = answer.json();
    assert_eq!(account["username"], "Ada");
    assert_eq!(account["email"], "ada@example.org");
    assert_eq!(account["email_verified"], false);
    let id: Uuid = answer.string("id").parse().expect("a UUID");
    assert_eq!(id.get_version_num(), 7);
    chrono::DateTime::parse_from_rfc3339(&answer.string("created_at")).expect("a time");
    let mut members: Vec<&String> = account.as_object().expect("an object").keys().collect();
    members.sort();
    assert_eq!(members, ["created_at", "email", "email_verified", "id", "username"]);
    assert!(answer.header("cache-control").contains("no-store"), "{answer:?}");
}

async fn an_account_without_email_has_none(signet: TestApp) {
    for body in [
        json!({"username": "ada", "password": PASSWORD}),
        json!({"username": "bob", "password": PASSWORD, "email": null}),
    ] {
        let account = signet.site.post("/v1/users").json(&body).answer().await.is(201).json();
        assert_eq!(account["email"], Value::Null);
        assert_eq!(account["email_verified"], false);
    }
}

/// Until somebody proves it, an address is a claim that anyone can make.
async fn two_accounts_may_claim_one_unverified_email(signet: TestApp) {
    for username in ["ada", "eve"] {
        let body = json!({"username": username, "password": PASSWORD, "email": "ada@example.org"});
        signet.site.post("/v1/users").json(&body).answer().await.is(201);
    }
}

async fn unknown_fields_never_take_effect(signet: TestApp) {
    let id = "018f0000-0000-7000-8000-000000000000";
    let body = json!({
        "username": "eve", "password": PASSWORD, "id": id, "email": "eve@example.org", "email_verified": true,
        "roles": ["admin"], "role": "admin", "admin": true, "password_hash": "$argon2id$", "created_at": "2000-01-01T00:00:00Z",
    });
    let answer = signet.site.post("/v1/users").json(&body).answer().await.is(201);
    let account = answer.json();
    assert_ne!(account["id"], id);
    assert_eq!(account["email_verified"], false);
    assert!(!answer.string("created_at").starts_with("2000"));
    let form = [("grant_type", "password"), ("username", "eve"), ("password", PASSWORD), ("roles", "admin")];
    let tokens = signet.site.token(&form).answer().await.granted();
    assert_eq!(jwt::claims(&tokens.access).get("roles"), None);
}

async fn closed_means_closed(builder: TestEnvBuilder) {
    let signet = builder.set("registration", "closed").open().await;
    let answer = register(&signet.site, "ada", PASSWORD).await.blames_the_sender();
    assert!(answer.json()["code"].is_string());
    let body = json!({"username": "ada", "password": PASSWORD});
    let answer = signet.site.post("/users/create").json(&body).answer().await.blames_the_sender();
    assert_eq!(answer.json()["success"], false);
}

async fn availability_tells_whether_a_name_is_free(signet: TestApp) {
    signet.registers("ada").await;
    for (username, available) in [("ada", false), ("ADA", false), ("bob", true)] {
        let query = [("username", username)];
        let answer = signet.site.get_with("/v1/users/availability", &query).answer().await.is(200).json();
        assert_eq!(answer, json!({"username": username, "available": available}));
    }
    for username in ["", "ada@example.org", "a\u{0}b", "ad\u{430}"] {
        let query = [("username", username)];
        signet.site.get_with("/v1/users/availability", &query).answer().await.blames("username");
    }
    signet.site.get("/v1/users/availability").answer().await.blames_the_sender();
    signet.site.get("/v1/users/availability?username=%ff").answer().await.blames_the_sender();
    signet.site.get("/v1/users/availability?username=%zz").answer().await.blames_the_sender();
    signet.site.get("/v1/users/availability?username=a&username=b").answer().await.blames_the_sender();
}

async fn an_account_is_shown_to_its_owner_alone(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let account = ada.looks(&tokens).await.is(200);
    assert!(account.header("cache-control").contains("no-store"));
    assert_eq!(account.string("id"), ada.id);
    assert_eq!(account.string("username"), "ada");
    signet.site.get("/v1/users/me").answer().await.asks_for_a_token();
    signet.site.get("/v1/users/me").bearer_auth("x.y.z").answer().await.challenges(401, "invalid_token");
}

async fn a_username_can_be_changed_but_not_to_a_taken_one(signet: TestApp) {
    signet.registers("bob").await;
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let patch = async |body: Value| ada.sends(Method::PATCH, "/v1/users/me", &tokens, Some(body)).await;
    patch(json!({"username": "BOB"})).await.problem(409, "username_taken");
    patch(json!({"username": "a@b"})).await.blames("username");
    patch(json!({"username": 5})).await.blames("username");
    assert_eq!(patch(json!({"username": "ADA"})).await.is(200).string("username"), "ADA"); // her own, in capitals
    assert_eq!(patch(json!({"username": "lovelace"})).await.is(200).string("username"), "lovelace");

    let refreshed = ada.refreshes(&tokens).await.granted();
    assert_eq!(jwt::claims(&refreshed.access)["preferred_username"], "lovelace");
    ada.tries(PASSWORD).await.refused("invalid_grant");
    let lovelace = Person { username: "lovelace".into(), ..ada.clone() };
    lovelace.logs_in().await;
    signet.registers("ada").await; // the old name is free
}

async fn a_new_email_wants_the_password(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let patch = async |body: Value| ada.sends(Method::PATCH, "/v1/users/me", &tokens, Some(body)).await;
    patch(json!({"email": "eve@example.org"})).await.blames_the_sender();
    patch(json!({"email": "eve@example.org", "current_password": "wrong guess 12"})).await.blames_the_sender();
    assert_eq!(ada.looks(&tokens).await.json()["email"], Value::Null);

    let account = patch(json!({"email": "ada@example.org", "current_password": PASSWORD})).await.is(200).json();
    assert_eq!((&account["email"], &account["email_verified"]), (&json!("ada@example.org"), &json!(false)));
    patch(json!({"email": "nowhere", "current_password": PASSWORD})).await.blames("email");
}

async fn a_deleted_account_is_gone_at_once(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let delete = async |body: Value| ada.sends(Method::DELETE, "/v1/users/me", &tokens, Some(body)).await;
    delete(json!({"password": "wrong guess 12"})).await.blames_the_sender();
    delete(json!({})).await.blames_the_sender();
    ada.is_let_in(&tokens).await;

    delete(json!({"password": PASSWORD})).await.is(204);
    ada.is_shut_out(&tokens).await;
    ada.refreshes(&tokens).await.refused("invalid_grant");
    ada.tries(PASSWORD).await.refused("invalid_grant");
    ada.tries_a_session(PASSWORD).await.problem(401, "invalid_credentials");
}

stories![
    of_a_hundred_who_want_one_name_one_gets_it,
    a_name_is_taken_in_every_spelling,
    a_registration_answers_with_the_account,
    an_account_without_email_has_none,
    two_accounts_may_claim_one_unverified_email,
    availability_tells_whether_a_name_is_free,
    a_username_can_be_changed_but_not_to_a_taken_one,
    a_new_email_wants_the_password,
    a_deleted_account_is_gone_at_once,
];

stories_on![Sqlite:
    a_bad_username_is_refused_by_name,
    a_bad_password_is_refused_by_name,
    a_bad_email_is_refused_by_name,
    every_wrong_field_is_named_at_once,
    bytes_that_are_not_utf_8_are_refused,
    unknown_fields_never_take_effect,
    closed_means_closed,
    an_account_is_shown_to_its_owner_alone,
];
