//! Keys belong to one database: a folder of other keys starts nothing, and nothing is made in it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

use sea_orm::ConnectionTrait as _;

use crate::harness::{
    Ask, Person, Site, TestEnv, TestEnvBuilder, eventually, process::Process, run, stories, stories_on,
};

const RELYING_PARTY: [&str; 8] =
    ["client", "create", "--name", "web", "--redirect-uri", "https://app.example.org/cb", "--scope", "openid"];

/// Starts the service and stops it again, so that there are keys and a database.
async fn lived_in(env: &TestEnv) {
    let process = env.serves(&[]).ready().await;
    Person::registers(&process.site, "ada").await;
    stops(process).await;
}

async fn stops(process: Process) {
    process.signal("TERM");
    process.ends().await.well();
}

/// The names in a folder, sorted; none where there is no folder.
fn names(folder: &Path) -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    names.sort();
    names
}

/// A folder with the keys of another installation.
async fn foreign_keys() -> PathBuf {
    let other = TestEnvBuilder::on(crate::harness::Database::Sqlite).env().await;
    lived_in(&other).await;
    let folder = run::folder().join("foreign");
    fs::create_dir(&folder).expect("the folder is ours");
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).expect("the folder is ours");
    for file in names(&other.keys()) {
        fs::copy(&file, folder.join(file.file_name().expect("a file"))).expect("ours");
    }
    folder
}

async fn runs_with_keys(env: &TestEnv, folder: &Path, arguments: &[&str]) -> crate::harness::process::Ended {
    let environment = env.environment(&[("keys_dir", &folder.display().to_string())]);
    Process::start(&env.folder, &environment, arguments, "").ends().await
}

async fn kids(site: &Site) -> Vec<String> {
    let set = site.get("/.well-known/jwks.json").answer().await.is(200).json();
    set["keys"].as_array().expect("keys").iter().map(|key| key["kid"].to_string()).collect()
}

/// The only copy of the new key would lie in the operator's working folder, and the service would not start again.
async fn a_client_created_without_the_clusters_keys_makes_nothing(env: TestEnv) {
    lived_in(&env).await;
    let elsewhere = run::folder().join("keys");
    let foreign = foreign_keys().await;
    for folder in [&elsewhere, &foreign] {
        let before = names(folder);
        let ended = runs_with_keys(&env, folder, &RELYING_PARTY).await;
        ended.with(2, &[&folder.display().to_string()]);
        assert_eq!(names(folder), before, "nothing was made in it");
    }
    assert_eq!(
        env.runs(&["client", "list"]).await.well().json().as_array().map(Vec::len),
        Some(0),
        "none is registered"
    );
    env.runs(&RELYING_PARTY).await.well();
    env.serves(&[]).ready().await;
}

/// Such a replica answers `invalid_grant` to good refresh tokens, and clients throw these away.
async fn a_folder_with_other_keys_starts_nothing(env: TestEnv) {
    lived_in(&env).await;
    let foreign = foreign_keys().await;
    let before = names(&foreign);
    // Neither as it is, nor for an algorithm that has no key yet.
    for more in [&[][..], &[("signing_algorithm", "EdDSA")]] {
        let settings = [&[("keys_dir", foreign.to_str().expect("plain"))], more].concat();
        env.serves(&settings).ends().await.with(2, &[&foreign.display().to_string()]);
        assert_eq!(names(&foreign), before, "nothing was made in it");
    }
    // One foreign kind is enough.
    for ending in ["pem", "secret"] {
        let mixed = run::folder().join("mixed");
        fs::create_dir(&mixed).expect("ours");
        fs::set_permissions(&mixed, Permissions::from_mode(0o700)).expect("ours");
        for file in names(&foreign).iter().filter(|file| file.extension().is_some_and(|end| end == ending)) {
            fs::copy(file, mixed.join(file.file_name().expect("a file"))).expect("ours");
        }
        for file in names(&env.keys()).iter().filter(|file| file.extension().is_some_and(|end| end != ending)) {
            fs::copy(file, mixed.join(file.file_name().expect("a file"))).expect("ours");
        }
        let settings = [("keys_dir", mixed.to_str().expect("plain"))];
        env.serves(&settings).ends().await.with(2, &[&mixed.display().to_string()]);
    }
    env.serves(&[]).ready().await;
}

/// Every algorithm that has a key counts, also where it is not the one that signs now.
async fn no_key_is_made_where_another_kind_is_missing(env: TestEnv) {
    lived_in(&env).await;
    let file = env.key_files().remove(0);
    let away = env.folder.join("away.pem");
    fs::rename(&file, &away).expect("ours");
    let before = names(&env.keys());
    env.serves(&[("signing_algorithm", "EdDSA")]).ends().await.with(2, &["ES256"]);
    assert_eq!(names(&env.keys()), before, "no EdDSA key was made");
    fs::rename(&away, &file).expect("ours");
    stops(env.serves(&[("signing_algorithm", "EdDSA")]).ready().await).await;
}

async fn a_key_that_was_rotated_in_is_the_clusters_too(env: TestEnv) {
    let process = env.serves(&[]).ready().await;
    let old = env.key_files().remove(0);
    // A key of another installation, brought in by the operator.
    let new = names(&foreign_keys().await).into_iter().find(|file| file.extension().is_some_and(|end| end == "pem"));
    fs::rename(new.expect("a key"), env.keys().join("new.pem")).expect("ours");
    eventually(Duration::from_secs(30), "both are published", async || kids(&process.site).await.len() == 2).await;
    let store = env.store().await;
    let recorded = async || {
        let sql = "SELECT fingerprint FROM key_fingerprint WHERE kind = 'ES256'";
        let backend = store.get_database_backend();
        let rows = store.query_all_raw(sea_orm::Statement::from_string(backend, sql)).await.expect("rows");
        rows.len()
    };
    eventually(Duration::from_secs(30), "both are recorded", async || recorded().await == 2).await;
    fs::remove_file(&old).expect("ours");
    eventually(Duration::from_secs(30), "one is published", async || kids(&process.site).await.len() == 1).await;
    stops(process).await;
    stops(env.serves(&[]).ready().await).await;
    assert_eq!(kids(&env.serves(&[]).ready().await.site).await.len(), 1);
}

/// An older version recorded that a key was made, and not which one.
async fn records_of_an_older_version_are_filled_in_by_the_service_alone(env: TestEnv) {
    lived_in(&env).await;
    let foreign = foreign_keys().await;
    let store = env.store().await;
    store.execute_unprepared("DELETE FROM key_fingerprint").await.expect("rows");
    // A command in a folder with other keys adopts nothing.
    runs_with_keys(&env, &foreign, &RELYING_PARTY).await.with(2, &[&foreign.display().to_string()]);
    lived_in_again(&env).await;
    let settings = [("keys_dir", foreign.to_str().expect("plain"))];
    env.serves(&settings).ends().await.with(2, &[&foreign.display().to_string()]);
    lived_in_again(&env).await;
}

async fn lived_in_again(env: &TestEnv) {
    stops(env.serves(&[]).ready().await).await;
}

async fn what_the_group_can_write_is_refused_at_start(env: TestEnv) {
    lived_in(&env).await;
    let folder = env.keys();
    let file = env.key_files().remove(0);
    for mode in [0o770, 0o720, 0o702, 0o777] {
        fs::set_permissions(&folder, Permissions::from_mode(mode)).expect("ours");
        env.serves(&[]).ends().await.with(2, &[&folder.display().to_string(), "chmod"]);
    }
    fs::set_permissions(&folder, Permissions::from_mode(0o750)).expect("ours");
    for mode in [0o660, 0o620, 0o602, 0o604] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).expect("ours");
        env.serves(&[]).ends().await.with(2, &[&file.display().to_string(), "chmod"]);
    }
    fs::set_permissions(&file, Permissions::from_mode(0o640)).expect("ours");
    lived_in_again(&env).await;
}

/// The metrics, as text.
async fn metrics(address: &str) -> String {
    let answer = Site::at(format!("http://{address}")).get("/metrics").send().await.expect("it listens");
    answer.text().await.expect("text")
}

/// A user of the group dropped a key there, and forged a token with it.
async fn a_foreign_file_that_appears_is_not_published(env: TestEnv) {
    let address = format!("127.0.0.1:{}", run::free_port());
    let process = env.serves(&[("metrics_listen", &address)]).ready().await;
    let before = kids(&process.site).await;
    assert!(metrics(&address).await.contains("signet_key_folder_refused 0\n"));
    let foreign =
        names(&foreign_keys().await).into_iter().find(|file| file.extension().is_some_and(|end| end == "pem"));
    fs::set_permissions(env.keys(), Permissions::from_mode(0o770)).expect("ours");
    fs::rename(foreign.expect("a key"), env.keys().join("zz.pem")).expect("ours");
    eventually(Duration::from_secs(30), "it says so", async || {
        metrics(&address).await.contains("signet_key_folder_refused 1\n")
    })
    .await;
    let log = process.whole_log().await;
    assert!(log.contains("can be written by its group"), "{log}");
    assert_eq!(kids(&process.site).await, before);
    fs::remove_file(env.keys().join("zz.pem")).expect("ours");
    fs::set_permissions(env.keys(), Permissions::from_mode(0o700)).expect("ours");
    eventually(Duration::from_secs(30), "all is well again", async || {
        metrics(&address).await.contains("signet_key_folder_refused 0\n")
    })
    .await;
    assert_eq!(kids(&process.site).await, before);
}

/// Kubernetes mounts a secret as links to a folder of its own.
async fn a_mounted_secret_is_judged_by_its_target(env: TestEnv) {
    lived_in(&env).await;
    let (mount, data) = (env.folder.join("mount"), env.folder.join("mount/..2026"));
    fs::create_dir_all(&data).expect("ours");
    for folder in [&mount, &data] {
        fs::set_permissions(folder, Permissions::from_mode(0o755)).expect("ours");
    }
    symlink("..2026", mount.join("..data")).expect("ours");
    for file in names(&env.keys()) {
        let name = file.file_name().expect("a file");
        fs::copy(&file, data.join(name)).expect("ours");
        fs::set_permissions(data.join(name), Permissions::from_mode(0o440)).expect("ours");
        symlink(Path::new("..data").join(name), mount.join(name)).expect("ours");
    }
    let settings = [("keys_dir", mount.to_str().expect("plain"))];
    stops(env.serves(&settings).ready().await).await;
    let files: Vec<_> = names(&data);
    fs::set_permissions(&files[0], Permissions::from_mode(0o460)).expect("ours");
    env.serves(&settings).ends().await.with(2, &["chmod"]);
    fs::set_permissions(&files[0], Permissions::from_mode(0o440)).expect("ours");
    // Others could put another file in the place of the target.
    fs::set_permissions(&data, Permissions::from_mode(0o775)).expect("ours");
    env.serves(&settings).ends().await.with(2, &["chmod"]);
    fs::set_permissions(&data, Permissions::from_mode(0o755)).expect("ours");
    stops(env.serves(&settings).ready().await).await;
}

/// The drill of docs/operations.md: add first, then remove.
async fn the_only_key_is_dropped_by_adding_another_first(env: TestEnv) {
    let address = format!("127.0.0.1:{}", run::free_port());
    let process = env.serves(&[("metrics_listen", &address)]).ready().await;
    let before = kids(&process.site).await;
    let leaked = env.key_files().remove(0);
    let away = env.folder.join("away.pem");
    fs::rename(&leaked, &away).expect("ours");
    eventually(Duration::from_secs(30), "the state shows", async || {
        metrics(&address).await.contains("signet_key_folder_refused 1\n")
    })
    .await;
    assert_eq!(kids(&process.site).await, before, "a lost mount takes no key away");
    let new = names(&foreign_keys().await).into_iter().find(|file| file.extension().is_some_and(|end| end == "pem"));
    fs::rename(new.expect("a key"), env.keys().join("new.pem")).expect("ours");
    eventually(Duration::from_secs(30), "only the new key is published", async || {
        let now = kids(&process.site).await;
        now.len() == 1 && now != before
    })
    .await;
    assert!(metrics(&address).await.contains("signet_key_folder_refused 0\n"));
    Person::registers(&process.site, "ada").await.logs_in().await;
}

stories![
    a_client_created_without_the_clusters_keys_makes_nothing,
    a_folder_with_other_keys_starts_nothing,
    no_key_is_made_where_another_kind_is_missing,
    a_key_that_was_rotated_in_is_the_clusters_too,
    records_of_an_older_version_are_filled_in_by_the_service_alone,
];

stories_on![Sqlite:
    what_the_group_can_write_is_refused_at_start,
    a_foreign_file_that_appears_is_not_published,
    a_mounted_secret_is_judged_by_its_target,
    the_only_key_is_dropped_by_adding_another_first,
];
