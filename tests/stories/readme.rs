//! The README's commands run, and print what the README shows.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use signet::testing::{KEYS, PROVIDER_KEYS};

use crate::harness::{TestApp, TestEnv, jwt, process::Process, run, seconds, stories_on};

#[path = "../../examples/verify.rs"]
#[expect(dead_code, reason = "its main reads the standard input, which is ours here")]
mod example;

/// The address that the README uses throughout.
const ADDRESS: &str = "http://127.0.0.1:8080";

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The README from the heading `## title` to the next one.
fn section(title: &str) -> String {
    let readme = file("README.md");
    let (_, rest) = readme.split_once(&format!("\n## {title}\n")).unwrap_or_else(|| panic!("no section {title}"));
    rest.split("\n## ").next().unwrap_or_default().to_owned()
}

/// The fenced blocks of a text, each with its language.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            found.push((language.to_owned(), body.join("\n") + "\n"));
        }
    }
    found
}

/// The one block of a language.
fn block(text: &str, language: &str) -> String {
    let found: Vec<_> = blocks(text).into_iter().filter(|(other, _)| other == language).collect();
    let [(_, body)] = &found[..] else { panic!("not one block of {language}: {found:?}") };
    body.clone()
}

/// A program in `folder` that knows nothing of the story's own environment.
fn program(name: impl AsRef<Path>, folder: &Path) -> Command {
    let mut command = Command::new(name.as_ref());
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("NO_PROXY", "127.0.0.1")
        .stdin(Stdio::null());
    command
}

/// Runs a program. Returns its output, or its standard error if it failed.
fn ends(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr)))
    }
}

/// Whether `line` is `shown`, in which each `…` stands for anything.
fn is_as_shown(line: &str, shown: &str) -> bool {
    let mut pieces = shown.split('…');
    let Some(mut rest) = line.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        let Some((_, behind)) = rest.split_once(piece) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

/// A service in an empty folder, as `cargo run` starts one there.
async fn fresh_service(env: &TestEnv) -> Process {
    let listen = format!("127.0.0.1:{}", run::free_port());
    let environment = [("SIGNET_LISTEN".to_owned(), listen), ("SIGNET_METRICS_LISTEN".to_owned(), "off".to_owned())];
    Process::start(&env.folder, &environment, &[], "").ready().await
}

async fn the_tour_works_when_it_is_pasted(env: TestEnv) {
    const NEXT: &str = "------------ next block";
    let process = fresh_service(&env).await;
    let mut script = "set -euo pipefail\n".to_owned();
    let mut expected: Vec<String> = Vec::new();
    for (language, body) in blocks(&section("A two-minute tour")) {
        match language.as_str() {
            "bash" => {
                script = format!("{script}{body}echo; echo '{NEXT}'\n");
                expected.push(String::new());
            }
            "text" => *expected.last_mut().expect("an output follows its commands") += &body,
            other => panic!("a block of {other} in the tour"),
        }
    }
    assert!(expected.iter().filter(|shown| !shown.is_empty()).count() > 5, "the tour shows little: {expected:?}");
    for (from, to) in
        [(ADDRESS, process.site.base()), ("cargo run --quiet --", env!("CARGO_BIN_EXE_signet").to_owned())]
    {
        assert!(script.contains(from), "the tour has no {from} any more");
        script = script.replace(from, &to);
    }
    let printed = ends(program("bash", &env.folder).args(["-c", &script]))
        .unwrap_or_else(|error| panic!("the tour stops: {error}"));
    let mut printed = printed.split(NEXT);
    for shown in expected {
        let printed = printed.next().expect("every block ends with the mark");
        let lines: Vec<&str> = printed.lines().filter(|line| !line.is_empty()).collect();
        let shown = shown.replace(ADDRESS, &process.site.base());
        let shown: Vec<&str> = shown.lines().collect();
        let same = lines.len() == shown.len() && lines.iter().zip(&shown).all(|(line, shown)| is_as_shown(line, shown));
        assert!(same, "the tour shows\n{}\nand prints\n{}", shown.join("\n"), lines.join("\n"));
    }
}

/// A verifying program of the README, ready to run.
type Verifier = Box<dyn Fn(&str, &str, &str) -> Result<Value, String>>;

/// Writes the program to a file, with issuer and audience filled in as the README says.
fn verifier(interpreter: PathBuf, folder: PathBuf, name: &'static str) -> Verifier {
    Box::new(move |token, issuer, audience| {
        fs::write(folder.join("token"), token).map_err(|error| error.to_string())?;
        let token = fs::File::open(folder.join("token")).map_err(|error| error.to_string())?;
        let mut command = program(&interpreter, &folder);
        let printed = ends(command.arg(name).env("ISSUER", issuer).env("AUDIENCE", audience).stdin(token))?;
        serde_json::from_str(&printed).map_err(|error| format!("{error}: {printed}"))
    })
}

async fn the_verifying_programs_verify(signet: TestApp) {
    let tools = std::env::var_os("SIGNET_TEST_TOOLS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools"), PathBuf::from);
    assert!(tools.join("venv").exists(), "{} is missing: run tests/run once, it installs it", tools.display());
    let text = section("Verify a token in your service");
    let folder = run::folder();
    fs::write(folder.join("verify.py"), block(&text, "python")).expect("the folder is ours");
    fs::write(folder.join("verify.mjs"), block(&text, "js")).expect("the folder is ours");
    std::os::unix::fs::symlink(tools.join("node_modules"), folder.join("node_modules")).expect("the folder is ours");
    let keys = example::fetch_keys(&signet.issuer).await.expect("the Rust example finds the keys");

    let mut verifiers: BTreeMap<&str, Verifier> = BTreeMap::new();
    verifiers.insert("Python", verifier(tools.join("venv/bin/python"), folder.clone(), "verify.py"));
    verifiers.insert("Node", verifier("node".into(), folder, "verify.mjs"));
    verifiers.insert(
        "Rust",
        Box::new(move |token, issuer, audience| {
            example::verify(token, &keys, issuer, audience).map_err(|error| error.to_string())
        }),
    );
    let ada = signet.registers("ada").await;
    // Clocks differ: this one is issued in the future of the service that accepts it.
    signet.clock.advance(seconds(20));
    let tokens = ada.logs_in().await;
    let token = tokens.access.as_str();
    let (message, signature) = token.rsplit_once('.').expect("a JWT");
    let first = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{message}.{first}{}", &signature[1..]);
    let issuer = signet.issuer.as_str();
    // The same address by another name: the keys are found there, and the token says another issuer.
    let other = issuer.replace("127.0.0.1", "localhost");
    for (name, verify) in verifiers {
        let claims = verify(token, issuer, issuer).unwrap_or_else(|error| panic!("{name} refuses it: {error}"));
        assert_eq!(claims, jwt::claims(token), "{name}");
        for (token, issuer, audience) in [
            (forged.as_str(), issuer, issuer),
            (&tokens.refresh, issuer, issuer),
            (&jwt::with_header(token, &serde_json::json!({"alg": "none", "typ": "at+jwt"})), issuer, issuer),
            (token, issuer, "https://other.example"),
            (token, &other, issuer),
        ] {
            assert!(verify(token, issuer, audience).is_err(), "{name} takes {token} of {issuer} for {audience}");
        }
    }
}

#[test]
fn the_rust_example_is_the_one_that_is_compiled() {
    assert_eq!(block(&section("Verify a token in your service"), "rust"), file("examples/verify.rs"));
}

/// The rows of the configuration's tables: key, environment, default, meaning.
fn rows(table: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().replace('`', "")).collect();
    table.lines().filter(|line| line.starts_with("| `")).map(cells).collect()
}

#[test]
fn the_configuration_table_is_true() {
    let rows = rows(&section("Configuration"));
    let shown: Vec<[&str; 3]> = rows.iter().map(|row| [&*row[0], &*row[1], &*row[2]]).collect();
    let known: Vec<[&str; 3]> =
        KEYS.iter().chain(PROVIDER_KEYS).map(|key| [key.key, key.environment, key.default]).collect();
    for row in &known {
        assert!(shown.contains(row), "the README lacks {row:?}");
    }
    assert_eq!(shown.len(), known.len(), "the README has keys that do not exist, or twice: {shown:?}");
    assert!(rows.iter().all(|row| row.len() == 4 && !row[3].is_empty()), "a key without a meaning");
}

stories_on![Sqlite:
    the_tour_works_when_it_is_pasted,
    the_verifying_programs_verify,
];
