//! Each deadline closes its connection, and no other.

use super::*;

const SHORT_HEADER: Deadlines = Deadlines { header: SHORT, ..PATIENT };

#[tokio::test]
async fn half_a_header_is_closed_at_its_deadline() {
    let server = Running::plain(SHORT_HEADER).await;
    let mut connection = server.connect().await;
    connection.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
    assert_eq!(read_to_close(&mut connection).await, b"");
}

#[tokio::test]
async fn a_header_that_trickles_in_is_closed_at_its_deadline() {
    let server = Running::plain(SHORT_HEADER).await;
    let (mut reading, mut writing) = server.connect().await.into_split();
    // An attacker sends one byte at a time and never ends the header; the test sends them faster.
    let trickle = tokio::spawn(async move {
        let mut pace = tokio::time::interval(Duration::from_millis(10));
        while writing.write_all(b"G").await.is_ok() {
            pace.tick().await;
        }
    });
    read_to_close(&mut reading).await;
    soon(trickle).await.unwrap();
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let server = Running::plain(SHORT_HEADER).await;
    let mut connection = server.connect().await;
    assert_eq!(read_to_close(&mut connection).await, b"");
}

#[tokio::test]
async fn half_a_second_header_is_closed_too() {
    let server = Running::plain(SHORT_HEADER).await;
    let mut connection = server.connect_and_ask().await;
    connection.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
    assert_eq!(read_to_close(&mut connection).await, b"");
}

#[tokio::test]
async fn a_kept_connection_outlives_the_header_deadline() {
    let server = Running::plain(SHORT_HEADER).await;
    let mut kept = server.connect_and_ask().await;
    // This connection is opened later. When the deadline closes it, the header deadline of `kept` has passed too.
    let mut silent = server.connect().await;
    read_to_close(&mut silent).await;
    ask(&mut kept, "/").await;
}

#[tokio::test]
async fn a_kept_connection_is_closed_when_it_stays_idle() {
    let server = Running::plain(Deadlines { idle: SHORT, ..PATIENT }).await;
    let mut kept = server.connect_and_ask().await;
    assert_eq!(read_to_close(&mut kept).await, b"");
}

#[tokio::test]
async fn a_body_that_never_comes_is_answered_408() {
    let server = Running::plain(Deadlines { request: SHORT, ..PATIENT }).await;
    let mut connection = server.connect().await;
    let request = "POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf";
    connection.write_all(request.as_bytes()).await.unwrap();
    let answer = soon(read_answer(&mut connection)).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    read_to_close(&mut connection).await;
}

#[tokio::test]
async fn a_request_that_makes_no_progress_is_cut_off() {
    let server = Running::plain(Deadlines { idle: SHORT, ..PATIENT }).await;
    let mut connection = server.connect().await;
    connection.write_all(get("/wait").as_bytes()).await.unwrap();
    soon(server.signals.entered.notified()).await;
    assert_eq!(read_to_close(&mut connection).await, b"");
    server.answers_a_new_connection().await;
}

/// A server with a limit of one connection, and a peer that holds it with an answer larger than all buffers.
async fn connection_with_large_answer(deadlines: Deadlines) -> (Running, TcpStream) {
    let server = Running::with_max_connections(deadlines, None, 1).await;
    let mut connection = server.connect().await;
    connection.write_all(get("/large").as_bytes()).await.unwrap();
    connection.readable().await.unwrap();
    (server, connection)
}

#[tokio::test]
async fn a_peer_that_reads_nothing_is_cut_off() {
    let (server, mut connection) = connection_with_large_answer(Deadlines { stall: SHORT, ..PATIENT }).await;
    server.answers_a_new_connection().await;
    assert!(read_to_close(&mut connection).await.len() < LARGE);
}

#[tokio::test]
async fn an_answer_that_is_read_slowly_is_cut_off() {
    let (server, mut connection) = connection_with_large_answer(Deadlines { answer: SHORT, ..PATIENT }).await;
    let slow_reader = tokio::spawn(async move {
        let mut pace = tokio::time::interval(Duration::from_millis(10));
        let mut taken = 0;
        while let Ok(read @ 1..) = connection.read(&mut [0; 1000]).await {
            taken += read;
            pace.tick().await;
        }
        taken
    });
    server.answers_a_new_connection().await;
    slow_reader.abort();
}
