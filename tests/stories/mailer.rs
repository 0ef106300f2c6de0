//! The mailer with a real mail server, working and failing.

use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use lettre::transport::smtp::client::Certificate;
use signet::testing::{
    Clock as _, Color, Email, EmailAddress, MailServer, Message,
    mailer::{Mailer, SendError, Settings},
};
use uuid::Uuid;

use crate::harness::{
    clock::StoryClock,
    run,
    smtp::{Behaviour, Received, Security, Smtp, USER},
};

const LINK: &str = "https://auth.example.org/reset-password?token=tESt-5ecret_5ecret-5ecret_5ecret-5ecret_5ecr";
/// The mailers' deadline: long enough for a slow machine, short enough for a test.
const DEADLINE: Duration = Duration::from_secs(6);
/// When even a slow machine has felt the deadline.
const LATE: Duration = Duration::from_secs(30);

fn mailer(url: &str, authorities: Vec<Certificate>) -> Mailer {
    let server = Some(MailServer::parse(url).expect("a URL that the configuration takes"));
    made(server, Path::new("/nowhere"), authorities)
}

fn made(server: Option<MailServer>, folder: &Path, authorities: Vec<Certificate>) -> Mailer {
    let settings = Settings {
        server,
        folder: folder.to_owned(),
        from: "Signet <no-reply@example.org>".parse().expect("a mailbox"),
        issuer: "https://auth.example.org".to_owned(),
        name: "Acme Login".to_owned(),
        color: Color([0x34, 0x52, 0xd6]),
        authorities,
        deadline: DEADLINE,
    };
    Mailer::new(settings).expect("a mailer")
}

fn email(username: &str) -> Email {
    static NEXT: Mutex<u128> = Mutex::new(1);
    let mut next = NEXT.lock().expect("nobody fails while holding it");
    *next += 1;
    let message =
        Message::PasswordReset { username: username.to_owned(), link: LINK.into(), valid_for: TimeDelta::minutes(30) };
    Email {
        id: Uuid::from_u128(*next),
        to: EmailAddress::parse("Ada.Lovelace@example.net").expect("an address"),
        message,
        written_at: StoryClock::at_present().now(),
    }
}

fn message_id(mail: &Received) -> String {
    let line = mail.raw.lines().find(|line| line.starts_with("Message-ID:"));
    line.unwrap_or_else(|| panic!("no Message-ID: {mail:?}")).to_owned()
}

/// An error of the mailer contains no email address, and no text of the email or of the server.
#[track_caller]
fn is_discreet(error: &SendError) {
    let text = format!("{error} {error:?}");
    for word in ["example.net", "token", "5ecret", "pa/ss", "said by the server"] {
        assert!(!text.contains(word), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_arrives_whole_and_at_nobody_elses() {
    let smtp = Smtp::start();
    mailer(&smtp.url(), vec![]).send(&email("Zoë")).await.expect("it is sent");
    let mails = smtp.waits_for(1).await;
    let [mail] = &mails[..] else { panic!("one mail: {mails:?}") };
    assert_eq!((&*mail.from, &mail.to[..]), ("no-reply@example.org", &["Ada.Lovelace@example.net".to_owned()][..]));
    assert_eq!(mail.subject, "Set a new password at Acme Login");
    for part in [&mail.text, &mail.html] {
        assert!(part.contains("Hello Zoë,") && part.contains(LINK) && part.contains("30 minutes"), "{part}");
    }
    assert!(mail.raw.contains("Auto-Submitted: auto-generated\r\n"), "{}", mail.raw);
    assert!(message_id(mail).ends_with("@auth.example.org>"), "{}", mail.raw);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_answer_decides_whether_to_try_again() {
    let smtp = Smtp::start();
    let mailer = mailer(&smtp.url(), vec![]);
    let text = |code: &str| format!("{code} <Ada.Lovelace@example.net> {LINK} said by the server");
    for (step, code, never, expected) in [
        ("RCPT", "451 4.2.0", false, "451 4.2.0"),
        ("RCPT", "550 5.1.1", true, "550 5.1.1"),
        ("RCPT", "553", true, "553"),
        // These speak of us, and the operator can mend it.
        ("RCPT", "530 5.7.0", false, "530 5.7.0"),
        ("MAIL", "550 5.7.1", false, "550 5.7.1"),
        ("EHLO", "550", false, "550"),
        ("GREETING", "554", false, "554"),
        ("DATA", "452 4.3.1", false, "452 4.3.1"),
        ("DATA", "554", true, "554"),
        ("END", "421 4.3.2", false, "421 4.3.2"),
        ("END", "554 5.6.0", true, "554 5.6.0"),
        // No reply at all.
        ("RCPT", "hello", false, "RCPT"),
    ] {
        // A new connection each time: the greeting is among the steps.
        let fresh = self::mailer(&smtp.url(), vec![]);
        smtp.behaves(Behaviour::Replies(step, text(code).leak()));
        let error = fresh.send(&email("ada")).await.expect_err(step);
        assert_eq!(matches!(error, SendError::Never(_)), never, "{code} to {step}: {error}");
        assert!(error.to_string().contains(expected), "{code} to {step}: {error}");
        is_discreet(&error);
        assert_eq!(smtp.mails().len(), 0, "{step}");
    }
    smtp.behaves(Behaviour::Good);
    mailer.send(&email("ada")).await.expect("the server is good again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stalls_holds_nobody_longer_than_the_deadline_and_spoils_no_other_mail() {
    let smtp = Smtp::start();
    let mailer = mailer(&smtp.url(), vec![]);
    mailer.send(&email("ada")).await.expect("a connection is kept from here on");
    let failures = [
        Behaviour::Stalls("RCPT"),
        Behaviour::Stalls("DATA"),
        Behaviour::Stalls("END"),
        Behaviour::Stalls("GREETING"),
        Behaviour::Slow,
    ];
    for (count, failure) in failures.into_iter().enumerate() {
        // Only a new connection is greeted.
        let fresh = self::mailer(&smtp.url(), vec![]);
        let stalled = if matches!(failure, Behaviour::Stalls("GREETING")) { &fresh } else { &mailer };
        smtp.behaves(failure);
        let begin = Instant::now();
        let error = stalled.send(&email("mallory")).await.expect_err("it stalls");
        assert!(begin.elapsed() < LATE, "{failure:?} took {:?}", begin.elapsed());
        assert!(matches!(error, SendError::Later(_)), "{failure:?}: {error}");
        is_discreet(&error);
        smtp.behaves(Behaviour::Good);
        mailer.send(&email("ada")).await.expect("the next one is not held up");
        let mails = smtp.mails();
        assert_eq!(mails.len(), count + 2, "{failure:?}");
        assert!(
            mails.iter().all(|mail| mail.text.contains("Hello ada,") && !mail.raw.contains("mallory")),
            "{mails:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_gives_up_in_the_middle_leaves_nothing_of_the_mail_behind() {
    let smtp = Smtp::start();
    let mailer = mailer(&smtp.url(), vec![]);
    smtp.behaves(Behaviour::Stalls("DATA"));
    let before = smtp.count("clear DATA");
    let mallory = email("mallory");
    let (given_up, ()) = tokio::join!(
        tokio::time::timeout(DEADLINE / 2, mailer.send(&mallory)),
        crate::harness::eventually(LATE, "it is in the middle", async || smtp.count("clear DATA") > before)
    );
    given_up.expect_err("it gave up");
    smtp.behaves(Behaviour::Good);
    mailer.send(&email("ada")).await.expect("the next one");
    let [mail] = &smtp.mails()[..] else { panic!("one mail: {:?}", smtp.mails()) };
    assert!(mail.text.contains("Hello ada,") && !mail.raw.contains("mallory"), "{mail:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_whose_answer_was_lost_is_sent_again_under_its_own_name() {
    let smtp = Smtp::start();
    let mailer = mailer(&smtp.url(), vec![]);
    let email = email("ada");
    for step in ["GREETING", "MAIL", "CONTENT"] {
        smtp.behaves(Behaviour::Drops(step));
        let error = mailer.send(&email).await.expect_err(step);
        assert!(matches!(error, SendError::Later(_)), "{step}: {error}");
        assert_eq!(smtp.mails().len(), 0, "{step}");
    }
    smtp.behaves(Behaviour::Drops("END"));
    let error = mailer.send(&email).await.expect_err("the answer is lost");
    assert!(matches!(error, SendError::Later(_)), "{error}");
    smtp.behaves(Behaviour::Good);
    mailer.send(&email).await.expect("it is sent");
    let [first, second] = &smtp.mails()[..] else { panic!("two copies: {:?}", smtp.mails()) };
    assert_eq!(message_id(first), message_id(second));
    assert_eq!(first.raw, second.raw);
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_share_a_connection_until_it_goes_bad() {
    let smtp = Smtp::start();
    let mailer = mailer(&smtp.url(), vec![]);
    for _ in 0..3 {
        mailer.send(&email("ada")).await.expect("it is sent");
    }
    assert_eq!(smtp.count("clear CONNECT"), 1);
    smtp.behaves(Behaviour::Drops("NOOP"));
    mailer.send(&email("ada")).await.expect("over another connection");
    assert_eq!((smtp.count("clear CONNECT"), smtp.mails().len()), (2, 4));
    smtp.behaves(Behaviour::Replies("RCPT", "550 5.1.1 unknown"));
    mailer.send(&email("mallory")).await.expect_err("it is refused");
    smtp.behaves(Behaviour::Good);
    let before = smtp.count("clear CONNECT");
    mailer.send(&email("ada")).await.expect("over another connection");
    assert_eq!(smtp.count("clear CONNECT"), before + 1, "one that was refused a mail is not used again");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_mail_and_password_travel_in_it_alone() {
    for security in [Security::Tls, Security::StartTls] {
        let smtp = Smtp::secured(security, "localhost");
        let mailer = mailer(&smtp.url_for(USER), vec![smtp.authority()]);
        mailer.send(&email("ada")).await.expect("it is sent");
        assert!(smtp.mails()[0].text.contains(LINK));
        let events = smtp.events();
        let clear: Vec<&String> = events.iter().filter(|event| event.starts_with("clear")).collect();
        let greeting = ["clear CONNECT", "clear EHLO", "clear STARTTLS"];
        assert!(
            clear.iter().all(|event| security == Security::StartTls && greeting.contains(&event.as_str())),
            "{events:?}"
        );
        for event in ["tls AUTH", "tls MAIL", "tls RCPT", "tls DATA"] {
            assert_eq!(smtp.count(event), 1, "{event}: {events:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_who_it_should_be_gets_nothing() {
    let stranger = Smtp::secured(Security::Plain, "localhost").authority();
    for security in [Security::Tls, Security::StartTls] {
        let other_name = Smtp::secured(security, "mail.example.org");
        let (unknown, own) = (Smtp::secured(security, "localhost"), Smtp::secured(security, "localhost"));
        for (smtp, authorities) in
            [(&unknown, vec![]), (&own, vec![stranger.clone()]), (&other_name, vec![other_name.authority()])]
        {
            let error = mailer(&smtp.url_for(USER), authorities).send(&email("ada")).await.expect_err("a stranger");
            assert!(matches!(error, SendError::Later(_)), "{error}");
            is_discreet(&error);
            gets_nothing(smtp);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_offers_no_tls_gets_nothing() {
    let smtp = Smtp::start();
    let url = format!("smtp://{USER}@127.0.0.1:{}?tls=required", smtp.port());
    let error = mailer(&url, vec![]).send(&email("ada")).await.expect_err("no STARTTLS");
    assert!(matches!(error, SendError::Later(_)), "{error}");
    gets_nothing(&smtp);
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_forged_before_tls_are_not_taken_for_the_servers() {
    let smtp = Smtp::secured(Security::StartTls, "localhost");
    smtp.behaves(Behaviour::Forged);
    let mailer = mailer(&smtp.url_for(USER), vec![smtp.authority()]);
    let error = mailer.send(&email("ada")).await.expect_err("somebody stands between");
    assert!(matches!(error, SendError::Later(_)), "{error}");
    gets_nothing(&smtp);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_without_an_end_is_not_read_to_its_end() {
    let smtp = Smtp::secured(Security::StartTls, "localhost");
    smtp.behaves(Behaviour::Floods);
    let mailer = mailer(&smtp.url(), vec![smtp.authority()]);
    let error = mailer.send(&email("ada")).await.expect_err("it never stops");
    assert!(error.to_string().contains("too much"), "the deadline is not what ended it: {error}");
}

/// No email, no password, and nothing but a greeting in clear text.
#[track_caller]
fn gets_nothing(smtp: &Smtp) {
    let events = smtp.events();
    let harmless = ["clear CONNECT", "clear EHLO", "clear STARTTLS", "clear QUIT", "tls CONNECT"];
    assert!(events.iter().all(|event| harmless.contains(&event.as_str())), "{events:?}");
    assert!(smtp.mails().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_log_in_is_tried_again_and_never_told() {
    let smtp = Smtp::secured(Security::Tls, "localhost");
    let mailer = mailer(&smtp.url_for("mailer:pa%2Fss"), vec![smtp.authority()]);
    let error = mailer.send(&email("ada")).await.expect_err("the password is wrong");
    assert_eq!(error, SendError::Later("the mail server answered 535 5.7.8 to AUTH".to_owned()));
    assert_eq!(smtp.count("tls MAIL"), 0);
    assert!(!format!("{mailer:?} {mailer}").contains("pa/ss"), "{mailer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_tried_again() {
    let port = run::free_port();
    for url in [format!("smtp://127.0.0.1:{port}"), format!("smtp://127.0.0.1:{port}?tls=required")] {
        let error = mailer(&url, vec![]).send(&email("ada")).await.expect_err("nobody listens");
        assert!(matches!(error, SendError::Later(_)), "{error}");
    }
}

/// Keeps the log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody fails while holding it").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Everything that this thread logs from now on, at every level.
    fn listens(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber =
            tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || log.clone()).finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("nobody fails while holding it")).into_owned()
    }
}

#[tokio::test]
async fn without_a_server_a_mail_is_a_file_for_its_owner_alone_and_only_its_path_is_logged() {
    let (log, folder) = (Log::default(), run::folder().join("data/outbox"));
    let listening = log.listens();
    let (mailer, email) = (made(None, &folder, vec![]), email("ada"));
    // A crash left half an email behind.
    std::fs::create_dir_all(&folder).expect("the folder is ours");
    let name = format!("{}-{}.eml", email.written_at.format("%Y%m%dT%H%M%SZ"), email.id);
    std::fs::write(folder.join(format!(".{name}.new")), "half").expect("the folder is ours");
    for _ in 0..2 {
        mailer.send(&email).await.expect("it is written");
    }
    let files: Vec<_> = std::fs::read_dir(&folder).expect("the folder is there").flatten().collect();
    let [file] = &files[..] else { panic!("one file for one email: {files:?}") };
    assert_eq!(file.file_name(), &*name);
    let mode = file.metadata().expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mail = std::fs::read_to_string(file.path()).expect("it is text");
    assert!(mail.contains(LINK) && mail.contains("To: Ada.Lovelace@example.net\r\n"), "{mail}");
    drop(listening);
    let log = log.text();
    assert!(log.contains(&file.path().display().to_string()), "{log}");
    assert!(!log.contains("token") && !log.contains("example.net"), "{log}");
}

#[tokio::test]
async fn nothing_of_a_letter_nor_the_password_is_logged_at_any_level() {
    let smtp = Smtp::start();
    let log = Log::default();
    let listening = log.listens();
    let mailer = mailer(&smtp.url_for(USER), vec![]);
    mailer.send(&email("ada")).await.expect("it is sent");
    smtp.behaves(Behaviour::Replies("RCPT", "550 5.1.1 unknown"));
    mailer.send(&email("ada")).await.expect_err("it is refused");
    drop(listening);
    assert_eq!(smtp.count("clear AUTH"), 1);
    // Neither as they are nor as PLAIN writes them (RFC 4616 §2).
    for word in ["5ecret", "token", "example.net", "pa/ss", "AG1haWxlcg"] {
        assert!(!log.text().contains(word), "{word}: {}", log.text());
    }
}
