//! The configuration: gathered from flags, environment and file, and checked as a whole.
//!
//! [`Config::load`] is the only constructor, so every configuration is valid. Only `cli` and `app` see it; every other
//! module gets plain values.
//!
//! No configuration crate (`figment`, `config`) is used: they lose the file and line of a value, stop at the first
//! problem, and know neither `_FILE` variables nor hints for misspelled keys.

mod given;
mod keys;
mod model;
mod planned;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod read;
mod show;
mod sources;
#[cfg(test)]
mod tests;
mod toml_file;
mod urls;
mod values;
mod warnings;

pub use self::{
    keys::{KEYS, PROVIDER_KEYS},
    model::{
        AppleKey, ClientIdDocuments, ClientRegistration, Config, ConfigError, LogFormat, Provider, RateLimit,
        RegistrationMode,
    },
    sources::Sources,
};

impl Config {
    /// Gathers the configuration from `sources` and checks it as a whole.
    ///
    /// A flag overrides the environment, which overrides the file, which overrides the default.
    ///
    /// # Errors
    /// [`ConfigError`] with every problem found: unknown keys and variables, unreadable files, values that are not
    /// allowed, alone or together. The values of an unreadable file are not checked, since half of them may be missing.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let values = sources::gather(sources)?;
        read::read(values, sources.terminal)
    }
}
