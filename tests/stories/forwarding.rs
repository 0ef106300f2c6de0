//! The client address behind proxies, and an issuer that no header changes.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::harness::{Ask, PASSWORD, TestApp, TestEnvBuilder, jwt, raw::Line, stories_on};

/// Header fields for the client address, as proxies send them and anybody may forge them.
const FORGED: [(&str, &str); 10] = [
    ("x-forwarded-for", "198.51.100.1"),
    ("forwarded", "for=198.51.100.1"),
    ("x-real-ip", "198.51.100.1"),
    ("cf-connecting-ip", "198.51.100.1"),
    ("true-client-ip", "198.51.100.1"),
    ("x-client-ip", "198.51.100.1"),
    ("x-cluster-client-ip", "198.51.100.1"),
    ("fly-client-ip", "198.51.100.1"),
    ("x-original-forwarded-for", "198.51.100.1"),
    ("via", "1.1 198.51.100.1"),
];

/// Header fields for the original host, protocol and path.
const RENAMED: [(&str, &str); 9] = [
    ("host", "evil.example"),
    ("x-forwarded-host", "evil.example"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-port", "444"),
    ("x-forwarded-prefix", "/evil"),
    ("x-forwarded-server", "evil.example"),
    ("x-original-url", "/evil"),
    ("x-rewrite-url", "/evil"),
    ("forwarded", "for=127.0.0.1;host=evil.example;proto=https"),
];

fn behind_a_proxy(builder: TestEnvBuilder) -> TestEnvBuilder {
    builder.set("trusted_proxies", "127.0.0.0/8")
}

/// Where Ada's login came from, as she is shown it, after a login with these fields.
async fn seen(signet: &TestApp, fields: &[(&'static str, &str)]) -> String {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().expect("a field"));
    }
    let request = signet.site.post("/v1/sessions").json(&json!({"username": "ada", "password": PASSWORD}));
    let token = request.headers(headers).answer().await.is(200).string("access_token");
    let sessions = signet.site.get("/v1/sessions").bearer_auth(token).answer().await.is(200).json();
    let here = sessions.as_array().and_then(|all| all.iter().find(|one| one["current"] == true));
    let ip = here.unwrap_or_else(|| panic!("no session: {sessions}"))["ip"].as_str();
    ip.unwrap_or_else(|| panic!("from nowhere: {sessions}")).to_owned()
}

/// An attacker would have its logins shown as its victim's, and its guesses counted as another's.
async fn who_is_no_proxy_of_ours_is_not_believed(signet: TestApp) {
    signet.registers("ada").await;
    for field in FORGED {
        assert_eq!(seen(&signet, &[field]).await, "127.0.0.1", "{field:?}");
    }
    assert_eq!(seen(&signet, &FORGED).await, "127.0.0.1");
}

/// The network of our proxies is not the one that this request comes from.
async fn a_stranger_is_not_believed_beside_a_proxy(builder: TestEnvBuilder) {
    let signet = builder.set("trusted_proxies", "10.0.0.0/8, 127.0.0.2, ::1").open().await;
    signet.registers("ada").await;
    assert_eq!(seen(&signet, &FORGED).await, "127.0.0.1");
    assert_eq!(seen(&signet, &[("x-forwarded-for", "198.51.100.1, 10.0.0.1")]).await, "127.0.0.1");
}

async fn a_proxy_of_ours_says_where_a_request_comes_from(builder: TestEnvBuilder) {
    let signet = behind_a_proxy(builder).open().await;
    signet.registers("ada").await;
    for (field, client) in [
        (("x-forwarded-for", "203.0.113.9"), "203.0.113.9"),
        (("x-forwarded-for", "203.0.113.9:4711"), "203.0.113.9"),
        (("x-forwarded-for", "2001:db8::7"), "2001:db8::7"),
        (("x-forwarded-for", "::ffff:203.0.113.9"), "203.0.113.9"),
        (("x-forwarded-for", "203.0.113.9, 127.0.0.2,127.0.0.3"), "203.0.113.9"),
        (("forwarded", "for=203.0.113.9;proto=https;by=127.0.0.1"), "203.0.113.9"),
        (("forwarded", "for=\"[2001:db8::7]:4711\", for=127.0.0.2"), "2001:db8::7"),
    ] {
        assert_eq!(seen(&signet, &[field]).await, client, "{field:?}");
    }
    assert_eq!(seen(&signet, &[]).await, "127.0.0.1", "who says nothing asks for itself");
}

async fn what_a_client_writes_left_of_its_address_is_not_believed(builder: TestEnvBuilder) {
    let signet = behind_a_proxy(builder).open().await;
    signet.registers("ada").await;
    for fields in [
        &[("x-forwarded-for", "198.51.100.1, 203.0.113.9")][..],
        &[("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "203.0.113.9")],
        &[("x-forwarded-for", "127.0.0.1, 198.51.100.1, 203.0.113.9, 127.0.0.1")],
        &[("x-forwarded-for", "unknown, ,;\"x\", 203.0.113.9")],
        &[("forwarded", "for=198.51.100.1, for=203.0.113.9")],
        &[("forwarded", "for=198.51.100.1"), ("forwarded", "for=203.0.113.9")],
        &[("forwarded", "for=203.0.113.9;host=\"evil.example, for=198.51.100.1\"")],
    ] {
        assert_eq!(seen(&signet, fields).await, "203.0.113.9", "{fields:?}");
    }
}

/// Where a proxy's own field is not there or makes no sense, the proxy is as far as we know.
async fn what_cannot_be_true_names_nobody(builder: TestEnvBuilder) {
    let signet = behind_a_proxy(builder).open().await;
    signet.registers("ada").await;
    for fields in [
        &[("x-forwarded-for", "")][..],
        &[("x-forwarded-for", "unknown")],
        &[("x-forwarded-for", "198.51.100.1, unknown")],
        &[("x-forwarded-for", "198.51.100.1,")],
        &[("x-forwarded-for", "198.51.100.1, 203.0.113.999")],
        &[("forwarded", "for=198.51.100.1, for=_hidden")],
        &[("forwarded", "for=198.51.100.1, nonsense")],
        &[("forwarded", "for=198.51.100.1;for=203.0.113.9")],
        // A proxy keeps one of them and hands the other through: which one a client wrote, nobody can say.
        &[("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=198.51.100.1")],
        &[("forwarded", "for=203.0.113.9"), ("x-forwarded-for", "198.51.100.1")],
    ] {
        assert_eq!(seen(&signet, fields).await, "127.0.0.1", "{fields:?}");
    }
}

async fn other_fields_name_nobody_even_from_a_proxy(builder: TestEnvBuilder) {
    let signet = behind_a_proxy(builder).open().await;
    signet.registers("ada").await;
    let others: Vec<_> =
        FORGED.into_iter().filter(|(name, _)| !["x-forwarded-for", "forwarded"].contains(name)).collect();
    assert_eq!(seen(&signet, &others).await, "127.0.0.1");
    let real = ("x-forwarded-for", "203.0.113.9");
    assert_eq!(seen(&signet, &[&others[..], &[real]].concat()).await, "203.0.113.9");
}

/// The issuer comes from the configuration: a request must not decide where links and keys point.
async fn no_field_changes_who_we_say_we_are(builder: TestEnvBuilder) {
    let signet = behind_a_proxy(builder).open().await;
    signet.registers("ada").await;
    let documents = [
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
        "/.well-known/jwks.json",
        "/openapi.json",
        "/docs",
    ];
    let mut number = 0;
    for fields in RENAMED.iter().map(std::slice::from_ref).chain([&RENAMED[..8]]) {
        let with = |request| {
            fields.iter().fold(request, |request: reqwest::RequestBuilder, (name, value)| request.header(*name, *value))
        };
        for path in documents {
            let usual = signet.site.get(path).answer().await.is(200);
            let renamed = with(signet.site.get(path)).answer().await.is(200);
            assert_eq!(renamed.text(), usual.text(), "{path}: {fields:?}");
        }
        number += 1;
        let account = json!({"username": format!("bob-{number}"), "password": PASSWORD});
        let made = with(signet.site.post("/v1/users").json(&account)).answer().await.is(201);
        assert_eq!(made.header("location"), "/v1/users/me");
        let tokens = with(signet.site.post("/v1/sessions").json(&account)).answer().await.is(200);
        let claims = jwt::claims(&tokens.string("access_token"));
        assert_eq!(claims["iss"], signet.issuer.as_str());
        assert_eq!(claims["aud"], signet.issuer.as_str());
        let list = claims["status"]["status_list"]["uri"].as_str().unwrap_or_default();
        assert!(list.starts_with(&format!("{}/oauth/status-lists/", signet.issuer)), "{claims}");
        for answer in [&made, &tokens] {
            assert!(!format!("{answer:?}").contains("evil"), "{answer:?}");
            assert_eq!(answer.header("strict-transport-security"), "", "{fields:?}");
        }
        assert_eq!(seen(&signet, fields).await, "127.0.0.1", "{fields:?}");
    }
}

/// A request line with a whole URL names a host too (RFC 9112 §3.2.2).
async fn no_request_line_changes_who_we_say_we_are(signet: TestApp) {
    let path = "/.well-known/openid-configuration";
    let mut line = Line::to(&signet.site).await;
    let head = format!("GET http://evil.example{path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    line.send(head.as_bytes()).await;
    let answer = line.answer().await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    assert!(head.starts_with("HTTP/1.1 200") && !answer.contains("evil"), "{answer}");
    let metadata: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
    assert_eq!(metadata["issuer"], signet.issuer.as_str());
}

stories_on![Sqlite:
    a_proxy_of_ours_says_where_a_request_comes_from,
    who_is_no_proxy_of_ours_is_not_believed,
    a_stranger_is_not_believed_beside_a_proxy,
    what_a_client_writes_left_of_its_address_is_not_believed,
    what_cannot_be_true_names_nobody,
    other_fields_name_nobody_even_from_a_proxy,
    no_field_changes_who_we_say_we_are,
    no_request_line_changes_who_we_say_we_are,
];
