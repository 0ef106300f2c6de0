//! The sources of values: flags, environment, files. This module checks names, not values.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::{
    given::{Gathered, Given, ValueSource, Values, on_one_line},
    keys,
    model::ConfigError,
    toml_file,
};

/// The sources of a configuration. They hold secrets, so there is no `Debug`.
#[derive(Clone, Default)]
pub struct Sources {
    /// Values from the command line, by key.
    pub flags: BTreeMap<String, String>,
    /// The TOML file that `--config` names.
    pub file: Option<PathBuf>,
    /// The environment of the process; only names that begin with `SIGNET_` matter.
    pub environment: Vec<(OsString, OsString)>,
    /// The working directory: Signet looks for `signet.toml` in it, and resolves relative file names against it.
    pub directory: PathBuf,
    /// Whether standard error is a terminal, which decides the default of `log_format`.
    pub terminal: bool,
}

/// Far larger than any configuration file: an endless file must not fill the memory.
const LONGEST_FILE: u32 = 1024 * 1024;
/// The longest value that a `_FILE` variable may name.
const LONGEST_VALUE: u32 = 64 * 1024;

/// Gathers the values of `sources`; each key comes from the source with the highest precedence.
///
/// # Errors
/// [`ConfigError`] if the TOML file cannot be read: its values are unknown, so no others are checked.
pub(super) fn gather(sources: &Sources) -> Result<Gathered, ConfigError> {
    let mut problems = Vec::new();
    let environment = Environment::read(sources, &mut problems);
    let flags = flags(&sources.flags, &mut problems);
    let Some(mut values) = file(sources, environment.config, &mut problems) else {
        return Err(ConfigError { problems });
    };
    values.extend(environment.values);
    values.extend(flags);
    Ok(Gathered { values, problems })
}

/// The values of the TOML file, none if there is no file; `None` if the file cannot be read.
fn file(sources: &Sources, variable: Option<PathBuf>, problems: &mut Vec<String>) -> Option<Values> {
    let (named, origin) = match (&sources.file, variable) {
        (Some(path), _) => (Some(path.clone()), "flag --config"),
        (None, Some(path)) => (Some(path), "environment variable SIGNET_CONFIG"),
        (None, None) => (None, "found in the working directory"),
    };
    let must_exist = named.is_some();
    let path = sources.directory.join(named.unwrap_or_else(|| PathBuf::from("signet.toml")));
    match read_file(&path, LONGEST_FILE) {
        Ok(text) => toml_file::values(&path, &text, problems),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => Some(Values::new()),
        Err(error) => {
            let path = on_one_line(&path.to_string_lossy());
            problems.push(format!("the configuration file {path} cannot be read: {error} ({origin})"));
            None
        }
    }
}

fn flags(flags: &BTreeMap<String, String>, problems: &mut Vec<String>) -> Values {
    let mut values = Values::new();
    for (key, text) in flags {
        let origin = ValueSource::Flag(on_one_line(&keys::flag(key)));
        if keys::find(key).is_some() {
            values.insert(key.clone(), Given { text: Some(text.clone()), origin });
        } else {
            problems.push(format!("unknown key {}: {} ({origin})", on_one_line(key), keys::advice(key)));
        }
    }
    values
}

/// The values of the environment.
struct Environment {
    values: Values,
    /// `SIGNET_CONFIG`.
    config: Option<PathBuf>,
}

impl Environment {
    fn read(sources: &Sources, problems: &mut Vec<String>) -> Self {
        let mut read = Self { values: Values::new(), config: None };
        for (name, value) in &sources.environment {
            // Orchestrators cannot unset a variable, only empty it.
            if value.is_empty() || !name.as_encoded_bytes().starts_with(b"SIGNET_") || is_of_others(name) {
                continue;
            }
            if name == "SIGNET_CONFIG" {
                read.config = Some(PathBuf::from(value));
                continue;
            }
            if let Err(problem) = read.variable(name, value, &sources.directory) {
                problems.push(problem);
            }
        }
        read
    }

    fn variable(&mut self, name: &OsStr, value: &OsStr, directory: &Path) -> Result<(), String> {
        let Some(variable) = name.to_str() else {
            return Err(format!("unknown environment variable {}", on_one_line(&name.to_string_lossy())));
        };
        let of_file = || variable.strip_suffix("_FILE").and_then(keys::of_variable);
        let (key, (text, origin)) = if let Some(key) = keys::of_variable(variable) {
            (key, from_variable(variable, value))
        } else if let Some(key) = of_file() {
            (key, from_named_file(variable, directory.join(value)))
        } else {
            let advice = keys::advice_on_variable(variable);
            return Err(format!("unknown environment variable {}: {advice}", on_one_line(variable)));
        };
        if let Some(Given {
            origin: ValueSource::Environment(other) | ValueSource::NamedFile { variable: other, .. },
            ..
        }) = self.values.get(&key)
        {
            return Err(format!("{key} is given twice, by {other} and by {variable}: unset one of them"));
        }
        let (text, problem) = match text {
            Ok(text) => (Some(text), None),
            Err(problem) => (None, Some(format!("{key} {problem} ({origin})"))),
        };
        self.values.insert(key, Given { text, origin });
        problem.map_or(Ok(()), Err)
    }
}

fn from_variable(variable: &str, value: &OsStr) -> (Result<String, String>, ValueSource) {
    let text = value.to_str().map(str::to_owned).ok_or_else(|| "must be UTF-8 text".to_owned());
    (text, ValueSource::Environment(variable.to_owned()))
}

fn from_named_file(variable: &str, path: PathBuf) -> (Result<String, String>, ValueSource) {
    let text = match read_file(&path, LONGEST_VALUE) {
        // Editors and `echo` end a file with a newline that is not part of the value.
        Ok(text) => {
            let value = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
            Ok(value.to_owned())
        }
        Err(error) => Err(format!("cannot be read from its file: {error}")),
    };
    (text, ValueSource::NamedFile { variable: variable.to_owned(), path })
}

/// Whether another program sets this variable: the tests, or Kubernetes for Services of the namespace that are called
/// `signet` or `signet-something`. Such a variable is never a key of Signet.
fn is_of_others(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let is_key = |name: &str| keys::of_variable(name).is_some();
    if is_key(name) || name.strip_suffix("_FILE").is_some_and(is_key) {
        return false;
    }
    // A nested key has two underscores, and a mistyped one must not be ignored.
    let Some(rest) = name.strip_prefix("SIGNET_").filter(|rest| !rest.contains("__")) else { return false };
    let of_service = |rest: &str| {
        ["SERVICE_HOST", "SERVICE_PORT", "PORT"].contains(&rest)
            || rest.starts_with("SERVICE_PORT_")
            || rest.starts_with("PORT_")
    };
    // The variables of a Service `signet-something` begin after any underscore.
    let of_other_service = || rest.match_indices('_').any(|(at, _)| of_service(&rest[at + 1..]));
    rest.starts_with("TEST_") || rest.starts_with("SERVICE_") || of_service(rest) || of_other_service()
}

/// Reads the text file at `path`, of at most `longest` bytes.
fn read_file(path: &Path, longest: u32) -> io::Result<String> {
    let mut bytes = Vec::new();
    let read = File::open(path)?.take(u64::from(longest) + 1).read_to_end(&mut bytes)?;
    if read > usize::try_from(longest).unwrap_or(usize::MAX) {
        return Err(io::Error::other(format!("it is larger than {} KiB", longest / 1024)));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8 text"))
}
