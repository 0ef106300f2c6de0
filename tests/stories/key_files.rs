//! Keys at rest, keys of the environment, and keys that a service replaces by itself.

use std::{fs, time::Duration};

use crate::{
    harness::{
        Person, Site, TestApp, TestEnv, TestEnvBuilder, eventually, jwt, process::Process, run, seconds, stories,
        stories_on,
    },
    key_life::{keys, kid, kids},
};

const PATIENCE: Duration = Duration::from_mins(1);

async fn stops(process: Process) {
    process.signal("TERM");
    process.ends().await.well();
}

/// What the private files hold.
fn contents(env: &TestEnv) -> Vec<String> {
    let files = fs::read_dir(env.keys()).expect("ours").flatten().map(|entry| entry.path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "pem" || end == "secret"));
    files.map(|path| fs::read_to_string(path).expect("ours")).collect()
}

/// Files of before are encrypted at the next start, and nobody notices.
async fn a_passphrase_encrypts_every_private_file(env: TestEnv) {
    let process = env.serves(&[]).ready().await;
    let ada = Person::registers(&process.site, "ada").await;
    let tokens = ada.logs_in().await;
    let (listen, before) = (process.site.base(), kid(&env, "ES256", "active").await);
    stops(process).await;
    let secret = [("keys_passphrase", "correct horse battery staple")];
    let listen = ("listen", listen.trim_start_matches("http://"));
    let process = env.serves(&[secret[0], listen]).ready().await;
    assert_eq!(kids(&process.site).await, [before]);
    assert!(contents(&env).iter().all(|text| text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----")));
    let ada = ada.at(&process.site);
    let tokens = ada.refreshes(&tokens).await.granted();
    ada.is_let_in(&tokens).await;
    assert!(!process.whole_log().await.contains("correct horse"));
    // New keys are encrypted, too, and a running service reads them.
    env.runs_with(&secret, &["keys", "rotate"]).await.well();
    assert_eq!(contents(&env).iter().filter(|text| text.contains("ENCRYPTED")).count(), 3);
    eventually(PATIENCE, "it is published", async || kids(&process.site).await.len() == 2).await;
    stops(process).await;

    let file = env.key_files().remove(0).display().to_string();
    env.serves(&[]).ends().await.with(2, &[&file, "keys_passphrase"]);
    let wrong = env.serves(&[("keys_passphrase", "wrong horse")]).ends().await;
    assert!(!wrong.err.contains("wrong horse"), "{wrong:?}");
    wrong.with(2, &[&file, "another passphrase"]);
    env.runs_with(&[], &["keys", "list"]).await.with(2, &[&file, "keys_passphrase"]);
    stops(env.serves(&secret).ready().await).await;
}

/// For platforms without a disk.
async fn keys_may_come_from_the_environment(env: TestEnv) {
    let process = env.serves(&[]).ready().await;
    let ada = Person::registers(&process.site, "ada").await;
    let (tokens, kid) = (ada.logs_in().await, kid(&env, "ES256", "active").await);
    let issuer = process.site.base();
    stops(process).await;
    let mut bundle = String::new();
    for file in fs::read_dir(env.keys()).expect("ours").flatten() {
        let content = fs::read_to_string(file.path()).expect("ours");
        let name = file.file_name().into_string().expect("plain");
        bundle = [&bundle, "==> keys/", &name, " <==\n", &content, "\n"].concat();
    }
    let elsewhere = run::folder().join("nowhere");
    fs::remove_dir_all(env.keys()).expect("ours");
    let nowhere = elsewhere.display().to_string();
    let metrics = format!("127.0.0.1:{}", run::free_port());
    let settings = [
        ("keys", bundle.as_str()),
        ("keys_dir", &nowhere),
        ("issuer", &issuer),
        ("key_rotation", "6m"),
        ("metrics_listen", &metrics),
    ];
    let process = env.serves(&settings).ready().await;
    let ada = ada.at(&process.site);
    ada.is_logged_in(&tokens).await;
    assert_eq!(kids(&process.site).await, [kid.as_str()]);
    assert!(!elsewhere.exists(), "no folder is made");
    let shown = env.runs_with(&settings, &["config"]).await.well();
    assert!(!shown.out.contains("PRIVATE") && shown.out.contains("keys = "), "{shown:?}");
    env.runs_with(&settings, &["keys", "rotate"]).await.with(2, &["SIGNET_KEYS"]);
    env.runs_with(&settings, &["keys", "revoke", &kid]).await.with(2, &["SIGNET_KEYS"]);
    stops(process).await;
    // From a file: long values are unwieldy.
    let file = env.folder.join("bundle");
    fs::write(&file, &bundle).expect("ours");
    let settings = [("keys_file", file.to_str().expect("plain")), ("keys_dir", &nowhere), ("issuer", &issuer)];
    stops(env.serves(&settings).ready().await).await;
    // A kind that is missing cannot be made.
    let settings = [("keys", bundle.as_str()), ("keys_dir", &nowhere), ("signing_algorithm", "EdDSA")];
    env.serves(&settings).ends().await.with(2, &["SIGNET_KEYS", "EdDSA"]);
    // A key that is due is old: this one counts as published in 1970.
    let unnamed = bundle.lines().filter(|line| !line.starts_with("==>")).collect::<Vec<_>>().join("\n");
    let settings = [
        ("keys", unnamed.as_str()),
        ("keys_dir", &nowhere),
        ("issuer", &issuer),
        ("key_rotation", "6m"),
        ("metrics_listen", &metrics),
    ];
    let process = env.serves(&settings).ready().await;
    eventually(PATIENCE, "it says that it cannot make the next key", async || {
        let metrics = Site::at(format!("http://{metrics}")).get("/metrics").send().await.expect("it listens");
        metrics.text().await.expect("text").contains("signet_key_rotation_refused 1\n")
    })
    .await;
    let log = process.whole_log().await;
    assert!(log.contains("the next signing key is due") && log.contains("signet keys rotate"), "{log}");
    Person::registers(&process.site, "bob").await.logs_in().await;
}

/// One replica writes, and all read: neither two new keys, nor none.
async fn keys_are_replaced_by_one_replica(builder: TestEnvBuilder) {
    let signet = builder.set("key_rotation", "1h").open().await;
    let replica = signet.replica().await;
    let ada = signet.registers("ada").await;
    let sites = [&signet.site, &replica.site];
    let mut known = kids(&signet.site).await;
    for round in 0..2 {
        signet.clock.advance(seconds(3600));
        for site in sites {
            eventually(PATIENCE * 2, "the next key is published", async || {
                kids(site).await.iter().any(|kid| !known.contains(kid))
            })
            .await;
        }
        let now = kids(&signet.site).await;
        let new: Vec<_> = now.iter().filter(|kid| !known.contains(kid)).cloned().collect();
        assert_eq!(new.len(), 1, "round {round}: {now:?}");
        assert_eq!(kids(&replica.site).await, now);
        assert_ne!(jwt::header(&ada.logs_in().await.access)["kid"], new[0].as_str(), "verifiers do not know it yet");
        signet.clock.advance(seconds(361));
        for site in sites {
            assert_eq!(jwt::header(&ada.at(site).logs_in().await.access)["kid"], new[0].as_str());
        }
        known.extend(new);
    }
    replica.stop().await;
}

/// Off is the default.
async fn nothing_is_replaced_unasked(signet: TestApp) {
    signet.clock.advance(seconds(86_400 * 400));
    signet.registers("ada").await.logs_in().await;
    assert_eq!(kids(&signet.site).await.len(), 1);
    assert_eq!(keys(&signet, "ES256", "active").await.len(), 1);
}

stories![a_passphrase_encrypts_every_private_file];

stories_on![Sqlite: keys_may_come_from_the_environment, nothing_is_replaced_unasked];

stories_on![Postgres: keys_are_replaced_by_one_replica];
