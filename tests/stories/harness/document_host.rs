//! Hosts of client metadata documents: one server on loopback, over TLS, that stands for every host of a story. It counts
//! the connections that it gets.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;
use signet::testing::DocumentNetwork;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
    sync::Semaphore,
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use super::eventually;

/// The hosts that the server has a certificate for.
const HOSTS: [&str; 4] = ["app.example", "other.example", "evil.example", "localhost"];

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Served {
    /// Answers with this document.
    Document(Value),
    /// Answers with this status line, these fields and this body.
    Answer(&'static str, Vec<String>, Vec<u8>),
    /// Sends an endless body.
    Endless,
    /// Sends a byte at a time, and never ends.
    Drips,
    /// Answers with this document once [`DocumentHost::opens`] is called.
    Waits(Value),
}

#[derive(Debug, Default)]
struct Memory {
    served: Mutex<HashMap<String, Served>>,
    /// The URLs that were asked for.
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    /// How many bytes of bodies were sent.
    sent: AtomicUsize,
    lookups: AtomicUsize,
}

/// The running server.
#[derive(Debug)]
pub(crate) struct DocumentHost {
    address: SocketAddr,
    authority: String,
    memory: Arc<Memory>,
    open: Arc<Semaphore>,
    server: JoinHandle<()>,
}

impl DocumentHost {
    pub(crate) async fn starts() -> Self {
        Self::starts_at(Ipv4Addr::LOCALHOST).await
    }

    /// Starts a server at this address of the machine.
    pub(crate) async fn starts_at(address: Ipv4Addr) -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key pair"));
        let authority = authority.expect("a certificate");
        let key = KeyPair::generate().expect("a key pair");
        let leaf = CertificateParams::new(HOSTS.map(str::to_owned)).expect("names").signed_by(&key, &authority);
        let leaf = leaf.expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key);
        let acceptor = TlsAcceptor::from(Arc::new(config.expect("a certificate and its key")));
        let listener = TcpListener::bind((address, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (memory, open) = (Arc::<Memory>::default(), Arc::new(Semaphore::new(0)));
        let (shared, gate) = (Arc::clone(&memory), Arc::clone(&open));
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let (acceptor, shared, gate) = (acceptor.clone(), Arc::clone(&shared), Arc::clone(&gate));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, &shared, &gate).await.ok();
                    }
                });
            }
        });
        Self { address, authority: authority.pem(), memory, open, server }
    }

    /// Serves this at `url`.
    pub(crate) fn serves(&self, url: &str, served: Served) {
        self.memory.served.lock().expect("nobody fails while writing it").insert(url.to_owned(), served);
    }

    /// Serves this document at the URL that is its `client_id`.
    pub(crate) fn publishes(&self, document: &Value) {
        let url = document["client_id"].as_str().expect("a URL");
        self.serves(url, Served::Document(document.clone()));
    }

    /// Lets the answers go that wait.
    pub(crate) fn opens(&self) {
        self.open.add_permits(1000);
    }

    /// A network in which every host is this server, and loopback addresses are allowed.
    pub(crate) fn network(&self) -> DocumentNetwork {
        DocumentNetwork { is_allowed: |address| address.is_loopback(), ..self.guarded() }
    }

    /// A network in which every host is this server, and the rule about addresses is the real one.
    pub(crate) fn guarded(&self) -> DocumentNetwork {
        let (address, memory) = (self.address, Arc::clone(&self.memory));
        self.resolving(move |_| {
            memory.lookups.fetch_add(1, Ordering::SeqCst);
            Ok(vec![address])
        })
    }

    /// A network with these answers of the resolver, and the real rule about addresses.
    pub(crate) fn resolving(
        &self,
        look_up: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> DocumentNetwork {
        DocumentNetwork {
            look_up: Some(Arc::new(look_up)),
            authority: Some(self.authority.clone().into_bytes()),
            patience: Duration::from_secs(20),
            ..DocumentNetwork::default()
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn connections(&self) -> usize {
        self.memory.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn lookups(&self) -> usize {
        self.memory.lookups.load(Ordering::SeqCst)
    }

    /// How many bytes of bodies it could send.
    pub(crate) fn sent(&self) -> usize {
        self.memory.sent.load(Ordering::SeqCst)
    }

    /// The URLs that were asked for.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.memory.requests.lock().expect("nobody fails while writing it").clone()
    }

    /// Waits until so many requests have come.
    pub(crate) async fn waits_for(&self, count: usize) {
        eventually(Duration::from_secs(30), "the requests have come", async || self.requests().len() >= count).await;
    }
}

impl Drop for DocumentHost {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, memory: &Memory, gate: &Semaphore) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut path, mut host) = (String::new(), String::new());
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 || line == "\r\n" {
            break;
        }
        if path.is_empty() {
            path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        } else if let Some(("host", value)) = line.to_ascii_lowercase().split_once(':') {
            value.trim().clone_into(&mut host);
        }
    }
    let url = format!("https://{host}{path}");
    memory.requests.lock().expect("nobody fails while writing it").push(url.clone());
    let served = memory.served.lock().expect("nobody fails while writing it").get(&url).cloned();
    let json = vec!["Content-Type: application/json".to_owned()];
    let (status, fields, body) = match served {
        None => ("404 Not Found", json, b"{}".to_vec()),
        Some(Served::Document(document)) => ("200 OK", json, document.to_string().into_bytes()),
        Some(Served::Waits(document)) => {
            gate.acquire().await.map_err(io::Error::other)?.forget();
            ("200 OK", json, document.to_string().into_bytes())
        }
        Some(Served::Answer(status, fields, body)) => (status, fields, body),
        Some(Served::Endless) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n").await?;
            loop {
                stream.write_all(&[b' '; 1024]).await?;
                stream.flush().await?;
                memory.sent.fetch_add(1024, Ordering::SeqCst);
            }
        }
        Some(Served::Drips) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n").await?;
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            loop {
                tick.tick().await;
                stream.write_all(b" ").await?;
                stream.flush().await?;
            }
        }
    };
    let fields = fields.join("\r\n");
    let head = format!("HTTP/1.1 {status}\r\n{fields}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.flush().await?;
    memory.sent.fetch_add(body.len(), Ordering::SeqCst);
    stream.shutdown().await
}
