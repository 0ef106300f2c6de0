//! A temporary PostgreSQL cluster with the durability of production, `psql` and `pgbench`.

use std::{
    fs::File,
    io::Write as _,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::{Failure, process};

/// The database of the service.
const DATABASE: &str = "signet";

/// A running cluster. It ends with this value.
#[derive(Debug)]
pub(crate) struct Cluster {
    folder: TempDir,
    pub(crate) port: u16,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    id: u32,
}

/// Counters of the cluster, to be read before and after.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counters {
    pub(crate) processor_seconds: f64,
    /// Bytes of write-ahead log.
    pub(crate) wal: f64,
}

impl Cluster {
    pub(crate) fn start() -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("signet-load-").tempdir()?;
        let user = if std::fs::metadata(folder.path())?.uid() == 0 { unprivileged_user()? } else { None };
        if let Some((uid, gid)) = user {
            std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o711))?;
            chown(folder.path(), Some(uid), Some(gid))?;
        }
        let mut cluster = Self { folder, port: process::free_port()?, programs: programs()?, user, id: 0 };
        let initdb = ["-D", "pg", "-U", "signet", "-A", "trust", "-E", "UTF8", "--locale=C"];
        cluster.run("initdb", &initdb)?;
        // Durability stays at its defaults: fsync, full_page_writes and synchronous_commit are on.
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = ''\nmax_connections = 200\n\
             shared_buffers = 256MB\nmax_wal_size = 4GB\n",
            cluster.port
        );
        File::options().append(true).open(cluster.path("pg/postgresql.conf"))?.write_all(settings.as_bytes())?;
        cluster.run("pg_ctl", &["-D", "pg", "-l", "log", "-w", "-t", "60", "start"])?;
        let pid = std::fs::read_to_string(cluster.path("pg/postmaster.pid"))?;
        cluster.id = pid.lines().next().unwrap_or_default().parse()?;
        cluster.psql("postgres", &format!("CREATE DATABASE {DATABASE}"))?;
        Ok(cluster)
    }

    pub(crate) fn url(&self) -> String {
        url(self.port)
    }

    /// Runs SQL on the database of the service. The first value of its result.
    pub(crate) fn sql(&self, sql: &str) -> Result<String, Failure> {
        self.psql(DATABASE, sql)
    }

    pub(crate) fn counters(&self) -> Result<Counters, Failure> {
        let wal = self.sql("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')")?.parse()?;
        Ok(Counters { processor_seconds: process::processor_seconds(self.id), wal })
    }

    /// The share of the updates of sessions that were heap-only.
    pub(crate) fn heap_only_share(&self) -> Result<f64, Failure> {
        let sql = "SELECT coalesce(n_tup_hot_upd::float8 / nullif(n_tup_upd, 0), 0) FROM pg_stat_user_tables \
                   WHERE relname = 'session'";
        Ok(self.sql(sql)?.parse()?)
    }

    /// Transactions a second of this script by `pgbench`, with prepared statements.
    pub(crate) fn pgbench(&self, script: &str, clients: usize, duration: Duration) -> Result<f64, Failure> {
        let (clients, seconds) = (clients.to_string(), duration.as_secs().max(1).to_string());
        std::fs::write(self.path("script.sql"), script)?;
        let port = self.port.to_string();
        let server = ["-h", "127.0.0.1", "-p", &port, "-U", "signet"];
        let load = ["-n", "-M", "prepared", "-f", "script.sql", "-j", "1", "-c", &clients, "-T", &seconds, DATABASE];
        let printed = self.run("pgbench", &[&server[..], &load].concat())?;
        let rate = printed.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        rate.ok_or_else(|| format!("pgbench gave no rate: {printed}").into())
    }

    fn psql(&self, database: &str, sql: &str) -> Result<String, Failure> {
        let port = self.port.to_string();
        let server = ["-h", "127.0.0.1", "-p", &port, "-U", "signet", "-d", database];
        let printed =
            self.run("psql", &[&server[..], &["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]].concat())?;
        Ok(printed.trim().to_owned())
    }

    /// Runs a program of PostgreSQL to its end. Its output, or what it said if it failed.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<String, Failure> {
        let mut command = Command::new(self.programs.join(program));
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        // A file, since the server inherits it from pg_ctl: a pipe would end only with the server.
        let words = File::options().create(true).write(true).truncate(true).open(self.path("words"))?;
        let status = command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("LC_ALL", "C")
            .env_remove("PGDATA")
            // An interrupt at the terminal is for this program, which then stops the server.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(words.try_clone()?)
            .stderr(words)
            .status()
            .map_err(|error| format!("{program} does not start: {error}"))?;
        let printed = std::fs::read_to_string(self.path("words"))?;
        if status.success() {
            return Ok(printed);
        }
        let last: Vec<&str> = printed.lines().rev().take(5).collect();
        Err(format!("{program} failed: {}", last.join(" / ")).into())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.run("pg_ctl", &["-D", "pg", "-m", "immediate", "-w", "stop"]).ok();
    }
}

/// The URL of the service's database at a port.
pub(crate) fn url(port: u16) -> String {
    format!("postgres://signet@127.0.0.1:{port}/{DATABASE}")
}

/// The folder of PostgreSQL's programs: named by the variable that the stories use too, the newest of Debian's, or one
/// of the path.
fn programs() -> Result<PathBuf, Failure> {
    let is_there = |folder: &PathBuf| folder.join("initdb").is_file();
    let named = std::env::var_os("SIGNET_TEST_POSTGRES_BIN").map(PathBuf::from);
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin"))))
        .filter(|(_, folder)| is_there(folder))
        .max()
        .map(|(_, folder)| folder);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = named.or(newest).or_else(|| std::env::split_paths(&path).find(is_there));
    found.ok_or_else(|| "PostgreSQL's programs are missing: install it, or set SIGNET_TEST_POSTGRES_BIN".into())
}

/// Who runs PostgreSQL, which refuses to run as root: the user and group ids of `postgres`, else of `nobody`.
fn unprivileged_user() -> Result<Option<(u32, u32)>, Failure> {
    let users = std::fs::read_to_string(Path::new("/etc/passwd"))?;
    let find = |wanted: &str| {
        users.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, gid, ..] = fields[..] else { return None };
            (name == wanted).then_some((uid.parse().ok()?, gid.parse().ok()?))
        })
    };
    Ok(find("postgres").or_else(|| find("nobody")))
}
