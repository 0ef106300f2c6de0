//! The commands. Results go to standard output, messages and logs to standard error; the exit status is 0 for done, 1
//! for failed and 2 for wrong usage or configuration.

mod arguments;
mod backup;
mod client;
mod client_arguments;
mod failure;
mod healthcheck;
mod key_arguments;
mod keys;
mod logging;
mod migrate;
mod output;
mod password;
mod serve;
mod user;

use std::{io::IsTerminal, process::ExitCode, sync::Arc};

use self::{
    arguments::{Arguments, Command},
    failure::Failure,
    output::print,
};
use crate::{
    app,
    config::{Config, Sources},
    domain::clock::{Clock, SystemClock},
};

/// Runs the command of the process's arguments.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = match arguments::parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help goes to standard output, errors to standard error. A failure to print cannot be reported.
            drop(error.print());
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    match dispatch(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(why)) => complain(&why, 1),
        Err(Failure::Usage(why)) => complain(&why, 2),
    }
}

fn complain(why: &str, status: u8) -> ExitCode {
    for line in why.lines() {
        eprintln!("signet: {line}");
    }
    ExitCode::from(status)
}

fn dispatch(arguments: Arguments) -> Result<(), Failure> {
    let sources = Sources {
        flags: arguments.flags,
        file: arguments.config_file,
        environment: std::env::vars_os().collect(),
        directory: ".".into(),
        terminal: std::io::stderr().is_terminal(),
    };
    let config = Config::load(&sources).map_err(|error| Failure::Usage(error.to_string()))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|cause| Failure::Failed(format!("cannot start threads: {cause}")))?;
    match arguments.command {
        Command::Serve => {
            let log = logging::start_service(config.log_format);
            runtime.block_on(serve::run(config, clock, Arc::clone(&log.dropped)))
        }
        Command::Migrate { direction, yes, json } => {
            logging::start_command(config.log_format);
            let style = if json { migrate::Style::Json } else { migrate::Style::Text };
            runtime.block_on(migrate::run(&config, direction, yes, style))
        }
        Command::Backup { to } => {
            logging::start_command(config.log_format);
            runtime.block_on(backup::run(&config, &to))
        }
        Command::Client { action } => {
            logging::start_command(config.log_format);
            runtime.block_on(client::run(&config, clock, action))
        }
        Command::Keys { action } => {
            logging::start_command(config.log_format);
            runtime.block_on(keys::run(&config, clock, action))
        }
        Command::User { action } => {
            logging::start_command(config.log_format);
            runtime.block_on(user::run(&config, clock, action))
        }
        Command::Config => {
            for warning in &config.warnings {
                eprintln!("signet: {warning}");
            }
            print(&config.show());
            Ok(())
        }
        Command::Openapi => {
            print(&app::openapi(&config, &clock)?);
            Ok(())
        }
        Command::Healthcheck => runtime.block_on(healthcheck::run(&config)),
    }
}
