//! The mailer: sends an email to the mail server, or writes it to the folder in its place.

use std::{fmt, path::PathBuf, time::Duration};

use lettre::{
    message::Mailbox,
    transport::smtp::{client::Certificate, extension::ClientId},
};
use tokio::{task::spawn_blocking, time::timeout};
use url::{Host, Url};

pub use crate::outbound::email::error::SendError;
use crate::{
    domain::{
        color::Color,
        mail::Email,
        mail_server::{MailServer, NotAMailServer, Protection},
    },
    outbound::email::{folder, message::Sender, smtp::Smtp},
};

/// The settings of a mailer.
#[derive(Debug)]
pub struct Settings {
    /// The mail server; `None` writes emails to `folder`.
    pub server: Option<MailServer>,
    /// The folder of `.eml` files where there is no server.
    pub folder: PathBuf,
    /// The `From` of every email.
    pub from: Mailbox,
    /// The public origin of the service: the links of emails lead there, and its host greets the mail server.
    pub issuer: String,
    /// The service's name in emails (`pages.name`), on one line.
    pub name: String,
    /// The colour of an email's button (`pages.color`).
    pub color: Color,
    /// Certificate authorities to trust beside those of this machine. `SSL_CERT_FILE` replaces the latter.
    pub authorities: Vec<Certificate>,
    /// The longest time that one email may take.
    pub deadline: Duration,
}

/// The default of [`Settings::deadline`]. A worker that claims an email must hold the claim for longer.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Sends emails. It stores none: the outbox keeps what must not be lost.
#[derive(Debug)]
pub struct Mailer {
    sender: Sender,
    way: Way,
    deadline: Duration,
}

#[derive(Debug)]
enum Way {
    Smtp(Smtp, String),
    Folder(PathBuf),
}

/// Why there is no mailer. Each error names the configuration key to look at.
#[derive(Debug, thiserror::Error)]
pub enum MailerError {
    /// TLS cannot be set up.
    #[error(
        "smtp_url: TLS cannot be set up ({0}); install the system's certificates (ca-certificates), or name a file \
             of them in SSL_CERT_FILE"
    )]
    Tls(lettre::transport::smtp::Error),
    /// The URL names no mail server.
    #[error("smtp_url {0}")]
    Server(#[from] NotAMailServer),
    /// The issuer is not a URL.
    #[error("issuer: {0}")]
    Issuer(#[from] url::ParseError),
}

impl Mailer {
    /// Makes a mailer with these settings. It connects to nothing yet.
    ///
    /// # Errors
    /// [`MailerError`].
    pub fn new(settings: Settings) -> Result<Self, MailerError> {
        let Settings { server, folder, from, issuer, name, color, authorities, deadline } = settings;
        let issuer = Url::parse(&issuer)?;
        let way = match server {
            Some(server) => {
                let destination = destination(&server);
                let smtp = Smtp::new(server, hello(&issuer), authorities).map_err(MailerError::Tls)?;
                Way::Smtp(smtp, destination)
            }
            None => Way::Folder(folder),
        };
        Ok(Self { sender: Sender { from, issuer, name, color }, way, deadline })
    }

    /// Sends one email within the deadline. An email that is sent twice has the same bytes, and so the same Message-ID.
    ///
    /// # Errors
    /// [`SendError`] says whether to try again.
    pub async fn send(&self, email: &Email) -> Result<(), SendError> {
        let message = self.sender.render(email).map_err(|error| SendError::Never(error.to_string()))?;
        let sent = timeout(self.deadline, async {
            match &self.way {
                Way::Smtp(smtp, _) => {
                    let [to] = message.envelope().to() else {
                        return Err(SendError::Never("an email has one recipient".to_owned()));
                    };
                    smtp.deliver(&self.sender.from.email, to, &message.formatted()).await
                }
                Way::Folder(folder) => put(folder.clone(), email, message.formatted()).await,
            }
        });
        sent.await.unwrap_or_else(|_| Err(SendError::Later("the mail server took too long".to_owned())))
    }
}

/// The destination for the log: without user name and password.
impl fmt::Display for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.way {
            Way::Smtp(_, name) => f.write_str(name),
            Way::Folder(folder) => write!(f, "files in {}", folder.display()),
        }
    }
}

async fn put(folder: PathBuf, email: &Email, content: Vec<u8>) -> Result<(), SendError> {
    let name = folder::file_name(email);
    let put = spawn_blocking(move || folder::put(&folder, &name, &content));
    let path = put.await.map_err(std::io::Error::other).flatten();
    let path = path.map_err(|error| SendError::Later(format!("the email's file cannot be written: {error}")))?;
    // The path alone: more people may read the log than the email.
    tracing::info!(path = %path.display(), "a mail was written to a file, for smtp_url is not set");
    Ok(())
}

fn destination(server: &MailServer) -> String {
    let scheme = match server.protection {
        Protection::Tls => "smtps",
        Protection::StartTls | Protection::Loopback => "smtp",
    };
    let host = if server.host.contains(':') { format!("[{}]", server.host) } else { server.host.clone() };
    format!("{scheme}://{host}:{}", server.port)
}

/// The name for EHLO (RFC 5321 §4.1.4): the issuer's host, since this machine's own name may mean nothing to the
/// server.
fn hello(issuer: &Url) -> ClientId {
    match issuer.host() {
        Some(Host::Domain(domain)) => ClientId::Domain(domain.to_owned()),
        Some(Host::Ipv4(address)) => ClientId::Ipv4(address),
        Some(Host::Ipv6(address)) => ClientId::Ipv6(address),
        None => ClientId::default(),
    }
}
