//! The values given, as texts, each with its source.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

/// The source of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ValueSource {
    /// The default; no source gave a value.
    Default,
    /// A line of the TOML file, counted from one.
    File { path: PathBuf, line: usize },
    /// An environment variable.
    Environment(String),
    /// A file that an environment variable names.
    NamedFile { variable: String, path: PathBuf },
    /// A flag, without its dashes.
    Flag(String),
}

impl fmt::Display for ValueSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &Path| on_one_line(&path.to_string_lossy());
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "file {}:{line}", shown(path)),
            Self::Environment(variable) => write!(f, "environment variable {variable}"),
            Self::NamedFile { variable, path } => write!(f, "environment variable {variable}, file {}", shown(path)),
            Self::Flag(flag) => write!(f, "flag --{flag}"),
        }
    }
}

/// The value of one key from one source.
pub(super) struct Given {
    /// The value; `None` if it could not be read, which has been reported.
    pub(super) text: Option<String>,
    /// The source of the value.
    pub(super) origin: ValueSource,
}

/// The values given, by key.
pub(super) type Values = BTreeMap<String, Given>;

/// The merged values of all sources, and the problems found so far.
pub(super) struct Gathered {
    pub(super) values: Values,
    pub(super) problems: Vec<String>,
}

/// `text` on one line: control characters, which would forge lines of output, are escaped.
pub(super) fn on_one_line(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}
