//! From a letter to a mail: its words, and the form of RFC 5322.

use std::time::SystemTime;

use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};
use lettre::{
    Address,
    message::{
        Body, Mailbox, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue},
    },
};
use secrecy::ExposeSecret as _;
use url::{Host, Url};

use crate::domain::{
    email::EmailAddress,
    mail::{Email, Message},
};

/// Who writes.
#[derive(Debug, Clone)]
pub(in crate::outbound) struct Sender {
    /// The `From` of every mail.
    pub(in crate::outbound) from: Mailbox,
    /// The origin of the service, which names it and its pages.
    pub(in crate::outbound) issuer: Url,
}

/// Why a letter cannot be written.
#[derive(Debug, thiserror::Error)]
pub(in crate::outbound) enum Unwritten {
    /// The address is one that the mail library does not take.
    #[error("the address cannot be written to: {0}")]
    Address(#[from] lettre::address::AddressError),
    /// The mail library does not take the rest.
    #[error("the mail cannot be put together: {0}")]
    Mail(#[from] lettre::error::Error),
    /// A template failed.
    #[error("the mail's text cannot be made: {0}")]
    Template(#[from] askama::Error),
}

impl Sender {
    /// The letter as a mail, the same bytes each time.
    pub(in crate::outbound) fn render(&self, letter: &Email) -> Result<lettre::Message, Unwritten> {
        let body = self.body(letter);
        let text = Text { body: &body }.render()?;
        let html = Html { body: &body }.render()?;
        // Nothing that a person chose stands in a header but the two addresses, which have types.
        let headers = lettre::Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, address(&letter.to)?))
            .subject(body.subject)
            .date(SystemTime::from(letter.written_at))
            .message_id(Some(format!("<{}@{}>", letter.id, self.id_right())))
            .header(AutoSubmitted);
        let part = |kind, text| SinglePart::builder().header(kind).body(encoded(text));
        // No line of a part can be the boundary: that would take the letter's random id.
        let parts = MultiPart::alternative()
            .boundary(format!("=_{}", letter.id.simple()))
            .singlepart(part(ContentType::TEXT_PLAIN, text))
            .singlepart(part(ContentType::TEXT_HTML, html));
        Ok(headers.multipart(parts)?)
    }

    /// What follows the `@` in a Message-ID (RFC 5322 §3.6.4): the host, an IP address as a literal.
    fn id_right(&self) -> String {
        match self.issuer.host() {
            Some(Host::Ipv4(address)) => format!("[{address}]"),
            Some(Host::Ipv6(address)) => format!("[IPv6:{address}]"),
            Some(Host::Domain(domain)) => domain.to_owned(),
            None => "localhost".to_owned(),
        }
    }

    /// How the service is called in its mails: its host, with the port where it is not https' own.
    fn name(&self) -> String {
        let origin = self.issuer.origin().ascii_serialization();
        origin.split_once("://").map_or(origin.as_str(), |(_, host)| host).to_owned()
    }

    fn body(&self, letter: &Email) -> MessageBody {
        let host = self.name();
        let forgot = format!("{}/forgot-password", self.issuer.origin().ascii_serialization());
        let new_password = || Some(Action { label: "Set a new password", link: forgot.clone() });
        let hello = |username: &str| format!("Hello {username},");
        let signature = format!("Sent by {host}, automatically: answers to this mail are not read.");
        match &letter.message {
            Message::PasswordReset { username, link, valid_for } => MessageBody {
                subject: format!("Set a new password at {host}"),
                greeting: hello(username),
                before: vec![format!(
                    "somebody, most likely you, asked for a new password for the account {username} at {host}."
                )],
                action: Some(Action { label: "Set a new password", link: link.expose_secret().to_owned() }),
                after: vec![
                    format!("The link works once, within {} of {}.", span(*valid_for), time(letter.written_at)),
                    "If it was not you, you need not do anything: your password stays as it is. Do not pass the link \
                     on: whoever has it can take the account."
                        .to_owned(),
                ],
                signature,
            },
            Message::EmailVerification { username, link, valid_for } => MessageBody {
                subject: format!("Confirm your email address at {host}"),
                greeting: hello(username),
                before: vec![format!("the account {username} at {host} says that this email address belongs to it.")],
                action: Some(Action { label: "Confirm the address", link: link.expose_secret().to_owned() }),
                after: vec![
                    format!("The link works once, within {} of {}.", span(*valid_for), time(letter.written_at)),
                    "If the account is not yours, do not confirm: without you the address counts for nothing there."
                        .to_owned(),
                ],
                signature,
            },
            Message::PasswordChanged { username, at } => MessageBody {
                subject: format!("Your password at {host} was changed"),
                greeting: hello(username),
                before: vec![
                    format!("the password of your account {username} at {host} was changed on {}.", time(*at)),
                    "If it was you, you need not do anything. If it was not, set a new password at once:".to_owned(),
                ],
                action: new_password(),
                after: vec![],
                signature,
            },
            Message::EmailChanged { username, new, at } => MessageBody {
                subject: format!("Your email address at {host} was changed"),
                greeting: hello(username),
                before: vec![
                    format!(
                        "the email address of your account {username} at {host} was changed to {} on {}. Mails about \
                         the account go there from now on, and no longer here.",
                        new.as_str(),
                        time(*at)
                    ),
                    format!(
                        "If it was you, you need not do anything. If it was not, log in, change your password and the \
                         address, and tell the people who run {host}."
                    ),
                ],
                action: None,
                after: vec![],
                signature,
            },
            Message::RegistrationTried { username, at } => MessageBody {
                subject: format!("You already have an account at {host}"),
                greeting: hello(username),
                before: vec![
                    format!(
                        "on {} somebody registered at {host} with this email address. It belongs to your account \
                         {username}, and still does: nothing has changed.",
                        time(*at)
                    ),
                    format!(
                        "If it was you, log in as {username}. If you no longer know the password, you can set a new one:"
                    ),
                ],
                action: new_password(),
                after: vec!["If it was not you, you need not do anything.".to_owned()],
                signature,
            },
        }
    }
}

fn address(email: &EmailAddress) -> Result<Address, lettre::address::AddressError> {
    // It has one '@': the local part is a dot-atom.
    let (local, domain) = email.as_str().rsplit_once('@').unwrap_or_default();
    Address::new(local, domain)
}

/// The text as it stands, where mail can carry it so (RFC 5322 §2.1.1, RFC 2045 §2.7): the library would break every
/// line of more than 76 characters with a `=`, and the link could not be copied out of an `.eml` file.
fn encoded(text: String) -> Body {
    let plain = |line: &str| line.len() <= 998 && line.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if text.split('\n').all(plain) {
        Body::dangerous_pre_encoded(text.replace('\n', "\r\n").into_bytes(), ContentTransferEncoding::SevenBit)
    } else {
        Body::new(text)
    }
}

/// What a mail says; both parts are made of it, so that they say the same.
struct MessageBody {
    subject: String,
    greeting: String,
    before: Vec<String>,
    action: Option<Action>,
    after: Vec<String>,
    signature: String,
}

/// The one thing to do.
struct Action {
    label: &'static str,
    link: String,
}

#[derive(Template)]
#[template(path = "mail/text.txt", whitespace = "preserve")]
struct Text<'a> {
    body: &'a MessageBody,
}

#[derive(Template)]
#[template(path = "mail/html.html", whitespace = "preserve")]
struct Html<'a> {
    body: &'a MessageBody,
}

/// `30 minutes`, `1 hour`, `24 hours`: in the largest unit that holds it exactly; a day reads better in hours.
fn span(span: TimeDelta) -> String {
    let (count, unit) = match span.num_seconds() {
        seconds if seconds % 3600 == 0 => (seconds / 3600, "hour"),
        seconds if seconds % 60 == 0 => (seconds / 60, "minute"),
        seconds => (seconds, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

fn time(time: DateTime<Utc>) -> String {
    time.format("%-d %B %Y at %H:%M UTC").to_string()
}

/// `Auto-Submitted: auto-generated` (RFC 3834 §5): no robot is to answer.
#[derive(Debug, Clone, Copy)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

#[cfg(test)]
mod tests;
