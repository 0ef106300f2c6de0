//! Raw connections, for requests that no HTTP client sends.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::site::Site;

/// A raw TCP connection.
#[derive(Debug)]
pub(crate) struct Line(TcpStream);

impl Line {
    pub(crate) async fn to(site: &Site) -> Self {
        Self(TcpStream::connect(site.authority()).await.expect("the service listens"))
    }

    /// Sends these bytes. That the other side has hung up shows in [`Self::answer`].
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.write_all(bytes).await.ok();
        self
    }

    /// The head of the next answer, read to its end and no further.
    pub(crate) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = timeout(Duration::from_mins(1), self.0.read_u8()).await;
            head.push(byte.expect("the service answers").expect("the service does not hang up"));
        }
        String::from_utf8_lossy(&head).into_owned()
    }

    /// The next answer of a keep-alive connection: its head, and its body as `Content-Length` tells.
    pub(crate) async fn response(&mut self) -> (String, Vec<u8>) {
        let head = self.head().await.to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        let read = timeout(Duration::from_mins(1), self.0.read_exact(&mut body)).await;
        read.expect("the service answers").expect("the service does not hang up");
        (head, body)
    }

    /// Reads until the service hangs up.
    pub(crate) async fn answer(mut self) -> String {
        let mut answer = Vec::new();
        let read = timeout(Duration::from_mins(1), self.0.read_to_end(&mut answer)).await;
        // A reset after the answer is the service's right: it does not read on what it has refused.
        read.expect("the service hangs up").ok();
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub(crate) async fn status(self) -> u16 {
        let answer = self.answer().await;
        let status = answer
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.get(2..))
            .and_then(|rest| rest.get(..3))
            .and_then(|code| code.parse().ok());
        status.unwrap_or_else(|| panic!("no answer: {answer:?}"))
    }
}
