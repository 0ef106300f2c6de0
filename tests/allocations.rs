//! How often a request allocates, from its first byte to the last of its answer: a count that no load on the machine
//! changes. A test program of its own, since an allocator counts for the whole process.
//!
//! The client allocates nothing while the count runs. The log has no subscriber here, so its lines are not in it.

use std::{
    alloc::System,
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    sync::Arc,
    time::Duration,
};

use signet::testing::{Config, Signet, Sources, SystemClock};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The service works in the background too, which only adds to a count: the least of these is right.
const ATTEMPTS: usize = 40;
/// What a count may be above the one noted here; other versions of libraries allocate a little differently.
const TOLERANCE_PERCENT: usize = 10;

/// A connection that stays open.
struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("it is connected");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("it is connected");
        Self { stream, buffer: vec![0; 65_536] }
    }

    /// Sends a request and reads the whole answer, without an allocation.
    fn sends(&mut self, request: &str) -> &str {
        self.stream.write_all(request.as_bytes()).expect("it listens");
        let mut length = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[length..]).expect("it answers");
            assert!(read > 0, "it hung up");
            length += read;
            let text = std::str::from_utf8(&self.buffer[..length]).unwrap_or_default();
            if is_whole(text) {
                break;
            }
        }
        std::str::from_utf8(&self.buffer[..length]).expect("text")
    }

    /// The least allocations of a request; `request` makes it from the answer to the one before.
    fn counts(&mut self, status: &str, mut request: impl FnMut(&str) -> String) -> usize {
        let mut answer = String::new();
        let mut least = usize::MAX;
        for _ in 0..ATTEMPTS {
            let request = request(&answer);
            // What the service does after the answer before must be over.
            std::thread::sleep(Duration::from_millis(5));
            let region = Region::new(ALLOCATOR);
            let text = self.sends(&request);
            let change = region.change();
            least = least.min(change.allocations + change.reallocations);
            assert!(text.starts_with(status), "{text}");
            text.clone_into(&mut answer);
        }
        least
    }
}

fn is_whole(answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    body.len() >= length.unwrap_or(0)
}

fn get(path: &str, token: Option<&str>) -> String {
    let bearer = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{bearer}\r\n")
}

fn post(path: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}")
}

fn form(path: &str, body: &str) -> String {
    post(path, "application/x-www-form-urlencoded", body)
}

fn token(body: &str) -> String {
    form("/oauth/token", body)
}

/// A string member of the answer's JSON.
fn member<'a>(answer: &'a str, name: &str) -> &'a str {
    let (_, rest) = answer.split_once(&format!("\"{name}\":\"")).unwrap_or_else(|| panic!("no {name}: {answer}"));
    rest.split('"').next().unwrap_or_default()
}

/// The environment of the service, and of commands beside it.
fn environment(folder: &Path) -> Vec<(&'static str, String)> {
    let pairs = [
        ("SIGNET_LISTEN", "127.0.0.1:0"),
        ("SIGNET_ISSUER", "http://localhost"),
        ("SIGNET_RATE_LIMITS__ENABLED", "false"),
        ("SIGNET_METRICS_LISTEN", "off"),
        ("SIGNET_PASSWORD__MEMORY_KIB", "64"),
        ("SIGNET_PASSWORD__ITERATIONS", "1"),
    ];
    let url = format!("sqlite://{}?mode=rwc", folder.join("signet.db").display());
    let pairs = pairs.iter().map(|(name, value)| (*name, (*value).to_owned()));
    pairs.chain([("SIGNET_DATABASE_URL", url)]).collect()
}

async fn starts(folder: &Path) -> Signet {
    let sources = Sources {
        flags: BTreeMap::new(),
        file: None,
        environment: environment(folder).into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        directory: folder.to_owned(),
        terminal: false,
    };
    let config = Config::load(&sources).expect("a good configuration");
    Box::pin(Signet::start(config, Arc::new(SystemClock))).await.expect("it starts")
}

/// Registers a client with the grant `client_credentials` that may introspect. Its credentials, for a form.
fn registers_a_client(folder: &Path) -> String {
    let arguments = "client create --name Load --grant client_credentials --scope read --audience http://localhost";
    let mut command = Command::new(env!("CARGO_BIN_EXE_signet"));
    command.args(arguments.split(' ')).current_dir(folder).env_clear().envs(environment(folder));
    let printed = command.output().expect("it starts").stdout;
    let printed = String::from_utf8(printed).expect("text").replace(": \"", ":\"");
    format!("client_id={}&client_secret={}", member(&printed, "client_id"), member(&printed, "client_secret"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_allocates_no_more_than_it_did() {
    let folder = tempfile::tempdir().expect("a folder");
    let signet = starts(folder.path()).await;
    let address = signet.address();
    let client = registers_a_client(folder.path());
    let counted = tokio::task::spawn_blocking(move || counts(address, &client)).await.expect("all is answered");
    signet.stop().await;
    let wrong: Vec<String> = counted
        .iter()
        .filter(|(_, count, noted)| count * 100 > noted * (100 + TOLERANCE_PERCENT))
        .map(|(name, count, noted)| format!("{name}: {count} allocations, and not {noted}"))
        .collect();
    println!("{counted:?}");
    assert!(wrong.is_empty(), "{wrong:?}. If it must be, note the new count here, with the reason in the commit");
}

/// Name, count, and what was noted.
fn counts(address: SocketAddr, credentials: &str) -> Vec<(&'static str, usize, usize)> {
    let mut client = Client::to(address);
    let account = r#"{"username": "ada", "password": "plum orbit lantern 73 quay"}"#;
    client.sends(&post("/v1/users", "application/json", account));
    let login = token("grant_type=password&username=ada&password=plum+orbit+lantern+73+quay");
    let first = client.sends(&login).to_owned();
    let access = member(&first, "access_token");
    let ok = "HTTP/1.1 200";
    let refresh = |answer: &str| {
        let last = if answer.is_empty() { &first } else { answer };
        token(&format!("grant_type=refresh_token&refresh_token={}", member(last, "refresh_token")))
    };
    let own = token(&format!("grant_type=client_credentials&{credentials}"));
    let introspect = form("/oauth/introspect", &format!("token={access}&{credentials}"));
    vec![
        ("livez", client.counts(ok, |_| get("/livez", None)), 9),
        ("JWKS", client.counts(ok, |_| get("/.well-known/jwks.json", None)), 9),
        ("userinfo, token seen before", client.counts(ok, |_| get("/oauth/userinfo", Some(access))), 59),
        ("check, token seen before", client.counts(ok, |_| get("/oauth/check", Some(access))), 40),
        ("introspection, token seen before", client.counts(ok, |_| introspect.clone()), 126),
        ("client credentials", client.counts(ok, |_| own.clone()), 113),
        ("refresh on SQLite", client.counts(ok, refresh), 486),
        ("login on SQLite", client.counts(ok, |_| login.clone()), 601),
    ]
}
