//! `signet migrate`

use super::{Failure, arguments::Direction, print};
use crate::{
    app::{self, StartError},
    config::Config,
    store::schema,
};

/// Moves the schema, or says where it stands.
pub(super) async fn run(config: &Config, direction: Direction) -> Result<(), Failure> {
    let db = app::schema_connection(config).await?;
    match direction {
        Direction::Up => schema::up(&db).await.map_err(StartError::from)?,
        Direction::Down => schema::down(&db).await.map_err(StartError::from)?,
        Direction::Status => {
            for step in schema::status(&db).await.map_err(StartError::from)? {
                print(&format!("{} {}", if step.applied { "applied" } else { "pending" }, step.name));
            }
        }
    }
    Ok(())
}
