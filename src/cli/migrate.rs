//! `signet migrate`

use std::io::{self, IsTerminal, Write as _};

use serde_json::json;

use super::{arguments::Direction, failure::Failure, output::print};
use crate::{app::schema, config::Config};

/// The format of the list of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Json,
    Text,
}

/// Applies or reverts migrations, or lists them.
pub(super) async fn run(config: &Config, direction: Direction, yes: bool, style: Style) -> Result<(), Failure> {
    match direction {
        Direction::Up => schema::up(config).await?,
        Direction::Down => {
            if !yes {
                confirm_down()?;
            }
            schema::down(config).await?;
        }
        Direction::Status => {
            let steps = schema::status(config).await?;
            match style {
                Style::Json => {
                    let steps = steps.iter().map(|step| json!({ "name": step.name, "applied": step.applied }));
                    print(&steps.collect::<serde_json::Value>().to_string());
                }
                Style::Text => {
                    for step in steps {
                        print(&format!("{} {}", if step.applied { "applied" } else { "pending" }, step.name));
                    }
                }
            }
        }
    }
    Ok(())
}

/// Asks at a terminal. A script must pass `--yes`: a mistyped word deleted a table's data without a question.
fn confirm_down() -> Result<(), Failure> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::Usage("migrate down deletes the data of the newest migration: add --yes".to_owned()));
    }
    let mut answer = String::new();
    eprint!("This reverts the newest migration and deletes its data. Continue? [y/N] ");
    let read = io::stderr().flush().and_then(|()| stdin.read_line(&mut answer));
    read.map_err(|cause| Failure::Failed(format!("cannot read the answer ({cause}): add --yes")))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::Failed("nothing was changed".to_owned())),
    }
}
