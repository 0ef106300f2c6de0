//! Messages over HTTP/1.1 that two readers may understand differently (request smuggling; RFC 9112 §11.2).

use super::*;

/// All that is answered to these bytes, until the server hangs up.
async fn answers_to(server: &Running, bytes: &str) -> String {
    let mut connection = server.connect().await;
    connection.write_all(bytes.as_bytes()).await.unwrap();
    String::from_utf8(read_to_close(&mut connection).await).unwrap()
}

/// What is hidden in a body, and must never be taken for a request.
const HIDDEN: &str = "GET /panic HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn what_is_malformed_is_refused_and_nothing_after_it_is_read() {
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
        ("a coding of no name", "Transfer-Encoding: xchunked", ""),
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

/// RFC 9112 §6.1: the transfer coding decides, and the connection ends, for someone before us may have gone by the
/// length.
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
async fn what_is_in_a_body_is_no_request() {
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

/// Allowed (RFC 9112 §2.2), and read the same way for every field.
#[tokio::test]
async fn a_bare_lf_ends_a_line_and_hides_none() {
    let server = Running::plain(PATIENT).await;
    let mut connection = server.connect().await;
    let request = "POST /read HTTP/1.1\nHost: localhost\nX-Filler: a\nContent-Length: 4\n\nbody";
    connection.write_all(request.as_bytes()).await.unwrap();
    assert!(soon(read_answer(&mut connection)).await.ends_with("body"));
    ask(&mut connection, "/").await;
}

#[tokio::test]
async fn a_body_shorter_than_its_length_is_never_whole() {
    let server = Running::plain(PATIENT).await;
    let mut connection = server.connect().await;
    let request = "POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf";
    connection.write_all(request.as_bytes()).await.unwrap();
    connection.shutdown().await.unwrap();
    let answer = String::from_utf8(read_to_close(&mut connection).await).unwrap();
    assert!(!answer.contains(" 200 "), "{answer}");
}
