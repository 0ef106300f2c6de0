//! A real mail server, which keeps all emails and fails on request.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use lettre::transport::smtp::client::Certificate;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde::Deserialize;

use super::{eventually, run, tools};

/// The server's user and password, percent-encoded for a URL.
pub(crate) const USER: &str = "mailer:pa%2Fss%3Aw%C3%B6rd";

/// The server's transport security.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    Plain,
    StartTls,
    Tls,
}

/// The server's behaviour. A step is an SMTP command, `GREETING`, `CONTENT` or `END` (of the email).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behaviour {
    /// Accepts every email.
    Good,
    /// Answers a step with this reply.
    Replies(&'static str, &'static str),
    /// Stops replying at a step.
    Stalls(&'static str),
    /// Hangs up at a step; at `END`, after it has kept the email.
    Drops(&'static str),
    /// Waits three seconds before each reply.
    Slow,
    /// Sends one endless line.
    Floods,
    /// An attacker on the path appends replies to its answer to `STARTTLS`.
    Forged,
}

/// An email that the server accepted.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Received {
    /// From the envelope.
    pub(crate) from: String,
    /// From the envelope.
    pub(crate) to: Vec<String>,
    pub(crate) subject: String,
    /// The text part, decoded.
    pub(crate) text: String,
    /// The HTML part, decoded.
    pub(crate) html: String,
    /// The whole email as it came.
    pub(crate) raw: String,
}

/// A running mail server.
#[derive(Debug)]
pub(crate) struct Smtp {
    child: Child,
    folder: PathBuf,
    port: u16,
    security: Security,
    authority: String,
}

impl Smtp {
    /// Starts a server without TLS.
    pub(crate) fn start() -> Self {
        Self::secured(Security::Plain, "localhost")
    }

    /// Starts a server with a certificate for `name`, from an authority of its own.
    pub(crate) fn secured(security: Security, name: &str) -> Self {
        let folder = run::folder();
        let authority = authority();
        let key = KeyPair::generate().expect("a key pair");
        let leaf = CertificateParams::new([name.to_owned()]).expect("a name").signed_by(&key, &authority);
        let write = |name: &str, content: String| {
            std::fs::write(folder.join(name), content).expect("the folder is ours");
            folder.join(name)
        };
        let cert = write("cert.pem", leaf.expect("a certificate").pem());
        let key = write("key.pem", key.serialize_pem());
        let mut command = Command::new(tools::python("python"));
        command.arg(tools::script("smtp.py")).arg(&folder);
        match security {
            Security::Plain => command.arg("plain"),
            Security::StartTls => command.arg("starttls").arg(cert).arg(key),
            Security::Tls => command.arg("tls").arg(cert).arg(key),
        };
        // The server logs every client that hangs up.
        let complaints = File::create(folder.join("complaints")).expect("the folder is ours");
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(complaints);
        let mut child = command.spawn().expect("Python starts");
        run::supervise(child.id());
        let mut line = String::new();
        let said = BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line);
        let port = said.ok().and_then(|_| line.trim().parse().ok());
        let port = port.unwrap_or_else(|| panic!("the mail server does not start: see {}", folder.display()));
        Self { child, folder, port, security, authority: authority.pem() }
    }

    /// Its URL, as `smtp_url` takes it.
    pub(crate) fn url(&self) -> String {
        self.url_with("")
    }

    /// As [`Self::url`], with a user and password such as [`USER`].
    pub(crate) fn url_for(&self, user: &str) -> String {
        self.url_with(&format!("{user}@"))
    }

    fn url_with(&self, user: &str) -> String {
        match self.security {
            Security::Plain => format!("smtp://{user}127.0.0.1:{}", self.port),
            Security::StartTls => format!("smtp://{user}localhost:{}?tls=required", self.port),
            Security::Tls => format!("smtps://{user}localhost:{}", self.port),
        }
    }

    /// Its port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The authority that issued its certificate, as PEM.
    pub(crate) fn authority(&self) -> Certificate {
        Certificate::from_pem(self.authority.as_bytes()).expect("a certificate")
    }

    /// Changes its behaviour.
    pub(crate) fn behaves(&self, behaviour: Behaviour) {
        let line = match behaviour {
            Behaviour::Good => "good".to_owned(),
            Behaviour::Replies(step, text) => format!("reply {step} {text}"),
            Behaviour::Stalls(step) => format!("stall {step}"),
            Behaviour::Drops(step) => format!("drop {step}"),
            Behaviour::Slow => "slow".to_owned(),
            Behaviour::Floods => "flood".to_owned(),
            Behaviour::Forged => "forge".to_owned(),
        };
        let draft = self.folder.join("behaviour.new");
        std::fs::write(&draft, line).expect("the folder is ours");
        std::fs::rename(&draft, self.folder.join("behaviour")).expect("the folder is ours");
    }

    /// The accepted emails, in order.
    pub(crate) fn mails(&self) -> Vec<Received> {
        let entries = std::fs::read_dir(&self.folder).expect("the folder is ours").flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| is_mail(path)).collect();
        files.sort();
        let read = |path: &PathBuf| std::fs::read(path).expect("the file is whole");
        files.iter().map(|path| serde_json::from_slice(&read(path)).expect("the server writes JSON")).collect()
    }

    /// Waits for `count` emails, and returns them.
    pub(crate) async fn waits_for(&self, count: usize) -> Vec<Received> {
        eventually(Duration::from_mins(1), "the mails have come", async || self.mails().len() >= count).await;
        self.mails()
    }

    /// Connections and commands in order: `clear RCPT` or `tls RCPT`.
    pub(crate) fn events(&self) -> Vec<String> {
        let events = std::fs::read_to_string(self.folder.join("events")).unwrap_or_default();
        events.lines().map(str::to_owned).collect()
    }

    /// The number of these events.
    pub(crate) fn count(&self, event: &str) -> usize {
        self.events().iter().filter(|one| *one == event).count()
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        run::release(self.child.id());
    }
}

fn is_mail(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "json")
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([]).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key pair")).expect("a certificate")
}
