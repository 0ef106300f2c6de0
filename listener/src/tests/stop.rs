//! Stopping: requests that have begun are answered, all other connections are closed, and the time is bounded.

use super::*;

#[tokio::test]
async fn a_request_in_flight_is_answered_after_the_stop() {
    let server = Running::plain(PATIENT).await;
    let mut connection = server.connect().await;
    connection.write_all(get("/wait").as_bytes()).await.unwrap();
    soon(server.signals.entered.notified()).await;
    // Its end shows that the stop has begun. The answer must come only after that.
    let mut idle = server.connect_and_ask().await;

    server.stop.send(()).unwrap();
    read_to_close(&mut idle).await;
    server.signals.release.notify_one();

    let answer = String::from_utf8(read_to_close(&mut connection).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("at last"), "{answer}");
    soon(server.served).await.unwrap();
}

#[tokio::test]
async fn idle_silent_and_half_open_connections_do_not_delay_the_stop() {
    let server = Running::plain(PATIENT).await;
    let mut half = server.connect_and_ask().await;
    half.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
    let _idle = server.connect_and_ask().await;
    let _silent = server.connect().await;
    server.answers_a_new_connection().await; // so the connection before it has been accepted
    server.stop.send(()).unwrap();
    soon(server.served).await.unwrap();
}

#[tokio::test]
async fn the_port_is_free_once_the_service_has_stopped() {
    let server = Running::plain(PATIENT).await;
    server.answers_a_new_connection().await;
    server.stop.send(()).unwrap();
    soon(server.served).await.unwrap();
    TcpStream::connect(server.address).await.unwrap_err();
}

#[tokio::test]
async fn a_request_that_outlasts_the_drain_is_cut_off() {
    let server = Running::start(PATIENT, None, SHORT).await;
    let mut connection = server.connect().await;
    connection.write_all(get("/wait").as_bytes()).await.unwrap();
    soon(server.signals.entered.notified()).await;
    server.stop.send(()).unwrap();
    soon(server.served).await.unwrap();
    assert_eq!(read_to_close(&mut connection).await, b"");
}
