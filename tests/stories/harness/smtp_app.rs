//! A service with its mail server, for stories of people who read their email in a browser.

use reqwest::Method;
use serde_json::json;

use super::{
    Answer, Ask, Database, Fixture, PASSWORD, Person, TestApp, TestEnvBuilder,
    smtp::{Received, Smtp},
};

/// A service and the mail server that it sends through, whose emails are read one by one.
pub(crate) struct TestAppWithSmtp {
    pub(crate) signet: TestApp,
    pub(crate) smtp: Smtp,
    read: usize,
}

impl Fixture for TestAppWithSmtp {
    async fn on(database: Database) -> Self {
        let smtp = Smtp::start();
        let signet = TestEnvBuilder::on(database).set("smtp_url", &smtp.url()).open().await;
        Self { signet, smtp, read: 0 }
    }
}

impl TestAppWithSmtp {
    /// The URL of a page.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.signet.issuer)
    }

    /// The next email. Asserts its recipient.
    pub(crate) async fn brings(&mut self, to: &str) -> Received {
        let mail = self.smtp.waits_for(self.read + 1).await[self.read].clone();
        self.read += 1;
        assert_eq!(mail.to, [to]);
        mail
    }

    /// The link to `path` in the next email to this address.
    pub(crate) async fn link(&mut self, path: &str, to: &str) -> String {
        let mail = self.brings(to).await;
        let start = self.url(path) + "?token=";
        let link = mail.text.split_whitespace().find(|word| word.starts_with(&start));
        let link = link.unwrap_or_else(|| panic!("no link to {start}: {mail:?}")).to_owned();
        assert!(mail.html.contains(&format!("\"{link}\"")), "the other part has another link: {mail:?}");
        link
    }

    /// Registers a person with this email address; the verification email stays unread.
    pub(crate) async fn registers(&self, username: &str, email: &str) -> Person {
        let body = json!({"username": username, "password": PASSWORD, "email": email});
        let site = self.signet.site.clone();
        let answer = site.post("/v1/users").json(&body).answer().await.is(201);
        Person { username: username.into(), password: PASSWORD.into(), id: answer.string("id"), site }
    }

    /// Registers a person and verifies this email address.
    pub(crate) async fn registers_verified(&mut self, username: &str, email: &str) -> Person {
        let person = self.registers(username, email).await;
        let link = self.link("/verify-email", email).await;
        let (_, token) = link.split_once("?token=").expect("a link has a token");
        let request = self.signet.site.post("/v1/email-verifications/complete");
        request.json(&json!({"token": token})).answer().await.is(204);
        person
    }

    /// Requests a password reset for this verified email address. Returns the link.
    pub(crate) async fn reset_link(&mut self, username: &str, email: &str) -> String {
        let request = self.signet.site.post("/v1/password-resets");
        request.json(&json!({"username": username})).answer().await.is(202);
        self.link("/reset-password", email).await
    }

    /// Asserts that every email has been read.
    pub(crate) fn has_no_more_mails(&self) {
        let mails = self.smtp.mails();
        assert_eq!(mails.len(), self.read, "{mails:?}");
    }

    /// A page of the service as a program fetches it.
    pub(crate) async fn fetches(&self, method: Method, url: &str) -> Answer {
        let path = url.strip_prefix(&self.signet.issuer).expect("a page of the service");
        self.signet.site.request(method, path).answer().await
    }

    /// The code of the form at `path` that some other browser was given.
    pub(crate) async fn code_of_another_browser(&self, path: &str) -> String {
        let page = self.fetches(Method::GET, &self.url(path)).await.is(200).text();
        let (_, rest) = page.split_once("name=\"csrf\" value=\"").unwrap_or_else(|| panic!("no code: {page}"));
        rest.split('"').next().expect("the code ends").to_owned()
    }
}
