//! Holds the layers of the source tree: imports point down only, and no files import one another in a circle.
//!
//! The compiler accepts any import inside a crate, so this test reads the source. It strips comments, literals and test
//! code, collects every path (`use` trees and paths in code), and resolves each one to the file that defines it.

#[path = "architecture/source_file.rs"]
mod source_file;
#[path = "architecture/tokens.rs"]
mod tokens;
#[path = "architecture/tree.rs"]
mod tree;

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::Path,
};

use source_file::File;
use tree::Tree;

/// Each layer of the service and each crate beside it, with what it may import. A layer may always import itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("lib", EVERYTHING),
    // Re-exports what integration tests and fuzz targets need.
    ("testing", TESTED),
    ("cli", &["app", "config", "services", "domain"]),
    ("app", EVERYTHING),
    ("config", &["domain"]),
    ("http", &["services", "domain"]),
    ("services", &["crypto", "store", "outbound", "domain"]),
    ("crypto", &["domain"]),
    ("store", &["domain", "entity", "migration"]),
    ("outbound", &["domain"]),
    ("domain", &[]),
    ("entity", &[]),
    ("migration", &[]),
    ("listener", &[]),
    ("verifier", &[]),
];

/// All that lies below `app`.
const EVERYTHING: &[&str] =
    &["config", "http", "services", "crypto", "store", "outbound", "domain", "entity", "migration", "listener"];

/// All that tests and fuzz targets may reach.
const TESTED: &[&str] = &["app", "config", "http", "services", "crypto", "store", "outbound", "domain"];

/// Libraries that only some layers may name, so that a change of library stays in one place.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("sea_orm", &["store", "entity", "migration"]),
    ("sea_orm_migration", &["store", "migration"]),
    // The verifier is a crate for other services and cannot share the issuer's `crypto`.
    ("jsonwebtoken", &["crypto", "verifier"]),
];

/// Circles that may stay, each with its reason. A larger circle around the same files is still an error.
const ALLOWED_CIRCLES: &[(&[&str], &str)] = &[(
    &["verifier/src/builder.rs", "verifier/src/verifier.rs"],
    "a type and its builder name each other: `Verifier::builder()` makes the builder, and `build()` makes the verifier",
)];

/// Where the source of each crate lies. The service comes last, since its folder has no prefix of its own.
const CRATES: &[(&str, &str)] = &[
    ("entity", "entity/src"),
    ("listener", "listener/src"),
    ("migration", "migration/src"),
    ("verifier", "verifier/src"),
    ("signet", "src"),
];

/// How many re-exports and local names are followed for one path, so that names bound in a loop end.
const MOST_STEPS: u8 = 8;

#[test]
fn no_import_points_upward() {
    let found = Tree::new(&source()).upward_imports();
    assert!(found.is_empty(), "{} forbidden imports:\n{}", found.len(), found.join("\n"));
}

#[test]
fn no_circle_between_files() {
    let found = Tree::new(&source()).circles();
    assert!(found.is_empty(), "{} circles between files:\n{}", found.len(), found.join("\n"));
}

/// A renamed folder would otherwise leave a rule that nothing is held to.
#[test]
fn every_layer_has_files() {
    let tree = Tree::new(&source());
    let present: HashSet<_> = tree.files.iter().map(File::layer).collect();
    let missing: Vec<_> = LAYERS.iter().map(|(layer, _)| *layer).filter(|layer| !present.contains(layer)).collect();
    assert!(missing.is_empty(), "layers without a file: {missing:?}");
}

#[test]
fn a_planted_upward_import_is_found() {
    let tree = planted(&[
        ("src/domain/user.rs", "use std::fmt;\nuse crate::{\n    store::users::{self, Row as _},\n};"),
        ("src/crypto/seal.rs", "fn seal() { crate::store::users::find() }"),
        ("src/http/page.rs", "use crate::services::Session;\nfn page() { sea_orm::connect() }"),
        ("src/services/mod.rs", "mod login;\npub use login::Session;"),
        ("src/services/login.rs", "pub use crate::store::users::Row as Session;"),
        ("src/store/users.rs", "pub struct Row;"),
        ("src/sessions/mod.rs", ""),
        ("entity/src/user.rs", "use migration::Migrator;"),
        ("migration/src/lib.rs", "pub struct Migrator;"),
    ]);
    let found = tree.upward_imports();
    let places: Vec<_> = found.iter().map(|line| line.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(
        places,
        [
            "entity/src/user.rs:1",
            "src/crypto/seal.rs:1",
            "src/domain/user.rs:3",
            "src/http/page.rs:1",
            "src/http/page.rs:2",
            "src/sessions/mod.rs:1",
        ],
        "{found:#?}"
    );
}

#[test]
fn a_planted_circle_is_found() {
    let tree = planted(&[
        ("src/domain/mod.rs", "mod a; mod b; mod c;\npub use b::B;"),
        ("src/domain/a.rs", "use super::B;\npub struct A;"),
        ("src/domain/b.rs", "use super::c;\npub struct B(c::C);"),
        ("src/domain/c.rs", "pub struct C;\nfn make() -> super::a::A {}"),
    ]);
    let found = tree.circles();
    assert_eq!(found.len(), 1, "{found:#?}");
    for (from, to) in [("a.rs:1", "b.rs"), ("b.rs:1", "c.rs"), ("c.rs:2", "a.rs")] {
        let edge = format!("src/domain/{from} imports src/domain/{to}");
        assert!(found[0].contains(&edge), "{edge} is not in {}", found[0]);
    }
}

#[test]
fn a_parent_and_a_child_that_import_each_other_are_a_circle() {
    let parent = "mod child;\nuse self::child::Y;\npub struct X;";
    let mutual = planted(&[("src/domain/a.rs", parent), ("src/domain/a/child.rs", "use super::X;\npub struct Y;")]);
    assert_eq!(mutual.circles().len(), 1);
    let one_way = planted(&[("src/domain/a.rs", parent), ("src/domain/a/child.rs", "pub struct Y;")]);
    assert_eq!(one_way.circles(), [""; 0]);
}

#[test]
fn glob_re_exports_are_followed() {
    let tree = planted(&[
        ("src/domain/mod.rs", "mod a; mod b;\npub use a::*;"),
        ("src/domain/a.rs", "use super::b::B;\npub struct A;"),
        ("src/domain/b.rs", "use super::A;\npub struct B;"),
    ]);
    let found = tree.circles();
    assert!(found.len() == 1 && !found[0].contains("mod.rs"), "{found:#?}");
}

#[test]
fn comments_literals_and_test_code_import_nothing() {
    let text = r##"
        // use crate::http::A;
        /* use crate::http::B; /* nested */ use crate::http::C; */
        const TEXT: &str = "\" crate::http::D"; const RAW: &str = r#"" crate::http::E"#; const QUOTE: char = '"';
        fn f<'a>(x: &'a str) { /* ' */ }
        pub(in crate::http) struct S;
        #[cfg(test)] use crate::http::{F};
        #[cfg(any(test, fuzzing))] mod checks;
        #[cfg(test)] mod inline { use crate::http::G; }
    "##;
    let upward = "use crate::http::H;";
    let tree = planted(&[
        ("src/domain/mod.rs", text),
        ("src/domain/checks.rs", upward),
        ("src/domain/laws.rs", upward),
        ("src/domain/tests/more.rs", upward),
        ("src/http/mod.rs", ""),
    ]);
    assert_eq!(tree.upward_imports(), [""; 0]);
}

/// Path and text of every source file of every crate.
fn source() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (_, folder) in CRATES {
        read_folder(folder, &mut found);
    }
    found
}

fn read_folder(folder: &str, found: &mut BTreeMap<String, String>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Ok(entries) = fs::read_dir(root.join(folder)) else { return };
    for entry in entries.map(Result::unwrap) {
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            read_folder(&path, found);
        } else if Path::new(&path).extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(root.join(&path)).unwrap();
            found.insert(path, text);
        }
    }
}

fn planted(files: &[(&str, &str)]) -> Tree {
    Tree::new(&files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
}
