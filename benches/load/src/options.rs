//! The command line.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, Subcommand, ValueEnum};

/// Measures the service under load, and the limits of the machine in the same run.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// The database of the service. PostgreSQL gets a temporary cluster with its default durability.
    #[arg(long, value_enum, default_value_t = Database::Postgres)]
    pub(crate) database: Database,
    /// The program under test.
    #[arg(long, default_value = "target/release/signet")]
    pub(crate) service: PathBuf,
    /// How long each row is measured.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Connections, each with one request at a time.
    #[arg(long, default_value_t = 32)]
    pub(crate) clients: usize,
    /// Accounts and sessions that are in the database before.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) sessions: u64,
    /// Measures these rows alone.
    #[arg(long, value_enum)]
    pub(crate) only: Vec<Row>,
    /// Measures this one too.
    #[arg(long, value_enum)]
    pub(crate) peer: Option<Peer>,
    /// The folder with the `node_modules` of the peer, as `tests/run` makes it.
    #[arg(long, default_value = "target/test-tools")]
    pub(crate) peer_tools: PathBuf,
    /// Leaves the limits out.
    #[arg(long)]
    pub(crate) no_limits: bool,
    /// Prints JSON instead of Markdown.
    #[arg(long)]
    pub(crate) json: bool,
    /// Writes the table into this document too, between its two marks.
    #[arg(long)]
    pub(crate) into: Option<PathBuf>,
}

impl Options {
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// Time that is not measured, in which connections open and caches fill.
    pub(crate) fn warm_up(&self) -> Duration {
        self.duration() / 8
    }

    /// The rows to measure, in order.
    pub(crate) fn rows(&self) -> Vec<Row> {
        Row::value_variants().iter().copied().filter(|row| self.only.is_empty() || self.only.contains(row)).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    OidcProvider,
}

/// A kind of request. The order counts: refreshes give the access tokens that `UserinfoFirst` uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Row {
    Login,
    Refresh,
    ClientCredentials,
    Introspect,
    Userinfo,
    UserinfoFirst,
    Check,
    Jwks,
    Livez,
    Register,
    Mix,
}

impl Row {
    /// The row's name in the table.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Login => "login (password grant)",
            Self::Refresh => "refresh",
            Self::ClientCredentials => "client credentials",
            Self::Introspect => "introspection, token seen before",
            Self::Userinfo => "userinfo, token seen before",
            Self::UserinfoFirst => "userinfo, token at first sight",
            Self::Check => "check, token seen before",
            Self::Jwks => "JWKS",
            Self::Livez => "`/livez`",
            Self::Register => "registration",
            Self::Mix => "mix",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serves one fixed answer: the limit of a library. The program starts itself with this.
    #[command(hide = true)]
    Bare {
        kind: Bare,
        address: SocketAddr,
        /// The file with the answer's body.
        body: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bare {
    Hyper,
    Poem,
}
