//! HTTP/1.1 messages that two servers may parse differently (request smuggling; RFC 9112 §11.2).

use super::*;

/// Sends the bytes, and reads until the server closes the connection.
async fn answers_to(server: &Running, bytes: &str) -> String {
    let mut connection = server.connect().await;
    connection.write_all(bytes.as_bytes()).await.unwrap();
    String::from_utf8(read_to_close(&mut connection).await).unwrap()
}

/// A request hidden in a body, which the server must never answer.
const HIDDEN: &str = "GET /panic HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn a_malformed_request_is_refused_and_nothing_after_it_is_read() {
    let server = Running::plain(PATIENT).await;
    let chunked = "Transfer-Encoding: chunked";
    for (what, fields, body) in [
        ("two lengths", "Content-Length: 0\r\nContent-Length: 5", ""),
        ("two lengths in one", "Content-Length: 0, 5", ""),
        ("a length with a sign", "Content-Length: +5", ""),
        ("a negative length", "Content-Length: -1", ""),
        ("a hexadecimal length", "Content-Length: 0x5", ""),
        ("a length beyond numbers", "Content-Length: 99999999999999999999999", ""),
        ("an empty length", "Content-Length:", ""),
        ("another transfer coding", "Transfer-Encoding: gzip", ""),
        ("a coding after chunked", "Transfer-Encoding: chunked, gzip", ""),
        ("an unknown coding", "Transfer-Encoding: xchunked", ""),
        ("a field folded over two lines", "X-Filler: one\r\n two", ""),
        ("a folded transfer coding", "Transfer-Encoding:\r\n chunked", ""),
        ("a space before the colon", "Content-Length : 5", ""),
        ("a field without a colon", "Content-Length", ""),
        ("a zero byte in a value", "X-Filler: a\0b", ""),
        ("a bare CR in a value", "X-Filler: a\rContent-Length: 5", ""),
        ("a chunk with a negative size", chunked, "-1\r\n"),
        ("a chunk size beyond numbers", chunked, "fffffffffffffffff\r\n"),
        ("a chunk size that ends with a bare LF", chunked, "3\nabc\r\n0\r\n\r\n"),
        ("a chunk longer than it says", chunked, "3\r\nabcd\r\n0\r\n\r\n"),
    ] {
        let request = format!("POST /read HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n{body}{HIDDEN}");
        let answer = answers_to(&server, &request).await;
        assert!(!answer.contains(" 200 "), "{what}: {answer}");
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{what}: {answer}");
        server.answers_a_new_connection().await;
    }
}

#[tokio::test]
async fn a_transfer_coding_over_http_1_0_is_refused() {
    let server = Running::plain(PATIENT).await;
    let request = "POST /read HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let answer = answers_to(&server, request).await;
    assert!(answer.starts_with("HTTP/1.0 400 ") || answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

/// RFC 9112 §6.1: the transfer coding decides, and the connection ends, because a proxy may have used the length.
#[tokio::test]
async fn a_length_beside_a_transfer_coding_ends_the_connection() {
    let server = Running::plain(PATIENT).await;
    let (length, coding) = ("Content-Length: 3", "Transfer-Encoding: chunked");
    for fields in [format!("{length}\r\n{coding}"), format!("{coding}\r\n{length}")] {
        let request =
            format!("POST /read HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n4\r\nbody\r\n0\r\n\r\n{HIDDEN}");
        let answer = answers_to(&server, &request).await.to_lowercase();
        assert!(answer.starts_with("http/1.1 200 ") && answer.ends_with("body"), "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
        assert_eq!(answer.matches("http/1.1 ").count(), 1, "{answer}");
    }
}

#[tokio::test]
async fn bytes_in_a_body_are_never_read_as_a_request() {
    let server = Running::plain(PATIENT).await;
    let mut connection = server.connect().await;
    let length = HIDDEN.len();
    // With one length, and with the same one twice (RFC 9110 §8.6).
    for lengths in [format!("Content-Length: {length}\r\n"), format!("Content-Length: {length}\r\n").repeat(2)] {
        let request = format!("POST /read HTTP/1.1\r\nHost: localhost\r\n{lengths}\r\n{HIDDEN}");
        connection.write_all(request.as_bytes()).await.unwrap();
        let answer = soon(read_answer(&mut connection)).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(HIDDEN), "{answer}");
    }
    ask(&mut connection, "/").await;
}

/// RFC 9112 §2.2 allows it; every field must be read the same way.
#[tokio::test]
async fn a_bare_lf_ends_a_line_and_hides_no_field() {
    let server = Running::plain(PATIENT).await;
    let mut connection = server.connect().await;
    let request = "POST /read HTTP/1.1\nHost: localhost\nX-Filler: a\nContent-Length: 4\n\nbody";
    connection.write_all(request.as_bytes()).await.unwrap();
    assert!(soon(read_answer(&mut connection)).await.ends_with("body"));
    ask(&mut connection, "/").await;
}

#[tokio::test]
async fn a_body_shorter_than_its_length_is_never_accepted() {
    let server = Running::plain(PATIENT).await;
    let mut connection = server.connect().await;
    let request = "POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf";
    connection.write_all(request.as_bytes()).await.unwrap();
    connection.shutdown().await.unwrap();
    let answer = String::from_utf8(read_to_close(&mut connection).await).unwrap();
    assert!(!answer.contains(" 200 "), "{answer}");
}
