//! Another provider under the same load, as far as it has the endpoints.

use std::{
    fs::File,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    Failure,
    client::{Requests, member},
    drive::Workload,
    options::{Options, Peer, Row},
    process::{self, Program},
    workloads::{FreshTokens, RefreshChain, fixed},
};

/// The script that starts it, in its place in the repository.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../peers/oidc-provider.mjs");

/// A running peer.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) program: Program,
    credentials: String,
    /// Access token and refresh token of a session for each client.
    sessions: Vec<(String, String)>,
    _folder: TempDir,
}

impl Running {
    pub(crate) async fn start(peer: Peer, options: &Options) -> Result<Self, Failure> {
        let Peer::OidcProvider = peer;
        let folder = tempfile::Builder::new().prefix("signet-load-").tempdir()?;
        let port = process::free_port()?;
        let output = folder.path().join("out");
        let script = Path::new(SCRIPT).canonicalize()?;
        let tools = options.peer_tools.canonicalize().map_err(|error| {
            format!("{}: {error}. Run tests/run once, it installs it", options.peer_tools.display())
        })?;
        let mut command = Command::new("node");
        command
            .arg(script)
            .arg(tools)
            .args([port.to_string(), options.clients.to_string()])
            .env("NODE_ENV", "production")
            .stdin(Stdio::null())
            .stdout(File::create(&output)?)
            .stderr(File::create(folder.path().join("err"))?);
        let program = Program::start(&mut command, port).await?;
        // It prints when it listens.
        let mut printed = String::new();
        for _ in 0..100 {
            printed = std::fs::read_to_string(&output)?;
            if printed.ends_with('\n') {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let json: Value = serde_json::from_str(&printed)?;
        let token = |session: &Value, index: usize| session[index].as_str().unwrap_or_default().to_owned();
        let sessions = json["sessions"].as_array().into_iter().flatten();
        let sessions = sessions.map(|session| (token(session, 0), token(session, 1))).collect();
        Ok(Self { program, credentials: member(&json, "credentials")?.to_owned(), sessions, _folder: folder })
    }

    /// The workload of one client; none where the peer has nothing of the kind.
    pub(crate) fn workload(&self, row: Row, client: usize) -> Result<Option<Box<dyn Workload>>, Failure> {
        let requests = Requests::to(&self.program.authority);
        let (access, refresh) = &self.sessions[client];
        let basic = Some(self.credentials.as_str());
        Ok(Some(match row {
            Row::Refresh => Box::new(RefreshChain {
                requests,
                basic: basic.map(str::to_owned),
                path: "/token",
                refresh_token: refresh.clone(),
                fresh: FreshTokens::default(),
            }),
            Row::ClientCredentials => {
                let form = [("grant_type", "client_credentials"), ("scope", "read")];
                fixed(requests.form("/token", basic, &form)?, "access_token")
            }
            Row::Introspect => {
                fixed(requests.form("/token/introspection", basic, &[("token", access)])?, r#""active":true"#)
            }
            Row::Userinfo => fixed(requests.get("/me", Some(access))?, r#""sub":"#),
            Row::Jwks => fixed(requests.get("/jwks", None)?, r#""keys":"#),
            Row::Login | Row::UserinfoFirst | Row::Check | Row::Livez | Row::Register | Row::Mix => return Ok(None),
        }))
    }
}
