//! The listener over real sockets. A test shortens the deadline that it is about; all others are long.

mod deadlines;
mod eviction;
mod http2;
mod messages;
mod stop;
mod tls;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use poem::{Endpoint, Request, Response, Result};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::timeout,
};

use super::{Deadlines, Server, tls::Certificate};

/// A deadline that a test waits for, long enough for a busy machine to do everything else before it.
const SHORT: Duration = Duration::from_millis(500);
/// A deadline that no test waits for.
const LONG: Duration = Duration::from_mins(10);

/// The bytes of an answer that is larger than all buffers on the way together.
const LARGE: usize = 16 << 20;

const PATIENT: Deadlines =
    Deadlines { handshake: LONG, header: LONG, request: LONG, idle: LONG, stall: LONG, slow: LONG, answer: LONG };

/// A server that runs until the test stops it.
struct Running {
    address: SocketAddr,
    signals: Arc<Signals>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

/// How a test and a waiting request notify each other.
#[derive(Default)]
struct Signals {
    /// The request has reached the endpoint.
    entered: Notify,
    /// The endpoint may answer.
    release: Notify,
}

/// `/wait` answers after `release`, `/read` after the whole body, `/read-and-wait` after both. `/panic` panics, `/large`
/// answers with [`LARGE`] bytes, and every other path answers at once.
struct TestEndpoint(Arc<Signals>);

impl Endpoint for TestEndpoint {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        match request.uri().path() {
            "/wait" => {
                self.0.entered.notify_one();
                self.0.release.notified().await;
                Ok("at last".into())
            }
            "/read" => Ok(request.take_body().into_string().await?.into()),
            "/read-and-wait" => {
                let body = request.take_body().into_string().await?;
                self.0.entered.notify_one();
                self.0.release.notified().await;
                Ok(body.into())
            }
            "/large" => Ok("x".repeat(LARGE).into()),
            "/panic" => panic!("the test asked for a panic"),
            _ => Ok(format!("{:?} from {}", request.version(), request.remote_addr()).into()),
        }
    }
}

impl Running {
    async fn plain(deadlines: Deadlines) -> Self {
        Self::start(deadlines, None, LONG).await
    }

    /// A server with a limit of `max` connections.
    async fn with_max_connections(deadlines: Deadlines, tls: Option<Certificate>, max: usize) -> Self {
        let mut server = Server::bind(([127, 0, 0, 1], 0).into(), tls).await.unwrap();
        server.max_connections = max;
        Self::serve(server, deadlines, LONG)
    }

    async fn start(deadlines: Deadlines, tls: Option<Certificate>, drain: Duration) -> Self {
        Self::serve(Server::bind(([127, 0, 0, 1], 0).into(), tls).await.unwrap(), deadlines, drain)
    }

    fn serve(mut server: Server, deadlines: Deadlines, drain: Duration) -> Self {
        server.deadlines = deadlines;
        let signals = Arc::new(Signals::default());
        let (stop, stopped) = oneshot::channel();
        let address = server.address();
        let run = server.run(TestEndpoint(Arc::clone(&signals)), async { stopped.await.unwrap_or(()) }, drain);
        Self { address, signals, stop, served: tokio::spawn(run) }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A connection on which one request has been answered.
    async fn connect_and_ask(&self) -> TcpStream {
        let mut connection = self.connect().await;
        ask(&mut connection, "/").await;
        connection
    }

    async fn answers_a_new_connection(&self) {
        self.connect_and_ask().await;
    }
}

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_mins(1), future).await.expect("the test waited for a minute")
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// Sends a GET and reads its whole answer, which must be a success.
async fn ask(connection: &mut TcpStream, path: &str) {
    connection.write_all(get(path).as_bytes()).await.unwrap();
    let answer = soon(read_answer(connection)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// Reads one answer with a `Content-Length`.
async fn read_answer(connection: &mut (impl AsyncRead + Unpin)) -> String {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read);
        if let Some((header, body)) = text.split_once("\r\n\r\n") {
            let length = header.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text.into_owned();
            }
        }
        assert_ne!(connection.read_buf(&mut read).await.unwrap(), 0, "closed in the middle of an answer");
    }
}

/// Reads to the end of the connection, a reset included.
async fn read_to_close(connection: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut read = Vec::new();
    while let Ok(1..) = soon(connection.read_buf(&mut read)).await {}
    read
}

#[tokio::test]
async fn a_panic_in_a_handler_ends_its_own_connection_only() {
    let server = Running::plain(PATIENT).await;
    let mut bystander = server.connect_and_ask().await;
    let mut victim = server.connect().await;
    victim.write_all(get("/panic").as_bytes()).await.unwrap();
    assert_eq!(read_to_close(&mut victim).await, b"");
    ask(&mut bystander, "/").await;
    server.answers_a_new_connection().await;
}

#[tokio::test]
async fn a_header_over_32_kilobytes_is_refused() {
    let server = Running::plain(PATIENT).await;
    let mut connection = server.connect().await;
    let line = format!("X-Filler: {}\r\n", "x".repeat(1000));
    let request = format!("GET / HTTP/1.1\r\n{}", line.repeat(40));
    connection.write_all(request.as_bytes()).await.unwrap();
    let answer = read_to_close(&mut connection).await;
    assert!(answer.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn an_ordinary_client_is_answered_and_its_address_is_known() {
    let server = Running::plain(Deadlines::default()).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = soon(client.get(format!("http://{}/", server.address)).send()).await.unwrap();
    let text = answer.text().await.unwrap();
    assert!(text.starts_with("HTTP/1.1 from socket://127.0.0.1:"), "{text}");
}

#[tokio::test]
async fn requests_sent_at_once_are_answered_in_order() {
    let server = Running::plain(PATIENT).await;
    let mut connection = server.connect().await;
    let requests = format!("{}{}", get("/"), "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    connection.write_all(requests.as_bytes()).await.unwrap();
    let answers = String::from_utf8(read_to_close(&mut connection).await).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 2, "{answers}");
}

#[tokio::test]
async fn an_answer_larger_than_every_buffer_arrives_whole() {
    let server = Running::plain(Deadlines::default()).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = soon(client.get(format!("http://{}/large", server.address)).send()).await.unwrap();
    assert_eq!(soon(answer.bytes()).await.unwrap().len(), LARGE);
}
