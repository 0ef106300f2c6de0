use lettre::Address;
use proptest::prelude::*;
use secrecy::SecretString;
use uuid::Uuid;

use crate::outbound::email::message::*;

const ISSUER: &str = "https://auth.example.org";
const LINK: &str = "https://auth.example.org/reset-password?token=tESt-5ecret_5ecret-5ecret_5ecret-5ecret_5ecr";

fn sender(issuer: &str) -> Sender {
    let from = Mailbox::new(Some("Signet".to_owned()), "no-reply@example.org".parse::<Address>().unwrap());
    Sender { from, issuer: Url::parse(issuer).unwrap(), name: "Acme Login".to_owned(), color: Color([0xff, 0xdd, 0]) }
}

fn at() -> DateTime<Utc> {
    "2026-11-03T09:05:07Z".parse().unwrap()
}

fn email(message: Message) -> Email {
    Email { id: Uuid::from_u128(7), to: EmailAddress::parse("ada@example.net").unwrap(), message, written_at: at() }
}

fn every_message(username: &str) -> Vec<Message> {
    let username = || username.to_owned();
    let link = || SecretString::from(LINK);
    let changed = |change| Message::AccountChanged { username: username(), change, at: at() };
    vec![
        Message::PasswordReset { username: username(), link: link(), valid_for: TimeDelta::minutes(30) },
        Message::EmailVerification { link: link(), valid_for: TimeDelta::hours(24) },
        changed(AccountChange::Password),
        changed(AccountChange::Email(EmailAddress::parse("b@example.com").unwrap())),
        changed(AccountChange::Username("ada0".to_owned())),
        changed(AccountChange::ProviderLinked("google".to_owned())),
        changed(AccountChange::ProviderUnlinked("google".to_owned())),
        changed(AccountChange::Deleted),
        Message::RegistrationTried { username: username(), at: at() },
    ]
}

fn mail(message: Message) -> String {
    String::from_utf8(sender(ISSUER).render(&email(message)).unwrap().formatted()).unwrap()
}

/// The header fields, unfolded.
fn headers(mail: &str) -> Vec<String> {
    let (head, _) = mail.split_once("\r\n\r\n").unwrap();
    head.replace("\r\n ", " ").split("\r\n").map(str::to_owned).collect()
}

#[test]
fn the_header_says_who_writes_to_whom_and_that_no_robot_should_answer() {
    let mail = mail(every_message("ada").remove(0));
    for field in [
        "From: Signet <no-reply@example.org>",
        "To: ada@example.net",
        "Subject: Set a new password at Acme Login",
        "Date: Tue, 03 Nov 2026 09:05:07 +0000",
        "Message-ID: <00000000-0000-0000-0000-000000000007@auth.example.org>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
    ] {
        assert!(headers(&mail).iter().any(|header| header == field), "no {field}: {mail}");
    }
}

#[test]
fn a_letter_sent_twice_is_the_same_mail() {
    for message in every_message("zoë") {
        assert_eq!(mail(message.clone()), mail(message));
    }
}

#[test]
fn the_link_stands_whole_in_both_parts_of_the_file() {
    for message in every_message("ada").into_iter().take(2) {
        let mail = mail(message);
        assert_eq!(mail.matches(LINK).count(), 3, "once in the text, twice in the HTML: {mail}");
        assert!(!mail.contains("quoted-printable") && mail.contains("multipart/alternative"), "{mail}");
    }
}

#[test]
fn every_mail_names_the_service_and_an_account_to_its_owner_alone_and_loads_nothing() {
    for message in every_message("ada") {
        let unproved = matches!(message, Message::EmailVerification { .. });
        let mail = mail(message);
        assert!(mail.contains("Hello ada,") != unproved, "{mail}");
        assert!(mail.matches("Acme Login (auth.example.org)").count() >= 4, "{mail}");
        for word in ["<img", "src=", "@import", "url(", "http://"] {
            assert!(!mail.contains(word), "{word}: {mail}");
        }
    }
}

#[test]
fn the_texts_are_whole() {
    let mail = mail(every_message("ada").remove(0));
    let text = mail.split("\r\n\r\n").collect::<Vec<_>>();
    let expected = [
        "Hello ada,",
        "Somebody, most likely you, asked for a new password for the account ada at Acme Login (auth.example.org).",
        &format!("Set a new password:\r\n{LINK}"),
        "The link works once, within 30 minutes of 3 November 2026 at 09:05 UTC.",
    ];
    assert_eq!(text[2..6], expected, "{mail}");
    assert!(
        mail.contains(
            "-- \r\nSent by Acme Login (auth.example.org). This is an automated message; replies are not read."
        ),
        "{mail}"
    );
}

#[test]
fn every_sentence_begins_with_a_capital_letter() {
    for message in every_message("ada") {
        let MessageBody { subject, before, action, after, signature, .. } = sender(ISSUER).body(&email(message));
        let label = action.map(|action| action.label.to_owned());
        for text in before.iter().chain(&after).chain(&label).chain([&subject, &signature]) {
            for sentence in text.split(". ") {
                assert!(sentence.starts_with(|first: char| first.is_uppercase()), "{text}");
            }
        }
    }
}

#[test]
fn the_button_has_the_operators_colour_and_can_be_read_on_it() {
    let mail = mail(every_message("ada").remove(0));
    assert!(mail.contains("background:#ffdd00; color:#000000;"), "{mail}");
}

#[test]
fn what_a_person_chose_is_no_markup_and_no_header() {
    assert!(!mail(every_message("evil.example").remove(1)).contains("evil"), "the address is not proved");
    let hostile = "<b>&\"'\r\nBcc: eve@example.org\r\n\r\n<script>";
    for message in every_message(hostile) {
        let mail = mail(message);
        assert!(headers(&mail).iter().all(|header| !header.contains("eve@") && !header.contains("Bcc")), "{mail}");
        let html = &mail[mail.find("<!DOCTYPE").unwrap()..];
        assert!(!html.contains("<b>") && !html.contains("<script>"), "{html}");
    }
}

#[test]
fn a_message_id_has_the_issuers_host_in_the_form_of_mail() {
    let right = |issuer: &str| sender(issuer).id_right();
    assert_eq!(right("http://127.0.0.1:8080"), "[127.0.0.1]");
    assert_eq!(right("http://[::1]:8080"), "[IPv6:::1]");
    assert_eq!(right("http://localhost:8080"), "localhost");
    assert_eq!(
        (sender("http://127.0.0.1:8080").host(), sender(ISSUER).host()),
        ("127.0.0.1:8080".into(), "auth.example.org".into())
    );
}

#[test]
fn spans_read_as_people_say_them() {
    let cases = [(1800, "30 minutes"), (3600, "1 hour"), (86_400, "24 hours"), (60, "1 minute"), (90, "90 seconds")];
    for (seconds, body) in cases {
        assert_eq!(span(TimeDelta::seconds(seconds)), body);
    }
}

proptest! {
    #[test]
    fn whatever_is_an_address_can_be_written_to(local in "[!#-'*+/-9=?A-Z^-~-]{1,20}", domain in "[a-z0-9.äß-]{1,20}\\.(org|ÄÖ)") {
        if let Ok(email) = EmailAddress::parse(&format!("{local}@{domain}")) {
            prop_assert_eq!(address(&email).unwrap().to_string(), email.as_str());
        }
    }

    #[test]
    fn no_name_breaks_a_mail(name in "\\PC{0,80}|[\\x00-\\x7f]{0,40}") {
        for message in every_message(&name) {
            let mail = mail(message);
            prop_assert!(mail.is_ascii() && mail.split("\r\n").all(|line| line.len() <= 998));
            prop_assert!(!mail.replace("\r\n", "").contains(['\r', '\n']));
        }
    }
}
