//! Who has to go when there is no room for one more.

use std::net::IpAddr;

use tokio::net::TcpSocket;

use super::{
    http2::{preface, request},
    *,
};

const MOST: usize = 4;

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

    /// A connection whose request is being worked at.
    async fn connect_and_wait(&self) -> TcpStream {
        let mut connection = self.connect().await;
        connection.write_all(get("/wait").as_bytes()).await.unwrap();
        soon(self.house.entered.notified()).await;
        connection
    }
}

/// The connection is closed, without a word.
async fn is_gone(connection: &mut TcpStream) {
    assert_eq!(read_to_close(connection).await, b"");
}

#[tokio::test]
async fn the_oldest_that_never_asked_goes_first() {
    let server = Running::crowded(PATIENT, None, MOST).await;
    let mut kept = server.connect_and_ask().await;
    let mut silent = server.connect().await;
    let mut half = server.connect().await;
    half.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
    let mut other = server.connect_and_ask().await;
    let mut fifth = server.connect_and_ask().await;
    is_gone(&mut silent).await;
    let mut sixth = server.connect_and_ask().await;
    is_gone(&mut half).await;
    for connection in [&mut kept, &mut other, &mut fifth, &mut sixth] {
        ask(connection, "/").await;
    }
}

#[tokio::test]
async fn then_the_one_that_has_been_idle_the_longest() {
    let server = Running::crowded(PATIENT, None, 3).await;
    let mut first = server.connect_and_ask().await;
    let mut second = server.connect_and_ask().await;
    let mut third = server.connect_and_ask().await;
    ask(&mut first, "/").await;
    let mut fourth = server.connect_and_ask().await;
    is_gone(&mut second).await;
    for connection in [&mut first, &mut third, &mut fourth] {
        ask(connection, "/").await;
    }
}

#[tokio::test]
async fn a_request_without_its_body_is_no_request() {
    let server = Running::crowded(PATIENT, None, 2).await;
    let mut kept = server.connect_and_ask().await;
    let mut half = server.connect().await;
    half.write_all(b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf").await.unwrap();
    let mut third = server.connect_and_ask().await;
    is_gone(&mut half).await;
    ask(&mut kept, "/").await;
    ask(&mut third, "/").await;
}

#[tokio::test]
async fn a_body_that_has_come_keeps_its_connection() {
    let server = Running::crowded(PATIENT, None, 2).await;
    let mut kept = server.connect_and_ask().await;
    let mut asking = server.connect().await;
    let request = "POST /read-and-wait HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n";
    asking.write_all(request.as_bytes()).await.unwrap();
    asking.write_all(b"ha").await.unwrap();
    asking.write_all(b"lf").await.unwrap();
    soon(server.house.entered.notified()).await;
    server.answers_a_new_connection().await;
    is_gone(&mut kept).await;
    server.house.leave.notify_one();
    assert!(soon(read_answer(&mut asking)).await.ends_with("half"));
}

#[tokio::test]
async fn a_request_that_is_worked_at_is_never_cut_off_for_room() {
    let server = Running::crowded(PATIENT, None, 2).await;
    let mut working = server.connect_and_wait().await;
    let mut idle = server.connect_and_ask().await;
    for _ in 0..5 {
        let next = server.connect_and_ask().await;
        is_gone(&mut idle).await;
        idle = next;
    }
    server.house.leave.notify_one();
    assert!(soon(read_answer(&mut working)).await.ends_with("at last"));
}

#[tokio::test]
async fn where_all_are_worked_at_the_next_waits_for_the_first_to_end() {
    let server = Running::crowded(PATIENT, None, 2).await;
    let mut working = [server.connect_and_wait().await, server.connect_and_wait().await];
    let mut next = server.connect().await;
    next.write_all(get("/").as_bytes()).await.unwrap();
    // The system has the request by now, and we have no answer.
    timeout(SHORT, read_answer(&mut next)).await.unwrap_err();
    server.house.leave.notify_one();
    server.house.leave.notify_one();
    for connection in &mut working {
        assert!(soon(read_answer(connection)).await.ends_with("at last"));
    }
    assert!(soon(read_answer(&mut next)).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_peer_that_does_not_take_its_answer_makes_room_in_the_end() {
    let server = Running::crowded(Deadlines { slow: SHORT, ..PATIENT }, None, 2).await;
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
async fn whoever_opens_many_pushes_out_its_own() {
    let server = Running::crowded(PATIENT, None, MOST).await;
    let mut lone = server.connect_from_and_ask(2).await;
    let mut newcomer = server.connect_from(3).await; // it has not asked yet
    let mut crowd = Vec::new();
    for _ in 0..20 {
        crowd.push(server.connect_from_and_ask(4).await);
        crowd.push(server.connect_from(4).await);
    }
    ask(&mut lone, "/").await;
    ask(&mut newcomer, "/").await;
}

#[tokio::test]
async fn over_http_2_the_streams_in_flight_count() {
    let server = Running::crowded(PATIENT, None, 2).await;
    let mut working = server.connect().await;
    working.write_all(&[preface(), request(1, "/wait")].concat()).await.unwrap();
    soon(server.house.entered.notified()).await;
    let mut idle = server.connect().await;
    idle.write_all(&[preface(), request(1, "/")].concat()).await.unwrap();
    http2::read_body(&mut idle).await;
    server.answers_a_new_connection().await;
    read_to_close(&mut idle).await;
    server.house.leave.notify_one();
    assert_eq!(http2::read_body(&mut working).await, "at last");
}

#[tokio::test]
async fn a_crowd_is_worn_down_one_by_one() {
    let server = Running::crowded(PATIENT, None, MOST).await;
    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.push(server.connect().await);
    }
    server.answers_a_new_connection().await;
    for connection in &mut crowd[..150] {
        is_gone(connection).await;
    }
}
