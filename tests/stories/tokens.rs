//! The token endpoint: the password grant, and refresh tokens in the hands of owners and thieves.

use std::collections::BTreeSet;

use crate::harness::{
    Answer, Ask, PASSWORD, Person, Site, TestApp, TestEnvBuilder, Tokens, days, jwt, raw::Line, seconds, stories,
    stories_on,
};

async fn a_reused_refresh_token_ends_the_session(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let other = ada.logs_in().await;
    let first = ada.logs_in().await;
    let second = ada.refreshes(&first).await.granted();
    signet.clock.advance(seconds(11)); // the grace is 10 s
    ada.refreshes(&first).await.refused("invalid_grant"); // a thief, or the owner's old copy: we cannot tell,
    ada.refreshes(&second).await.refused("invalid_grant"); // so the newest dies with it
    ada.is_shut_out(&second).await;
    ada.is_shut_out(&first).await;
    ada.is_let_in(&other).await; // this session only
    ada.refreshes(&other).await.granted();
}

async fn an_older_token_ends_the_session_even_within_the_grace(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let first = ada.logs_in().await;
    let second = ada.refreshes(&first).await.granted();
    let third = ada.refreshes(&second).await.granted(); // the answer to the first refresh was not lost, then
    ada.refreshes(&first).await.refused("invalid_grant");
    ada.refreshes(&third).await.refused("invalid_grant");
    ada.is_shut_out(&third).await;
}

async fn without_grace_a_repeat_ends_the_session(builder: TestEnvBuilder) {
    let signet = builder.set("refresh_grace", "0s").open().await;
    let ada = signet.registers("ada").await;
    let first = ada.logs_in().await;
    let second = ada.refreshes(&first).await.granted();
    ada.refreshes(&first).await.refused("invalid_grant");
    ada.refreshes(&second).await.refused("invalid_grant");
}

async fn a_lost_answer_logs_nobody_out(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let first = ada.logs_in().await;
    let lost = ada.refreshes(&first).await.granted();
    signet.clock.advance(seconds(9));
    let again = ada.refreshes(&first).await.granted();
    let (lost_claims, again_claims) = (jwt::claims(&lost.refresh), jwt::claims(&again.refresh));
    assert_eq!((&lost_claims["jti"], &lost_claims["exp"]), (&again_claims["jti"], &again_claims["exp"]));
    assert_ne!(lost_claims["jti"], jwt::claims(&first.refresh)["jti"]);
    ada.is_let_in(&again).await;
    signet.clock.advance(seconds(60));
    ada.refreshes(&again).await.granted();
}

async fn a_replica_gives_the_same_successor(signet: TestApp) {
    let replica = signet.replica().await;
    let ada = signet.registers("ada").await;
    let first = ada.logs_in().await;
    let here = ada.refreshes(&first).await.granted();
    let there = ada.at(&replica.site).refreshes(&first).await.granted();
    let (here_claims, there_claims) = (jwt::claims(&here.refresh), jwt::claims(&there.refresh));
    assert_eq!((&here_claims["jti"], &here_claims["exp"]), (&there_claims["jti"], &there_claims["exp"]));
    ada.at(&replica.site).is_let_in(&here).await;
    ada.refreshes(&there).await.granted();
}

/// All of them use one refresh token at once: each gets a successor, and all the same.
async fn fifty_refresh_at_once(people: [&Person; 2], first: &Tokens) {
    let all: Vec<_> = (0..50)
        .map(|n| {
            let (person, first) = (people[n % 2].clone(), first.clone());
            tokio::spawn(async move { person.refreshes(&first).await.granted() })
        })
        .collect();
    let mut successors = Vec::new();
    for one in all {
        successors.push(one.await.expect("it was granted"));
    }
    let jti = |tokens: &Tokens| jwt::claims(&tokens.refresh)["jti"].to_string();
    let jtis: BTreeSet<String> = successors.iter().map(jti).collect();
    assert_eq!(jtis.len(), 1, "{jtis:?}");
    people[0].refreshes(&successors[17]).await.granted();
}

async fn fifty_at_once_get_one_successor(signet: TestApp) {
    let ada = signet.registers("ada").await;
    fifty_refresh_at_once([&ada, &ada], &ada.logs_in().await).await;
}

async fn fifty_at_once_get_one_successor_from_two_replicas(signet: TestApp) {
    let replica = signet.replica().await;
    let ada = signet.registers("ada").await;
    fifty_refresh_at_once([&ada, &ada.at(&replica.site)], &ada.logs_in().await).await;
}

async fn another_client_can_do_nothing_with_it(signet: TestApp) {
    let public_client = [
        "--name",
        "Public client",
        "--public",
        "--first-party",
        "--grant",
        "password",
        "--grant",
        "refresh_token",
        "--scope",
        "openid",
    ];
    let public_client = signet.registers_client(&public_client).await;
    let ada = signet.registers("ada").await;
    let first = ada.logs_in().await;
    let steals = async |token: &str| {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", &public_client.id)];
        signet.site.token(&form).answer().await
    };
    steals(&first.refresh).await.refused("invalid_grant");
    let second = ada.refreshes(&first).await.granted();
    signet.clock.advance(seconds(11));
    steals(&first.refresh).await.refused("invalid_grant"); // not even the reuse counts: it would log the owner out
    let third = ada.refreshes(&second).await.granted();

    let form =
        [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD), ("client_id", &public_client.id)];
    let public_tokens = signet.site.token(&form).answer().await.granted();
    assert_eq!(jwt::claims(&public_tokens.access)["client_id"], public_client.id.as_str());
    let own =
        [("grant_type", "refresh_token"), ("refresh_token", &public_tokens.refresh), ("client_id", "first-party")];
    signet.site.token(&own).answer().await.refused("invalid_grant");
    ada.is_let_in(&public_tokens).await; // its client is first-party too
    steals(&public_tokens.refresh).await.granted();
    ada.is_let_in(&third).await;
}

async fn an_unused_refresh_token_ends(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let (used, unused) = (ada.logs_in().await, ada.logs_in().await);
    signet.clock.advance(days(30) - seconds(60));
    let used = ada.refreshes(&used).await.granted();
    signet.clock.advance(seconds(120));
    ada.refreshes(&unused).await.refused("invalid_grant");
    ada.refreshes(&used).await.granted();
}

async fn a_session_ends_however_often_it_is_used(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let mut tokens = ada.logs_in().await;
    let begin = jwt::claims(&tokens.refresh)["iat"].as_i64().expect("a time");
    for _ in 0..4 {
        signet.clock.advance(days(20));
        tokens = ada.refreshes(&tokens).await.granted();
    }
    let end = jwt::claims(&tokens.refresh)["exp"].as_i64().expect("a time");
    assert!(
        (end - begin - 90 * 86_400).abs() <= 1,
        "80 days in, the refresh token ends with the session, not after 30 more"
    );
    signet.clock.advance(days(10) + seconds(1));
    ada.refreshes(&tokens).await.refused("invalid_grant");
}

async fn an_access_token_ends(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    signet.clock.advance(seconds(590));
    ada.is_let_in(&tokens).await;
    signet.clock.advance(seconds(41)); // what clocks may differ is at most 30 s
    ada.is_shut_out(&tokens).await;
    ada.is_let_in(&ada.refreshes(&tokens).await.granted()).await;
}

async fn scope_narrows_for_one_access_token_and_never_widens(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let first = ada.logs_in().await;
    assert_eq!(first.scopes(), ["email", "offline_access", "openid", "profile"]);
    assert_eq!(first.expires_in, 600);
    ada.refreshes_for(&first, "admin").await.refused("invalid_scope");
    ada.refreshes_for(&first, "open\"id").await.refused("invalid_scope");
    let second = ada.refreshes_for(&first, "openid profile").await.granted(); // the refusals used nothing up
    assert_eq!(second.scopes(), ["openid", "profile"]);
    assert_eq!(jwt::claims(&second.access)["scope"].as_str().map(|scope| scope.split(' ').count()), Some(2));
    assert_eq!(ada.refreshes(&second).await.granted().scopes(), first.scopes());

    let form = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD), ("scope", "openid")];
    let narrow = signet.site.token(&form).answer().await.granted();
    assert_eq!(narrow.scopes(), ["openid"]);
    ada.refreshes_for(&narrow, "openid profile").await.refused("invalid_scope");
    let form = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD), ("scope", "root")];
    signet.site.token(&form).answer().await.refused("invalid_scope");
}

async fn a_token_is_for_the_resource_that_was_asked(signet: TestApp) {
    let public_client =
        ["--name", "Public client", "--public", "--first-party", "--grant", "password", "--grant", "refresh_token"];
    let more = ["--scope", "openid", "--resource", "https://api.example"];
    let public_client = signet.registers_client(&[&public_client[..], &more[..]].concat()).await;
    let ada = signet.registers("ada").await;
    let asks = async |resource: &str| {
        let form = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD), ("resource", resource)];
        signet.site.token(&public_client.in_form(&form)).answer().await
    };
    asks("https://other.example").await.refused("invalid_target");
    asks("not a uri").await.refused("invalid_target");
    let tokens = asks("https://api.example").await.granted();
    assert_eq!(jwt::claims(&tokens.access)["aud"], "https://api.example");
    ada.looks(&tokens).await.challenges(403, "insufficient_scope"); // it is not for us
    signet.site.user_info(&tokens.access).await.challenges(403, "insufficient_scope");
    let form = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str())];
    let refreshed = signet.site.token(&public_client.in_form(&form)).answer().await.granted();
    assert_eq!(jwt::claims(&refreshed.access)["aud"], "https://api.example");
}

/// Sends a form as it is.
async fn posts(site: &Site, form: &str) -> Answer {
    let request = site.post("/oauth/token").header("content-type", "application/x-www-form-urlencoded");
    request.body(form.to_owned()).answer().await
}

async fn a_malformed_request_is_refused(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let refresh = format!("grant_type=refresh_token&refresh_token={}", tokens.refresh);
    for form in [
        "",
        "grant_type=",
        "username=ada",
        "grant_type=password",
        "grant_type=password&username=ada",
        "grant_type=password&username=ada&password=",
        "grant_type=refresh_token",
        "grant_type=refresh_token&refresh_token=",
        "grant_type=password&grant_type=password&username=ada&password=x",
        "grant_type=password&username=ada&username=eve&password=x",
        "grant_type=password&username=%ff&password=x",
        "grant_type=password&username=%zz&password=x",
        "grant_type=password&username=%&password=x",
        &format!("{refresh}&refresh_token={}", tokens.refresh),
        &format!("{refresh}&scope=openid&scope=openid"),
    ] {
        posts(&signet.site, form).await.oauth_error(400, "invalid_request");
    }
    for grant in ["implicit", "urn:example:none", "PASSWORD", "%00"] {
        let answer = posts(&signet.site, &format!("grant_type={grant}")).await.is(400);
        let error = answer.string("error");
        assert!(["unsupported_grant_type", "invalid_request"].contains(&error.as_str()), "{answer:?}");
    }
    posts(&signet.site, "grant_type=implicit").await.refused("unsupported_grant_type");
    posts(&signet.site, "grant_type=password&username=a%00da&password=x").await.is(400);
    for token in ["x", "a.b.c", "x.y"] {
        posts(&signet.site, &format!("grant_type=refresh_token&refresh_token={token}")).await.refused("invalid_grant");
    }
    posts(&signet.site, &format!("{refresh}&unknown=1&unknown=2&scope=")).await.granted(); // an empty one is not there
}

async fn bytes_that_are_not_utf_8_are_refused(signet: TestApp) {
    let site = &signet.site;
    let form = "application/x-www-form-urlencoded";
    for body in [&b"grant_type=password&username=\xff&password=x"[..], b"\xff=1&grant_type=password", b"\xc0\x80"] {
        let request = site.post("/oauth/token").header("content-type", form).body(body.to_vec());
        request.answer().await.oauth_error(400, "invalid_request");
    }
    let utf_8 = format!("{form}; charset=UTF-8");
    let request = site.post("/oauth/token").header("content-type", utf_8).body("grant_type=implicit");
    request.answer().await.refused("unsupported_grant_type");
}

async fn only_forms_are_read(signet: TestApp) {
    signet.registers("ada").await;
    let json = serde_json::json!({"grant_type": "password", "username": "ada", "password": PASSWORD});
    let answer = signet.site.post("/oauth/token").json(&json).answer().await.is(415);
    assert!(answer.json()["error"].is_string());
    for kind in ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencodedx", "nonsense"] {
        let request = signet.site.post("/oauth/token").header("content-type", kind);
        request.body("grant_type=password").answer().await.is(415);
    }
    signet.site.post("/oauth/token").body("grant_type=password").answer().await.is(415);
    let query = "/oauth/token?grant_type=password&username=ada&password=plum%20orbit%20lantern%2073%20quay";
    signet.site.post(query).form(&[("x", "y")]).answer().await.oauth_error(400, "invalid_request");
}

async fn a_body_over_64_kib_is_not_read(signet: TestApp) {
    let head = "POST /oauth/token HTTP/1.1\r\nHost: signet\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let mut said = Line::to(&signet.site).await;
    said.send(format!("{head}Content-Length: 70000\r\n\r\n").as_bytes()).await.send(&vec![b'x'; 70_000]).await;
    assert_eq!(said.status().await, 413);
    let mut unsaid = Line::to(&signet.site).await;
    unsaid.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).await;
    for _ in 0..7 {
        unsaid.send(b"2710\r\n").await.send(&[b'x'; 10_000]).await.send(b"\r\n").await;
    }
    unsaid.send(b"0\r\n\r\n").await;
    assert_eq!(unsaid.status().await, 413);
}

stories![
    a_reused_refresh_token_ends_the_session,
    an_older_token_ends_the_session_even_within_the_grace,
    without_grace_a_repeat_ends_the_session,
    a_lost_answer_logs_nobody_out,
    fifty_at_once_get_one_successor,
    another_client_can_do_nothing_with_it,
    an_unused_refresh_token_ends,
    a_session_ends_however_often_it_is_used,
    an_access_token_ends,
];

stories_on![Sqlite:
    scope_narrows_for_one_access_token_and_never_widens,
    a_token_is_for_the_resource_that_was_asked,
    a_malformed_request_is_refused,
    bytes_that_are_not_utf_8_are_refused,
    only_forms_are_read,
    a_body_over_64_kib_is_not_read,
];

stories_on![Postgres: a_replica_gives_the_same_successor, fifty_at_once_get_one_successor_from_two_replicas];
