//! Which connection closes when the limit is reached.

use std::net::IpAddr;

use tokio::net::TcpSocket;

use super::{
    http2::{preface, request},
    *,
};

const MAX: usize = 4;

impl Running {
    /// A connection from another address of the loopback network.
    async fn connect_from(&self, host: u8) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((IpAddr::from([127, 0, 0, host]), 0).into()).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    async fn connect_from_and_ask(&self, host: u8) -> TcpStream {
        let mut connection = self.connect_from(host).await;
        ask(&mut connection, "/").await;
        connection
    }

    /// A connection whose request has reached the endpoint.
    async fn connect_and_wait(&self) -> TcpStream {
        let mut connection = self.connect().await;
        connection.write_all(get("/wait").as_bytes()).await.unwrap();
        soon(self.signals.entered.notified()).await;
        connection
    }
}

/// Asserts that the connection was closed without an answer.
async fn is_evicted(connection: &mut TcpStream) {
    assert_eq!(read_to_close(connection).await, b"");
}

#[tokio::test]
async fn the_oldest_connection_without_a_request_goes_first() {
    let server = Running::with_max_connections(PATIENT, None, MAX).await;
    let mut kept = server.connect_and_ask().await;
    let mut silent = server.connect().await;
    let mut half = server.connect().await;
    half.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
    let mut other = server.connect_and_ask().await;
    let mut fifth = server.connect_and_ask().await;
    is_evicted(&mut silent).await;
    let mut sixth = server.connect_and_ask().await;
    is_evicted(&mut half).await;
    for connection in [&mut kept, &mut other, &mut fifth, &mut sixth] {
        ask(connection, "/").await;
    }
}

#[tokio::test]
async fn without_such_a_connection_the_longest_idle_goes_first() {
    let server = Running::with_max_connections(PATIENT, None, 3).await;
    let mut first = server.connect_and_ask().await;
    let mut second = server.connect_and_ask().await;
    let mut third = server.connect_and_ask().await;
    ask(&mut first, "/").await;
    let mut fourth = server.connect_and_ask().await;
    is_evicted(&mut second).await;
    for connection in [&mut first, &mut third, &mut fourth] {
        ask(connection, "/").await;
    }
}

#[tokio::test]
async fn a_request_with_half_its_body_does_not_protect_its_connection() {
    let server = Running::with_max_connections(PATIENT, None, 2).await;
    let mut kept = server.connect_and_ask().await;
    let mut half = server.connect().await;
    half.write_all(b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf").await.unwrap();
    let mut third = server.connect_and_ask().await;
    is_evicted(&mut half).await;
    ask(&mut kept, "/").await;
    ask(&mut third, "/").await;
}

#[tokio::test]
async fn a_request_with_its_whole_body_protects_its_connection() {
    let server = Running::with_max_connections(PATIENT, None, 2).await;
    let mut kept = server.connect_and_ask().await;
    let mut asking = server.connect().await;
    let request = "POST /read-and-wait HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n";
    asking.write_all(request.as_bytes()).await.unwrap();
    asking.write_all(b"ha").await.unwrap();
    asking.write_all(b"lf").await.unwrap();
    soon(server.signals.entered.notified()).await;
    server.answers_a_new_connection().await;
    is_evicted(&mut kept).await;
    server.signals.release.notify_one();
    assert!(soon(read_answer(&mut asking)).await.ends_with("half"));
}

#[tokio::test]
async fn a_connection_whose_request_is_in_work_is_never_evicted() {
    let server = Running::with_max_connections(PATIENT, None, 2).await;
    let mut working = server.connect_and_wait().await;
    let mut idle = server.connect_and_ask().await;
    for _ in 0..5 {
        let next = server.connect_and_ask().await;
        is_evicted(&mut idle).await;
        idle = next;
    }
    server.signals.release.notify_one();
    assert!(soon(read_answer(&mut working)).await.ends_with("at last"));
}

#[tokio::test]
async fn when_every_connection_is_in_work_the_next_waits_for_one_to_end() {
    let server = Running::with_max_connections(PATIENT, None, 2).await;
    let mut working = [server.connect_and_wait().await, server.connect_and_wait().await];
    let mut next = server.connect().await;
    next.write_all(get("/").as_bytes()).await.unwrap();
    // The system has accepted the request by now, and there is no answer.
    timeout(SHORT, read_answer(&mut next)).await.unwrap_err();
    server.signals.release.notify_one();
    server.signals.release.notify_one();
    for connection in &mut working {
        assert!(soon(read_answer(connection)).await.ends_with("at last"));
    }
    assert!(soon(read_answer(&mut next)).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_peer_that_does_not_read_its_answer_is_evicted_after_a_while() {
    let server = Running::with_max_connections(Deadlines { slow: SHORT, ..PATIENT }, None, 2).await;
    let mut slow = [server.connect().await, server.connect().await];
    for connection in &mut slow {
        connection.write_all(get("/large").as_bytes()).await.unwrap();
        connection.readable().await.unwrap(); // the answer has begun
    }
    server.answers_a_new_connection().await;
    server.answers_a_new_connection().await;
    let [mut first, _] = slow;
    assert!(read_to_close(&mut first).await.len() < LARGE);
}

#[tokio::test]
async fn a_network_with_many_connections_evicts_its_own() {
    let server = Running::with_max_connections(PATIENT, None, MAX).await;
    let mut lone = server.connect_from_and_ask(2).await;
    let mut newcomer = server.connect_from(3).await; // it has sent no request yet
    let mut many = Vec::new();
    for _ in 0..20 {
        many.push(server.connect_from_and_ask(4).await);
        many.push(server.connect_from(4).await);
    }
    ask(&mut lone, "/").await;
    ask(&mut newcomer, "/").await;
}

#[tokio::test]
async fn an_http_2_connection_with_a_stream_in_work_is_never_evicted() {
    let server = Running::with_max_connections(PATIENT, None, 2).await;
    let mut working = server.connect().await;
    working.write_all(&[preface(), request(1, "/wait")].concat()).await.unwrap();
    soon(server.signals.entered.notified()).await;
    let mut idle = server.connect().await;
    idle.write_all(&[preface(), request(1, "/")].concat()).await.unwrap();
    http2::read_body(&mut idle).await;
    server.answers_a_new_connection().await;
    read_to_close(&mut idle).await;
    server.signals.release.notify_one();
    assert_eq!(http2::read_body(&mut working).await, "at last");
}

#[tokio::test]
async fn connections_far_above_the_limit_are_evicted_one_by_one() {
    let server = Running::with_max_connections(PATIENT, None, MAX).await;
    let mut many = Vec::new();
    for _ in 0..200 {
        many.push(server.connect().await);
    }
    server.answers_a_new_connection().await;
    for connection in &mut many[..150] {
        is_evicted(connection).await;
    }
}
