use super::*;

#[test]
fn plain_http_is_not_served_off_loopback() {
    for address in ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80", "[::ffff:192.0.2.1]:80"] {
        let operator =
            Operator::with_environment(&[("SIGNET_LISTEN", address), ("SIGNET_ISSUER", "https://auth.example.org")]);
        let refused = operator.is_refused();
        tells(&refused, &["set tls_cert and tls_key", "trusted_proxies", "127.0.0.1", "variable SIGNET_LISTEN)"]);
        assert_eq!(refused.lines().count(), 1, "{refused}");
        let behind_proxy = operator.exports("SIGNET_TRUSTED_PROXIES", "10.0.0.0/8");
        let behind_proxy = behind_proxy.exports("SIGNET_SMTP_URL", "smtps://mail.example.org").starts();
        assert_eq!(behind_proxy.warnings, Vec::<String>::new());
    }
    for address in ["127.0.0.1:0", "127.8.0.1:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
        Operator::with_environment(&[("SIGNET_LISTEN", address)]).starts();
    }
    let operator = Operator::with_file(
        "listen = '0.0.0.0:443'\nissuer = 'https://auth.example.org'\ntls_cert = 'c'\ntls_key = 'k'",
    );
    assert_eq!(operator.starts().tls, Some(TlsFiles { cert: "c".into(), key: "k".into() }));
    let empty = Operator::with_file("listen = '0.0.0.0:80'\nissuer = 'https://auth.example.org'\ntrusted_proxies = []");
    tells(&empty.is_refused(), &["listen = 0.0.0.0:80 "]);
}

#[test]
fn the_issuer_has_no_default_off_loopback() {
    let operator = Operator::with_file("listen = '0.0.0.0:80'\ntrusted_proxies = '10.0.0.0/8'");
    tells(
        &operator.is_refused(),
        &["issuer must be set where listen is not a loopback address", "signet.toml:1 sets listen"],
    );
    let tls = Operator::with_file("tls_cert = 'c'\ntls_key = 'k'").starts();
    tells(&tls.warnings.join("\n"), &["issuer is not set"]);
}

#[test]
fn clients_that_may_register_themselves_are_told_of() {
    let with = |registration: &str, token: &str| {
        Operator::new().flags("client_registration", registration).exports("SIGNET_CLIENT_REGISTRATION_TOKEN", token)
    };
    let token = "a-token-of-thirty-two-characters";
    let anybody = Operator::new().flags("client_registration", "open").starts();
    tells(&anybody.warnings.join("\n"), &["client_registration is open", "client_registration_token is not set"]);
    assert_eq!(with("open", token).starts().warnings, Vec::<String>::new());
    tells(&with("off", token).starts().warnings.join("\n"), &["client_registration_token has no use"]);
}

#[test]
fn documents_that_anybody_may_name_are_told_of() {
    let config = Operator::new().flags("client_id_documents", "on").starts();
    assert_eq!(config.client_id_documents, ClientIdDocuments::On);
    tells(&config.warnings.join("\n"), &["client_id_documents is on", "fetches the documents"]);
    assert_eq!(Operator::new().starts().client_id_documents, ClientIdDocuments::Off);
}

#[test]
fn an_open_resource_that_is_the_operators_own_is_told_of() {
    let with = |open: &str| {
        Operator::new().flags("audience", "https://api.example.org").flags("open_resources", open).starts()
    };
    let config = with("https://mcp.example.org/mcp, urn:example:orders");
    assert_eq!(config.open_resources, ["https://mcp.example.org/mcp", "urn:example:orders"]);
    assert_eq!(config.warnings, Vec::<String>::new());
    tells(&with("https://API.example.org/").warnings.join("\n"), &["open_resources holds the audience"]);
}

#[test]
fn a_proxy_on_the_same_host_may_terminate_tls() {
    let config = Operator::with_environment(&[("SIGNET_ISSUER", "https://auth.example.org")]).starts();
    assert_eq!(config.issuer.as_deref(), Some("https://auth.example.org"));
    tells(&config.warnings.join("\n"), &["trusted_proxies is not set", "smtp_url is not set"]);
    tells(&config.show(), &["audience = \"https://auth.example.org\" # default\n"]);
}

#[test]
fn certificate_and_key_come_together() {
    tells(&Operator::with_file("tls_cert = 'c'").is_refused(), &["tls_cert needs tls_key beside it", "signet.toml:1)"]);
    let operator = Operator::with_environment(&[("SIGNET_TLS_KEY", "k")]);
    tells(&operator.is_refused(), &["tls_key needs tls_cert beside it (environment variable SIGNET_TLS_KEY)"]);
}

#[test]
fn no_token_outlives_what_it_hangs_on() {
    let refused = Operator::with_file("access_token_ttl = '1h'\nrefresh_token_ttl = '30m'").is_refused();
    tells(
        &refused,
        &["access_token_ttl must not be longer than refresh_token_ttl: it is 1h (file ", "the other 30m (file "],
    );
    let refused = Operator::with_environment(&[("SIGNET_SESSION_TTL", "7d")]).is_refused();
    tells(&refused, &["refresh_token_ttl must not be longer than session_ttl: it is 30d (default), the other 7d (env"]);
    assert_eq!(refused.lines().count(), 1);
    Operator::with_file("access_token_ttl = '1h'\nrefresh_token_ttl = '1h'\nsession_ttl = '60m'").starts();
}

#[test]
fn the_default_database_lies_in_the_data_folder() {
    let config = Operator::with_environment(&[("SIGNET_DATA_DIR", "/srv/signet")]).starts();
    let url = "\"sqlite:///srv/signet/signet.db?mode=rwc\" # default\n";
    tells(&config.show(), &[&format!("database_url = {url}"), &format!("database_listen_url = {url}")]);
}

#[test]
fn the_listening_connection_goes_to_the_same_kind_of_database() {
    let operator = Operator::with_environment(&[("SIGNET_DATABASE_LISTEN_URL", "postgres://db/signet")]);
    let refused = operator.is_refused();
    tells(&refused, &["database_listen_url must be the same database as database_url", "LISTEN_URL; default)"]);
    let config = operator.exports("SIGNET_DATABASE_URL", "postgresql://pooler/signet").starts();
    tells(&config.show(), &["\"postgresql://pooler/signet\"", "\"postgres://db/signet\""]);
    let default = Operator::with_environment(&[("SIGNET_DATABASE_URL", "postgres://pooler/signet")]).starts();
    tells(&default.show(), &["database_listen_url = \"postgres://pooler/signet\" # default\n"]);
}

#[test]
fn weak_password_hashing_works_with_a_warning() {
    let cases = [
        ("memory_kib = 19455", "weaker than 19456 and 2"),
        ("iterations = 1", "weaker than 19456 and 2"),
        ("min_length = 7", "password.min_length is below 8"),
    ];
    for (line, warning) in cases {
        let config = Operator::with_file(&format!("[password]\n{line}")).starts();
        assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
        tells(&config.warnings[0], &[warning]);
    }
    let stronger =
        "[password]\nmemory_kib = 1_048_576\niterations = 16\nparallelism = 16\nmin_length = 64\nworkers = 256";
    assert_eq!(Operator::with_file(stronger).starts().warnings, Vec::<String>::new());
}

#[test]
fn argon2_has_eight_blocks_a_lane() {
    let refused = Operator::with_file("[password]\nmemory_kib = 31\nparallelism = 4").is_refused();
    tells(&refused, &["password.memory_kib must be at least 8 for each of password.parallelism", ":2)", ":3)"]);
    Operator::with_file("[password]\nmemory_kib = 32\nparallelism = 4").starts();
}

#[test]
fn a_weak_secret_is_refused_by_name_and_not_shown() {
    for value in ["a token of thirty-two characters", "a-token-of-thirty-one-character"] {
        let refused = Operator::new().flags("client_registration_token", value).is_refused();
        tells(&refused, &["client_registration_token must be 32 to 1024", "(flag --client-registration-token)"]);
        assert!(!refused.contains(value), "{refused}");
    }
}

#[test]
fn values_out_of_bounds_are_refused_by_name() {
    let cases = [
        ("password.memory_kib", "1048577"),
        ("password.memory_kib", "7"),
        ("password.iterations", "0"),
        ("password.parallelism", "17"),
        ("password.workers", "0"),
        ("password.workers", "257"),
        ("password.max_wait", "0s"),
        ("password.max_wait", "61s"),
        ("password.min_length", "0"),
        ("password.min_length", "65"),
        ("access_token_ttl", "25h"),
        ("access_token_ttl", "0s"),
        ("refresh_token_ttl", "3651d"),
        ("session_ttl", "3651d"),
        ("refresh_grace", "2m"),
        ("registration", "maybe"),
        ("client_registration", "closed"),
        ("log_format", "xml"),
        ("auto_migrate", "1"),
        ("signing_algorithm", "HS256"),
        ("listen", "8080"),
        ("metrics_listen", "on"),
        ("trusted_proxies", "everyone"),
        ("cors_origins", "*"),
        ("cors_origins", "https://app.example.org/"),
        ("rate_limits.token", "60"),
        ("rate_limits.enabled", "no"),
        ("mail_from", "nobody"),
        ("pages.name", "two\nlines"),
        ("pages.name", "a name that is longer than forty characters"),
        ("pages.color", "blue"),
        ("audience", "\u{e9}"),
        ("issuer", "http://auth.example.org"),
        ("keys_dir", ""),
        ("shutdown_delay", "11m"),
        ("open_resources", "not a URI"),
        ("client_id_documents", "open"),
        ("key_rotation", "0s"),
        ("key_rotation", "soon"),
        ("key_lead_time", "soon"),
        ("key_lead_time", "359s"),
        ("audit_retention", "-1d"),
        ("otlp_endpoint", "grpc://collector"),
        ("rate_limits.network", "yes"),
    ];
    for (key, value) in cases {
        let row = keys::find(key).expect("a key");
        let by_flag = Operator::new().flags(key, value).is_refused();
        tells(&by_flag, &[&format!("{key} = {value:?} must be "), &format!("(flag --{})", row.flag())]);
        assert_eq!(by_flag.lines().count(), 1, "{by_flag}");
        if !value.is_empty() {
            let by_variable = Operator::with_environment(&[(row.environment, value)]).is_refused();
            tells(&by_variable, &[key, "must be ", &format!("(environment variable {})", row.environment)]);
        }
    }
}

#[test]
fn what_is_as_it_should_be_is_not_warned_of() {
    let config = Operator::with_file(
        "smtp_url = 'smtps://mail.example.org'\nmail_from = 'a@b'\nmetrics_listen = 'off'\nrate_limits.mail = '1/1h'\n\
         database_listen_url = 'sqlite://other.db'\ntrusted_proxies = '10.0.0.0/8'\n\
         [providers.google]\nkind = 'google'\nclient_id = 'id'\nclient_secret = 'secret'",
    )
    .starts();
    assert_eq!(config.warnings, Vec::<String>::new());
    assert_eq!(config.metrics_listen, None);
    assert_eq!(config.rate_limits.mail, RateLimit { count: 1, per: Duration::from_hours(1) });
}

#[test]
fn looser_settings_are_named_for_their_danger() {
    let config = Operator::with_file("rate_limits.enabled = false\ntrusted_proxies = '0.0.0.0/0'").starts();
    tells(&config.warnings.join("\n"), &["guessing of passwords", "anyone can forge the address"]);
}

#[test]
fn a_provider_needs_its_kind_its_client_and_for_oidc_its_issuer() {
    let refused = Operator::with_environment(&[("SIGNET_PROVIDERS__GOOGLE__TRUST_EMAIL", "true")]).is_refused();
    for field in ["kind", "client_id", "client_secret"] {
        tells(&refused, &[&format!("providers.google.{field} must be set")]);
    }
    let oidc = "[providers.idp]\nkind = 'oidc'\nclient_id = 'a'\nclient_secret = 'b'\n";
    tells(&Operator::with_file(oidc).is_refused(), &["providers.idp.issuer must be set"]);
    let config =
        Operator::with_file(&format!("{oidc}issuer = 'https://idp.example.org'\nscopes = 'openid, email'")).starts();
    let provider = &config.providers["idp"];
    assert_eq!(provider.kind, ProviderKind::Oidc);
    assert_eq!(provider.scopes, ["openid", "email"]);
    assert!(!provider.trust_email);
}

/// A private key in the form that Apple gives it, with the key itself cut short.
const P8: &str = "-----BEGIN PRIVATE KEY-----\nMIG=\n-----END PRIVATE KEY-----\n";

#[test]
fn apple_takes_a_private_key_with_its_names_and_nobody_else_does() {
    let apple = |secret: &str, more: &str| {
        let names = "[providers.apple]\nkind = 'apple'\nclient_id = 'org.example'\n";
        Operator::with_file(&format!("{names}client_secret = \"\"\"{secret}\"\"\"\n{more}"))
    };
    let config = apple(P8, "team_id = 'TEAM'\nkey_id = 'KEY'").starts();
    let key = config.providers["apple"].apple.clone().expect("it is there");
    assert_eq!((key.team_id.as_str(), key.key_id.as_str()), ("TEAM", "KEY"));
    assert!(!config.show().contains("PRIVATE"), "{}", config.show());

    tells(&apple(P8, "").is_refused(), &["providers.apple.team_id must be set", "providers.apple.key_id must be set"]);
    let refused = apple("hunter22", "team_id = 'TEAM'\nkey_id = 'KEY'").is_refused();
    tells(&refused, &["providers.apple.client_secret must be the private key that Apple gave"]);
    assert!(!refused.contains("hunter22"), "{refused}");
    let google = "[providers.google]\nkind = 'google'\nclient_id = 'a'\nclient_secret = 'b'\nkey_id = 'c'";
    tells(&Operator::with_file(google).is_refused(), &["providers.google.key_id is for kind apple alone"]);
}

#[test]
fn a_provider_is_put_together_from_all_sources() {
    let operator =
        Operator::with_file("[providers.github]\nkind = 'github'\nclient_id = 'file'\n[providers.idp]\nkind = 'apple'")
            .exports("SIGNET_PROVIDERS__GITHUB__CLIENT_ID", "environment")
            .exports("SIGNET_PROVIDERS__GITHUB__CLIENT_SECRET_FILE", "secret")
            .exports("SIGNET_PROVIDERS__IDP__CLIENT_ID", "a")
            .exports("SIGNET_PROVIDERS__IDP__CLIENT_SECRET", P8)
            .exports("SIGNET_PROVIDERS__IDP__TEAM_ID", "TEAM")
            .exports("SIGNET_PROVIDERS__IDP__KEY_ID", "KEY")
            .exports("SIGNET_PROVIDERS__IDP__TOKEN_URL", "http://127.0.0.1:9000/token")
            .writes("secret", "pw");
    let config = operator.starts();
    assert_eq!(config.providers.keys().map(ProviderName::as_str).collect::<Vec<_>>(), ["github", "idp"]);
    assert_eq!(config.providers["github"].client_id, "environment");
    let refused = operator.exports("SIGNET_PROVIDERS__GITHUB__TOKEN_URL", "http://github.com/token").is_refused();
    tells(&refused, &["providers.github.token_url = \"http://github.com/token\" must be an https:// URL"]);
}

#[test]
fn a_database_over_a_network_without_tls_is_told_of() {
    let warnings = |url: &str| Operator::with_environment(&[("SIGNET_DATABASE_URL", url)]).starts().warnings.join("\n");
    for url in [
        "postgres://signet:hunter2@db.example.org/signet",
        "postgres://signet:hunter2@db.example.org/signet?sslmode=prefer",
        "postgresql://db/signet?sslmode=disable",
        "postgres://192.0.2.1/signet",
        "postgres:///signet?host=db.example.org",
    ] {
        tells(&warnings(url), &["database_url leads over a network without TLS"]);
        assert!(!warnings(url).contains("hunter2"));
    }
    for url in [
        "postgres://db.example.org/signet?sslmode=verify-full",
        "postgres://db.example.org/signet?ssl-mode=require",
        "postgres://127.0.0.1/signet",
        "postgres://localhost/signet",
        "postgres:///signet?host=/var/run/postgresql",
        "postgres://%2Fvar%2Frun%2Fpostgresql/signet",
        "sqlite://data/signet.db",
    ] {
        assert_eq!(warnings(url), "", "{url}");
    }
}
