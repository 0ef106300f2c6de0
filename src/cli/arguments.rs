//! The command line: the commands of the interface, and a flag for every key of the configuration.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use uuid::Uuid;

use super::{client_arguments::ClientAction, key_arguments::KeysAction};
use crate::{
    config::KEYS,
    domain::{email::EmailAddress, role::Role, username::Username},
};

/// A command and the configuration's flags.
#[derive(Debug)]
pub(super) struct Arguments {
    /// The command to run.
    pub(super) command: Command,
    /// Keys of the configuration and their values.
    pub(super) flags: BTreeMap<String, String>,
    /// The configuration file.
    pub(super) config_file: Option<PathBuf>,
}

/// A stateless JWT token issuer
#[derive(Debug, Parser)]
#[command(name = "signet", version, about)]
struct Root {
    #[command(subcommand)]
    command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the service (what happens without a command)
    Serve,
    /// Migrate the database's schema; `serve` does so itself unless `auto_migrate` is off
    Migrate {
        /// The direction of the migration
        direction: Direction,
        /// Do not ask before `down`, which deletes data
        #[arg(long)]
        yes: bool,
        /// Print the steps of `status` as JSON
        #[arg(long)]
        json: bool,
    },
    /// Copy the SQLite database to a new file, while the service runs
    Backup {
        /// The new file
        #[arg(value_name = "FILE")]
        to: PathBuf,
    },
    /// OAuth clients
    Client {
        #[command(subcommand)]
        action: ClientAction,
    },
    /// Signing keys and root secrets
    Keys {
        #[command(subcommand)]
        action: KeysAction,
    },
    /// Accounts
    User {
        #[command(subcommand)]
        action: UserAction,
    },
    /// Print the effective configuration, secrets redacted
    Config,
    /// Print the OpenAPI document
    Openapi,
    /// Exit 0 when the service at `listen` is ready
    Healthcheck,
}

/// The direction of a migration.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Direction {
    /// Apply every step that is not yet applied
    Up,
    /// Revert the newest step, and lose the data that it holds
    Down,
    /// Show the steps
    Status,
}

/// Actions on accounts. A NAME is a username in any spelling, an account's id, or its verified email address. `--id`
/// names an account by its id alone.
#[derive(Debug, Subcommand)]
pub(super) enum UserAction {
    /// Create an account and print it as JSON; its password comes from a prompt, or is the one line of standard input
    Create(Box<NewUser>),
    /// Print an account as JSON
    Show {
        #[command(flatten)]
        account: Account,
        /// Print JSON (it always is)
        #[arg(long)]
        json: bool,
    },
    /// Print all accounts as a JSON array, oldest first, one a line
    List {
        /// Print JSON (it always is)
        #[arg(long)]
        json: bool,
    },
    /// Disable an account: its sessions end, and it cannot log in
    Disable(Account),
    /// Let a disabled account log in again, and reset its failed passwords; its sessions stay ended
    Enable(Account),
    /// Reset an account's failed passwords, so that its owner can log in at once
    Unlock(Account),
    /// Delete an account; its sessions end
    Delete(Account),
    /// Give an account another password, which comes from a prompt, or is the one line of standard input; its sessions
    /// end, and its failed passwords are reset
    SetPassword(Account),
    /// End an account's sessions
    RevokeSessions(Account),
    /// Give an account a role; its next tokens carry it
    GrantRole(AccountRole),
    /// Take a role from an account; its next tokens lack it
    RevokeRole(AccountRole),
}

/// The account that a command names.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct Account {
    /// Its username, id or verified email address
    pub(super) name: Option<String>,
    /// Its id, even where that is the username of another account
    #[arg(long, value_name = "UUID")]
    pub(super) id: Option<Uuid>,
}

/// A role of an account.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct AccountRole {
    /// The account's username, id or verified email address; then the role: 1 to 32 of a-z, 0-9, '-', '_', '.' and ':'
    #[arg(value_names = ["NAME", "ROLE"], num_args = 1..=2, required = true)]
    words: Vec<String>,
    /// The account's id, in place of NAME
    #[arg(long, value_name = "UUID")]
    id: Option<Uuid>,
}

impl AccountRole {
    /// The account and the role.
    ///
    /// # Errors
    /// A message of one line that says which argument is wrong.
    pub(super) fn parse(self) -> Result<(Account, Role), String> {
        let mut words = self.words;
        let role = words.pop().unwrap_or_default();
        let account = Account { name: words.pop(), id: self.id };
        match (&account.name, &account.id) {
            (None, None) => Err("give NAME and ROLE, or --id UUID and ROLE".to_owned()),
            (Some(_), Some(_)) => Err("give NAME or --id UUID, not both".to_owned()),
            _ => Ok((account, Role::parse(&role).map_err(|why| format!("the role {why}"))?)),
        }
    }
}

/// The account to create.
#[derive(Debug, clap::Args)]
pub(super) struct NewUser {
    /// Its username
    #[arg(value_name = "NAME", value_parser = Username::parse)]
    pub(super) username: Username,
    /// Its email address
    #[arg(long, value_parser = EmailAddress::parse)]
    pub(super) email: Option<EmailAddress>,
    /// The email address is known to be its owner's: they may log in with it
    #[arg(long, requires = "email")]
    pub(super) email_verified: bool,
    /// A role that it has (repeatable)
    #[arg(long = "role", value_name = "ROLE", value_parser = Role::parse)]
    pub(super) roles: Vec<Role>,
    /// Print JSON (it always is)
    #[arg(long)]
    pub(super) json: bool,
}

/// Reads the command line.
///
/// # Errors
/// The message about wrong usage, or the requested help.
pub(super) fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    let command = with_configuration(Root::command(), true);
    let matches = command.try_get_matches_from(line)?;
    let root = Root::from_arg_matches(&matches)?;
    let mut arguments =
        Arguments { command: root.command.unwrap_or(Command::Serve), flags: BTreeMap::new(), config_file: None };
    gather(&matches, &mut arguments);
    Ok(arguments)
}

/// Gives every command a flag for each key, unless the command has a flag of that name itself.
fn with_configuration(command: clap::Command, shown: bool) -> clap::Command {
    let taken: Vec<String> = command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect();
    let flag = |id: String, long: String, help: String| {
        Arg::new(id)
            .long(long)
            .help(help)
            .value_name("VALUE")
            .action(ArgAction::Set)
            .help_heading("Configuration")
            .hide(!shown)
    };
    let keys = KEYS.iter().filter(|key| !taken.contains(&key.flag())).map(|key| {
        let help = format!("{} [default: {}] [env: {}]", key.help, key.default, key.environment);
        flag(format!("key {}", key.key), key.flag(), help)
    });
    let file = flag("file".to_owned(), "config".to_owned(), "The configuration file".to_owned())
        .value_parser(clap::value_parser!(PathBuf));
    let command = keys.fold(command, clap::Command::arg).arg(file);
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| {
        let shown = name == "serve";
        command.mut_subcommand(name, |sub| with_configuration(sub, shown))
    })
}

/// Collects the configuration's flags from a command and its subcommand, whose flags win.
fn gather(matches: &ArgMatches, arguments: &mut Arguments) {
    for key in KEYS {
        if let Ok(Some(value)) = matches.try_get_one::<String>(&format!("key {}", key.key)) {
            arguments.flags.insert(key.key.to_owned(), value.clone());
        }
    }
    if let Ok(Some(path)) = matches.try_get_one::<PathBuf>("file") {
        arguments.config_file = Some(path.clone());
    }
    if let Some((_, below)) = matches.subcommand() {
        gather(below, arguments);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Arguments {
        parse(line.split(' ').map(OsString::from)).expect("good")
    }

    #[test]
    fn every_command_is_well_formed() {
        with_configuration(Root::command(), true).debug_assert();
    }

    #[test]
    fn no_command_means_serve() {
        assert!(matches!(parsed("signet").command, Command::Serve));
    }

    #[test]
    fn flags_stand_before_or_behind_the_command_and_the_later_wins() {
        let arguments =
            parsed("signet --listen 127.0.0.1:1 --issuer http://a serve --listen 127.0.0.1:2 --config x.toml");
        assert_eq!(arguments.flags["listen"], "127.0.0.1:2");
        assert_eq!(arguments.flags["issuer"], "http://a");
        assert_eq!(arguments.config_file, Some("x.toml".into()));
    }

    #[test]
    fn a_nested_key_has_a_flag_with_dashes() {
        assert_eq!(parsed("signet --password-memory-kib 64").flags["password.memory_kib"], "64");
    }

    #[test]
    fn where_a_command_has_a_flag_of_that_name_it_is_the_commands() {
        let arguments = parsed("signet --audience a client create --name n --audience b");
        assert_eq!(arguments.flags["audience"], "a");
        let Command::Client { action: ClientAction::Create(new) } = arguments.command else {
            panic!("another command")
        };
        assert_eq!(new.options.audiences, ["b"]);
    }
}
