use std::fs;

use secrecy::ExposeSecret as _;

use super::*;

#[test]
fn a_flag_goes_before_the_environment_before_the_file_before_the_default() {
    let audience = |operator: &Operator| operator.starts().audience;
    let operator = Operator::new();
    assert_eq!(audience(&operator), None);
    let operator = operator.writes("signet.toml", "audience = 'file'");
    assert_eq!(audience(&operator).as_deref(), Some("file"));
    let operator = operator.exports("SIGNET_AUDIENCE", "environment");
    assert_eq!(audience(&operator).as_deref(), Some("environment"));
    let operator = operator.flags("audience", "flag");
    assert_eq!(audience(&operator).as_deref(), Some("flag"));
}

#[test]
fn show_names_where_each_value_came_from() {
    let operator = Operator::with_file("# a comment\n[password]\niterations = 3\n")
        .writes("audience", "api\n")
        .exports("SIGNET_AUTO_MIGRATE", "false")
        .exports("SIGNET_AUDIENCE_FILE", "audience")
        .flags("password.workers", "2");
    let file = operator.path("signet.toml").display().to_string();
    let audience = operator.path("audience").display().to_string();
    tells(
        &operator.starts().show(),
        &[
            "keys_dir = \"keys\" # default\n",
            &format!("password.iterations = 3 # file {file}:3\n"),
            "auto_migrate = false # environment variable SIGNET_AUTO_MIGRATE\n",
            &format!("audience = \"api\" # environment variable SIGNET_AUDIENCE_FILE, file {audience}\n"),
            "password.workers = 2 # flag --password-workers\n",
        ],
    );
}

#[test]
fn the_file_is_the_one_of_the_flag_then_of_the_variable_then_of_the_directory() {
    let operator = Operator::with_file("audience = 'directory'").writes("one.toml", "audience = 'one'");
    let mut operator = operator.writes("two.toml", "audience = 'two'");
    assert_eq!(operator.starts().audience.as_deref(), Some("directory"));
    operator = operator.exports("SIGNET_CONFIG", "one.toml");
    assert_eq!(operator.starts().audience.as_deref(), Some("one"));
    operator.sources.file = Some(operator.path("two.toml"));
    assert_eq!(operator.starts().audience.as_deref(), Some("two"));
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let mut operator = Operator::new().exports("SIGNET_CONFIG", "missing.toml");
    tells(&operator.is_refused(), &["missing.toml cannot be read: ", "(environment variable SIGNET_CONFIG)"]);
    operator.sources.file = Some(PathBuf::from("gone.toml"));
    tells(&operator.is_refused(), &["gone.toml cannot be read: ", "(flag --config)"]);
}

#[test]
fn a_file_that_cannot_be_understood_stops_the_start() {
    let operator = Operator::new();
    fs::create_dir(operator.path("signet.toml")).expect("a folder in the way");
    tells(&operator.is_refused(), &["signet.toml cannot be read: "]);

    tells(&Operator::new().writes("signet.toml", [0xFF]).is_refused(), &["it is not UTF-8 text"]);
    tells(&Operator::with_file(&"#".repeat(1024 * 1024 + 1)).is_refused(), &["it is larger than 1024 KiB"]);
    tells(&Operator::with_file("audience = 'a'\nlisten = \n").is_refused(), &["is not TOML: ", "signet.toml:2)"]);
    tells(&Operator::with_file("audience = 'a'\naudience = 'b'").is_refused(), &["is not TOML: duplicate key", ":2)"]);
}

#[test]
fn unknown_keys_of_the_file_are_named_with_their_line() {
    let cases = [
        ("\nlissten = '127.0.0.1:80'", "unknown key lissten: `signet --help` lists every key", ":2)"),
        ("[password]\nmemory = 1", "unknown key password.memory: password has memory_kib, iterations,", ":2)"),
        ("[passwords]\nmemory_kib = 1", "unknown key passwords: ", ":1)"),
        (
            "rate_limits.login = '1/1m'",
            "unknown key rate_limits.login: rate_limits has enabled, network, token,",
            ":1)",
        ),
        ("[providers.google]\ncolour = 'red'", "unknown key providers.google.colour: a provider has kind,", ":2)"),
        ("[providers.Google]\nkind = 'google'", "unknown key providers.Google: the name of a provider is", ":1)"),
        ("[listen]\naddress = 1", "listen must be a string, a whole number, true or false", ":1)"),
        ("'password.memory_kib' = 65536", "unknown key password.memory_kib", ":1)"),
        ("password = 'pw'", "password must be a table, [password]", ":1)"),
        ("providers.google = 'pw'", "providers.google must be a table, [providers.google]", ":1)"),
        ("\"a\\nb\" = 1", "unknown key a\\nb", ":1)"),
    ];
    for (content, problem, line) in cases {
        tells(&Operator::with_file(content).is_refused(), &[problem, line]);
    }
}

#[test]
fn a_value_of_the_file_has_a_type_that_its_key_takes() {
    for value in ["1.5", "1979-05-27", "['a']", "[[1]]"] {
        tells(
            &Operator::with_file(&format!("audience = {value}")).is_refused(),
            &["audience must be a string, a whole"],
        );
    }
    tells(&Operator::with_file("trusted_proxies = [1]").is_refused(), &["must be an array of strings or a string"]);
    let config = Operator::with_file("password.memory_kib = 0x1_0000\nauto_migrate = 'false'\npassword.workers = '7'");
    let config = config.starts();
    assert_eq!((config.password.memory_kib, config.auto_migrate, config.password.workers), (65_536, false, 7));
    let arrays = Operator::with_file("trusted_proxies = ['10.0.0.0/8', '192.0.2.1']").starts();
    assert_eq!(arrays.trusted_proxies.len(), 2);
}

#[test]
fn unknown_variables_are_named() {
    let cases = [
        ("SIGNET_LISSTEN", "unknown environment variable SIGNET_LISSTEN: `signet --help` lists every key"),
        ("SIGNET_listen", "unknown environment variable SIGNET_listen"),
        ("SIGNET_", "unknown environment variable SIGNET_:"),
        ("SIGNET_FILE", "unknown environment variable SIGNET_FILE:"),
        ("SIGNET_CONFIG_FILE", "unknown environment variable SIGNET_CONFIG_FILE:"),
        ("SIGNET_LISTEN_FILE_FILE", "unknown environment variable SIGNET_LISTEN_FILE_FILE"),
        ("SIGNET_PASSWORD_MEMORY_KIB", "a nested key has two underscores: SIGNET_PASSWORD__MEMORY_KIB"),
        ("SIGNET_PROVIDERS__GOOGLE__COLOUR", "it has kind, client_id,"),
        ("SIGNET_PROVIDERS__MY_IDP__KIND__X", "it has kind, client_id,"),
        ("SIGNET_POSTGRES_HOST", "unknown environment variable SIGNET_POSTGRES_HOST"),
        ("SIGNET_PASSWORD__SERVICE_PORT", "unknown environment variable SIGNET_PASSWORD__SERVICE_PORT"),
        ("SIGNET_TESTS", "unknown environment variable SIGNET_TESTS"),
    ];
    for (name, problem) in cases {
        tells(&Operator::with_environment(&[(name, "/dev/null")]).is_refused(), &[problem]);
    }
}

#[test]
fn variables_that_are_not_ours_or_empty_or_of_kubernetes_change_nothing() {
    let ignored = [
        ("SIGNET_SERVICE_HOST", "10.0.0.1"),
        ("SIGNET_SERVICE_PORT_HTTP", "80"),
        ("SIGNET_PORT", "tcp://10.0.0.1:80"),
        ("SIGNET_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("SIGNET_POSTGRES_SERVICE_HOST", "10.0.0.2"),
        ("SIGNET_POSTGRES_MAIN_SERVICE_PORT_TCP", "5432"),
        ("SIGNET_POSTGRES_PORT", "tcp://10.0.0.2:5432"),
        ("SIGNET_POSTGRES_PORT_5432_TCP_PROTO", "tcp"),
        ("SIGNET_TEST_TOOLS", "/somewhere"),
        ("SIGNET_LISTEN", ""),
        ("SIGNET_AUDIENCE_FILE", ""),
        ("SIGNET_CONFIG", ""),
        ("SIGNETLISTEN", "nonsense"),
        ("PATH", "/bin"),
    ];
    assert_eq!(Operator::with_environment(&ignored).starts().show(), Operator::new().starts().show());
    tells(&Operator::with_environment(&[("SIGNET_PORTS", "80")]).is_refused(), &["SIGNET_PORTS"]);
}

#[cfg(unix)]
#[test]
fn variables_that_are_not_text_are_refused() {
    use std::os::unix::ffi::OsStringExt as _;

    let mut operator = Operator::new();
    operator.sources.environment = vec![(os("SIGNET_AUDIENCE"), OsString::from_vec(vec![b'a', 0xFF]))];
    tells(&operator.is_refused(), &["audience must be UTF-8 text (environment variable SIGNET_AUDIENCE)"]);
    operator.sources.environment = vec![(OsString::from_vec(b"SIGNET_\xFF".to_vec()), os("a"))];
    tells(&operator.is_refused(), &["unknown environment variable SIGNET_\u{FFFD}"]);
}

#[test]
fn a_value_may_come_from_a_file_without_its_last_newline() {
    let cases = [("pw", "pw"), ("pw\n", "pw"), ("pw\r\n", "pw"), ("p w ", "p w ")];
    for (content, secret) in cases {
        let operator = google(Operator::new()).exports("SIGNET_PROVIDERS__GOOGLE__CLIENT_SECRET_FILE", "secret");
        let config = operator.writes("secret", content).starts();
        assert_eq!(config.providers["google"].client_secret.expose_secret(), secret);
    }
    let operator = google(Operator::new()).exports("SIGNET_PROVIDERS__GOOGLE__CLIENT_SECRET_FILE", "secret");
    tells(&operator.writes("secret", "pw\n\n").is_refused(), &["client_secret must be 1 to 4096 bytes"]);
}

fn google(operator: Operator) -> Operator {
    operator.exports("SIGNET_PROVIDERS__GOOGLE__KIND", "google").exports("SIGNET_PROVIDERS__GOOGLE__CLIENT_ID", "ada")
}

#[test]
fn a_file_of_a_variable_that_cannot_be_read_stops_the_start() {
    let names_file = || Operator::new().exports("SIGNET_AUDIENCE_FILE", "audience");
    let problem = names_file().is_refused();
    tells(&problem, &["audience cannot be read from its file: ", "SIGNET_AUDIENCE_FILE, file /", "/audience)"]);
    assert_eq!(problem.lines().count(), 1, "{problem}");

    tells(&names_file().writes("audience", [0xFF]).is_refused(), &["it is not UTF-8 text", "SIGNET_AUDIENCE_FILE"]);
    let long = "a".repeat(64 * 1024 + 1);
    tells(&names_file().writes("audience", &long).is_refused(), &["it is larger than 64 KiB", "SIGNET_AUDIENCE_FILE"]);
    let longest = names_file().writes("audience", &long[1..]).is_refused();
    tells(&longest, &["audience must be 1 to 200 printable ASCII characters"]);
    let flagged = names_file().flags("audience", "flag");
    tells(&flagged.is_refused(), &["SIGNET_AUDIENCE_FILE"]);
}

#[test]
fn a_secret_that_is_missing_is_one_problem_and_not_two() {
    let operator = google(Operator::new()).exports("SIGNET_PROVIDERS__GOOGLE__CLIENT_SECRET_FILE", "missing");
    assert_eq!(operator.is_refused().lines().count(), 1);
    let operator = Operator::new().exports("SIGNET_DATABASE_URL_FILE", "missing");
    assert_eq!(operator.is_refused().lines().count(), 1);
}

#[test]
fn a_variable_and_its_file_are_not_both_given() {
    for names in [["SIGNET_AUDIENCE", "SIGNET_AUDIENCE_FILE"], ["SIGNET_AUDIENCE_FILE", "SIGNET_AUDIENCE"]] {
        let operator = Operator::with_environment(&names.map(|name| (name, "audience"))).writes("audience", "api");
        tells(&operator.is_refused(), &["audience is given twice, by ", names[0], names[1]]);
    }
    let twice = google(Operator::new()).exports("SIGNET_PROVIDERS__Google__KIND", "google");
    tells(&twice.is_refused(), &["providers.google.kind is given twice"]);
    let empty = Operator::with_environment(&[("SIGNET_AUDIENCE", ""), ("SIGNET_AUDIENCE_FILE", "audience")]);
    assert_eq!(empty.writes("audience", "api").starts().audience.as_deref(), Some("api"));
}

#[test]
fn unknown_flags_are_named() {
    let refused = Operator::new().flags("colour", "red").flags("providers.NAME.kind", "oidc").is_refused();
    tells(&refused, &["unknown key colour: ", "(flag --colour)", "unknown key providers.NAME.kind: "]);
}

#[test]
fn all_problems_are_told_at_once() {
    let refused = Operator::with_file("colour = 'red'\n[password]\niterations = 17")
        .exports("SIGNET_LISSTEN", "a")
        .exports("SIGNET_AUTO_MIGRATE", "yes")
        .flags("listen", "localhost:80")
        .is_refused();
    tells(&refused, &["colour", "SIGNET_LISSTEN", "auto_migrate", "password.iterations", "listen = \"localhost:80\""]);
    assert_eq!(refused.lines().count(), 5, "{refused}");
}
