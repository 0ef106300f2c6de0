use secrecy::ExposeSecret as _;

use super::*;

#[test]
fn an_issuer_is_one_origin_in_one_spelling() {
    for text in [
        "https://auth.example.org",
        "https://auth.example.org:8443",
        "http://localhost:8080",
        "http://127.8.0.1",
        "http://[::1]:80800".trim_end_matches('0'),
    ] {
        assert_eq!(issuer(text).as_deref(), Ok(text));
    }
    let refused = [
        "http://auth.example.org",
        "http://localhost.example.org",
        "http://10.0.0.1",
        "ftp://localhost",
        "auth.example.org",
        "https://auth.example.org/",
        "https://auth.example.org/signet",
        "https://auth.example.org?a=b",
        "https://auth.example.org?",
        "https://auth.example.org#f",
        "https://ada@auth.example.org",
        "https://ada:pw@auth.example.org",
        "https://AUTH.example.org",
        "https://auth.example.org:443",
        "http://localhost:80",
        "HTTPS://auth.example.org",
        "https://bücher.example",
        "http://127.1",
        "https://auth.example.org\n",
        " https://auth.example.org",
        "https:auth.example.org",
        "https://",
        "",
        "https://@auth.example.org",
    ];
    for text in refused {
        assert!(issuer(text).is_err(), "{text:?}");
    }
    assert!(issuer(&format!("https://{}.org", "a.".repeat(126))).is_err(), "over 200 bytes");
    assert_eq!(issuer("https://AUTH.example.org:443"), Err("must be written https://auth.example.org".into()));
}

#[test]
fn apps_are_named_by_exact_origins() {
    let origins = |text| origins(text).map(|found| found.join(" "));
    assert_eq!(origins(""), Ok(String::new()));
    let both = "https://app.example.org http://localhost:5173";
    assert_eq!(origins("https://app.example.org, http://localhost:5173"), Ok(both.to_owned()));
    assert_eq!(origins("http://[::1]:8000"), Ok("http://[::1]:8000".to_owned()));
    for app in ["capacitor://localhost", "chrome-extension://abcdef", "tauri://localhost"] {
        assert_eq!(origins(app), Ok(app.to_owned()));
    }
    for text in [
        "*",
        "null",
        "https://*.example.org",
        "https://*",
        "app.example.org",
        "http://app.example.org",
        "http://localhost.example.org",
        "https://app.example.org/",
        "https://app.example.org/app",
        "https://app.example.org?a=b",
        "https://app.example.org#a",
        "https://app.example.org:443",
        "https://App.example.org",
        "https://ada@app.example.org",
        "https://a.example.org;https://b.example.org",
        "https://a.example.org, null",
        "file:///",
        "file://app.html",
        "Capacitor://localhost",
        "capacitor://localhost/",
        "capacitor://",
        "://localhost",
        "javascript:alert(1)",
        "javascript://alert",
        "data://x",
        "https://",
    ] {
        let refused = origins(text).expect_err(text);
        assert!(refused.starts_with("must be "), "{text}: {refused}");
    }
    let long = format!("https://{}.example.org", "a.".repeat(100));
    assert_eq!(origins(&long), Ok(long), "the bound on the issuer is not theirs");
}

#[test]
fn mail_never_leaves_the_machine_without_tls() {
    let refused = [
        "smtp://mail.example.org",
        "smtp://mail.example.org?tls=opportunistic",
        "smtp://mail.example.org?tls=none",
        "smtp://mail.example.org?tls=required&tls=opportunistic",
        "smtp://127.0.0.1?tls=opportunistic",
        "smtp://127.1",
        "smtp://localhost.example.org",
        "smtps://ada@mail.example.org",
        "smtps://mail.example.org?tls=opportunistic",
        "smtps://",
        "http://mail.example.org",
        "mail.example.org:25",
        "",
    ];
    for text in refused {
        assert!(smtp_url(text).is_err(), "{text}");
    }
    let allowed = [
        "smtps://ada:pw@mail.example.org",
        "smtp://ada:pw@mail.example.org:587?tls=required",
        "smtp://localhost:1025",
        "smtp://[::1]:25",
    ];
    for text in allowed {
        assert_eq!(smtp_url(text).map(|url| url.expose_secret().to_owned()).as_deref(), Ok(text));
    }
}

#[test]
fn a_password_that_would_be_taken_for_the_path_is_refused() {
    for text in [
        "postgres://ada:12/ab@db/signet",
        "postgres://ada:12?ab@db/signet",
        "postgres://ada:12#ab@db",
        "postgres://ada:p w@db",
        "postgres://ada:pa/b@db",
    ] {
        assert!(database_url(text).is_err(), "{text}");
    }
}

#[test]
fn databases_are_sqlite_and_postgres() {
    for text in
        ["sqlite://data/signet.db?mode=rwc", "postgres://db/signet", "postgresql:///signet?host=/run/postgresql"]
    {
        assert!(database_url(text).is_ok(), "{text}");
    }
    for text in [
        "mysql://db/signet",
        "sqlite::memory:",
        "sqlite:%3Amemory%3A",
        "sqlite://file%3A%3Amemory%3A?mode=rwc",
        "sqlite://a.db?mode=%6demory",
        "sqlite:",
        "postgres:db",
        "Postgres://db",
        "data/signet.db",
        "",
        "sqlite://a\nb",
    ] {
        assert!(database_url(text).is_err(), "{text}");
    }
    assert!(same_database_kind("postgres://a", "postgresql://b") && !same_database_kind("postgres://a", "sqlite:a"));
}

#[test]
fn what_may_be_secret_in_a_url_is_redacted_and_the_rest_is_not() {
    let cases = [
        (
            "postgres://ada:pw@db:5432/signet?sslmode=require",
            "postgres://ada:[redacted]@db:5432/signet?sslmode=require",
        ),
        ("postgres://ada:p@w:x@db", "postgres://ada:[redacted]@db"),
        ("postgres://ada@db/a?password=pw&user=b&pw", "postgres://ada@db/a?password=[redacted]&user=b&[redacted]"),
        ("postgres:///signet?%70assword=pw", "postgres:///signet?%70assword=[redacted]"),
        ("smtps://ada:pw@mail.example.org", "smtps://ada:[redacted]@mail.example.org"),
        ("sqlite://a:b@c/signet.db?mode=rwc&key=pw", "sqlite://a:b@c/signet.db?mode=rwc&key=[redacted]"),
        ("sqlite::memory:", "sqlite::memory:"),
    ];
    for (text, shown) in cases {
        assert_eq!(redacted(text), shown);
    }
}

#[test]
fn a_provider_is_reached_over_https() {
    assert!(provider_url("https://login.example.org/authorize?tenant=a").is_ok());
    assert!(provider_url("http://127.0.0.1:9000/token").is_ok());
    assert!(provider_issuer("https://login.example.org/tenant/v2.0").is_ok());
    for text in [
        "http://login.example.org",
        "https://a:b@login.example.org",
        "https://login.example.org#a",
        "javascript:alert(1)",
    ] {
        assert!(provider_url(text).is_err(), "{text}");
    }
    assert!(provider_issuer("https://login.example.org?a=b").is_err());
}
