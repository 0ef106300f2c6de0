//! Status lists (draft-ietf-oauth-status-list): how gateways learn which sessions are over.

use std::{collections::HashSet, io::Read, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use entity::session::{Column, Entity};
use flate2::read::ZlibDecoder;
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter,
    sea_query::{Expr, ExprTrait},
};
use serde_json::Value;
use uuid::Uuid;

use crate::harness::{
    Ask, Durability, Site, TestApp, TestEnvBuilder, Tokens, eventually, jwt, seconds, stories, stories_on,
};

const LIST: &str = "/oauth/status-lists/0";

/// The `status` claim of a token: the list's URI and the index.
fn place_of(tokens: &Tokens) -> (String, u64) {
    let status = jwt::claims(&tokens.access)["status"]["status_list"].clone();
    let uri = status["uri"].as_str().unwrap_or_else(|| panic!("no uri: {status}"));
    (uri.to_owned(), status["idx"].as_u64().unwrap_or_else(|| panic!("no idx: {status}")))
}

/// The claims of the first list.
async fn claims(site: &Site) -> Value {
    jwt::claims(&site.get(LIST).answer().await.is(200).text())
}

/// The list that these claims hold, as a gateway reads it.
fn bits(claims: &Value) -> Vec<u8> {
    let list = &claims["status_list"];
    assert_eq!(list["bits"], 1);
    let compressed = URL_SAFE_NO_PAD.decode(list["lst"].as_str().expect("text")).expect("base64url");
    let mut bytes = Vec::new();
    ZlibDecoder::new(compressed.as_slice()).read_to_end(&mut bytes).expect("zlib data");
    assert_eq!(bytes.len() * 8, 1 << 20);
    bytes
}

/// Whether the list says that the token is over.
pub(crate) async fn is_over(site: &Site, tokens: &Tokens) -> bool {
    let (_, index) = place_of(tokens);
    let bits = bits(&claims(site).await);
    bits[usize::try_from(index / 8).expect("small")] >> (index % 8) & 1 == 1
}

async fn a_list_that_is_not_there_is_not_found(signet: TestApp) {
    signet.registers("ada").await.logs_in().await;
    for name in ["1", "00", "-1", "+0", "65535", "65536", "x", "0x0", "%30%20", "%00", "0.0", "99999999999999999999"] {
        signet.site.get(&format!("/oauth/status-lists/{name}")).answer().await.some_problem(404);
    }
    for path in ["/oauth/status-lists", "/oauth/status-lists/", "/oauth/status-lists/0/0"] {
        signet.site.get(path).answer().await.is(404);
    }
    signet.site.post(LIST).answer().await.is(405);
}

async fn a_log_out_sets_one_bit(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let (ended, live, revoked) = (ada.logs_in().await, ada.logs_in().await, ada.logs_in().await);
    for tokens in [&ended, &live, &revoked] {
        assert!(!is_over(&signet.site, tokens).await);
    }
    assert!(bits(&claims(&signet.site).await).iter().all(|byte| *byte == 0));
    let refreshed = ada.refreshes(&ended).await.granted();
    assert_eq!(place_of(&refreshed), place_of(&ended), "all tokens of a session share its place");
    ada.logs_out(&ended).await;
    ada.revokes(&revoked.refresh).await.is(200);
    eventually(Duration::from_secs(3), "the list says so", async || {
        is_over(&signet.site, &ended).await && is_over(&signet.site, &revoked).await
    })
    .await;
    let ones: u32 = bits(&claims(&signet.site).await).iter().map(|byte| byte.count_ones()).sum();
    assert_eq!(ones, 2, "and of no other session");
    ada.is_logged_in(&live).await;
}

async fn a_list_is_what_the_draft_says(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let (uri, _) = place_of(&tokens);
    assert_eq!(uri, format!("{}{LIST}", signet.issuer));
    let answer = signet.site.get(LIST).header("accept", "application/statuslist+jwt").answer().await.is(200);
    assert_eq!(answer.header("content-type"), "application/statuslist+jwt");
    let (header, claims) = (jwt::header(&answer.text()), jwt::claims(&answer.text()));
    assert_eq!((&header["typ"], &header["alg"]), (&"statuslist+jwt".into(), &"ES256".into()));
    let jwks = signet.site.get("/.well-known/jwks.json").answer().await.is(200).json();
    let keys = jwks["keys"].as_array().expect("keys");
    assert!(keys.iter().any(|key| key["kid"] == header["kid"]), "{header}: {jwks}");
    assert_eq!((&claims["sub"], &claims["ttl"]), (&uri.into(), &60.into()));
    let (issued, expires) = (claims["iat"].as_i64().expect("iat"), claims["exp"].as_i64().expect("exp"));
    assert_eq!(issued, jwt::claims(&tokens.access)["iat"].as_i64().expect("iat"), "the clock stands still");
    assert!(expires > issued + 60, "a copy must be good for its ttl");
    // Neither is accepted as an access token.
    signet.site.user_info(&answer.text()).await.challenges(401, "invalid_token");
}

async fn a_copy_that_is_still_good_is_not_sent_again(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let answer = signet.site.get(LIST).answer().await.is(200);
    let tag = answer.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    let asks = async |tag: &str| signet.site.get(LIST).header("if-none-match", tag).answer().await;
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let answer = asks(&known).await.is(304);
        assert_eq!((answer.text().as_str(), answer.header("etag")), ("", tag.as_str()));
    }
    asks("\"other\"").await.is(200);
    ada.logs_out(&tokens).await;
    eventually(Duration::from_secs(3), "there is a new list", async || asks(&tag).await.status == 200).await;
}

async fn a_list_is_signed_again_before_its_copy_ends(signet: TestApp) {
    signet.registers("ada").await.logs_in().await;
    let first = claims(&signet.site).await;
    signet.clock.advance(seconds(61));
    eventually(Duration::from_secs(3), "it has a new time", async || claims(&signet.site).await["iat"] != first["iat"])
        .await;
    assert_eq!(claims(&signet.site).await["iat"], first["iat"].as_i64().expect("iat") + 61);
}

async fn no_two_sessions_share_a_place(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let mut places = HashSet::new();
    let mut last = ada.logs_in().await;
    places.insert(place_of(&last));
    for _ in 0..50 {
        last = ada.logs_in().await;
        assert!(places.insert(place_of(&last)));
    }
    // The draw is random; the database rejects an index that is taken.
    let sid = Uuid::parse_str(&jwt::sid(&last.access)).expect("a UUID");
    let other = places.iter().map(|(_, index)| *index).find(|index| *index != place_of(&last).1).expect("many");
    let index = i32::try_from(other).expect("below 2^20");
    let moved = Entity::update_many().col_expr(Column::StatusIndex, Expr::value(index)).filter(Column::Id.eq(sid));
    let error = moved.exec(&signet.store().await).await.expect_err("it is taken");
    assert!(matches!(error.sql_err(), Some(sea_orm::SqlErr::UniqueConstraintViolation(_))), "{error}");
}

/// Fills the first list up to a few indexes, so that logins often draw a taken one.
async fn a_full_list_gives_way_to_the_next(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let store = signet.store().await;
    let columns = "user_id, client_id, scope, resource, username, roles, amr, generation, authenticated_at, \
        created_at, rotated_at, idle_ends_at, ends_at, access_ends_at, status_list, ended_at, end_reason, user_agent, ip";
    let fill = format!(
        "INSERT INTO session (id, status_index, {columns}) SELECT gen_random_uuid(), place, {columns} FROM session, \
         generate_series(0, {}) AS place WHERE place <> status_index",
        (1 << 20) - 1
    );
    sea_orm::ConnectionTrait::execute_unprepared(&store, &fill).await.expect("the rows are inserted");
    for _ in 0..5 {
        let tokens = ada.logs_in().await;
        assert_eq!(place_of(&tokens).0, format!("{}/oauth/status-lists/1", signet.issuer));
    }
    eventually(Duration::from_secs(3), "the second list is served", async || {
        signet.site.get("/oauth/status-lists/1").answer().await.status == 200
    })
    .await;
    let rest = Expr::col(Column::Id).ne(Uuid::parse_str(&jwt::sid(&tokens.access)).expect("a UUID"));
    Entity::delete_many().filter(Column::StatusList.eq(0)).filter(rest).exec(&store).await.expect("they are deleted");
    ada.is_logged_in(&tokens).await;
}

async fn a_token_without_a_session_has_no_status(signet: TestApp) {
    let service = signet.registers_service(&[]).await;
    let own = service.gets_a_token(&signet.site).await;
    assert!(jwt::claims(&own.access).get("status").is_none());
}

/// Gateways go on with the last list; its `iat` shows its age.
async fn without_its_database_the_last_list_is_served(builder: TestEnvBuilder) {
    let signet = builder.on_its_own_cluster(Durability::None).open().await;
    let ada = signet.registers("ada").await;
    let (ended, live) = (ada.logs_in().await, ada.logs_in().await);
    ada.logs_out(&ended).await;
    eventually(Duration::from_secs(3), "the list says so", async || is_over(&signet.site, &ended).await).await;
    signet.site.user_info(&live.access).await.is(200); // what it says of the user is remembered from now on
    let before = claims(&signet.site).await;
    signet.cluster().stop();
    eventually(Duration::from_secs(15), "it does not judge tokens any more", async || {
        signet.site.user_info(&live.access).await.status == 503
    })
    .await;
    signet.clock.advance(seconds(120));
    for _ in 0..3 {
        let list = claims(&signet.site).await;
        assert_eq!(list, before, "nothing in it is newer than what we know");
    }
    signet.site.get("/oauth/status-lists/9").answer().await.unavailable(); // whether there is one, only the database knows
    signet.cluster().start();
    eventually(Duration::from_secs(30), "the list is fresh again", async || {
        claims(&signet.site).await["iat"] != before["iat"]
    })
    .await;
    assert!(is_over(&signet.site, &ended).await && !is_over(&signet.site, &live).await);
}

/// The first gateway may ask only when the database is gone already.
async fn a_list_that_nobody_asked_for_yet_is_there_without_the_database(builder: TestEnvBuilder) {
    let signet = builder.on_its_own_cluster(Durability::None).open().await;
    signet.cluster().stop();
    eventually(Duration::from_secs(15), "it does not know the newest revocations", async || {
        signet.site.get("/readyz").answer().await.status == 503
    })
    .await;
    assert_eq!(claims(&signet.site).await["ttl"], 60);
    signet.cluster().start();
}

stories![a_log_out_sets_one_bit, no_two_sessions_share_a_place];

stories_on![Sqlite:
    a_list_that_is_not_there_is_not_found,
    a_list_is_what_the_draft_says,
    a_copy_that_is_still_good_is_not_sent_again,
    a_list_is_signed_again_before_its_copy_ends,
    a_token_without_a_session_has_no_status,
];

stories_on![Postgres:
    a_full_list_gives_way_to_the_next,
    without_its_database_the_last_list_is_served,
    a_list_that_nobody_asked_for_yet_is_there_without_the_database,
];
