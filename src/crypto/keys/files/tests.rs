use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use chrono::TimeDelta;
use tempfile::TempDir;

use crate::{crypto::keys::files::*, domain::signing_key::SigningAlgorithm};

const ES256: KeyKind = KeyKind::Signing(SigningAlgorithm::ES256);

fn noon() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::hours(12)
}

fn folder() -> TempDir {
    let dir = TempDir::new().unwrap();
    chmod(dir.path(), 0o700);
    dir
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn put(dir: &TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, content).unwrap();
    chmod(&path, 0o600);
    path
}

/// The message of a refusal, which must name the file.
fn refusal(dir: &TempDir, named: &Path) -> String {
    let message = read(dir.path()).expect_err("must be refused").to_string();
    assert!(message.contains(&*named.to_string_lossy()), "{message}");
    message
}

#[test]
fn a_file_that_others_can_read_or_write_is_refused_with_the_cure() {
    for mode in [0o604, 0o602, 0o620, 0o666, 0o644] {
        let dir = folder();
        let path = dir.path().join(create(dir.path(), ES256, noon()).unwrap());
        chmod(&path, mode);
        assert!(refusal(&dir, &path).contains("chmod 600"), "{mode:o}");
        for fine in [0o600, 0o400, 0o640, 0o440] {
            chmod(&path, fine);
            assert!(read(dir.path()).is_ok(), "{fine:o}");
        }
    }
}

#[test]
fn a_link_is_judged_by_its_target() {
    let (dir, elsewhere) = (folder(), folder());
    let target = elsewhere.path().join(create(elsewhere.path(), ES256, noon()).unwrap());
    let link = dir.path().join("mounted.pem");
    symlink(&target, &link).unwrap();
    assert_eq!(read(dir.path()).unwrap().kids().len(), 1);
    chmod(&target, 0o644);
    refusal(&dir, &link);
    fs::remove_file(&target).unwrap();
    refusal(&dir, &link);
}

#[test]
fn a_folder_that_others_can_write_is_neither_read_nor_written() {
    let dir = folder();
    create(dir.path(), ES256, noon()).unwrap();
    for mode in [0o777, 0o1777, 0o702, 0o770, 0o720] {
        chmod(dir.path(), mode);
        assert!(refusal(&dir, dir.path()).contains("chmod 700"), "{mode:o}");
        assert!(matches!(create(dir.path(), KeyKind::RootSecret, noon()), Err(KeyError::ExposedFolder { .. })));
    }
}

#[test]
fn what_is_no_key_is_refused_by_name() {
    let good = folder();
    let name = create(good.path(), ES256, noon()).unwrap();
    let pem = fs::read_to_string(good.path().join(name)).unwrap();
    let cut: String = pem.lines().take(2).collect();
    let broken = [
        String::new(),
        "no PEM at all".to_owned(),
        cut,
        pem.replace("PRIVATE KEY", "EC PRIVATE KEY"),
        pem.replace("PRIVATE KEY", "PUBLIC KEY"),
        format!("{pem}{pem}"),
        pem.replacen('M', "!", 1),
    ];
    for content in broken {
        let dir = folder();
        let path = put(&dir, "k.pem", &content);
        assert!(refusal(&dir, &path).contains("openssl pkcs8"), "{content}");
    }
    let dir = folder();
    let path = put(&dir, "k.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    assert!(refusal(&dir, &path).contains("neither"));
}

#[test]
fn a_root_secret_is_43_characters_of_base64url_and_nothing_else() {
    let secret = "A".repeat(42) + "E";
    for bad in [
        "",
        "short",
        &"A".repeat(44),
        &("A".repeat(42) + "B"),
        &("A".repeat(42) + "="),
        &format!("{secret}\n\n"),
        &format!(" {secret}"),
        &format!("{secret}="),
        &("+".to_owned() + &secret[1..]),
    ] {
        let dir = folder();
        let path = put(&dir, "20260101T000000Z-root.secret", bad);
        assert!(refusal(&dir, &path).contains("43 characters"), "{bad:?}");
    }
    for good in [secret.clone(), format!("{secret}\n"), format!("{secret}\r\n")] {
        let dir = folder();
        put(&dir, "mounted.secret", good);
        assert!(read(dir.path()).unwrap().has(KeyKind::RootSecret));
    }
}

#[test]
fn one_key_in_two_files_is_refused() {
    for (kind, copy) in [(ES256, "copy.pem"), (KeyKind::RootSecret, "copy.secret")] {
        let dir = folder();
        let path = dir.path().join(create(dir.path(), kind, noon()).unwrap());
        let copy = put(&dir, copy, fs::read(&path).unwrap());
        refusal(&dir, &copy);
        refusal(&dir, &path);
    }
}

#[test]
fn a_folder_or_an_endless_file_in_the_place_of_a_key_is_refused() {
    let dir = folder();
    let path = dir.path().join("k.pem");
    fs::create_dir(&path).unwrap();
    refusal(&dir, &path);
    fs::remove_dir(&path).unwrap();
    symlink("/dev/zero", &path).unwrap();
    refusal(&dir, &path);
    fs::remove_file(&path).unwrap();
    let path = put(&dir, "k.pem", vec![b'A'; 1 << 20]);
    refusal(&dir, &path);
}

#[test]
fn other_files_do_not_count() {
    let dir = folder();
    for name in ["README.md", ".gitignore", ".x.pem", "..data", "pem", "x.pem.bak", ".20260101T000000Z-ES256.pem.new"] {
        let path = put(&dir, name, "whatever");
        chmod(&path, 0o666);
    }
    assert!(read(dir.path()).unwrap().kids().is_empty());
    assert!(read(&dir.path().join("missing")).unwrap().kids().is_empty(), "a missing folder is an empty one");
}

#[test]
fn a_made_key_is_private_complete_and_named_by_its_time() {
    let dir = folder();
    let keys = dir.path().join("made/keys");
    let made = |kind| create(&keys, kind, noon()).unwrap();
    assert_eq!(made(ES256), "20241004T120000Z-ES256.pem");
    assert_eq!(made(KeyKind::Signing(SigningAlgorithm::EdDSA)), "20241004T120000Z-EdDSA.pem");
    assert_eq!(made(KeyKind::RootSecret), "20241004T120000Z-root.secret");
    assert_eq!(fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in fs::read_dir(&keys).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        assert!(!entry.file_name().to_string_lossy().starts_with('.'), "no draft stays: {entry:?}");
    }
    let set = read(&keys).unwrap();
    assert!(set.has(ES256) && set.has(KeyKind::Signing(SigningAlgorithm::EdDSA)) && set.has(KeyKind::RootSecret));
    assert!(!set.has(KeyKind::Signing(SigningAlgorithm::RS256)));
    assert!(set.signing_keys().iter().all(|key| key.life.published == noon()));
}

#[test]
fn an_rsa_key_is_made_and_read_back() {
    let dir = folder();
    create(dir.path(), KeyKind::Signing(SigningAlgorithm::RS256), noon()).unwrap();
    assert!(read(dir.path()).unwrap().has(KeyKind::Signing(SigningAlgorithm::RS256)));
}

#[test]
fn a_key_is_never_written_over_another() {
    let dir = folder();
    let path = dir.path().join(create(dir.path(), ES256, noon()).unwrap());
    let before = fs::read(&path).unwrap();
    assert!(matches!(create(dir.path(), ES256, noon()), Err(KeyError::Exists { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft stays");
}

#[test]
fn a_mounted_name_counts_as_long_published() {
    let dir = folder();
    let made = create(dir.path(), ES256, noon()).unwrap();
    for name in ["tls.pem", "2026-key.pem", "20261301T000000Z-ES256.pem"] {
        let path = dir.path().join(name);
        fs::rename(dir.path().join(&made), &path).unwrap();
        assert_eq!(read(dir.path()).unwrap().signing_keys()[0].life.published, DateTime::UNIX_EPOCH, "{name}");
        fs::rename(&path, dir.path().join(&made)).unwrap();
    }
}
