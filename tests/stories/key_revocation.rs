//! A compromised key is dropped: every replica refuses what it signed, and the next key takes its place at once.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::Duration,
};

use url::form_urlencoded;

use crate::{
    harness::{
        Ask, Person, Site, TestApp, TestEnv, Tokens,
        browser_session::{BrowserSession, location},
        eventually, jwt,
        process::Process,
        relying_party::RelyingParty,
        run, seconds, stories, stories_on,
        test_env::Client,
    },
    key_life::{keys, kid, kids},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// The bound on a revocation without a notification, and as much again for a loaded machine.
const BOUND: Duration = Duration::from_secs(10);

fn copy(from: &Path, to: &Path) {
    if !to.exists() {
        fs::create_dir(to).expect("ours");
        fs::set_permissions(to, Permissions::from_mode(0o700)).expect("ours");
    }
    for file in fs::read_dir(from).expect("ours").flatten() {
        fs::copy(file.path(), to.join(file.file_name())).expect("ours");
    }
}

/// Whether every endpoint that judges access tokens takes this one, or none does.
async fn is_taken(site: &Site, introspector: &Client, tokens: &Tokens) -> Option<bool> {
    let bearer = async |path: &str| site.get(path).bearer_auth(&tokens.access).answer().await.status == 200;
    let all = [
        bearer("/v1/users/me").await,
        bearer("/v1/sessions").await,
        bearer("/oauth/userinfo").await,
        bearer("/oauth/check").await,
        introspector.introspects(site, &tokens.access).await.json()["active"] == true,
    ];
    let first = all[0];
    all.iter().all(|one| *one == first).then_some(first)
}

/// The drill of docs/operations.md on two replicas, one of which has a folder of its own and has seen the token before.
async fn a_revoked_key_is_refused_by_every_replica(signet: TestApp) {
    let own = run::folder().join("own keys");
    copy(&signet.keys(), &own);
    let replica = signet.replica_with(&[("keys_dir", &own.display().to_string())]).await;
    let introspector = signet.registers_service(&["--audience", &signet.issuer]).await;
    let ada = signet.registers("ada").await;
    let stolen = ada.logs_in().await;
    for site in [&signet.site, &replica.site] {
        assert_eq!(is_taken(site, &introspector, &stolen).await, Some(true));
    }
    let leaked = kid(&signet, "ES256", "active").await;
    let list_kid = async || {
        let list = signet.site.get("/oauth/status-lists/0").answer().await.is(200).text();
        jwt::header(list.trim())["kid"].as_str().expect("text").to_owned()
    };
    assert_eq!(list_kid().await, leaked);
    let done = signet.runs(&["keys", "revoke", &leaked, "--json"]).await.well().json();
    let next = done["active"].as_str().expect("a key").to_owned();
    assert!(done["file_left"].is_null() && next != leaked, "{done}");
    for site in [&signet.site, &replica.site] {
        eventually(BOUND, "it is refused", async || is_taken(site, &introspector, &stolen).await == Some(false)).await;
        assert!(!kids(site).await.contains(&leaked), "the key set drops it");
    }
    assert_eq!(kids(&signet.site).await, [next.as_str()]);
    // Gateways could not verify a list under the leaked key, and its copy would last for a minute.
    eventually(PATIENCE, "the status list is under the next key", async || list_kid().await == next).await;
    // Refresh tokens are under the root secret, so sessions go on, under the next key.
    let refreshed = ada.refreshes(&stolen).await.granted();
    assert_eq!(jwt::header(&refreshed.access)["kid"], next);
    assert_eq!(is_taken(&signet.site, &introspector, &refreshed).await, Some(true));
    // The other folder does not have the next key yet: no false refusal, and no token under the leaked key.
    ada.at(&replica.site).refreshes(&refreshed).await.unavailable();
    copy(&signet.keys(), &own);
    eventually(PATIENCE, "it has read the next key", async || kids(&replica.site).await == [next.as_str()]).await;
    assert!(own.join(signet.key_files()[0].file_name().expect("a file")).exists());
    ada.at(&replica.site).refreshes(&refreshed).await.granted();
    assert_eq!(keys(&signet, "ES256", "revoked").await[0]["kid"], leaked);
    replica.stop().await;
}

/// An old backup of the folder does not bring it back.
async fn a_revoked_key_stays_revoked(env: TestEnv) {
    let process = env.serves(&[]).ready().await;
    let ada = Person::registers(&process.site, "ada").await;
    let stolen = ada.logs_in().await;
    let backup = run::folder().join("backup");
    copy(&env.keys(), &backup);
    let leaked = kid(&env, "ES256", "active").await;
    env.runs(&["keys", "revoke", &leaked]).await.well();
    eventually(BOUND, "it is refused", async || ada.looks(&stolen).await.status == 401).await;
    copy(&backup, &env.keys());
    env.runs(&["keys", "list"]).await.well();
    let next = ada.refreshes(&stolen).await.granted();
    let process = restart(&env, process).await;
    let ada = ada.at(&process.site);
    assert_eq!(ada.looks(&stolen).await.status, 401, "after a restart");
    assert!(!kids(&process.site).await.contains(&leaked));
    ada.is_let_in(&next).await;
    // Done again, it removes the file that has come back.
    assert_eq!(env.key_files().len(), 2);
    env.runs(&["keys", "revoke", &leaked]).await.well();
    assert_eq!(env.key_files().len(), 1);
}

async fn restart(env: &TestEnv, process: Process) -> Process {
    let listen = process.site.base().trim_start_matches("http://").to_owned();
    process.signal("TERM");
    process.ends().await.well();
    env.serves(&[("listen", &listen)]).ready().await
}

/// Without waiting for its lead time: to go on with the leaked key would be worse.
async fn the_published_key_takes_over_at_once(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let leaked = kid(&signet, "ES256", "active").await;
    signet.runs(&["keys", "rotate"]).await.well();
    let next = kid(&signet, "ES256", "published").await;
    let done = signet.runs(&["keys", "revoke", &leaked, "--json"]).await.well().json();
    assert_eq!(done["active"], next.as_str(), "no further key is made");
    signet.clock.advance(seconds(5));
    eventually(BOUND, "it signs", async || jwt::header(&ada.logs_in().await.access)["kid"] == next.as_str()).await;
    assert_eq!(kids(&signet.site).await, [next]);
    // A key that does not sign yet is dropped without a change.
    signet.runs(&["keys", "rotate"]).await.well();
    let waiting = kid(&signet, "ES256", "published").await;
    let done = signet.runs(&["keys", "revoke", &waiting, "--json"]).await.well().json();
    assert!(done["active"].is_null(), "{done}");
    eventually(BOUND, "it is gone", async || kids(&signet.site).await.len() == 1).await;
}

/// A thief with the root secret could make refresh tokens, so the old ones are worth nothing.
async fn a_revoked_root_secret_takes_its_refresh_tokens_along(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let leaked = kid(&signet, "root", "active").await;
    assert_eq!(jwt::header(&tokens.refresh)["kid"], leaked);
    let done = signet.runs(&["keys", "revoke", &leaked, "--json"]).await.well().json();
    assert!(done["active"].is_string() && done["alg"] == "root", "{done}");
    signet.clock.advance(seconds(5));
    eventually(BOUND, "it is refused", async || ada.refreshes(&tokens).await.status == 400).await;
    ada.refreshes(&tokens).await.refused("invalid_grant");
    ada.is_let_in(&tokens).await;
    let next = ada.logs_in().await;
    assert_eq!(jwt::header(&next.refresh)["kid"], done["active"]);
    ada.refreshes(&next).await.granted();
}

/// Where the client of the story below gets its browsers back.
const BYE: &str = "https://app.example.com/bye";

/// A client may name a login by an ID token as old as the login itself; but a thief with its key could name any.
async fn a_hint_at_who_logs_out_outlives_its_key_and_not_its_revocation(signet: TestApp) {
    let app = RelyingParty::registers_with(&signet, &["--first-party", "--post-logout-redirect-uri", BYE]).await;
    let ada = signet.registers("ada").await;
    let logout = async |browser: &BrowserSession, hint: &str| {
        let query = [("id_token_hint", hint), ("post_logout_redirect_uri", BYE)];
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        location(&browser.opens(&format!("/oauth/logout?{query}")).await)
    };
    let browser = BrowserSession::at(&signet);
    let (_, hint) = app.logs_in(&browser, &ada).await;
    let old = jwt::header(&hint)["kid"].as_str().expect("text").to_owned();
    signet.runs(&["keys", "rotate", "--alg", "RS256"]).await.well();
    signet.clock.advance(seconds(7200));
    eventually(PATIENCE, "the old key is gone", async || !kids(&signet.site).await.contains(&old)).await;
    assert!(logout(&browser, &hint).await.starts_with(BYE), "nobody is asked");

    let (_, hint) = app.logs_in(&browser, &ada).await;
    let new = jwt::header(&hint)["kid"].as_str().expect("text").to_owned();
    assert_ne!(new, old);
    signet.runs(&["keys", "revoke", &new]).await.well();
    eventually(BOUND, "the key is dropped", async || !kids(&signet.site).await.contains(&new)).await;
    assert!(logout(&browser, &hint).await.starts_with("/logout"), "the person is asked");
}

stories![
    a_revoked_key_stays_revoked,
    the_published_key_takes_over_at_once,
    a_revoked_root_secret_takes_its_refresh_tokens_along,
];

stories_on![Postgres: a_revoked_key_is_refused_by_every_replica];

stories_on![Sqlite: a_hint_at_who_logs_out_outlives_its_key_and_not_its_revocation];
