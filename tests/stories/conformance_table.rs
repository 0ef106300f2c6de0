//! `docs/conformance.md` and the stories name the same modules of the OpenID conformance suite, with the same results.

use std::collections::BTreeMap;

/// The stories, each of which begins its doc comment with its module and result.
const STORIES: [&str; 6] = [
    include_str!("conformance_basic.rs"),
    include_str!("conformance_claims.rs"),
    include_str!("conformance_codes.rs"),
    include_str!("conformance_config.rs"),
    include_str!("conformance_logins.rs"),
    include_str!("conformance_logout.rs"),
];

const TABLE: &str = include_str!("../../docs/conformance.md");

const RESULTS: [&str; 4] = ["pass", "warning", "review", "skipped"];

/// A module's result in the stories: "/// `oidcc-server`: pass."
fn of_stories() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in STORIES.into_iter().flat_map(str::lines) {
        let Some((module, rest)) = line.strip_prefix("/// `oidcc-").and_then(|rest| rest.split_once("`: ")) else {
            continue;
        };
        let result = rest.split('.').next().unwrap_or_default();
        assert!(found.insert(format!("oidcc-{module}"), result.to_owned()).is_none(), "{module} has two stories");
    }
    found
}

/// A module's result and reason in the table: "| `oidcc-server` | pass | |"
fn of_table() -> BTreeMap<String, (String, String)> {
    let mut found = BTreeMap::new();
    for line in TABLE.lines().filter(|line| line.starts_with("| `oidcc-")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [module, result, reason] = cells[..] else { panic!("three cells: {line}") };
        let row = (result.to_owned(), reason.to_owned());
        assert!(found.insert(module.trim_matches('`').to_owned(), row).is_none(), "{module} stands there twice");
    }
    found
}

#[test]
fn the_table_and_the_stories_name_the_same_modules_with_the_same_results() {
    let (stories, table) = (of_stories(), of_table());
    assert!(stories.len() > 50, "{stories:?}");
    let results: BTreeMap<String, String> = table.into_iter().map(|(module, (result, _))| (module, result)).collect();
    assert_eq!(stories, results);
}

#[test]
fn what_is_no_pass_has_its_reason() {
    for (module, (result, reason)) in of_table() {
        assert!(RESULTS.contains(&result.as_str()), "{module}: {result}");
        assert!(result == "pass" || !reason.is_empty(), "{module} has no reason");
    }
}
