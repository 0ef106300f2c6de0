//! `signet migrate`

use super::{arguments::Direction, failure::Failure, output::print};
use crate::{app::schema, config::Config};

/// Applies or reverts migrations, or lists them.
pub(super) async fn run(config: &Config, direction: Direction) -> Result<(), Failure> {
    match direction {
        Direction::Up => schema::up(config).await?,
        Direction::Down => schema::down(config).await?,
        Direction::Status => {
            for step in schema::status(config).await? {
                print(&format!("{} {}", if step.applied { "applied" } else { "pending" }, step.name));
            }
        }
    }
    Ok(())
}
