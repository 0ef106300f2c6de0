//! PostgreSQL servers of our own: one that the whole run shares, and single ones for stories that break theirs.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection};
use tokio::sync::OnceCell;

use super::run;

/// Whether a server's files survive a power cut. Waiting for that costs every story time that only few need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// `fsync = off`.
    None,
    /// As in production.
    Full,
}

/// A PostgreSQL server on a loopback port. It dies with this process.
#[derive(Debug)]
pub(crate) struct Cluster {
    folder: PathBuf,
    port: u16,
    programs: Programs,
}

impl Cluster {
    /// The one that the whole run shares.
    pub(crate) async fn shared() -> &'static Self {
        static SHARED: OnceCell<Cluster> = OnceCell::const_new();
        SHARED.get_or_init(async || Self::make(Durability::None, "")).await
    }

    /// Makes one with these lines of configuration too, and starts it.
    pub(crate) fn make(durability: Durability, more: &str) -> Self {
        let cluster = Self { folder: run::folder(), port: run::free_port(), programs: Programs::find() };
        if let Some(user) = cluster.programs.user {
            chown(&cluster.folder, Some(user.uid), Some(user.gid)).expect("we are root");
        }
        cluster.programs.run(
            "initdb",
            &cluster.folder,
            &["-D", "pg", "-U", "signet", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        );
        let fsync = if durability == Durability::Full { "on" } else { "off" };
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = ''\nmax_connections = 300\n\
             shared_buffers = 64MB\nfsync = {fsync}\nfull_page_writes = {fsync}\nsynchronous_commit = {fsync}\n{more}\n",
            cluster.port
        );
        let file = OpenOptions::new().append(true).open(cluster.folder.join("pg/postgresql.conf"));
        let written = file.and_then(|mut file| file.write_all(settings.as_bytes()));
        written.expect("initdb made the file, and we are its owner or root");
        cluster.start();
        cluster
    }

    /// Starts it; returns when it takes connections.
    pub(crate) fn start(&self) {
        self.programs.run("pg_ctl", &self.folder, &["-D", "pg", "-l", "log", "-w", "-t", "60", "start"]);
    }

    /// All that it has logged.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.join("log")).expect("pg_ctl made it")).into_owned()
    }

    /// Stops it and cuts every connection.
    pub(crate) fn stop(&self) {
        self.programs.run("pg_ctl", &self.folder, &["-D", "pg", "-m", "fast", "-w", "stop"]);
    }

    /// Ends it as a power cut would: nothing that it has not written is written.
    pub(crate) fn crash(&self) {
        self.programs.run("pg_ctl", &self.folder, &["-D", "pg", "-m", "immediate", "-w", "stop"]);
    }

    /// The URL of `database` on this server.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://signet@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes an empty database and gives its name. Databases of stories that are over go first.
    pub(crate) async fn create_database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("story_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let postgres = self.connect().await;
        let over = std::mem::take(&mut *OVER.lock().expect("nobody fails while holding this"));
        for database in over.iter().filter(|database| database.port == self.port) {
            let drop = format!("DROP DATABASE {} WITH (FORCE)", database.name);
            postgres.execute_unprepared(&drop).await.expect("the database is dropped");
        }
        postgres.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("the database is created");
        postgres.close().await.expect("the connection closes");
        name
    }

    async fn connect(&self) -> DatabaseConnection {
        let mut options = ConnectOptions::new(self.url("postgres"));
        options.max_connections(1).sqlx_logging(false);
        sea_orm::Database::connect(options).await.expect("the server takes connections")
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A story may have stopped it already, so that it fails or not is all the same.
        self.programs.status("pg_ctl", &self.folder, &["-D", "pg", "-m", "immediate", "-w", "stop"]);
    }
}

/// A database that no story needs any longer.
struct Over {
    port: u16,
    name: String,
}

static OVER: Mutex<Vec<Over>> = Mutex::new(Vec::new());

/// Has the database dropped when the next one is made: two hundred of them fill a disk.
pub(crate) fn is_over(port: u16, name: String) {
    OVER.lock().expect("nobody fails while holding this").push(Over { port, name });
}

#[derive(Debug, Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

/// PostgreSQL's programs and who runs them: it refuses to run as root.
#[derive(Debug)]
struct Programs {
    folder: PathBuf,
    user: Option<User>,
}

impl Programs {
    fn find() -> Self {
        let folder = std::env::var_os("SIGNET_TEST_POSTGRES_BIN")
            .map(PathBuf::from)
            .or_else(newest_of_debian)
            .or_else(on_the_path)
            .or_else(as_pg_config_says)
            .expect(
                "PostgreSQL's initdb: install the package postgresql, or name its folder in SIGNET_TEST_POSTGRES_BIN",
            );
        let root = std::fs::metadata(run::folder()).expect("we made it").uid() == 0;
        Self { folder, user: root.then(unprivileged_user) }
    }

    /// Runs a program in `folder` to its end, and fails with its words if it fails.
    fn run(&self, program: &str, folder: &Path, arguments: &[&str]) {
        let (status, words) = self.status(program, folder, arguments);
        let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        assert!(status.success(), "{program} {arguments:?} failed: {words}\n{log}");
    }

    fn status(&self, program: &str, folder: &Path, arguments: &[&str]) -> (ExitStatus, String) {
        let mut command = Command::new(self.folder.join(program));
        if let Some(user) = self.user {
            // This gives up the supplementary groups too.
            command.uid(user.uid).gid(user.gid);
        }
        // A file, not a pipe: the server inherits it from pg_ctl, and a pipe would only end with the server.
        let words = run::folder().join("words");
        let file = File::create(&words).expect("the folder is ours");
        let mut child = command
            .args(arguments)
            .current_dir(folder)
            .env("LC_ALL", "C")
            .env_remove("PGDATA")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{program} does not start: {error}"));
        run::supervise(child.id());
        let status = child.wait().expect("it is our child");
        run::release(child.id());
        (status, std::fs::read_to_string(&words).unwrap_or_default())
    }
}

fn newest_of_debian() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin"))))
        .filter(|(_, folder)| folder.join("initdb").is_file())
        .max()
        .map(|(_, folder)| folder)
}

fn on_the_path() -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).find(|folder| folder.join("initdb").is_file())
}

fn as_pg_config_says() -> Option<PathBuf> {
    let Output { status, stdout, .. } = Command::new("pg_config").arg("--bindir").output().ok()?;
    status.success().then(|| PathBuf::from(String::from_utf8_lossy(&stdout).trim()))
}

/// `postgres` where there is one, else `nobody`, whom every system has.
fn unprivileged_user() -> User {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |wanted: &str| {
        users.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, gid, ..] = fields[..] else { return None };
            (name == wanted).then_some(User { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
        })
    };
    find("postgres").or_else(|| find("nobody")).unwrap_or(User { uid: 65_534, gid: 65_534 })
}
