//! TLS over real sockets.

use std::fs;

use rcgen::generate_simple_self_signed;
use tempfile::TempDir;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion,
        crypto::aws_lc_rs,
        pki_types::CertificateDer,
        version::{TLS12, TLS13},
    },
};

use super::*;

/// A folder with `tls.crt` and `tls.key`, and the certificate for the client to trust.
struct Issued {
    folder: TempDir,
    trusted: CertificateDer<'static>,
}

impl Issued {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let trusted = issue(&folder, &["localhost"]);
        Self { folder, trusted }
    }

    fn renew(&mut self) {
        // Another length as well: both may be written within one tick of the file system's clock.
        self.trusted = issue(&self.folder, &["localhost", "renewed.localhost"]);
    }

    fn certificate(&self) -> Certificate {
        Certificate::read(&self.folder.path().join("tls.crt"), &self.folder.path().join("tls.key")).unwrap()
    }

    async fn serve(&self, deadlines: Deadlines) -> Running {
        Running::start(deadlines, Some(self.certificate()), LONG).await
    }

    /// Connects as a client that trusts only this certificate.
    async fn connect(
        &self,
        server: &Running,
        versions: &[&'static SupportedProtocolVersion],
        protocol: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.trusted.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.into()];
        let stream = server.connect().await;
        soon(TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream)).await
    }
}

fn issue(folder: &TempDir, names: &[&str]) -> CertificateDer<'static> {
    let issued = generate_simple_self_signed(names.iter().copied().map(String::from).collect::<Vec<_>>()).unwrap();
    fs::write(folder.path().join("tls.crt"), issued.cert.pem()).unwrap();
    fs::write(folder.path().join("tls.key"), issued.signing_key.serialize_pem()).unwrap();
    issued.cert.der().clone()
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_closed_without_an_answer() {
    let server = Issued::new().serve(PATIENT).await;
    let mut connection = server.connect().await;
    connection.write_all(get("/").as_bytes()).await.unwrap();
    let answer = read_to_close(&mut connection).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[tokio::test]
async fn an_unfinished_handshake_is_closed_at_its_deadline_and_delays_no_other_client() {
    let issued = Issued::new();
    let server = issued.serve(Deadlines { handshake: SHORT * 2, ..PATIENT }).await;
    let mut silent = server.connect().await;
    issued.connect(&server, &[&TLS13], "http/1.1").await.unwrap();
    assert_eq!(read_to_close(&mut silent).await, b"");
}

#[tokio::test]
async fn an_unfinished_handshake_is_evicted() {
    let issued = Issued::new();
    let server = Running::with_max_connections(PATIENT, Some(issued.certificate()), 1).await;
    let mut silent = server.connect().await;
    issued.connect(&server, &[&TLS13], "http/1.1").await.unwrap();
    assert_eq!(read_to_close(&mut silent).await, b"");
}

#[tokio::test]
async fn a_peer_that_reads_nothing_is_cut_off() {
    let issued = Issued::new();
    let deadlines = Deadlines { stall: SHORT, ..PATIENT };
    let server = Running::with_max_connections(deadlines, Some(issued.certificate()), 1).await;
    let mut unread = issued.connect(&server, &[&TLS13], "http/1.1").await.unwrap();
    unread.write_all(get("/large").as_bytes()).await.unwrap();
    unread.read_u8().await.unwrap();
    issued.connect(&server, &[&TLS13], "http/1.1").await.unwrap();
}

#[tokio::test]
async fn an_unfinished_handshake_does_not_delay_the_stop() {
    let issued = Issued::new();
    let server = issued.serve(PATIENT).await;
    let mut silent = server.connect().await;
    issued.connect(&server, &[&TLS13], "http/1.1").await.unwrap();
    server.stop.send(()).unwrap();
    soon(server.served).await.unwrap();
    assert_eq!(read_to_close(&mut silent).await, b"");
}

#[tokio::test]
async fn clients_of_either_version_are_answered() {
    let issued = Issued::new();
    let server = issued.serve(Deadlines::default()).await;
    for (version, spoken) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let mut connection = issued.connect(&server, &[version], "http/1.1").await.unwrap();
        assert_eq!(connection.get_ref().1.protocol_version(), Some(spoken));
        assert_eq!(connection.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
        connection.write_all(get("/").as_bytes()).await.unwrap();
        let answer = soon(read_answer(&mut connection)).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

#[tokio::test]
async fn http_2_is_negotiated_in_the_handshake() {
    let issued = Issued::new();
    let server = issued.serve(Deadlines::default()).await;
    let mut connection = issued.connect(&server, &[&TLS13], "h2").await.unwrap();
    assert_eq!(connection.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    connection.write_all(&http2::preface()).await.unwrap();
    connection.write_all(&http2::request(1, "/")).await.unwrap();
    assert!(http2::read_body(&mut connection).await.starts_with("HTTP/2.0 "));
}

#[tokio::test]
async fn a_client_that_speaks_neither_protocol_is_refused() {
    let issued = Issued::new();
    let server = issued.serve(PATIENT).await;
    issued.connect(&server, &[&TLS13], "smtp").await.unwrap_err();
}

#[tokio::test]
async fn a_renewed_certificate_is_used_while_old_connections_continue() {
    let mut issued = Issued::new();
    let server = issued.serve(PATIENT).await;
    let mut old = issued.connect(&server, &[&TLS13], "http/1.1").await.unwrap();
    issued.renew();
    soon(async {
        let mut pace = tokio::time::interval(Duration::from_millis(50));
        while issued.connect(&server, &[&TLS13], "http/1.1").await.is_err() {
            pace.tick().await;
        }
    })
    .await;
    old.write_all(get("/").as_bytes()).await.unwrap();
    assert!(soon(read_answer(&mut old)).await.starts_with("HTTP/1.1 200 "));
}
