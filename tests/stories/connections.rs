//! Connections that a client cannot use on.

use crate::harness::{TestApp, raw::Line, stories_on};

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

stories_on![Sqlite: a_body_that_was_given_up_ends_its_connection_and_says_so];
