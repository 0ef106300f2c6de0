//! A client's back-channel logout endpoint, which fails on request.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::eventually;

/// How long a notice may take in a story in which nothing is in its way.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub(crate) enum Manner {
    /// Accepts every notice.
    Good,
    /// Answers with this status.
    Answers(u16),
    /// Redirects every request.
    Redirects(String),
    /// Reads the request, and never answers.
    Stalls,
    /// Sends an endless answer.
    Floods,
    /// Closes the connection.
    Drops,
}

/// The request lines that it received, and the logout tokens.
#[derive(Debug, Default)]
struct Heard {
    tokens: Vec<String>,
    requests: Vec<String>,
}

/// A running back-channel logout endpoint.
#[derive(Debug)]
pub(crate) struct Receiver {
    port: u16,
    heard: Arc<Mutex<Heard>>,
    manner: Arc<Mutex<Manner>>,
    server: JoinHandle<()>,
}

impl Receiver {
    /// Starts an endpoint that accepts every notice.
    pub(crate) async fn starts() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let (heard, manner) = (Arc::default(), Arc::new(Mutex::new(Manner::Good)));
        let (memory, mood) = (Arc::clone(&heard), Arc::clone(&manner));
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&memory), Arc::clone(&mood)));
            }
        });
        Self { port, heard, manner, server }
    }

    /// Its `backchannel_logout_uri`.
    pub(crate) fn uri(&self) -> String {
        format!("http://127.0.0.1:{}/notices?of=logouts", self.port)
    }

    /// Changes its behaviour.
    pub(crate) fn behaves(&self, manner: Manner) {
        *self.manner.lock().expect("nobody fails with it") = manner;
    }

    /// All received logout tokens, accepted or not.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.heard.lock().expect("nobody fails with it").tokens.clone()
    }

    /// The request lines that it received.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.heard.lock().expect("nobody fails with it").requests.clone()
    }

    /// Waits for `count` tokens, and returns them.
    pub(crate) async fn waits_for(&self, count: usize) -> Vec<String> {
        eventually(PATIENCE, "the client is told", async || self.tokens().len() >= count).await;
        self.tokens()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Reads requests of one connection and answers them.
async fn serve(stream: TcpStream, heard: Arc<Mutex<Heard>>, manner: Arc<Mutex<Manner>>) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut first, mut length, mut is_form) = (String::new(), 0, false);
        loop {
            let mut line = String::new();
            match stream.read_line(&mut line).await {
                Ok(count) if count > 0 => {}
                _ => return,
            }
            let line = line.trim_end().to_ascii_lowercase();
            if first.is_empty() {
                first.clone_from(&line);
            } else if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().expect("a number");
            } else if line == "content-type: application/x-www-form-urlencoded" {
                is_form = true;
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).await.is_err() {
            return;
        }
        let form: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
        {
            let mut heard = heard.lock().expect("nobody fails with it");
            heard.requests.push(first);
            match &form[..] {
                [(name, token)] if is_form && name == "logout_token" => heard.tokens.push(token.clone()),
                _ => panic!("something else came: {form:?}"),
            }
        }
        let manner = manner.lock().expect("nobody fails with it").clone();
        let answer = match manner {
            Manner::Good => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            Manner::Answers(status) => format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nno"),
            Manner::Redirects(to) => {
                format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
            }
            Manner::Drops => return,
            Manner::Stalls => return std::future::pending().await,
            Manner::Floods => {
                let begin = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                let chunk = [&b"4000\r\n"[..], &[b'x'; 0x4000], b"\r\n"].concat();
                let mut written = stream.write_all(begin).await;
                while written.is_ok() {
                    written = stream.write_all(&chunk).await;
                }
                return;
            }
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
