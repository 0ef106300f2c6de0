//! Properties of the configuration that hold for any file. The saved corpus and the fuzzers share them.

use std::path::Path;

use super::{given::Gathered, model::Config, read, toml_file};

/// A file is refused for reasons of one line each, or its printed form loads again and is printed as the same.
pub fn configuration(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Some(config) = load(text) else { return };
    let shown = config.show();
    let again = load(&shown).unwrap_or_else(|| panic!("what is shown does not load:\n{shown}"));
    assert_eq!(without_comments(&again.show()), without_comments(&shown));
    assert!(config.warnings.iter().all(|warning| warning.lines().count() == 1), "{:?}", config.warnings);
}

fn load(text: &str) -> Option<Config> {
    let mut problems = Vec::new();
    let values = toml_file::values(Path::new("signet.toml"), text, &mut problems);
    let loaded = values.map(|values| read::read(Gathered { values, problems: problems.clone() }, false));
    let problems = match loaded {
        Some(Ok(config)) => return Some(config),
        Some(Err(error)) => error.problems,
        None => problems,
    };
    assert!(!problems.is_empty(), "refused without a reason");
    // Characters that end a line for `str::lines`, for terminals and for logs.
    assert!(!problems.iter().any(|problem| problem.contains(char::is_control)), "{problems:?}");
    None
}

/// Removes the source of each value, which is printed after it and differs.
fn without_comments(shown: &str) -> Vec<&str> {
    shown.lines().map(|line| line.rsplit_once(" # ").map_or(line, |(value, _)| value)).collect()
}
