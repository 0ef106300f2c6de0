//! Errors that prevent a start: one line each, with what to do.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use crate::harness::{
    Ask, Person, TestEnv,
    process::{Ended, Process},
    stories, stories_on,
};

/// Starts the service and stops it again, so that there are keys and a database.
async fn lived_in(env: &TestEnv) -> Vec<PathBuf> {
    let process = env.serves(&[]).ready().await;
    Person::registers(&process.site, "ada").await;
    process.signal("TERM");
    process.ends().await.well();
    let keys = env.key_files();
    assert!(!keys.is_empty());
    keys
}

/// Tries to start it, and waits for the end that it must come to.
async fn refuses_to_start(env: &TestEnv, more: &[(&str, &str)]) -> Ended {
    env.serves(more).ends().await
}

/// It ended with a failure and one line that has these words.
fn explains(ended: Ended, words: &[&str]) {
    let code = ended.code.filter(|code| [1, 2].contains(code)).unwrap_or_else(|| panic!("{ended:?}"));
    ended.with(code, words);
}

fn name(path: &std::path::Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).expect("key files have plain names")
}

/// Every file of the keys folder, with what is in it.
fn contents(env: &TestEnv) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(env.keys()).into_iter().flatten().flatten();
    let mut files: Vec<_> = files
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::read(path).expect("ours")))
        .collect();
    files.sort();
    files
}

async fn a_missing_key_is_not_silently_replaced(env: TestEnv) {
    for file in lived_in(&env).await {
        let bytes = fs::read(&file).expect("it is ours");
        fs::remove_file(&file).expect("it is ours");
        let before = contents(&env);
        explains(refuses_to_start(&env, &[]).await, &[&env.keys().display().to_string()]);
        assert_eq!(contents(&env), before, "nothing was made in its stead");
        fs::write(&file, bytes).expect("it is ours");
        fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("it is ours");
    }
    env.serves(&[]).ready().await; // with its key back, all is well
}

async fn a_broken_key_is_named(env: TestEnv) {
    for file in lived_in(&env).await {
        let bytes = fs::read(&file).expect("it is ours");
        let half = bytes[..bytes.len() / 2].to_vec();
        for broken in [&b""[..], b"not a key", b"\xff\xfe\x00", &half] {
            fs::write(&file, broken).expect("it is ours");
            let before = contents(&env);
            explains(refuses_to_start(&env, &[]).await, &[name(&file)]);
            assert_eq!(contents(&env), before, "nothing was made in its stead");
        }
        fs::write(&file, bytes).expect("it is ours");
    }
}

async fn a_key_that_others_can_read_is_refused(env: TestEnv) {
    for file in lived_in(&env).await {
        assert_eq!(fs::metadata(&file).expect("it is ours").permissions().mode() & 0o777, 0o600);
        for mode in [0o644, 0o604, 0o602, 0o620] {
            fs::set_permissions(&file, Permissions::from_mode(mode)).expect("it is ours");
            explains(refuses_to_start(&env, &[]).await, &[name(&file)]);
        }
        fs::set_permissions(&file, Permissions::from_mode(0o640)).expect("it is ours"); // a group may read: secret mounts
    }
    let folder = env.keys();
    fs::set_permissions(&folder, Permissions::from_mode(0o777)).expect("it is ours");
    explains(refuses_to_start(&env, &[]).await, &[&folder.display().to_string()]);
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).expect("it is ours");
    env.serves(&[]).ready().await;
}

/// A wrong mount looks like a new installation. It must not become one: every token would die.
async fn a_lost_keys_folder_is_not_a_new_installation(env: TestEnv) {
    lived_in(&env).await;
    fs::rename(env.keys(), env.folder.join("elsewhere")).expect("it is ours");
    explains(refuses_to_start(&env, &[]).await, &[&env.keys().display().to_string()]);
    assert_eq!(env.key_files(), Vec::<PathBuf>::new());
    fs::create_dir_all(env.keys()).expect("it is ours");
    explains(refuses_to_start(&env, &[]).await, &[&env.keys().display().to_string()]);
    assert_eq!(env.key_files(), Vec::<PathBuf>::new());
    fs::remove_dir(env.keys()).expect("it is ours");
    fs::rename(env.folder.join("elsewhere"), env.keys()).expect("it is ours");
    env.serves(&[]).ready().await;
}

async fn two_services_do_not_share_one_sqlite(env: TestEnv) {
    let first = env.serves(&[]).ready().await;
    let folder = env.folder.display().to_string();
    explains(refuses_to_start(&env, &[]).await, &["SQLite", &folder]);
    first.site.get("/readyz").answer().await.is(200);
    first.signal("KILL");
    first.ends().await;
    env.serves(&[]).ready().await; // the lock dies with its owner
}

async fn plain_http_stays_at_home(env: TestEnv) {
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8080"] {
        refuses_to_start(&env, &[("listen", listen)]).await.with(2, &["TLS"]);
    }
    assert_eq!(env.key_files(), Vec::<PathBuf>::new(), "nothing starts");
}

async fn a_mistake_in_the_configuration_is_named_with_its_place(env: TestEnv) {
    for (key, value, variable) in [
        ("listne", "127.0.0.1:0", "SIGNET_LISTNE"),
        ("password.memory", "64", "SIGNET_PASSWORD__MEMORY"),
        ("refresh_grace", "soon", "SIGNET_REFRESH_GRACE"),
        ("refresh_grace", "-1s", "SIGNET_REFRESH_GRACE"),
        ("signing_algorithm", "none", "SIGNET_SIGNING_ALGORITHM"),
        ("signing_algorithm", "HS256", "SIGNET_SIGNING_ALGORITHM"),
        ("issuer", "http://signet.example", "SIGNET_ISSUER"),
        ("issuer", "https://signet.example/", "SIGNET_ISSUER"),
        ("issuer", "https://signet.example/path", "SIGNET_ISSUER"),
        ("database_url", "mysql://localhost/signet", "SIGNET_DATABASE_URL"),
        ("auto_migrate", "perhaps", "SIGNET_AUTO_MIGRATE"),
        ("trusted_proxies", "10.0.0.0/99", "SIGNET_TRUSTED_PROXIES"),
        ("password.memory_kib", "-1", "SIGNET_PASSWORD__MEMORY_KIB"),
        ("tls_cert", "only-one-half.pem", "SIGNET_TLS_CERT"),
    ] {
        let ended = refuses_to_start(&env, &[(key, value)]).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        let named = ended.err.contains(variable) || ended.err.contains(key);
        assert!(named && !ended.err.contains("panicked"), "{key}={value}: {ended:?}");
    }
    assert_eq!(env.key_files(), Vec::<PathBuf>::new(), "nothing starts");
}

async fn a_mistake_in_the_file_is_named_with_the_file(env: TestEnv) {
    let file = env.folder.join("other.toml");
    let path = file.display().to_string();
    for (text, word) in [
        ("listne = \"127.0.0.1:0\"", "listne"),
        ("[password]\nmemory = 64", "memory"),
        ("refresh_grace = \"soon\"", "refresh_grace"),
        ("refresh_grace = true", "refresh_grace"),
        ("= nonsense", ""),
    ] {
        fs::write(&file, text).expect("the folder is ours");
        refuses_to_start(&env, &[("config", &path)]).await.with(2, &["other.toml", word]);
    }
    fs::remove_file(&file).expect("it is ours");
    refuses_to_start(&env, &[("config", &path)]).await.with(2, &["other.toml"]);
}

async fn kubernetes_own_variables_are_ignored(env: TestEnv) {
    let kubernetes = [
        ("service_host", "10.0.0.1"),
        ("service_port", "80"),
        ("port", "tcp://10.0.0.1:80"),
        ("port_80_tcp", "tcp://10.0.0.1:80"),
    ];
    env.serves(&kubernetes).ready().await;
}

async fn the_configuration_is_shown_without_its_secrets(mut env: TestEnv) {
    env.set("database_url", "postgres://signet:hunter2@db.example/signet");
    env.set("smtp_url", "smtps://mailer:hunter2@mail.example");
    env.set("providers.google.kind", "google");
    env.set("providers.google.client_id", "an-id");
    env.set("providers.google.client_secret", "hunter2");
    env.set("refresh_grace", "7s");
    fs::write(env.folder.join("signet.toml"), "refresh_grace = \"3s\"\nsession_ttl = \"45d\"\n")
        .expect("the folder is ours");
    let ended = env.runs(&["config"]).await.well();
    assert!(!(ended.out.clone() + &ended.err).contains("hunter2"), "{ended:?}");
    for word in ["db.example", "7s", "45d", "google"] {
        assert!(ended.out.contains(word), "no {word}: {ended:?}");
    }
    assert!(!ended.out.contains("3s"), "the environment comes before the file: {ended:?}");
}

async fn a_value_may_come_from_a_file(mut env: TestEnv) {
    let file = env.folder.join("grace");
    fs::write(&file, "7s\n").expect("the folder is ours");
    env.set("refresh_grace_file", &file.display().to_string());
    assert!(env.runs(&["config"]).await.well().out.contains("7s"));
    fs::remove_file(&file).expect("it is ours");
    let ended = env.runs(&["config"]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("SIGNET_REFRESH_GRACE_FILE"), "{ended:?}");
}

async fn migrations_go_up_and_down(env: TestEnv) {
    env.runs(&["migrate", "status"]).await.well();
    env.runs(&["migrate", "up"]).await.well();
    let up = env.runs(&["migrate", "status"]).await.well().out;
    env.runs(&["migrate", "up"]).await.well(); // once more does no harm
    let unasked = env.runs(&["migrate", "down"]).await;
    assert_eq!(unasked.code, Some(2), "it deletes data");
    assert!(unasked.err.contains("--yes"), "{}", unasked.err);
    assert_eq!(env.runs(&["migrate", "status"]).await.well().out, up, "nothing was reverted");
    env.runs(&["migrate", "down", "--yes"]).await.well();
    let down = env.runs(&["migrate", "status"]).await.well().out;
    assert_ne!(up, down);
    env.runs(&["migrate", "up"]).await.well();
    assert_eq!(env.runs(&["migrate", "status"]).await.well().out, up);
    lived_in(&env).await;
}

async fn without_migrations_it_does_not_start_unless_told_to(env: TestEnv) {
    explains(refuses_to_start(&env, &[("auto_migrate", "false")]).await, &["migrate up"]);
    env.runs(&["migrate", "up"]).await.well();
    env.serves(&[("auto_migrate", "false")]).ready().await;
}

async fn a_database_that_is_not_there_is_named_without_its_password(mut env: TestEnv) {
    let port = crate::harness::run::free_port();
    env.set("database_url", &format!("postgres://signet:hunter2@127.0.0.1:{port}/signet"));
    let ended = refuses_to_start(&env, &[]).await;
    assert!(!(ended.out.clone() + &ended.err).contains("hunter2"), "{ended:?}");
    explains(ended, &["database"]);
}

async fn wrong_usage_is_explained(env: TestEnv) {
    for arguments in [&["nonsense"][..], &["serve", "--nonsense"], &["migrate"], &["migrate", "sideways"], &["client"]]
    {
        let ended = env.runs(arguments).await;
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
        assert_ne!(ended.err, "", "{arguments:?}");
    }
    env.runs(&["--help"]).await.well();
    env.runs(&["--version"]).await.well();
}

/// With no configuration at all there is SQLite, a key, and a service.
async fn nothing_needs_to_be_configured(env: TestEnv) {
    let listen = format!("127.0.0.1:{}", crate::harness::run::free_port());
    let environment = [("SIGNET_LISTEN".to_owned(), listen), ("SIGNET_METRICS_LISTEN".to_owned(), "off".to_owned())];
    let process = Process::start(&env.folder, &environment, &[], "").ready().await;
    Person::registers(&process.site, "ada").await.logs_in().await;
    assert!(env.folder.join("data/signet.db").is_file());
    assert!(!env.key_files().is_empty());
    process.signal("TERM");
    process.ends().await.well();
}

stories![
    a_missing_key_is_not_silently_replaced,
    a_lost_keys_folder_is_not_a_new_installation,
    migrations_go_up_and_down,
    without_migrations_it_does_not_start_unless_told_to,
];

stories_on![Sqlite:
    a_broken_key_is_named,
    a_key_that_others_can_read_is_refused,
    two_services_do_not_share_one_sqlite,
    plain_http_stays_at_home,
    a_mistake_in_the_configuration_is_named_with_its_place,
    a_mistake_in_the_file_is_named_with_the_file,
    kubernetes_own_variables_are_ignored,
    the_configuration_is_shown_without_its_secrets,
    a_value_may_come_from_a_file,
    a_database_that_is_not_there_is_named_without_its_password,
    wrong_usage_is_explained,
    nothing_needs_to_be_configured,
];
