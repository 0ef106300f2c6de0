//! The schema of the database, as `serve` and `signet migrate` move it.

use super::{
    error::StartError,
    files::{close_to_others, prepare_data_dir, prepare_files, require_database},
};
use crate::{
    config::Config,
    store::{self, Database, Use, schema},
};

/// Opens a direct connection to the database, for migrations and locks. A missing SQLite file is created.
pub(super) async fn connect(config: &Config) -> Result<Database, StartError> {
    prepare_data_dir(config)?;
    close_to_others(config)?;
    Ok(store::connect(&config.database_listen_url, Use::Schema).await?)
}

/// Applies the pending migrations. With `auto_migrate` off, checks that the operator has applied them.
pub(super) async fn migrate(config: &Config, direct: &Database) -> Result<(), StartError> {
    if config.auto_migrate {
        return Ok(schema::up(direct).await?);
    }
    match schema::status(direct).await?.iter().filter(|step| !step.applied).count() {
        0 => Ok(()),
        missing => Err(StartError::Unmigrated(missing)),
    }
}

/// Applies every pending migration.
pub async fn up(config: &Config) -> Result<(), StartError> {
    Ok(schema::up(&connect(config).await?).await?)
}

/// Reverts the newest migration, where no service uses the database.
pub async fn down(config: &Config) -> Result<(), StartError> {
    require_database(config)?;
    // Held until the end: no service starts meanwhile.
    let _lock = prepare_files(config)?;
    Ok(schema::down(&connect(config).await?).await?)
}

/// The migrations that this version knows, and whether each is applied. No database is made for that.
pub async fn status(config: &Config) -> Result<Vec<schema::Step>, StartError> {
    match require_database(config) {
        Ok(()) => Ok(schema::status(&connect(config).await?).await?),
        Err(StartError::NoDatabase(_)) => Ok(schema::pending()),
        Err(error) => Err(error),
    }
}
