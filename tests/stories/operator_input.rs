//! Operator input: passwords come from a prompt or standard input only, and errors are clear.

use serde_json::{Value, json};

use crate::harness::{
    NEW_PASSWORD, PASSWORD, TestApp, TestEnv,
    process::{Ended, Process},
    stories, stories_on, tools,
};

async fn sets_password(signet: &TestApp, input: &str) -> Ended {
    signet.runs_on(input, &["user", "set-password", "ada"]).await
}

async fn a_password_is_one_line(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let long = "tin orbit ".repeat(103);
    for (input, words) in [
        ("", "no password"),
        ("\n", "no password"),
        ("\r\n", "no password"),
        ("violet anchor 19\nmarsh candle", "more than one line"),
        ("violet anchor 19 marsh candle\n\n", "more than one line"),
        (&long, "at most 1024 bytes"),
        (&"x".repeat(200_000), "at most 1024 bytes"),
        ("violet\0anchor 19 marsh", "control characters"),
        ("short", "at least 8 characters"),
        ("password1", "common"),
    ] {
        let ended = sets_password(&signet, input).await.with(1, &["password", words]);
        assert_eq!(ended.out, "");
        signet.runs_on(input, &["user", "create", "bob"]).await.with(1, &["password", words]);
    }
    // A password with the account's own name is weak for that account only.
    let named = ["user", "create", "marsh.candle.19", "--email", "violet.anchor.73@example.org"];
    for name in ["marsh.candle.19", "Violet.Anchor.73"] {
        signet.runs_on(name, &named).await.with(1, &["password", "close to the username"]);
    }
    signet.runs_on("marsh.candle.19", &["user", "create", "bob"]).await.well();
    ada.tries(PASSWORD).await.granted();
    ada.is_logged_in(&tokens).await; // nothing has changed
    for (input, password) in [
        ("violet anchor 19 marsh candle\n", NEW_PASSWORD),
        ("plum orbit lantern 73 quay\r\n", PASSWORD),
        ("violet anchor 19 marsh candle", NEW_PASSWORD),
        (&long[..1024], &long[..1024]),
        (" spaces belong to it \n", " spaces belong to it "),
    ] {
        sets_password(&signet, input).await.well();
        ada.tries(password).await.granted();
    }
}

/// Neither a password nor its hash is in any output, however much is logged, nor can it be given where others see it.
async fn a_password_is_shown_nowhere(env: TestEnv) {
    let mut environment = env.environment(&[]);
    environment.push(("RUST_LOG".to_owned(), "trace".to_owned()));
    for arguments in [&["user", "create", "ada"][..], &["user", "set-password", "ada"], &["user", "show", "ada"]] {
        let ended = Process::start(&env.folder, &environment, arguments, NEW_PASSWORD).ends().await.well();
        for text in [&ended.out, &ended.err] {
            assert!(!text.contains(NEW_PASSWORD) && !text.contains("argon2id"), "{arguments:?}: {text}");
        }
    }
    for arguments in [
        &["user", "create", "bob", "--password", NEW_PASSWORD][..],
        &["user", "create", "bob", NEW_PASSWORD],
        &["user", "set-password", "ada", NEW_PASSWORD],
        &["user", "set-password", "ada", "--password", NEW_PASSWORD],
    ] {
        env.runs_on(PASSWORD, arguments).await.with(2, &["unexpected argument"]);
    }
}

async fn wrong_usage_is_told_from_failure(env: TestEnv) {
    env.runs(&["migrate", "up"]).await.well();
    let wrong: [&[&str]; 16] = [
        &["user"],
        &["user", "rename", "ada"],
        &["user", "show"],
        &["user", "show", "ada", "bob"],
        &["user", "list", "ada"],
        &["user", "create"],
        &["user", "create", "a b"],
        &["user", "create", "ada@example.org"],
        &["user", "create", "ada", "--email", "nonsense"],
        &["user", "create", "ada", "--email-verified"],
        &["user", "create", "ada", "--role", "A Role"],
        &["user", "create", "ada", "--role", ""],
        &["user", "grant-role", "ada"],
        &["user", "grant-role", "ada", "ADMIN"],
        &["user", "revoke-role", "ada", "an admin"],
        &["user", "list", "--listen", "nonsense"],
    ];
    for arguments in wrong {
        let ended = env.runs_on(PASSWORD, arguments).await.with(2, &[""]);
        assert_eq!(ended.out, "", "{arguments:?}");
        assert!(!ended.err.is_empty(), "{arguments:?}");
    }
    assert_eq!(env.runs(&["user", "list"]).await.well().json(), json!([]), "nothing was made");
    let unknown = "018f0000-0000-7000-8000-000000000000";
    for name in ["ada", "ada@example.org", unknown, "", "a b", "\u{1b}[2J", "' OR 1=1 --"] {
        for command in ["show", "disable", "enable", "delete", "set-password", "revoke-sessions"] {
            let ended = env.runs_on(PASSWORD, &["user", command, "--", name]).await;
            let ended = ended.with(1, &["signet: there is no such account", "signet user list"]);
            assert_eq!(ended.out, "", "{command}");
            assert!(!ended.err.contains('\u{1b}'), "{ended:?}");
        }
        env.runs(&["user", "grant-role", name, "admin"]).await.with(1, &["there is no such account"]);
    }
}

async fn the_database_is_migrated_as_serve_would(mut env: TestEnv) {
    env.set("auto_migrate", "false");
    env.runs(&["user", "list"]).await.with(1, &["signet migrate up"]);
    env.runs(&["migrate", "up"]).await.well();
    env.runs(&["user", "list"]).await.well();
    env.set("database_url", "postgres://signet@127.0.0.1:1/nowhere");
    env.set("database_listen_url", "postgres://signet@127.0.0.1:1/nowhere");
    env.runs(&["user", "list"]).await.with(1, &["signet: ", "database_url"]);
}

/// Runs a command at a terminal; what was shown there and the exit status.
fn types(signet: &TestApp, arguments: &[&str], steps: &[(&str, &str)]) -> (String, Value) {
    let command: Vec<&str> = [env!("CARGO_BIN_EXE_signet")].into_iter().chain(arguments.iter().copied()).collect();
    let answer = tools::at_a_terminal(&signet.environment(&[]), &signet.folder, &command, &json!(steps));
    assert_eq!(answer["left"], 0, "it asked for less: {answer}");
    (answer["shown"].as_str().expect("a string").to_owned(), answer["code"].clone())
}

async fn a_terminal_asks_twice_and_shows_nothing(signet: TestApp) {
    let mut ada = signet.registers("ada").await;
    let command = ["user", "set-password", "ada"];
    let typed = format!("{NEW_PASSWORD}\r");
    let differs = [("New password: ", typed.as_str()), ("The same again: ", "another one\r")];
    let (shown, code) = types(&signet, &command, &differs);
    assert!(code == 1 && shown.contains("differ") && !shown.contains("anchor"), "{code}: {shown}");
    ada.tries(PASSWORD).await.granted();

    let (shown, code) = types(&signet, &command, &[("New password: ", typed.as_str()), ("The same again: ", &typed)]);
    assert!(code == 0 && !shown.contains("anchor"), "{code}: {shown}");
    NEW_PASSWORD.clone_into(&mut ada.password);
    ada.logs_in().await;

    let (shown, code) = types(&signet, &command, &[("New password: ", "\u{3}")]);
    assert!(code == -2 || code == 1, "{code}: {shown}"); // Ctrl-C, before anything was done
    ada.logs_in().await;
    let (_, code) = types(&signet, &["user", "show", "nobody"], &[]);
    assert_eq!(code, 1);
}

stories![the_database_is_migrated_as_serve_would];

stories_on![Sqlite:
    a_password_is_one_line,
    wrong_usage_is_told_from_failure,
    a_password_is_shown_nowhere,
    a_terminal_asks_twice_and_shows_nothing,
];
