//! Every input that the fuzzers saved, put to the laws again: `fuzz/corpus/NAME/` belongs to the law of that name.

use std::{
    fs, panic,
    path::{Path, PathBuf},
};

/// The folder of the fuzzers.
fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Puts every saved input of `name` to its law, and names all those that break it.
fn keeps(name: &str, law: fn(&[u8])) {
    let folder = fuzz().join("corpus").join(name);
    let entries = names(&folder);
    assert!(!entries.is_empty(), "no corpus of {name}");
    let breaks = |entry: &String| {
        let data = fs::read(folder.join(entry)).unwrap();
        panic::catch_unwind(|| law(&data)).is_err()
    };
    let broken: Vec<_> = entries.into_iter().filter(breaks).collect();
    assert!(broken.is_empty(), "fuzz/corpus/{name}: {broken:?}");
}

/// One test a law, and the list of them all.
macro_rules! laws {
    ($($room:ident: $($law:ident),+;)+) => {
        $($(#[test]
        fn $law() {
            keeps(stringify!($law), crate::$room::laws::$law);
        })+)+

        /// Each law and the room that it is of.
        const LAWS: &[(&str, &str)] = &[$($((stringify!($law), stringify!($room)),)+)+];
    };
}

laws! {
    config: configuration;
    crypto: claims, token;
    domain: email, password, scope, username;
    http: bearer, client_authentication, content_type, form, forwarded, json, query;
}

/// Laws of the crate `verifier`, which puts its own corpus to them.
const OF_THE_VERIFIER: &str = "verifier_";

#[test]
fn every_law_has_a_fuzzer_and_every_fuzzer_a_law() {
    let ours = |names: Vec<String>| -> Vec<String> {
        names.into_iter().filter(|name| !name.starts_with(OF_THE_VERIFIER)).collect()
    };
    let mut laws: Vec<_> = LAWS.iter().map(|(law, _)| (*law).to_owned()).collect();
    laws.sort();
    assert_eq!(ours(names(&fuzz().join("corpus"))), laws);
    let files: Vec<_> = laws.iter().map(|law| format!("{law}.rs")).collect();
    assert_eq!(ours(names(&fuzz().join("fuzz_targets"))), files);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for (law, room) in LAWS {
        let target = fs::read_to_string(fuzz().join("fuzz_targets").join(format!("{law}.rs"))).unwrap();
        assert!(target.contains(&format!("signet::{room}::laws::{law}(data)")), "{law}");
        assert!(manifest.contains(&format!("name = \"{law}\"\npath = \"fuzz_targets/{law}.rs\"")), "{law}");
    }
}
