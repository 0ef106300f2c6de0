//! Checks the properties against every input that the fuzzers saved: `fuzz/corpus/NAME/` belongs to the property of that name.

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

/// Checks the property `name` against every saved input, and lists the inputs that break it.
fn assert_holds(name: &str, property: fn(&[u8])) {
    let folder = fuzz().join("corpus").join(name);
    let entries = names(&folder);
    assert!(!entries.is_empty(), "no corpus of {name}");
    let breaks = |entry: &String| {
        let data = fs::read(folder.join(entry)).unwrap();
        panic::catch_unwind(|| property(&data)).is_err()
    };
    let broken: Vec<_> = entries.into_iter().filter(breaks).collect();
    assert!(broken.is_empty(), "fuzz/corpus/{name}: {broken:?}");
}

/// One test for each property, and the list of all.
macro_rules! properties {
    ($($module:ident: $($property:ident),+;)+) => {
        $($(#[test]
        fn $property() {
            assert_holds(stringify!($property), crate::$module::properties::$property);
        })+)+

        /// Each property and its module.
        const PROPERTIES: &[(&str, &str)] = &[$($((stringify!($property), stringify!($module)),)+)+];
    };
}

properties! {
    config: configuration;
    crypto: claims, token;
    domain: email, password, scope, username;
    http: bearer, client_authentication, content_type, form, forwarded, json, query;
}

/// The prefix of the properties of the crate `verifier`, which checks its own corpus.
const OF_THE_VERIFIER: &str = "verifier_";

#[test]
fn every_property_has_a_fuzzer_and_every_fuzzer_a_property() {
    let ours = |names: Vec<String>| -> Vec<String> {
        names.into_iter().filter(|name| !name.starts_with(OF_THE_VERIFIER)).collect()
    };
    let mut properties: Vec<_> = PROPERTIES.iter().map(|(property, _)| (*property).to_owned()).collect();
    properties.sort();
    assert_eq!(ours(names(&fuzz().join("corpus"))), properties);
    let files: Vec<_> = properties.iter().map(|property| format!("{property}.rs")).collect();
    assert_eq!(ours(names(&fuzz().join("fuzz_targets"))), files);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for (property, module) in PROPERTIES {
        let target = fs::read_to_string(fuzz().join("fuzz_targets").join(format!("{property}.rs"))).unwrap();
        assert!(target.contains(&format!("signet::testing::properties::{module}::{property}(data)")), "{property}");
        assert!(
            manifest.contains(&format!("name = \"{property}\"\npath = \"fuzz_targets/{property}.rs\"")),
            "{property}"
        );
    }
}
