//! Renders an email: its text, and the message format of RFC 5322.

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
    color::Color,
    email::EmailAddress,
    mail::{AccountChange, Email, Message},
};

/// The service as the author of emails.
#[derive(Debug, Clone)]
pub(in crate::outbound) struct Sender {
    /// The `From` of every email.
    pub(in crate::outbound) from: Mailbox,
    /// The origin of the service: links lead there, and the text gives its host beside the name.
    pub(in crate::outbound) issuer: Url,
    /// The service's name in emails (`pages.name`).
    pub(in crate::outbound) name: String,
    /// The colour of the button (`pages.color`).
    pub(in crate::outbound) color: Color,
}

/// Why an email cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub(in crate::outbound) enum Unwritten {
    /// The library refuses the recipient's email address.
    #[error("the email address is not valid: {0}")]
    Address(#[from] lettre::address::AddressError),
    #[error("the email cannot be put together: {0}")]
    Mail(#[from] lettre::error::Error),
    #[error("the email's text cannot be rendered: {0}")]
    Template(#[from] askama::Error),
}

impl Sender {
    /// Renders `email`; the same email gives the same bytes each time.
    pub(in crate::outbound) fn render(&self, email: &Email) -> Result<lettre::Message, Unwritten> {
        let body = self.body(email);
        let text = Text { body: &body }.render()?;
        let html = Html { body: &body, color: self.color, ink: self.color.ink() }.render()?;
        // A user can write nothing into the headers but the two email addresses, which have types. The subject holds
        // the operator's name for the service, which the configuration keeps to one line.
        let headers = lettre::Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, address(&email.to)?))
            .subject(body.subject)
            .date(SystemTime::from(email.written_at))
            .message_id(Some(format!("<{}@{}>", email.id, self.id_right())))
            .header(AutoSubmitted);
        let part = |kind, text| SinglePart::builder().header(kind).body(encoded(text));
        // No line of a part can equal the boundary, which holds the email's random id.
        let parts = MultiPart::alternative()
            .boundary(format!("=_{}", email.id.simple()))
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

    /// The issuer's host, with the port unless it is the scheme's own.
    fn host(&self) -> String {
        let origin = self.issuer.origin().ascii_serialization();
        origin.split_once("://").map_or(origin.as_str(), |(_, host)| host).to_owned()
    }

    fn body(&self, email: &Email) -> MessageBody {
        let name = &self.name;
        // An operator may choose any name; the host says which service it is.
        let service = format!("{name} ({})", self.host());
        let signature = format!("Sent by {service}. This is an automated message; replies are not read.");
        match &email.message {
            Message::PasswordReset { username, link, valid_for } => MessageBody {
                subject: format!("Set a new password at {name}"),
                greeting: hello(username),
                before: vec![format!(
                    "Somebody, most likely you, asked for a new password for the account {username} at {service}."
                )],
                action: Some(Action { label: "Set a new password", link: link.expose_secret().to_owned() }),
                after: vec![
                    format!("The link works once, within {} of {}.", span(*valid_for), time(email.written_at)),
                    "If it was not you, you need not do anything: your password stays as it is. Do not pass the link \
                     on: anybody who has it can take over the account."
                        .to_owned(),
                ],
                signature,
            },
            // Nothing that the account's owner chose: the address is not proved, and may be anybody's.
            Message::EmailVerification { link, valid_for } => MessageBody {
                subject: format!("Confirm your email address at {name}"),
                greeting: hello(""),
                before: vec![format!("This email address was entered for an account at {service}.")],
                action: Some(Action { label: "Confirm the email address", link: link.expose_secret().to_owned() }),
                after: vec![
                    format!("The link works once, within {} of {}.", span(*valid_for), time(email.written_at)),
                    "If the account is not yours, do not confirm: an email address that is not confirmed has no effect \
                     there."
                        .to_owned(),
                ],
                signature,
            },
            Message::AccountChanged { username, change, at } => self.changed(username, change, *at, signature),
            Message::RegistrationTried { username, at } => MessageBody {
                subject: format!("You already have an account at {name}"),
                greeting: hello(username),
                before: vec![
                    format!(
                        "On {} somebody registered at {service} with this email address. It still belongs to your \
                         account {username}: nothing has changed.",
                        time(*at)
                    ),
                    format!(
                        "If it was you, log in as {username}. If you no longer know the password, you can set a new one:"
                    ),
                ],
                action: Some(self.new_password()),
                after: vec!["If it was not you, you need not do anything.".to_owned()],
                signature,
            },
        }
    }

    /// A notice of a change, which says what to do where the owner did not make it.
    fn changed(&self, username: &str, change: &AccountChange, at: DateTime<Utc>, signature: String) -> MessageBody {
        let (name, at) = (&self.name, time(at));
        let service = format!("{name} ({})", self.host());
        let account = if username.is_empty() { "your account".to_owned() } else { format!("your account {username}") };
        let set_password = "If it was you, you need not do anything. If it was not, set a new password at once:";
        let tell = format!("If it was not you, tell the people who run {name}.");
        let (subject, what, then, action) = match change {
            AccountChange::Password => (
                format!("Your password at {name} was changed"),
                format!("The password of {account} at {service} was changed on {at}."),
                set_password.to_owned(),
                Some(self.new_password()),
            ),
            AccountChange::Email(new) => (
                format!("Your email address at {name} was changed"),
                format!(
                    "The email address of {account} at {service} was changed to {} on {at}. Emails about the account \
                     now go there, and no longer here.",
                    new.as_str()
                ),
                format!(
                    "If it was you, you need not do anything. If it was not, log in, change your password and the \
                     email address, and tell the people who run {name}."
                ),
                None,
            ),
            AccountChange::Username(old) => (
                format!("Your username at {name} was changed"),
                format!("The username of your account at {service} was changed from {old} to {username} on {at}."),
                set_password.to_owned(),
                Some(self.new_password()),
            ),
            AccountChange::ProviderLinked(provider) => (
                format!("A login with {provider} can log in to your account at {name}"),
                format!(
                    "The login provider {provider} was linked to {account} at {service} on {at}. Anyone who logs in there \
                     with the linked identity is logged in to your account."
                ),
                "If it was you, you need not do anything. If it was not, set a new password at once, and unlink the \
                 provider on the same page:"
                    .to_owned(),
                Some(self.new_password()),
            ),
            AccountChange::ProviderUnlinked(provider) => (
                format!("A login with {provider} can no longer log in to your account at {name}"),
                format!("The login provider {provider} was unlinked from {account} at {service} on {at}."),
                set_password.to_owned(),
                Some(self.new_password()),
            ),
            AccountChange::Deleted => (
                format!("Your account at {name} was deleted"),
                format!("{} at {service} was deleted on {at}, and all its sessions have ended.", capitalized(&account)),
                tell,
                None,
            ),
        };
        MessageBody { subject, greeting: hello(username), before: vec![what, then], action, after: vec![], signature }
    }

    fn new_password(&self) -> Action {
        let link = format!("{}/forgot-password", self.issuer.origin().ascii_serialization());
        Action { label: "Set a new password", link }
    }
}

/// The greeting; without a name where there is none that may stand in the email.
fn hello(username: &str) -> String {
    if username.is_empty() { "Hello,".to_owned() } else { format!("Hello {username},") }
}

fn capitalized(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}

fn address(email: &EmailAddress) -> Result<Address, lettre::address::AddressError> {
    // There is one '@', since the local part is a dot-atom.
    let (local, domain) = email.as_str().rsplit_once('@').unwrap_or_default();
    Address::new(local, domain)
}

/// Leaves the text unencoded if an email can carry it (RFC 5322 §2.1.1, RFC 2045 §2.7). The library would break every
/// line of more than 76 characters with a `=`, so the link could not be copied out of an `.eml` file.
fn encoded(text: String) -> Body {
    let plain = |line: &str| line.len() <= 998 && line.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if text.split('\n').all(plain) {
        Body::dangerous_pre_encoded(text.replace('\n', "\r\n").into_bytes(), ContentTransferEncoding::SevenBit)
    } else {
        Body::new(text)
    }
}

/// The content of an email. Both parts are rendered from it, so they say the same.
struct MessageBody {
    subject: String,
    greeting: String,
    before: Vec<String>,
    action: Option<Action>,
    after: Vec<String>,
    signature: String,
}

/// The button, and the link in the plain text.
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
    color: Color,
    ink: Color,
}

/// `30 minutes`, `1 hour`, `24 hours`: in the largest exact unit up to hours, since "24 hours" reads better than a day.
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

/// `Auto-Submitted: auto-generated` (RFC 3834 §5), so that no automatic responder answers.
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
