//! Operations: health, logs, signals, crashes, unreachable databases, changed certificates.

use std::{path::Path, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::harness::{
    Ask, Durability, NEW_PASSWORD, PASSWORD, Person, TestApp, TestEnv, TestEnvBuilder, eventually, jwt,
    process::Process, raw::Line, register, run, stories, stories_on, test_app::https, tools,
};

async fn health_is_told(signet: TestApp) {
    for path in ["/livez", "/readyz"] {
        assert!(signet.site.get(path).answer().await.is(200).json().is_object());
    }
}

/// Our failures are 503, never `invalid_grant`: clients discard their tokens on that.
async fn a_database_that_is_down_is_not_the_users_fault(builder: TestEnvBuilder) {
    let signet = builder.on_its_own_cluster(Durability::None).open().await;
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    signet.cluster().stop();

    assert_eq!(ada.tries(PASSWORD).await.unavailable().string("error"), "temporarily_unavailable");
    assert_eq!(ada.refreshes(&tokens).await.unavailable().string("error"), "temporarily_unavailable");
    ada.tries_a_session(PASSWORD).await.unavailable().some_problem(503);
    register(&signet.site, "bob", PASSWORD).await.unavailable().some_problem(503);
    signet.site.get("/livez").answer().await.is(200);
    signet.site.get("/.well-known/jwks.json").answer().await.is(200);
    signet.site.get("/.well-known/openid-configuration").answer().await.is(200);
    let not_ready = signet.site.get("/readyz").answer().await.unavailable();
    assert_eq!(not_ready.string("reason"), "the database cannot be reached");

    signet.cluster().start();
    eventually(Duration::from_secs(30), "it is ready again, by itself", async || {
        signet.site.get("/readyz").answer().await.status == 200
    })
    .await;
    ada.is_let_in(&ada.refreshes(&tokens).await.granted()).await;
    ada.logs_in().await;
}

async fn what_was_acknowledged_survives_a_power_cut_of_the_database(builder: TestEnvBuilder) {
    let signet = builder.on_its_own_cluster(Durability::Full).open().await;
    let mut ada = signet.registers("ada").await;
    let (ended, live) = (ada.logs_in().await, ada.logs_in().await);
    ada.logs_out(&ended).await;
    ada.changes_password(&live, NEW_PASSWORD).await;
    signet.cluster().crash();
    signet.cluster().start();
    eventually(Duration::from_secs(30), "it is ready again", async || {
        signet.site.get("/readyz").answer().await.status == 200
    })
    .await;
    ada.refreshes(&ended).await.refused("invalid_grant");
    ada.refreshes(&live).await.granted();
    ada.tries(PASSWORD).await.refused("invalid_grant");
    ada.logs_in().await;
}

async fn what_was_acknowledged_survives_a_kill(env: TestEnv) {
    let first = env.serves(&[]).ready().await;
    let mut people = Vec::new();
    for n in 0..20 {
        people.push(Person::registers(&first.site, &format!("person{n}")).await);
    }
    first.signal("KILL");
    first.ends().await;
    let second = env.serves(&[]).ready().await;
    for person in people {
        person.at(&second.site).logs_in().await;
    }
}

async fn a_term_signal_lets_requests_finish(env: TestEnv) {
    let process = env.serves(&[]).ready().await;
    let body = json!({"username": "ada", "password": PASSWORD}).to_string();
    let (head, tail) = body.split_at(10);
    let mut line = Line::to(&process.site).await;
    let request = "POST /v1/users HTTP/1.1\r\nHost: signet\r\nConnection: close\r\nContent-Type: application/json\r\n";
    let request = format!("{request}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n", body.len());
    line.send(request.as_bytes()).await;
    // The service says so once it reads the body (RFC 9110 §10.1.1), and so has the request.
    assert!(line.head().await.starts_with("HTTP/1.1 100 "));
    line.send(head.as_bytes()).await;
    process.signal("TERM");
    eventually(Duration::from_mins(1), "it accepts no connection any more", async || {
        TcpStream::connect(process.site.authority()).await.is_err()
    })
    .await;
    line.send(tail.as_bytes()).await;
    assert_eq!(line.status().await, 201);
    process.ends().await.well();
}

async fn five_replicas_start_at_once_and_share_their_keys(mut env: TestEnv) {
    env.set("issuer", "http://127.0.0.1:8080");
    let mut replicas = Vec::new();
    for n in 0..5 {
        let data = env.folder.join(format!("data-{n}")).display().to_string();
        replicas.push(env.serves(&[("data_dir", &data)]));
    }
    let mut ready: Vec<Process> = Vec::new();
    for replica in replicas {
        ready.push(replica.ready().await);
    }
    let mut sets = Vec::new();
    for replica in &ready {
        sets.push(replica.site.get("/.well-known/jwks.json").answer().await.is(200).json());
    }
    assert!(sets.windows(2).all(|pair| pair[0] == pair[1]), "{sets:?}");
    assert_eq!(sets[0]["keys"].as_array().map(Vec::len), Some(1), "each made its own: {sets:?}");
    let ada = Person::registers(&ready[0].site, "ada").await;
    let mut tokens = ada.logs_in().await;
    for replica in &ready {
        let ada = ada.at(&replica.site);
        ada.is_let_in(&tokens).await;
        tokens = ada.refreshes(&tokens).await.granted();
    }
}

/// Logs are read by many, kept for long and sent far.
async fn logs_hold_no_secret(mut env: TestEnv) {
    let public_client = ["--name", "Billing", "--grant", "client_credentials", "--scope", "read"];
    let client = env.registers_client(&public_client).await;
    let levels = "debug,signet=trace";
    env.set("log_format", "json");
    let listen = format!("127.0.0.1:{}", run::free_port());
    let mut environment = env.environment(&[("listen", &listen)]);
    environment.push(("RUST_LOG".into(), levels.into()));
    let process = Process::start(&env.folder, &environment, &["serve"], "").ready().await;
    let site = process.site.clone();

    let mut ada = Person::registers(&site, "ada").await;
    let first = ada.logs_in().await;
    let second = ada.refreshes(&first).await.granted();
    ada.tries("a wrong guess 4711").await.refused("invalid_grant");
    ada.tries_a_session("a wrong guess 4711").await.is(401);
    site.post("/v1/sessions")
        .json(&json!({"username": "typed-secret-as-name", "password": PASSWORD}))
        .answer()
        .await
        .is(401);
    register(&site, "ada", PASSWORD).await.is(409);
    site.post("/v1/users").json(&json!({"username": "", "password": "weak 4711"})).answer().await.is(422);
    ada.changes_password(&second, NEW_PASSWORD).await;
    let form = [("grant_type", "client_credentials")];
    let own = site.token(&form).basic_auth(&client.id, Some(&client.secret)).answer().await.granted();
    site.token(&form).basic_auth(&client.id, Some("wrong secret 4711")).answer().await.refused("invalid_client");
    site.post("/users/session_auth").json(&json!({"session_id": second.access})).answer().await.is(200);
    site.user_info(&format!("{}x", second.access)).await.is(401);
    site.get("/v1/users/me?token=query-secret-4711").answer().await.is(401);
    ada.logs_out(&second).await;
    process.signal("TERM");
    let ended = process.ends().await.well();

    let log = ended.out + &ended.err;
    assert!(log.lines().count() > 10, "there is nothing to find: {log}");
    let mut secrets = vec![PASSWORD, NEW_PASSWORD, "4711", "typed-secret-as-name", client.secret.as_str()];
    for token in [&first.access, &first.refresh, &second.access, &second.refresh, &own.access] {
        secrets.extend(token.split('.').skip(1));
    }
    let jtis = jwt::claims(&first.refresh);
    secrets.extend(jtis["jti"].as_str());
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is in the log");
    }
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}

async fn the_documentation_is_served_by_the_service_itself(signet: TestApp) {
    let page = signet.site.get("/docs").answer().await;
    let page =
        if page.status / 100 == 3 { signet.site.get(page.header("location")).answer().await } else { page }.is(200);
    assert!(page.header("content-type").starts_with("text/html"), "{page:?}");
    let policy = page.header("content-security-policy");
    let scripts = policy.split(';').find(|rule| rule.trim().starts_with("script-src"));
    assert_eq!(scripts.map(str::trim), Some("script-src 'self'"), "{policy}");
    let html = page.text();
    let mut assets = 0;
    for marker in ["src=\"", "href=\""] {
        for reference in html.split(marker).skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(!reference.contains("//"), "not from here: {reference}");
            if reference.starts_with('#') || reference.starts_with("data:") {
                continue;
            }
            let path = if reference.starts_with('/') { reference.to_owned() } else { format!("/docs/{reference}") };
            signet.site.get(&path).answer().await.is(200);
            assets += 1;
        }
    }
    assert!(assets >= 2, "{html}");
}

/// The routes of the public interface.
const PUBLIC: [(&str, &str); 40] = [
    ("get", "/.well-known/openid-configuration"),
    ("get", "/.well-known/oauth-authorization-server"),
    ("get", "/.well-known/jwks.json"),
    ("post", "/oauth/token"),
    ("post", "/oauth/revoke"),
    ("post", "/oauth/introspect"),
    ("get", "/oauth/userinfo"),
    ("post", "/oauth/userinfo"),
    ("get", "/oauth/authorize"),
    ("post", "/oauth/authorize"),
    ("get", "/oauth/logout"),
    ("post", "/oauth/logout"),
    ("get", "/oauth/status-lists/{list}"),
    ("post", "/v1/users"),
    ("get", "/v1/users/availability"),
    ("get", "/v1/users/me"),
    ("patch", "/v1/users/me"),
    ("delete", "/v1/users/me"),
    ("put", "/v1/users/me/password"),
    ("post", "/v1/sessions"),
    ("post", "/v1/sessions/refresh"),
    ("get", "/v1/sessions"),
    ("delete", "/v1/sessions/{id}"),
    ("delete", "/v1/sessions/current"),
    ("delete", "/v1/sessions"),
    ("post", "/v1/password-resets"),
    ("post", "/v1/password-resets/complete"),
    ("post", "/v1/email-verifications"),
    ("post", "/v1/email-verifications/complete"),
    ("get", "/v1/admin/users"),
    ("get", "/v1/admin/clients"),
    ("get", "/v1/admin/audit-events"),
    ("post", "/users/create"),
    ("get", "/users/auth"),
    ("post", "/users/auth"),
    ("get", "/users/session_auth"),
    ("post", "/users/session_auth"),
    ("delete", "/users/delete"),
    ("get", "/livez"),
    ("get", "/readyz"),
];

/// Every operation, parameter and property has a description and an example.
fn assert_described(document: &Value) {
    let mut lacking = Vec::new();
    let mut wants = |of: &Value, member: &str, what: &str| {
        if of.get(member).is_none_or(|value| value.is_null() || value == "") {
            lacking.push(format!("{what} has no {member}"));
        }
    };
    let members = |of: &Value| of.as_object().cloned().unwrap_or_default();
    let (paths, schemas) = (members(&document["paths"]), members(&document["components"]["schemas"]));
    assert!(!paths.is_empty() && !schemas.is_empty());
    for (path, methods) in &paths {
        for (method, operation) in members(methods) {
            let what = format!("{method} {path}");
            wants(&operation, "operationId", &what);
            wants(&operation, "summary", &what);
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                wants(parameter, "example", &format!("{what}: {}", parameter["name"]));
            }
        }
    }
    for (name, schema) in &schemas {
        for (property, what) in members(&schema["properties"]) {
            // Siblings of a `$ref` are ignored; the referenced schema is checked itself.
            if what.get("$ref").is_none() {
                wants(&what, "description", &format!("{name}.{property}"));
                wants(&what, "example", &format!("{name}.{property}"));
            }
        }
    }
    assert_eq!(lacking, Vec::<String>::new());
}

async fn the_openapi_document_is_valid_and_complete(signet: TestApp) {
    let answer = signet.site.get("/openapi.json").answer().await.is(200);
    tools::validate_openapi(&answer.text()).unwrap_or_else(|complaint| panic!("{complaint}"));
    let document = answer.json();
    for (method, path) in PUBLIC {
        let operation = &document["paths"][path][method];
        // What is public and answers is described; what is yet to come is not there at all.
        let real = path.replace("{list}", "0").replace("{id}", "x");
        let verb = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
        let status = signet.site.request(verb, &real).answer().await.status;
        let exists = path.starts_with("/oauth/status-lists/") || ![404, 405].contains(&status);
        assert_eq!(operation.is_object(), exists, "{method} {path}: {status}");
    }
    assert_described(&document);
    let printed = signet.runs(&["openapi"]).await.well();
    tools::validate_openapi(&printed.out).unwrap_or_else(|complaint| panic!("{complaint}"));
    assert_eq!(printed.json()["paths"], document["paths"]);
}

async fn a_container_can_ask_for_its_health(env: TestEnv) {
    let port = run::free_port();
    let listen = format!("127.0.0.1:{port}");
    let mut env = env;
    env.set("listen", &listen);
    let down = env.runs(&["healthcheck"]).await;
    assert_eq!(down.code, Some(1), "{down:?}");
    let process = Process::start(&env.folder, &env.environment(&[]), &["serve"], "").ready().await;
    env.runs(&["healthcheck"]).await.well();
    process.signal("TERM");
    process.ends().await.well();
}

/// Writes a certificate for `localhost` and its key; it is its own authority.
fn certify(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(folder.join("tls-key.pem"), made.signing_key.serialize_pem()).expect("the folder is ours");
    std::fs::write(folder.join("tls.pem"), made.cert.pem()).expect("the folder is ours");
}

async fn over_tls_it_insists_on_tls_and_takes_new_certificates(mut env: TestEnv) {
    let (certificate, key) = (env.folder.join("tls.pem"), env.folder.join("tls-key.pem"));
    certify(&env.folder);
    let port = run::free_port();
    env.set("issuer", "https://localhost");
    env.set("tls_cert", &certificate.display().to_string());
    env.set("tls_key", &key.display().to_string());
    let listen = format!("127.0.0.1:{port}");
    let process = Process::start(&env.folder, &env.environment(&[("listen", &listen)]), &["serve"], "");
    // A client of its own each time: one that has been here before resumes, and looks at no certificate.
    let opens = async |authority: &Path| https(authority, port).get("/readyz").send().await.is_ok();

    eventually(Duration::from_mins(1), "it speaks TLS", async || opens(&certificate).await).await;
    let site = https(&certificate, port);
    let answer = site.get("/livez").answer().await.is(200);
    assert!(answer.header("strict-transport-security").contains("max-age="), "{answer:?}");
    Person::registers(&site, "ada").await.logs_in().await;

    let (old, new) = (env.folder.join("old.pem"), env.folder.join("new.pem"));
    std::fs::copy(&certificate, &old).expect("the folder is ours");
    certify(&env.folder);
    std::fs::copy(&certificate, &new).expect("the folder is ours");
    eventually(Duration::from_mins(1), "it has the new certificate", async || opens(&new).await).await;
    assert!(!opens(&old).await, "the old one is gone");

    // Half a certificate is no certificate: it goes on with the one it has.
    std::fs::write(&certificate, "-----BEGIN CERTIFICATE-----\nAAAA\n").expect("the folder is ours");
    eventually(Duration::from_mins(1), "it says that the new one is no good", async || {
        process.log().contains("cannot be used; the old one stays")
    })
    .await;
    assert!(opens(&new).await);
}

async fn without_tls_it_does_not_speak_of_it(signet: TestApp) {
    let answer = signet.site.get("/livez").answer().await.is(200);
    assert_eq!(answer.header("strict-transport-security"), "");
}

stories![health_is_told, what_was_acknowledged_survives_a_kill, logs_hold_no_secret];

stories_on![Postgres:
    a_database_that_is_down_is_not_the_users_fault,
    what_was_acknowledged_survives_a_power_cut_of_the_database,
    five_replicas_start_at_once_and_share_their_keys,
];

stories_on![Sqlite:
    a_term_signal_lets_requests_finish,
    the_openapi_document_is_valid_and_complete,
    the_documentation_is_served_by_the_service_itself,
    a_container_can_ask_for_its_health,
    over_tls_it_insists_on_tls_and_takes_new_certificates,
    without_tls_it_does_not_speak_of_it,
];
