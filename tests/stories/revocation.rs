//! Revocation: by the token endpoint's neighbour (RFC 7009), by people, and by operators.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use signet::testing::{Clock, SystemClock};

use crate::harness::{
    Ask, NEW_PASSWORD, PASSWORD, Person, Site, TestApp, TestEnv, Tokens, days, eventually, jwt, raw::Line, seconds,
    stories,
};

async fn nobody_revokes_anothers_token(signet: TestApp) {
    let (public_client, service) = (signet.registers_public_client(&[]).await, signet.registers_service(&[]).await);
    let ada = signet.registers("ada").await;
    let (adas, public_tokens) = (ada.logs_in().await, ada.logs_in_at(&public_client, &[]).await);
    let own = service.gets_a_token(&signet.site).await;
    for token in [&adas.access, &adas.refresh] {
        public_client.revokes(&signet.site, token).await.refused("invalid_grant");
        service.revokes(&signet.site, token).await.refused("invalid_grant");
    }
    for token in [&public_tokens.access, &public_tokens.refresh, &own.access] {
        let form = [("token", token.as_str()), ("client_id", "first-party")];
        signet.site.post("/oauth/revoke").form(&form).answer().await.refused("invalid_grant");
    }
    public_client.revokes(&signet.site, &own.access).await.refused("invalid_grant");
    ada.is_logged_in(&adas).await;
    ada.is_let_in(&public_tokens).await;
    public_client.refreshes(&signet.site, &public_tokens).await.granted();
    service.introspects(&signet.site, &own.access).await.active();
}

async fn a_client_that_does_not_prove_itself_revokes_nothing(signet: TestApp) {
    let service = signet.registers_service(&[]).await;
    let own = service.gets_a_token(&signet.site).await;
    let sends = async |form: &[(&str, &str)]| signet.site.post("/oauth/revoke").form(form).answer().await;
    let (token, id) = (("token", own.access.as_str()), ("client_id", service.id.as_str()));
    sends(&[token, id]).await.refused("invalid_client");
    sends(&[token, id, ("client_secret", "guess")]).await.refused("invalid_client");
    sends(&[token, ("client_id", "nobody")]).await.refused("invalid_client");
    let basic = signet.site.post("/oauth/revoke").basic_auth(&service.id, Some("guess")).form(&[token]).answer().await;
    basic.refused("invalid_client");
    sends(&[]).await.oauth_error(400, "invalid_request");
    sends(&[token, token]).await.oauth_error(400, "invalid_request");
    service.introspects(&signet.site, &own.access).await.active();
}

async fn what_is_no_token_is_revoked_already(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let forged = jwt::with_claims(&tokens.refresh, &jwt::claims(&tokens.access));
    for token in ["x", "a.b.c", "\u{0}", "é", &"x".repeat(5000), &forged, &format!("{}x", tokens.access)] {
        ada.revokes(token).await.is(200);
    }
    ada.is_let_in(&tokens).await;
    signet.clock.advance(seconds(601));
    ada.revokes(&tokens.access).await.is(200); // it has expired: there is nothing left to revoke
    ada.refreshes(&tokens).await.granted();
}

async fn any_refresh_token_of_a_session_revokes_it(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let mut other = ada.logs_in().await;
    for which in 0..4 {
        let mut all = vec![ada.logs_in().await];
        for _ in 0..3 {
            all.push(ada.refreshes(&all[all.len() - 1]).await.granted());
        }
        ada.revokes(&all[which].refresh).await.is(200);
        for tokens in &all {
            ada.is_logged_out(tokens).await;
            ada.revokes(&tokens.refresh).await.is(200); // over already
        }
        other = ada.is_logged_in(&other).await;
    }
}

/// A refresh token that has run out is still its session's, which lives on with a later one.
async fn a_refresh_token_that_has_run_out_still_revokes_its_session(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let first = ada.logs_in().await;
    signet.clock.advance(days(20));
    let second = ada.refreshes(&first).await.granted();
    signet.clock.advance(days(15)); // the first ended after thirty days
    let third = ada.refreshes(&second).await.granted();
    ada.revokes(&first.refresh).await.is(200);
    ada.is_logged_out(&third).await;
}

async fn an_access_token_revokes_its_session(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let other = ada.logs_in().await;
    let first = ada.logs_in().await;
    let second = ada.refreshes_for(&first, "openid").await.granted();
    let hint = [("token", first.access.as_str()), ("token_type_hint", "refresh_token")]; // a wrong one does not matter
    signet.site.post("/oauth/revoke").form(&hint).answer().await.is(200);
    ada.is_logged_out(&first).await;
    ada.is_logged_out(&second).await;
    ada.is_logged_in(&other).await;
}

/// Denied by `jti`, not by text: the holder of a token can compute its second valid signature.
async fn a_clients_token_is_denied_with_its_twin(signet: TestApp) {
    let service = signet.registers_service(&[]).await;
    let (denied, other) = (service.gets_a_token(&signet.site).await, service.gets_a_token(&signet.site).await);
    let twin = jwt::twin(&denied.access);
    assert_ne!(twin, denied.access);
    service.introspects(&signet.site, &twin).await.active(); // it is as genuine as the one we gave
    service.revokes(&signet.site, &denied.access).await.is(200);
    for token in [&denied.access, &twin] {
        service.introspects(&signet.site, token).await.inactive();
        signet.site.user_info(token).await.challenges(401, "invalid_token");
    }
    service.revokes(&signet.site, &denied.access).await.is(200);
    service.introspects(&signet.site, &other.access).await.active();
    service.revokes(&signet.site, &jwt::twin(&other.access)).await.is(200);
    service.introspects(&signet.site, &other.access).await.inactive();
    signet.clock.advance(seconds(599));
    service.introspects(&signet.site, &denied.access).await.inactive(); // until its end
}

async fn a_denied_token_stays_denied_over_a_restart(mut signet: TestApp) {
    let service = signet.registers_service(&[]).await;
    let (denied, other) = (service.gets_a_token(&signet.site).await, service.gets_a_token(&signet.site).await);
    service.revokes(&signet.site, &denied.access).await.is(200);
    signet.restart().await;
    service.introspects(&signet.site, &denied.access).await.inactive();
    service.introspects(&signet.site, &other.access).await.active();
}

async fn the_twin_of_a_users_token_ends_with_its_session(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let twin = Tokens { access: jwt::twin(&tokens.access), ..tokens.clone() };
    ada.is_let_in(&twin).await;
    ada.logs_out(&tokens).await;
    ada.is_shut_out(&twin).await;
}

async fn a_password_change_ends_every_other_session(signet: TestApp) {
    let mut ada = signet.registers("ada").await;
    let public_client = signet.registers_public_client(&[]).await;
    let (here, there, away) = (ada.logs_in().await, ada.logs_in().await, ada.logs_in_at(&public_client, &[]).await);
    ada.changes_password(&here, NEW_PASSWORD).await;
    ada.is_logged_out(&there).await;
    ada.is_shut_out(&away).await;
    public_client.refreshes(&signet.site, &away).await.refused("invalid_grant");
    let here = ada.is_logged_in(&here).await;
    assert_eq!(ada.sessions(&here).await.len(), 1);
}

async fn an_account_that_is_deleted_ends_every_session(signet: TestApp) {
    let (ada, bob) = (signet.registers("ada").await, signet.registers("bob").await);
    let service = signet.registers_service(&["--audience", &signet.issuer]).await;
    let (here, there, bobs) = (ada.logs_in().await, ada.logs_in().await, bob.logs_in().await);
    service.introspects(&signet.site, &there.access).await.active();
    ada.sends(Method::DELETE, "/v1/users/me", &here, Some(json!({"password": PASSWORD}))).await.is(204);
    for tokens in [&here, &there] {
        ada.is_logged_out(tokens).await;
        service.introspects(&signet.site, &tokens.access).await.inactive();
    }
    bob.is_logged_in(&bobs).await;
}

async fn a_client_that_is_deleted_takes_its_tokens_with_it(signet: TestApp) {
    let (public_client, service) = (signet.registers_public_client(&[]).await, signet.registers_service(&[]).await);
    let introspector = signet.registers_service(&["--audience", &signet.issuer]).await;
    let ada = signet.registers("ada").await;
    let (own, at_public_client) = (ada.logs_in().await, ada.logs_in_at(&public_client, &[]).await);
    let (denied, good) = (service.gets_a_token(&signet.site).await, introspector.gets_a_token(&signet.site).await);
    ada.is_let_in(&at_public_client).await;
    introspector.introspects(&signet.site, &denied.access).await.active();
    signet.runs(&["client", "delete", &public_client.id]).await.well();
    signet.runs(&["client", "delete", &service.id]).await.well();
    eventually(Duration::from_secs(5), "the deleted clients' tokens are refused", async || {
        let users = ada.looks(&at_public_client).await.status == 401;
        users && introspector.introspects(&signet.site, &denied.access).await.text() == r#"{"active":false}"#
    })
    .await;
    ada.is_shut_out(&at_public_client).await;
    public_client.refreshes(&signet.site, &at_public_client).await.refused("invalid_client");
    service.introspects(&signet.site, &denied.access).await.refused("invalid_client");
    ada.is_logged_in(&own).await;
    introspector.introspects(&signet.site, &good.access).await.active();
}

/// Deletes the client while it asks for tokens without a pause; all that it got.
async fn tokens_got_while_deleted(env: &TestEnv, site: &Site) -> Vec<String> {
    let service = env.registers_service(&[]).await;
    let mut got = vec![service.gets_a_token(site).await.access];
    let delete = ["client", "delete", &service.id];
    let asks = async {
        loop {
            let answer = service.posts(site, "/oauth/token", &[("grant_type", "client_credentials")]).await;
            match answer.status {
                200 => got.push(answer.granted().access),
                401 => return,
                _ => {}
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (deleted, ()) = tokio::join!(env.runs(&delete), asks);
    deleted.well();
    got
}

/// The service learns of the deletion a moment later; tokens issued in that moment must end too.
async fn a_token_got_while_its_client_is_deleted_does_not_last(mut env: TestEnv) {
    env.set("issuer", "http://127.0.0.1:8080");
    let introspector = env.registers_service(&["--audience", "http://127.0.0.1:8080"]).await;
    let process = env.serves(&[]).ready().await;
    let mut got = Vec::new();
    for quarter in 0..4 {
        // Not a wait: the service polls once a second, and each quarter of a second is another case.
        tokio::time::sleep(Duration::from_millis(250) * quarter).await;
        got.extend(tokens_got_while_deleted(&env, &process.site).await);
    }
    eventually(Duration::from_secs(5), "all of them are refused", async || {
        let mut active = 0;
        for token in &got {
            active += u32::from(introspector.introspects(&process.site, token).await.json()["active"] == true);
        }
        active == 0
    })
    .await;
}

/// Once refused, a token stays so: the deletion is remembered for longer than any token of the client lives.
async fn a_deleted_clients_token_never_comes_back(mut env: TestEnv) {
    env.set("issuer", "http://127.0.0.1:8080");
    let introspector = env.registers_service(&["--audience", "http://127.0.0.1:8080"]).await;
    env.set("access_token_ttl", "3s");
    let process = env.serves(&[]).ready().await;
    for quarter in 0..4 {
        // Not a wait: tokens carry whole seconds, and the service polls once a second, so each quarter is another case.
        tokio::time::sleep(Duration::from_millis(250) * quarter).await;
        let last = tokens_got_while_deleted(&env, &process.site).await.pop().expect("some");
        let end = jwt::claims(&last)["exp"].as_i64().expect("a time");
        let mut refused = false;
        while SystemClock.now().timestamp() <= end {
            let active = introspector.introspects(&process.site, &last).await.json()["active"] == true;
            assert!(!(refused && active), "it was refused, and is good again");
            refused |= !active;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(refused);
    }
}

/// A logout counts even if the client hangs up: if the session has ended in the database, every endpoint refuses it.
async fn a_client_that_hangs_up_is_logged_out_all_the_same(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let mut left: Vec<Tokens> = Vec::new();
    for n in 0..100 {
        let tokens = ada.logs_in().await;
        let mut line = Line::to(&signet.site).await;
        let request = format!(
            "DELETE /v1/sessions/current HTTP/1.1\r\nHost: signet\r\nAuthorization: Bearer {}\r\n\r\n",
            tokens.access
        );
        line.send(request.as_bytes()).await;
        // Not a wait: each client hangs up at another moment of its request.
        tokio::time::sleep(Duration::from_micros(100 * n)).await;
        drop(line);
        left.push(tokens);
    }
    let mut ended = 0;
    for tokens in &left {
        if ada.refreshes(tokens).await.status == 400 {
            ended += 1;
            eventually(Duration::from_secs(2), "the access token is refused too", async || {
                ada.looks(tokens).await.status == 401
            })
            .await;
        }
    }
    assert!(ended >= 10, "only {ended} of 100 requests were heard at all");
}

/// An ended session is refused at the original service's routes as well.
async fn an_ended_session_opens_no_original_route(signet: TestApp) {
    let ada: Person = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let body = json!({"session_id": tokens.access});
    signet.site.post("/users/session_auth").json(&body).answer().await.is(200);
    ada.revokes(&tokens.refresh).await.is(200);
    signet.site.post("/users/session_auth").json(&body).answer().await.is(401);
}

stories![
    nobody_revokes_anothers_token,
    a_client_that_does_not_prove_itself_revokes_nothing,
    what_is_no_token_is_revoked_already,
    any_refresh_token_of_a_session_revokes_it,
    a_refresh_token_that_has_run_out_still_revokes_its_session,
    an_access_token_revokes_its_session,
    a_clients_token_is_denied_with_its_twin,
    a_denied_token_stays_denied_over_a_restart,
    the_twin_of_a_users_token_ends_with_its_session,
    a_password_change_ends_every_other_session,
    an_account_that_is_deleted_ends_every_session,
    a_client_that_is_deleted_takes_its_tokens_with_it,
    a_token_got_while_its_client_is_deleted_does_not_last,
    a_deleted_clients_token_never_comes_back,
    a_client_that_hangs_up_is_logged_out_all_the_same,
    an_ended_session_opens_no_original_route,
];
