//! `signet backup`

use std::path::Path;

use super::failure::Failure;
use crate::{app::backup::backup, config::Config};

/// Copies the SQLite database to a new file.
pub(super) async fn run(config: &Config, to: &Path) -> Result<(), Failure> {
    backup(config, to).await?;
    eprintln!("signet: the database is copied to {}; the keys are not in it", to.display());
    Ok(())
}
