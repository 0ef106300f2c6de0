use proptest::prelude::*;

use super::*;

/// Every text that a start with these sources shows.
fn everything_said(operator: &Operator) -> String {
    match Config::load(&operator.sources) {
        Ok(config) => format!("{}\n{config:?}\n{}", config.show(), config.warnings.join("\n")),
        Err(error) => format!("{error}\n{error:?}"),
    }
}

#[test]
fn a_secret_on_the_command_line_is_warned_of() {
    let cases = [
        ("database_url", "postgres://ada:pw@db/signet", "SIGNET_DATABASE_URL_FILE"),
        ("database_url", "postgres://db/signet?user=ada&password=pw", "SIGNET_DATABASE_URL_FILE"),
        ("smtp_url", "smtps://ada:pw@mail.example.org", "SIGNET_SMTP_URL_FILE"),
    ];
    for (key, url, variable) in cases {
        let warnings = Operator::new().flags(key, url).starts().warnings.join("\n");
        tells(&warnings, &[key, "on the command line", variable]);
        assert!(!warnings.contains("pw"), "{warnings}");
        let environment = keys::find(key).expect("a key").environment;
        let by_variable = Operator::with_environment(&[(environment, url)]).starts().warnings.join("\n");
        assert!(!by_variable.contains("command line"), "{by_variable}");
    }
    let without = Operator::new().flags("database_url", "postgres://ada@db/signet?sslmode=require").starts();
    assert_eq!(without.warnings, Vec::<String>::new());
}

#[test]
fn the_rest_of_a_url_with_a_password_is_shown() {
    let config = Operator::with_environment(&[("SIGNET_DATABASE_URL", "postgres://ada:pw@db:5432/signet")]).starts();
    let shown = "\"postgres://ada:[redacted]@db:5432/signet\" # environment variable SIGNET_DATABASE_URL\n";
    tells(&config.show(), &[&format!("database_url = {shown}")]);
}

#[test]
fn a_secret_given_to_the_wrong_key_is_not_echoed() {
    let operator =
        Operator::with_file("[providers.google]\nclient-secret = 'hunter22'\n[password]\npepper = 'hunter22'")
            .writes("secret", "hunter22 ")
            .exports("SIGNET_AUDIENCE_FILE", "secret")
            .exports("SIGNET_DATABASE_PASSWORD", "hunter22")
            .flags("issuer", "https://ada:hunter22@auth.example.org")
            .flags("pepper", "hunter22");
    let refused = operator.is_refused();
    assert!(!refused.contains("hunter22"), "{refused}");
    tells(&refused, &["audience must be", "SIGNET_DATABASE_PASSWORD", "issuer must be a URL without user name"]);
}

/// Passwords: some fit into a URL unchanged, some break it, and none is part of other words by chance.
fn secret() -> impl Strategy<Value = String> {
    "[A-Za-z0-9!$&'()*+,;=:@/?#%\\[\\] \"\\\\~^`{|}é-]{0,12}[0-9]{8}"
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn no_secret_is_ever_shown(secret in secret(), by_flag in any::<bool>()) {
        let tail = &secret[secret.len() - 8..];
        let urls = [
            ("database_url", format!("postgres://ada:{secret}@db/signet")),
            ("database_url", format!("postgres://db/signet?password={secret}&sslmode=require")),
            ("database_url", format!("mysql://ada:{secret}@db/signet")),
            ("database_url", secret.clone()),
            ("database_listen_url", format!("postgres://ada:{secret}@db")),
            ("smtp_url", format!("smtps://ada:{secret}@mail.example.org")),
            ("smtp_url", format!("smtp://ada:{secret}@mail.example.org")),
            ("client_registration_token", secret.clone()),
            ("client_registration_token", format!("{secret} {secret}")),
            ("issuer", format!("https://ada:{secret}@auth.example.org")),
            ("providers.google.client_secret", secret.clone()),
            ("providers.google.client_secret", format!("{secret}\n{secret}")),
            ("providers.google.token_url", format!("https://ada:{secret}@example.org")),
        ];
        for (key, value) in urls {
            let mut operator = Operator::new()
                .flags("providers.google.kind", "google")
                .flags("providers.google.client_id", "ada");
            if by_flag {
                operator = operator.flags(key, &value);
            } else {
                let row = keys::find(key).expect("a key");
                let variable = row.environment.replace("NAME", "GOOGLE");
                operator = operator.exports(&format!("{variable}_FILE"), "secret").writes("secret", &value);
            }
            if key != "providers.google.client_secret" {
                operator = operator.flags("providers.google.client_secret", &secret);
            }
            let said = everything_said(&operator);
            prop_assert!(!said.contains(tail), "{key} = {value} shows in:\n{said}");
        }
    }

    #[test]
    fn no_secret_of_a_broken_file_is_shown(secret in secret(), quote in "['\"]?", rest in "[=\\[\\]'\"\n#.a]{0,4}") {
        let content = format!("smtp_url = {quote}smtps://ada:{secret}@mail{quote}{rest}\nclient_secret = '{secret}'\n");
        let said = everything_said(&Operator::with_file(&content));
        prop_assert!(!said.contains(&secret[secret.len() - 8..]), "{content} shows in:\n{said}");
    }

    #[test]
    fn no_sources_make_loading_panic(
        key in prop::sample::select(KEYS.iter().map(|row| row.key).collect::<Vec<_>>()),
        value in ".{0,40}",
        content in "(\\[?[a-z._]{0,12}\\]? ?=? ?['\"]?.{0,12}['\"]?\n){0,4}",
    ) {
        everything_said(&Operator::new().flags(key, &value));
        everything_said(&Operator::with_file(&content));
    }
}
