//! The emails that a service without a mail server writes to files.

use std::{collections::BTreeSet, fs, path::PathBuf, time::Duration};

use entity::job;
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter, sea_query::Condition};
use serde_json::json;

use super::{Ask, PASSWORD, Person, TestApp, eventually};

/// How long an email may take if nothing delays it.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone)]
pub(crate) struct Mail {
    pub(crate) to: String,
    pub(crate) subject: String,
    pub(crate) text: String,
}

impl Mail {
    /// Parses an email. Decodes quoted-printable (RFC 2045 §6.7) only as far as our texts need.
    fn read(raw: &str) -> Self {
        let (head, body) = raw
            .replace("\r\n", "\n")
            .split_once("\n\n")
            .map_or_else(|| panic!("no body: {raw}"), |(head, body)| (head.replace("\n ", " "), body.to_owned()));
        let quoted = body.contains("quoted-printable");
        let body = if quoted { body.replace("=\n", "").replace("=3D", "=") } else { body };
        let field = |name: &str| {
            let mut fields = head.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            let value = fields.next().unwrap_or_else(|| panic!("no {name}: {raw}")).to_owned();
            assert_eq!(fields.next(), None, "{name} twice: {raw}");
            value
        };
        assert!(!head.contains("\nBcc") && !head.contains("\nCc"), "{raw}");
        Self { to: field("To"), subject: field("Subject"), text: body }
    }

    /// The token of the link that begins with `start`.
    #[track_caller]
    pub(crate) fn token(&self, start: &str) -> String {
        let start = format!("{start}?token=");
        let (_, rest) = self.text.split_once(&start).unwrap_or_else(|| panic!("no link to {start}: {self:?}"));
        let token: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || ['-', '_'].contains(c)).collect();
        assert_eq!(token.len(), 43, "{self:?}");
        token
    }

    /// Asserts its kind and its recipient.
    #[track_caller]
    pub(crate) fn is(self, subject: &str, to: &str) -> Self {
        assert!(self.subject.contains(subject), "not {subject}: {self:?}");
        assert_eq!(self.to, to, "{self:?}");
        self
    }
}

pub(crate) const RESET: &str = "Set a new password";
pub(crate) const VERIFY: &str = "Confirm your email address";
pub(crate) const PASSWORD_CHANGED: &str = "Your password";
pub(crate) const EMAIL_CHANGED: &str = "Your email address";
pub(crate) const DELETED: &str = "was deleted";
pub(crate) const TRIED: &str = "You already have an account";

/// All emails of an app and its replica.
#[derive(Debug)]
pub(crate) struct Inbox {
    store: DatabaseConnection,
    issuer: String,
    folders: [PathBuf; 2],
    seen: BTreeSet<PathBuf>,
}

impl Inbox {
    /// The emails of this app, from now on.
    pub(crate) async fn of(signet: &TestApp) -> Self {
        let folders = ["data/outbox", "data-of-replica/outbox"].map(|name| signet.folder.join(name));
        let mut inbox =
            Self { store: signet.store().await, issuer: signet.issuer.clone(), folders, seen: BTreeSet::new() };
        inbox.delivers().await;
        inbox
    }

    /// Waits until the outbox is empty. Returns the new emails, oldest first.
    pub(crate) async fn delivers(&mut self) -> Vec<Mail> {
        eventually(PATIENCE, "the outbox is empty", async || self.waiting().await == 0).await;
        let files = self.folders.iter().flat_map(fs::read_dir).flatten().flatten().map(|entry| entry.path());
        let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "eml")).collect();
        files.sort();
        files.retain(|path| self.seen.insert(path.clone()));
        files.iter().map(|path| Mail::read(&fs::read_to_string(path).expect("it is whole"))).collect()
    }

    /// The only new email.
    pub(crate) async fn delivers_one(&mut self) -> Mail {
        let mut mails = self.delivers().await;
        assert_eq!(mails.len(), 1, "{mails:?}");
        mails.remove(0)
    }

    /// Asserts that there is no new email.
    pub(crate) async fn delivers_nothing(&mut self) {
        let mails = self.delivers().await;
        assert!(mails.is_empty(), "{mails:?}");
    }

    /// The token of the only new email, a password reset to this address.
    pub(crate) async fn brings_reset(&mut self, to: &str) -> String {
        self.delivers_one().await.is(RESET, to).token(&format!("{}/reset-password", self.issuer))
    }

    /// The token of the only new email, a verification to this address.
    pub(crate) async fn brings_verification(&mut self, to: &str) -> String {
        self.delivers_one().await.is(VERIFY, to).token(&format!("{}/verify-email", self.issuer))
    }

    /// The number of emails that wait to be sent, without those that a limit has put off.
    pub(crate) async fn waiting(&self) -> u64 {
        let put_off = Condition::all().add(job::Column::LastError.eq("rate_limit")).add(job::Column::Claim.is_null());
        let waiting = job::Entity::find()
            .filter(job::Column::Kind.eq("email"))
            .filter(job::Column::DueAt.is_not_null())
            .filter(Condition::any().add(job::Column::LastError.is_null()).add(put_off.not()));
        waiting.count(&self.store).await.expect("the database answers")
    }

    /// Registers a person with this email address, and does not verify it.
    pub(crate) async fn registers(&mut self, signet: &TestApp, username: &str, email: &str) -> Person {
        let body = json!({"username": username, "password": PASSWORD, "email": email});
        let answer = signet.site.post("/v1/users").json(&body).answer().await.is(201);
        Person {
            username: username.into(),
            password: PASSWORD.into(),
            id: answer.string("id"),
            site: signet.site.clone(),
        }
    }

    /// Registers a person with this email address, and verifies it.
    pub(crate) async fn registers_verified(&mut self, signet: &TestApp, username: &str, email: &str) -> Person {
        let person = self.registers(signet, username, email).await;
        let token = self.brings_verification(email).await;
        signet.site.post("/v1/email-verifications/complete").json(&json!({"token": token})).answer().await.is(204);
        person
    }
}
