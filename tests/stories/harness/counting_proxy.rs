//! A proxy before PostgreSQL that counts round trips: it reads the messages of the client, and passes all on unchanged.
//!
//! A round trip ends with a `Sync` or a simple `Query`, since the client waits for `ReadyForQuery` then. One that executes
//! nothing is a ping, or prepares a statement. `pg_stat_statements` would count neither. The load program in `benches/`
//! uses this file too.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// One round trip, as the client began it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoundTrip {
    /// The SQL that it executed.
    pub(crate) statements: Vec<String>,
    /// Whether it prepared a statement.
    pub(crate) prepares: bool,
}

/// A running proxy. Its connections end with the runtime.
#[derive(Debug)]
pub(crate) struct CountingProxy {
    pub(crate) port: u16,
    counted: Arc<Mutex<Vec<RoundTrip>>>,
}

impl CountingProxy {
    /// Listens on a free port, and passes connections on to PostgreSQL at `upstream`.
    pub(crate) async fn before(upstream: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let counted = Arc::<Mutex<Vec<RoundTrip>>>::default();
        let all = Arc::clone(&counted);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A connection ends with an error if either side cuts it; the other side sees that.
                tokio::spawn(serve(client, upstream, Arc::clone(&all)));
            }
        });
        Ok(Self { port, counted })
    }

    /// The round trips since the last call.
    pub(crate) fn take(&self) -> Vec<RoundTrip> {
        std::mem::take(&mut *self.counted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn serve(client: TcpStream, upstream: u16, counted: Arc<Mutex<Vec<RoundTrip>>>) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", upstream)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut reader = Reader::default();
    let mut buffer = vec![0; 16_384];
    loop {
        let length = from_client.read(&mut buffer).await?;
        if length == 0 {
            return to_server.shutdown().await;
        }
        // Count first: when the server answers, the round trip must be in the list.
        let found = reader.read(&buffer[..length]);
        counted.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
        to_server.write_all(&buffer[..length]).await?;
    }
}

/// The state of one connection.
#[derive(Debug, Default)]
struct Reader {
    bytes: Vec<u8>,
    /// Whether the startup message, which has no type, is over.
    started: bool,
    /// The SQL of each prepared statement and of each portal, by name.
    statements: HashMap<Vec<u8>, String>,
    portals: HashMap<Vec<u8>, String>,
    executed: Vec<String>,
    prepares: bool,
}

impl Reader {
    /// Takes the next bytes of the client. The round trips that they complete.
    fn read(&mut self, bytes: &[u8]) -> Vec<RoundTrip> {
        /// The version 3.0 in a startup message; a request for TLS has another number there, and is sent before.
        const VERSION_3: [u8; 4] = [0, 3, 0, 0];
        self.bytes.extend_from_slice(bytes);
        let mut found = Vec::new();
        loop {
            let header = usize::from(self.started);
            let Some(length) = self.bytes.get(header..header + 4).and_then(|length| length.try_into().ok()) else {
                return found;
            };
            let end = header + usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
            if self.bytes.len() < end {
                return found;
            }
            let message: Vec<u8> = self.bytes.drain(..end).collect();
            if self.started {
                found.extend(self.message(message[0], &message[5..]));
            } else {
                self.started = message.get(4..8) == Some(&VERSION_3);
            }
        }
    }

    fn message(&mut self, kind: u8, body: &[u8]) -> Option<RoundTrip> {
        let mut strings = body.split(|byte| *byte == 0);
        let mut string = || strings.next().unwrap_or_default();
        match kind {
            b'P' => {
                let (name, sql) = (string().to_vec(), String::from_utf8_lossy(string()).into_owned());
                self.statements.insert(name, sql);
                self.prepares = true;
                None
            }
            b'B' => {
                let (portal, statement) = (string().to_vec(), string());
                let sql = self.statements.get(statement).cloned().unwrap_or_default();
                self.portals.insert(portal, sql);
                None
            }
            b'E' => {
                let sql = self.portals.get(string()).cloned().unwrap_or_default();
                self.executed.push(sql);
                None
            }
            b'Q' => {
                let sql = String::from_utf8_lossy(string()).into_owned();
                let statements = if sql.is_empty() { Vec::new() } else { vec![sql] };
                Some(RoundTrip { statements, prepares: false })
            }
            b'S' => Some(RoundTrip {
                statements: std::mem::take(&mut self.executed),
                prepares: std::mem::take(&mut self.prepares),
            }),
            _ => None,
        }
    }
}
