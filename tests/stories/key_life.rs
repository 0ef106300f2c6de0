//! The life of keys: published, active, retired, gone, by command and by the clock alone.

use std::{fs, time::Duration};

use serde_json::Value;

use crate::harness::{
    Ask, Person, Site, TestApp, TestEnv, TestEnvBuilder, eventually, jwt, process::Process, run, seconds, stories,
    stories_on, test_env::list,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// The identifiers in the key set.
pub(crate) async fn kids(site: &Site) -> Vec<String> {
    let set = site.get("/.well-known/jwks.json").answer().await.is(200).json();
    set["keys"].as_array().expect("keys").iter().map(|key| key["kid"].as_str().expect("text").to_owned()).collect()
}

/// What `signet keys list` says of the keys in this state, of this algorithm.
pub(crate) async fn keys(env: &TestEnv, alg: &str, state: &str) -> Vec<Value> {
    let all = env.runs(&["keys", "list", "--json"]).await.well().json();
    list(&all).iter().filter(|key| key["alg"] == alg && key["state"] == state).cloned().collect()
}

/// The identifier of the one key in this state, of this algorithm.
pub(crate) async fn kid(env: &TestEnv, alg: &str, state: &str) -> String {
    let keys = keys(env, alg, state).await;
    assert_eq!(keys.len(), 1, "{keys:?}");
    keys[0]["kid"].as_str().expect("text").to_owned()
}

/// For how long caches may keep the key set, in seconds.
async fn max_age(site: &Site) -> u64 {
    let answer = site.get("/.well-known/jwks.json").answer().await.is(200);
    let (_, age) = answer.header("cache-control").split_once("max-age=").expect("an age");
    age.parse().expect("a number")
}

async fn a_rotated_key_passes_through_its_states(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let old = kid(&signet, "ES256", "active").await;
    assert_eq!(jwt::header(&ada.logs_in().await.access)["kid"], old);
    assert_eq!(max_age(&signet.site).await, 300);

    let made = signet.runs(&["keys", "rotate", "--json"]).await.well().json();
    let new = made["kid"].as_str().expect("text").to_owned();
    assert_eq!((&made["alg"], &made["state"]), (&"ES256".into(), &"published".into()));
    assert_eq!(kid(&signet, "ES256", "published").await, new);
    eventually(PATIENCE, "both are published", async || kids(&signet.site).await.len() == 2).await;
    signet.clock.advance(seconds(300));
    let before = ada.logs_in().await;
    assert_eq!(jwt::header(&before.access)["kid"], old, "verifiers may not know the new one yet");
    let age = max_age(&signet.site).await;
    assert!((10..=60).contains(&age), "no cache holds the set for long past the change: {age}");

    signet.clock.advance(seconds(120));
    let after = ada.logs_in().await;
    assert_eq!(jwt::header(&after.access)["kid"], new);
    assert_eq!(max_age(&signet.site).await, 300);
    // What the old key signed is good until it expires.
    ada.is_let_in(&before).await;
    assert_eq!(kids(&signet.site).await.len(), 2);
    ada.refreshes(&before).await.granted();

    signet.clock.advance(seconds(1100));
    assert_eq!(kids(&signet.site).await, [new]);
    ada.logs_in().await;
}

/// Gateways that kept the key set refused the tokens of a restarted service for five minutes.
async fn the_first_key_of_a_further_algorithm_waits(mut signet: TestApp) {
    let ada = signet.registers("ada").await;
    let algorithm = async |ada: &Person| jwt::header(&ada.logs_in().await.access)["alg"].clone();
    assert_eq!(algorithm(&ada).await, "ES256", "the first of an installation is active at once");
    signet.clock.advance(seconds(30));
    signet.restart_with(&[("signing_algorithm", "EdDSA")]).await;
    let ada = ada.at(&signet.site);
    assert_eq!(kids(&signet.site).await.len(), 2, "it is published at once");
    assert_eq!(algorithm(&ada).await, "ES256");
    assert_eq!(keys(&signet, "EdDSA", "published").await.len(), 1);
    signet.clock.advance(seconds(355));
    assert_eq!(algorithm(&ada).await, "ES256");
    signet.clock.advance(seconds(10));
    assert_eq!(algorithm(&ada).await, "EdDSA");
}

async fn a_longer_lead_time_holds_a_key_back(builder: TestEnvBuilder) {
    let signet = builder.set("key_lead_time", "2h").open().await;
    let ada = signet.registers("ada").await;
    let old = kid(&signet, "ES256", "active").await;
    signet.runs(&["keys", "rotate"]).await.well();
    eventually(PATIENCE, "both are published", async || kids(&signet.site).await.len() == 2).await;
    signet.clock.advance(seconds(7000));
    assert_eq!(jwt::header(&ada.logs_in().await.access)["kid"], old);
    signet.clock.advance(seconds(300));
    assert_ne!(jwt::header(&ada.logs_in().await.access)["kid"], old);
    signet.runs_with(&[("key_lead_time", "5m")], &["keys", "list"]).await.with(2, &["key_lead_time", "6m"]);
}

/// Nobody is logged out: refresh tokens under the old root secret are good until they expire.
async fn a_new_root_secret_logs_nobody_out(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let (first, old) = (ada.logs_in().await, kid(&signet, "root", "active").await);
    assert_eq!(jwt::header(&first.refresh)["kid"], old);
    let made = signet.runs(&["keys", "rotate", "--alg", "root", "--json"]).await.well().json();
    // Until the service has read the file, its next token is under the old one in any case.
    let read = || fs::read_dir(signet.keys()).expect("ours").flatten();
    assert_eq!(read().filter(|entry| entry.path().extension().is_some_and(|end| end == "secret")).count(), 2);
    eventually(PATIENCE, "the new one signs", async || {
        signet.clock.advance(seconds(60));
        jwt::header(&ada.logs_in().await.refresh)["kid"] == made["kid"]
    })
    .await;
    let second = ada.refreshes(&first).await.granted();
    assert_eq!(jwt::header(&second.refresh)["kid"], made["kid"]);
    // The old one is not needed for her any more.
    signet.runs(&["keys", "revoke", &old]).await.well();
    ada.refreshes(&second).await.granted();
}

async fn lived_in(env: &TestEnv) {
    let process = env.serves(&[]).ready().await;
    process.signal("TERM");
    process.ends().await.well();
}

/// Gives the files of this kind these names, oldest first.
fn rename(env: &TestEnv, ending: &str, names: &[&str]) {
    let files = fs::read_dir(env.keys()).expect("ours").flatten().map(|entry| entry.path());
    let mut files: Vec<_> = files.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    files.sort();
    assert_eq!(files.len(), names.len(), "{files:?}");
    for (file, name) in files.iter().zip(names) {
        fs::rename(file, env.keys().join(name)).expect("ours");
    }
}

/// Only what no live token needs is deleted, and of a signing key the public half stays for hints at who logs out.
async fn what_is_gone_is_pruned(env: TestEnv) {
    lived_in(&env).await;
    env.runs(&["keys", "prune"]).await.well();
    assert_eq!(keys(&env, "ES256", "active").await.len(), 1, "a live key stays");
    for alg in ["ES256", "root"] {
        env.runs(&["keys", "rotate", "--alg", alg]).await.well();
    }
    assert!(env.runs(&["keys", "prune", "--json"]).await.well().json().as_array().is_some_and(Vec::is_empty));
    rename(&env, "-ES256.pem", &["20200101T000000Z-ES256.pem", "20200601T000000Z-ES256.pem"]);
    rename(&env, "-root.secret", &["20200101T000000Z-root.secret", "20200601T000000Z-root.secret"]);
    let (gone, active) = (kid(&env, "ES256", "gone").await, kid(&env, "ES256", "active").await);
    let table = env.runs(&["keys", "list"]).await.well().out;
    assert!(table.lines().any(|line| line.contains(&gone) && line.contains(" gone ")), "{table}");

    let pruned = env.runs(&["keys", "prune", "--json"]).await.well().json();
    assert_eq!(list(&pruned).len(), 2, "{pruned}");
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(env.keys()).expect("ours").flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        names
    };
    let left = ["20200101T000000Z-ES256.jwk", "20200601T000000Z-ES256.pem", "20200601T000000Z-root.secret"];
    assert_eq!(names(), left);
    let kept = fs::read_to_string(env.keys().join(left[0])).expect("ours");
    assert!(kept.contains(&gone) && !kept.contains("\"d\""), "{kept}");
    assert_eq!(kid(&env, "ES256", "gone").await, gone);
    let process = env.serves(&[]).ready().await;
    assert_eq!(kids(&process.site).await, [active]);
    Person::registers(&process.site, "ada").await.logs_in().await;
    // No session of that time lives, so no hint is needed.
    env.runs(&["keys", "prune"]).await.well();
    assert_eq!(names(), left[1..]);
    eventually(PATIENCE, "the service goes on", async || kids(&process.site).await.len() == 1).await;
    Person::registers(&process.site, "bob").await.logs_in().await;
}

/// For gateways that read no JWKS.
async fn public_keys_are_exported(env: TestEnv) {
    let process = env.serves(&[]).ready().await;
    let of_site = process.site.get("/.well-known/jwks.json").answer().await.is(200).json();
    let set = env.runs(&["keys", "export", "--format", "jwk"]).await.well().json();
    assert_eq!(set, of_site);
    let kid = kid(&env, "ES256", "active").await;
    let one = env.runs(&["keys", "export", &kid, "--json"]).await.well().json();
    assert_eq!(one, set["keys"][0]);
    env.runs(&["keys", "rotate", "--alg", "EdDSA"]).await.well();
    let pem = env.runs(&["keys", "export"]).await.well().out;
    assert_eq!(pem.matches("-----BEGIN PUBLIC KEY-----").count(), 2, "{pem}");
    assert!(!pem.contains("PRIVATE"), "{pem}");
    env.runs(&["keys", "export", "no-such-key"]).await.with(1, &["no-such-key", "signet keys export"]);
}

async fn wrong_words_are_refused(env: TestEnv) {
    env.runs(&["keys", "list"]).await.with(1, &["there is no database"]);
    lived_in(&env).await;
    env.runs(&["keys", "rotate", "--alg", "HS256"]).await.with(2, &["HS256"]);
    env.runs(&["keys", "revoke", "no-such-key"]).await.with(1, &["no-such-key", "signet keys list"]);
    env.runs(&["keys", "revoke"]).await.with(2, &["KID"]);
    for action in ["list", "rotate", "prune", "revoke", "export"] {
        let help = env.runs(&["keys", action, "--help"]).await.well().out;
        assert!(help.contains("Examples:") && help.contains(&format!("signet keys {action}")), "{help}");
    }
    // Another installation's folder: nothing is made in it.
    let elsewhere = run::folder().join("keys");
    let environment = env.environment(&[("keys_dir", &elsewhere.display().to_string())]);
    for arguments in [&["keys", "rotate"][..], &["keys", "prune"]] {
        let ended = Process::start(&env.folder, &environment, arguments, "").ends().await;
        ended.with(2, &[&elsewhere.display().to_string()]);
    }
    assert!(!elsewhere.exists());
}

stories![
    a_rotated_key_passes_through_its_states,
    the_first_key_of_a_further_algorithm_waits,
    a_new_root_secret_logs_nobody_out,
    what_is_gone_is_pruned,
];

stories_on![Sqlite:
    a_longer_lead_time_holds_a_key_back,
    public_keys_are_exported,
    wrong_words_are_refused,
];
