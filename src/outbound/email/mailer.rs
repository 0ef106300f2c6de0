//! The mailer: sends one letter to the mail server, or puts it into the folder that stands for one.

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
        mail::Email,
        mail_server::{MailServer, NotAMailServer, Protection},
    },
    outbound::email::{folder, message::Sender, smtp::Smtp},
};

/// What a mailer is made of.
#[derive(Debug)]
pub struct Settings {
    /// Where the mail goes to; `None` for the folder.
    pub server: Option<MailServer>,
    /// The folder of `.eml` files where there is no server.
    pub folder: PathBuf,
    /// The sender of every mail.
    pub from: Mailbox,
    /// The public origin of the service: it is named in the mails, and greets the mail server.
    pub issuer: String,
    /// Authorities to trust besides those of this machine, in whose place `SSL_CERT_FILE` puts others.
    pub authorities: Vec<Certificate>,
    /// How long one letter may take, whatever the server does.
    pub deadline: Duration,
}

/// How long a letter may take where nothing else is said. Who claims one to send it must hold it for longer.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Sends letters. It keeps no letter: what must not be lost is written down before.
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

/// Why there is no mailer. Each names the key to look at.
#[derive(Debug, thiserror::Error)]
pub enum MailerError {
    /// TLS cannot be had.
    #[error(
        "smtp_url: TLS cannot be set up ({0}); install the system's certificates (ca-certificates), or name a file \
             of them in SSL_CERT_FILE"
    )]
    Tls(lettre::transport::smtp::Error),
    /// The URL is not that of a mail server.
    #[error("smtp_url {0}")]
    Server(#[from] NotAMailServer),
    /// The issuer is no URL.
    #[error("issuer: {0}")]
    Issuer(#[from] url::ParseError),
}

impl Mailer {
    /// A mailer of these settings. Nothing is connected yet.
    ///
    /// # Errors
    /// [`MailerError`].
    pub fn new(settings: Settings) -> Result<Self, MailerError> {
        let Settings { server, folder, from, issuer, authorities, deadline } = settings;
        let issuer = Url::parse(&issuer)?;
        let way = match server {
            Some(server) => {
                let name = destination(&server);
                Way::Smtp(Smtp::new(server, hello(&issuer), authorities).map_err(MailerError::Tls)?, name)
            }
            None => Way::Folder(folder),
        };
        Ok(Self { sender: Sender { from, issuer }, way, deadline })
    }

    /// Sends one letter, within the deadline. One that is sent twice is the same mail, byte for byte, and so has one
    /// Message-ID.
    ///
    /// # Errors
    /// [`SendError`] says whether to try again.
    pub async fn send(&self, letter: &Email) -> Result<(), SendError> {
        let mail = self.sender.render(letter).map_err(|error| SendError::Never(error.to_string()))?;
        let sent = timeout(self.deadline, async {
            match &self.way {
                Way::Smtp(smtp, _) => {
                    let [to] = mail.envelope().to() else {
                        return Err(SendError::Never("a mail has one recipient".to_owned()));
                    };
                    smtp.deliver(&self.sender.from.email, to, &mail.formatted()).await
                }
                Way::Folder(folder) => put(folder.clone(), letter, mail.formatted()).await,
            }
        });
        sent.await.unwrap_or_else(|_| Err(SendError::Later("the mail server took too long".to_owned())))
    }
}

/// Where the mail goes, for the log: without user name and password.
impl fmt::Display for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.way {
            Way::Smtp(_, name) => f.write_str(name),
            Way::Folder(folder) => write!(f, "files in {}", folder.display()),
        }
    }
}

async fn put(folder: PathBuf, letter: &Email, mail: Vec<u8>) -> Result<(), SendError> {
    let name = folder::file_name(letter);
    let put = spawn_blocking(move || folder::put(&folder, &name, &mail));
    let path = put.await.map_err(std::io::Error::other).flatten();
    let path = path.map_err(|error| SendError::Later(format!("the mail's file cannot be written: {error}")))?;
    // The path alone: what a log collects may be read by more people than the mail.
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

/// How we greet (RFC 5321 §4.1.4): by the issuer's name, for this machine's may mean nothing to anybody else.
fn hello(issuer: &Url) -> ClientId {
    match issuer.host() {
        Some(Host::Domain(domain)) => ClientId::Domain(domain.to_owned()),
        Some(Host::Ipv4(address)) => ClientId::Ipv4(address),
        Some(Host::Ipv6(address)) => ClientId::Ipv6(address),
        None => ClientId::default(),
    }
}
