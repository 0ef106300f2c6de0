//! Connections that a client cannot use on.

use crate::harness::{Site, TestApp, TestEnvBuilder, raw::Line, stories_on};

/// The rest of the body stays unread, so the next request on the connection would be read as body.
async fn a_body_that_was_given_up_ends_its_connection_and_says_so(signet: TestApp) {
    let gives_up = async |length: &str, body: &[u8], status: &str| {
        let mut line = Line::to(&signet.site).await;
        let head = "POST /v1/users HTTP/1.1\r\nHost: signet\r\nContent-Type: application/json\r\n";
        line.send(format!("{head}{length}\r\n\r\n").as_bytes()).await.send(body).await;
        let answer = line.answer().await.to_lowercase();
        assert!(answer.starts_with(&format!("http/1.1 {status} ")), "{answer}");
        let (head, _) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains("\r\nconnection: close"), "{head}");
    };
    let chunk = format!("11170\r\n{}\r\n0\r\n\r\n", " ".repeat(70_000));
    tokio::join!(
        gives_up("Content-Length: 70000", b"{", "413"),
        gives_up("Transfer-Encoding: chunked", chunk.as_bytes(), "413"),
        gives_up("Content-Length: 500", b"{", "408"),
    );
}

/// Sends a request with a body in these parts, reads its answer, and uses the connection again as a client would: the
/// next request is never reset.
async fn serves_on_or_says_so(site: &Site, head: &str, parts: &[&[u8]], status: u16) -> bool {
    let mut line = Line::to(site).await;
    line.send(head.as_bytes()).await;
    for part in parts {
        // The parts arrive apart, as a client's do.
        line.send(part).await;
        tokio::task::yield_now().await;
    }
    let (answer, body) = line.response().await;
    assert!(answer.starts_with(&format!("http/1.1 {status} ")), "{head}: {answer}{}", String::from_utf8_lossy(&body));
    if answer.contains("\r\nconnection: close\r\n") {
        assert_eq!(line.answer().await, "", "it closes as it said");
        return false;
    }
    for _ in 0..2 {
        line.send(b"GET /livez HTTP/1.1\r\nHost: signet\r\n\r\n").await;
        let (next, _) = line.response().await;
        assert!(next.starts_with("http/1.1 200 "), "{head}: {next}");
    }
    true
}

/// Requests that are answered from their head alone.
const EARLY: [(&str, u16); 10] = [
    ("PUT /v1/users/me/password HTTP/1.1\r\nContent-Type: application/json", 401),
    ("POST /oauth/userinfo HTTP/1.1", 401),
    ("POST /no/such/route HTTP/1.1", 404),
    ("POST /livez HTTP/1.1", 405),
    ("GET /livez HTTP/1.1", 200),
    ("POST /v1/users?a=1&a=2 HTTP/1.1\r\nContent-Type: application/json", 400),
    ("POST /v1/users HTTP/1.1\r\nContent-Type: text/plain", 415),
    ("POST /oauth/token HTTP/1.1\r\nContent-Type: application/json", 415),
    ("POST /v1/users HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Type: application/json", 415),
    ("POST /v1/users HTTP/1.1\r\nHost: another\r\nContent-Type: application/json", 400),
];

async fn an_early_answer_resets_no_later_request(signet: TestApp) {
    for (head, status) in EARLY {
        for size in [1_usize, 2_000, 60_000] {
            let body = "x".repeat(size);
            let (one, other) = body.as_bytes().split_at(size / 2);
            let by_length = format!("{head}\r\nHost: signet\r\nContent-Length: {size}\r\n\r\n");
            assert!(serves_on_or_says_so(&signet.site, &by_length, &[one, other], status).await, "{head}: it is small");
            let chunked = format!("{head}\r\nHost: signet\r\nTransfer-Encoding: chunked\r\n\r\n");
            let chunk = format!("{size:x}\r\n{body}\r\n0\r\n\r\n");
            let (one, other) = chunk.as_bytes().split_at(size / 2);
            assert!(serves_on_or_says_so(&signet.site, &chunked, &[one, other], status).await, "{head}: it is small");
        }
        // Larger than any body that is read.
        let large = if head.contains("gzip") { 413 } else { status };
        let head = format!("{head}\r\nHost: signet\r\nContent-Length: 1000000\r\n\r\n");
        assert!(!serves_on_or_says_so(&signet.site, &head, &[b"x"], large).await, "{head}");
        // It never comes.
        let head = head.replace("1000000", "10");
        assert!(!serves_on_or_says_so(&signet.site, &head, &[b"x"], status).await, "{head}");
        // The client waits for the word to send it, and is not told to.
        let head = head.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
        assert!(!serves_on_or_says_so(&signet.site, &head, &[], status).await, "{head}");
    }
}

async fn a_limited_request_resets_no_later_one(builder: TestEnvBuilder) {
    let builder = builder.set("rate_limits.enabled", "true").set("rate_limits.registration", "1/1h");
    let signet = builder.open().await;
    signet.registers("ada").await;
    let head =
        "POST /v1/users HTTP/1.1\r\nHost: signet\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n";
    for parts in [&[&[b'x'; 100][..]][..], &[&[b'x'; 50], &[b'x'; 50]], &[b"x"]] {
        serves_on_or_says_so(&signet.site, head, parts, 429).await;
    }
}

/// Two readers of one request must not see two hosts (RFC 9112 §3.2).
async fn a_request_names_one_host(signet: TestApp) {
    let status = async |head: &str| {
        let mut line = Line::to(&signet.site).await;
        line.send(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).await;
        line.status().await
    };
    for path in ["/livez", "/login", "/oauth/token", "/.well-known/jwks.json"] {
        for head in [
            "HTTP/1.1",
            "HTTP/1.1\r\nHost: a\r\nHost: b",
            "HTTP/1.1\r\nHost: a\r\nHost: a",
            "HTTP/1.1\r\nHost: a, b",
            "HTTP/1.1\r\nHost: a/b",
            "HTTP/1.1\r\nHost: user@a",
            "HTTP/1.1\r\nHost: a b",
            "HTTP/1.0\r\nHost: a\r\nHost: b",
        ] {
            assert_eq!(status(&format!("GET {path} {head}")).await, 400, "{path} {head}");
        }
    }
    for head in [
        "GET /livez HTTP/1.1\r\nHost: signet",
        "GET /livez HTTP/1.1\r\nHost: signet:8080",
        "GET /livez HTTP/1.1\r\nHost: [::1]:8080",
        "GET /livez HTTP/1.1\r\nHost:",
        "GET /livez HTTP/1.0",
        "GET http://signet/livez HTTP/1.1\r\nHost: signet",
        "GET http://SIGNET/livez HTTP/1.1\r\nHost: signet",
    ] {
        assert_eq!(status(head).await, 200, "{head}");
    }
    for host in ["", "\r\nHost: other", "\r\nHost: signet:81", "\r\nHost: signet\r\nHost: signet"] {
        assert_eq!(status(&format!("GET http://signet/livez HTTP/1.1{host}")).await, 400, "{host}");
    }
}

stories_on![Sqlite:
    a_body_that_was_given_up_ends_its_connection_and_says_so,
    an_early_answer_resets_no_later_request,
    a_limited_request_resets_no_later_one,
    a_request_names_one_host,
];
