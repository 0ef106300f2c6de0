//! Delivery to the mail server (RFC 5321).
//!
//! Connections are kept here and not in lettre's `AsyncSmtpTransport` pool: it takes back a connection whose caller
//! gave up in the middle of an email, and the next email would be read as the rest of that one.

use std::{
    fmt::{self, Display},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lettre::{
    Address,
    transport::smtp::{
        Error,
        authentication::{self, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, Certificate, TlsParameters, TlsParametersBuilder},
        commands::{Data, Mail, Rcpt},
        extension::ClientId,
        response::Category,
    },
};
use secrecy::ExposeSecret as _;
use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, timeout},
};

use crate::{
    domain::mail_server::{MailServer, Protection},
    outbound::email::{error::SendError, one_line::OneLine},
};

/// Limit of connecting to one IP address of the server. The server may have several, one of them dead.
const CONNECT: Duration = Duration::from_secs(4);
/// Limit of opening a connection: DNS, TCP, greeting, TLS and authentication together.
const OPEN: Duration = Duration::from_secs(10);
/// Limit of checking that a kept connection is alive.
const STILL_THERE: Duration = Duration::from_secs(3);
/// Limit of closing a connection; the email's fate is known by then.
const FAREWELL: Duration = Duration::from_secs(1);
/// How many connections are kept for the next email, and for how long: servers hang up after minutes (RFC 5321
/// §4.5.3.2.7).
const KEPT: usize = 2;
const KEPT_FOR: Duration = Duration::from_secs(30);
/// Emails over one connection; some servers take no more than a hundred.
const MAILS: u32 = 50;

/// The connections to one mail server.
pub(in crate::outbound) struct Smtp {
    server: MailServer,
    hello: ClientId,
    tls: Option<TlsParameters>,
    kept: Arc<Mutex<Vec<Kept>>>,
}

/// A connection whose last email was accepted.
struct Kept {
    connection: AsyncSmtpConnection,
    since: Instant,
    mails: u32,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp").field("server", &self.server).field("hello", &self.hello).finish_non_exhaustive()
    }
}

impl Smtp {
    /// Sets up delivery to `server`, which is greeted as `hello`. Its certificate must come from an authority of this
    /// machine or of `authorities`.
    ///
    /// # Errors
    /// If this machine has no certificate authorities at all.
    pub(in crate::outbound) fn new(
        server: MailServer,
        hello: ClientId,
        authorities: Vec<Certificate>,
    ) -> Result<Self, Error> {
        let parameters = || {
            let builder = TlsParameters::builder(server.host.clone());
            authorities.into_iter().fold(builder, TlsParametersBuilder::add_root_certificate).build_rustls()
        };
        let tls = match server.protection {
            Protection::Tls | Protection::StartTls => Some(parameters()?),
            Protection::Loopback => None,
        };
        Ok(Self { server, hello, tls, kept: Arc::default() })
    }

    /// Delivers an email. On `Ok` the server has taken the responsibility for it (RFC 5321 §6.1). A caller that gives
    /// up earlier leaves no half of the email behind.
    pub(in crate::outbound) async fn deliver(
        &self,
        from: &Address,
        to: &Address,
        mail: &[u8],
    ) -> Result<(), SendError> {
        let (mut connection, mails) = match self.kept_one().await {
            Some(kept) => kept,
            None => (self.open().await?, 0),
        };
        match hand_over(&mut connection, from, to, mail).await {
            Ok(()) => {
                self.keep(connection, mails + 1).await;
                Ok(())
            }
            Err(error) => {
                farewell(connection).await;
                Err(error)
            }
        }
    }

    async fn open(&self) -> Result<AsyncSmtpConnection, SendError> {
        let opened = timeout(OPEN, async {
            let mut connection = self.connect().await?;
            if let Some(credentials) = &self.server.credentials {
                let credentials = authentication::Credentials::new(
                    credentials.username.clone(),
                    credentials.password.expose_secret().to_owned(),
                );
                let proven = connection.auth(DEFAULT_MECHANISMS, &credentials).await;
                proven.map_err(|error| later("AUTH", &error))?;
            }
            Ok(connection)
        });
        opened.await.unwrap_or_else(|_| Err(SendError::Later("the mail server took too long to greet us".to_owned())))
    }

    /// Connects and greets; sets up TLS as the server's URL says. Only the greeting has been sent in the clear by then.
    async fn connect(&self) -> Result<AsyncSmtpConnection, SendError> {
        let (host, port) = (self.server.host.as_str(), self.server.port);
        match (self.server.protection, &self.tls) {
            (Protection::StartTls, Some(tls)) => {
                let stream = OneLine::new(tcp(host, port).await?);
                let greeted = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.hello).await;
                let mut connection = greeted.map_err(|error| later("the greeting", &error))?;
                connection.starttls(tls.clone(), &self.hello).await.map_err(|error| later("STARTTLS", &error))?;
                Ok(connection)
            }
            (Protection::StartTls, None) => Err(SendError::Later("there is no TLS".to_owned())),
            (Protection::Tls | Protection::Loopback, tls) => {
                let address = (host, port);
                AsyncSmtpConnection::connect_tokio1(address, Some(CONNECT), &self.hello, tls.clone(), None)
                    .await
                    .map_err(|error| later("the greeting", &error))
            }
        }
    }

    /// A kept connection that is still alive.
    async fn kept_one(&self) -> Option<(AsyncSmtpConnection, u32)> {
        loop {
            // Do not hold the lock while asking the server.
            let Kept { mut connection, since, mails } =
                { self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop()? };
            if since.elapsed() < KEPT_FOR && timeout(STILL_THERE, connection.test_connected()).await == Ok(true) {
                return Some((connection, mails));
            }
        }
    }

    /// Keeps a connection for the next email, or closes it.
    async fn keep(&self, connection: AsyncSmtpConnection, mails: u32) {
        let too_many = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if mails < MAILS && kept.len() < KEPT {
                kept.push(Kept { connection, since: Instant::now(), mails });
                None
            } else {
                Some(connection)
            }
        };
        match too_many {
            Some(connection) => farewell(connection).await,
            // If no other email follows, this task closes the connection.
            None => drop(tokio::spawn(part_from_old(Arc::clone(&self.kept)))),
        }
    }
}

async fn part_from_old(kept: Arc<Mutex<Vec<Kept>>>) {
    tokio::time::sleep(KEPT_FOR).await;
    let old: Vec<Kept> = {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extract_if(.., |one| one.since.elapsed() >= KEPT_FOR).collect()
    };
    for one in old {
        farewell(one.connection).await;
    }
}

/// Closes a connection, with QUIT if it still works.
async fn farewell(mut connection: AsyncSmtpConnection) {
    // It makes no difference if the server does not hear it.
    timeout(FAREWELL, connection.abort()).await.ok();
}

/// Tries the IP addresses of the server in turn.
async fn tcp(host: &str, port: u16) -> Result<TcpStream, SendError> {
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await.map_err(unreachable)?.collect();
    let mut last = SendError::Later("the mail server's name has no address".to_owned());
    for address in addresses {
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = unreachable(error),
            Err(_) => last = SendError::Later("the mail server does not answer".to_owned()),
        }
    }
    Err(last)
}

fn unreachable(error: impl Display) -> SendError {
    SendError::Later(format!("the mail server cannot be reached: {error}"))
}

async fn hand_over(
    connection: &mut AsyncSmtpConnection,
    from: &Address,
    to: &Address,
    mail: &[u8],
) -> Result<(), SendError> {
    // A refused sender is a fault of the configuration or the login, not of this email.
    connection.command(Mail::new(Some(from.clone()), vec![])).await.map_err(|error| later("MAIL", &error))?;
    connection.command(Rcpt::new(to.clone(), vec![])).await.map_err(|error| judged("RCPT", &error))?;
    connection.command(Data).await.map_err(|error| judged("DATA", &error))?;
    connection.message(mail).await.map_err(|error| judged("the mail", &error))?;
    Ok(())
}

/// Refused for good only on 55x, the mail system's refusal of recipient or email (RFC 5321 §4.2.1). Other 5xx codes
/// concern our login or an earlier command, and pass once the operator has mended it.
fn judged(step: &str, error: &Error) -> SendError {
    let refused = error.is_permanent() && error.status().is_some_and(|code| code.category == Category::MailSystem);
    if refused { SendError::Never(describe(step, error)) } else { later(step, error) }
}

fn later(step: &str, error: &Error) -> SendError {
    SendError::Later(describe(step, error))
}

/// The failure for the log. Of a reply only its codes: its text may repeat the email address or the link.
fn describe(step: &str, error: &Error) -> String {
    let Some(code) = error.status() else {
        // The library's and the system's own words. A reply that cannot be parsed is not repeated either.
        let causes: Vec<String> = causes(error).map(ToString::to_string).collect();
        return if error.is_response() {
            format!("no proper reply to {step}")
        } else {
            format!("no reply to {step}: {}", causes.join(": "))
        };
    };
    match causes(error).next().and_then(|text| enhanced(&text.to_string())) {
        Some(enhanced) => format!("the mail server answered {code} {enhanced} to {step}"),
        None => format!("the mail server answered {code} to {step}"),
    }
}

fn causes(error: &Error) -> impl Iterator<Item = &dyn std::error::Error> {
    std::iter::successors(std::error::Error::source(error), |error| error.source())
}

/// The enhanced status code that a reply's text begins with (RFC 2034 §4): `5.1.1`.
fn enhanced(text: &str) -> Option<String> {
    let first = text.split_whitespace().next()?;
    let parts: Vec<&str> = first.split('.').collect();
    let number = |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    (parts.len() == 3 && parts.iter().all(number)).then(|| first.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_replys_text_only_the_code_is_told() {
        assert_eq!(enhanced("5.1.1 <ada@example.org>: unknown").as_deref(), Some("5.1.1"));
        for text in ["", "<ada@example.org>", "no.such.user", "5.1", "5.1.1.1 a", "5.1234.1", "5..1", "192.168.1.1"] {
            assert_eq!(enhanced(text), None, "{text}");
        }
    }
}
